//! Lets pages of listed origins ask, and answers browsers that ask first.

use std::sync::Arc;

use fireguard_traffic::body::empty;
use http::{Response, StatusCode};

use crate::exchange::Entered;
use crate::stage::{Answer, Next, Stage, headers_of};
use crate::state::Shared;

/// The stage. A preflight is answered here with 204: browsers send it without credentials, and it costs the server
/// nothing. On a route without a list, and for other origins, everything stays as it is.
pub struct Cors {
    shared: Arc<Shared>,
}

impl Cors {
    /// With the lists of all routes.
    pub fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared) }
    }
}

impl Stage<Box<Entered>> for Cors {
    type Out = Box<Entered>;

    fn pass(&self, exchange: Box<Entered>) -> Result<Box<Entered>, Box<Entered>> {
        let route = self.shared.route(exchange.parts.uri.path());
        if route.is_some_and(|(route, _)| route.cors.is_some()) { Err(exchange) } else { Ok(exchange) }
    }

    async fn handle<N: Next<Box<Entered>>>(self: Arc<Self>, entered: Box<Entered>, mut next: N) -> Answer {
        let route = self.shared.route(entered.parts.uri.path());
        let Some((route, cors)) = route.and_then(|(route, _)| Some((route, route.cors.as_ref()?))) else {
            return next.call(entered).await;
        };
        let cross_origin = cors.judge(&entered.parts.method, &entered.parts.headers);
        let mut answer = if cross_origin.is_preflight() {
            let _ = entered.facts.route.set(route.name.clone());
            let mut response = Response::new(empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok(response)
        } else {
            next.call(entered).await
        };
        cross_origin.tell(headers_of(&mut answer));
        answer
    }
}
