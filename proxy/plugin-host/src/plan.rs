//! What a plugin asked to see, checked and made ready for questions.

use fireguard_fhir::ResourceType;

use crate::contract::{Direction, Interest, Phase, Phases, Plan};

/// FHIR's interaction codes (<http://hl7.org/fhir/restful-interaction>).
const INTERACTIONS: [&str; 17] = [
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history",
    "history-instance",
    "history-type",
    "history-system",
    "create",
    "search",
    "search-type",
    "search-system",
    "capabilities",
    "transaction",
    "batch",
    "operation",
];

/// Those of single writes, which the written phase speaks of.
const WRITES: [&str; 4] = ["create", "update", "patch", "delete"];

/// A plan without a name that means nothing: a protecting plugin that waits for `patient` would never be
/// asked about a Patient.
pub(crate) struct Wants {
    plan: Plan,
    /// The interests of each phase, in the order of [`Phase::ALL`].
    phases: [Vec<Interest>; 4],
}

impl Wants {
    /// Checks the plan of a component that takes part in `phases`.
    ///
    /// # Errors
    /// Everything in it that means nothing: each with its place in the plan.
    pub(crate) fn new(plan: Plan, phases: Phases) -> Result<Wants, Vec<String>> {
        let mut by_phase: [Vec<Interest>; 4] = Default::default();
        let mut faults = Vec::new();
        for (number, interest) in plan.interests.iter().enumerate() {
            let phase = Phase::ALL.into_iter().find(|phase| phase.name() == interest.phase);
            let found = faults_of(interest, phase, phases);
            faults.extend(found.into_iter().map(|fault| format!("interests/{number}: {fault}")));
            if let Some(phase) = phase {
                by_phase[phase as usize].push(interest.clone());
            }
        }
        if faults.is_empty() { Ok(Wants { plan, phases: by_phase }) } else { Err(faults) }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether `phase` is wanted for this interaction and type; where the type is not known (`None`), whether it
    /// may be.
    pub(crate) fn includes(&self, phase: Phase, interaction: &str, resource_type: Option<&str>) -> bool {
        self.phases[phase as usize].iter().any(|interest| fits(interest, interaction, resource_type))
    }

    /// Whether resources are wanted that travel in `direction`; of any type, where none is given.
    pub(crate) fn includes_resources(
        &self,
        interaction: &str,
        direction: Direction,
        resource_type: Option<&str>,
    ) -> bool {
        let interests = &self.phases[Phase::Resources as usize];
        interests.iter().any(|interest| {
            interest.directions.contains(&direction) && fits(interest, interaction, resource_type)
        })
    }
}

fn faults_of(interest: &Interest, phase: Option<Phase>, phases: Phases) -> Vec<String> {
    let Some(phase) = phase else {
        return vec![format!("{:?} is no phase", interest.phase)];
    };
    let mut faults = Vec::new();
    if !phases.contains(phase) {
        faults.push(format!("the component does not export the phase {}", phase.name()));
    }
    if phase != Phase::Resources && !interest.directions.is_empty() {
        faults.push(format!("the phase {} has no directions", phase.name()));
    }
    let known: &[&str] = if phase == Phase::Written { &WRITES } else { &INTERACTIONS };
    let interactions = interest.interactions.iter().filter(|name| !known.contains(&name.as_str()));
    faults
        .extend(interactions.map(|name| format!("{name:?} is no interaction of the phase {}", phase.name())));
    let types = interest.resource_types.iter().filter(|name| ResourceType::parse(name).is_none());
    faults.extend(types.map(|name| format!("{name:?} is no resource type of R4")));
    faults
}

fn fits(interest: &Interest, interaction: &str, resource_type: Option<&str>) -> bool {
    let Interest { interactions, resource_types, .. } = interest;
    (interactions.is_empty() || interactions.iter().any(|wanted| overlap(wanted, interaction)))
        && (resource_types.is_empty()
            || resource_type.is_none_or(|one| resource_types.iter().any(|wanted| wanted == one)))
}

/// Whether one code is the other, or a kind of it: `search` and `history` stand for `search-type`,
/// `history-system` and the like. In both directions, because the further page of a search does not tell
/// which kind of search it belongs to.
fn overlap(one: &str, other: &str) -> bool {
    let kind_of = |kind: &str, code: &str| kind.strip_prefix(code).is_some_and(|rest| rest.starts_with('-'));
    one == other || kind_of(one, other) || kind_of(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interest(
        phase: &str,
        interactions: &[&str],
        resource_types: &[&str],
        directions: &[Direction],
    ) -> Interest {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Interest {
            phase: phase.to_owned(),
            interactions: owned(interactions),
            resource_types: owned(resource_types),
            directions: directions.to_vec(),
            extras: Vec::new(),
        }
    }

    fn wants(interests: Vec<Interest>) -> Result<Wants, Vec<String>> {
        Wants::new(Plan { interests, ..Plan::default() }, Phase::ALL.into_iter().collect())
    }

    #[test]
    fn what_means_nothing_is_refused_with_its_place() {
        let faulty = vec![
            interest("resources", &["read", "Read"], &["Patient", "patient", "Resource"], &[]),
            interest("response", &[], &[], &[]),
            interest("written", &["search"], &[], &[]),
            interest("request", &[], &[], &[Direction::ToServer]),
        ];
        let faults = wants(faulty).err().unwrap();
        assert_eq!(
            faults,
            [
                "interests/0: \"Read\" is no interaction of the phase resources",
                "interests/0: \"patient\" is no resource type of R4",
                "interests/0: \"Resource\" is no resource type of R4",
                "interests/1: \"response\" is no phase",
                "interests/2: \"search\" is no interaction of the phase written",
                "interests/3: the phase request has no directions",
            ]
        );
        let plan = Plan { interests: vec![interest("ingest", &[], &[], &[])], ..Plan::default() };
        let faults = Wants::new(plan, [Phase::Resources].into_iter().collect()).err().unwrap();
        assert_eq!(faults, ["interests/0: the component does not export the phase ingest"]);
        assert!(wants(vec![interest("request", &INTERACTIONS, &["Patient", "Basic"], &[])]).is_ok());
    }

    #[test]
    fn a_plan_includes_the_resources_it_names_and_nothing_else() {
        use Direction::{ToClient, ToServer};
        let both = [ToServer, ToClient];
        let one =
            |interactions, types, directions| vec![interest("resources", interactions, types, directions)];
        let cases = [
            (vec![], "read", ToClient, Some("Patient"), false),
            (one(&[], &[], &both), "transaction", ToServer, Some("Basic"), true),
            (one(&[], &[], &[]), "read", ToClient, Some("Patient"), false),
            (one(&["read"], &["Patient"], &[ToClient]), "read", ToClient, Some("Patient"), true),
            (one(&["read"], &["Patient"], &[ToClient]), "read", ToClient, None, true),
            (one(&["read"], &["Patient"], &[ToClient]), "read", ToServer, Some("Patient"), false),
            (one(&["read"], &["Patient"], &[ToClient]), "read", ToServer, None, false),
            (one(&["read"], &["Patient"], &[ToClient]), "vread", ToClient, Some("Patient"), false),
            (one(&["read"], &["Patient"], &[ToClient]), "read", ToClient, Some("Observation"), false),
            (one(&["search"], &[], &both), "search-type", ToClient, Some("Patient"), true),
            (one(&["search-type"], &[], &both), "search", ToClient, Some("Patient"), true),
            (one(&["search-type"], &[], &both), "search-system", ToClient, Some("Patient"), false),
            (one(&["history"], &[], &both), "history-system", ToClient, Some("Patient"), true),
            (one(&["search"], &[], &both), "history", ToClient, Some("Patient"), false),
        ];
        for (interests, interaction, direction, resource_type, expected) in cases {
            let wants = wants(interests).unwrap();
            let included = wants.includes_resources(interaction, direction, resource_type);
            assert_eq!(included, expected, "{:?}: {interaction} {resource_type:?}", wants.plan());
        }
    }

    #[test]
    fn interests_of_one_phase_say_nothing_of_another() {
        let wants = wants(vec![
            interest("request", &["read"], &[], &[]),
            interest("request", &["search"], &["Patient"], &[]),
            interest("written", &[], &["Observation"], &[]),
        ])
        .unwrap();
        let cases = [
            (Phase::Request, "read", Some("Observation"), true),
            (Phase::Request, "search-type", Some("Patient"), true),
            (Phase::Request, "search-type", Some("Observation"), false),
            (Phase::Request, "search-system", None, true),
            (Phase::Request, "create", Some("Patient"), false),
            (Phase::Written, "create", Some("Observation"), true),
            (Phase::Written, "create", Some("Patient"), false),
            (Phase::Ingest, "create", Some("Observation"), false),
        ];
        for (phase, interaction, resource_type, expected) in cases {
            assert_eq!(
                wants.includes(phase, interaction, resource_type),
                expected,
                "{phase:?} {interaction}"
            );
        }
        assert!(!wants.includes_resources("read", Direction::ToClient, None));
    }
}
