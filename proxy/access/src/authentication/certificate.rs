//! Client certificates: whom a certificate stands for, and whether a token is bound to it.
//!
//! That a certificate is good (its chain, its dates, that it is not revoked) TLS has checked before.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fireguard_fhir::smart::Scopes;
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::granted::scopes;
use crate::principal::Principal;

/// Who vouches for clients with certificates.
pub const ISSUER: &str = "certificate";

/// The certificate of a client, as far as it says who the client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    digest: [u8; 32],
    /// Its subject alternative names, as they stand in it.
    names: Vec<Name>,
    until: SystemTime,
}

/// A subject alternative name (RFC 5280 §4.2.1.6): `uri:…`, `dns:…` or `email:…`. Written so that equal ones are the
/// same text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    kind: Kind,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Uri,
    Dns,
    Email,
}

/// A name, or several by a star: `dns:*.lab.example.org` (one label), `uri:https://example.org/wards/*`,
/// `email:*@example.org`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(Name);

/// What is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It does not say what it names.
    #[error("a name in a certificate is written `uri:…`, `dns:…` or `email:…`")]
    Kind,
    /// A star in another place.
    #[error(
        "a star stands for the first label of a `dns:`, the part before @ of an `email:`, or the end of a `uri:`"
    )]
    Star,
}

/// Whom certificates of a name stand for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Client {
    /// The client's name, for policies.
    pub client: Option<Arc<str>>,
    /// Its roles.
    pub roles: BTreeSet<String>,
    /// The organisation it belongs to.
    pub tenant: Option<String>,
    /// What it is granted; none: policies alone decide.
    pub scopes: Option<Scopes>,
}

/// The clients by the names in their certificates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Clients(Vec<(Pattern, Client)>);

/// A certificate that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client's certificate cannot be read")]
pub struct Unreadable;

impl Certificate {
    /// Reads one (DER).
    ///
    /// # Errors
    /// It cannot be read to its end, or one of its names cannot.
    pub fn read(der: &[u8]) -> Result<Self, Unreadable> {
        let (rest, certificate) = parse_x509_certificate(der).map_err(|_| Unreadable)?;
        if !rest.is_empty() {
            return Err(Unreadable);
        }
        let names = certificate.subject_alternative_name().map_err(|_| Unreadable)?;
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let names = names.filter_map(|name| match name {
            GeneralName::URI(value) => Some(Ok(Name::new(Kind::Uri, value))),
            GeneralName::DNSName(value) => Some(Ok(Name::new(Kind::Dns, value))),
            GeneralName::RFC822Name(value) => Some(Ok(Name::new(Kind::Email, value))),
            GeneralName::Invalid(..) => Some(Err(Unreadable)),
            _ => None,
        });
        let until = u64::try_from(certificate.validity().not_after.timestamp()).map_err(|_| Unreadable)?;
        let until = UNIX_EPOCH.checked_add(Duration::from_secs(until)).ok_or(Unreadable)?;
        Ok(Self { digest: Sha256::digest(der).into(), names: names.collect::<Result<_, _>>()?, until })
    }

    /// Its thumbprint, as `cnf` writes it: `x5t#S256` (RFC 8705 §3.1).
    pub fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.digest)
    }

    /// Whether this is its thumbprint.
    pub fn has_thumbprint(&self, x5t_s256: &str) -> bool {
        URL_SAFE_NO_PAD.decode(x5t_s256).is_ok_and(|digest| digest == self.digest)
    }
}

/// Whether a token that is bound to the certificate of this thumbprint may come over a connection with this
/// certificate, or with none (RFC 8705 §3).
pub fn confirms(certificate: Option<&Certificate>, x5t_s256: &str) -> bool {
    certificate.is_some_and(|certificate| certificate.has_thumbprint(x5t_s256))
}

