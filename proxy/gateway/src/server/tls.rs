//! TLS toward clients: rustls with aws-lc-rs, HTTP/2 or HTTP/1.1 by ALPN; certificates of clients where they are wanted.

use std::sync::Arc;

use fireguard_access::authentication::certificate::Certificate;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::standing::Verifier;
use crate::config::{ClientCa, Tls};

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate in the file.
    #[error("the certificate file holds no PEM certificate")]
    Certificate,
    /// No private key, or not in PEM.
    #[error("the key holds no PEM private key")]
    Key,
    /// They do not fit together, or are not usable.
    #[error("certificate and key cannot be used: {0}")]
    Pair(#[from] rustls::Error),
    /// No certificate of an authority.
    #[error("client_ca holds no PEM certificate, or one that cannot be believed")]
    ClientCa,
    /// No list, or a broken one.
    #[error("a file of client_crls holds no PEM list of revoked certificates")]
    Crl,
    /// They cannot be used together.
    #[error("client_ca and client_crls cannot be used: {0}")]
    Clients(#[from] VerifierBuilderError),
}

/// Whether TLS can be served with this certificate and key.
///
/// # Errors
/// What is wrong with them.
pub fn check(tls: &Tls) -> Result<(), TlsError> {
    acceptor(tls).map(drop)
}

/// Accepts connections.
pub(super) struct Acceptor {
    /// Shows our certificate.
    pub(super) tls: TlsAcceptor,
    /// Looks at those of clients; none: they are not asked for any.
    pub(super) clients: Option<Verifier>,
}

/// The acceptor for this certificate.
pub(super) fn acceptor(tls: &Tls) -> Result<Acceptor, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&tls.certificate)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::Certificate)?;
    if chain.is_empty() {
        return Err(TlsError::Certificate);
    }
    let key = PrivateKeyDer::from_pem_slice(tls.key.expose()).map_err(|_| TlsError::Key)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let clients = tls.clients.as_ref().map(|clients| verifier(clients, &provider)).transpose()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients.clone().unwrap_or_else(WebPkiClientVerifier::no_client_auth))
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Acceptor { tls: TlsAcceptor::from(Arc::new(config)), clients })
}

/// Who the client is, by a certificate that was checked; none: it has shown none, or one that cannot be read.
pub(super) fn certificate(connection: &ServerConnection) -> Option<Arc<Certificate>> {
    let own = connection.peer_certificates()?.first()?;
    Certificate::read(own).ok().map(Arc::new)
}

/// Where there are lists, a certificate is good only if a list that is not outdated says nothing against it, and none of
/// those between it and the authority either.
fn verifier(clients: &ClientCa, provider: &Arc<CryptoProvider>) -> Result<Verifier, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(&clients.authorities) {
        roots.add(authority.map_err(|_| TlsError::ClientCa)?).map_err(|_| TlsError::ClientCa)?;
    }
    if roots.is_empty() {
        return Err(TlsError::ClientCa);
    }
    let mut crls = Vec::new();
    for file in &clients.crls {
        let lists: Vec<_> = CertificateRevocationListDer::pem_slice_iter(file)
            .collect::<Result<_, _>>()
            .map_err(|_| TlsError::Crl)?;
        if lists.is_empty() {
            return Err(TlsError::Crl);
        }
        crls.extend(lists);
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    if !crls.is_empty() {
        builder = builder.with_crls(crls).enforce_revocation_expiration();
    }
    if !clients.required {
        builder = builder.allow_unauthenticated();
    }
    Ok(builder.build()?)
}
