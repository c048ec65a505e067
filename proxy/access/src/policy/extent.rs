//! What could be let do at all: by one caller, however it asks, or by anybody, whoever it is. A CapabilityStatement says
//! no more than that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::{Id, OperationName, Request};

use super::Decisions;
use super::judge::Decider;
use crate::decision::{Access, Action};
use crate::principal::Principal;
use crate::shared_types::{Sharing, sharing};

/// How far something could be allowed; to anybody: to whom it is allowed most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Never.
    Nothing,
    /// It depends: on the resource, on how it is asked for, or on who asks.
    Part,
    /// Always, and to every resource.
    Everything,
}

/// What could be let do. Equal ones say the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extent(BTreeMap<Place, Reach>);

/// What is done, to one or to some, of a type or of any.
type Place = (Action, bool, Option<ResourceType>);

/// What is done to resources. Operations come besides.
const ACTIONS: [Action; 8] = [
    Action::Read,
    Action::VersionRead,
    Action::History,
    Action::Search,
    Action::Create,
    Action::Update,
    Action::Patch,
    Action::Delete,
];

impl Decisions {
    /// What this caller could be let do; without one, anybody. `operations` are those that the route has. None: nothing is
    /// refused by what is decided here. Takes milliseconds.
    pub fn extent(
        &self,
        principal: Option<&Arc<Principal>>,
        request: &Request,
        operations: &[OperationName],
    ) -> Option<Extent> {
        let policies = self.policies.clone();
        // Scopes may grant anything to somebody.
        if self.audit_only.is_some() || (policies.is_none() && principal.is_none()) {
            return None;
        }
        let named = policies.as_ref().map(|policies| policies.types()).unwrap_or_default();
        let of = principal.map_or_else(|| Arc::new(anybody()), Arc::clone);
        let decider = Decider::new(of, policies, request, SystemTime::now());
        let mut extent = Extent::of(principal.map(|principal| &**principal), &named, operations, |access| {
            if principal.is_some() { decider.reach(access) } else { decider.reach_of_anybody(access) }
        });
        extent.of_any_type(operations, |access| principal.is_none() || decider.is_within_scopes(access));
        Some(extent)
    }

    /// What a caller has in common with others to whom the same could be let do.
    pub fn kind(&self, principal: &Principal) -> Principal {
        let mut kind = Principal { bound_to: None, expires: None, ..principal.clone() };
        if !self.policies.as_ref().is_some_and(|policies| policies.is_personal()) {
            kind.subject = "".into();
            kind.patient = kind.patient.and(Id::parse("1"));
            kind.fhir_user = kind.fhir_user.and_then(|(ty, _)| Some((ty, Id::parse("1")?)));
        }
        kind
    }
}

impl Extent {
    /// How far this could be allowed: to one resource, or to those of a type, or of any.
    pub fn reach(&self, action: &Action, one: bool, ty: Option<ResourceType>) -> Reach {
        self.0.get(&(action.clone(), one, ty)).copied().unwrap_or(Reach::Nothing)
    }

    /// Whether anything could be let do to resources of this type, or of any.
    pub fn is_of(&self, ty: Option<ResourceType>) -> bool {
        let about =
            |(place, reach): (&Place, &Reach)| (ty.is_none() || place.2 == ty) && *reach > Reach::Nothing;
        self.0.iter().any(about)
    }

    /// Whether this could be let do to every resource of all types.
    pub fn is_whole(&self, action: &Action) -> bool {
        ResourceType::ALL.into_iter().all(|ty| self.reach(action, false, Some(ty)) == Reach::Everything)
    }

