//! Who may come in by which way: issuers of tokens, and what a route names of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use fireguard_access::authentication::{Algorithm, ClaimPaths, IntrospectionSettings, IssuerSettings};
use http::Uri;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use toml::Spanned;
use zeroize::Zeroizing;

use super::file::File;
use super::resolve::Resolver;
use super::units::{SecretSource, Time};
use super::{Problem, defaults};

/// An identity provider whose tokens are believed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// Its URL, exactly as its tokens say it in `iss`: `https://id.example.org/realms/clinic`.
    #[schemars(with = "String")]
    pub url: Spanned<String>,
    /// A token must be meant for one of these (`aud`): mostly the base URL that clients use here.
    #[schemars(with = "Vec<String>")]
    pub audience: Spanned<Vec<String>>,
    /// The clients whose tokens are taken (`azp` or `client_id`).
    #[schemars(with = "Option<Vec<String>>")]
    pub clients: Option<Spanned<Vec<String>>>,
    /// The algorithms that may sign; of those only.
    #[schemars(with = "Option<Vec<String>>")]
    pub algorithms: Option<Spanned<Vec<String>>>,
    /// How far its clock and ours may be apart.
    #[serde(default = "clock_skew")]
    pub clock_skew: Time,
    /// Where its keys are (JWKS), if not where its discovery document says.
    #[schemars(with = "Option<String>")]
    pub keys: Option<Spanned<String>>,
    /// How long keys are used when it cannot be asked for newer ones.
    #[serde(default = "keys_stale")]
    pub keys_stale: Time,
    /// Ask it about tokens (RFC 7662).
    pub introspection: Option<Introspection>,
    /// What the scopes of its tokens mean.
    #[serde(default)]
    pub scopes: ScopesKind,
    /// Where in its tokens to look, as JSON pointers.
    #[serde(default)]
    pub claims: Claims,
}

/// Ask an issuer about tokens (RFC 7662).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Introspection {
    /// Where, if not where its discovery document says.
    #[schemars(with = "Option<String>")]
    pub url: Option<Spanned<String>>,
    /// Our own name there.
    pub client_id: String,
    /// Our secret there: `env:NAME` or `file:PATH`.
    #[schemars(with = "SecretSource")]
    pub client_secret: Spanned<SecretSource>,
    /// About which tokens.
    #[serde(default)]
    pub tokens: Introspected,
}

/// Which tokens an issuer is asked about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Introspected {
    /// Those that are no JWTs.
    #[default]
    Opaque,
    /// JWTs as well, when their signature is good: one that was revoked is refused within 30 seconds.
    All,
}

/// What the scopes of an issuer's tokens mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScopesKind {
    /// They grant what SMART App Launch says; a token without any grants nothing.
    #[default]
    Smart,
    /// Nothing: policies alone decide.
    None,
}

/// Where in an issuer's tokens to look, as JSON pointers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Claims {
    /// The roles: a list of names.
    #[schemars(with = "String")]
    pub roles: Spanned<String>,
    /// The organisation.
    #[schemars(with = "String")]
    pub tenant: Spanned<String>,
    /// The patient in context: an id, or `Patient/` and an id.
    #[schemars(with = "String")]
    pub patient: Spanned<String>,
    /// The resource that stands for the user.
    #[schemars(with = "String")]
    pub fhir_user: Spanned<String>,
    /// What the data is wanted for (PurposeOfUse): codes.
    #[schemars(with = "String")]
    pub purpose: Spanned<String>,
}

impl Default for Claims {
    fn default() -> Self {
        let written = |pointer: &str| Spanned::new(0..0, pointer.to_owned());
        let ClaimPaths { roles, tenant, patient, fhir_user, purpose } = ClaimPaths::default();
        Self {
            roles: written(&roles),
            tenant: written(&tenant),
            patient: written(&patient),
            fhir_user: written(&fhir_user),
            purpose: written(&purpose),
        }
    }
}

fn clock_skew() -> Time {
    Time(defaults::CLOCK_SKEW)
}

fn keys_stale() -> Time {
    Time(defaults::KEYS_STALE)
}

/// Who may come in on a route, as it is written: `"none"`, or a list of ways.
#[derive(Debug)]
pub struct WaysIn(Option<Vec<String>>);

