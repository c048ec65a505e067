//! The same connections over TLS, and what only TLS can do wrong.

use std::sync::{Arc, LazyLock};

use fireguard_traffic::body::Outgoing;
use fireguard_traffic::upstream::{Connections, Identity, Pool, PoolSettings, SendError, Tls, Upstream};
use http::{Request, Response};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::server::{Server, Step, answers};
use super::{Kind, ask, send, settings};

/// A kind of connection that speaks TLS.
#[derive(Clone)]
pub(crate) struct OverTls<K>(K);

impl<K: Kind> Upstream for OverTls<K> {
    type Body = K::Body;

    async fn send(&self, head: &mut Request<()>, body: Outgoing) -> Result<Response<K::Body>, SendError> {
        self.0.send(head, body).await
    }
}

impl<K: Kind> Kind for OverTls<K> {
    const FUSED: bool = K::FUSED;
    const TLS: bool = true;

    fn connect(settings: PoolSettings) -> Self {
        Self(K::connect(PoolSettings { tls: Some(PKI.believing()), ..settings }))
    }
}

/// An authority, a server's certificate of it, and a client's.
pub(crate) struct Pki {
    authority: CertifiedIssuer<'static, KeyPair>,
}

/// One for all tests: keys take time.
pub(crate) static PKI: LazyLock<Pki> = LazyLock::new(|| Pki::of("a tester's authority"));

impl Pki {
    fn of(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { authority: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    /// A certificate for this name, and its key.
    fn certificate(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.authority).unwrap().pem(), key.serialize_pem())
    }

    /// A client that believes the authority.
    pub(crate) fn believing(&self) -> Tls {
        Tls::new(Some(self.authority.pem().as_bytes()), None).unwrap()
    }

    /// The same with a certificate of its own.
    fn identified(&self) -> Tls {
        let (certificate, key) = self.certificate("fireguard", ExtendedKeyUsagePurpose::ClientAuth);
        let identity = Identity { certificate: certificate.as_bytes(), key: key.as_bytes() };
        Tls::new(Some(self.authority.pem().as_bytes()), Some(identity)).unwrap()
    }

    /// What a server of this name needs; it may want to know who asks.
    fn config(&self, name: &str, wants_certificate: bool) -> ServerConfig {
        let (certificate, key) = self.certificate(name, ExtendedKeyUsagePurpose::ServerAuth);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if wants_certificate {
            let mut roots = RootCertStore::empty();
            roots.add(self.authority.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let (certificate, key) = (pem(&certificate), pem_key(&key));
        builder.with_single_cert(vec![certificate], key).unwrap()
    }

    /// The server that the kinds above expect.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor_for("127.0.0.1")
    }

    /// A server of this name.
    pub(crate) fn acceptor_for(&self, name: &str) -> TlsAcceptor {
        TlsAcceptor::from(Arc::new(self.config(name, false)))
    }
}

fn pem(text: &str) -> rustls_pki_types::CertificateDer<'static> {
    rustls_pki_types::pem::PemObject::from_pem_slice(text.as_bytes()).unwrap()
}

fn pem_key(text: &str) -> rustls_pki_types::PrivateKeyDer<'static> {
    rustls_pki_types::pem::PemObject::from_pem_slice(text.as_bytes()).unwrap()
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What a client of these kinds makes of a server of this name.
async fn meet(name: &str, wants_certificate: bool, tls: &Tls) -> Vec<Result<u16, String>> {
    let config = Arc::new(PKI.config(name, wants_certificate));
    let server = Server::with([answers([OK])], Some(TlsAcceptor::from(config))).await;
    let settings = PoolSettings { tls: Some(tls.clone()), ..settings(server.address) };
    let mut met = Vec::new();
    for answer in [
        ask(&Pool::new(settings.clone()), "GET").await,
        ask(&Connections::new(settings.clone()), "GET").await,
    ] {
        met.push(answer.map(|(status, ..)| status.as_u16()));
    }
    met
}

