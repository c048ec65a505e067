//! OperationOutcome: how every refusal and failure reads to a FHIR client (R4 operationoutcome.html).

mod server;

use std::fmt;

use crate::document::Syntax;
use crate::format::Format;
use crate::{json, xml};

pub(crate) use server::ServerText;

/// An OperationOutcome with one issue.
///
/// The request id goes behind the text, in `diagnostics`: that is the one element that all clients show, and
/// people quote what they see. `details` and extensions stay unused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationOutcome {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of issue it is.
    pub code: IssueCode,
    /// For people: what is wrong and what would be right. Never what a resource or a token says.
    pub diagnostics: String,
    /// The id of the exchange, by which operators find it in their logs.
    pub request_id: Option<String>,
}

impl OperationOutcome {
    /// An error.
    pub fn error(code: IssueCode, diagnostics: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, diagnostics: diagnostics.into(), request_id: None }
    }

    /// Names the exchange.
    #[must_use]
    pub fn with_request_id(mut self, id: impl Into<String>) -> Self {
        self.request_id = Some(id.into());
        self
    }

    /// The resource in this format.
    pub fn to(&self, format: Format) -> Vec<u8> {
        match format.syntax() {
            Syntax::Json => self.to_json(),
            Syntax::Xml => self.to_xml(),
        }
    }

    /// The resource as XML.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut out = format!(
            "<OperationOutcome xmlns=\"{}\"><issue><severity value=\"{}\"/><code value=\"{}\"/><diagnostics value=\"",
            xml::FHIR,
            self.severity.as_str(),
            self.code.as_str(),
        )
        .into_bytes();
        xml::write_escaped(&mut out, &self.diagnostics);
        if let Some(id) = &self.request_id {
            out.extend_from_slice(b" (request ");
            xml::write_escaped(&mut out, id);
            out.push(b')');
        }
        out.extend_from_slice(b"\"/></issue></OperationOutcome>");
        out
    }

    /// The resource as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = br#"{"resourceType":"OperationOutcome","issue":[{"severity":""#.to_vec();
        out.extend_from_slice(self.severity.as_str().as_bytes());
        out.extend_from_slice(br#"","code":""#);
        out.extend_from_slice(self.code.as_str().as_bytes());
        out.extend_from_slice(br#"","diagnostics":""#);
        json::write_escaped(&mut out, &self.diagnostics);
        if let Some(id) = &self.request_id {
            out.extend_from_slice(b" (request ");
            json::write_escaped(&mut out, id);
            out.push(b')');
        }
        out.extend_from_slice(br#""}]}"#);
        out
    }
}

/// <http://hl7.org/fhir/issue-severity>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The action could not be begun.
    Fatal,
    /// The action failed.
    Error,
    /// The action went through, but something deserves attention.
    Warning,
    /// Nothing is wrong.
    Information,
}

impl Severity {
    /// The code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "information",
        }
    }
}

macro_rules! issue_codes {
    ($($(#[$doc:meta])+ $name:ident = $code:literal,)+) => {
        /// <http://hl7.org/fhir/issue-type>, as R4 has it. Plugins may name any of them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum IssueCode {
            $($(#[$doc])+ $name,)+
        }

        impl IssueCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code as text.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }
        }
    };
}

issue_codes! {
    /// Content not valid by the specification or a profile; a bad parameter.
    Invalid = "invalid",
    /// The structure is wrong: not JSON, for instance.
    Structure = "structure",
    /// A required element or header is missing.
    Required = "required",
    /// A value of an element or header is not valid.
    Value = "value",
    /// A content validation rule failed.
    Invariant = "invariant",
    /// An authentication or permissions issue.
    Security = "security",
    /// The client needs to start authentication.
    Login = "login",
    /// The user or system could not be authenticated.
    Unknown = "unknown",
    /// The session expired.
    Expired = "expired",
    /// The caller has not the rights.
    Forbidden = "forbidden",
    /// Some information was left out, because the caller has not the rights to see it.
    Suppressed = "suppressed",
    /// A processing issue.
    Processing = "processing",
    /// The resource, operation, parameter or format is not supported.
    NotSupported = "not-supported",
    /// An attempt to create a duplicate.
    Duplicate = "duplicate",
    /// A condition matched several resources.
    MultipleMatches = "multiple-matches",
    /// Not found.
    NotFound = "not-found",
    /// Deleted.
    Deleted = "deleted",
    /// Longer than is processed.
    TooLong = "too-long",
    /// A code or system could not be understood.
    CodeInvalid = "code-invalid",
    /// An extension was not acceptable.
    Extension = "extension",
    /// The operation was stopped to protect the server.
    TooCostly = "too-costly",
    /// A business rule forbids it.
    BusinessRule = "business-rule",
    /// An edit conflict.
    Conflict = "conflict",
    /// A passing issue: the request may succeed when it is sent again.
    Transient = "transient",
    /// A resource or record lock failed.
    LockError = "lock-error",
    /// The store is not available.
    NoStore = "no-store",
    /// An unexpected internal error.
    Exception = "exception",
    /// An internal time limit passed.
    Timeout = "timeout",
    /// Not all data sources could be reached.
    Incomplete = "incomplete",
    /// The load is throttled.
    Throttled = "throttled",
    /// Not an issue.
    Informational = "informational",
}

impl IssueCode {
    /// The code of this text.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.as_str() == code)
    }
}

impl fmt::Display for IssueCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn codes_parse_to_themselves() {
        assert_eq!(IssueCode::ALL.len(), 31);
        for code in IssueCode::ALL {
            assert_eq!(IssueCode::parse(code.as_str()), Some(*code));
        }
        for code in ["", "Invalid", "not_supported", "success"] {
            assert_eq!(IssueCode::parse(code), None);
        }
    }

    #[test]
    fn json_has_one_issue() {
        let outcome =
            OperationOutcome::error(IssueCode::NotSupported, "no such type").with_request_id("0193");
        let expected = json!({"resourceType": "OperationOutcome", "issue": [
            {"severity": "error", "code": "not-supported", "diagnostics": "no such type (request 0193)"}]});
        assert_eq!(serde_json::from_slice::<Value>(&outcome.to_json()).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn any_text_is_escaped(text in any::<String>(), id in proptest::option::of(any::<String>())) {
            let mut outcome = OperationOutcome::error(IssueCode::Exception, text.clone());
            outcome.request_id.clone_from(&id);
            let value: Value = serde_json::from_slice(&outcome.to_json()).unwrap();
            let shown = id.map_or(text.clone(), |id| format!("{text} (request {id})"));
            prop_assert_eq!(value["issue"][0]["diagnostics"].as_str(), Some(shown.as_str()));

            let text = String::from_utf8(outcome.to_xml()).unwrap();
            let document = roxmltree::Document::parse(&text).unwrap();
            let has = |name| document.descendants().find(|n| n.has_tag_name((xml::FHIR, name)));
            let values = ["severity", "code"].map(|name| has(name).unwrap().attribute("value"));
            prop_assert_eq!(values, [Some("error"), Some("exception")]);
            let said = has("diagnostics").unwrap().attribute("value").unwrap();
            // XML has not all characters.
            let same = |(a, b): (char, char)| a == b || b == '\u{fffd}';
            prop_assert!(said.chars().count() == shown.chars().count() && shown.chars().zip(said.chars()).all(same));
        }
    }
}
