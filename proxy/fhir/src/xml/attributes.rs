//! The inside of a start tag.

use std::ops::Range;

use quick_xml::events::BytesStart;

use super::ErrorKind;

/// Names are this long at the most.
pub(super) const MAX_NAME: usize = 64;
/// So many attributes in one tag.
const MAX_ATTRIBUTES: usize = 64;

/// Where name and value of an attribute are in the content of its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

/// The length of the name at the start of a tag's content.
///
/// # Errors
/// There is none, or it has what our names do not have: those of FHIR and XHTML are ASCII.
pub(super) fn name(content: &[u8]) -> Result<usize, ErrorKind> {
    let length = content.iter().take_while(|b| !is_space(**b)).count();
    well_named(&content[..length])?;
    Ok(length)
}

/// Reads the attributes that follow the name, of which there are no two alike.
pub(super) fn read(content: &str, name: usize, into: &mut Vec<Attribute>) -> Result<(), ErrorKind> {
    into.clear();
    let bytes = content.as_bytes();
    let place = |part: &str| {
        let start = part.as_ptr() as usize - content.as_ptr() as usize;
        start..start + part.len()
    };
    // Whether two are alike is seen below: the library would hash every name.
    for attribute in BytesStart::from_content(content, name).attributes().with_checks(false) {
        let attribute = attribute.map_err(|_| ErrorKind::Syntax)?;
        let std::borrow::Cow::Borrowed(value) = attribute.value else { return Err(ErrorKind::Syntax) };
        let (name, value) = (place(attribute.key.0), place(value));
        well_named(&bytes[name.clone()])?;
        // The library takes one attribute right behind another, and values that XML has not.
        let apart = name.start.checked_sub(1).is_some_and(|before| is_space(bytes[before]));
        if !apart || bytes[value.clone()].contains(&b'<') {
            return Err(ErrorKind::Syntax);
        }
        if into.len() == MAX_ATTRIBUTES {
            return Err(ErrorKind::TooLong);
        }
        if into.iter().any(|other| bytes[other.name.clone()] == bytes[name.clone()]) {
            return Err(ErrorKind::Syntax);
        }
        into.push(Attribute { name, value });
    }
    Ok(())
}

/// Judges the XML declaration, without its brackets and question marks.
pub(super) fn declaration(content: &[u8]) -> Result<(), ErrorKind> {
    let content = std::str::from_utf8(content).map_err(|_| ErrorKind::Encoding)?;
    if name(content.as_bytes())? != 3 || !content.starts_with("xml") {
        return Err(ErrorKind::Instruction);
    }
    let mut attributes = Vec::new();
    read(content, 3, &mut attributes)?;
    let mut rest = attributes
        .iter()
        .map(|found| (&content[found.name.clone()], &content[found.value.clone()]))
        .peekable();
    if rest.next() != Some(("version", "1.0")) {
        return Err(ErrorKind::Syntax);
    }
    if let Some((_, encoding)) = rest.next_if(|(name, _)| *name == "encoding")
        && !encoding.eq_ignore_ascii_case("utf-8")
    {
        return Err(ErrorKind::Encoding);
    }
    let _ = rest.next_if(|(name, value)| *name == "standalone" && matches!(*value, "yes" | "no"));
    if rest.next().is_none() { Ok(()) } else { Err(ErrorKind::Syntax) }
}

/// White space (XML 1.0 §2.3).
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn well_named(name: &[u8]) -> Result<(), ErrorKind> {
    if name.len() > MAX_NAME {
        return Err(ErrorKind::TooLong);
    }
    let plain = |part: &[u8]| match part.split_first() {
        Some((first, rest)) => {
            (first.is_ascii_alphabetic() || *first == b'_')
                && rest.iter().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(b))
        }
        None => false,
    };
    let mut parts = name.split(|byte| *byte == b':');
    // A prefix at the most.
    let sound = parts.by_ref().take(2).all(plain) && parts.next().is_none();
    if sound { Ok(()) } else { Err(ErrorKind::Syntax) }
}
