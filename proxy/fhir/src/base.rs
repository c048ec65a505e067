//! A FHIR service base URL, compared by its parts and never as a string.

use std::fmt;
use std::sync::Arc;

/// `scheme://host[:port][/path]`: the root of a FHIR server (R4 http.html §2.21.0.1). Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base(Arc<Text>);

/// The text, host in lower case, without the scheme's own port and without a slash at its end; and its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Text {
    text: String,
    scheme: Scheme,
    port: u16,
    /// Where the host ends; it follows `://`.
    host: usize,
    /// Where the path begins.
    path: usize,
}

/// The two schemes a FHIR server is reached by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP, port 80 unless said otherwise.
    Http,
    /// HTTP over TLS, port 443 unless said otherwise.
    Https,
}

/// Why a text is no base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BaseError {
    /// Neither http nor https.
    #[error("a base URL starts with http:// or https://")]
    Scheme,
    /// No host, or one with characters no host has, or user information.
    #[error("the host is missing or not valid")]
    Host,
    /// Not a number from 1 to 65535.
    #[error("the port is not valid")]
    Port,
    /// Query, fragment, empty or dot segments.
    #[error("the path must be plain segments: no query, fragment, empty or dot segments")]
    Path,
}

impl Base {
    /// Reads a base URL; a slash at its end is accepted.
    ///
    /// # Errors
    /// Says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, BaseError> {
        let Parts { scheme, host, port, rest } = Parts::of(text)?;
        let mut text = format!("{}://{}", scheme.as_str(), host.to_ascii_lowercase());
        let host = text.len();
        if port != scheme.default_port() {
            text = format!("{text}:{port}");
        }
        let path = text.len();
        let base = Self(Arc::new(Text { text, scheme, port, host, path }));
        base.join(rest.strip_suffix('/').unwrap_or(rest))
    }

    /// The base at this path below this one: empty, or `/` and segments.
    ///
    /// # Errors
    /// The path is not plain segments.
    pub fn join(mut self, path: &str) -> Result<Self, BaseError> {
        if path.is_empty() {
            return Ok(self);
        }
        for segment in path.strip_prefix('/').ok_or(BaseError::Path)?.split('/') {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
            if segment.is_empty() || segment == "." || segment == ".." || !segment.bytes().all(plain) {
                return Err(BaseError::Path);
            }
        }
        Arc::make_mut(&mut self.0).text.push_str(path);
        Ok(self)
    }

    /// What follows this base in `url`: empty, or a text that starts with `/`, `?` or `#`. `None` when the URL
    /// is not below this base. http and https count as one where both name their default port or the same
    /// port: a server behind a TLS balancer often thinks it speaks plain HTTP.
    pub fn strip<'a>(&self, url: &'a str) -> Option<&'a str> {
        // Mostly it is written alike.
        if let Some(rest) = url.strip_prefix(self.as_str()).filter(|rest| is_boundary(rest)) {
            return Some(rest);
        }
        let parts = Parts::of(url).ok()?;
        let defaults = |scheme: Scheme, port| port == scheme.default_port();
        let (scheme, port) = (self.scheme(), self.port());
        let same_port = parts.port == port || (defaults(parts.scheme, parts.port) && defaults(scheme, port));
        if !same_port || !parts.host.eq_ignore_ascii_case(self.host()) {
            return None;
        }
        let rest = parts.rest.strip_prefix(self.path())?;
        is_boundary(rest).then_some(rest)
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.0.scheme
    }

    /// The host: a name, an IPv4 address, or an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.0.text[self.authority_begins()..self.0.host]
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// `host`, with the port when it is not the scheme's own: what belongs into a `Host` header.
    pub fn authority(&self) -> &str {
        &self.0.text[self.authority_begins()..self.0.path]
    }

    /// Whether it has a path.
    pub fn has_path(&self) -> bool {
        !self.path().is_empty()
    }

    /// The path: empty, or `/` and segments, without a slash at its end.
    pub fn path(&self) -> &str {
        &self.0.text[self.0.path..]
    }

    /// The whole.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    fn authority_begins(&self) -> usize {
        self.scheme().as_str().len() + "://".len()
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Whether a path segment, or an authority, ends here.
fn is_boundary(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(['/', '?', '#'])
}

