use std::collections::BTreeSet;

use fireguard_fhir::interaction::{Id, OperationName};

use super::*;

fn caller(scopes: &str, patient: Option<&str>) -> Principal {
    Principal {
        issuer: "https://idp.example".into(),
        subject: "s".into(),
        client: None,
        roles: BTreeSet::new(),
        tenant: None,
        fhir_user: None,
        patient: patient.and_then(Id::parse),
        purposes: BTreeSet::new(),
        bound_to: None,
        scopes: Some(Scopes::parse(scopes)),
        expires: None,
    }
}

fn access(action: Action, place: &str) -> Access {
    let (ty, id) = place.split_once('/').unwrap_or((place, ""));
    Access { action, resource_type: ResourceType::parse(ty), id: Id::parse(id) }
}

/// How far: `-` not at all, otherwise `patient?constraint` of each bound, `all` for one without.
fn far(bounds: Result<Vec<Bound>, Denied>) -> String {
    let Ok(bounds) = bounds else { return "-".into() };
    let one = |bound: &Bound| {
        let patient = bound.patient.as_ref().map_or("", Id::as_str);
        let query = bound.constraint.serialise();
        match (patient, query.as_str()) {
            ("", "") => "all".to_owned(),
            (_, "") => patient.to_owned(),
            _ => format!("{patient}?{query}"),
        }
    };
    bounds.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn scopes_allow_what_they_are_for() {
    use Action as A;
    for (scopes, action, place, expected) in [
        ("patient/Observation.rs", A::Read, "Observation/1", "p"),
        ("patient/Observation.rs", A::Search, "Observation", "p"),
        ("patient/Observation.rs", A::Search, "Condition", "-"),
        ("patient/Observation.rs", A::Create, "Observation", "-"),
        ("patient/Observation.r", A::Search, "Observation", "-"),
        ("patient/Observation.s", A::Read, "Observation/1", "-"),
        ("patient/Observation.r", A::VersionRead, "Observation/1", "p"),
        ("patient/Observation.r", A::History, "Observation/1", "p"),
        ("patient/Observation.r", A::History, "Observation", "-"),
        ("patient/Observation.s", A::History, "Observation", "p"),
        ("patient/Observation.u", A::Patch, "Observation/1", "p"),
        ("patient/Observation.cd", A::Update, "Observation/1", "-"),
        ("patient/Observation.d", A::Delete, "Observation/1", "p"),
        ("patient/Observation.read user/Observation.rs", A::Read, "Observation/1", "all"),
        (
            "patient/Observation.rs user/Observation.rs?category=lab",
            A::Read,
            "Observation/1",
            "p ?category=lab",
        ),
        (
            "user/Observation.rs?category=a user/Observation.rs?category=b",
            A::Search,
            "Observation",
            "?category=a ?category=b",
        ),
        ("patient/*.rs", A::Search, "", "p"),
        ("patient/Observation.rs", A::Search, "", "-"),
        ("system/*.rs", A::Search, "", "all"),
        ("system/*.rs patient/*.rs", A::Search, "Observation", "-"),
        // Types outside of compartments.
        ("patient/Practitioner.rs", A::Search, "Practitioner", "all"),
        ("patient/Practitioner.cruds", A::Update, "Practitioner/1", "-"),
        ("patient/*.cruds", A::Create, "Medication", "-"),
        ("patient/*.cruds", A::Create, "Subscription", "-"),
        ("patient/*.cruds", A::Read, "Bundle/1", "-"),
        ("patient/*.cruds", A::Create, "Schedule", "-"),
        ("user/*.cruds", A::Create, "Subscription", "all"),
    ] {
        let access = access(action, place);
        let granted = request(&caller(scopes, Some("p")), &access).map(|granted| granted.bounds);
        assert_eq!(far(granted), expected, "{scopes} {access:?}");
    }
}

#[test]
fn without_a_patient_in_context_patient_scopes_allow_nothing() {
    let caller = caller("patient/*.cruds", None);
    for place in ["Observation/1", "Practitioner/1", "Patient"] {
        let denied = request(&caller, &access(Action::Read, place)).unwrap_err();
        assert!(denied.scope.is_some());
    }
}

#[test]
fn operations_need_what_they_come_to() {
    for (scopes, name, place, expected) in [
        ("patient/Patient.r", "$everything", "Patient/p", "p"),
        ("patient/Observation.r", "$everything", "Patient/p", "-"),
        ("patient/Patient.r", "$everything", "Patient", "-"),
        ("patient/*.cruds", "$export", "", "-"),
        ("user/*.cruds", "$export", "", "-"),
        ("system/*.rs", "$export", "", "all"),
        ("system/*.rs?_tag=a", "$export", "", "-"),
        ("system/Patient.rs", "$export", "Patient", "all"),
        ("patient/Observation.r", "$validate", "Observation", "p"),
        ("patient/ValueSet.r", "$expand", "ValueSet", "all"),
        ("patient/*.cruds", "$of-our-own", "Patient/p", "-"),
        ("user/*.cruds", "$of-our-own", "Patient/p", "all"),
        ("user/*.cruds?_tag=a", "$of-our-own", "Patient/p", "-"),
        ("patient/*.cruds", "$graphql", "Patient/p", "-"),
        ("user/*.rs", "$meta-delete", "Patient/p", "-"),
    ] {
        let access = access(Action::Operate(OperationName::parse(name).unwrap()), place);
        let granted = request(&caller(scopes, Some("p")), &access).map(|granted| granted.bounds);
        assert_eq!(far(granted), expected, "{scopes} {access:?}");
    }
}

#[test]
fn what_a_resource_is_decides() {
    let known = |ty: &str, patients: &[&str], unnamed| Resource {
        resource_type: ResourceType::parse(ty).unwrap(),
        id: Id::parse("1"),
        patients: patients.iter().filter_map(|id| Id::parse(id)).collect(),
        unnamed,
        labels: BTreeSet::new(),
        tags: BTreeSet::new(),
    };
    for (scopes, one, expected) in [
        ("patient/*.rs", known("Observation", &["p"], false), "all"),
        ("patient/*.rs", known("Observation", &["q"], false), "-"),
        ("patient/*.rs", known("Observation", &[], false), "-"),
        ("patient/*.rs", known("Practitioner", &[], false), "all"),
        ("patient/*.rs", known("Subscription", &[], false), "-"),
        ("patient/*.rs", known("Group", &["p", "q"], false), "-"),
        ("patient/*.rs", known("Schedule", &[], true), "-"),
        ("patient/*.rs?_tag=a", known("Observation", &["p"], false), "?_tag=a"),
        ("user/Observation.rs", known("Observation", &["q"], true), "all"),
        ("user/Observation.rs", known("Condition", &["q"], true), "-"),
    ] {
        let bounds = resource(&caller(scopes, Some("p")), &Action::Read, &one);
        assert_eq!(far(bounds), expected, "{scopes} {one:?}");
    }
}

#[test]
fn a_refusal_names_a_scope_that_would_be_enough() {
    let nobody = caller("", Some("p"));
    for (action, place, scope) in [
        (Action::Read, "Observation/1", "user/Observation.r"),
        (Action::Search, "", "user/*.s"),
        (Action::Operate(OperationName::parse("$export").unwrap()), "", "system/*.rs"),
        (Action::Operate(OperationName::parse("$x").unwrap()), "Patient/p", "user/Patient.cruds"),
    ] {
        let access = access(action, place);
        assert_eq!(request(&nobody, &access).unwrap_err().scope.as_deref(), Some(scope));
        assert!(request(&caller(scope, None), &access).is_ok());
    }
}
