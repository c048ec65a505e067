//! Which media type a caller wants, and which one it sends (R4 http.html §2.21.0.6).
//!
//! JSON passes, and XML where the route speaks it: plugins read JSON. HAPI answers a wish it does not know with
//! another syntax under any name it likes (`application/fhir+ndjson` gives XML).

use std::borrow::Cow;

use crate::document::Syntax;
use crate::parameters::Parameters;

/// The media type to answer in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `application/fhir+json`
    FhirJson,
    /// `application/json`, for callers that know no other.
    Json,
    /// `application/fhir+xml`
    FhirXml,
    /// `application/xml`, likewise.
    Xml,
}

/// Why a wish cannot be met or a body not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Another syntax.
    #[error("only JSON is supported, and XML on routes that speak it: application/fhir+json")]
    Syntax,
    /// Another FHIR version.
    #[error("only FHIR R4 is supported: fhirVersion=4.0, or none")]
    Version,
    /// Another character set.
    #[error("only UTF-8 is supported")]
    Charset,
}

impl Format {
    /// The media type, without parameters.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::FhirJson => FHIR_JSON,
            Self::Json => "application/json",
            Self::FhirXml => FHIR_XML,
            Self::Xml => "application/xml",
        }
    }

    /// How a document of it is written.
    pub fn syntax(self) -> Syntax {
        match self {
            Self::FhirJson | Self::Json => Syntax::Json,
            Self::FhirXml | Self::Xml => Syntax::Xml,
        }
    }

    /// The value of a `Content-Type` header.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::FhirJson => "application/fhir+json;charset=utf-8",
            Self::Json => "application/json;charset=utf-8",
            Self::FhirXml => "application/fhir+xml;charset=utf-8",
            Self::Xml => "application/xml;charset=utf-8",
        }
    }

    /// The format of an error: what the query asks for, or else what the caller accepts; FHIR's own where that is nothing
    /// we have. `xml`: XML is spoken.
    pub fn for_errors(query: Option<&str>, accept: Option<&str>, xml: bool) -> Self {
        let parameters = query.and_then(|query| Parameters::parse(query.as_bytes()).ok());
        let asked = parameters.and_then(|parameters| {
            let value = parameters.all("_format").next()?;
            Self::from_parameter(value, xml).ok()
        });
        asked.unwrap_or_else(|| Accept::parse(accept, xml).format().unwrap_or(Self::FhirJson))
    }

    /// The format that a `_format` parameter asks for. A plus sign may have become a space.
    ///
    /// # Errors
    /// It asks for something else than JSON of R4, or XML if that is spoken.
    pub fn from_parameter(value: &str, xml: bool) -> Result<Self, FormatError> {
        match value {
            "json" => return Ok(Self::FhirJson),
            "xml" if xml => return Ok(Self::FhirXml),
            _ => {}
        }
        let (essence, parameters) = value.split_at(value.find(';').unwrap_or(value.len()));
        let value = essence.trim_matches(' ').replace(' ', "+") + parameters;
        MediaType::parse(&value).ok_or(FormatError::Syntax)?.format(xml)
    }
}

impl Format {
    /// Its place among equals.
    fn rank(self) -> u8 {
        match self {
            Self::FhirJson => 0,
            Self::FhirXml => 1,
            Self::Json => 2,
            Self::Xml => 3,
        }
    }
}

/// An `Accept` header.
pub(crate) struct Accept<'a> {
    /// What it names, less what it rules out or what makes no sense. Empty: nothing can be answered.
    ranges: Vec<MediaType<'a>>,
    /// XML is spoken.
    xml: bool,
}

impl<'a> Accept<'a> {
    /// Reads the header; several are joined by commas. Without one, everything is welcome.
    pub(crate) fn parse(header: Option<&'a str>, xml: bool) -> Self {
        let header = header.filter(|header| !header.trim().is_empty()).unwrap_or(ANYTHING);
        let ranges = header.split(',').filter_map(MediaType::parse).filter(|range| range.quality > 0);
        Self { ranges: ranges.collect(), xml }
    }

