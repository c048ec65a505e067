//! Who the client really is when a balancer stands before the proxy.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

/// The networks whose forwarding headers (and PROXY protocol) are believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedPeers(Vec<IpNet>);

/// What a request says about its way here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The client's address.
    pub client: IpAddr,
    /// `https` or `http` as the client spoke it, when a trusted peer says so.
    pub scheme: Option<String>,
    /// The host the client asked for, when a trusted peer says so.
    pub host: Option<String>,
}

impl TrustedPeers {
    /// Believes peers of these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether this peer is believed.
    pub fn contains(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.0.iter().any(|network| network.contains(&peer))
    }

    /// Reads `X-Forwarded-For` from the right: the first address no trusted peer added is the client's. Headers
    /// of an untrusted peer are not read at all.
    pub fn origin(&self, peer: IpAddr, headers: &HeaderMap) -> Origin {
        let mut origin = Origin { client: peer.to_canonical(), scheme: None, host: None };
        if !self.contains(peer) {
            return origin;
        }
        let listed: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .collect();
        for address in listed.iter().rev() {
            // An entry that is no address was not written by a peer we trust to know: stop before it.
            let Some(address) = address_of(address) else { break };
            origin.client = address;
            if !self.contains(address) {
                break;
            }
        }
        // A list here means that somebody before the trusted peer wrote it: only the last entry is the peer's.
        let last = |name: &str| {
            let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
            value.rsplit(',').next().map(|v| v.trim().to_owned())
        };
        origin.scheme = last("x-forwarded-proto").filter(|s| s == "http" || s == "https");
        origin.host = last("x-forwarded-host");
        origin
    }
}

fn address_of(text: &str) -> Option<IpAddr> {
    let unbracketed = text.strip_prefix('[').and_then(|t| t.split_once(']')).map(|(host, _)| host);
    let address = match unbracketed {
        Some(host) => host.parse().ok(),
        None => text.parse().ok().or_else(|| text.rsplit_once(':')?.0.parse().ok()),
    };
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_first_untrusted_address_from_the_right_is_the_client() {
        let trusted = TrustedPeers::new(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        for (peer, forwarded, client) in [
            ("192.0.2.9", "203.0.113.5", "192.0.2.9"),
            ("10.0.0.1", "203.0.113.5", "203.0.113.5"),
            ("::ffff:10.0.0.1", "203.0.113.5", "203.0.113.5"),
            ("10.0.0.1", "198.51.100.1, 203.0.113.5", "203.0.113.5"),
            ("10.0.0.1", "198.51.100.1, 203.0.113.5, 10.2.3.4", "203.0.113.5"),
            ("10.0.0.1", "203.0.113.5:4711", "203.0.113.5"),
            ("fd00::1", "[2001:db8::7]:4711", "2001:db8::7"),
            ("10.0.0.1", "nonsense", "10.0.0.1"),
            ("10.0.0.1", "203.0.113.5, unknown, 10.2.3.4", "10.2.3.4"),
            ("10.0.0.1", "", "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", HeaderValue::from_str(forwarded).unwrap());
            headers.insert("x-forwarded-proto", HeaderValue::from_static("evil, https"));
            headers.insert("x-forwarded-host", HeaderValue::from_static("evil, public.example"));
            let origin = trusted.origin(peer.parse().unwrap(), &headers);
            assert_eq!(origin.client, client.parse::<IpAddr>().unwrap(), "{peer} {forwarded}");
            let believed = peer != "192.0.2.9";
            assert_eq!(origin.scheme.as_deref(), believed.then_some("https"));
            assert_eq!(origin.host.as_deref(), believed.then_some("public.example"));
        }
    }
}
