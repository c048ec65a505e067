//! Drops what is meant for this hop only and finds out who the client is.

use std::sync::Arc;

use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::hygiene;
use http::{HeaderName, StatusCode};

use crate::exchange::{Arrived, Entered};
use crate::failure::Failure;
use crate::stage::{Answer, Next, Stage};
use crate::state::Shared;

/// Headers with which frameworks let a client pretend another method.
const METHOD_OVERRIDES: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];

/// The stage.
pub struct Enter {
    shared: Arc<Shared>,
}

impl Enter {
    /// With the peers that are trusted.
    pub fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared) }
    }
}

impl Stage<Arrived> for Enter {
    type Out = Entered;

    async fn handle<N: Next<Entered>>(self: Arc<Self>, arrived: Arrived, mut next: N) -> Answer {
        let Arrived { id, peer, mut parts, body, facts } = arrived;
        if METHOD_OVERRIDES.iter().any(|name| parts.headers.contains_key(name)) {
            let message = "method override headers are not obeyed: send the method itself";
            return Err(Failure::client(StatusCode::BAD_REQUEST, IssueCode::NotSupported, message));
        }
        // With them goes `Upgrade`: a client that offers another protocol is answered in this one.
        hygiene::strip_hop_by_hop(&mut parts.headers);
        let mut origin = self.shared.server.trusted.origin(peer.address, &parts.headers);
        if origin.scheme.is_none() {
            origin.scheme = Some(if peer.tls { "https" } else { "http" }.to_owned());
        }
        next.call(Entered { id, origin, parts, body, facts }).await
    }
}
