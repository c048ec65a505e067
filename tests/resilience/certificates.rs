//! Clients that show certificates.

use std::path::Path;
use std::sync::Arc;

use fireguard_test_support::gateway::Gateway;
use fireguard_test_support::issuer::Issuer;
use fireguard_test_support::standin::{Answer, StandIn};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType,
    SerialNumber, date_time_ymd,
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::http::Ask;
use crate::rig::WELL;

struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A client's certificate and key.
#[derive(Clone)]
struct Own {
    der: Vec<u8>,
    key: Vec<u8>,
}

impl Authority {
    fn of(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn server(&self, folder: &Path) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &self.0);
        std::fs::write(folder.join("server.pem"), certificate.unwrap().pem()).unwrap();
        std::fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
    }

    fn client(&self, serial: u64, name: &str) -> Own {
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from(serial));
        params.subject_alt_names = vec![match name.split_once(':').unwrap() {
            ("uri", value) => SanType::URI(value.try_into().unwrap()),
            (_, value) => SanType::DnsName(value.try_into().unwrap()),
        }];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Own { der: certificate.der().to_vec(), key: key.serialize_der() }
    }

    /// The list of what it has revoked, good until that year.
    fn crl(&self, revoked: &[u64], until: i32) -> String {
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

/// A Fireguard that wants certificates of `clients`.
struct Served {
    _standin: StandIn,
    gateway: Gateway,
    issuer: Issuer,
    ours: Authority,
    clients: Authority,
    folder: TempDir,
}

impl Served {
    /// `tls`: further lines of `[server.tls]`.
    async fn start(tls: &str) -> Self {
        let (ours, clients) = (Authority::of("ours"), Authority::of("clients"));
        let folder = TempDir::new().unwrap();
        ours.server(folder.path());
        std::fs::write(folder.path().join("clients.pem"), clients.0.pem()).unwrap();
        std::fs::write(folder.path().join("clients.crl"), clients.crl(&[7], 2100)).unwrap();
        let (standin, issuer) = (StandIn::start().await.unwrap(), Issuer::start().await.unwrap());
        standin.always("GET", "/fhir/Patient/well", Answer::json(200, WELL));
        let at = folder.path().display();
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n\
             [server.tls]\ncertificate = \"{at}/server.pem\"\nkey = \"file:{at}/server.key\"\n\
             client_ca = \"{at}/clients.pem\"\nclient_crls = [\"{at}/clients.crl\"]\n{tls}\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n{}\
             [certificates.\"dns:*.lab.example\"]\nclient = \"lab\"\nscopes = \"system/*.rs\"\n\
             [certificates.\"uri:https://ward.example/*\"]\nclient = \"ward\"\nscopes = \"system/Observation.rs\"\n\
             [upstreams.hapi]\nurl = \"{}\"\n\
             [routes.fhir]\npath = \"/fhir\"\nupstream = \"hapi\"\nauthentication = [\"certificates\"]\n\
             [routes.tokens]\npath = \"/tokens\"\nupstream = \"hapi\"\nauthentication = [\"id\"]\n",
            issuer.configuration("id"),
            standin.base_url(),
        );
        let gateway = tokio::task::spawn_blocking(move || Gateway::start(&config).unwrap()).await.unwrap();
        Self { _standin: standin, gateway, issuer, ours, clients, folder }
    }

    /// The status of the answer; none: there is no connection.
    async fn ask(&self, own: Option<&Own>, target: &str, token: Option<&str>) -> Option<u16> {
        let more = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let mut stream = self.connect(own).await?;
        let status = self.over(&mut stream, target, &format!("connection: close\r\n{more}")).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
        status
    }

    async fn connect(&self, own: Option<&Own>) -> Option<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ours.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::try_from(own.key.clone()).unwrap();
                builder.with_client_auth_cert(vec![CertificateDer::from(own.der.clone())], key).unwrap()
            }
        };
        let tcp = TcpStream::connect(self.gateway.listen()).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await.ok()
    }

    /// The status of one answer on this connection, which is read to its end.
    async fn over(&self, stream: &mut TlsStream<TcpStream>, target: &str, more: &str) -> Option<u16> {
        let host = self.gateway.listen();
        let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n{more}\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut body).await.ok()?;
        head.split(' ').nth(1).and_then(|status| status.parse().ok())
    }

    async fn reload(&self) {
        let admin = self.gateway.admin_url();
        let reply = Ask::new("POST", "/reload").send(admin.trim_start_matches("http://")).await;
        assert_eq!((reply.status, &*reply.text()), (200, "reloaded: server.tls\n"));
    }
}

const TARGET: &str = "/fhir/Patient/well";

