//! The ways of this site itself: users of a file, by the tokens they got when they logged in, and client certificates.

use std::sync::Arc;

use fireguard_access::authentication::certificate::{Certificate, Clients, confirms};
use fireguard_access::authentication::sessions::{NotGood, Sessions};
use fireguard_access::principal::Principal;

use crate::config::Way;

/// The ways of this site itself, as far as a route takes them.
#[derive(Debug, Clone, Default)]
pub struct Local {
    /// Users of a file.
    pub users: Option<Arc<Sessions>>,
    /// Whom client certificates stand for.
    pub certificates: Option<Arc<Clients>>,
}

impl Local {
    /// Those of them that are among these.
    pub(super) fn among(&self, ways: &[Way]) -> Self {
        let has = |wanted: fn(&Way) -> bool| ways.iter().any(wanted);
        Self {
            users: self.users.clone().filter(|_| has(|way| matches!(way, Way::Users))),
            certificates: self.certificates.clone().filter(|_| has(|way| matches!(way, Way::Certificates))),
        }
    }

    /// The user whose token it is; none: it claims to be none of these.
    pub(super) fn user(&self, token: &str) -> Option<Result<Arc<Principal>, NotGood>> {
        let users = self.users.as_ref().filter(|_| Sessions::is_ours(token))?;
        let checked = users.check(token).map(Arc::new);
        let outcome = match &checked {
            Ok(_) => "accepted",
            Err(NotGood::Foreign) => "signature",
            Err(NotGood::Expired) => "expired",
            Err(NotGood::Revoked) => "inactive",
        };
        metrics::counter!("fireguard_tokens_total", "issuer" => "users", "outcome" => outcome).increment(1);
        Some(checked)
    }

    /// Whom the certificate of a connection stands for.
    pub(super) fn client(&self, certificate: Option<&Certificate>) -> Option<Arc<Principal>> {
        self.certificates.as_ref()?.principal(certificate?).map(Arc::new)
    }
}

/// Whether a caller may come over a connection with this certificate: who got a token that is bound to one must show it
/// (RFC 8705 §3).
pub(super) fn may_come(principal: &Principal, certificate: Option<&Certificate>) -> bool {
    principal.bound_to.as_ref().is_none_or(|thumbprint| confirms(certificate, thumbprint))
}
