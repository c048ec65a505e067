//! Which parameters may go with which interaction.

use super::{Interaction, OperationScope, Refusal, refusal::shown};
use crate::parameters::{Parameters, split_name};

/// Parameters with powers that no caller gets through the proxy: they reach past its policies into HAPI
/// (partitions, golden resources, cascades, its own paging) or make the server call others.
pub const REFUSED_PARAMETERS: &[&str] =
    &["_cascade", "_delete", "_expunge", "_mdm", "_method", "_pid", "async", "response-url"];

/// The parameters with an underscore that select. HAPI passes over every other one in a condition (`_text`,
/// `_since`, `_filter`, any invented one), and what is left may match everything.
const SELECT: &[&str] = &["_has", "_id", "_lastUpdated", "_profile", "_security", "_source", "_tag"];

/// What must not be said twice: two readers would take different ones.
const ONCE: &[&str] = &[
    "_bundletype",
    "_contained",
    "_containedType",
    "_count",
    "_file",
    "_getpages",
    "_getpagesoffset",
    "_jobId",
    "_offset",
    "_pageId",
    "_since",
    "_summary",
    "_total",
];

/// Refuses what no interaction may have.
pub(super) fn check_names(parameters: &Parameters) -> Result<(), Refusal> {
    for (name, value) in parameters.iter() {
        let (base, modifier) = split_name(name);
        // A modifier may stand behind a chain, too: `subject:Patient.link:mdm`.
        let mdm = name.split([':', '.']).skip(1).any(|part| part == "mdm");
        if REFUSED_PARAMETERS.contains(&base) || mdm || (base == "_elements" && modifier.is_some()) {
            return Err(Refusal::unsupported(format!("the parameter `{}` is not supported", shown(name))));
        }
        if ONCE.contains(&name) && parameters.all(name).nth(1).is_some() {
            return Err(Refusal::invalid(format!("the parameter `{name}` may be given once")));
        }
        if matches!(name, "_count" | "_offset")
            && (value.parse::<u32>().is_err() || !value.bytes().all(|b| b.is_ascii_digit()))
        {
            return Err(Refusal::invalid(format!("the parameter `{name}` must be a whole number")));
        }
    }
    Ok(())
}

/// Refuses what this interaction does not have. Pages have taken their own before.
pub(super) fn check(interaction: &Interaction, parameters: &Parameters) -> Result<(), Refusal> {
    let known: &[&str] = match interaction {
        Interaction::SearchType { .. }
        | Interaction::SearchSystem
        | Interaction::SearchCompartment { .. } => {
            return only_for_base_pages(parameters);
        }
        Interaction::Operation { scope, name, .. } => {
            only_for_base_pages(parameters)?;
            return check_operation(scope, name.as_str(), parameters);
        }
        Interaction::ConditionalUpdate { .. }
        | Interaction::ConditionalPatch { .. }
        | Interaction::ConditionalDelete { .. } => return check_condition(parameters),
        Interaction::Capabilities => &["mode", "_summary", "_elements"],
        Interaction::Read { .. } | Interaction::VersionRead { .. } => &["_summary", "_elements"],
        Interaction::HistoryInstance { .. }
        | Interaction::HistoryType { .. }
        | Interaction::HistorySystem => {
            // HAPI pages a history by `_offset`.
            &["_at", "_count", "_elements", "_list", "_offset", "_since", "_sort", "_summary", "_total"]
        }
        // HAPI repeats these in its links.
        Interaction::Page(_) => &["_elements", "_include", "_revinclude", "_summary"],
        Interaction::Create { .. }
        | Interaction::ConditionalCreate { .. }
        | Interaction::Update { .. }
        | Interaction::Patch { .. }
        | Interaction::Delete { .. }
        | Interaction::Bundle { .. } => &[],
    };
    let has = |name: &str| {
        let (base, modifier) = split_name(name);
        known.contains(&base) && (modifier.is_none() || matches!(base, "_include" | "_revinclude"))
    };
    match parameters.iter().find(|(name, _)| !has(name)) {
        Some((name, _)) => Err(Refusal::invalid(format!(
            "the interaction `{}` has no parameter `{}`",
            interaction.code(),
            shown(name)
        ))),
        None => Ok(()),
    }
}

/// A condition must select by each of its parameters: HAPI passes over empty values, too.
pub(super) fn check_condition(parameters: &Parameters) -> Result<(), Refusal> {
    if parameters.is_empty() {
        return Err(Refusal::invalid("a conditional interaction needs search parameters"));
    }
    for (name, value) in parameters.iter() {
        let base = split_name(name).0;
        if base.starts_with('_') && !SELECT.contains(&base) {
            return Err(Refusal::invalid(format!("the parameter `{}` is not for conditions", shown(name))));
        }
        if value.chars().all(|c| c.is_whitespace() || matches!(c, ',' | '|' | '$' | '\\')) {
            return Err(Refusal::invalid(format!("the parameter `{}` of a condition is empty", shown(name))));
        }
    }
    Ok(())
}

fn check_operation(scope: &OperationScope, name: &str, parameters: &Parameters) -> Result<(), Refusal> {
    let has = |wanted: &str| parameters.iter().any(|(name, _)| split_name(name).0 == wanted);
    // HAPI passes over it and exports everybody.
    if name == "$export" && *scope == OperationScope::System && has("patient") {
        return Err(Refusal::unsupported(
            "`$export` of the system has no parameter `patient`: use Patient/$export",
        ));
    }
    if name == "$document" && parameters.all("persist").any(|value| value != "false") {
        return Err(Refusal::unsupported("`$document` with `persist` is not supported"));
    }
    Ok(())
}

fn only_for_base_pages(parameters: &Parameters) -> Result<(), Refusal> {
    for (name, _) in parameters.iter() {
        // HAPI takes an offset for any search, past the pages it keeps.
        if split_name(name).0 == "_offset" {
            return Err(Refusal::unsupported(format!("the parameter `{}` is not supported", shown(name))));
        }
        if matches!(split_name(name).0, "_getpages" | "_getpagesoffset" | "_pageId" | "_bundletype") {
            return Err(Refusal::invalid(format!("the parameter `{}` belongs to pages", shown(name))));
        }
    }
    Ok(())
}
