//! Where a plugin may send to.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;
use url::Host;

/// A scheme, a host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: String,
    host: Host,
    port: u16,
}

impl Origin {
    /// `https://host`, `http://host:8080`; as it is granted.
    pub(super) fn granted(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        // The parser puts a path where none was written; written it would look as if it were obeyed.
        let (_, rest) = text.split_once("://")?;
        // A star is no name, and would look as if it stood for many.
        let plain = !rest.contains(['/', '?', '#', '@', '\\', '*']) && url.path() == "/";
        Self::of(&url).filter(|_| plain)
    }

    /// That of a URL; none: it is not of HTTP, or carries a password.
    pub(super) fn of(url: &Url) -> Option<Self> {
        let scheme = match url.scheme() {
            scheme @ ("http" | "https") => scheme.to_owned(),
            _ => return None,
        };
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        // Without the dot of a name that is complete: it is the same host.
        let host = match url.host()?.to_owned() {
            Host::Domain(name) => Host::Domain(name.strip_suffix('.').unwrap_or(&name).to_owned()),
            address => address,
        };
        Some(Self { scheme, host, port: url.port_or_known_default()? })
    }

    /// The host, if it is an address, however it was written: nobody looks it up.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self.host {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
            Host::Domain(_) => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_an_origin_and_nothing_more() {
        for (text, expected) in [
            ("https://api.example.org", Some("https://api.example.org:443")),
            ("http://api.example.org", Some("http://api.example.org:80")),
            ("https://API.example.org.:8443", Some("https://api.example.org:8443")),
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            ("http://[::1]:8080", Some("http://[::1]:8080")),
            ("https://api.example.org/", None),
            ("https://api.example.org/path", None),
            ("https://api.example.org?x", None),
            ("https://user@api.example.org", None),
            ("https://*.example.org", None),
            ("ftp://api.example.org", None),
            ("api.example.org", None),
            ("", None),
        ] {
            assert_eq!(Origin::granted(text).map(|o| o.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn an_origin_is_the_same_however_it_is_written() {
        let of = |text: &str| Origin::of(&Url::parse(text).unwrap());
        let granted = Origin::granted("http://127.0.0.1");
        for text in [
            "http://127.0.0.1/x",
            "http://127.1:80/",
            "http://2130706433/",
            "http://0x7f.0.0.1",
            "http://0177.0.0.1",
            "HTTP://127.0.0.1?x",
            "http://①②⑦.0.0.1",
        ] {
            assert_eq!(of(text), granted, "{text}");
        }
        for text in [
            "https://127.0.0.1",
            "http://127.0.0.1:81",
            "http://127.0.0.2",
            "http://user@127.0.0.1",
            "http://:pass@127.0.0.1",
            "ftp://127.0.0.1",
            "http://127.0.0.1.example.org",
            "http://example.org@127.0.0.1",
            "http://[::ffff:127.0.0.1]/",
        ] {
            assert_ne!(of(text), granted, "{text}");
        }
        assert_eq!(of("http://127.0.0.1").unwrap().address(), Some("127.0.0.1".parse().unwrap()));
    }
}