    /// The format to answer a resource in: what is named with the higher quality; of equals FHIR's own types before the
    /// plain ones, and JSON before XML.
    pub(crate) fn format(&self) -> Result<Format, FormatError> {
        let mut best: Option<(u16, Format)> = None;
        let mut error = FormatError::Syntax;
        for range in &self.ranges {
            let format = match range.format(self.xml) {
                Ok(format) => format,
                Err(FormatError::Syntax) if range.is_wild() => Format::FhirJson,
                Err(other) => {
                    error = if other == FormatError::Version { other } else { error };
                    continue;
                }
            };
            let better = best.is_none_or(|(quality, known)| {
                range.quality > quality || (range.quality == quality && format.rank() < known.rank())
            });
            if better {
                best = Some((range.quality, format));
            }
        }
        best.map(|(_, format)| format).ok_or(error)
    }

    /// Whether a Binary is answered by its content: HAPI does so unless a FHIR type is named, also for
    /// `application/json` and `*/*`. Not when all that is named are other syntaxes of FHIR.
    pub(crate) fn raw(&self) -> bool {
        let content = |range: &MediaType| range.essence == FHIR_NDJSON || !range.is_fhir();
        let resource =
            |range: &MediaType| range.essence == FHIR_JSON || (self.xml && range.essence == FHIR_XML);
        self.ranges.iter().any(content) && !self.ranges.iter().any(resource)
    }
}

const FHIR_JSON: &str = "application/fhir+json";
pub(crate) const FHIR_XML: &str = "application/fhir+xml";
/// The content of bulk files.
const FHIR_NDJSON: &str = "application/fhir+ndjson";
const ANYTHING: &str = "*/*";

/// A media type or range with the parameters that matter here (RFC 9110 §8.3.1, §12.5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaType<'a> {
    /// Type and subtype in lower case.
    pub(crate) essence: Cow<'a, str>,
    charset: Option<&'a str>,
    version: Option<&'a str>,
    /// In thousandths.
    quality: u16,
}

impl<'a> MediaType<'a> {
    /// `None` when it is not well-formed.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(|part| part.trim_matches([' ', '\t']));
        let essence = match parts.next()? {
            usual @ (FHIR_JSON | FHIR_XML | ANYTHING) => Cow::Borrowed(usual),
            other => Cow::Owned(other.to_ascii_lowercase()),
        };
        let (main, sub) = essence.split_once('/')?;
        if matches!(essence, Cow::Owned(_)) && !(is_token(main) && is_token(sub)) {
            return None;
        }
        let mut media = Self { essence, charset: None, version: None, quality: 1000 };
        for parameter in parts.filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=')?;
            let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
            if !is_token(name) || value.is_empty() || !value.bytes().all(|b| (b' '..0x7f).contains(&b)) {
                return None;
            }
            match name.to_ascii_lowercase().as_str() {
                "charset" => media.charset = Some(value),
                "fhirversion" => media.version = Some(value),
                "q" => media.quality = quality(value)?,
                _ => {}
            }
        }
        Some(media)
    }

    /// Which JSON of R4 it is, or which XML if that is spoken.
    pub(crate) fn format(&self, xml: bool) -> Result<Format, FormatError> {
        let format = match &*self.essence {
            FHIR_JSON => Format::FhirJson,
            "application/json" | "text/json" => Format::Json,
            FHIR_XML if xml => Format::FhirXml,
            "application/xml" | "text/xml" if xml => Format::Xml,
            _ => return Err(FormatError::Syntax),
        };
        if self.version.is_some_and(|version| !matches!(version, "4.0" | "4.0.1")) {
            return Err(FormatError::Version);
        }
        Ok(format)
    }

    pub(crate) fn is_utf8(&self) -> bool {
        self.charset.is_none_or(|charset| charset.eq_ignore_ascii_case("utf-8"))
    }

    /// Whether a FHIR server may read it as a resource, or as parameters, rather than as the content of a
    /// Binary.
    pub(crate) fn is_fhir(&self) -> bool {
        let (_, sub) = self.essence.split_once('/').unwrap_or_default();
        sub.split('+').any(|part| part == "fhir")
            || matches!(sub, "xml" | "turtle" | "x-turtle" | "x-www-form-urlencoded")
    }

    fn is_wild(&self) -> bool {
        matches!(&*self.essence, ANYTHING | "application/*")
    }
}

