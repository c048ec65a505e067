//! One certificate for all that serve TLS, and a client that trusts it.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::process::write;
use crate::error::Error;

/// A certificate for 127.0.0.1 with a key on P-256, in files.
pub(super) struct Certificate {
    /// The certificate.
    pub(super) certificate: PathBuf,
    /// Its key.
    pub(super) key: PathBuf,
    /// Both in one file, as HAProxy wants them.
    pub(super) both: PathBuf,
    /// Connects by TLS 1.3 and HTTP/1.1 to whoever shows it.
    pub(super) connector: TlsConnector,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Certificate").field(&self.certificate).finish()
    }
}

impl Certificate {
    /// Makes one.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub(super) fn make() -> Result<Self, Error> {
        let failed = |why: &dyn std::fmt::Display| Error::Usage(format!("no certificate: {why}"));
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).map_err(|e| failed(&e))?;
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).map_err(|e| failed(&e))?;
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let config = config.with_protocol_versions(&[&TLS13]).map_err(|e| failed(&e))?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        Ok(Self {
            both: write("both.pem", &format!("{certificate}{key}"))?,
            certificate: write("certificate.pem", &certificate)?,
            key: write("key.pem", &key)?,
            connector: TlsConnector::from(Arc::new(config)),
        })
    }
}