impl Clients {
    /// These; of several patterns that fit, the one without a star counts, then the longest.
    pub fn new(mut clients: Vec<(Pattern, Client)>) -> Self {
        clients.sort_by_key(|(pattern, _)| pattern.rank());
        Self(clients)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whom a certificate stands for. None: nobody, whoever signed it.
    pub fn principal(&self, certificate: &Certificate) -> Option<Principal> {
        let found = |pattern: &Pattern| certificate.names.iter().find(|name| pattern.fits(name)).cloned();
        let (name, client) = self.0.iter().find_map(|(pattern, client)| Some((found(pattern)?, client)))?;
        Some(Principal {
            issuer: ISSUER.into(),
            subject: name.to_string().into(),
            client: client.client.clone(),
            roles: client.roles.clone(),
            tenant: client.tenant.clone(),
            fhir_user: None,
            patient: None,
            purposes: BTreeSet::new(),
            bound_to: None,
            scopes: client.scopes.clone(),
            expires: Some(certificate.until),
        })
    }
}

impl Client {
    /// With the scopes of this text.
    ///
    /// # Errors
    /// One of them grants nothing.
    pub fn with_scopes(mut self, text: Option<&str>) -> Result<Self, String> {
        self.scopes = text.map(scopes).transpose()?;
        Ok(self)
    }
}

impl Name {
    fn new(kind: Kind, value: &str) -> Self {
        let value = match kind {
            Kind::Uri => value.to_owned(),
            Kind::Dns => value.to_ascii_lowercase(),
            // What stands before the @ is the mail server's business.
            Kind::Email => match value.rsplit_once('@') {
                Some((local, domain)) => format!("{local}@{}", domain.to_ascii_lowercase()),
                None => value.to_owned(),
            },
        };
        Self { kind, value }
    }
}

impl Pattern {
    fn fits(&self, name: &Name) -> bool {
        let (pattern, value) = (&*self.0.value, &*name.value);
        if self.0.kind != name.kind {
            return false;
        }
        if !self.has_star() {
            // A star in a certificate is no name of anybody.
            return pattern == value && !value.contains('*');
        }
        let rest = match name.kind {
            Kind::Uri => value.strip_prefix(pattern.trim_end_matches('*')),
            Kind::Dns | Kind::Email => value.strip_suffix(pattern.trim_start_matches('*')),
        };
        let plain = |rest: &str| match name.kind {
            Kind::Uri => true,
            Kind::Dns => !rest.contains('.'),
            Kind::Email => !rest.contains('@'),
        };
        !value.contains('*') && rest.is_some_and(|rest| !rest.is_empty() && plain(rest))
    }

    fn has_star(&self) -> bool {
        self.0.value.contains('*')
    }

