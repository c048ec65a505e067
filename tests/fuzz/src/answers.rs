//! Readers of the server's answers.

use bytes::BytesMut;
use fireguard_traffic::upstream::fused::chunked::{ChunkError, Chunked};
use fireguard_traffic::upstream::fused::head::{Framing, Head, HeadReader};

/// The first byte says in how large pieces the others come: a head, and what follows it as chunks.
pub fn answer(data: &[u8]) {
    let Some((size, wire)) = data.split_first() else { return };
    let size = usize::from(*size).max(1);
    let (whole, cut) = (head(wire, wire.len().max(1)), head(wire, size));
    match (&whole, &cut) {
        (Some((whole, at)), Some((cut, cut_at))) => {
            assert_eq!(at, cut_at, "cuts make a difference");
            assert_eq!(whole.response.status(), cut.response.status());
            assert_eq!(whole.response.headers(), cut.response.headers());
            assert_eq!((whole.framing, whole.keep_alive), (cut.framing, cut.keep_alive));
        }
        (None, None) => {}
        _ => panic!("cuts make a difference: {whole:?} {cut:?}"),
    }
    let Some((head, at)) = whole else { return chunks(wire, size) };
    let end = wire.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    assert_eq!(end, Some(at - 4), "the first empty line is the end");
    let headers = head.response.headers();
    for (name, value) in headers {
        assert!(!value.as_bytes().iter().any(|byte| b"\r\n\0".contains(byte)), "{name}");
    }
    let lengths = headers.get_all("content-length").iter().count();
    let coded = headers.contains_key("transfer-encoding");
    assert!(lengths <= 1 && !(coded && lengths == 1), "two ends");
    assert!(head.framing != Framing::UntilClose || !head.keep_alive);
    chunks(&wire[at..], size);
}

/// The head and its length; none: there is no whole one, or it is refused.
fn head(wire: &[u8], size: usize) -> Option<(Head, usize)> {
    let mut reader = HeadReader::default();
    let (mut buffer, mut fed) = (BytesMut::new(), 0);
    for piece in wire.chunks(size) {
        buffer.extend_from_slice(piece);
        fed += piece.len();
        match reader.read(&mut buffer, false) {
            Ok(Some(head)) => return Some((head, fed - buffer.len())),
            Ok(None) => {}
            Err(_) => return None,
        }
    }
    None
}

fn chunks(wire: &[u8], size: usize) {
    let (whole, cut) = (decode(wire, wire.len().max(1)), decode(wire, size));
    assert_eq!(whole, cut, "cuts make a difference");
    if let Ok((payload, consumed, over)) = whole {
        assert!(payload.len() <= consumed && consumed <= wire.len());
        assert!(if over { wire[..consumed].ends_with(b"\r\n\r\n") } else { consumed == wire.len() });
    }
}

/// The payload, how many bytes were taken, and whether the body has ended.
fn decode(wire: &[u8], size: usize) -> Result<(Vec<u8>, usize, bool), ChunkError> {
    let mut chunked = Chunked::default();
    let (mut payload, mut consumed) = (Vec::new(), 0);
    for piece in wire.chunks(size) {
        let mut piece = piece.to_vec();
        let decoded = chunked.decode(&mut piece)?;
        payload.extend_from_slice(&piece[decoded.payload]);
        consumed += decoded.consumed;
    }
    Ok((payload, consumed, chunked.is_over()))
}
