//! Finds out who asks.

use fireguard_fhir::interaction::Interaction;
use fireguard_fhir::outcome::IssueCode;
use http::StatusCode;
use http::header::{HeaderValue, WWW_AUTHENTICATE};

use std::sync::Arc;

use crate::config::Authentication;
use crate::exchange::Asked;
use crate::failure::Failure;
use crate::stage::{Answer, Next, Stage};

/// The stage. On a route that is open to anyone everything passes at once, and on every route `metadata`: clients read
/// there how to get a token (SMART App Launch 2.2 §3).
pub struct Authenticate;

impl Stage<Asked> for Authenticate {
    type Out = Asked;

    fn pass(&self, exchange: Asked) -> Result<Asked, Asked> {
        let open = matches!(exchange.route.authentication, Authentication::None)
            || matches!(exchange.request.interaction, Interaction::Capabilities);
        if open { Ok(exchange) } else { Err(exchange) }
    }

    async fn handle<N: Next<Asked>>(self: Arc<Self>, _: Asked, _: N) -> Answer {
        let message = "this route asks who you are: send a token";
        let mut failure = Failure::client(StatusCode::UNAUTHORIZED, IssueCode::Login, message);
        failure.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        Err(failure)
    }
}
