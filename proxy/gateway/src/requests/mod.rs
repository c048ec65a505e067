//! Requests that plugins make to the FHIR server: they go the way of a client's, past the same gates and limits, but
//! plugins do not see them.

mod answer;
mod ask;
mod stack;

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use fireguard_plugin_host::{By, FhirAnswer, FhirAnswers, FhirClient, FhirFault, FhirRequest};
use fireguard_traffic::upstream::Balanced;
use futures_util::StreamExt;
use futures_util::stream;
use http::HeaderMap;
use tower::{Service, ServiceExt};

use self::stack::Stack;
use crate::caller;
use crate::exchange::{Exchange, Inbound, Ready, RequestId};
use crate::face::Face;
use crate::facts::{Facts, Within};
use crate::failure::Failure;
use crate::state::{Route, Shared};

/// Requests of one exchange that are on their way at once, where it holds no place at a server itself.
const AT_ONCE: usize = 4;

/// Sends requests of plugins, on one core. Cheap to clone.
#[derive(Clone)]
pub struct Requests(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    stack: Stack,
}

/// For whom a plugin works.
struct Asking {
    requests: Requests,
    id: RequestId,
    /// None: nobody waits for it.
    caller: Option<Caller>,
}

/// The exchange that a plugin works for.
struct Caller {
    client: IpAddr,
    caller: caller::Caller,
    route: Arc<Route>,
    face: Arc<Face>,
    headers: Arc<HeaderMap>,
    facts: Arc<Facts>,
}

/// By whose right a request is sent, and on which route.
struct Way {
    client: IpAddr,
    caller: caller::Caller,
    route: Arc<Route>,
    face: Arc<Face>,
    headers: Arc<HeaderMap>,
    within: Within,
}

impl Requests {
    /// Over these connections, by the servers' names.
    pub fn new(shared: &Arc<Shared>, connections: HashMap<String, Balanced>) -> Self {
        let stack = stack::build(shared, connections);
        Self(Arc::new(Inner { shared: Arc::clone(shared), stack }))
    }

    /// For the plugins that work for an exchange.
    pub fn of(ready: &Ready) -> Option<Arc<dyn FhirClient>> {
        let requests = ready.facts.requests.get()?.clone();
        let caller = Caller {
            client: ready.client,
            caller: ready.caller.clone(),
            route: Arc::clone(&ready.route),
            face: Arc::clone(&ready.face),
            headers: Arc::clone(&ready.headers),
            facts: Arc::clone(&ready.facts),
        };
        Some(Arc::new(Asking { requests, id: ready.id.clone(), caller: Some(caller) }))
    }

    /// For the plugins that work where nobody waits: only routes that grants name are theirs.
    pub fn of_nobody(&self) -> Arc<dyn FhirClient> {
        Arc::new(Asking { requests: self.clone(), id: RequestId::random(), caller: None })
    }
}

impl FhirClient for Asking {
    fn send<'a>(&'a self, by: &'a By, requests: Vec<FhirRequest>, most: usize) -> FhirAnswers<'a> {
        Box::pin(async move {
            // Who holds a place at a server must not wait for another one: two that did would wait for each other.
            // So it may ask beyond the limit, but one after another.
            let at_once = if self.holds_place() { 1 } else { AT_ONCE };
            let way = self.way(by);
            let one = |request| async {
                let way = way.as_ref().map_err(Clone::clone)?;
                self.one(way, request, most).await
            };
            stream::iter(requests).map(one).buffered(at_once).collect().await
        })
    }
}

impl Asking {
    /// Whether the exchange has a place at a server.
    fn holds_place(&self) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.facts.holds_place())
    }

    fn way(&self, by: &By) -> Result<Way, FhirFault> {
        let holds = self.holds_place();
        let name = match (by, &self.caller) {
            // Of an exchange that needs no token, such as one for the CapabilityStatement.
            (By::Caller, Some(caller)) if caller.caller.is_unknown_on(&caller.route) => {
                let message = "nobody knows who the caller is; name a route in the grant fhir_client";
                return Err(FhirFault::Denied(message.to_owned()));
            }
            (By::Caller, Some(caller)) => {
                let Caller { client, caller, route, face, headers, facts: _ } = caller;
                let caller = caller.clone();
                let (route, face, headers) = (Arc::clone(route), Arc::clone(face), Arc::clone(headers));
                let within = Within { same_route: true, holds };
                return Ok(Way { client: *client, caller, route, face, headers, within });
            }
            (By::Caller, None) => {
                let message = "there is no caller here; name a route in the grant fhir_client";
                return Err(FhirFault::Denied(message.to_owned()));
            }
            (By::Route(name), _) => name,
        };
        let shared = &self.requests.0.shared;
        let route = shared.routes.iter().find(|route| *route.name == **name).cloned();
        let route = route.ok_or_else(|| FhirFault::Denied(format!("there is no route named {name:?}")))?;
        let (scheme, host) = match (&self.caller, &shared.server.public_url) {
            (Some(caller), _) => (caller.face.base.scheme().as_str(), caller.face.base.authority()),
            (None, Some(public)) => (public.scheme().as_str(), public.authority()),
            // Nobody else sees these links.
            (None, None) => ("http", "localhost"),
        };
        let face = route.faces.toward(scheme, host);
        let face = face.map_err(|_| FhirFault::Unavailable("the route has no base here".to_owned()))?;
        let same_route = self.caller.as_ref().is_some_and(|caller| caller.route.name == route.name);
        let within = Within { same_route, holds };
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let caller = caller::Caller::default();
        Ok(Way { client, caller, route, face, headers: Arc::default(), within })
    }

    async fn one(&self, way: &Way, asked: FhirRequest, most: usize) -> Result<FhirAnswer, FhirFault> {
        let limits = &self.requests.0.shared.limits;
        let method =
            asked.method.parse().map_err(|_| FhirFault::Invalid("the method is none of HTTP".to_owned()))?;
        let facts = Facts::new(self.id.clone(), method).within(way.within);
        let _ = facts.route.set(way.route.name.clone());
        let facts = Arc::new(facts);
        let parsed = ask::parse(&asked, &way.route, &way.face.base, limits.request_url.0);
        let (request, page_of) = match parsed {
            Ok(read) => read,
            Err(ask::Unreadable::Refused(refusal)) => {
                return Ok(answer::failed(&Failure::from(*refusal), &facts));
            }
            Err(ask::Unreadable::Invalid(message)) => return Err(FhirFault::Invalid(message)),
        };
        facts.answer_in(request.format);
        let _ = facts.interaction.set(request.interaction.code());
        if let Some(resource_type) = request.interaction.resource_type() {
            let _ = facts.resource_type.set(resource_type.as_str());
        }
        let exchange = Exchange {
            id: self.id.clone(),
            client: way.client,
            caller: way.caller.asking(&way.route, &request, page_of),
            route: Arc::clone(&way.route),
            face: Arc::clone(&way.face),
            request: Arc::new(request),
            headers: ask::headers(&way.headers),
            body: Inbound::own(Bytes::from(asked.body.unwrap_or_default())),
            facts: Arc::clone(&facts),
        };
        let mut stack = self.requests.0.stack.clone();
        let sent = match stack.ready().await {
            Ok(stack) => stack.call(Box::new(exchange)).await,
            Err(failure) => Err(failure),
        };
        match sent {
            Ok(response) => answer::whole(response, most, &facts).await,
            Err(failure) => Ok(answer::failed(&failure, &facts)),
        }
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Requests")
    }
}
