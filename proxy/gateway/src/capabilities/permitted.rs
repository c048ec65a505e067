//! Takes out of a CapabilityStatement what nobody could be let do.

use fireguard_access::accesses::{Touched, joins};
use fireguard_access::decision::Action;
use fireguard_access::policy::{Extent, Reach};
use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::OperationName;
use fireguard_fhir::parameters::Parameters;
use serde_json::Value;

use super::{keep, list};

/// `rest.resource.interaction.code`: what it is, to one resource or to some, and whether to all of them or not at all.
const INTERACTIONS: [(&str, Action, bool, bool); 9] = [
    ("read", Action::Read, true, false),
    ("vread", Action::VersionRead, true, false),
    ("update", Action::Update, true, false),
    ("patch", Action::Patch, true, false),
    ("delete", Action::Delete, true, false),
    ("history-instance", Action::History, true, false),
    ("history-type", Action::History, false, true),
    ("create", Action::Create, false, false),
    ("search-type", Action::Search, false, false),
];

/// Members that tell of ways to do something, and what that comes to.
const WAYS: [(&str, &[Action]); 6] = [
    ("conditionalCreate", &[Action::Create, Action::Search]),
    ("conditionalRead", &[Action::Read]),
    ("conditionalUpdate", &[Action::Update, Action::Search]),
    ("conditionalPatch", &[Action::Patch, Action::Search]),
    ("conditionalDelete", &[Action::Delete, Action::Search]),
    ("updateCreate", &[Action::Create]),
];

/// Keeps of one `rest` what could be let do.
pub(super) fn narrow(rest: &mut Value, extent: &Extent) {
    for resource in list(rest, "resource") {
        if let Some(ty) = resource["type"].as_str().and_then(ResourceType::parse) {
            of_type(resource, ty, extent);
        }
    }
    let told = |resource: &Value| {
        let ty = resource["type"].as_str().and_then(ResourceType::parse);
        ty.is_some_and(|ty| extent.is_of(Some(ty)))
    };
    keep(rest, "resource", told);
    keep(rest, "interaction", |interaction| match interaction["code"].as_str() {
        Some("search-system") => extent.is_whole(&Action::Search),
        Some("history-system") => extent.is_whole(&Action::History),
        // Whatever may be in one is judged by itself.
        Some("batch" | "transaction") => extent.is_of(None),
        _ => false,
    });
    keep(rest, "searchParam", |_| searched(extent, None));
    keep(rest, "operation", |operation| {
        operate(operation).is_some_and(|action| extent.reach(&action, false, None) > Reach::Nothing)
    });
}

fn of_type(resource: &mut Value, ty: ResourceType, extent: &Extent) {
    let of = |action: &Action, one| extent.reach(action, one, Some(ty));
    keep(resource, "interaction", |interaction| {
        let known = INTERACTIONS.iter().find(|(code, ..)| interaction["code"] == **code);
        known.is_some_and(|(_, action, one, whole)| {
            let least = if *whole { Reach::Everything } else { Reach::Part };
            of(action, *one) >= least
        })
    });
    if let Some(resource) = resource.as_object_mut() {
        resource.retain(|member, _| {
            let way = WAYS.iter().find(|(name, _)| member == name);
            way.is_none_or(|(_, actions)| {
                let could = |action: &Action| of(action, *action != Action::Create) > Reach::Nothing;
                actions.iter().all(could)
            })
        });
    }
    keep(resource, "searchParam", |_| searched(extent, Some(ty)));
    for (member, parameter) in [("searchInclude", "_include"), ("searchRevInclude", "_revinclude")] {
        keep(resource, member, |value| {
            searched(extent, Some(ty))
                && value.as_str().is_some_and(|value| could_join(extent, ty, parameter, value))
        });
    }
    keep(resource, "operation", |operation| {
        let could = |action: Action| of(&action, true).max(of(&action, false)) > Reach::Nothing;
        operate(operation).is_some_and(could)
    });
}

/// Whether all could be searched for that the search would show besides.
fn could_join(extent: &Extent, ty: ResourceType, parameter: &str, value: &str) -> bool {
    let mut parameters = Parameters::default();
    parameters.push(parameter, value);
    let Ok(joins) = joins(Some(ty), &parameters) else { return false };
    joins.iter().all(|join| match &join.touches {
        Touched::Any => ResourceType::ALL.into_iter().all(|ty| searched(extent, Some(ty))),
        Touched::Types(types) => types.iter().all(|ty| searched(extent, Some(*ty))),
    })
}

/// Whether resources of this type, or of one of all, could be searched for.
fn searched(extent: &Extent, ty: Option<ResourceType>) -> bool {
    let of = |ty| extent.reach(&Action::Search, false, Some(ty)) > Reach::Nothing;
    ty.map_or_else(|| ResourceType::ALL.into_iter().any(of), of)
}

