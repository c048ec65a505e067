//! The replicas of a FHIR server: their bases, what TLS needs, how they are checked.

use std::time::Duration;

use fireguard_fhir::base::{Base, Scheme};
use fireguard_traffic::upstream::replicas::{HealthCheck, Rules};
use fireguard_traffic::upstream::{Identity, Tls, TlsError};
use http::Uri;
use toml::Spanned;

use super::credentials::ServerCredentials;
use super::file;
use super::resolve::Resolver;
use super::units::Secret;
use super::upstream::{Health, UpstreamTls};

/// The replicas of one FHIR server, read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Replicas {
    /// The base of each; one scheme and one path.
    pub bases: Vec<Base>,
    /// What TLS needs, if it is spoken.
    pub tls: Option<ServerTls>,
    /// Who we say we are.
    pub credentials: Option<ServerCredentials>,
    /// How often host names are looked up.
    pub resolve_interval: Duration,
    /// How health is checked.
    pub health: HealthCheck,
    /// How much it takes to be left out.
    pub rules: Rules,
}

/// TLS toward a FHIR server. Equal if the files hold the same.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// Ready for use.
    pub tls: Tls,
    ca: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Secret)>,
}

impl ServerTls {
    /// Who is believed, and whether we have a certificate, for the log.
    pub fn summary(&self) -> &'static str {
        match (&self.ca, &self.identity) {
            (None, None) => "authorities of the machine",
            (None, Some(_)) => "authorities of the machine, a client certificate",
            (Some(_), None) => "authorities in `ca`",
            (Some(_), Some(_)) => "authorities in `ca`, a client certificate",
        }
    }
}

impl PartialEq for ServerTls {
    fn eq(&self, other: &Self) -> bool {
        let identity = |of: &Self| {
            of.identity.as_ref().map(|(certificate, key)| (certificate.clone(), key.expose().to_vec()))
        };
        self.ca == other.ca && identity(self) == identity(other)
    }
}

