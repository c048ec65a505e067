//! Parameters of a URL or of a form body.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The longest text that is parsed, in bytes.
pub const MAX_LENGTH: usize = 64 * 1024;
/// The most parameters that a request may have.
pub const MAX_PAIRS: usize = 500;

/// Decoded names and values, in the order in which they came, repetitions included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

/// Why a text is no list of parameters. Positions count from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParametersError {
    /// Longer than [`MAX_LENGTH`].
    #[error("the parameters are longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// More than [`MAX_PAIRS`].
    #[error("there are more than {MAX_PAIRS} parameters")]
    TooMany,
    /// A percent sign without two hexadecimal digits.
    #[error("parameter {0}: a percent sign must be followed by two hexadecimal digits")]
    Percent(usize),
    /// Not UTF-8 after decoding.
    #[error("parameter {0} is not UTF-8")]
    Utf8(usize),
    /// A control character, raw or decoded.
    #[error("parameter {0} has a control character")]
    Control(usize),
    /// No name, an empty modifier, or characters that no search parameter has.
    #[error("parameter {0}: a name has letters, digits, `-`, `_`, and `:` or `.` between its parts")]
    Name(usize),
}

impl Parameters {
    /// Parses a query string (without its question mark) or an `application/x-www-form-urlencoded` body.
    /// Names and values are decoded once; a plus sign is a space; empty pairs are skipped.
    ///
    /// # Errors
    /// Says what is wrong with which parameter; never quotes it.
    pub fn parse(text: &[u8]) -> Result<Self, ParametersError> {
        if text.len() > MAX_LENGTH {
            return Err(ParametersError::TooLong);
        }
        let mut pairs = Vec::new();
        for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let number = pairs.len() + 1;
            if number > MAX_PAIRS {
                return Err(ParametersError::TooMany);
            }
            let equals = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = equals.map_or((pair, &b""[..]), |at| (&pair[..at], &pair[at + 1..]));
            let (name, value) = (decode(name, number)?, decode(value, number)?);
            if !is_name(&name) {
                return Err(ParametersError::Name(number));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// Encodes them so that [`Self::parse`] gives them back; fit for a query string and for a form body.
    pub fn serialise(&self) -> String {
        let mut out = String::new();
        for (name, value) in &self.0 {
            if !out.is_empty() {
                out.push('&');
            }
            out.extend(utf8_percent_encode(name, ENCODED));
            out.push('=');
            out.extend(utf8_percent_encode(value, ENCODED));
        }
        out
    }

    /// Adds a parameter at the end. The name must be one that [`Self::parse`] accepts.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Names, with their modifiers, and values.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The first value of exactly this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// Every value of exactly this name.
    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.iter().filter(move |(own, _)| *own == name).map(|(_, value)| value)
    }

    /// The others, without any of exactly this name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(own, _)| own != name);
        self
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes out every parameter of exactly this name and answers their values.
    pub fn take(&mut self, name: &str) -> Vec<String> {
        self.0.extract_if(.., |(own, _)| own == name).map(|(_, value)| value).collect()
    }

    /// Replaces the values for which `change` has another; it gets name and value.
    pub(crate) fn change(&mut self, change: impl Fn(&str, &str) -> Option<String>) {
        for (name, value) in &mut self.0 {
            if let Some(other) = change(name, value) {
                *value = other;
            }
        }
    }

    /// Appends the others.
    pub(crate) fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }
}

/// Splits `name:modifier` at its first colon. A chain keeps its dots (`subject:Patient.name` gives `subject`
/// and `Patient.name`; `subject.name` has no modifier).
pub fn split_name(name: &str) -> (&str, Option<&str>) {
    name.split_once(':').map_or((name, None), |(name, modifier)| (name, Some(modifier)))
}

/// What a query may hold as it is (RFC 3986 §3.4), less what means something to parsers of forms or is
/// mangled on the way.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'/')
    .remove(b',');

fn decode(text: &[u8], number: usize) -> Result<String, ParametersError> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (digit(bytes.next()), digit(bytes.next()));
                let (Some(high), Some(low)) = (high, low) else {
                    return Err(ParametersError::Percent(number));
                };
                high << 4 | low
            }
            byte => *byte,
        });
    }
    let text = String::from_utf8(out).map_err(|_| ParametersError::Utf8(number))?;
    if text.chars().any(char::is_control) {
        return Err(ParametersError::Control(number));
    }
    Ok(text)
}