/// Thousandths of a quality value: `0.8`, `1`, `1.000`.
fn quality(value: &str) -> Option<u16> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !matches!(whole, "0" | "1") || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{whole}{fraction:0<3}").parse().ok()?;
    (thousandths <= 1000).then_some(thousandths)
}

fn is_token(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const F: Result<Format, FormatError> = Ok(Format::FhirJson);
    const J: Result<Format, FormatError> = Ok(Format::Json);
    const SYNTAX: Result<Format, FormatError> = Err(FormatError::Syntax);
    const VERSION: Result<Format, FormatError> = Err(FormatError::Version);

    #[test]
    fn format_parameters() {
        for (value, expected) in [
            ("json", F),
            ("application/fhir+json", F),
            ("application/fhir json", F),
            ("Application/FHIR+JSON", F),
            ("application/fhir+json; fhirVersion=4.0", F),
            ("application/fhir json; fhirVersion=4.0.1", F),
            ("application/fhir+json;fhirVersion=5.0", VERSION),
            ("application/json", J),
            ("text/json", J),
            ("*/*", SYNTAX),
            ("xml", SYNTAX),
            ("ttl", SYNTAX),
            ("html", SYNTAX),
            ("html/json", SYNTAX),
            ("text/html", SYNTAX),
            ("application/fhir+xml", SYNTAX),
            ("application/fhir+ndjson", SYNTAX),
            ("ndjson", SYNTAX),
            ("csv", SYNTAX),
            ("application/json+fhir", SYNTAX),
            ("JSON", SYNTAX),
            ("", SYNTAX),
        ] {
            assert_eq!(Format::from_parameter(value, false), expected, "{value}");
        }
    }

    /// Header, format of a resource, whether a Binary comes raw.
    #[test]
    fn accept_headers() {
        for (header, format, raw) in [
            (None, F, true),
            (Some(""), F, true),
            (Some("  "), F, true),
            (Some("*/*"), F, true),
            (Some("application/*"), F, true),
            (Some("application/fhir+json"), F, false),
            (Some("application/fhir json"), SYNTAX, false),
            (Some("application/fhir+json;charset=utf-8"), F, false),
            (Some("application/fhir+json; fhirVersion=4.0"), F, false),
            (Some("application/fhir+json; fhirVersion=\"4.0\""), F, false),
            (Some("application/fhir+json; fhirVersion=5.0"), VERSION, false),
            (Some("application/fhir+json; fhirVersion=5.0, application/json;q=0.1"), J, false),
            (Some("application/json"), J, true),
            (Some("application/json, text/plain, */*"), F, true),
            (Some("application/json, */*;q=0.5"), J, true),
            (Some("text/json"), J, true),
            (Some("application/json, application/fhir+json"), F, false),
            (Some("application/fhir+json;q=0.5, application/json"), J, false),
            (Some("application/fhir+xml, application/fhir+json;q=0.9"), F, false),
            (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), F, true),
            (Some("application/fhir+xml"), SYNTAX, false),
            (Some("application/xml, text/xml"), SYNTAX, false),
            (Some("text/turtle"), SYNTAX, false),
            (Some("text/html"), SYNTAX, true),
            (Some("application/fhir+ndjson"), SYNTAX, true),
            (Some("image/png"), SYNTAX, true),
            (Some("application/fhir+json;q=0"), SYNTAX, false),
            (Some("application/fhir+json;q=0, application/json"), J, true),
            (Some("application/json;q=2"), SYNTAX, false),
            (Some("json"), SYNTAX, false),
            (Some(",,"), SYNTAX, false),
            (Some("application/json;=;"), SYNTAX, false),
        ] {
            let accept = Accept::parse(header, false);
            assert_eq!((accept.format(), accept.raw()), (format, raw), "{header:?}");
        }
    }

    /// Where XML is spoken.
    #[test]
    fn xml() {
        const X: Result<Format, FormatError> = Ok(Format::FhirXml);
        const P: Result<Format, FormatError> = Ok(Format::Xml);
        for (header, format, raw) in [
            (Some("application/fhir+xml"), X, false),
            (Some("application/xml"), P, false),
            (Some("text/xml"), P, false),
            (Some("application/fhir+xml; fhirVersion=4.0"), X, false),
            (Some("application/fhir+xml; fhirVersion=5.0"), VERSION, false),
            (Some("application/fhir+xml, application/fhir+json"), F, false),
            (Some("application/fhir+xml, application/fhir+json;q=0.9"), X, false),
            (Some("application/fhir+xml, application/json"), X, false),
            (Some("application/xml, application/fhir+xml"), X, false),
            (Some("application/fhir+xml;q=0.5, */*;q=0.1"), X, false),
            (Some("application/fhir+xml, */*"), F, false),
            (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), P, true),
            (Some("application/fhir+xml;q=0"), SYNTAX, false),
            (Some("text/turtle"), SYNTAX, false),
            (Some("*/*"), F, true),
            (None, F, true),
        ] {
            let accept = Accept::parse(header, true);
            assert_eq!((accept.format(), accept.raw()), (format, raw), "{header:?}");
        }
        for (value, expected) in [
            ("xml", X),
            ("application/fhir+xml", X),
            ("application/fhir xml", X),
            ("application/xml", P),
            ("text/xml", P),
            ("application/fhir+xml;fhirVersion=5.0", VERSION),
            ("json", F),
            ("XML", SYNTAX),
            ("html", SYNTAX),
            ("application/xml+fhir", SYNTAX),
        ] {
            assert_eq!(Format::from_parameter(value, true), expected, "{value}");
        }
    }

    #[test]
    fn errors() {
        for (query, accept, xml, expected) in [
            (None, None, true, Format::FhirJson),
            (None, Some("application/fhir+xml"), true, Format::FhirXml),
            (None, Some("application/fhir+xml"), false, Format::FhirJson),
            (Some("x=y&_format=xml"), Some("application/json"), true, Format::FhirXml),
            (Some("_format=application%2Fxml"), None, true, Format::Xml),
            (Some("_format=xml"), Some("application/json"), false, Format::Json),
            (Some("_format=ttl"), Some("text/xml"), true, Format::Xml),
            (Some("%ff=x&_format=xml"), Some("text/turtle"), true, Format::FhirJson),
        ] {
            assert_eq!(Format::for_errors(query, accept, xml), expected, "{query:?} {accept:?} {xml}");
        }
    }

    #[test]
    fn qualities() {
        for (text, expected) in [
            ("1", Some(1000)),
            ("1.000", Some(1000)),
            ("0", Some(0)),
            ("0.", Some(0)),
            ("0.8", Some(800)),
            ("0.123", Some(123)),
            ("1.001", None),
            ("2", None),
            ("", None),
            (".5", None),
            ("0.1234", None),
            ("0.+1", None),
        ] {
            assert_eq!(quality(text), expected, "{text}");
        }
    }

    #[test]
    fn what_a_server_may_read_as_fhir() {
        for (text, expected) in [
            ("application/fhir+json", true),
            ("application/json+fhir", true),
            ("application/fhir+ndjson", true),
            ("application/xml", true),
            ("text/xml", true),
            ("application/x-turtle", true),
            ("application/x-www-form-urlencoded", true),
            ("application/json", false),
            ("application/pdf", false),
            ("image/svg+xml", false),
            ("application/ndjson", false),
        ] {
            assert_eq!(MediaType::parse(text).unwrap().is_fhir(), expected, "{text}");
        }
    }
}
