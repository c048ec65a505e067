//! The parts of a request head that FHIR gives a meaning, and what is kept of its headers.

use std::time::SystemTime;

use super::{Id, Interaction, Pages, Refusal, limits};
use crate::{ResourceType, parameters::Parameters};

/// What is parsed of a request: its line and the headers that matter. Of headers that came several times the
/// caller passes one text, joined by commas.
#[derive(Debug, Clone, Copy, Default)]
pub struct Head<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// The path behind the route's prefix, as it came: empty, or with a slash at its start.
    pub path: &'a str,
    /// The query behind the question mark, as it came.
    pub query: Option<&'a str>,
    /// `Content-Type`
    pub content_type: Option<&'a str>,
    /// `Accept`
    pub accept: Option<&'a str>,
    /// `Prefer`
    pub prefer: Option<&'a str>,
    /// `If-Match`
    pub if_match: Option<&'a str>,
    /// `If-None-Match`
    pub if_none_match: Option<&'a str>,
    /// `If-Modified-Since`
    pub if_modified_since: Option<&'a str>,
    /// `If-None-Exist`
    pub if_none_exist: Option<&'a str>,
    /// Which form links to pages have.
    pub pages: Pages<'a>,
    /// XML is spoken as well as JSON.
    pub xml: bool,
}

impl<'a> Head<'a> {
    /// A head without query and headers.
    pub fn new(method: &'a str, path: &'a str) -> Self {
        Self { method, path, ..Self::default() }
    }
}

/// What a `Prefer` header asks for (RFC 7240, R4 http.html). Other preferences are dropped, as they may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prefer {
    /// `return=…`
    pub representation: Option<Return>,
    /// `handling=…`
    pub handling: Option<Handling>,
    /// `respond-async`
    pub respond_async: bool,
    /// `separate-export-status`: a poll is answered 200, and the state of the job in `X-Export-Status`.
    pub separate_export_status: bool,
}

/// What a write answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Return {
    /// Nothing.
    Minimal,
    /// The resource.
    Representation,
    /// What was done.
    OperationOutcome,
}

/// What becomes of search parameters that the server does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// An error.
    Strict,
    /// They are passed over.
    Lenient,
}

impl Prefer {
    pub(super) fn parse(header: Option<&str>) -> Self {
        let mut prefer = Self::default();
        for preference in header.unwrap_or_default().split(',') {
            // What follows a semicolon only refines the preference before it.
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let value = value.trim().trim_matches('"');
            // Of a preference given twice the first counts (RFC 7240 §2).
            match name.trim().to_ascii_lowercase().as_str() {
                "return" => prefer.representation = prefer.representation.or(Return::parse(value)),
                "handling" => prefer.handling = prefer.handling.or(Handling::parse(value)),
                "respond-async" => prefer.respond_async = true,
                "separate-export-status" => prefer.separate_export_status = true,
                _ => {}
            }
        }
        prefer
    }

    /// The header's value; `None` when nothing is preferred.
    pub fn header(&self) -> Option<String> {
        let parts = [
            self.representation.map(|value| format!("return={}", value.as_str())),
            self.handling.map(|value| format!("handling={}", value.as_str())),
            self.respond_async.then(|| "respond-async".to_owned()),
            self.separate_export_status.then(|| "separate-export-status".to_owned()),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

impl Return {
    fn parse(value: &str) -> Option<Self> {
        [Self::Minimal, Self::Representation, Self::OperationOutcome]
            .into_iter()
            .find(|r| r.as_str() == value)
    }

    /// The preference's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Representation => "representation",
            Self::OperationOutcome => "OperationOutcome",
        }
    }
}

impl Handling {
    fn parse(value: &str) -> Option<Self> {
        [Self::Strict, Self::Lenient].into_iter().find(|handling| handling.as_str() == value)
    }

    /// The preference's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Lenient => "lenient",
        }
    }
}

