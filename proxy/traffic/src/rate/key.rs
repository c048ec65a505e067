//! Whose requests are counted together.

use std::net::{IpAddr, Ipv6Addr};

/// Whose requests are counted together: a client's, known by its address, or a caller's, known by its token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key(Who);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Address(IpAddr),
    Holder(Box<[u8]>),
}

impl Key {
    /// An IPv4 address, also when written as IPv6, or the network of so many leading bits that an IPv6 client can
    /// choose its addresses from.
    pub fn address(client: IpAddr, ipv6_prefix: u8) -> Self {
        Self(Who::Address(match client.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let host_bits = 128_u32.saturating_sub(ipv6_prefix.into());
                let network = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & network))
            }
        }))
    }

    /// A caller that is known, wherever it comes from. What names it stays the same when its token is refreshed.
    pub fn holder(name: Vec<u8>) -> Self {
        Self(Who::Holder(name.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_clients_are_their_network() {
        let key = |address: &str, prefix| match Key::address(address.parse().unwrap(), prefix).0 {
            Who::Address(address) => address.to_string(),
            Who::Holder(_) => panic!("an address"),
        };
        for (address, prefix, expected) in [
            ("2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::"),
            ("2001:db8:1:2:3:4:5:6", 56, "2001:db8:1::"),
            ("2001:db8:1:2:3:4:5:6", 48, "2001:db8:1::"),
            ("2001:db8:1:2:3:4:5:6", 128, "2001:db8:1:2:3:4:5:6"),
            ("2001:db8:1:2:3:4:5:6", 0, "::"),
            ("::ffff:192.0.2.1", 64, "192.0.2.1"),
            ("192.0.2.1", 0, "192.0.2.1"),
        ] {
            assert_eq!(key(address, prefix), expected, "{address}/{prefix}");
        }
    }
}