/// An absolute URL cut into its parts; `rest` is path, query and fragment.
struct Parts<'a> {
    scheme: Scheme,
    host: &'a str,
    port: u16,
    rest: &'a str,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Result<Self, BaseError> {
        let (scheme, rest) = url.split_once(':').ok_or(BaseError::Scheme)?;
        let scheme = match scheme {
            s if s.eq_ignore_ascii_case("http") => Scheme::Http,
            s if s.eq_ignore_ascii_case("https") => Scheme::Https,
            _ => return Err(BaseError::Scheme),
        };
        let rest = rest.strip_prefix("//").ok_or(BaseError::Scheme)?;
        let end = rest.bytes().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (host, port) = match authority.rfind(':') {
            Some(colon) if !authority.ends_with(']') => authority.split_at(colon),
            _ => (authority, ""),
        };
        let port = match port.strip_prefix(':') {
            None | Some("") => scheme.default_port(),
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().filter(|p| *p > 0).ok_or(BaseError::Port)?
            }
            Some(_) => return Err(BaseError::Port),
        };
        let name = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        let address = |h: &str| h.bytes().all(|b| b.is_ascii_hexdigit() || b":.".contains(&b));
        let valid = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(v6) => !v6.is_empty() && address(v6),
            None => !host.is_empty() && host.bytes().all(name),
        };
        if valid { Ok(Self { scheme, host, port, rest }) } else { Err(BaseError::Host) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_bases() {
        for (text, shown) in [
            ("http://127.0.0.1:8080/fhir", "http://127.0.0.1:8080/fhir"),
            ("HTTPS://Fhir.Example.org/r4/", "https://fhir.example.org/r4"),
            ("http://h:80", "http://h"),
            ("http://h:/", "http://h"),
            ("https://[::1]:8443/a/b", "https://[::1]:8443/a/b"),
        ] {
            assert_eq!(Base::parse(text).unwrap().to_string(), shown);
        }
        for (text, error) in [
            ("/fhir", BaseError::Scheme),
            ("ftp://h/", BaseError::Scheme),
            ("http:///fhir", BaseError::Host),
            ("http://user@h/", BaseError::Host),
            ("http://h:0/", BaseError::Port),
            ("http://h:70000/", BaseError::Port),
            ("http://h:8x/", BaseError::Port),
            ("http://h/a//b", BaseError::Path),
            ("http://h/a/../b", BaseError::Path),
            ("http://h/a?x=1", BaseError::Path),
            ("http://h?x", BaseError::Path),
        ] {
            assert_eq!(Base::parse(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn strips_by_origin_and_segments() {
        let base = Base::parse("http://hapi:8080/fhir").unwrap();
        for (url, rest) in [
            ("http://hapi:8080/fhir", Some("")),
            ("http://hapi:8080/fhir/", Some("/")),
            ("http://HAPI:8080/fhir/Patient/1", Some("/Patient/1")),
            ("https://hapi:8080/fhir?_getpages=x", Some("?_getpages=x")),
            ("http://hapi:8080/fhir2/Patient/1", None),
            ("http://hapi:8080/FHIR/Patient/1", None),
            ("http://hapi:80800/fhir/Patient/1", None),
            ("http://hapi/fhir/Patient/1", None),
            ("http://hapi.example:8080/fhir/Patient/1", None),
            ("http://x@hapi:8080/fhir/Patient/1", None),
            ("http://evil/http://hapi:8080/fhir", None),
            ("Patient/1", None),
            ("urn:uuid:0", None),
        ] {
            assert_eq!(base.strip(url), rest, "{url}");
        }
        let base = Base::parse("https://h").unwrap();
        assert_eq!(base.strip("http://h:80/Patient"), Some("/Patient"));
        assert_eq!(base.strip("https://h:443"), Some(""));
        assert_eq!(base.strip("http://h:443/x"), Some("/x"));
        assert_eq!(base.strip("https://h:8443/x"), None);
    }
}
