//! Whom links to pages, jobs and files are made for.

use aws_lc_rs::digest::{Context, SHA256};
use fireguard_access::principal::Principal;

/// A caller as the one who holds a link: who it is, and how it is confined. What is not in it may change while the link
/// is good: a refreshed token keeps paging. A caller whose confinement has changed begins again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder([u8; Self::LENGTH]);

impl Holder {
    /// How many bytes name one.
    pub const LENGTH: usize = 16;
    /// Whoever comes, on a route that is open to anyone.
    pub const ANYONE: Self = Self([0; Self::LENGTH]);

    /// This caller.
    pub fn of(principal: &Principal) -> Self {
        let Principal {
            issuer: _,
            subject: _,
            client: _,
            roles,
            tenant,
            fhir_user,
            patient,
            purposes,
            scopes,
            bound_to: _,
            expires: _,
        } = principal;
        let mut whole = Context::new(&SHA256);
        let mut part = |bytes: &[u8]| {
            whole.update(&(bytes.len() as u64).to_be_bytes());
            whole.update(bytes);
        };
        part(&principal.holder());
        for list in [roles, purposes] {
            part(&(list.len() as u64).to_be_bytes());
            list.iter().for_each(|item| part(item.as_bytes()));
        }
        part(format!("{tenant:?} {fhir_user:?} {patient:?}").as_bytes());
        // In whatever order they were granted.
        let granted = scopes.as_ref().map(|scopes| {
            let mut granted: Vec<_> = scopes.resources().iter().map(ToString::to_string).collect();
            granted.sort();
            granted
        });
        part(format!("{granted:?}").as_bytes());
        let mut holder = [0; Self::LENGTH];
        holder.copy_from_slice(&whole.finish().as_ref()[..Self::LENGTH]);
        Self(holder)
    }

    /// As it stands in a token.
    pub(crate) fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// From a token.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;
    use std::time::SystemTime;

    use fireguard_fhir::interaction::Id;
    use fireguard_fhir::smart::Scopes;

    use super::*;

    /// A caller of this name.
    pub(crate) fn principal(subject: &str) -> Principal {
        Principal {
            issuer: "https://id.example".into(),
            subject: subject.into(),
            client: Some("app".into()),
            roles: BTreeSet::from(["nurse".to_owned(), "clerk".to_owned()]),
            tenant: None,
            fhir_user: None,
            patient: Id::parse("p1"),
            purposes: BTreeSet::new(),
            bound_to: None,
            scopes: Some(Scopes::parse("patient/Observation.rs patient/Patient.r")),
            expires: None,
        }
    }

    #[test]
    fn a_refreshed_token_holds_and_another_confinement_does_not() {
        let ann = || principal("ann");
        let roles = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let scopes = |text| Some(Scopes::parse(text));
        for (other, same) in [
            (Principal { expires: Some(SystemTime::now()), ..ann() }, true),
            (Principal { scopes: scopes("openid patient/Patient.r patient/Observation.rs"), ..ann() }, true),
            (principal("bob"), false),
            (Principal { issuer: "https://other.example".into(), ..ann() }, false),
            (Principal { client: Some("app2".into()), ..ann() }, false),
            (Principal { client: None, ..ann() }, false),
            (Principal { patient: Id::parse("p2"), ..ann() }, false),
            (Principal { patient: None, ..ann() }, false),
            (Principal { scopes: None, ..ann() }, false),
            (Principal { scopes: scopes("patient/Observation.rs"), ..ann() }, false),
            (Principal { roles: roles(&["nurse"]), ..ann() }, false),
            (Principal { roles: roles(&["nurseclerk"]), ..ann() }, false),
            (Principal { roles: roles(&[]), purposes: roles(&["clerk", "nurse"]), ..ann() }, false),
            (Principal { tenant: Some("a".to_owned()), ..ann() }, false),
        ] {
            assert_eq!(Holder::of(&other) == Holder::of(&ann()), same, "{other:?}");
        }
        assert_ne!(Holder::of(&ann()), Holder::ANYONE);
    }
}
