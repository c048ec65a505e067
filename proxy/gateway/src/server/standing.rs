//! The certificate of a client, looked at again while its connection lasts: what was good when it was shown may have been
//! revoked since, or have run out.

use std::ptr::addr_eq;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::server::danger::ClientCertVerifier;
use rustls::{HandshakeKind, ServerConnection};
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::time::Instant;

/// Who says whether certificates are good.
pub(super) type Verifier = Arc<dyn ClientCertVerifier>;

/// How long what was found of a certificate counts, while the configuration stays as it is: dates pass, of certificates
/// and of lists.
const AGAIN: Duration = Duration::from_secs(60);

/// What a client has shown of itself on one connection.
pub(super) struct Standing {
    /// Its certificate, and those up to the authority. Empty: none.
    chain: Vec<CertificateDer<'static>>,
    /// Who found it good, and when.
    found: Mutex<Option<(Verifier, Instant)>>,
}

impl Standing {
    /// Of a connection that was accepted just now by this verifier.
    pub(super) fn of(connection: &ServerConnection, verifier: Option<&Verifier>) -> Self {
        let chain = connection.peer_certificates().unwrap_or_default().to_vec();
        // A session that goes on was checked when it began.
        let checked = connection.handshake_kind() != Some(HandshakeKind::Resumed);
        let found = verifier.filter(|_| checked).map(|verifier| (Arc::clone(verifier), Instant::now()));
        Self { chain, found: Mutex::new(found) }
    }

    /// Whether this verifier, which is the present one, would accept the connection. Mostly that is known.
    pub(super) fn holds(&self, verifier: Option<&Verifier>) -> bool {
        let Some(verifier) = verifier else { return self.chain.is_empty() };
        let Some((own, between)) = self.chain.split_first() else { return !verifier.client_auth_mandatory() };
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let known = found
            .as_ref()
            .is_some_and(|(by, at)| addr_eq(Arc::as_ptr(by), Arc::as_ptr(verifier)) && at.elapsed() < AGAIN);
        if known {
            return true;
        }
        let good = verifier.verify_client_cert(own, between, UnixTime::now()).is_ok();
        *found = good.then(|| (Arc::clone(verifier), Instant::now()));
        good
    }
}
