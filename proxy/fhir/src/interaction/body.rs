//! What the body of a request is.

use super::{Interaction, OperationMethod, Refusal};
use crate::{
    ResourceType,
    document::Syntax,
    format::{FHIR_XML, FormatError, MediaType},
};

/// What the body of a request is. The body itself has not been looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyKind {
    /// There must be none, or an empty one.
    None,
    /// A resource as FHIR JSON. For a PATCH: the Parameters of a FHIRPath Patch.
    FhirJson,
    /// The same as FHIR XML.
    FhirXml,
    /// A JSON Patch (RFC 6902).
    JsonPatch,
    /// The parameters of a search.
    Form,
    /// The content of a Binary, of the media type that the header gave.
    Raw(String),
}

impl BodyKind {
    /// The media type to send it under.
    pub fn media_type(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::FhirJson => Some("application/fhir+json"),
            Self::FhirXml => Some(FHIR_XML),
            Self::JsonPatch => Some(JSON_PATCH),
            Self::Form => Some(FORM),
            Self::Raw(media_type) => Some(media_type),
        }
    }

    /// How it is written, if it is a resource.
    pub fn resource(&self) -> Option<Syntax> {
        match self {
            Self::FhirJson => Some(Syntax::Json),
            Self::FhirXml => Some(Syntax::Xml),
            Self::None | Self::JsonPatch | Self::Form | Self::Raw(_) => None,
        }
    }

    /// Judges the `Content-Type` of an interaction. `form`: the interaction is a search by POST. `xml`: XML is spoken.
    pub(super) fn of(
        interaction: &Interaction,
        form: bool,
        content_type: Option<&str>,
        xml: bool,
    ) -> Result<Self, Refusal> {
        let expected = match interaction {
            _ if form => Expected::Form,
            Interaction::Create { ty }
            | Interaction::ConditionalCreate { ty }
            | Interaction::Update { ty, .. }
                if *ty == ResourceType::Binary =>
            {
                Expected::Binary
            }
            Interaction::Create { .. }
            | Interaction::ConditionalCreate { .. }
            | Interaction::Update { .. }
            | Interaction::ConditionalUpdate { .. }
            | Interaction::Bundle { .. } => Expected::Resource,
            Interaction::Patch { .. } | Interaction::ConditionalPatch { .. } => Expected::Patch,
            Interaction::Operation { method: OperationMethod::Post, .. } if content_type.is_some() => {
                Expected::Resource
            }
            _ => return Ok(Self::None),
        };
        let header = content_type.ok_or_else(|| refused(&expected))?;
        let media = MediaType::parse(header).ok_or_else(|| refused(&expected))?;
        let kind = match (&expected, &*media.essence) {
            (Expected::Form, FORM) => Self::Form,
            (Expected::Patch, JSON_PATCH) => Self::JsonPatch,
            // HAPI takes `application/json` as content here, not as a resource.
            (Expected::Binary, "application/json" | "text/json") => return Ok(Self::Raw(header.to_owned())),
            (Expected::Binary, _) if !media.is_fhir() => return Ok(Self::Raw(header.to_owned())),
            (Expected::Resource | Expected::Patch | Expected::Binary, essence) => {
                // Whether HAPI takes plain XML for the content of a Binary or for a Binary is not for us to guess.
                let xml = xml && (!matches!(expected, Expected::Binary) || essence == FHIR_XML);
                let format = media.format(xml).map_err(|error| match error {
                    FormatError::Version => Refusal::media_type(error.to_string()),
                    _ => refused(&expected),
                })?;
                match format.syntax() {
                    Syntax::Json => Self::FhirJson,
                    Syntax::Xml => Self::FhirXml,
                }
            }
            (Expected::Form, _) => return Err(refused(&expected)),
        };
        if media.is_utf8() { Ok(kind) } else { Err(Refusal::media_type(FormatError::Charset.to_string())) }
    }
}

const JSON_PATCH: &str = "application/json-patch+json";
const FORM: &str = "application/x-www-form-urlencoded";

enum Expected {
    Resource,
    Patch,
    Form,
    Binary,
}

fn refused(expected: &Expected) -> Refusal {
    Refusal::media_type(match expected {
        Expected::Resource => "the body must have the content type application/fhir+json",
        Expected::Patch => {
            "the body must have the content type application/json-patch+json, or application/fhir+json for a \
             FHIRPath Patch"
        }
        Expected::Form => "the body must have the content type application/x-www-form-urlencoded",
        Expected::Binary => {
            "the body must have the content type application/fhir+json, or that of the content; plain XML, NDJSON of \
             FHIR and forms are not supported"
        }
    })
}
