//! The surface of a route: the interactions, operations and search parameters it lets through. Lists name
//! what is allowed; what they do not name is refused.

use std::collections::BTreeSet;

use fireguard_fhir::base::Base;
use fireguard_fhir::interaction::{Interaction, Refusal, Request};
use fireguard_fhir::operations;
use fireguard_fhir::outcome::IssueCode;
use fireguard_fhir::parameters::Parameters;
use fireguard_fhir::r4::search_parameter;
use fireguard_fhir::resource_type::ResourceType;

/// What a route lets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surface {
    read_only: bool,
    operations: BTreeSet<String>,
    search_parameters: Option<BTreeSet<Allowed>>,
    notified: Vec<Base>,
}

/// A search parameter on the list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Allowed {
    /// None: with every type.
    resource_type: Option<ResourceType>,
    /// With its modifier, if that one is meant.
    name: String,
}

/// A name on a list that nothing goes by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {name:?} is not known")]
pub struct Unknown {
    /// `the operation` or `the search parameter`.
    pub what: &'static str,
    /// As written.
    pub name: String,
}

/// Parameters of every search that are not tied to a type (R4 search.html §3.1.1).
const RESULT_PARAMETERS: [&str; 9] = [
    "_count",
    "_sort",
    "_include",
    "_revinclude",
    "_summary",
    "_total",
    "_elements",
    "_contained",
    "_containedType",
];

impl Surface {
    /// A surface. Without `operations` the read-only ones of R4 pass; without `search_parameters` all of them.
    ///
    /// # Errors
    /// The first name that nothing goes by: most likely a slip of the pen.
    pub fn new(
        read_only: bool,
        operations: Option<Vec<String>>,
        search_parameters: Option<Vec<String>>,
    ) -> Result<Self, Unknown> {
        let operations = match operations {
            None => operations::READ_ONLY_DEFAULT.iter().map(|name| (*name).to_owned()).collect(),
            // A server may have operations of its own; only the form can be checked.
            Some(names) => match names.iter().find(|name| !is_operation(name)) {
                Some(wrong) => return Err(Unknown { what: "the operation", name: wrong.clone() }),
                None => names.into_iter().collect(),
            },
        };
        let search_parameters =
            search_parameters.map(|names| names.iter().map(|n| allowed(n)).collect()).transpose()?;
        Ok(Self { read_only, operations, search_parameters, notified: Vec::new() })
    }

    /// The same, where Subscriptions of known callers may notify what lies below these URLs.
    #[must_use]
    pub fn notifying(self, notified: Vec<Base>) -> Self {
        Self { notified, ..self }
    }

