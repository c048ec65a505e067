//! TLS toward a server: rustls with aws-lc-rs, TLS 1.2 or 1.3, the certificate's name checked, sessions resumed.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Who is believed, and who we are. Cheap to clone; its sessions are shared by all cores, so that a handshake after
/// the first is a short one.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

/// Our own certificate.
#[derive(Clone, Copy)]
pub struct Identity<'a> {
    /// PEM bytes of the chain.
    pub certificate: &'a [u8],
    /// PEM bytes of the private key.
    pub key: &'a [u8],
}

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate among what is believed.
    #[error("the file holds no PEM certificate")]
    Ca,
    /// One of them cannot be believed.
    #[error("a certificate in the file cannot be used: {0}")]
    UnusableCa(#[source] rustls::Error),
    /// The machine has no certificates of authorities.
    #[error("this machine knows no certificate authorities: {0}")]
    NoRoots(#[source] rustls::Error),
    /// No certificate of ours.
    #[error("the client certificate's file holds no PEM certificate")]
    Certificate,
    /// No private key of ours, or not in PEM.
    #[error("the client key holds no PEM private key")]
    Key,
    /// They do not fit together, or are not usable.
    #[error("client certificate and key cannot be used: {0}")]
    Pair(#[source] rustls::Error),
}

impl Tls {
    /// Believes the authorities in `ca` (PEM), and these only; without it those that the machine believes.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn new(ca: Option<&[u8]>, identity: Option<Identity<'_>>) -> Result<Self, TlsError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::NoRoots)?;
        let builder = match ca {
            Some(pem) => builder.with_root_certificates(roots(pem)?),
            None => builder.with_platform_verifier().map_err(TlsError::NoRoots)?,
        };
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = certificates(identity.certificate).ok_or(TlsError::Certificate)?;
                let key = PrivateKeyDer::from_pem_slice(identity.key).map_err(|_| TlsError::Key)?;
                builder.with_client_auth_cert(chain, key).map_err(TlsError::Pair)?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// The same for another client of rustls.
    pub fn config(&self) -> ClientConfig {
        ClientConfig::clone(&self.0)
    }

    /// Encrypts a connection to the host of this name or address (without brackets), which its certificate must name.
    pub(super) async fn encrypt(&self, host: &str, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "no certificate can name this host"))?;
        TlsConnector::from(Arc::clone(&self.0)).connect(name, tcp).await
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

fn roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem).ok_or(TlsError::Ca)? {
        roots.add(certificate).map_err(TlsError::UnusableCa)?;
    }
    Ok(roots)
}

/// All certificates of a PEM file; none if there is none or one is broken.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_cannot_be_used_are_told_apart() {
        let own = || rcgen::generate_simple_self_signed(["hapi".to_owned()]).unwrap();
        let (one, other) = (own(), own());
        let (certificate, key) = (one.cert.pem(), one.signing_key.serialize_pem());
        let (wrong, nothing) = (other.signing_key.serialize_pem(), "");
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (ca, identity, expected) in [
            (Some(&certificate[..]), None, None),
            (Some(&certificate), Some((&certificate[..], &key[..])), None),
            (Some(nothing), None, Some("the file holds no PEM")),
            (Some(&key), None, Some("the file holds no PEM")),
            (Some(broken), None, Some("a certificate in the file cannot be used")),
            (Some(&certificate), Some((nothing, &key)), Some("the client certificate's file holds no PEM")),
            (Some(&certificate), Some((&certificate, nothing)), Some("the client key holds no PEM")),
            (Some(&certificate), Some((&certificate, &wrong)), Some("client certificate and key cannot")),
        ] {
            let identity = identity.map(|(certificate, key)| Identity {
                certificate: certificate.as_bytes(),
                key: key.as_bytes(),
            });
            let made = Tls::new(ca.map(str::as_bytes), identity).map_err(|error| error.to_string());
            match (made, expected) {
                (Ok(_), None) => {}
                (Err(error), Some(expected)) => assert!(error.starts_with(expected), "{error}"),
                (made, expected) => panic!("{made:?} instead of {expected:?}"),
            }
        }
    }
}
