//! Values of attributes and texts: references, characters, and how they are written.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::attributes::Attribute;
use quick_xml::name::QName;

use super::ErrorKind;

/// A reference may be this long, without its ampersand and semicolon.
const MAX_REFERENCE: usize = 10;

/// Decodes the value of an attribute (without its quotes): references become characters, white space becomes spaces
/// (XML 1.0 §3.3.3). Borrows when there is nothing to decode.
///
/// # Errors
/// [`ErrorKind::Encoding`] for bytes or references that are no characters, [`ErrorKind::Dtd`] for an entity,
/// [`ErrorKind::Syntax`] for half a reference.
pub fn unescape(raw: &[u8]) -> Result<Cow<'_, str>, ErrorKind> {
    check(raw)?;
    let raw = std::str::from_utf8(raw).map_err(|_| ErrorKind::Encoding)?;
    let attribute = Attribute { key: QName(""), value: Cow::Borrowed(raw) };
    attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|_| ErrorKind::Syntax)
}

/// Whether the references of a value are sound.
pub(super) fn check(raw: &[u8]) -> Result<(), ErrorKind> {
    let mut references = References::default();
    references.feed(raw)?;
    references.finish()
}

/// The same of a value that was cut: what comes before the character or reference that the cut went through, and what
/// is left.
pub(crate) fn unescape_start(raw: &[u8]) -> (Cow<'_, str>, &[u8]) {
    let whole = match std::str::from_utf8(raw) {
        Ok(_) => raw.len(),
        Err(error) => error.valid_up_to(),
    };
    let reference = memchr::memrchr(b'&', &raw[..whole]);
    let end = reference.filter(|at| memchr::memchr(b';', &raw[*at..whole]).is_none()).unwrap_or(whole);
    unescape(&raw[..end]).map_or((Cow::Borrowed(""), raw), |text| (text, &raw[end..]))
}

/// Appends `text` as the value of an attribute, or as the text of an element. What is no character of XML becomes
/// U+FFFD.
pub fn write_escaped(out: &mut Vec<u8>, text: &str) {
    for character in text.chars() {
        let escaped = match character {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' => "&quot;",
            '\'' => "&apos;",
            '\t' => "&#9;",
            '\n' => "&#10;",
            '\r' => "&#13;",
            other => {
                let other = if is_character(other) { other } else { char::REPLACEMENT_CHARACTER };
                out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
        };
        out.extend_from_slice(escaped.as_bytes());
    }
}

/// Whether XML 1.0 has this character (§2.2).
fn is_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Checks references in a stream: those to characters, and the five that XML declares itself.
#[derive(Debug, Default)]
pub(super) struct References {
    /// What follows the ampersand.
    held: [u8; MAX_REFERENCE],
    length: Option<usize>,
}

impl References {
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), ErrorKind> {
        let mut rest = bytes;
        loop {
            let Some(length) = self.length else {
                let Some(at) = memchr::memchr(b'&', rest) else { return Ok(()) };
                rest = &rest[at + 1..];
                self.length = Some(0);
                continue;
            };
            let Some((&byte, after)) = rest.split_first() else { return Ok(()) };
            rest = after;
            if byte == b';' {
                known(&self.held[..length])?;
                self.length = None;
            } else {
                // Longer ones are names of entities.
                *self.held.get_mut(length).ok_or(ErrorKind::Dtd)? = byte;
                self.length = Some(length + 1);
            }
        }
    }

    /// The text is over.
    pub(super) fn finish(&self) -> Result<(), ErrorKind> {
        if self.length.is_none() { Ok(()) } else { Err(ErrorKind::Syntax) }
    }
}

fn known(reference: &[u8]) -> Result<(), ErrorKind> {
    let reference = std::str::from_utf8(reference).map_err(|_| ErrorKind::Syntax)?;
    let Some(number) = reference.strip_prefix('#') else {
        let name = !reference.is_empty() && reference.bytes().all(|b| b.is_ascii_alphanumeric());
        return match (name, resolve_predefined_entity(reference)) {
            (_, Some(_)) => Ok(()),
            (true, None) => Err(ErrorKind::Dtd),
            (false, None) => Err(ErrorKind::Syntax),
        };
    };
    let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |digits| (digits, 16));
    if digits.is_empty() || !digits.bytes().all(|b| char::from(b).is_digit(radix)) {
        return Err(ErrorKind::Syntax);
    }
    let character = u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    if character.is_some_and(is_character) { Ok(()) } else { Err(ErrorKind::Encoding) }
}

/// Finds bytes that are no characters of XML, in a stream of UTF-8: controls, U+FFFE and U+FFFF.
#[derive(Debug, Default)]
pub(super) struct Characters {
    /// The last two bytes.
    last: u32,
}

/// So many bytes are looked at in one go.
const BLOCK: usize = 64;

impl Characters {
    /// `Err` carries the offset in `chunk`.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> Result<(), usize> {
        for (number, block) in chunk.chunks(BLOCK).enumerate() {
            if block.iter().fold(false, |bad, byte| bad | is_control(*byte) | (*byte == 0xef))
                || self.is_open()
            {
                self.bytes(block).map_err(|at| number * BLOCK + at)?;
            } else {
                self.last = 0;
            }
        }
        Ok(())
    }

    /// A character of three bytes has begun that may be none.
    fn is_open(&self) -> bool {
        self.last & 0xff == 0xef || self.last & 0xffff == 0xefbf
    }

    fn bytes(&mut self, block: &[u8]) -> Result<(), usize> {
        for (at, &byte) in block.iter().enumerate() {
            self.last = (self.last << 8 | u32::from(byte)) & 0x00ff_ffff;
            if is_control(byte) || matches!(self.last, 0x00ef_bfbe | 0x00ef_bfbf) {
                return Err(at);
            }
        }
        Ok(())
    }
}

fn is_control(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')
}