    /// Whether a Subscription may notify this endpoint. It must be written as the list has it: plain HTTP is not HTTPS,
    /// and no segment leads back.
    pub fn may_notify(&self, endpoint: &str) -> bool {
        let below = |base: &Base| {
            let rest = endpoint.strip_prefix(base.as_str())?;
            let plain = rest.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b'#' | b'%'));
            let onward = rest.split('/').all(|segment| !matches!(segment, "." | ".."));
            (plain && onward && (rest.is_empty() || rest.starts_with(['/', '?']))).then_some(())
        };
        self.notified.iter().any(|base| below(base).is_some())
    }

    /// Lets the request through, or not.
    ///
    /// # Errors
    /// 403 for an interaction or operation that is not allowed, 400 for a search parameter that is not.
    pub fn judge(&self, request: &Request) -> Result<(), Refusal> {
        let interaction = &request.interaction;
        if self.read_only && !interaction.is_safe() {
            return Err(Refusal::new(403, IssueCode::Forbidden, "this route is read-only"));
        }
        if let Interaction::Operation { name, .. } = interaction
            && !self.operations.contains(name.as_str())
        {
            let message = format!("the operation {name} is not allowed on this route");
            return Err(Refusal::new(403, IssueCode::Forbidden, message));
        }
        if self.search_parameters.is_some() && request.body.resource().is_some() && interaction.is_safe() {
            let message = "operations by POST are not allowed on a route with a list of parameters: use GET";
            return Err(Refusal::new(403, IssueCode::Forbidden, message));
        }
        self.judge_parameters(interaction, &request.parameters)?;
        // It answers whether something matches, as a search does.
        let condition = request.preconditions.if_none_exist.as_ref();
        condition.map_or(Ok(()), |condition| self.judge_parameters(interaction, condition))
    }

    /// Whether it refuses whatever changes something.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whether it has a list of search parameters: then whatever makes the server search is judged by it.
    pub fn lists_parameters(&self) -> bool {
        self.search_parameters.is_some()
    }

    /// Whether a search of this type may have this parameter, without a modifier or with any.
    pub fn lists(&self, resource_type: Option<ResourceType>, name: &str) -> bool {
        self.search_parameters.as_ref().is_none_or(|list| {
            list.iter().any(|allowed| {
                let plain = allowed.name.split(':').next().unwrap_or_default();
                plain == name && (allowed.resource_type.is_none() || allowed.resource_type == resource_type)
            })
        })
    }

    /// Whether it lets an operation through, by its name with the dollar sign.
    pub fn operates(&self, operation: &str) -> bool {
        self.operations.contains(operation)
    }

    /// Whether it lets less through than a route does of which nothing is said.
    pub fn is_narrow(&self) -> bool {
        let usual = operations::READ_ONLY_DEFAULT.iter().all(|name| self.operations.contains(*name));
        self.read_only || !usual || self.search_parameters.is_some()
    }

    /// The operations that it lets through.
    pub fn operations(&self) -> impl Iterator<Item = &str> {
        self.operations.iter().map(String::as_str)
    }

    fn judge_parameters(&self, interaction: &Interaction, parameters: &Parameters) -> Result<(), Refusal> {
        let Some(list) = &self.search_parameters else { return Ok(()) };
        let resource_type = interaction.resource_type();
        let history = matches!(
            interaction,
            Interaction::HistoryInstance { .. }
                | Interaction::HistoryType { .. }
                | Interaction::HistorySystem
        );
        for (name, _) in parameters.iter() {
            // They page through a history and select nothing.
            if history && matches!(name, "_count" | "_offset") {
                continue;
            }
            let with = |resource_type| list.contains(&Allowed { resource_type, name: name.to_owned() });
            if !(with(None) || with(resource_type)) {
                let known = resource_type.is_some_and(|t| search_parameter(t, name).is_some());
                // A name nobody knows may be anything; only known ones are repeated.
                let which =
                    if known { format!("the search parameter {name}") } else { "a search parameter".into() };
                let message = format!("{which} is not on the list of this route");
                return Err(Refusal::new(400, IssueCode::NotSupported, message));
            }
        }
        Ok(())
    }
}

impl Unknown {
    /// What would be right.
    pub fn help(&self) -> Option<String> {
        Some(match self.what {
            "the operation" => "an operation is written with its dollar sign: \"$everything\"".into(),
            _ => {
                "write a name that R4 defines, for all types (\"code\") or one (\"Observation.code\")".into()
            }
        })
    }
}

fn is_operation(name: &str) -> bool {
    name.strip_prefix('$').is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    })
}

