use async_compression::Level;
use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use futures_util::stream;
use http::HeaderValue;
use http_body_util::StreamBody;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::*;

const ALL: [Coding; 3] = [Coding::Gzip, Coding::Brotli, Coding::Zstd];
const WIDE: Bounds = Bounds { encoded: 64 << 20, ratio: 500 };

async fn encoded(coding: Coding, text: &[u8]) -> Vec<u8> {
    macro_rules! by {
        ($encoder:ident) => {{
            let mut encoder = $encoder::with_quality(Vec::new(), Level::Fastest);
            encoder.write_all(text).await.unwrap();
            encoder.shutdown().await.unwrap();
            encoder.into_inner()
        }};
    }
    match coding {
        Coding::Gzip => by!(GzipEncoder),
        Coding::Brotli => by!(BrotliEncoder),
        Coding::Zstd => by!(ZstdEncoder),
    }
}

/// A body in pieces of this size, which breaks off at its end if it is `broken`.
fn pieces(bytes: &[u8], size: usize, broken: bool) -> Body {
    let mut frames: Vec<Result<_, BodyError>> =
        bytes.chunks(size.max(1)).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
    frames.insert(0, Ok(Frame::data(Bytes::new())));
    if broken {
        frames.push(Err("gone".into()));
    }
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

async fn decode(body: Body, coding: Coding, bounds: Bounds) -> Result<Bytes, DecodeError> {
    let collected = decoded(body, coding, bounds).collect().await;
    collected.map(|body| body.to_bytes()).map_err(|error| *error.downcast().unwrap())
}

#[tokio::test]
async fn what_was_encoded_comes_out_however_it_is_cut() {
    let text = "Ada Lovelace, 1815. ".repeat(9_000).into_bytes();
    for coding in ALL {
        let bytes = encoded(coding, &text).await;
        for size in [1, 7, 1000, bytes.len()] {
            let given = decode(pieces(&bytes, size, false), coding, WIDE).await.unwrap();
            assert!(given == text, "{coding:?} {size}");
        }
        assert!(decode(pieces(b"", 1, false), coding, WIDE).await.unwrap().is_empty(), "{coding:?}");
        let nothing = encoded(coding, b"").await;
        assert!(decode(pieces(&nothing, 3, false), coding, WIDE).await.unwrap().is_empty(), "{coding:?}");
    }
}

#[tokio::test]
async fn what_is_not_whole_is_an_error() {
    let text: Vec<u8> = (0..20_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for coding in ALL {
        let bytes = encoded(coding, &text).await;
        for end in [1, 2, 9, 100, bytes.len() / 2, bytes.len() - 1] {
            let given = decode(pieces(&bytes[..end], 100, false), coding, WIDE).await;
            assert!(matches!(given, Err(DecodeError::Malformed(_))), "{coding:?} {end}: {given:?}");
            let given = decode(pieces(&bytes[..end], 100, true), coding, WIDE).await;
            assert!(matches!(given, Err(DecodeError::Broken(_))), "{coding:?} {end}: {given:?}");
        }
        for more in [&b"x"[..], b"\0\0\0\0", b"{\"resourceType\":\"Patient\"}"] {
            for size in [1, bytes.len(), bytes.len() + 100] {
                let given = decode(pieces(&[&bytes, more].concat(), size, false), coding, WIDE).await;
                assert!(matches!(given, Err(DecodeError::Malformed(_))), "{coding:?} {more:?}: {given:?}");
            }
        }
        let plain = decode(pieces(b"{\"resourceType\":\"Patient\"}", 5, false), coding, WIDE).await;
        assert!(matches!(plain, Err(DecodeError::Malformed(_))), "{coding:?}: {plain:?}");
    }
    let [one, two] = [encoded(Coding::Gzip, b"a").await, encoded(Coding::Gzip, b"b").await];
    assert_eq!(decode(pieces(&[one, two].concat(), 4, false), Coding::Gzip, WIDE).await.unwrap(), "ab");
}

#[tokio::test]
async fn floods_end_early() {
    let zeros = vec![0; 8 << 20];
    let narrow = Bounds { ratio: 100, ..WIDE };
    for coding in ALL {
        let bytes = encoded(coding, &zeros).await;
        let mut body = decoded(pieces(&bytes, 1000, false), coding, narrow);
        let mut out = 0;
        let error = loop {
            match body.frame().await {
                Some(Ok(frame)) => out += frame.into_data().unwrap().len(),
                Some(Err(error)) => break error,
                None => panic!("{coding:?}: all {out} bytes came"),
            }
        };
        assert!(matches!(*error.downcast().unwrap(), DecodeError::TooLong), "{coding:?}");
        assert!(out <= zeros.len() / 2, "{coding:?}: {out}");
        assert!(body.frame().await.is_none(), "{coding:?}");
        // The same bytes are none if there are fewer of them.
        let few = encoded(coding, &zeros[..FREE as usize]).await;
        assert_eq!(decode(pieces(&few, 10, false), coding, narrow).await.unwrap().len(), FREE as usize);
    }
    // Members of nothing, one after another.
    let nothing = encoded(Coding::Gzip, b"").await.repeat(1000);
    let bounds = Bounds { encoded: 10_000, ..WIDE };
    let given = decode(pieces(&nothing, 100, false), Coding::Gzip, bounds).await;
    assert!(matches!(given, Err(DecodeError::TooLong)), "{given:?}");
}

/// The head of a frame that wants a window of a gigabyte.
#[tokio::test]
async fn a_client_does_not_choose_the_window() {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 20 << 3];
    frame.extend_from_slice(&[0x01, 0x00, 0x00]);
    let given = decode(pieces(&frame, 3, false), Coding::Zstd, WIDE).await;
    assert!(matches!(given, Err(DecodeError::Malformed(_))), "{given:?}");
}

#[test]
fn headers_name_one_coding_or_none() {
    for (values, expected) in [
        (&[][..], Ok(None)),
        (&["identity"], Ok(None)),
        (&[""], Ok(None)),
        (&["gzip"], Ok(Some(Coding::Gzip))),
        (&["GZIP"], Ok(Some(Coding::Gzip))),
        (&["x-gzip"], Ok(Some(Coding::Gzip))),
        (&["identity, br"], Ok(Some(Coding::Brotli))),
        (&["zstd"], Ok(Some(Coding::Zstd))),
        (&["deflate"], Err(UnknownCoding)),
        (&["compress"], Err(UnknownCoding)),
        (&["gzip, gzip"], Err(UnknownCoding)),
        (&["gzip", "br"], Err(UnknownCoding)),
        (&["gzip;q=1"], Err(UnknownCoding)),
    ] {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
        }
        assert_eq!(Coding::of(&headers), expected, "{values:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_come_back(text in proptest::collection::vec(any::<u8>(), 0..3000), size in 1usize..200) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for coding in ALL {
            let bytes = runtime.block_on(encoded(coding, &text));
            let given = runtime.block_on(decode(pieces(&bytes, size, false), coding, WIDE)).unwrap();
            prop_assert_eq!(&given[..], &text[..]);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), size in 1usize..50) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for coding in ALL {
            let _ = runtime.block_on(decode(pieces(&bytes, size, false), coding, WIDE));
        }
    }
}
