//! What a plugin asked to see, checked and made ready for questions.

use fireguard_fhir::ResourceType;

use crate::contract::{Direction, Extra, Plan};

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

/// The wish for a capability.
const NEEDS: &str = "needs";

/// A plan without a name that means nothing: a protecting plugin that waits for `patient` would never be
/// asked about a Patient.
pub(crate) struct Wants {
    plan: Plan,
}

impl Wants {
    /// Checks the plan.
    ///
    /// # Errors
    /// The names in it that are no interaction of FHIR, no resource type of R4, or no wish that this
    /// version knows.
    pub(crate) fn new(plan: Plan) -> Result<Wants, Vec<String>> {
        let interactions = plan.interactions.iter().filter(|name| !INTERACTIONS.contains(&name.as_str()));
        let types = plan.resource_types.iter().filter(|name| ResourceType::parse(name).is_none());
        let known = |extra: &&Extra| extra.name != NEEDS;
        let extras = plan.extras.iter().filter(known).map(|extra| &extra.name);
        let unknown: Vec<String> = interactions.chain(types).chain(extras).cloned().collect();
        if unknown.is_empty() { Ok(Wants { plan }) } else { Err(unknown) }
    }

    /// The capabilities without which the plugin cannot work.
    pub(crate) fn needs(&self) -> impl Iterator<Item = &str> {
        self.plan.extras.iter().filter(|extra| extra.name == NEEDS).map(|extra| extra.value.as_str())
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn includes(&self, interaction: &str, direction: Direction, resource_type: &str) -> bool {
        let Plan { interactions, resource_types, directions, .. } = &self.plan;
        directions.contains(&direction)
            && (interactions.is_empty() || interactions.iter().any(|wanted| overlap(wanted, interaction)))
            && (resource_types.is_empty() || resource_types.iter().any(|wanted| wanted == resource_type))
    }
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

    fn plan(interactions: &[&str], resource_types: &[&str], directions: &[Direction]) -> Plan {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Plan {
            interactions: owned(interactions),
            resource_types: owned(resource_types),
            directions: directions.to_vec(),
            extras: Vec::new(),
        }
    }

    #[test]
    fn names_that_mean_nothing_are_refused() {
        let mut faulty = plan(&["read", "Read", "search-typ"], &["Patient", "patient", "Resource"], &[]);
        faulty.extras.push(Extra { name: "rules".into(), value: String::new() });
        let unknown = Wants::new(faulty).err().unwrap();
        assert_eq!(unknown, ["Read", "search-typ", "patient", "Resource", "rules"]);
        let mut needing = plan(&["read"], &[], &[]);
        needing.extras.push(Extra { name: "needs".into(), value: "pseudonym".into() });
        assert_eq!(Wants::new(needing).ok().unwrap().needs().collect::<Vec<_>>(), ["pseudonym"]);
        assert!(Wants::new(plan(&INTERACTIONS, &["Patient", "Observation"], &[])).is_ok());
    }

    #[test]
    fn a_plan_includes_what_it_names_and_nothing_else() {
        use Direction::{ToClient, ToServer};
        let both = [ToServer, ToClient];
        let cases = [
            (plan(&[], &[], &both), "transaction", ToServer, "Basic", true),
            (plan(&[], &[], &[]), "read", ToClient, "Patient", false),
            (plan(&["read"], &["Patient"], &[ToClient]), "read", ToClient, "Patient", true),
            (plan(&["read"], &["Patient"], &[ToClient]), "read", ToServer, "Patient", false),
            (plan(&["read"], &["Patient"], &[ToClient]), "vread", ToClient, "Patient", false),
            (plan(&["read"], &["Patient"], &[ToClient]), "read", ToClient, "Observation", false),
            (plan(&["search"], &[], &both), "search-type", ToClient, "Patient", true),
            (plan(&["search-type"], &[], &both), "search", ToClient, "Patient", true),
            (plan(&["search-type"], &[], &both), "search-system", ToClient, "Patient", false),
            (plan(&["history"], &[], &both), "history-system", ToClient, "Patient", true),
            (plan(&["search"], &[], &both), "history", ToClient, "Patient", false),
        ];
        for (plan, interaction, direction, resource_type, expected) in cases {
            let wants = Wants::new(plan).unwrap();
            let included = wants.includes(interaction, direction, resource_type);
            assert_eq!(included, expected, "{:?}: {interaction} {resource_type}", wants.plan());
        }
    }
}
