//! From a head to a [`Request`].

use super::{
    BodyKind, FILE, Head, Interaction, OperationMethod, OperationName, OperationScope, Page, Preconditions,
    Prefer, Refusal, Request, is_job_status, limits, path::Route, refusal::shown, request::take_presentation,
};
use crate::{ResourceType, format::Accept, format::Format, operations, parameters::Parameters};

/// Parses the head of a request.
///
/// # Errors
/// Says why the request is not passed on, with the status to answer: 400 for a malformed path or parameter,
/// 404 for a path that R4 does not have, 405, 406, 414 or 415.
pub fn parse(head: &Head<'_>) -> Result<Request, Refusal> {
    let route = Route::parse(head.path)?;
    let verb = Verb::parse(head.method);
    let allow = allowed(&route);
    let Some(verb) = verb.filter(|verb| allow.contains(&verb.as_str())) else {
        return Err(Refusal::method(allow));
    };

    let mut parameters = parameters(head.query)?;
    if matches!(route, Route::Base) {
        parameters = head.pages.unseal(parameters)?;
    }
    limits::check_names(&parameters)?;
    let (format, pretty) = take_presentation(&mut parameters, head.xml)?;
    let (interaction, form) = interaction(route, verb, head, &mut parameters)?;
    limits::check(&interaction, &parameters)?;

    let body = BodyKind::of(&interaction, form, head.content_type, head.xml)?;
    let accept = Accept::parse(head.accept, head.xml);
    let binary_raw = format.is_none() && reads_content(&interaction, &parameters) && accept.raw();
    let format = match (format, accept.format()) {
        (Some(format), _) | (None, Ok(format)) => format,
        (None, Err(_)) if binary_raw => Format::FhirJson,
        (None, Err(error)) => return Err(Refusal::not_acceptable(error)),
    };
    Ok(Request {
        preconditions: Preconditions::parse(head, &interaction)?,
        prefer: Prefer::parse(head.prefer),
        interaction,
        head_only: verb == Verb::Head,
        parameters,
        format,
        pretty,
        binary_raw,
        body,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    const ALL: [Self; 6] = [Self::Get, Self::Head, Self::Post, Self::Put, Self::Patch, Self::Delete];

    fn parse(method: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == method)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// The methods of a path.
fn allowed(route: &Route) -> &'static [&'static str] {
    match route {
        Route::Base => &["GET", "HEAD", "POST"],
        Route::Metadata
        | Route::SystemHistory
        | Route::TypeHistory { .. }
        | Route::InstanceHistory { .. }
        | Route::Version { .. }
        | Route::Compartment { .. } => &["GET", "HEAD"],
        Route::SystemSearch | Route::TypeSearch { .. } | Route::CompartmentSearch { .. } => &["POST"],
        Route::Type { .. } => &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        Route::Instance { .. } => &["GET", "HEAD", "PUT", "PATCH", "DELETE"],
        Route::Operation { name, .. } => match operations::find(name.as_str()).map(|known| known.methods) {
            None | Some([OperationMethod::Get, OperationMethod::Post]) => &["GET", "HEAD", "POST"],
            Some([OperationMethod::Get, OperationMethod::Delete]) => &["GET", "HEAD", "DELETE"],
            Some([OperationMethod::Get]) => &["GET", "HEAD"],
            Some(_) => &["POST"],
        },
    }
}

fn parameters(query: Option<&str>) -> Result<Parameters, Refusal> {
    let query = query.unwrap_or_default();
    if query.contains('#') {
        return Err(Refusal::invalid("a URL has no fragment here"));
    }
    Ok(Parameters::parse(query.as_bytes())?)
}

/// What path and method ask for, and whether it is a search by POST. The method is one of the path's.
fn interaction(
    route: Route,
    verb: Verb,
    head: &Head<'_>,
    parameters: &mut Parameters,
) -> Result<(Interaction, bool), Refusal> {
    Ok(match route {
        Route::Base if verb == Verb::Post => (Interaction::Bundle { kind: None }, false),
        Route::Base => match Page::take(parameters)? {
            Some(page) => (Interaction::Page(page), false),
            None if parameters.is_empty() => {
                return Err(Refusal::no_route("nothing to read at the base: see /metadata"));
            }
            None => (Interaction::SearchSystem, false),
        },
        Route::Metadata => (Interaction::Capabilities, false),
        Route::SystemHistory => (Interaction::HistorySystem, false),
        Route::SystemSearch => (Interaction::SearchSystem, true),
        Route::Type { ty } => (of_type(ty, verb, head), false),
        Route::TypeHistory { ty } => (Interaction::HistoryType { ty }, false),
        Route::TypeSearch { ty } => (Interaction::SearchType { ty }, true),
        Route::Instance { ty, id } => match verb {
            Verb::Put => (Interaction::Update { ty, id }, false),
            Verb::Patch => (Interaction::Patch { ty, id }, false),
            Verb::Delete => (Interaction::Delete { ty, id }, false),
            Verb::Get | Verb::Head | Verb::Post => (Interaction::Read { ty, id }, false),
        },
        Route::InstanceHistory { ty, id } => (Interaction::HistoryInstance { ty, id }, false),
        Route::Version { ty, id, version } => (Interaction::VersionRead { ty, id, version }, false),
        Route::Compartment { compartment, id, ty } => {
            (Interaction::SearchCompartment { compartment, id, ty }, false)
        }
        Route::CompartmentSearch { compartment, id, ty } => {
            (Interaction::SearchCompartment { compartment, id, ty }, true)
        }
        Route::Operation { scope, name } => (operation(scope, name, verb)?, false),
    })
}

fn of_type(ty: ResourceType, verb: Verb, head: &Head<'_>) -> Interaction {
    match verb {
        Verb::Get | Verb::Head => Interaction::SearchType { ty },
        Verb::Post if head.if_none_exist.is_some() => Interaction::ConditionalCreate { ty },
        Verb::Post => Interaction::Create { ty },
        Verb::Put => Interaction::ConditionalUpdate { ty },
        Verb::Patch => Interaction::ConditionalPatch { ty },
        Verb::Delete => Interaction::ConditionalDelete { ty },
    }
}

fn operation(scope: OperationScope, name: OperationName, verb: Verb) -> Result<Interaction, Refusal> {
    if operations::find(name.as_str()).is_some_and(|known| !known.levels.contains(&scope.level())) {
        let name = shown(name.as_str());
        return Err(Refusal::no_route(format!("the operation `{name}` is not called on this level")));
    }
    let method = match verb {
        Verb::Post => OperationMethod::Post,
        Verb::Delete => OperationMethod::Delete,
        Verb::Get | Verb::Head | Verb::Put | Verb::Patch => OperationMethod::Get,
    };
    Ok(Interaction::Operation { scope, name, method })
}

/// Whether it may be answered by the content of a Binary: a job's file is one.
fn reads_content(interaction: &Interaction, parameters: &Parameters) -> bool {
    match interaction {
        Interaction::Read { ty, .. } | Interaction::VersionRead { ty, .. } => *ty == ResourceType::Binary,
        Interaction::Operation { name, method: OperationMethod::Get, .. } => {
            is_job_status(name.as_str()) && parameters.get(FILE).is_some()
        }
        _ => false,
    }
}
