//! Security labels that say what was done (`meta.security`).

/// A set of labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Labels(u8);

const OBSERVATION_VALUE: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";

/// Code, system and display, in the order they are written. The misspelt code is HL7's.
const ALL: [(&str, Option<&str>, &str); 4] = [
    ("REDACTED", Some(OBSERVATION_VALUE), "redacted"),
    ("ABSTRED", Some(OBSERVATION_VALUE), "abstracted"),
    ("CRYTOHASH", Some(OBSERVATION_VALUE), "cryptographic hash function"),
    ("PERTURBED", None, "exact value is replaced with another exact value"),
];

impl Labels {
    /// Something was removed, or lost detail.
    pub(crate) const REDACTED: Self = Self(1);
    /// A postal code lost detail.
    pub(crate) const ABSTRACTED: Self = Self(2);
    /// Something was replaced by its keyed hash.
    pub(crate) const HASHED: Self = Self(4);
    /// A date was moved.
    pub(crate) const PERTURBED: Self = Self(8);

    /// The label of this code, upper and lower case alike.
    pub(crate) fn of_code(code: &str) -> Self {
        let at = ALL.iter().position(|(label, ..)| label.eq_ignore_ascii_case(code));
        Self(at.map_or(0, |at| 1 << at))
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Appends the labels as JSON objects with commas between.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let mut separator: &[u8] = b"";
        for (_, (code, system, display)) in ALL.iter().enumerate().filter(|(at, _)| self.0 & 1 << at != 0) {
            out.extend_from_slice(separator);
            separator = b",";
            out.push(b'{');
            if let Some(system) = system {
                out.extend_from_slice(format!(r#""system":"{system}","#).as_bytes());
            }
            out.extend_from_slice(format!(r#""code":"{code}","display":"{display}"}}"#).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_written_in_order() {
        let mut labels = Labels::PERTURBED;
        labels.add(Labels::REDACTED);
        labels.add(Labels::HASHED);
        let mut out = Vec::new();
        labels.without(Labels::of_code("crytohash")).write(&mut out);
        let expected = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"REDACTED","display":"redacted"},{"code":"PERTURBED","display":"exact value is replaced with another exact value"}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert!(Labels::of_code("other").is_empty() && Labels::default().is_empty());
    }
}
