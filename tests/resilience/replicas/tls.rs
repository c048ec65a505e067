//! A server that is reached over TLS.

use std::path::Path;
use std::sync::Arc;

use fireguard_test_support::standin::Answer;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use super::relay::Relay;
use super::{TARGET, admin, asked, standins, until};
use crate::http::Ask;
use crate::rig::{Change, WELL, before};

/// An authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn of(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// PEM of a certificate for this name, and of its key.
    fn certificate(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// A server of this name, which may want a certificate of the client.
    fn server(&self, name: &str, wants: bool) -> TlsAcceptor {
        let (certificate, key) = self.certificate(name, ExtendedKeyUsagePurpose::ServerAuth);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if wants {
            let mut roots = RootCertStore::empty();
            roots.add(self.0.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()))
    }
}

/// What Fireguard is given: an authority to believe, perhaps a certificate of its own.
fn files(folder: &Path, ca: &Authority, own: Option<&Authority>) -> String {
    std::fs::write(folder.join("ca.pem"), ca.0.pem()).unwrap();
    let mut tls = format!("ca = {:?}", folder.join("ca.pem"));
    if let Some(own) = own {
        client(folder, own);
        tls += &format!(
            ", client_certificate = {:?}, client_key = \"file:{}\"",
            folder.join("client.pem"),
            folder.join("client.key").display()
        );
    }
    format!("tls = {{ {tls} }}")
}

fn client(folder: &Path, own: &Authority) {
    let (certificate, key) = own.certificate("fireguard", ExtendedKeyUsagePurpose::ClientAuth);
    std::fs::write(folder.join("client.pem"), certificate).unwrap();
    std::fs::write(folder.join("client.key"), key).unwrap();
}

fn change(upstream: String) -> Change {
    Change { server: "workers = 1".to_owned(), upstream, ..Change::default() }
}

#[tokio::test]
async fn only_a_server_that_proves_who_it_is_is_told_anything() {
    let (ours, theirs) = (Authority::of("ours"), Authority::of("theirs"));
    for (name, believed, wants, own, reason) in [
        ("127.0.0.1", &ours, false, None, None),
        ("127.0.0.1", &ours, true, Some(&ours), None),
        ("hapi.example.org", &ours, false, None, Some("not valid for name")),
        ("127.0.0.1", &theirs, false, None, Some("UnknownIssuer")),
        ("127.0.0.1", &ours, true, None, Some("CertificateRequired")),
        ("127.0.0.1", &ours, true, Some(&theirs), Some("")),
    ] {
        let case = format!("{name}, wants {wants}, {reason:?}");
        let folder = TempDir::new().unwrap();
        let [standin, _] = standins().await;
        let relay = Relay::to(standin.address(), Some(ours.server(name, wants)));
        let gateway = before(&relay.base_url(), &change(files(folder.path(), believed, own))).await;
        let reply = Ask::get(TARGET).send(gateway.listen()).await;
        match reason {
            None => {
                assert_eq!(reply.status, 200, "{case}");
                // The question for its version goes over the same TLS.
                let ready = async || admin(&gateway, Ask::get("/ready")).await.status == 200;
                until("ready", ready).await;
            }
            Some(reason) => {
                reply.assert_outcome(502, "transient", &case);
                assert_eq!(asked(&standin), 0, "{case}");
                gateway.logged(reason).await;
            }
        }
    }
}

/// A connection that died while it rested is no connection: also a write goes over another, once.
#[tokio::test]
async fn a_write_finds_no_dead_connection() {
    let authority = Authority::of("ours");
    let folder = TempDir::new().unwrap();
    let [standin, _] = standins().await;
    standin.always("POST", "/fhir/Patient", Answer::json(201, WELL));
    let mut relay = Relay::to(standin.address(), Some(authority.server("127.0.0.1", false)));
    let gateway = before(&relay.base_url(), &change(files(folder.path(), &authority, None))).await;
    for count in 1..=5 {
        let reply = Ask::json("POST", "/fhir/Patient", WELL).send(gateway.listen()).await;
        assert_eq!((reply.status, reply.header("x-fireguard-attempts")), (201, None));
        assert_eq!(standin.requests_to("POST", "*").len(), count);
        relay.cut().await;
        relay.mend();
    }
}

#[tokio::test]
async fn a_reload_takes_a_new_client_certificate() {
    let (ours, theirs) = (Authority::of("ours"), Authority::of("theirs"));
    let folder = TempDir::new().unwrap();
    let [well, _] = standins().await;
    let relay = Relay::to(well.address(), Some(ours.server("127.0.0.1", true)));
    let gateway = before(&relay.base_url(), &change(files(folder.path(), &ours, Some(&theirs)))).await;
    Ask::get(TARGET).send(gateway.listen()).await.assert_outcome(
        502,
        "transient",
        "a stranger's certificate",
    );
    client(folder.path(), &ours);
    let reply = admin(&gateway, Ask::new("POST", "/reload")).await;
    assert_eq!((reply.status, &*reply.text()), (200, "reloaded: upstreams.hapi.tls\n"));
    assert_eq!(Ask::get(TARGET).send(gateway.listen()).await.status, 200);
}