/// Who may come in on a route.
#[derive(Debug, Clone)]
pub enum Authentication {
    /// Anyone.
    None,
    /// Who shows by one of these ways who it is. Never empty.
    Ways(Vec<Way>),
}

/// A way to show who one is.
#[derive(Debug, Clone)]
pub enum Way {
    /// By a token of this issuer.
    Issuer(Arc<IssuerSettings>),
    /// By a token that a user of the file has got by logging in.
    Users,
    /// By a client certificate.
    Certificates,
}

/// What is known of issuers, by their names; none: something is wrong with it.
pub(super) type Issuers = BTreeMap<String, Option<Arc<IssuerSettings>>>;

/// What else stands in a list of ways, so that no issuer can have its name.
const RESERVED: [&str; 3] = ["none", USERS, CERTIFICATES];
const USERS: &str = "users";
const CERTIFICATES: &str = "certificates";

impl Way {
    /// The issuer, if it is one.
    pub fn issuer(&self) -> Option<&Arc<IssuerSettings>> {
        match self {
            Self::Issuer(issuer) => Some(issuer),
            Self::Users | Self::Certificates => None,
        }
    }
}

impl Resolver<'_> {
    /// Every issuer, whether a route names it or not.
    pub(super) fn issuers(&mut self, issuers: &BTreeMap<String, Issuer>) -> Issuers {
        let each =
            issuers.iter().map(|(name, issuer)| (name.clone(), self.issuer(name, issuer).map(Arc::new)));
        each.collect()
    }

    /// Who may come in on a route.
    pub(super) fn authentication(
        &mut self,
        written: &Spanned<WaysIn>,
        issuers: &Issuers,
    ) -> Option<Authentication> {
        let Some(names) = &written.get_ref().0 else { return Some(Authentication::None) };
        if names.is_empty() {
            let message = "nobody can come in by an empty list";
            let help = "name an issuer: authentication = [\"<issuer>\"], or say \"none\" to let in anyone";
            self.problems.push(Problem::at(written.span(), message).help(help));
        }
        let ways: Vec<_> = names
            .iter()
            .map(|name| match (issuers.get(name), name.as_str()) {
                (Some(known), _) => known.clone().map(Way::Issuer),
                (None, USERS) => Some(Way::Users),
                (None, CERTIFICATES) => Some(Way::Certificates),
                (None, _) => {
                    let name = Spanned::new(written.span(), name.clone());
                    let known = issuers.keys().map(String::as_str).chain([USERS, CERTIFICATES]);
                    self.unknown("issuer", &name, known);
                    None
                }
            })
            .collect();
        let ways: Vec<Way> = ways.into_iter().collect::<Option<_>>()?;
        let urls = || ways.iter().filter_map(Way::issuer).map(|issuer| &issuer.url);
        if urls().collect::<BTreeSet<_>>().len() < urls().count() {
            let message = "two issuers of one route have the same url: one of them would never be asked";
            self.problems.push(Problem::at(written.span(), message));
        }
        (!ways.is_empty()).then_some(Authentication::Ways(ways))
    }

    /// Whether the ways that routes name lead anywhere.
    pub(super) fn ways_lead_in(&mut self, file: &File) {
        let ca = file.server.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        for written in file.routes.values().map(|route| &route.authentication) {
            let names = |way: &str| written.get_ref().0.iter().flatten().any(|name| name == way);
            let mut missing = |help: &str, message: &str| {
                self.problems.push(Problem::at(written.span(), message).help(help));
            };
            if names(USERS) && file.users.is_none() {
                missing("add [users] with file = \"users.toml\"", "there are no users in a file");
            }
            if names(CERTIFICATES) && !ca {
                let help = "add client_ca to [server.tls]: the authorities that sign clients' certificates";
                missing(help, "clients are not asked for certificates");
            } else if names(CERTIFICATES) && file.certificates.is_empty() {
                let help = "add [certificates.\"dns:client.example.org\"]";
                missing(help, "certificates stand for nobody");
            }
        }
    }

    fn issuer(&mut self, name: &str, issuer: &Issuer) -> Option<IssuerSettings> {
        if RESERVED.contains(&name) {
            let message = format!("no issuer can be named {name:?}: the word means something else on routes");
            self.problem(&issuer.url, message);
        }
        let url = self.parsed(&issuer.url, secure_url);
        if issuer.audience.get_ref().is_empty() {
            let message = "a token that is meant for nobody in particular is not meant for us";
            let help = "name what `aud` says in its tokens: audience = [\"https://fhir.example.org/fhir\"]";
            self.problems.push(Problem::at(issuer.audience.span(), message).help(help));
        }
        if let Some(none) = issuer.clients.as_ref().filter(|clients| clients.get_ref().is_empty()) {
            let message = "no client can come in by an empty list";
            self.problems.push(
                Problem::at(none.span(), message).help("leave it out to take the tokens of all clients"),
            );
        }
        let algorithms = self.algorithms(issuer.algorithms.as_ref());
        let keys = issuer.keys.as_ref().map(|keys| self.parsed(keys, secure_url));
        let introspection =
            issuer.introspection.as_ref().map(|introspection| self.introspection(introspection));
        let claims = self.claims(&issuer.claims);
        Some(IssuerSettings {
            name: name.into(),
            url: url?.into(),
            audience: issuer.audience.get_ref().iter().cloned().collect(),
            clients: issuer.clients.as_ref().map(|clients| clients.get_ref().iter().cloned().collect()),
            algorithms: algorithms?,
            clock_skew: issuer.clock_skew.0,
            keys: optional(keys)?,
            keys_stale: issuer.keys_stale.0,
            introspection: optional(introspection)?,
            smart: issuer.scopes == ScopesKind::Smart,
            claims: claims?,
        })
    }

    fn algorithms(&mut self, written: Option<&Spanned<Vec<String>>>) -> Option<BTreeSet<Algorithm>> {
        let Some(written) = written else { return Some(Algorithm::ALL.into()) };
        let names = Algorithm::ALL.map(Algorithm::as_str).join(", ");
        let mut known = BTreeSet::new();
        for name in written.get_ref() {
            match Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == name) {
                Some(algorithm) => known.extend([algorithm]),
                None => {
                    let message = format!("{name:?} is no algorithm that tokens may be signed with");
                    self.problems.push(Problem::at(written.span(), message).help(format!("one of: {names}")));
                }
            }
        }
        if known.is_empty() {
            let message = "there must be an algorithm";
            self.problems.push(Problem::at(written.span(), message).help(format!("some of: {names}")));
        }
        Some(known)
    }

    fn introspection(&mut self, written: &Introspection) -> Option<IntrospectionSettings> {
        let url = written.url.as_ref().map(|url| self.parsed(url, secure_url));
        let secret = self.secret(&written.client_secret)?;
        let Ok(secret) = String::from_utf8(secret.expose().to_vec()).map(Zeroizing::new) else {
            self.problems.push(Problem::at(written.client_secret.span(), "the secret is no text"));
            return None;
        };
        Some(IntrospectionSettings {
            url: optional(url)?,
            client_id: written.client_id.clone(),
            client_secret: secret,
            all: written.tokens == Introspected::All,
        })
    }

    fn claims(&mut self, written: &Claims) -> Option<ClaimPaths> {
        let mut path = |text: &Spanned<String>| {
            self.parsed(text, |text| match text.starts_with('/') {
                true => Ok(text.to_owned()),
                false => Err("a JSON pointer starts with /: \"/realm_access/roles\""),
            })
        };
        Some(ClaimPaths {
            roles: path(&written.roles)?,
            tenant: path(&written.tenant)?,
            patient: path(&written.patient)?,
            fhir_user: path(&written.fhir_user)?,
            purpose: path(&written.purpose)?,
        })
    }
}