#[tokio::test]
async fn a_certificate_must_name_the_host_and_be_of_an_authority_that_is_believed() {
    let stranger = Tls::new(Some(Pki::of("another").authority.pem().as_bytes()), None).unwrap();
    for (name, tls, expected) in [
        ("127.0.0.1", PKI.believing(), None),
        ("hapi.example.org", PKI.believing(), Some("NotValidForName")),
        ("127.0.0.2", PKI.believing(), Some("NotValidForName")),
        ("127.0.0.1", stranger, Some("UnknownIssuer")),
        // The machine's own authorities, of which ours is none.
        ("127.0.0.1", Tls::new(None, None).unwrap(), Some("UnknownIssuer")),
    ] {
        for met in meet(name, false, &tls).await {
            match (met, expected) {
                (Ok(status), None) => assert_eq!(status, 200),
                (Err(error), Some(expected)) => {
                    assert!(error.starts_with("Connect(") && error.contains(expected), "{error}");
                }
                (met, _) => panic!("{name}: {met:?}"),
            }
        }
    }
}

/// As the guide says: a certificate that is its own authority must not be one for others.
#[tokio::test]
async fn a_self_signed_certificate_may_be_believed_itself() {
    for (is_ca, expected) in [
        (IsCa::NoCa, Ok(200)),
        (IsCa::ExplicitNoCa, Ok(200)),
        (IsCa::Ca(BasicConstraints::Unconstrained), Err("CaUsedAsEndEntity")),
    ] {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.is_ca = is_ca;
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        let config =
            ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![pem(&certificate)], pem_key(&key.serialize_pem()))
                .unwrap();
        let server = Server::with([answers([OK])], Some(TlsAcceptor::from(Arc::new(config)))).await;
        let tls = Some(Tls::new(Some(certificate.as_bytes()), None).unwrap());
        let answer = ask(&Connections::new(PoolSettings { tls, ..settings(server.address) }), "GET").await;
        match (answer, expected) {
            (Ok((status, ..)), Ok(expected)) => assert_eq!(status, expected),
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
            (answer, _) => panic!("{answer:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_gets_it() {
    for met in meet("127.0.0.1", true, &PKI.identified()).await {
        assert_eq!(met, Ok(200));
    }
    for met in meet("127.0.0.1", true, &PKI.believing()).await {
        assert!(met.unwrap_err().contains("CertificateRequired"));
    }
}

/// The end of the connection is the end of such a body, and anybody on the way can bring about an end.
#[tokio::test]
async fn an_end_that_tls_does_not_vouch_for_is_none() {
    let answer = b"HTTP/1.1 200 OK\r\n\r\nwhole".to_vec();
    for (last, whole) in [(Step::Pause, true), (Step::Sever, false)] {
        let script = vec![Step::Request, Step::Send(answer.clone()), last];
        let server = Server::for_kind::<OverTls<Pool>>([script]).await;
        assert_eq!(ask(&OverTls::<Pool>::to(server.address), "GET").await.is_ok(), whole);
        assert_eq!(ask(&OverTls::<Connections>::to(server.address), "GET").await.is_ok(), whole);
    }
}

#[tokio::test]
async fn further_connections_resume_the_session() {
    let mut config = PKI.config("127.0.0.1", false);
    config.session_storage = ServerSessionMemoryCache::new(32);
    let closing = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    let server = Server::with([answers([closing])], Some(TlsAcceptor::from(Arc::new(config)))).await;
    let upstream = OverTls::<Connections>::to(server.address);
    for _ in 0..3 {
        ask(&upstream, "GET").await.unwrap();
    }
    server.finished(3).await;
    assert_eq!(server.seen().resumed, 2);
}

/// A server without TLS where TLS is expected: nothing of the request has left.
#[tokio::test]
async fn a_server_without_tls_is_sent_nothing() {
    let plain = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec();
    let server = Server::start([vec![Step::Send(plain), Step::Hold]]).await;
    let refused = send(&OverTls::<Connections>::to(server.address), "POST", "{}").await;
    assert!(matches!(refused, Err(Ok(SendError::Connect(_)))), "{refused:?}");
}
