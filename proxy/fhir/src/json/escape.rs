//! JSON strings to text and back (RFC 8259 §7).

use std::borrow::Cow;

use super::{Error, ErrorKind};

/// Decodes the inside of a string token (without its quotes). Borrows when nothing is escaped.
///
/// # Errors
/// [`ErrorKind::Encoding`] for an unknown escape, a lone surrogate, or bytes that are not UTF-8; the offset
/// counts from the start of `raw`.
pub fn unescape(raw: &[u8]) -> Result<Cow<'_, str>, Error> {
    let Some(first) = memchr::memchr(b'\\', raw) else {
        return std::str::from_utf8(raw).map(Cow::Borrowed).map_err(|e| fault(e.valid_up_to()));
    };
    let mut text = Vec::with_capacity(raw.len());
    text.extend_from_slice(&raw[..first]);
    let mut at = first;
    while at < raw.len() {
        if raw[at] != b'\\' {
            let end = memchr::memchr(b'\\', &raw[at..]).map_or(raw.len(), |n| at + n);
            text.extend_from_slice(&raw[at..end]);
            at = end;
            continue;
        }
        let plain = match raw.get(at + 1) {
            Some(b'u') => {
                let (character, used) = unicode(&raw[at..]).ok_or_else(|| fault(at))?;
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                at += used;
                continue;
            }
            Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            _ => return Err(fault(at)),
        };
        text.push(plain);
        at += 2;
    }
    String::from_utf8(text).map(Cow::Owned).map_err(|_| fault(first))
}

/// Appends `text` as a JSON string, quotes included.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    write_escaped(out, text);
    out.push(b'"');
}

/// Appends `text` as the inside of a JSON string.
pub fn write_escaped(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let plain = super::plain::plain_len(rest);
        out.extend_from_slice(&rest[..plain]);
        let Some(&byte) = rest.get(plain) else { return };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
        rest = &rest[plain + 1..];
    }
}

/// The character of a `\uXXXX` (or of a surrogate pair) at the start of `raw`, and its length as written.
fn unicode(raw: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = raw.get(at..at + 6)?.strip_prefix(b"\\u")?;
        let digits = digits.iter().all(u8::is_ascii_hexdigit).then(|| std::str::from_utf8(digits).ok())??;
        u32::from_str_radix(digits, 16).ok()
    };
    match unit(0)? {
        high @ 0xd800..=0xdbff => {
            let low = unit(6).filter(|low| (0xdc00..=0xdfff).contains(low))?;
            Some((char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))?, 12))
        }
        other => Some((char::from_u32(other)?, 6)),
    }
}

fn fault(at: usize) -> Error {
    Error { kind: ErrorKind::Encoding, offset: at as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_stands_for_no_character() {
        for raw in [r"\x", r"\u12", r"\ud800", r"\udc00", r"\ud800A", "\\", "\u{0}\\u00g0"] {
            assert!(unescape(raw.as_bytes()).is_err(), "{raw}");
        }
        assert!(unescape(b"\xff").is_err());
    }

    proptest! {
        #[test]
        fn writes_what_serde_json_reads(text in any::<String>()) {
            let mut out = Vec::new();
            write_string(&mut out, &text);
            prop_assert_eq!(&serde_json::from_slice::<String>(&out).unwrap(), &text);
            prop_assert_eq!(unescape(&out[1..out.len() - 1]).unwrap(), text);
        }

        #[test]
        fn reads_what_serde_json_reads(raw in r#"([a-z"\\/bfnrtu0-9é😀]|\\[u"bfnrt/\\]|\\u[0-9a-fA-F]{4}|\\ud83d\\ude00){0,12}"#) {
            let token = format!("\"{raw}\"");
            if let Ok(expected) = serde_json::from_str::<String>(&token) {
                prop_assert_eq!(unescape(raw.as_bytes()).unwrap(), expected);
            }
        }
    }
}
