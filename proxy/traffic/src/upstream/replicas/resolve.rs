//! Where hosts are, looked up again and again.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

/// Finds the addresses of a host.
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of the host, the best first.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a>;
}

/// A lookup.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// What the machine itself would find: `getaddrinfo`, with its hosts file, search domains and caches.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// The replicas behind these addresses of one name, each with the ways to it. Several addresses of one family are
/// several replicas. One of each family is one replica with two ways to it, as `localhost` is.
pub(super) fn replicas(found: &[SocketAddr]) -> Vec<Vec<SocketAddr>> {
    let mut unique: Vec<SocketAddr> = Vec::with_capacity(found.len());
    for address in found {
        if !unique.contains(address) {
            unique.push(*address);
        }
    }
    let count = |v6: bool| unique.iter().filter(|address| address.is_ipv6() == v6).count();
    let (v4, v6) = (count(false), count(true));
    match v4.max(v6) {
        0 => Vec::new(),
        1 => vec![unique],
        _ => {
            // Each replica once: by the family that has more, or the one that the machine prefers.
            let preferred = unique.first().is_some_and(SocketAddr::is_ipv6);
            let family = if v4 == v6 { preferred } else { v6 > v4 };
            let mut own: Vec<_> = unique.into_iter().filter(|address| address.is_ipv6() == family).collect();
            // The order changes from lookup to lookup and means nothing.
            own.sort_unstable();
            own.into_iter().map(|address| vec![address]).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_family_are_replicas_and_families_are_ways() {
        for (found, expected) in [
            (&[][..], &[][..]),
            (&["10.0.0.1:80"], &[&["10.0.0.1:80"][..]]),
            (&["[::1]:80", "127.0.0.1:80", "[::1]:80"], &[&["[::1]:80", "127.0.0.1:80"]]),
            (&["10.0.0.2:80", "10.0.0.1:80"], &[&["10.0.0.1:80"], &["10.0.0.2:80"]]),
            (&["[fd::1]:80", "10.0.0.2:80", "10.0.0.1:80"], &[&["10.0.0.1:80"], &["10.0.0.2:80"]]),
            (
                &["[fd::2]:80", "[fd::1]:80", "10.0.0.2:80", "10.0.0.1:80"],
                &[&["[fd::1]:80"], &["[fd::2]:80"]],
            ),
        ] {
            let parsed = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
            let expected: Vec<_> = expected.iter().map(|ways| parsed(ways)).collect();
            assert_eq!(replicas(&parsed(found)), expected, "{found:?}");
        }
    }

    #[tokio::test]
    async fn the_machine_knows_itself() {
        let found = SystemResolver.resolve("localhost", 80).await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
        assert!(!found.is_empty());
    }
}
