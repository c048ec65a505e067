//! What one entry asks for.

use crate::interaction::{Head, Interaction, OperationMethod, Refusal, Request, is_job_status, parse};

/// What one entry asks for, as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryRequest {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) if_match: Option<String>,
    pub(super) if_none_match: Option<String>,
    pub(super) if_modified_since: Option<String>,
    pub(super) if_none_exist: Option<String>,
    /// Of the entry's resource.
    pub(super) resource_type: Option<String>,
    malformed: bool,
}

impl EntryRequest {
    /// The URL as it was written.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it has the form of an entry at all. What has not may be read as anything.
    ///
    /// # Errors
    /// 400: it has not.
    pub fn formed(&self) -> Result<(), Refusal> {
        if self.malformed {
            return Err(Refusal::invalid("it has not the form of an entry with a request"));
        }
        Ok(())
    }

    /// It has not the form that FHIR gives it: it will not parse.
    pub(super) fn malformed(&mut self) {
        self.malformed = true;
    }

    /// Parses it like a request of its own, its URL relative to the base.
    ///
    /// # Errors
    /// What would be refused by itself is refused in a Bundle; so is what HAPI carries out as something else.
    pub fn parse(&self, relative: &str) -> Result<Request, Refusal> {
        self.formed()?;
        let (path, query) =
            relative.split_once('?').map_or((relative, None), |(path, query)| (path, Some(query)));
        let path = format!("/{}", path.strip_prefix('/').unwrap_or(path));
        let content_type = match self.method.as_str() {
            "POST" | "PUT" => Some("application/fhir+json"),
            "PATCH" => Some("application/json-patch+json"),
            _ => None,
        };
        let request = parse(&Head {
            method: &self.method,
            path: &path,
            query,
            content_type,
            if_match: self.if_match.as_deref(),
            if_none_match: self.if_none_match.as_deref(),
            if_modified_since: self.if_modified_since.as_deref(),
            if_none_exist: self.if_none_exist.as_deref(),
            ..Head::default()
        })?;
        self.check(&request.interaction)?;
        Ok(request)
    }

    /// HAPI creates whatever resource a POST brings, wherever its URL points.
    fn check(&self, interaction: &Interaction) -> Result<(), Refusal> {
        let of_type = match interaction {
            Interaction::Bundle { .. } => {
                return Err(Refusal::invalid("a Bundle is not carried out in a Bundle"));
            }
            // Whose they are is known by their links only.
            Interaction::Page(_) => {
                return Err(Refusal::unsupported(
                    "pages are not carried out in a Bundle: follow their links",
                ));
            }
            Interaction::Operation { name, .. } if is_job_status(name.as_str()) => {
                return Err(Refusal::unsupported("jobs are not asked for in a Bundle: follow their links"));
            }
            Interaction::Operation { method: OperationMethod::Post, .. } => {
                return Err(Refusal::unsupported(
                    "operations by POST are not carried out in a Bundle: use GET",
                ));
            }
            Interaction::Create { ty }
            | Interaction::ConditionalCreate { ty }
            | Interaction::Update { ty, .. }
            | Interaction::ConditionalUpdate { ty } => *ty,
            _ => return Ok(()),
        };
        if self.resource_type.as_deref() == Some(of_type.as_str()) {
            Ok(())
        } else {
            Err(Refusal::invalid("its resource must be of the type that its URL names"))
        }
    }
}