    /// Its place among those that fit.
    fn rank(&self) -> (bool, std::cmp::Reverse<usize>, Self) {
        (self.has_star(), std::cmp::Reverse(self.0.value.len()), self.clone())
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (kind, value) = text.split_once(':').ok_or(PatternError::Kind)?;
        let kind = match kind {
            "uri" => Kind::Uri,
            "dns" => Kind::Dns,
            "email" => Kind::Email,
            _ => return Err(PatternError::Kind),
        };
        if value.is_empty() {
            return Err(PatternError::Kind);
        }
        let placed = match (value.matches('*').count(), kind) {
            (0, _) => true,
            (1, Kind::Uri) => value.ends_with("/*") && value.len() > "x:/*".len(),
            (1, Kind::Dns) => value.starts_with("*.") && value.len() > "*.".len(),
            (1, Kind::Email) => value.starts_with("*@") && value.len() > "*@".len(),
            _ => false,
        };
        if placed { Ok(Self(Name::new(kind, value))) } else { Err(PatternError::Star) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Uri => "uri",
            Kind::Dns => "dns",
            Kind::Email => "email",
        };
        write!(f, "{kind}:{}", self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, SanType};

    fn certificate(names: &[&str]) -> (Vec<u8>, Certificate) {
        let san = |name: &&str| {
            let (kind, value) = name.split_once(':').unwrap();
            let value = value.try_into().unwrap();
            match kind {
                "uri" => SanType::URI(value),
                "dns" => SanType::DnsName(value),
                _ => SanType::Rfc822Name(value),
            }
        };
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.iter().map(san).collect();
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        (der.clone(), Certificate::read(&der).unwrap())
    }

    fn clients(patterns: &[&str]) -> Clients {
        let client = |text: &&str| {
            let client = Client { client: Some((*text).into()), ..Client::default() };
            (text.parse().unwrap(), client)
        };
        Clients::new(patterns.iter().map(client).collect())
    }

    #[test]
    fn names_are_mapped_by_the_closest_pattern() {
        let known = clients(&[
            "dns:*.lab.example.org",
            "dns:a.lab.example.org",
            "uri:https://example.org/wards/*",
            "uri:https://example.org/*",
            "email:*@example.org",
        ]);
        for (names, expected) in [
            (&["dns:a.lab.example.org"][..], Some("dns:a.lab.example.org")),
            (&["dns:A.LAB.example.org"], Some("dns:a.lab.example.org")),
            (&["dns:b.lab.example.org"], Some("dns:*.lab.example.org")),
            (&["dns:b.c.lab.example.org"], None),
            (&["dns:lab.example.org"], None),
            (&["dns:*.lab.example.org"], None),
            (&["dns:xlab.example.org"], None),
            (&["uri:https://example.org/wards/7"], Some("uri:https://example.org/wards/*")),
            (&["uri:https://example.org/other"], Some("uri:https://example.org/*")),
            (&["uri:https://example.org.evil/"], None),
            (&["email:Ann@EXAMPLE.org"], Some("email:*@example.org")),
            (&["email:ann@evil@example.org"], None),
            (&["dns:example.org"], None),
            (&["uri:dns:a.lab.example.org"], None),
            (&["dns:unknown.example", "dns:b.lab.example.org"], Some("dns:*.lab.example.org")),
            (&["email:x@example.org", "dns:a.lab.example.org"], Some("dns:a.lab.example.org")),
            (&[], None),
        ] {
            let principal = known.principal(&certificate(names).1);
            let client = principal.as_ref().and_then(|principal| principal.client.as_deref());
            assert_eq!(client, expected, "{names:?}");
            assert!(principal.is_none_or(|p| &*p.issuer == "certificate" && p.expires.is_some()));
        }
    }

    #[test]
    fn the_subject_is_the_name_that_was_mapped() {
        let known = clients(&["email:*@example.org"]);
        let principal = known.principal(&certificate(&["dns:x.example", "email:ann@Example.org"]).1).unwrap();
        assert_eq!(&*principal.subject, "email:ann@example.org");
    }

    #[test]
    fn patterns_have_one_form() {
        for (text, expected) in [
            ("dns:a.example.org", None),
            ("uri:urn:uuid:1", None),
            ("a.example.org", Some(PatternError::Kind)),
            ("ip:127.0.0.1", Some(PatternError::Kind)),
            ("dns:", Some(PatternError::Kind)),
            ("dns:*", Some(PatternError::Star)),
            ("dns:a.*.org", Some(PatternError::Star)),
            ("dns:*.*.org", Some(PatternError::Star)),
            ("email:a*@example.org", Some(PatternError::Star)),
            ("email:*", Some(PatternError::Star)),
            ("uri:*", Some(PatternError::Star)),
            ("uri:https://*/x", Some(PatternError::Star)),
            ("uri:https://x*", Some(PatternError::Star)),
        ] {
            assert_eq!(text.parse::<Pattern>().err(), expected, "{text}");
        }
    }

    #[test]
    fn a_token_may_be_bound_to_a_certificate() {
        let (der, one) = certificate(&["dns:a"]);
        let (_, other) = certificate(&["dns:a"]);
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(&der));
        assert_eq!(one.thumbprint(), thumbprint);
        for (certificate, thumbprint, expected) in [
            (Some(&one), thumbprint.as_str(), true),
            (Some(&other), &thumbprint, false),
            (None, &thumbprint, false),
            (Some(&one), "", false),
            (Some(&one), &thumbprint[1..], false),
            (Some(&one), &format!("{thumbprint}="), false),
        ] {
            assert_eq!(confirms(certificate, thumbprint), expected, "{thumbprint}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_not_read() {
        let (der, _) = certificate(&["dns:a"]);
        for bad in [&der[..der.len() - 1], &[der.clone(), vec![0]].concat(), b"", b"certificate"] {
            assert_eq!(Certificate::read(bad), Err(Unreadable));
        }
    }
}
