//! The way of one request, top to bottom; `docs/architecture.md` shows the same list.
//!
//! A stage sees the request on the way down and the answer on the way up.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::body::Body;
use fireguard_traffic::upstream::Balanced;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::exchange::Arrived;
use crate::facts::Facts;
use crate::failure::{Failure, Source};
use crate::requests::Requests;
use crate::server::Peer;
use crate::stage::{check, layer};
use crate::stages::access::writes;
use crate::stages::audit::{self, shown};
use crate::stages::plugins::{request, to_client, to_server, written};
use crate::stages::{
    answers, authenticate, batch, body, breaker, compress, concurrency, cors, enter, forward, gate, hapi,
    metadata, observe, own_writes, rate, rescue, retry, rewrite, route, vet, well_known,
};
use crate::stages::{links, login};
use crate::state::Shared;
use crate::traces::Trace;

/// The stack of one core. Cloning is cheap.
#[derive(Clone)]
pub struct Pipeline {
    stack: BoxCloneSyncService<Box<Arrived>, Response<Body>, Failure>,
    requests: Requests,
}

/// Builds the stack of one core, with its own connections to the servers, by their names.
pub fn build(shared: &Arc<Shared>, connections: HashMap<String, Balanced>) -> Pipeline {
    let requests = Requests::new(shared, connections.clone());
    let stack = ServiceBuilder::new()
        // Notes how each exchange ended, once, whatever happened: log line and metrics.
        .layer(layer(observe::Observe))
        // Drops headers of one hop; finds out who the client is behind trusted balancers.
        .layer(check(enter::Enter::new(shared)))
        // Tells browsers which pages may ask, and answers those that ask first; errors of all that follows, too.
        .layer(layer(cors::Cors::new(shared)))
        // Users of the file log in here, beside every route.
        .layer(layer(login::Login::new(shared)))
        // Tells applications how to get a token.
        .layer(layer(well_known::WellKnown::new(shared)))
        // Finds the route and parses the interaction, once. What is unknown is refused here.
        .layer(check(route::Route::new(shared)))
        // Finds out who asks. What has to be known of the caller later is known from here on.
        .layer(layer(authenticate::Authenticate::new(shared)))
        // Lets a link to a page or job lead its holder only.
        .layer(check(links::Links))
        // Compresses answers where the route says so; errors are too short to gain by it.
        .layer(layer(compress::Compress))
        // Limits one client on one route by what it asks for, before any work is done for it.
        .layer(layer(rate::Rate::new(shared)))
        // Notes who did what, once it is known who asks, and whatever becomes of it from here on.
        .layer(layer(audit::Audited::new(shared)))
        // Gate 1: does the route let this interaction through?
        .layer(check(gate::Gate::new(shared)))
        // Makes the body for the server: forms are read and merged, JSON is checked as it streams.
        .layer(layer(body::MakeBody::new(shared)))
        // Plugins look at the request; what they change is judged like a request of the client.
        .layer(layer(request::RequestPhase::new(shared)))
        // Plugins see what is to be written. A body that none of them wants streams.
        .layer(layer(to_server::ToServer::new(shared)))
        // Puts a write into a task of its own: HAPI commits even if the client has left. Keeps its body.
        .layer(layer(own_writes::OwnWrites::new(shared)))
        // Answers with the CapabilityStatement that is kept.
        .layer(layer(metadata::Metadata))
        // Turns the server's URLs in headers and body into the client's. Outside of the plugins: what they
        // let through may hold such URLs too.
        .layer(layer(rewrite::Rewrite))
        // Splits answers into resources for the route's plugins and rebuilds them from what these let through.
        .layer(layer(to_client::ToClient::new(shared)))
        // Notes whose data an answer shows that nobody else has looked at.
        .layer(layer(shown::Shown::new(shared)))
        // Gate 3: shows a confined caller of each answer what may be seen. Inside of plugins, which may change what tells
        // whose a resource is, and outside of what asks the server for our own ends.
        .layer(layer(answers::Answers::new(shared)))
        // Gate 2: judges what a confined caller's write makes of what is stored, and pins it to what was looked at. Inside
        // of gate 3: it looks at what the caller may not see.
        .layer(layer(writes::Writes::new(shared)))
        // Puts right where HAPI does otherwise than FHIR says: versions, lost entries. Outside of what asks again, and
        // inside of plugins: it reads the server's own words.
        .layer(layer(hapi::Hapi::new(shared)))
        // Keeps what was written for the plugins that want to know, before the client learns of it.
        .layer(layer(written::WrittenPhase::new(shared)))
        // Lets through only answers we understand: status, media type, headers.
        .layer(layer(vet::Vet))
        // Asks again for the entries of a batch that were throttled inside its answer.
        .layer(layer(batch::Batch::new(shared)))
        // Sends again what the server did not take, where nothing can happen twice.
        .layer(layer(retry::Retry::new(shared)))
        // Leaves a server alone that fails most of what it is asked.
        .layer(layer(breaker::Breaker))
        // Lets as many to the server at once as it can work on; a permit is held to the end of the answer.
        .layer(layer(concurrency::Concurrency::new(shared)))
        // To the server and back.
        .service(forward::Forward::new(shared, connections));
    Pipeline { stack: BoxCloneSyncService::new(stack), requests }
}

/// The answer to a request on a connection that is one too many: nothing else is done for it.
pub fn too_many_connections<B>(request: &Request<B>) -> Response<Body> {
    let message = "there are as many connections as are served at once";
    let failure = Failure::new(Source::Proxy, StatusCode::SERVICE_UNAVAILABLE, IssueCode::Throttled, message);
    at_once(request, failure.retry_after(COME_BACK))
}

/// The answer on a connection whose client's certificate would not be accepted any more.
pub fn certificate_refused<B>(request: &Request<B>) -> Response<Body> {
    let message = "the certificate of this connection is not accepted any more";
    at_once(request, Failure::client(StatusCode::UNAUTHORIZED, IssueCode::Login, message))
}

/// Nothing else is done, and the connection is closed.
fn at_once<B>(request: &Request<B>, failure: Failure) -> Response<Body> {
    let failure = failure.closing();
    let rescue = rescue::Rescue::of(request);
    let facts = Facts::new(rescue.id().clone(), request.method().clone());
    facts.failed(&failure);
    rescue.answer(Err(failure), &facts)
}

/// When to connect again.
const COME_BACK: Duration = Duration::from_secs(1);

impl Pipeline {
    /// Answers one request. Every failure becomes an OperationOutcome here and nowhere else.
    ///
    /// # Errors
    /// None; the type is hyper's wish.
    pub fn answer(
        mut self,
        peer: Peer,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send {
        let rescue = rescue::Rescue::of(&request);
        let (parts, body) = request.into_parts();
        let facts = Facts::new(rescue.id().clone(), parts.method.clone());
        let facts = Arc::new(facts.traced(Trace::begin(&parts.headers)));
        let _ = facts.requests.set(self.requests.clone());
        let known = Arc::clone(&facts);
        let arrived = Box::new(Arrived { id: rescue.id().clone(), peer, parts, body, facts });
        // What is above has run before the first poll: an exchange is noted even if its connection ends first.
        async move {
            let answer = match self.stack.ready().await {
                Ok(stack) => stack.call(arrived).await,
                Err(failure) => Err(failure),
            };
            Ok(rescue.answer(answer, &known))
        }
    }
}
