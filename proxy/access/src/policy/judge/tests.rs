use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::{Head, Id, OperationName, parse};
use fireguard_fhir::smart::Scopes;
use proptest::prelude::*;

use super::*;

const POLICIES: &str = r#"
@id("clinicians-read")
permit(principal in Role::"clinician", action in Action::"reads", resource);

@id("secrets-are-kept")
forbid(principal, action, resource) when { resource.labels.contains("c|V") };

@id("patients-read-theirs") @obligation("narrow:patient-compartment, audit:patient")
permit(principal in Role::"patient", action in [Action::"reads", Action::"readingOperations"], resource);

@id("researchers-read-without-names") @obligation("drop:Patient.name, drop:Patient.address")
permit(principal in Role::"researcher", action in Action::"reads", resource in Type::"Patient")
when { context.purposes.contains("HRESCH") };

@id("tenants-keep-to-themselves")
forbid(principal, action, resource) when { principal has tenant } unless {
    resource has tenant && resource.tenant == principal.tenant
};

@id("nobody-writes-practitioners")
forbid(principal, action in Action::"writes", resource in Type::"Practitioner");

@id("registrars-write")
permit(principal in Role::"registrar", action in Action::"writes", resource)
when { context.time < datetime("2030-01-01") };

@id("registrars-write-one-practitioner")
permit(principal in Role::"registrar", action == Action::"read", resource == Resource::"Practitioner/1");
"#;

fn caller(roles: &[&str]) -> Principal {
    Principal {
        issuer: "https://idp.example".into(),
        subject: "s".into(),
        client: None,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        tenant: None,
        fhir_user: None,
        patient: Id::parse("p"),
        purposes: BTreeSet::new(),
        scopes: None,
        expires: None,
        bound_to: None,
    }
}

fn policies() -> Arc<Policies> {
    // Making them takes longer than asking them.
    static MADE: LazyLock<Arc<Policies>> = LazyLock::new(|| {
        let texts = vec![("test.cedar".to_owned(), POLICIES.to_owned())];
        let policies = Policies::of_texts(texts, Some("https://tenants".into()));
        Arc::new(policies.unwrap_or_else(|faults| panic!("{faults:#?}")))
    });
    Arc::clone(&MADE)
}

fn judge(principal: Principal) -> Decider {
    let request = parse(&Head::new("GET", "/Patient/1")).unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    Decider::new(Arc::new(principal), Some(policies()), &request, now)
}

fn access(action: Action, ty: &str) -> Access {
    Access { action, resource_type: ResourceType::parse(ty), id: None }
}

fn known(ty: &str, patients: &[&str], labels: &[&str], tags: &[&str]) -> Resource {
    let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Resource {
        resource_type: ResourceType::parse(ty).unwrap(),
        id: Id::parse("1"),
        patients: patients.iter().filter_map(|id| Id::parse(id)).collect(),
        unnamed: false,
        labels: set(labels),
        tags: set(tags),
    }
}

/// `-` and the policies that forbid, or `+` and those that permit, with `each` and `p` for its bounds.
fn said(permission: &Permission) -> String {
    match permission {
        Permission::Denied(denied) => format!("-{}", denied.policies.join(",")),
        Permission::Allowed(allowed) => {
            let bounded = allowed.bounds.iter().all(|bound| bound.patient.is_some());
            let mut policies: Vec<_> = allowed.policies.iter().map(|id| &**id).collect();
            policies.sort_unstable();
            let each = if allowed.each { " each" } else { "" };
            format!("+{}{each}{}", policies.join(","), if bounded { " p" } else { "" })
        }
    }
}