fn digit(byte: Option<&u8>) -> Option<u8> {
    char::from(*byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn is_name(name: &str) -> bool {
    let in_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.split([':', '.']).all(|part| !part.is_empty() && part.bytes().all(in_part))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &str) -> Result<Vec<(String, String)>, ParametersError> {
        Parameters::parse(text.as_bytes()).map(|parameters| parameters.0)
    }

    #[test]
    fn texts_decode_once() {
        for (text, expected) in [
            ("", vec![]),
            ("&&", vec![]),
            ("a=1", vec![("a", "1")]),
            ("a=1&a=2&b=&c", vec![("a", "1"), ("a", "2"), ("b", ""), ("c", "")]),
            ("%5Finclude=*", vec![("_include", "*")]),
            ("a=b=c", vec![("a", "b=c")]),
            ("a=%2541+%2B%20+", vec![("a", "%41 +  ")]),
            ("subject:Patient.name%3Aexact=J%C3%BCrgen", vec![("subject:Patient.name:exact", "Jürgen")]),
            (
                "_has:Observation:patient:code=http://loinc.org|1",
                vec![("_has:Observation:patient:code", "http://loinc.org|1")],
            ),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            assert_eq!(pairs(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn bad_texts_are_refused() {
        use ParametersError as E;
        for (text, error) in [
            ("a=%", E::Percent(1)),
            ("a=%4", E::Percent(1)),
            ("b&a=%zz", E::Percent(2)),
            ("a=%+1", E::Percent(1)),
            ("a=%ff", E::Utf8(1)),
            ("a=%c0%af", E::Utf8(1)),
            ("a=%00", E::Control(1)),
            ("a=x%0d%0ay", E::Control(1)),
            ("a=\n", E::Control(1)),
            ("a=%c2%85", E::Control(1)),
            ("=x", E::Name(1)),
            ("=", E::Name(1)),
            ("a%20=x", E::Name(1)),
            ("a+b=x", E::Name(1)),
            ("patient.=x", E::Name(1)),
            ("patient:=x", E::Name(1)),
            ("p..q=x", E::Name(1)),
            ("n%C3%A4me=x", E::Name(1)),
            ("a;b=x", E::Name(1)),
        ] {
            assert_eq!(pairs(text), Err(error), "{text}");
        }
        assert_eq!(pairs(&"a&".repeat(MAX_PAIRS + 1)), Err(E::TooMany));
        assert_eq!(pairs(&"a&".repeat(MAX_PAIRS)).map(|pairs| pairs.len()), Ok(MAX_PAIRS));
        assert_eq!(pairs(&"a".repeat(MAX_LENGTH + 1)), Err(E::TooLong));
    }

    #[test]
    fn names_select() {
        let parameters = Parameters::parse(b"a=1&b=2&a=3&a:exact=4").unwrap();
        assert_eq!(parameters.get("a"), Some("1"));
        assert_eq!(parameters.all("a").collect::<Vec<_>>(), ["1", "3"]);
        assert_eq!(parameters.get("c"), None);
        assert_eq!(parameters.without("a").serialise(), "b=2&a:exact=4");
        for (name, expected) in [
            ("name", ("name", None)),
            ("name:exact", ("name", Some("exact"))),
            ("subject:Patient.name", ("subject", Some("Patient.name"))),
            ("subject.name", ("subject.name", None)),
        ] {
            assert_eq!(split_name(name), expected);
        }
    }

    proptest! {
        #[test]
        fn serialised_parameters_parse_to_themselves(
            list in proptest::collection::vec(("[a-z_][A-Za-z0-9_-]{0,8}(:[a-z]{1,5})?", "\\PC{0,20}"), 0..20),
        ) {
            let parameters = Parameters(list);
            prop_assert_eq!(Parameters::parse(parameters.serialise().as_bytes()), Ok(parameters));
        }

        #[test]
        fn any_bytes_parse_or_are_refused(bytes in any::<Vec<u8>>()) {
            if let Ok(parameters) = Parameters::parse(&bytes) {
                prop_assert_eq!(Parameters::parse(parameters.serialise().as_bytes()), Ok(parameters));
            }
        }
    }
}