/// Names stand there without the dollar sign, but not everywhere.
fn operate(operation: &Value) -> Option<Action> {
    let name = operation["name"].as_str()?.trim_start_matches('$');
    OperationName::parse(&format!("${name}")).map(Action::Operate)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use fireguard_access::policy::{Decisions, Policies};
    use fireguard_access::principal::Principal;
    use fireguard_fhir::interaction::{Head, parse};
    use fireguard_fhir::smart::Scopes;
    use serde_json::json;

    use super::*;

    const POLICIES: &str = r#"
@id("readers") permit(principal in Role::"reader", action in [Action::"reads", Action::"readingOperations"], resource)
when { resource in [Type::"Patient", Type::"Observation"] };
@id("writers") permit(principal in Role::"writer", action in Action::"writes", resource in Type::"Observation");
"#;

    fn statement() -> Value {
        let resource = |ty: &str| {
            json!({
                "type": ty,
                "interaction": [{"code": "read"}, {"code": "search-type"}, {"code": "history-type"}, {"code": "update"}],
                "conditionalCreate": true,
                "searchInclude": ["*", "Observation:subject:Patient", "Observation:performer:Practitioner"],
                "searchParam": [{"name": "_id", "type": "token"}],
                "operation": [{"name": "everything"}, {"name": "$unknown"}],
            })
        };
        json!({"resource": [resource("Patient"), resource("Observation"), resource("Task")],
               "interaction": [{"code": "transaction"}, {"code": "search-system"}],
               "searchParam": [{"name": "_id"}], "operation": [{"name": "everything"}]})
    }

    /// What is left for who has these roles and scopes; none: for anybody.
    fn left(who: Option<(&[&str], &str)>) -> Value {
        let policies = Policies::of_texts(vec![("a.cedar".into(), POLICIES.into())], None).unwrap();
        let request = parse(&Head { method: "GET", path: "/metadata", ..Head::default() }).unwrap();
        let principal = who.map(|(roles, scopes)| {
            Arc::new(Principal {
                issuer: "i".into(),
                subject: "s".into(),
                client: None,
                roles: roles.iter().map(|role| (*role).to_owned()).collect(),
                tenant: None,
                fhir_user: None,
                patient: None,
                purposes: BTreeSet::new(),
                scopes: Some(Scopes::parse(scopes)),
                bound_to: None,
                expires: None,
            })
        });
        let operations = [OperationName::parse("$everything").unwrap()];
        let decisions = Decisions::by_policies(Arc::new(policies));
        let extent = decisions.extent(principal.as_ref(), &request, &operations).unwrap();
        let mut rest = statement();
        narrow(&mut rest, &extent);
        rest
    }

    fn codes(resource: &Value) -> Vec<&str> {
        let interactions = resource["interaction"].as_array().map_or(&[][..], Vec::as_slice);
        interactions.iter().filter_map(|interaction| interaction["code"].as_str()).collect()
    }

    #[test]
    fn what_nobody_could_do_is_left_out() {
        for (who, expected) in [
            (
                None,
                vec![
                    ("Patient", vec!["read", "search-type", "history-type"]),
                    ("Observation", vec!["read", "search-type", "history-type", "update"]),
                ],
            ),
            (
                Some((&["reader"][..], "user/*.rs")),
                vec![
                    ("Patient", vec!["read", "search-type", "history-type"]),
                    ("Observation", vec!["read", "search-type", "history-type"]),
                ],
            ),
            (Some((&["reader"], "user/Patient.r")), vec![("Patient", vec!["read"])]),
            (Some((&["writer"], "user/*.cruds")), vec![("Observation", vec!["update"])]),
            (Some((&["nobody"], "user/*.cruds")), vec![]),
        ] {
            let rest = left(who);
            let types = rest["resource"].as_array().map_or(&[][..], Vec::as_slice);
            let told: Vec<_> = types.iter().map(|ty| (ty["type"].as_str().unwrap(), codes(ty))).collect();
            assert_eq!(told, expected, "{who:?}");
            assert_eq!(rest["interaction"].is_array(), !expected.is_empty(), "{who:?}");
        }
    }

    #[test]
    fn so_are_the_ways_to_do_it() {
        let rest = left(Some((&["reader"], "user/*.rs")));
        let patient = &rest["resource"][0];
        assert_eq!(patient["conditionalCreate"], Value::Null);
        assert_eq!(patient["searchInclude"], json!(["Observation:subject:Patient"]));
        assert_eq!(patient["operation"], json!([{"name": "everything"}]));
        assert_eq!(codes(&rest), ["transaction"], "not all types may be searched");
        let rest = left(Some((&["writer"], "user/*.cruds")));
        let observation = &rest["resource"][0];
        for gone in ["searchInclude", "searchParam", "operation", "conditionalCreate"] {
            assert_eq!(observation[gone], Value::Null, "{gone}");
        }
        assert_eq!((&rest["searchParam"], &rest["operation"]), (&Value::Null, &Value::Null));
    }
}