#[tokio::test]
async fn a_name_that_is_mapped_comes_in() {
    let served = Served::start("").await;
    let strangers = Authority::of("strangers");
    for (case, own, expected) in [
        ("mapped", Some(served.clients.client(1, "dns:a.lab.example")), Some(200)),
        ("its scopes do not reach", Some(served.clients.client(2, "uri:https://ward.example/3")), Some(403)),
        ("not mapped", Some(served.clients.client(3, "dns:other.example")), Some(401)),
        ("none", None, Some(401)),
        ("revoked", Some(served.clients.client(7, "dns:a.lab.example")), None),
        ("a stranger's", Some(strangers.client(1, "dns:a.lab.example")), None),
    ] {
        assert_eq!(served.ask(own.as_ref(), TARGET, None).await, expected, "{case}");
    }
    assert_eq!(served.ask(None, "/fhir/metadata", None).await, Some(200));
}

#[tokio::test]
async fn lists_are_read_again_and_must_be_of_today() {
    let served = Served::start("client_auth = \"required\"").await;
    let own = served.clients.client(1, "dns:a.lab.example");
    assert_eq!(served.ask(Some(&own), TARGET, None).await, Some(200));
    assert_eq!(served.ask(None, "/fhir/metadata", None).await, None, "nobody else is served");
    let list = |text: String| std::fs::write(served.folder.path().join("clients.crl"), text).unwrap();
    list(served.clients.crl(&[1], 2100));
    served.reload().await;
    assert_eq!(served.ask(Some(&own), TARGET, None).await, None, "revoked since");
    list(served.clients.crl(&[], 2021));
    served.reload().await;
    assert_eq!(served.ask(Some(&own), TARGET, None).await, None, "nobody knows");
    list(Authority::of("others").crl(&[], 2100));
    served.reload().await;
    assert_eq!(served.ask(Some(&own), TARGET, None).await, None, "no list covers it");
    list(served.clients.crl(&[], 2100));
    served.reload().await;
    assert_eq!(served.ask(Some(&own), TARGET, None).await, Some(200));
}

/// A connection that is open when a certificate is revoked serves no further request.
#[tokio::test]
async fn what_is_revoked_is_refused_on_open_connections_too() {
    let served = Served::start("").await;
    let own = served.clients.client(1, "dns:a.lab.example");
    let other = served.clients.client(2, "dns:b.lab.example");
    let (mut open, mut stays) =
        (served.connect(Some(&own)).await.unwrap(), served.connect(Some(&other)).await.unwrap());
    let mut nobody = served.connect(None).await.unwrap();
    for stream in [&mut open, &mut stays] {
        assert_eq!(served.over(stream, TARGET, "").await, Some(200));
    }
    let crl = served.clients.crl(&[1], 2100);
    std::fs::write(served.folder.path().join("clients.crl"), crl).unwrap();
    served.reload().await;
    // Nothing is served over it, and it ends.
    assert_eq!(served.over(&mut open, "/fhir/metadata", "").await, Some(401));
    assert_eq!(served.over(&mut open, TARGET, "").await, None);
    assert_eq!(served.over(&mut stays, TARGET, "").await, Some(200));
    assert_eq!(served.over(&mut nobody, TARGET, "").await, Some(401));
    assert_eq!(served.over(&mut nobody, "/fhir/metadata", "").await, Some(200));
    let admin = served.gateway.admin_url();
    let path = served.gateway.folder().join("fireguard.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("client_ca", "client_auth = \"required\"\nclient_ca")).unwrap();
    let reply = Ask::new("POST", "/reload").send(admin.trim_start_matches("http://")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(served.over(&mut stays, TARGET, "").await, Some(200));
    assert_eq!(served.over(&mut nobody, "/fhir/metadata", "").await, Some(401), "one is required now");
}

#[tokio::test]
async fn a_bound_token_is_good_with_its_certificate_only() {
    use base64::Engine as _;
    let served = Served::start("").await;
    let (own, other) =
        (served.clients.client(1, "dns:a.lab.example"), served.clients.client(2, "dns:b.lab.example"));
    let sha256 = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256
        .tls13()
        .unwrap()
        .common
        .hash_provider;
    let digest = sha256.hash(&own.der);
    let thumbprint = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest);
    let token = |cnf: serde_json::Value| served.issuer.token(json!({ "scope": "system/*.rs", "cnf": cnf }));
    let bound = token(json!({ "x5t#S256": thumbprint }));
    for (case, own, token, expected) in [
        ("its own", Some(&own), &bound, 200),
        ("its own, again", Some(&own), &bound, 200),
        ("another", Some(&other), &bound, 401),
        ("none", None, &bound, 401),
        ("not bound", None, &token(json!(null)), 200),
        ("by what nobody can check", Some(&own), &token(json!({ "jkt": "x" })), 401),
        ("by both", Some(&own), &token(json!({ "jkt": "x", "x5t#S256": thumbprint })), 401),
        ("nonsense", Some(&own), &token(json!("x")), 401),
    ] {
        assert_eq!(served.ask(own, "/tokens/Patient/well", Some(token)).await, Some(expected), "{case}");
    }
    assert_eq!(served.ask(Some(&own), "/tokens/Patient/well", None).await, Some(401), "no way in here");
}