#[test]
fn before_a_resource_is_known() {
    use Action as A;
    let everything = || Action::Operate(OperationName::parse("$everything").unwrap());
    for (roles, action, ty, expected) in [
        // The label may be there or not.
        (&["clinician"][..], A::Read, "Observation", "+clinicians-read each"),
        (&["clinician"], A::Search, "", "+clinicians-read each"),
        (&["clinician"], A::Create, "Observation", "-"),
        (&["clinician"], everything(), "Patient", "-"),
        (&["patient"], A::Search, "Observation", "+patients-read-theirs each p"),
        (&["patient"], everything(), "Patient", "+patients-read-theirs each p"),
        (&["patient"], A::Search, "Practitioner", "+patients-read-theirs each"),
        (&["patient"], A::Search, "Subscription", "-"),
        (&["patient", "clinician"], A::Search, "Observation", "+clinicians-read,patients-read-theirs each"),
        (&["researcher"], A::Search, "Patient", "-"),
        (&["registrar"], A::Update, "Practitioner", "-nobody-writes-practitioners"),
        (&["registrar"], A::Update, "Patient", "+registrars-write each"),
        (&["registrar"], A::Read, "Practitioner", "+registrars-write-one-practitioner each"),
        (&[], A::Read, "Patient", "-"),
        (&["Clinician"], A::Read, "Patient", "-"),
        // Nobody permits it.
        (&["clinician", "registrar"], A::Relabel, "Patient", "-"),
    ] {
        let judge = judge(caller(roles));
        let permission = judge.request(&access(action.clone(), ty));
        assert_eq!(said(&permission), expected, "{roles:?} {action:?} {ty}");
        assert_eq!(judge.request(&access(action, ty)), permission, "the same again");
    }
}

#[test]
fn when_it_is_known() {
    use Action as A;
    let tenant = |tenant: &str, roles: &[&str]| Principal { tenant: Some(tenant.into()), ..caller(roles) };
    let of_a = &["https://tenants|a"][..];
    for (principal, action, resource, expected) in [
        (caller(&["clinician"]), A::Read, known("Observation", &["q"], &[], &[]), "+clinicians-read"),
        (caller(&["clinician"]), A::Read, known("Observation", &["q"], &["c|V"], &[]), "-secrets-are-kept"),
        (caller(&["clinician"]), A::Read, known("Observation", &["q"], &["c|N"], &[]), "+clinicians-read"),
        (caller(&["patient"]), A::Read, known("Observation", &["p"], &[], &[]), "+patients-read-theirs"),
        (caller(&["patient"]), A::Read, known("Observation", &["q"], &[], &[]), "-"),
        (caller(&["patient"]), A::Read, known("Observation", &[], &[], &[]), "-"),
        (caller(&["patient"]), A::Read, known("Practitioner", &[], &[], &[]), "+patients-read-theirs"),
        (caller(&["patient", "clinician"]), A::Read, known("Basic", &["q"], &[], &[]), "+clinicians-read"),
        (tenant("a", &["clinician"]), A::Read, known("Basic", &[], &[], of_a), "+clinicians-read"),
        (tenant("b", &["clinician"]), A::Read, known("Basic", &[], &[], of_a), "-tenants-keep-to-themselves"),
        (
            tenant("a", &["clinician"]),
            A::Read,
            known("Basic", &[], &[], &["https://tenants|a", "https://tenants|b"]),
            "-tenants-keep-to-themselves",
        ),
        (
            caller(&["registrar"]),
            A::Read,
            known("Practitioner", &[], &[], &[]),
            "+registrars-write-one-practitioner",
        ),
    ] {
        let judge = judge(principal);
        let permission = judge.resource(&action, &resource);
        assert_eq!(said(&permission), expected, "{judge:?} {resource:?}");
        assert_eq!(judge.resource(&action, &resource), permission, "the same again");
    }
}

#[test]
fn purposes_and_times_count() {
    let researcher = Principal { purposes: BTreeSet::from(["HRESCH".into()]), ..caller(&["researcher"]) };
    let Permission::Allowed(allowed) = judge(researcher).request(&access(Action::Read, "Patient")) else {
        panic!("not allowed")
    };
    assert_eq!(allowed.obligations.drop.len(), 2);
    assert!(!allowed.is_all());
    let request =
        parse(&Head { content_type: Some("application/fhir+json"), ..Head::new("PUT", "/Patient/1") })
            .unwrap();
    let late = UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    let judge = Decider::new(Arc::new(caller(&["registrar"])), Some(policies()), &request, late);
    assert_eq!(said(&judge.request(&access(Action::Update, "Patient"))), "-");
}