/// The conditions that a request makes, where they mean something for its interaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preconditions {
    /// `If-Match` of an update, patch or delete: the version it applies to.
    pub if_match: Option<Id>,
    /// `If-None-Match` of a read or an update.
    pub if_none_match: Option<IfNoneMatch>,
    /// `If-Modified-Since` of a read, in whole seconds.
    pub if_modified_since: Option<SystemTime>,
    /// `If-None-Exist` of a create: the search that must find nothing.
    pub if_none_exist: Option<Parameters>,
}

/// What `If-None-Match` rules out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfNoneMatch {
    /// `*`: an update that must create.
    Any,
    /// The version that the caller has.
    Version(Id),
}

impl Preconditions {
    /// Conditions on a write that cannot be kept are refused; those on a read only save bytes, and are dropped
    /// when they make no sense (RFC 9110 §13.1).
    pub(super) fn parse(head: &Head<'_>, interaction: &Interaction) -> Result<Self, Refusal> {
        let mut conditions = Self::default();
        match interaction {
            Interaction::Read { .. } | Interaction::VersionRead { .. } => {
                conditions.if_none_match =
                    head.if_none_match.and_then(Id::from_etag).map(IfNoneMatch::Version);
                conditions.if_modified_since =
                    head.if_modified_since.and_then(|date| httpdate::parse_http_date(date.trim()).ok());
                return Ok(conditions);
            }
            _ if interaction.is_safe() => return Ok(conditions),
            Interaction::Update { .. }
            | Interaction::ConditionalUpdate { .. }
            | Interaction::Patch { .. }
            | Interaction::ConditionalPatch { .. }
            | Interaction::Delete { .. }
            | Interaction::ConditionalDelete { .. } => {
                conditions.if_match = head.if_match.map(version).transpose()?;
            }
            _ => absent("If-Match", head.if_match, interaction)?,
        }
        match (interaction, head.if_none_match.map(str::trim)) {
            (Interaction::Update { .. } | Interaction::ConditionalUpdate { .. }, Some("*")) => {
                conditions.if_none_match = Some(IfNoneMatch::Any);
            }
            (_, tag) => absent("If-None-Match", tag, interaction)?,
        }
        match interaction {
            Interaction::Create { ty } | Interaction::ConditionalCreate { ty } => {
                conditions.if_none_exist = head.if_none_exist.map(|text| condition(*ty, text)).transpose()?;
            }
            _ => absent("If-None-Exist", head.if_none_exist, interaction)?,
        }
        Ok(conditions)
    }

    /// The headers that say so: names in lower case, and values.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let if_none_match = self.if_none_match.as_ref().map(|tag| match tag {
            IfNoneMatch::Any => "*".to_owned(),
            IfNoneMatch::Version(version) => format!("W/\"{version}\""),
        });
        [
            ("if-match", self.if_match.as_ref().map(|version| format!("W/\"{version}\""))),
            ("if-none-match", if_none_match),
            ("if-modified-since", self.if_modified_since.map(httpdate::fmt_http_date)),
            ("if-none-exist", self.if_none_exist.as_ref().map(Parameters::serialise)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

fn version(tag: &str) -> Result<Id, Refusal> {
    Id::from_etag(tag).ok_or_else(|| Refusal::invalid("If-Match must name one version: W/\"3\""))
}

/// The query of `If-None-Exist`; some clients write the type and a question mark before it.
fn condition(ty: ResourceType, text: &str) -> Result<Parameters, Refusal> {
    let text = text.trim();
    let text = match text.split_once('?') {
        Some((before, query)) if before.is_empty() || before == ty.as_str() => query,
        Some((before, _)) if !before.contains(['=', '&']) => {
            return Err(Refusal::invalid("If-None-Exist must be a query on the type that is created"));
        }
        _ => text,
    };
    let parameters = Parameters::parse(text.as_bytes())
        .map_err(|error| Refusal::invalid(format!("If-None-Exist: {error}")))?;
    limits::check_names(&parameters)?;
    limits::check_condition(&parameters)?;
    Ok(parameters)
}

fn absent(name: &str, header: Option<&str>, interaction: &Interaction) -> Result<(), Refusal> {
    match header {
        Some(_) => Err(Refusal::unsupported(format!(
            "{name} as it stands is not supported for the interaction `{}`",
            interaction.code()
        ))),
        None => Ok(()),
    }
}
