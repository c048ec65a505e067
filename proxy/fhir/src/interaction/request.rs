//! A request that was understood, and how it is written again.

use super::{BodyKind, Interaction, OperationMethod, OperationScope, Preconditions, Prefer, Refusal, limits};
use crate::{document::Syntax, format::Format, parameters::Parameters};

/// A request as everything behind the parser sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What it asks for.
    pub interaction: Interaction,
    /// HEAD: as GET, without a body in the answer.
    pub head_only: bool,
    /// Its parameters, less `_format`, `_pretty` and those of a page. Of a search by POST only those of the
    /// URL until [`Request::with_form`] has added the body's.
    pub parameters: Parameters,
    /// The format to answer in.
    pub format: Format,
    /// `_pretty`: whether the answer is to be laid out for people.
    pub pretty: Option<bool>,
    /// Whether a Binary is to be answered by its content instead of as a resource.
    pub binary_raw: bool,
    /// What the body is.
    pub body: BodyKind,
    /// Conditions.
    pub preconditions: Preconditions,
    /// Preferences.
    pub prefer: Prefer,
}

/// Where a request goes, relative to the FHIR base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The HTTP method.
    pub method: &'static str,
    /// Starts with a slash.
    pub path_and_query: String,
}

impl Request {
    /// Method, path and query, written from the typed values. The parameters of a search by POST are not in
    /// it: they all go into the body ([`Request::form`]).
    pub fn target(&self) -> Target {
        let form = self.body == BodyKind::Form;
        let mut path_and_query = self.interaction.path();
        if form {
            path_and_query.push_str(if path_and_query == "/" { "_search" } else { "/_search" });
        } else {
            let query = self.all_parameters().serialise();
            if !query.is_empty() {
                path_and_query.push('?');
                path_and_query.push_str(&query);
            }
        }
        let method = match &self.interaction {
            _ if form => "POST",
            Interaction::Create { .. }
            | Interaction::ConditionalCreate { .. }
            | Interaction::Bundle { .. } => "POST",
            Interaction::Update { .. } | Interaction::ConditionalUpdate { .. } => "PUT",
            Interaction::Patch { .. } | Interaction::ConditionalPatch { .. } => "PATCH",
            Interaction::Delete { .. } | Interaction::ConditionalDelete { .. } => "DELETE",
            Interaction::Operation { method, .. } if *method != OperationMethod::Get => method.as_str(),
            _ if self.head_only => "HEAD",
            _ => "GET",
        };
        Target { method, path_and_query }
    }

    /// The body of a search by POST: the parameters of URL and body as one set. `None` for anything else.
    pub fn form(&self) -> Option<String> {
        (self.body == BodyKind::Form).then(|| self.all_parameters().serialise())
    }

    /// Adds the parameters of the body of a search by POST to those of the URL. `xml`: XML is spoken.
    ///
    /// # Errors
    /// They are not well-formed, or not allowed; or the request has no form.
    pub fn with_form(mut self, body: &[u8], xml: bool) -> Result<Self, Refusal> {
        if self.body != BodyKind::Form {
            return Err(Refusal::media_type("a form is for searches by POST"));
        }
        let mut parameters = Parameters::parse(body)?;
        let (format, pretty) = take_presentation(&mut parameters, xml)?;
        self.format = format.unwrap_or(self.format);
        self.pretty = pretty.or(self.pretty);
        self.parameters.append(parameters);
        limits::check_names(&self.parameters)?;
        limits::check(&self.interaction, &self.parameters)?;
        Ok(self)
    }

    /// The `Accept` header for the server: always one type that can be read, unless the content of a Binary is
    /// wanted. The caller gets what [`Request::format`] says.
    pub fn accept(&self) -> &'static str {
        match self.format.syntax() {
            _ if self.binary_raw => "*/*",
            Syntax::Json => Format::FhirJson.media_type(),
            Syntax::Xml => Format::FhirXml.media_type(),
        }
    }

    /// As the server is to see them.
    fn all_parameters(&self) -> Parameters {
        let mut parameters = match &self.interaction {
            Interaction::Page(page) => page.parameters(),
            _ => Parameters::default(),
        };
        parameters.append(self.parameters.clone());
        if let Some(pretty) = self.pretty {
            parameters.push("_pretty", pretty.to_string());
        }
        parameters
    }
}

impl Interaction {
    /// The path relative to the FHIR base, without `_search`.
    fn path(&self) -> String {
        match self {
            Self::SearchSystem | Self::Bundle { .. } | Self::Page(_) => "/".to_owned(),
            Self::Capabilities => "/metadata".to_owned(),
            Self::HistorySystem => "/_history".to_owned(),
            Self::SearchType { ty }
            | Self::Create { ty }
            | Self::ConditionalCreate { ty }
            | Self::ConditionalUpdate { ty }
            | Self::ConditionalPatch { ty }
            | Self::ConditionalDelete { ty } => format!("/{ty}"),
            Self::Read { ty, id }
            | Self::Update { ty, id }
            | Self::Patch { ty, id }
            | Self::Delete { ty, id } => format!("/{ty}/{id}"),
            Self::VersionRead { ty, id, version } => format!("/{ty}/{id}/_history/{version}"),
            Self::HistoryInstance { ty, id } => format!("/{ty}/{id}/_history"),
            Self::HistoryType { ty } => format!("/{ty}/_history"),
            Self::SearchCompartment { compartment, id, ty } => {
                format!("/{compartment}/{id}/{}", ty.map_or("*", |ty| ty.as_str()))
            }
            Self::Operation { scope, name, .. } => match scope {
                OperationScope::System => format!("/{name}"),
                OperationScope::Type { ty } => format!("/{ty}/{name}"),
                OperationScope::Instance { ty, id } => format!("/{ty}/{id}/{name}"),
            },
        }
    }
}

/// Takes `_format` and `_pretty` out of the parameters.
pub(super) fn take_presentation(
    parameters: &mut Parameters,
    xml: bool,
) -> Result<(Option<Format>, Option<bool>), Refusal> {
    let mut format = None;
    for value in parameters.take("_format") {
        let wanted = Format::from_parameter(&value, xml).map_err(Refusal::not_acceptable)?;
        if format.is_some_and(|known| known != wanted) {
            return Err(Refusal::invalid("the parameter `_format` asks for two formats"));
        }
        format = Some(wanted);
    }
    let mut pretty = None;
    for value in parameters.take("_pretty") {
        pretty = Some(match value.as_str() {
            "true" => true,
            "false" => false,
            _ => return Err(Refusal::invalid("the parameter `_pretty` must be true or false")),
        });
    }
    Ok((format, pretty))
}