/// What was not written is not wrong.
fn optional<T>(resolved: Option<Option<T>>) -> Option<Option<T>> {
    resolved.map_or(Some(None), |value| value.map(Some))
}

/// A URL that nobody on the way can change the answers of.
pub(super) fn secure_url(text: &str) -> Result<String, &'static str> {
    const HOW: &str = "write a URL without query or fragment: \"https://id.example.org/realms/clinic\"";
    let url: Uri = text.parse().map_err(|_| HOW)?;
    let host = url.host().ok_or(HOW)?;
    if text.contains(['?', '#', '@']) {
        return Err(HOW);
    }
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match url.scheme_str() {
        Some("https") => Ok(text.to_owned()),
        Some("http") if here => Ok(text.to_owned()),
        Some("http") => Err("by http:// anyone on the way could put keys of their own in: write https://"),
        _ => Err(HOW),
    }
}

impl<'de> Deserialize<'de> for WaysIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = |value| match value {
            toml::Value::String(text) => Some(text),
            _ => None,
        };
        let ways = match toml::Value::deserialize(deserializer)? {
            toml::Value::String(none) if none == "none" => Some(None),
            toml::Value::Array(ways) => ways.into_iter().map(text).collect::<Option<Vec<_>>>().map(Some),
            _ => None,
        };
        ways.map(Self).ok_or_else(|| {
            D::Error::custom(
                "say who may come in: [\"<issuer>\"], the names of issuers, or \"none\" for anyone",
            )
        })
    }
}