fn allowed(text: &str) -> Result<Allowed, Unknown> {
    let unknown = || Unknown { what: "the search parameter", name: text.to_owned() };
    let typed = text.split_once('.').and_then(|(ty, name)| Some((ResourceType::parse(ty)?, name)));
    let (resource_type, name) = typed.map_or((None, text), |(ty, name)| (Some(ty), name));
    let plain = name.split(':').next().unwrap_or_default();
    let known = RESULT_PARAMETERS.contains(&plain)
        || match resource_type {
            Some(ty) => search_parameter(ty, plain).is_some(),
            None => ResourceType::ALL.into_iter().any(|ty| search_parameter(ty, plain).is_some()),
        };
    if known { Ok(Allowed { resource_type, name: name.to_owned() }) } else { Err(unknown()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fireguard_fhir::interaction::{Head, parse};

    fn get<'a>(path: &'a str, query: Option<&'a str>) -> Head<'a> {
        Head { method: "GET", path, query, ..Head::default() }
    }

    #[test]
    fn a_read_only_route_refuses_what_changes_something() {
        let surface = Surface::new(true, None, None).unwrap();
        for (method, path, content_type, passes) in [
            ("GET", "/Patient/1", None, true),
            ("HEAD", "/Patient/1", None, true),
            ("GET", "/Patient", None, true),
            ("POST", "/Patient/_search", Some("application/x-www-form-urlencoded"), true),
            ("GET", "/Patient/1/$everything", None, true),
            ("POST", "/Patient/$validate", Some("application/fhir+json"), true),
            ("GET", "/$export", None, false),
            ("POST", "/Patient", Some("application/fhir+json"), false),
            ("PUT", "/Patient/1", Some("application/fhir+json"), false),
            ("PATCH", "/Patient/1", Some("application/json-patch+json"), false),
            ("DELETE", "/Patient/1", None, false),
            ("POST", "/", Some("application/fhir+json"), false),
        ] {
            let request = parse(&Head { method, path, content_type, ..Head::default() }).unwrap();
            assert_eq!(surface.judge(&request).is_ok(), passes, "{method} {path}");
            if !passes {
                assert_eq!(surface.judge(&request).unwrap_err().status, 403);
            }
        }
    }

    #[test]
    fn only_listed_parameters_pass() {
        let list = ["_count", "code", "Patient.gender", "status:not"].map(str::to_owned).to_vec();
        let surface = Surface::new(true, None, Some(list)).unwrap();
        for (path, query, passes) in [
            ("/Observation", "code=x&_count=5", true),
            ("/Patient", "gender=female", true),
            ("/Observation", "status:not=final", true),
            ("/Observation", "status=final", false),
            ("/Observation", "code:text=x", false),
            ("/Observation", "subject=Patient/1", false),
            ("/Observation", "subject.name=x", false),
            ("/Observation", "_has:Observation:subject:code=x", false),
            ("/Observation", "_include=Observation:subject", false),
            ("/Practitioner", "gender=female", false),
            ("/Patient", "%67ender=female", true),
        ] {
            let request = parse(&get(path, Some(query))).unwrap();
            let judged = surface.judge(&request);
            assert_eq!(judged.is_ok(), passes, "{path}?{query}: {judged:?}");
        }
    }

    #[test]
    fn parameters_in_a_body_do_not_pass_a_list_unseen() {
        let listed = Surface::new(true, None, Some(vec!["_count".into()])).unwrap();
        let open = Surface::new(true, None, None).unwrap();
        let content_type = Some("application/fhir+json");
        let post = Head { content_type, ..Head::new("POST", "/Patient/1/$everything") };
        let request = parse(&post).unwrap();
        assert_eq!(listed.judge(&request).unwrap_err().status, 403);
        assert!(open.judge(&request).is_ok());
    }

    #[test]
    fn a_condition_is_judged_like_a_search() {
        let surface = Surface::new(false, None, Some(vec!["identifier".into()])).unwrap();
        let content_type = Some("application/fhir+json");
        for (condition, passes) in
            [("identifier=a", true), ("identifier=a&birthdate=1970", false), ("name=x", false)]
        {
            let head = Head { content_type, if_none_exist: Some(condition), ..Head::new("POST", "/Patient") };
            assert_eq!(surface.judge(&parse(&head).unwrap()).is_ok(), passes, "{condition}");
        }
    }

    #[test]
    fn slips_are_found_when_the_list_is_made() {
        let list = |name: &str| Some(vec![name.to_owned()]);
        assert!(Surface::new(true, list("everything"), None).is_err());
        assert!(Surface::new(true, list("$of-our-own"), None).is_ok());
        for wrong in ["coed", "Observation.gender", "Observatoin.code", ""] {
            assert!(Surface::new(true, None, list(wrong)).is_err(), "{wrong}");
        }
    }
}
