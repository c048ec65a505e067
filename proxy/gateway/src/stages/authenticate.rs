//! Finds out who asks, and who decides what that caller may do.

use std::sync::Arc;

use fireguard_access::principal::Principal;
use fireguard_fhir::interaction::Interaction;
use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::rate::{Key, Refusals};
use http::StatusCode;
use http::header::AUTHORIZATION;

use crate::authentication::{Authentication, in_url};
use crate::exchange::Asked;
use crate::failure::Failure;
use crate::stage::{Answer, Next, Stage};
use crate::state::Shared;

/// The stage. On a route that is open to anyone everything passes at once. On every route anyone may ask for `metadata`:
/// clients read there how to get a token (SMART App Launch 2.2 §3). Who is known is told there what it may do.
pub struct Authenticate {
    refusals: Arc<Refusals>,
    ipv6_prefix: u8,
}

impl Authenticate {
    /// With what is remembered of clients, and as the configuration tells them apart.
    pub fn new(shared: &Shared) -> Self {
        let refusals = Arc::clone(shared.issuers.refusals());
        Self { refusals, ipv6_prefix: shared.limits.rate_ipv6_prefix.0 }
    }

    /// Nothing more of a client whose tokens were refused again and again is looked at, for a while.
    fn may_try(&self, client: &Key) -> Result<(), Failure> {
        let Some(wait) = self.refusals.wait(client) else { return Ok(()) };
        let message = "too many tokens from this address were refused";
        Err(Failure::client(StatusCode::TOO_MANY_REQUESTS, IssueCode::Throttled, message).retry_after(wait))
    }
}

/// The name of a token in a URL (RFC 6750 §2.3).
const IN_URL: &str = "access_token";

impl Stage<Asked> for Authenticate {
    type Out = Asked;

    fn pass(&self, mut exchange: Asked) -> Result<Asked, Asked> {
        let Authentication::Ways(ways) = &exchange.route.authentication else { return Ok(exchange) };
        if exchange.request.parameters.get(IN_URL).is_some() {
            return Err(exchange);
        }
        let described = matches!(exchange.request.interaction, Interaction::Capabilities);
        if described && nobody(&exchange) {
            return Ok(exchange);
        }
        match ways.known(&exchange.headers, exchange.caller.certificate.as_deref(), &exchange.face.base) {
            Ok(Some(principal)) => {
                admit(&mut exchange, principal);
                Ok(exchange)
            }
            Ok(None) | Err(_) => Err(exchange),
        }
    }

    async fn handle<N: Next<Asked>>(self: Arc<Self>, mut exchange: Asked, mut next: N) -> Answer {
        let route = Arc::clone(&exchange.route);
        if let Authentication::Ways(ways) = &route.authentication {
            if exchange.request.parameters.get(IN_URL).is_some() {
                return Err(in_url(&exchange.face.base));
            }
            let client = Key::address(exchange.client, self.ipv6_prefix);
            let described = matches!(exchange.request.interaction, Interaction::Capabilities);
            match self.may_try(&client) {
                Ok(()) => {
                    let certificate = exchange.caller.certificate.clone();
                    let checking = ways.check(&exchange.headers, certificate.as_deref(), &exchange.face.base);
                    let principal = checking.await.inspect_err(|failure| {
                        let token = exchange.headers.contains_key(AUTHORIZATION);
                        if failure.status == StatusCode::UNAUTHORIZED && token {
                            self.refusals.count(&client);
                        }
                    });
                    match principal {
                        Ok(principal) => admit(&mut exchange, principal),
                        // It is told what anybody is.
                        Err(_) if described => {}
                        Err(failure) => return Err(failure),
                    }
                }
                Err(_) if described => {}
                Err(failure) => return Err(failure),
            }
        }
        next.call(exchange).await
    }
}

/// Whether it does not say at all who asks.
fn nobody(exchange: &Asked) -> bool {
    !exchange.headers.contains_key(AUTHORIZATION) && exchange.caller.certificate.is_none()
}

/// From here on the caller is known, and who decides for it.
fn admit(exchange: &mut Asked, principal: Arc<Principal>) {
    let decisions = exchange.route.decisions.as_ref();
    exchange.caller.judge =
        decisions.map(|decisions| decisions.judge(Arc::clone(&principal), &exchange.request));
    exchange.caller.principal = Some(principal);
}
