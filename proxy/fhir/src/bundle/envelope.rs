//! What is around the entries of a Bundle, for a Bundle that loses some of them.

use crate::json::{self, Key, Kind, Step, Value, Visitor};

/// The members that say nothing of the entries, and stay.
const KEPT: [&str; 9] =
    ["resourceType", "id", "meta", "implicitRules", "language", "identifier", "type", "timestamp", "link"];

/// What an envelope says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// `resourceType`
    pub resource_type: Option<String>,
    /// `type`
    pub kind: Option<String>,
    /// `link`, as relation and URL.
    pub links: Vec<(String, String)>,
}

/// An envelope that was read, and how it is written again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// What it says.
    pub envelope: Envelope,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Writes an envelope without what nobody knows to be true any more: a signature, and `total` unless `total` says so.
/// `bytes` is the whole Bundle, its list of entries empty or missing; an empty list goes unless `entries`.
///
/// # Errors
/// It is not valid JSON.
pub fn written(bytes: &[u8], total: bool, entries: bool) -> Result<Written, json::Error> {
    let mut reader = Reader { envelope: Envelope::default(), total, entries };
    let rewrite = json::rewrite(bytes, (), &mut reader)?;
    let bytes = rewrite.apply(bytes);
    Ok(Written { envelope: reader.envelope, bytes })
}

struct Reader {
    envelope: Envelope,
    total: bool,
    entries: bool,
}

impl Visitor for Reader {
    type State = ();

    fn member(&mut self, (): (), key: &Key<'_>, value: &Value<'_>, _: &mut Vec<u8>) -> Step<()> {
        let text = || value.string().map(std::borrow::Cow::into_owned);
        match key.name().as_ref() {
            "resourceType" => self.envelope.resource_type = text(),
            "type" => self.envelope.kind = text(),
            "link" if value.kind() == Kind::Array => return Step::Enter(()),
            _ => {}
        }
        let name = key.name();
        let stays = KEPT.contains(&name.as_ref())
            || (name == "total" && self.total)
            || (name == "entry" && self.entries && value.kind() == Kind::Array);
        if stays { Step::Keep } else { Step::Drop }
    }

    /// Of `link`, which is all that is entered.
    fn element(&mut self, (): (), _: usize, value: &Value<'_>, _: &mut Vec<u8>) -> Step<()> {
        let text = |name| value.member(name).and_then(|text| text.string());
        if let (Some(relation), Some(url)) = (text("relation"), text("url")) {
            self.envelope.links.push((relation.into_owned(), url.into_owned()));
        }
        Step::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_goes() {
        let text = br#"{"resourceType":"Bundle","id":"1","total":7,"type":"searchset","signature":{"a":1},
            "link":[{"relation":"self","url":"http://x"}],"entry":[],"other":1}"#;
        let read = |total, entries| {
            let Written { envelope, bytes } = written(text, total, entries).unwrap();
            assert_eq!(envelope.links, [("self".to_owned(), "http://x".to_owned())]);
            assert_eq!(
                (envelope.resource_type.as_deref(), envelope.kind.as_deref()),
                (Some("Bundle"), Some("searchset"))
            );
            let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(read(false, false), "resourceType id type link");
        assert_eq!(read(true, true), "resourceType id total type link entry");
    }
}
