//! Subscriptions: whoever makes one reads its criteria for as long as it lives, past every gate, at its endpoint.

use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::{Head, Refusal, parse};
use fireguard_fhir::json::Tree;
use fireguard_fhir::outcome::IssueCode;

use crate::decision::Judge;
use crate::gate::sees_whole;
use crate::surface::Surface;

/// The elements that are understood. Extensions are none of them: HAPI takes further criteria out of some.
const ELEMENTS: [&str; 11] = [
    "resourceType",
    "id",
    "meta",
    "text",
    "status",
    "contact",
    "end",
    "reason",
    "error",
    "criteria",
    "channel",
];
const CHANNEL: [&str; 4] = ["type", "endpoint", "payload", "header"];

/// Judges a Subscription that is to be stored: all that its criteria find must be the caller's to see, and it may notify
/// only where the route says.
///
/// # Errors
/// 403, or 400 where it cannot be understood.
pub fn judge(judge: &dyn Judge, surface: &Surface, resource: &[u8]) -> Result<(), Refusal> {
    let tree = Tree::parse(resource).map_err(|error| invalid(format!("the Subscription: {error}")))?;
    only(&tree, &ELEMENTS)?;
    let channel = tree.get("channel").ok_or_else(|| invalid("a Subscription has a channel"))?;
    only(channel, &CHANNEL)?;
    let text = |of: &Tree, name: &str| of.get(name).and_then(Tree::as_text).map(std::borrow::Cow::into_owned);
    if text(channel, "type").as_deref() != Some("rest-hook") {
        return Err(forbidden("a Subscription may notify by rest-hook only"));
    }
    let endpoint = text(channel, "endpoint").unwrap_or_default();
    if !surface.may_notify(&endpoint) {
        return Err(forbidden("this route lets no Subscription notify there: see `subscription_endpoints`"));
    }
    let criteria = text(&tree, "criteria").unwrap_or_default();
    let (ty, query) = criteria.split_once('?').unwrap_or((&criteria, ""));
    let ty = ResourceType::parse(ty).ok_or_else(|| {
        invalid("the criteria of a Subscription are a search for a type: Observation?code=x")
    })?;
    let path = format!("/{ty}");
    let search = parse(&Head { query: Some(query), ..Head::new("GET", &path) })?;
    surface.judge(&search)?;
    sees_whole(judge, &search)
}

fn only(object: &Tree, known: &[&str]) -> Result<(), Refusal> {
    let Tree::Object(members) = object else {
        return Err(invalid("a Subscription and its channel are objects"));
    };
    if members.iter().all(|(name, _)| known.contains(&name.as_str())) {
        return Ok(());
    }
    Err(forbidden("a Subscription may have no extensions, and no elements that R4 does not define"))
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, IssueCode::Invalid, message)
}

fn forbidden(message: &'static str) -> Refusal {
    Refusal::new(403, IssueCode::Forbidden, message)
}

#[cfg(test)]
mod tests {
    use fireguard_fhir::base::Base;
    use fireguard_fhir::parameters::Parameters;

    use super::*;
    use crate::decision::{Access, Action, Allowed, Bound, Obligations, Permission, Resource};

    /// Observations are the caller's, and nothing else whole.
    #[derive(Debug)]
    struct Observations;

    impl Judge for Observations {
        fn request(&self, access: &Access) -> Permission {
            let constraint = match access.resource_type {
                Some(ResourceType::Observation) => Parameters::default(),
                _ => Parameters::parse(b"a=1").unwrap(),
            };
            let bounds = vec![Bound { patient: None, constraint }];
            let obligations = Obligations::default();
            Permission::Allowed(Allowed { bounds, each: false, obligations, policies: Vec::new() })
        }

        fn resource(&self, action: &Action, resource: &Resource) -> Permission {
            let resource_type = Some(resource.resource_type);
            self.request(&Access { action: action.clone(), resource_type, id: None })
        }

        fn plugins(&self, _: &Access) -> std::collections::BTreeSet<String> {
            std::collections::BTreeSet::new()
        }
    }

    #[test]
    fn subscriptions_read_their_criteria() {
        let hooks = vec![Base::parse("https://hooks.example/in").unwrap()];
        let surface = Surface::new(false, None, None).unwrap().notifying(hooks);
        let good = r#"{"resourceType":"Subscription","status":"requested","reason":"x","criteria":"Observation?code=x",
            "channel":{"type":"rest-hook","endpoint":"https://hooks.example/in/1","payload":"application/fhir+json"}}"#;
        assert_eq!(judge(&Observations, &surface, good.as_bytes()), Ok(()));
        for (from, to, status) in [
            ("Observation?code=x", "Patient?name=x", 403),
            ("Observation?code=x", "Observation?patient.name=x", 403),
            ("Observation?code=x", "Observation?_has:Group:member:code=x", 403),
            ("Observation?code=x", "[*]", 400),
            ("Observation?code=x", "http://x/topic", 400),
            ("rest-hook", "email", 403),
            ("rest-hook", "websocket", 403),
            ("https://hooks.example/in/1", "https://hooks.example/inner", 403),
            ("https://hooks.example/in/1", "https://hooks.example@evil.example/in/1", 403),
            ("https://hooks.example/in/1", "https://hooks.example.evil.example/in/1", 403),
            ("https://hooks.example/in/1", "http://hooks.example/in/1", 403),
            ("https://hooks.example/in/1", "https://hooks.example/in/../admin", 403),
            ("https://hooks.example/in/1", "https://hooks.example/in/%2e%2e/admin", 403),
            (r#""payload""#, r#""extension":[],"payload""#, 403),
            (r#""criteria""#, r#""_criteria":{},"criteria""#, 403),
            (r#""reason""#, r#""criteria":"Patient?","reason""#, 400),
        ] {
            let changed = good.replacen(from, to, 1);
            assert_ne!(changed, good, "{from}");
            let refused = judge(&Observations, &surface, changed.as_bytes());
            assert_eq!(refused.map_err(|refusal| refusal.status), Err(status), "{to}");
        }
        let nowhere = Surface::new(false, None, None).unwrap();
        assert!(judge(&Observations, &nowhere, good.as_bytes()).is_err());
    }
}