    /// Asks for each type once of those that nothing tells apart.
    fn of(
        principal: Option<&Principal>,
        named: &BTreeSet<ResourceType>,
        operations: &[OperationName],
        reach: impl Fn(&Access) -> Reach,
    ) -> Self {
        let scopes = principal.and_then(|principal| principal.scopes.as_ref());
        let kind = |ty: ResourceType| -> Kind {
            let covered = scopes.into_iter().flat_map(|scopes| scopes.resources());
            let covered = covered.map(|scope| scope.covers(Some(ty))).collect();
            (sharing(ty), named.contains(&ty).then_some(ty), covered)
        };
        let actions: Vec<Action> =
            ACTIONS.into_iter().chain(operations.iter().cloned().map(Action::Operate)).collect();
        // Any will do: no policy that is asked here looks at it.
        let some = Id::parse("1");
        let rows = |ty: ResourceType| -> Row {
            let row = |action: &Action| {
                let access = |id: Option<Id>| Access { action: action.clone(), resource_type: Some(ty), id };
                let one = reach(&access(some.clone()));
                let all = reach(&access(None));
                [(action.clone(), true, one), (action.clone(), false, all)]
            };
            actions.iter().flat_map(row).collect()
        };
        let mut extent = BTreeMap::new();
        let mut known: Vec<(Kind, Row)> = Vec::new();
        for ty in ResourceType::ALL {
            let kind = kind(ty);
            let at = known.iter().position(|(known, _)| *known == kind).unwrap_or_else(|| {
                known.push((kind, rows(ty)));
                known.len() - 1
            });
            let rows = known.get(at).map_or(&[][..], |(_, rows)| rows);
            extent.extend(rows.iter().map(|(action, one, reach)| ((action.clone(), *one, Some(ty)), *reach)));
        }
        Self(extent)
    }

    /// Operations on the server may come to any type that they could be called on.
    fn of_any_type(&mut self, operations: &[OperationName], granted: impl Fn(&Access) -> bool) {
        for name in operations {
            let action = Action::Operate(name.clone());
            let access = Access { action: action.clone(), resource_type: None, id: None };
            let of = |ty| self.reach(&action, false, Some(ty));
            let most = ResourceType::ALL.into_iter().map(of).max().filter(|_| granted(&access));
            self.0.insert((action, false, None), most.unwrap_or(Reach::Nothing));
        }
    }
}

/// What may tell a type from others: whose it is, a policy, a scope.
type Kind = (Sharing, Option<ResourceType>, Vec<bool>);

/// What could be done to resources of one type.
type Row = Vec<(Action, bool, Reach)>;

/// Who it may be: policies that are asked of anybody do not look.
fn anybody() -> Principal {
    Principal {
        issuer: "".into(),
        subject: "".into(),
        client: None,
        roles: BTreeSet::new(),
        tenant: None,
        fhir_user: None,
        patient: Id::parse("1"),
        purposes: BTreeSet::new(),
        scopes: None,
        bound_to: None,
        expires: None,
    }
}

#[cfg(test)]
mod tests {
    use fireguard_fhir::interaction::{Head, parse};
    use fireguard_fhir::smart::Scopes;

    use super::*;
    use crate::policy::Policies;

    const POLICIES: &str = r#"
@id("clinicians") permit(principal in Role::"clinician", action in Action::"reads", resource);
@id("writers") permit(principal in Role::"clinician", action == Action::"update", resource in Type::"Observation")
when { context.interaction == Interaction::"update" };
@id("patients") @obligation("narrow:patient-compartment")
permit(principal in Role::"patient", action in [Action::"reads", Action::"readingOperations"], resource);
@id("night") permit(principal, action == Action::"delete", resource in Type::"Task")
when { context.time < datetime("2020-01-01") };
@id("labels") forbid(principal, action, resource) when { resource.labels.contains("c|V") };
@id("closed") forbid(principal, action, resource in Type::"AuditEvent");
@id("some") forbid(principal, action, resource in Type::"Consent") unless { principal in Role::"officer" };
"#;