impl JsonSchema for WaysIn {
    fn schema_name() -> Cow<'static, str> {
        "Authentication".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [
            { "const": "none" },
            { "type": "array", "items": { "type": "string" }, "minItems": 1, "uniqueItems": true }
        ] })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    const ISSUER: &str =
        "[issuers.id]\nurl = \"https://id.example/realms/a\"\naudience = [\"https://fhir.example/fhir\"]\n";
    const ROUTE: &str = "[upstreams.hapi]\nurl = \"http://127.0.0.1:1/fhir\"\n\
                         [routes.fhir]\npath = \"/fhir\"\nupstream = \"hapi\"\nauthentication = [\"id\"]\n";

    fn parse(text: &str) -> Result<Config, String> {
        let parsed = Config::parse(text, Path::new("fireguard.toml"));
        parsed.map_err(|report| format!("{:?}", miette::Report::new(report)))
    }

    #[test]
    fn what_is_left_out_is_safe() {
        let config = parse(&format!("{ISSUER}{ROUTE}")).unwrap();
        let Authentication::Ways(ways) = &config.routes[0].authentication else { panic!("open") };
        let [Way::Issuer(issuer)] = &ways[..] else { panic!("{ways:?}") };
        assert!(issuer.smart && issuer.keys.is_none() && issuer.introspection.is_none());
        assert!(issuer.algorithms.iter().all(|algorithm| !algorithm.as_str().starts_with("HS")));
        assert!(!config.routes[0].forward_authorization);
        let open = ROUTE.replace("[\"id\"]", "\"none\"");
        assert!(matches!(parse(&open).unwrap().routes[0].authentication, Authentication::None));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let good = format!("{ISSUER}{ROUTE}");
        for (from, to, expected) in [
            ("authentication = [\"id\"]\n", "", "a route says who may come in"),
            ("[\"id\"]", "[]", "nobody can come in by an empty list"),
            ("[\"id\"]", "\"nobody\"", "say who may come in"),
            ("[\"id\"]", "[\"di\"]", "did you mean \"id\"?"),
            ("[\"id\"]", "[\"id\", \"id\"]", "have the same url"),
            ("[issuers.id]", "[issuers.users]", "the word means something else"),
            ("https://id", "http://id", "anyone on the way"),
            ("realms/a\"", "realms/a?x=1\"", "without query or fragment"),
            ("[\"https://fhir.example/fhir\"]", "[]", "meant for nobody in particular"),
            ("audience = [\"https://fhir.example/fhir\"]\n", "", "missing field `audience`"),
            ("[upstreams", "algorithms = [\"HS256\"]\n[upstreams", "\"HS256\" is no algorithm"),
            ("[upstreams", "algorithms = [\"none\"]\n[upstreams", "\"none\" is no algorithm"),
            ("[upstreams", "algorithms = []\n[upstreams", "there must be an algorithm"),
            ("[upstreams", "clients = []\n[upstreams", "no client can come in"),
            ("[upstreams", "claims.roles = \"roles\"\n[upstreams", "a JSON pointer starts with /"),
            (
                "[upstreams",
                "introspection = { client_id = \"x\", client_secret = \"y\" }\n[upstreams",
                "a secret is not written here",
            ),
        ] {
            let found = parse(&good.replacen(from, to, 1)).expect_err(to);
            assert!(found.contains(expected), "{to}: {expected:?} is not in\n{found}");
        }
        let written = good.replace(
            "[upstreams",
            "introspection = { client_id = \"x\", client_secret = \"s3cr3t\" }\n[upstreams",
        );
        assert!(!parse(&written).unwrap_err().contains("s3cr3t"));
        for here in ["http://127.0.0.1:8180/realms/a", "http://localhost/x", "http://[::1]:1/x"] {
            parse(&good.replace("https://id.example/realms/a", here)).unwrap();
        }
    }
}
