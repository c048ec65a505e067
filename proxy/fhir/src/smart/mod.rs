//! SMART App Launch: scopes (<https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html>).
//!
//! ```
//! use fireguard_fhir::ResourceType;
//! use fireguard_fhir::smart::{Permission, Scopes};
//!
//! let scopes = Scopes::parse("openid launch/patient patient/Observation.rs?category=vital-signs patient/Tea.rs");
//! let [scope] = scopes.resources() else { panic!("what is not understood is not granted") };
//! assert_eq!(scope.resource_type, Some(ResourceType::Observation));
//! assert!(scope.permits(Permission::Search) && !scope.permits(Permission::Create));
//! ```

pub mod operations;
mod scope;

use std::collections::BTreeSet;

pub use scope::{Context, Permission, ResourceScope, ScopeError};

/// What was granted by a token. A scope that is not understood grants nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes {
    resources: Vec<ResourceScope>,
    others: BTreeSet<Other>,
    contradictory: bool,
}

/// Scopes that are not for resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Other {
    /// `openid`: an ID token.
    OpenId,
    /// `fhirUser`: who the user is.
    FhirUser,
    /// `profile`: the same, by its older name.
    Profile,
    /// `launch`: the context of the application that launches.
    Launch,
    /// `launch/patient`: a patient is chosen.
    LaunchPatient,
    /// `launch/encounter`: an encounter is chosen.
    LaunchEncounter,
    /// `offline_access`: a refresh token that outlives the session.
    OfflineAccess,
    /// `online_access`: one that ends with it.
    OnlineAccess,
}

const OTHERS: [(&str, Other); 8] = [
    ("openid", Other::OpenId),
    ("fhirUser", Other::FhirUser),
    ("profile", Other::Profile),
    ("launch", Other::Launch),
    ("launch/patient", Other::LaunchPatient),
    ("launch/encounter", Other::LaunchEncounter),
    ("offline_access", Other::OfflineAccess),
    ("online_access", Other::OnlineAccess),
];

impl Scopes {
    /// Reads the value of `scope` (RFC 6749 §3.3): words between spaces.
    pub fn parse(text: &str) -> Self {
        let mut scopes = Self::default();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            if let Some((_, other)) = OTHERS.iter().find(|(name, _)| *name == word) {
                scopes.others.insert(*other);
            } else if let Ok(scope) = word.parse::<ResourceScope>()
                && !scopes.resources.contains(&scope)
            {
                scopes.resources.push(scope);
            }
        }
        let has = |context| scopes.resources.iter().any(|scope| scope.context == context);
        scopes.contradictory = has(Context::System) && (has(Context::Patient) || has(Context::User));
        scopes
    }

    /// The scopes for resources. None of them if they are [contradictory](Self::is_contradictory).
    pub fn resources(&self) -> &[ResourceScope] {
        if self.contradictory { &[] } else { &self.resources }
    }

    /// Whether it was granted besides.
    pub fn has(&self, other: Other) -> bool {
        self.others.contains(&other)
    }

    /// Whether there are `system/` scopes (nobody is there) together with `patient/` or `user/` ones (somebody is): no
    /// server grants both to one token, and to guess which is meant could widen what was granted.
    pub fn is_contradictory(&self) -> bool {
        self.contradictory
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_is_understood_is_granted() {
        for (text, granted) in [
            ("", 0),
            ("openid fhirUser launch/patient offline_access", 0),
            ("patient/Observation.rs  patient/Observation.rs", 1),
            ("patient/Observation.rs patient/Observation.sr", 1),
            ("patient/Observation.rs user/Observation.read", 2),
            ("system/*.rs", 1),
            ("system/*.rs patient/*.rs", 0),
            ("system/*.rs user/Patient.c", 0),
            // What is not understood contradicts nothing.
            ("system/*.rs user/Patient.x", 1),
            ("patient/Observation.rs\tpatient/Patient.rs", 0),
            ("Patient/Observation.rs", 0),
        ] {
            let scopes = Scopes::parse(text);
            assert_eq!(scopes.resources().len(), granted, "{text}");
        }
        assert!(Scopes::parse("system/*.rs user/Patient.c").is_contradictory());
        assert!(!Scopes::parse("patient/*.rs user/Patient.c").is_contradictory());
    }

    #[test]
    fn other_scopes_are_kept_apart() {
        let scopes = Scopes::parse("launch/patient openid launch/Patient OPENID");
        for (name, other) in OTHERS {
            assert_eq!(scopes.has(other), ["launch/patient", "openid"].contains(&name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn words_grant_one_by_one(
            words in proptest::collection::vec("(patient|user|systm)/(Patient|Observation|\\*|Tea)\\.[cruds]{0,3}", 0..8),
        ) {
            let together = Scopes::parse(&words.join(" "));
            for word in &words {
                let alone = Scopes::parse(word);
                prop_assert!(alone.resources().iter().all(|scope| together.resources().contains(scope)));
            }
            let all: Vec<_> = words.iter().filter_map(|word| word.parse().ok()).collect();
            prop_assert!(together.resources().iter().all(|scope| all.contains(scope)));
        }

        #[test]
        fn any_text_is_read(text in any::<String>()) {
            let scopes = Scopes::parse(&text);
            prop_assert!(scopes.resources().len() <= text.split(' ').count());
        }
    }
}
