//! Policies that are chosen by their heads, and asked without them, say what Cedar says of all of them as they are written.

use std::str::FromStr;
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use cedar_policy::{Authorizer, Decision, PolicyId, PolicySet};
use fireguard_fhir::interaction::{Head, Id, OperationName, parse};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;

const POLICIES: &str = r#"
@id("a") permit(principal in Role::"clinician", action in Action::"reads", resource);
@id("b") permit(principal in Role::"patient", action, resource in Type::"Observation") when { !resource.unnamed };
@id("c") permit(principal, action == Action::"update", resource is Resource in Type::"Patient");
@id("d") permit(principal is Caller in Role::"clinician", action in [Action::"writes", Action::"operations"], resource)
when { principal in Role::"patient" || resource in [Type::"Patient", Type::"Group"] };
@id("e") permit(principal == Caller::"https://idp.example|s", action, resource == Resource::"Group/1");
@id("f") forbid(principal, action in Action::"readingOperations", resource) unless { principal in Role::"clinician" };
@id("g") forbid(principal in Role::"banned", action, resource);
@id("h") forbid(principal, action, resource in Type::"Group") when { action in Action::"writes" };
@id("i") forbid(principal, action, resource) when { resource.labels.contains("c|V") };
@id("j") forbid(principal, action, resource) when { context.time > datetime("2040-01-01") };
@id("k") forbid(principal, action == Action::"delete", resource)
when { principal has tenant && resource has tenant && principal.tenant != resource.tenant };
"#;

static MADE: LazyLock<(Arc<Policies>, PolicySet)> = LazyLock::new(|| {
    let texts = vec![("plain.cedar".to_owned(), POLICIES.to_owned())];
    let made = Policies::of_texts(texts, Some("t".into())).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let parsed = PolicySet::from_str(POLICIES).unwrap();
    let named =
        parsed.policies().map(|policy| policy.new_id(PolicyId::new(policy.annotation("id").unwrap())));
    (Arc::new(made), PolicySet::from_policies(named).unwrap())
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn they_say_what_cedar_says_of_all_of_them(
        roles in subsequence(vec!["clinician", "patient", "banned", "other"], 0..=3),
        subject in select(vec!["s", "t"]),
        tenant in proptest::option::of(select(vec!["a", "b"])),
        action in select(vec!["read", "search", "create", "update", "delete", "relabel", "$everything", "$x"]),
        ty in select(vec![ResourceType::Patient, ResourceType::Observation, ResourceType::Group]),
        id in proptest::option::of(select(vec!["1", "2"])),
        labels in subsequence(vec!["c|V", "c|N"], 0..=2),
        tags in subsequence(vec!["t|a", "t|b"], 0..=1),
        unnamed: bool,
        late: bool,
    ) {
        let (policies, all) = &*MADE;
        let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
        let principal = Principal {
            issuer: "https://idp.example".into(),
            subject: subject.into(),
            client: None,
            roles: set(&roles),
            tenant: tenant.map(Into::into),
            fhir_user: None,
            patient: None,
            purposes: BTreeSet::new(),
            scopes: None,
            expires: None,
            bound_to: None,
        };
        let action = match action {
            "read" => Action::Read,
            "search" => Action::Search,
            "create" => Action::Create,
            "update" => Action::Update,
            "delete" => Action::Delete,
            "relabel" => Action::Relabel,
            name => Action::Operate(OperationName::parse(name).unwrap()),
        };
        let resource = Resource {
            resource_type: ty,
            id: id.and_then(Id::parse),
            patients: BTreeSet::new(),
            unnamed,
            labels: set(&labels),
            tags: set(&tags),
        };
        let request = parse(&Head::new("GET", "/Patient/1")).unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(if late { 3_000_000_000 } else { 1_800_000_000 });
        let which = Which::This(&resource, entities::tenant(&resource, Some("t")));

        let caller = Caller::new(&principal).unwrap();
        let context = entities::context(&principal, &request, Some(now)).unwrap();
        let asking = Asking {
            principal: &principal,
            caller: &caller,
            action: &action,
            which,
            context: &context,
            groups: true,
        };
        let (words, entities) = asking.in_words().unwrap();
        let answer = Authorizer::new().is_authorized(&words, all, &entities);
        prop_assert_eq!(answer.diagnostics().errors().count(), 0);
        let reasons: BTreeSet<String> = answer.diagnostics().reason().map(ToString::to_string).collect();

        let decider = Decider::new(Arc::new(principal), Some(Arc::clone(policies)), &request, now);
        let asked = decider.policies.as_ref().unwrap();
        let said = asked.ask(Question::Resource, &action, (&decider.principal.roles, Some(ty)), which);
        let told = |ids: Vec<Arc<str>>| ids.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let (decision, told) = match said {
            Ok(permits) => (Decision::Allow, told(permits.iter().map(|permit| Arc::clone(&permit.id)).collect())),
            Err(denied) => (Decision::Deny, told(denied.policies)),
        };
        prop_assert_eq!((decision, told), (answer.decision(), reasons));
    }
}