    fn asked(roles: Option<&[&str]>, scopes: Option<&str>) -> Extent {
        let policies = Policies::of_texts(vec![("a.cedar".into(), POLICIES.into())], None).unwrap();
        let request = parse(&Head { method: "GET", path: "/metadata", ..Head::default() }).unwrap();
        let principal = roles.map(|roles| {
            let roles = roles.iter().map(|role| (*role).to_owned()).collect();
            Arc::new(Principal { roles, scopes: scopes.map(Scopes::parse), ..anybody() })
        });
        let everything = OperationName::parse("$everything").unwrap();
        let decisions = Decisions::by_policies(Arc::new(policies));
        decisions.extent(principal.as_ref(), &request, &[everything]).unwrap()
    }

    #[test]
    fn nobody_is_told_of_more_than_could_be() {
        use Reach::{Everything, Nothing, Part};
        use ResourceType as T;
        let everything = Action::Operate(OperationName::parse("$everything").unwrap());
        let clinician = (Some(&["clinician"][..]), None);
        let scoped = (Some(&["clinician"][..]), Some("user/Patient.r patient/Observation.rs"));
        let patient = (Some(&["patient"][..]), None);
        for ((roles, scopes), action, one, ty, expected) in [
            // Labels may keep any of them back.
            (clinician, Action::Read, true, Some(T::Patient), Part),
            (clinician, Action::Update, true, Some(T::Observation), Part),
            (clinician, Action::Update, true, Some(T::Patient), Nothing),
            (clinician, Action::Read, true, Some(T::AuditEvent), Nothing),
            (clinician, Action::Read, true, Some(T::Consent), Nothing),
            ((Some(&["clinician", "officer"][..]), None), Action::Read, true, Some(T::Consent), Part),
            (clinician, Action::Delete, true, Some(T::Task), Nothing),
            (clinician, everything.clone(), true, Some(T::Patient), Nothing),
            (scoped, Action::Read, true, Some(T::Patient), Part),
            (scoped, Action::Search, false, Some(T::Patient), Nothing),
            (scoped, Action::Search, false, Some(T::Observation), Part),
            (scoped, Action::Read, true, Some(T::Condition), Nothing),
            (patient, everything.clone(), true, Some(T::Patient), Part),
            (patient, Action::Search, false, Some(T::Subscription), Nothing),
            ((None, None), Action::Read, true, Some(T::Patient), Everything),
            ((None, None), Action::Update, true, Some(T::Observation), Everything),
            ((None, None), Action::Update, true, Some(T::Patient), Nothing),
            ((None, None), Action::Delete, true, Some(T::Task), Everything),
            ((None, None), Action::Delete, true, Some(T::Patient), Nothing),
            ((None, None), Action::Read, true, Some(T::AuditEvent), Nothing),
            ((None, None), Action::Read, true, Some(T::Consent), Everything),
            ((None, None), everything.clone(), true, Some(T::Patient), Everything),
        ] {
            let reach = asked(roles, scopes).reach(&action, one, ty);
            assert_eq!(reach, expected, "{roles:?} {scopes:?} {action:?} {ty:?}");
        }
        assert!(!asked(None, None).is_of(Some(T::AuditEvent)) && asked(None, None).is_of(None));
        assert!(!asked(None, None).is_whole(&Action::Search), "AuditEvents are for nobody");
    }

    #[test]
    fn scopes_alone_bound_who_has_some() {
        let request = parse(&Head { method: "GET", path: "/metadata", ..Head::default() }).unwrap();
        let decisions = Decisions::by_scopes();
        assert_eq!(decisions.extent(None, &request, &[]), None);
        let principal = Arc::new(Principal { scopes: Some(Scopes::parse("system/*.rs")), ..anybody() });
        let extent = decisions.extent(Some(&principal), &request, &[]).unwrap();
        assert!(extent.is_whole(&Action::Search) && !extent.is_whole(&Action::Create));
        assert_eq!(decisions.audit_only("fhir").extent(Some(&principal), &request, &[]), None);
    }
}
