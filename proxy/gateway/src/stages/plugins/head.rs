//! The head of a request as plugins see it, and the request that a changed head makes.

use std::mem::discriminant;

use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::{
    self, Id, Interaction, OperationName, OperationScope, Pages, Refusal, Request,
};
use fireguard_fhir::parameters::Parameters;
use fireguard_plugin_host::{Field, Head};

use super::link::Fault;
use crate::stages::gate::Rules;
use crate::state::Route;

/// What a request asks for. Of its headers those that mean something to a FHIR server, written from their values:
/// nothing that says who the caller is.
pub(super) fn of(request: &Request) -> Head {
    let interaction = &request.interaction;
    let Names { resource_type, id, version, operation, compartment } = Names::of(interaction);
    let field = |name: &str, value: String| Field { name: name.to_owned(), value };
    let mut headers: Vec<Field> =
        request.preconditions.headers().map(|(name, value)| field(name, value)).collect();
    headers.extend(request.prefer.header().map(|value| field("prefer", value)));
    let extras = compartment.map(|(compartment, id)| {
        [field("compartment", compartment.to_owned()), field("compartment-id", id.to_owned())]
    });
    Head {
        resource_type: resource_type.map(str::to_owned),
        id: id.map(str::to_owned),
        version_id: version.map(str::to_owned),
        operation: operation.map(str::to_owned),
        parameters: request.parameters.iter().map(|(name, value)| field(name, value.to_owned())).collect(),
        headers,
        extras: extras.into_iter().flatten().collect(),
    }
}

/// The request that a changed head makes: written, parsed and judged like one that the caller sent. It has the
/// interaction, format and body that the request had, and unless `retarget` is granted the same target.
///
/// # Errors
/// It cannot be, or may not.
pub(super) fn changed(
    before: &Request,
    head: &Head,
    route: &Route,
    rules: Rules,
    retarget: bool,
) -> Result<Request, Fault> {
    let request = written(before, head, retarget)?;
    rules.judge(route, &request).map_err(refused)?;
    Ok(request)
}

/// The same without the route's own rules.
fn written(before: &Request, head: &Head, retarget: bool) -> Result<Request, Fault> {
    let interaction = target(&before.interaction, head)?;
    if !retarget && interaction != before.interaction {
        return Err(Fault::Answer("the plugin asks for another resource, and it is not granted `retarget`"));
    }
    let mut parameters = Parameters::default();
    for Field { name, value } in &head.parameters {
        parameters.push(name, value);
    }
    // Only what is written from it counts: path, query and form.
    let draft = Request { interaction, parameters, pretty: None, ..before.clone() };
    let target = draft.target();
    let (path, query) = match target.path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target.path_and_query.as_str(), None),
    };
    let mut written = interaction::Head {
        method: target.method,
        path,
        query,
        content_type: before.body.media_type(),
        // As our own links to pages are: a page stays the one it was.
        pages: Pages::Plain,
        ..interaction::Head::default()
    };
    for Field { name, value } in &head.headers {
        let header = match name.as_str() {
            "prefer" => &mut written.prefer,
            "if-match" => &mut written.if_match,
            "if-none-match" => &mut written.if_none_match,
            "if-modified-since" => &mut written.if_modified_since,
            "if-none-exist" => &mut written.if_none_exist,
            _ => return Err(Fault::Answer("the plugin sets a header that means nothing to a FHIR server")),
        };
        if header.replace(value).is_some() {
            return Err(Fault::Answer("the plugin sets a header twice"));
        }
    }
    let mut request = interaction::parse(&written).map_err(refused)?;
    if let Some(form) = draft.form() {
        request = request.with_form(form.as_bytes(), false).map_err(refused)?;
    }
    if !alike(&request.interaction, &draft.interaction) || request.body != before.body {
        return Err(Fault::Answer("the plugin makes another interaction of the request"));
    }
    if request.parameters.len() != draft.parameters.len() {
        return Err(Fault::Answer("the plugin sets a parameter that is not its own to set"));
    }
    request.head_only = before.head_only;
    (request.format, request.pretty, request.binary_raw) = (before.format, before.pretty, before.binary_raw);
    Ok(request)
}

fn refused(_: Refusal) -> Fault {
    Fault::Answer("the plugin's request is one that would be refused of a caller")
}

/// Whether one is the other; a create may come by a condition, or lose it.
fn alike(one: &Interaction, other: &Interaction) -> bool {
    match (one, other) {
        (
            Interaction::Create { ty: one } | Interaction::ConditionalCreate { ty: one },
            Interaction::Create { ty: other } | Interaction::ConditionalCreate { ty: other },
        ) => one == other,
        (one, other) => one == other,
    }
}

