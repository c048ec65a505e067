//! profile-tags: refuses to write resources that do not say that they keep to one of the operator's profiles.
//!
//! It believes what the resource says; whether it is true, `profile-validate` asks the server.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use fireguard_sdk::json::{self, Step};
use fireguard_sdk::{
    Direction, Exchange, Host, Interest, Item, Plan, Plugin, Problem, Refusal, Resources, Settings, Verdict,
};
use serde::Deserialize;

/// The settings: `{ profiles = { Patient = ["https://example.org/StructureDefinition/patient"] } }`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileTags {
    /// For each type its profiles, of which a resource names one at least. Other types pass.
    profiles: BTreeMap<String, Vec<String>>,
}

impl Plugin for ProfileTags {
    fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>> {
        let plugin: Self = settings.read()?;
        let problems = plugin.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let written =
            Interest::resources([Direction::ToServer]).of_types(plugin.profiles.keys().map(String::as_str));
        let plan = Plan::new([written]);
        Ok((plugin, plan))
    }
}

impl Resources for ProfileTags {
    fn resources(&mut self, _: &dyn Host, _: &Exchange, _: Direction, items: &[Item]) -> Vec<Verdict> {
        items.iter().map(|item| self.judge(&item.content)).collect()
    }
}

impl ProfileTags {
    fn problems(&self) -> Vec<Problem> {
        let problem = |pointer: String, message: &str| Problem {
            pointer,
            message: message.to_owned(),
            ..Problem::default()
        };
        if self.profiles.is_empty() {
            // Without a type, the plan would ask for every type.
            return vec![problem("/profiles".to_owned(), "a type is needed, or there is nothing to do")];
        }
        let empty = self.profiles.iter().filter(|(_, profiles)| profiles.is_empty());
        let message = "a profile is needed: nothing could be written";
        empty.map(|(name, _)| problem(format!("/profiles/{name}"), message)).collect()
    }

    fn judge(&self, resource: &[u8]) -> Verdict {
        let kind = json::resource_type_of(resource).unwrap_or_default();
        let Some(wanted) = self.profiles.get(&*kind) else { return Verdict::Keep };
        let mut named = false;
        let read = json::transform(resource, |path, value, _| match path {
            "meta" | "meta.profile" if value.string().is_none() => Step::Enter(()),
            "meta.profile" => {
                // `|1.2.0` after the URL names a version of the profile.
                let profile = value.string().unwrap_or_default();
                let url = profile.split('|').next().unwrap_or_default();
                named |= wanted.iter().any(|wanted| *wanted == *profile || *wanted == url);
                Step::Keep
            }
            _ => Step::Keep,
        });
        match read {
            Ok(_) if named => Verdict::Keep,
            Ok(_) => Verdict::Refuse(Refusal::new(
                "business-rule",
                format!("meta.profile of {kind} must name one of {}", wanted.join(", ")),
            )),
            Err(error) => Verdict::refuse("structure", format!("the resource is {error}")),
        }
    }
}

fireguard_sdk::export!(ProfileTags: Resources);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_the_profiles_is_enough() {
        let profiles = BTreeMap::from([(
            "Patient".to_owned(),
            vec!["http://p/a".to_owned(), "http://p/b|2".to_owned()],
        )]);
        let plugin = ProfileTags { profiles };
        let cases = [
            (r#"{"resourceType":"Patient","meta":{"profile":["http://p/a"]}}"#, true),
            (r#"{"resourceType":"Patient","meta":{"profile":["http://p/c","http://p/a|1.0"]}}"#, true),
            (r#"{"resourceType":"Patient","meta":{"profile":["http://p/b|2"]}}"#, true),
            (r#"{"resourceType":"Patient","meta":{"profile":["http://p/b"]}}"#, false),
            (r#"{"resourceType":"Patient","meta":{"tag":[{"code":"http://p/a"}]}}"#, false),
            (r#"{"resourceType":"Patient","contained":[{"meta":{"profile":["http://p/a"]}}]}"#, false),
            (r#"{"resourceType":"Patient"}"#, false),
            (r#"{"resourceType":"Observation"}"#, true),
        ];
        for (resource, passes) in cases {
            assert_eq!(plugin.judge(resource.as_bytes()) == Verdict::Keep, passes, "{resource}");
        }
    }
}
