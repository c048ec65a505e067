//! PROXY protocol v2: a balancer tells who connected to it.

use std::io;
use std::net::IpAddr;

use ppp::v2::{Addresses, Command, Header};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The fixed part: signature, version and command, family, length of the rest.
const FIXED: usize = 16;
/// Addresses and extensions; more than any balancer sends.
const MAX_REST: usize = 1024;

/// Reads the header that must be there. `None`: the balancer speaks for itself (a health check).
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    let mut bytes = [0; FIXED + MAX_REST];
    stream.read_exact(&mut bytes[..FIXED]).await?;
    let rest = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if &bytes[..12] != ppp::v2::PROTOCOL_PREFIX || rest > MAX_REST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no PROXY protocol v2 header"));
    }
    stream.read_exact(&mut bytes[FIXED..FIXED + rest]).await?;
    let header = Header::try_from(&bytes[..FIXED + rest])
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))?;
    Ok(match (header.command, header.addresses) {
        (Command::Local, _) => None,
        (Command::Proxy, Addresses::IPv4(v4)) => Some(v4.source_address.into()),
        (Command::Proxy, Addresses::IPv6(v6)) => Some(v6.source_address.into()),
        (Command::Proxy, _) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ppp::v2::{Builder, IPv4, Protocol, Version};

    async fn read_bytes(bytes: &[u8]) -> (io::Result<Option<IpAddr>>, usize) {
        let mut rest = bytes;
        let result = read(&mut rest).await;
        (result, rest.len())
    }

    #[tokio::test]
    async fn reads_exactly_the_header() {
        let v4 = IPv4::new([203, 0, 113, 5], [10, 0, 0, 1], 4711, 443);
        let header =
            |command| Builder::with_addresses(Version::Two | command, Protocol::Stream, v4).build().unwrap();
        let mut bytes = header(Command::Proxy);
        bytes.extend_from_slice(b"GET / HTTP/1.1");
        let (client, left) = read_bytes(&bytes).await;
        assert_eq!(client.unwrap(), Some("203.0.113.5".parse().unwrap()));
        assert_eq!(left, 14);
        assert_eq!(read_bytes(&header(Command::Local)).await.0.unwrap(), None);
        for wrong in
            [&b"GET /fhir/Patient HTTP/1.1\r\n"[..], b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", &bytes[..10]]
        {
            assert!(read_bytes(wrong).await.0.is_err());
        }
    }
}
