//! What policies can speak of: `policies/fhir.cedarschema`, and the names in it.

use std::sync::LazyLock;

use cedar_policy::Schema;
use fireguard_fhir::operations;

use crate::decision::Action;

/// The schema as it is written. A folder of policies may hold a copy for editors; it must be this one.
pub const TEXT: &str = include_str!("../../../../policies/fhir.cedarschema");

/// Actions that are no operations, with their names and the groups that they are in.
const ACTIONS: [(Action, &str, &[&str]); 9] = [
    (Action::Read, "read", &["reads"]),
    (Action::VersionRead, "vread", &["reads"]),
    (Action::History, "history", &["reads"]),
    (Action::Search, "search", &["reads"]),
    (Action::Create, "create", &["writes"]),
    (Action::Update, "update", &["writes"]),
    (Action::Patch, "patch", &["writes"]),
    (Action::Delete, "delete", &["writes"]),
    (Action::Relabel, "relabel", &[]),
];

/// The action of operations that have none of their own; `context.operation` tells them apart.
const OTHER_OPERATION: &str = "$other";

/// The parsed schema. Errors: [`TEXT`] is none, which a test rules out.
pub(super) fn schema() -> Result<&'static Schema, String> {
    static SCHEMA: LazyLock<Result<Schema, String>> = LazyLock::new(|| {
        Schema::from_cedarschema_str(TEXT).map(|(schema, _)| schema).map_err(|error| error.to_string())
    });
    SCHEMA.as_ref().map_err(Clone::clone)
}

/// The names of all actions that something is done by, groups not among them.
pub(super) fn actions() -> impl Iterator<Item = &'static str> {
    let plain = ACTIONS.iter().map(|(_, name, _)| *name);
    plain.chain(operations::ALL.iter().map(|operation| operation.name)).chain([OTHER_OPERATION])
}

/// The groups that an action is in.
pub(super) fn groups(name: &str) -> &'static [&'static str] {
    if let Some((_, _, groups)) = ACTIONS.iter().find(|(_, own, _)| *own == name) {
        return groups;
    }
    if operations::READ_ONLY_DEFAULT.contains(&name) {
        return &["readingOperations", "operations"];
    }
    &["operations"]
}

/// The name of an action in policies.
pub fn name(action: &Action) -> &'static str {
    match action {
        Action::Operate(name) => operations::find(name.as_str()).map_or(OTHER_OPERATION, |known| known.name),
        _ => ACTIONS.iter().find(|(own, _, _)| own == action).map_or(OTHER_OPERATION, |(_, name, _)| name),
    }
}

/// The schema, written anew from what it is about.
#[cfg(test)]
fn text() -> String {
    let quoted = |names: &mut dyn Iterator<Item = &str>| {
        let mut out = String::new();
        let mut line = String::from("   ");
        for name in names {
            if line.len() + name.len() > 112 {
                out.push_str(&line);
                out.push('\n');
                line = String::from("   ");
            }
            line.push_str(&format!(" {name:?},"));
        }
        out + line.trim_end_matches(',')
    };
    let types =
        quoted(&mut fireguard_fhir::ResourceType::ALL.into_iter().map(fireguard_fhir::ResourceType::as_str));
    let codes = quoted(&mut INTERACTIONS.into_iter());
    let mut out =
        include_str!("schema/head.txt").replace("@types@", &types).replace("@interactions@", &codes);
    let member = |groups: &[&str]| match groups {
        [] => String::new(),
        groups => {
            let list: Vec<_> = groups.iter().map(|group| format!("{group:?}")).collect();
            format!(" in [{}]", list.join(", "))
        }
    };
    for (_, name, groups) in ACTIONS {
        out += &format!(
            "action {name:?}{} appliesTo {{ principal: Caller, resource: Resource, context: Request }};\n",
            member(groups)
        );
    }
    out += "\n// Operations. Those that R4 lets read are `readingOperations`; `\"$other\"` are those that have no name here.\n";
    for name in operations::ALL.iter().map(|operation| operation.name).chain([OTHER_OPERATION]) {
        let groups = member(groups(name));
        out += &format!(
            "action {name:?}{groups} appliesTo {{ principal: Caller, resource: Resource, context: Request }};\n"
        );
    }
    out
}

/// FHIR's codes of interactions (`Interaction::code`), and what Judges are asked about beyond them.
#[cfg(test)]
const INTERACTIONS: [&str; 17] = [
    "capabilities",
    "read",
    "vread",
    "history-instance",
    "history-type",
    "history-system",
    "search-type",
    "search-system",
    "create",
    "update",
    "patch",
    "delete",
    "transaction",
    "batch",
    "operation",
    "history",
    "search",
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_schema_is_what_it_is_about() {
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/fhir.cedarschema");
            std::fs::write(path, text()).unwrap();
        } else {
            assert!(TEXT == text(), "write it anew: UPDATE_DOCS=1 cargo test -p fireguard-access schema");
        }
        schema().unwrap();
    }

    #[test]
    fn every_action_has_a_name_in_it() {
        let schema = schema().unwrap();
        let known: Vec<_> = schema.actions().map(|action| action.id().unescaped().to_owned()).collect();
        for action in actions() {
            assert!(known.iter().any(|name| name == action), "{action}");
        }
    }
}