impl Resolver<'_> {
    /// The replicas of an upstream, and what is wrong with them.
    pub(super) fn replicas(&mut self, upstream: &file::Upstream) -> Option<Replicas> {
        let first = self.parsed::<Base, _>(&upstream.url, Base::parse)?;
        let mut bases = vec![first.clone()];
        for url in &upstream.replicas {
            let Some(base) = self.parsed::<Base, _>(url, Base::parse) else { continue };
            if (base.scheme(), base.path()) != (first.scheme(), first.path()) {
                self.problem(url, format!("a replica has the scheme and path of the first: {first}"));
            } else if bases.contains(&base) {
                self.problem(url, "this replica is listed already");
            }
            bases.push(base);
        }
        let written = upstream.health.is_some();
        let times = [
            ("resolve_interval", Some(upstream.resolve_interval)),
            ("health.interval", upstream.health.as_ref().map(|health| health.interval)),
            ("health.timeout", upstream.health.as_ref().map(|health| health.timeout)),
        ];
        for (name, _) in times.iter().filter(|(_, time)| time.is_some_and(|time| time.0.is_zero())) {
            self.problem(&upstream.url, format!("{name} of this server is a time over 0"));
        }
        let health = upstream.health.clone().unwrap_or_default();
        let (rules, target) = (health.rules(), self.target(&first, &health.path));
        let tls = self.server_tls(first.scheme(), upstream.tls.as_ref());
        Some(Replicas {
            bases,
            tls: tls?,
            credentials: match &upstream.credentials {
                None => None,
                Some(written) => Some(self.credentials(written)?),
            },
            resolve_interval: upstream.resolve_interval.0,
            health: HealthCheck {
                target: target?,
                interval: health.interval.0,
                timeout: health.timeout.0,
                alone: written,
            },
            rules,
        })
    }

    /// What TLS needs; none if it is not spoken.
    fn server_tls(
        &mut self,
        scheme: Scheme,
        written: Option<&Spanned<UpstreamTls>>,
    ) -> Option<Option<ServerTls>> {
        if scheme == Scheme::Http {
            if let Some(written) = written {
                let message = "tls is for servers whose url is https://";
                self.problems.push(super::Problem::at(written.span(), message));
            }
            return Some(None);
        }
        let none = UpstreamTls::default();
        let tls = written.map_or(&none, Spanned::get_ref);
        let before = self.problems.len();
        let ca = tls.ca.as_ref().and_then(|path| self.read(path));
        let identity = match (&tls.client_certificate, &tls.client_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => self.read(certificate).zip(self.secret(key)),
            (Some(certificate), None) => {
                self.problem(certificate, "a client_certificate needs its client_key");
                None
            }
            (None, Some(key)) => {
                let message = "a client_key needs its client_certificate";
                self.problems.push(super::Problem::at(key.span(), message));
                None
            }
        };
        if self.problems.len() > before {
            return None;
        }
        let ours = identity.as_ref().map(|(certificate, key)| Identity { certificate, key: key.expose() });
        match Tls::new(ca.as_deref(), ours) {
            Ok(made) => Some(Some(ServerTls { tls: made, ca, identity })),
            Err(error) => {
                let span = match &error {
                    TlsError::Ca | TlsError::UnusableCa(_) => tls.ca.as_ref().map(Spanned::span),
                    TlsError::Certificate | TlsError::Pair(_) => {
                        tls.client_certificate.as_ref().map(Spanned::span)
                    }
                    TlsError::Key => tls.client_key.as_ref().map(Spanned::span),
                    TlsError::NoRoots(_) => None,
                };
                self.problems.push(super::Problem { message: error.to_string(), span, help: None });
                None
            }
        }
    }

    /// What a health check reads.
    fn target(&mut self, base: &Base, path: &Spanned<String>) -> Option<Uri> {
        let text = path.get_ref();
        let plain = !text.is_empty()
            && text.split(['?', '/']).all(|part| !matches!(part, "." | ".."))
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        let target = format!("{}/{}", base.path(), text.trim_start_matches('/')).parse().ok();
        let target = target.filter(|_| plain);
        if target.is_none() {
            self.problem(path, format!("a path below the base: {:?}", Health::default().path.get_ref()));
        }
        target
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    const REST: &str = "[routes.fhir]\npath = \"/fhir\"\nupstream = \"hapi\"\nauthentication = \"none\"\n";

    fn parse(upstream: &str) -> Result<Replicas, String> {
        // Beside a file that is no certificate.
        let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("fireguard.toml");
        let config = Config::parse(&format!("[upstreams.hapi]\n{upstream}\n{REST}"), &at);
        let config = config.map_err(|report| format!("{:?}", miette::Report::new(report)))?;
        Ok(config.routes.into_iter().next().ok_or("no route")?.replicas)
    }

    #[test]
    fn replicas_are_read_with_their_defaults() {
        let alone = parse("url = \"http://hapi:8080/fhir\"").unwrap();
        assert_eq!((alone.bases.len(), alone.tls.is_none(), alone.health.alone), (1, true, false));
        assert_eq!(alone.health.target, "/fhir/Patient/fireguard-health");
        let text = "url = \"https://hapi-1/fhir\"\nreplicas = [\"https://hapi-2:8443/fhir\"]\n\
                    health = { path = \"metadata?_summary=true\", interval = \"1s\" }";
        let several = parse(text).unwrap();
        let bases: Vec<_> = several.bases.iter().map(ToString::to_string).collect();
        assert_eq!(bases, ["https://hapi-1/fhir", "https://hapi-2:8443/fhir"]);
        assert!(several.tls.is_some() && several.health.alone);
        assert_eq!(several.health.target, "/fhir/metadata?_summary=true");
        assert_eq!(several, parse(text).unwrap());
        let root = parse("url = \"http://hapi\"\nhealth = { path = \"/Patient/x\" }").unwrap();
        assert_eq!(root.health.target, "/Patient/x");
    }

    #[test]
    fn what_is_wrong_is_told_where_it_stands() {
        let https = "url = \"https://hapi/fhir\"";
        for (text, expected) in [
            (
                "url = \"http://a/fhir\"\nreplicas = [\"https://b/fhir\"]".to_owned(),
                &["scheme and path of the first: http://a/fhir", ":3:"][..],
            ),
            (
                "url = \"http://a/fhir\"\nreplicas = [\"http://b/r4\"]".to_owned(),
                &["scheme and path of the first", ":3:"],
            ),
            (
                "url = \"http://a/fhir\"\nreplicas = [\"http://b/fhir\", \"http://A:80/fhir/\"]".to_owned(),
                &["listed already", ":3:"],
            ),
            (
                "url = \"http://a/fhir\"\ntls = { ca = \"x\" }".to_owned(),
                &["tls is for servers whose url is https://", ":3:"],
            ),
            (format!("{https}\ntls = {{ ca = \"absent.pem\" }}"), &["cannot read", "absent.pem", ":3:"]),
            (format!("{https}\ntls = {{ ca = \"Cargo.toml\" }}"), &["no PEM certificate", ":3:"]),
            (
                format!("{https}\ntls = {{ client_certificate = \"Cargo.toml\" }}"),
                &["needs its client_key", ":3:"],
            ),
            (
                format!("{https}\ntls = {{ client_key = \"file:Cargo.toml\" }}"),
                &["needs its client_certificate", ":3:"],
            ),
            (
                format!(
                    "{https}\ntls = {{ client_certificate = \"Cargo.toml\", client_key = \"file:Cargo.toml\" }}"
                ),
                &["client certificate's file holds no PEM", ":3:"],
            ),
            (format!("{https}\nhealth = {{ path = \"../admin\" }}"), &["a path below the base", ":3:"]),
            (format!("{https}\nhealth = {{ path = \"a b\" }}"), &["a path below the base"]),
            (format!("{https}\nhealth = {{ path = \"\" }}"), &["a path below the base"]),
            (format!("{https}\nhealth = {{ unhealthy_after = 0 }}"), &["nonzero"]),
            (
                format!("{https}\nhealth = {{ interval = \"0s\" }}"),
                &["health.interval of this server", ":2:"],
            ),
            (format!("{https}\nresolve_interval = \"0s\""), &["resolve_interval of this server", ":2:"]),
            (format!("{https}\nreplica = [\"https://b/fhir\"]"), &["did you mean \"replicas\"?"]),
        ] {
            let told = parse(&text).unwrap_err();
            for expected in expected {
                assert!(told.contains(expected), "{text}: {expected:?} is not in\n{told}");
            }
        }
    }
}
