//! Refuses heads that are too long or could be read in two ways, drops what is meant for this hop only, and finds
//! out who the client is.

use std::sync::Arc;

use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::hygiene;
use http::request::Parts;
use http::{HeaderName, StatusCode};

use crate::exchange::{Arrived, Entered};
use crate::failure::Failure;
use crate::stage::Check;
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

    fn refuse_too_long(&self, head: &Parts) -> Result<(), Failure> {
        let limits = &self.shared.limits;
        let over = |bytes: usize, limit: u64| bytes as u64 > limit;
        let (status, message) = if over(hygiene::url_bytes(&head.uri), limits.request_url.0) {
            (StatusCode::URI_TOO_LONG, "the URL is too long: search by POST")
        } else if over(hygiene::headers_bytes(&head.headers), limits.request_head.0) {
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too long")
        } else {
            return Ok(());
        };
        Err(Failure::client(status, IssueCode::TooLong, message))
    }
}

impl Check<Box<Arrived>> for Enter {
    type Out = Box<Entered>;

    fn check(&self, arrived: Box<Arrived>) -> Result<Box<Entered>, Failure> {
        let Arrived { id, peer, mut parts, body, facts } = *arrived;
        // What hyper has settled before anybody could see it is noted there.
        let noted = parts.extensions.get().copied();
        noted.map_or_else(|| hygiene::unambiguous(&parts), Err).map_err(|error: hygiene::Ambiguity| {
            Failure::client(StatusCode::BAD_REQUEST, IssueCode::Invalid, error.to_string()).closing()
        })?;
        self.refuse_too_long(&parts)?;
        if METHOD_OVERRIDES.iter().any(|name| parts.headers.contains_key(name)) {
            let message = "method override headers are not obeyed: send the method itself";
            return Err(Failure::client(StatusCode::BAD_REQUEST, IssueCode::NotSupported, message));
        }
        // Before what `Connection` names is dropped: a balancer's own headers are meant for this hop.
        let mut origin = self.shared.server.trusted.origin(peer.address, &parts.headers);
        // With them goes `Upgrade`: a client that offers another protocol is answered in this one.
        hygiene::strip_hop_by_hop(&mut parts.headers);
        if origin.scheme.is_none() {
            origin.scheme = Some(if peer.tls { "https" } else { "http" }.to_owned());
        }
        Ok(Box::new(Entered { id, origin, certificate: peer.certificate, parts, body, facts }))
    }
}