#[test]
fn both_scopes_and_policies_have_to_allow_it() {
    let scoped =
        |scopes: &str, roles: &[&str]| Principal { scopes: Some(Scopes::parse(scopes)), ..caller(roles) };
    for (scopes, roles, ty, expected) in [
        ("user/Patient.rs", &["clinician"][..], "Patient", "+clinicians-read each"),
        ("user/Patient.rs", &["clinician"], "Observation", "-"),
        ("user/*.cruds", &[], "Patient", "-"),
        ("patient/*.rs", &["clinician"], "Patient", "+clinicians-read each p"),
        ("user/*.rs", &["patient"], "Patient", "+patients-read-theirs each p"),
        ("", &["clinician"], "Patient", "-"),
    ] {
        let permission = judge(scoped(scopes, roles)).request(&access(Action::Read, ty));
        assert_eq!(said(&permission), expected, "{scopes} {roles:?} {ty}");
    }
}

#[test]
fn without_policies_or_scopes_nothing_is_allowed() {
    let request = parse(&Head::new("GET", "/Patient/1")).unwrap();
    let judge = Decider::new(Arc::new(caller(&["clinician"])), None, &request, UNIX_EPOCH);
    assert_eq!(said(&judge.request(&access(Action::Read, "Patient"))), "-");
    assert_eq!(said(&judge.resource(&Action::Read, &known("Patient", &["p"], &[], &[]))), "-");
}

#[test]
fn what_an_operation_answers_with_is_judged_unless_everything_may_be_seen() {
    let request = parse(&Head::new("GET", "/Patient/1/$everything")).unwrap();
    for (scopes, operation, ty, expected) in [
        ("user/Patient.rs", "$everything", "Patient", "+ each"),
        ("user/*.rs", "$everything", "Patient", "+"),
        ("user/Patient.rs", "$validate", "Patient", "+"),
        ("system/Patient.rs", "$export", "Patient", "+ each"),
        ("system/*.rs", "$export", "Patient", "+"),
        ("system/*.rs", "$export", "", "+"),
        ("user/Patient.cruds", "$of-our-own", "Patient", "+ each"),
        ("user/*.cruds", "$of-our-own", "Patient", "+"),
    ] {
        let caller = Principal { scopes: Some(Scopes::parse(scopes)), ..caller(&[]) };
        let judge = Decider::new(Arc::new(caller), None, &request, UNIX_EPOCH);
        let operation = Action::Operate(OperationName::parse(operation).unwrap());
        let permission = judge.request(&access(operation.clone(), ty));
        assert_eq!(said(&permission), expected, "{scopes} {operation:?} {ty}");
    }
}

#[test]
fn a_policy_that_cannot_be_evaluated_refuses() {
    let text = "@id(\"all\") permit(principal, action, resource);\n\
                @id(\"wrong\") forbid(principal, action == Action::\"read\", resource)\n\
                when { 9223372036854775807 + 1 > 0 };";
    let policies = Policies::of_texts(vec![("a.cedar".into(), text.into())], None).unwrap();
    let request = parse(&Head::new("GET", "/Patient/1")).unwrap();
    let judge = Decider::new(Arc::new(caller(&[])), Some(Arc::new(policies)), &request, UNIX_EPOCH);
    assert_eq!(said(&judge.request(&access(Action::Read, "Patient"))), "-wrong");
    assert_eq!(said(&judge.resource(&Action::Read, &known("Patient", &[], &[], &[]))), "-wrong");
    assert_eq!(said(&judge.request(&access(Action::Search, "Patient"))), "+all");
}

fn some<T: Clone + std::fmt::Debug + 'static>(of: Vec<T>) -> impl Strategy<Value = Vec<T>> {
    let most = of.len();
    proptest::sample::subsequence(of, 0..=most)
}