/// What an interaction names.
struct Names<'a> {
    resource_type: Option<&'a str>,
    id: Option<&'a str>,
    version: Option<&'a str>,
    operation: Option<&'a str>,
    compartment: Option<(&'a str, &'a str)>,
}

impl<'a> Names<'a> {
    fn of(interaction: &'a Interaction) -> Self {
        let compartment = match interaction {
            Interaction::SearchCompartment { compartment, id, .. } => {
                Some((compartment.as_str(), id.as_str()))
            }
            _ => None,
        };
        let version = match interaction {
            Interaction::VersionRead { version, .. } => Some(version.as_str()),
            _ => None,
        };
        let operation = match interaction {
            Interaction::Operation { name, .. } => Some(name.as_str()),
            _ => None,
        };
        Self {
            resource_type: interaction.resource_type().map(ResourceType::as_str),
            id: interaction.id().map(Id::as_str),
            version,
            operation,
            compartment,
        }
    }
}

/// The interaction of the same kind with the names of the head.
fn target(before: &Interaction, head: &Head) -> Result<Interaction, Fault> {
    let wrong = || Fault::Answer("the plugin's head names no type, id, version or operation of FHIR");
    let ty = || head.resource_type.as_deref().and_then(ResourceType::parse).ok_or_else(wrong);
    let id = || head.id.as_deref().and_then(Id::parse).ok_or_else(wrong);
    let extra = |name: &str| {
        head.extras
            .iter()
            .find(|field| field.name == name)
            .map(|field| field.value.as_str())
            .ok_or_else(wrong)
    };
    let after = match before {
        Interaction::Read { .. } => Interaction::Read { ty: ty()?, id: id()? },
        Interaction::VersionRead { .. } => {
            let version = head.version_id.as_deref().and_then(Id::parse).ok_or_else(wrong)?;
            Interaction::VersionRead { ty: ty()?, id: id()?, version }
        }
        Interaction::HistoryInstance { .. } => Interaction::HistoryInstance { ty: ty()?, id: id()? },
        Interaction::HistoryType { .. } => Interaction::HistoryType { ty: ty()? },
        Interaction::SearchType { .. } => Interaction::SearchType { ty: ty()? },
        Interaction::SearchCompartment { ty: of, .. } => Interaction::SearchCompartment {
            compartment: ResourceType::parse(extra("compartment")?).ok_or_else(wrong)?,
            id: Id::parse(extra("compartment-id")?).ok_or_else(wrong)?,
            ty: of.map(|_| ty()).transpose()?,
        },
        Interaction::Create { .. } => Interaction::Create { ty: ty()? },
        Interaction::ConditionalCreate { .. } => Interaction::ConditionalCreate { ty: ty()? },
        Interaction::Update { .. } => Interaction::Update { ty: ty()?, id: id()? },
        Interaction::ConditionalUpdate { .. } => Interaction::ConditionalUpdate { ty: ty()? },
        Interaction::Patch { .. } => Interaction::Patch { ty: ty()?, id: id()? },
        Interaction::ConditionalPatch { .. } => Interaction::ConditionalPatch { ty: ty()? },
        Interaction::Delete { .. } => Interaction::Delete { ty: ty()?, id: id()? },
        Interaction::ConditionalDelete { .. } => Interaction::ConditionalDelete { ty: ty()? },
        Interaction::Operation { scope, method, .. } => Interaction::Operation {
            scope: match scope {
                OperationScope::System => OperationScope::System,
                OperationScope::Type { .. } => OperationScope::Type { ty: ty()? },
                OperationScope::Instance { .. } => OperationScope::Instance { ty: ty()?, id: id()? },
            },
            name: head.operation.as_deref().and_then(OperationName::parse).ok_or_else(wrong)?,
            method: *method,
        },
        Interaction::Capabilities
        | Interaction::HistorySystem
        | Interaction::SearchSystem
        | Interaction::Bundle { .. }
        | Interaction::Page(_) => before.clone(),
    };
    // What the interaction has no place for must not be there: it would be passed over.
    let (named, found) = (Names::of(&after), head);
    let same = named.resource_type == found.resource_type.as_deref()
        && named.id == found.id.as_deref()
        && named.version == found.version_id.as_deref()
        && named.operation == found.operation.as_deref()
        && found.extras.len() == named.compartment.map_or(0, |_| 2);
    if same && discriminant(&after) == discriminant(before) { Ok(after) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests;