proptest! {
    /// What is said before a resource is known holds for every resource.
    #[test]
    fn a_request_and_its_resources_agree(
        roles in some(vec!["clinician", "patient", "researcher", "registrar"]),
        tenant in proptest::option::of("[ab]"),
        scopes in proptest::option::of(some(vec!["patient/*.rs", "user/Patient.cruds", "user/*.r", "user/*.rs?_tag=a"])),
        action in proptest::sample::select(vec![Action::Read, Action::Search, Action::Update, Action::Relabel]),
        ty in proptest::sample::select(vec!["Patient", "Observation", "Practitioner", "Subscription", "Group", "Schedule"]),
        any_type in any::<bool>(),
        patients in some(vec!["p", "q"]),
        labels in some(vec!["c|V", "c|N"]),
        tags in some(vec!["https://tenants|a", "https://tenants|b"]),
        unnamed in any::<bool>(),
    ) {
        let scoped = scopes.is_some();
        let principal = Principal {
            tenant,
            scopes: scopes.map(|scopes| Scopes::parse(&scopes.join(" "))),
            ..caller(&roles)
        };
        let judge = judge(principal);
        let resource = Resource { unnamed, ..known(ty, &patients, &labels, &tags) };
        let before = judge.request(&access(action.clone(), if any_type { "" } else { ty }));
        match (before, judge.resource(&action, &resource)) {
            // A scope for one type is none for any type, though it lets that type be seen.
            (Permission::Denied(_), _) if any_type && scoped => {}
            (Permission::Denied(_), after) => prop_assert!(matches!(after, Permission::Denied(_)), "{after:?}"),
            (Permission::Allowed(before), Permission::Denied(after)) => {
                let own = Bound { patient: Id::parse("p"), ..Bound::default() };
                let reached = before.bounds.iter().any(|bound| bound.patient.is_none())
                    || sharing(resource.resource_type).reaches(own.patient.as_ref().unwrap(), &resource);
                prop_assert!(before.each || !reached, "{before:?} {after:?}");
                prop_assert!(!before.is_all());
            }
            (Permission::Allowed(before), Permission::Allowed(after)) => {
                prop_assert!(after.policies.iter().all(|id| before.policies.contains(id)));
                prop_assert!(after.obligations.drop.is_subset(&before.obligations.drop));
                prop_assert!(after.obligations.audit <= before.obligations.audit);
                prop_assert!(after.bounds.iter().all(|bound| bound.patient.is_none()));
            }
        }
    }
}

/// A Bundle is judged by its entries where it matters how something is asked for, whoever sends it.
#[test]
fn what_a_policy_says_of_a_request_holds_of_an_entry() {
    for (condition, asks_how) in [
        (r#"context.parameters.contains("_include")"#, true),
        (r#"context.interaction == Interaction::"search-type""#, true),
        ("context has operation", true),
        (r#"context.purposes.contains("HMARKT")"#, false),
        (r#"context.time > datetime("2040-01-01")"#, false),
        (r#"principal has tenant"#, false),
    ] {
        let text = format!(
            "@id(\"all\") permit (principal, action, resource); \
             @id(\"but\") forbid (principal, action, resource) when {{ {condition} }};"
        );
        let policies = Policies::of_texts(vec![("test.cedar".to_owned(), text)], None)
            .unwrap_or_else(|faults| panic!("{condition}: {faults:#?}"));
        let policies = Arc::new(policies);
        let json = Some("application/fhir+json");
        let mut bundle = parse(&Head { content_type: json, ..Head::new("POST", "/") }).unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let of = |request: &Request| {
            Decider::new(Arc::new(caller(&[])), Some(Arc::clone(&policies)), request, now)
        };
        let asked = bundle.clone();
        let granted = crate::gate::admit(&of(&asked), &mut bundle).unwrap();
        assert_eq!(granted.confinement.is_some(), asks_how, "{condition}");
        let mut search =
            parse(&Head { query: Some("_include=Patient:link"), ..Head::new("GET", "/Patient") }).unwrap();
        let asked = search.clone();
        let refused = crate::gate::admit(&of(&asked), &mut search).is_err();
        assert_eq!(refused, asks_how && !condition.contains("operation"), "{condition}");
    }
}
