//! Which plugins policies ask for in the course of a request (`@obligation("plugin:…")`).
//!
//! Whether one is to see an answer has to be known before the answer is: so each counts that any decision of the exchange
//! could ask for.

use std::collections::BTreeSet;

use fireguard_fhir::interaction::Request;

use crate::accesses::accesses;
use crate::decision::{Access, Action, Judge};

/// The plugins that could be asked for: by what is asked for, by what it may come to, and by whatever else the caller reads
/// or finds, as resources may contain others of any type. A writer is taken to have read before.
pub fn plugins(judge: &dyn Judge, request: &Request) -> BTreeSet<String> {
    // What cannot be told is refused anyway.
    let asked = accesses(request).unwrap_or_default();
    let any = |action| Access { action, resource_type: None, id: None };
    let shown = [any(Action::Read), any(Action::Search)];
    let all = asked.accesses.iter().chain(&asked.possible).chain(&shown);
    all.flat_map(|access| judge.plugins(access)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fireguard_fhir::interaction::{Head, parse};

    use super::*;
    use crate::policy::describe::Caller;
    use crate::policy::{Decisions, Policies};

    const POLICIES: &str = r#"
@id("clinicians") permit(principal in Role::"clinician", action, resource);
@id("researchers") @obligation("plugin:deid")
permit(principal in Role::"researcher", action in Action::"reads", resource in Type::"Patient");
@id("labels") @obligation("plugin:mask")
permit(principal in Role::"nurse", action == Action::"search", resource) when { resource.labels.contains("c|R") };
@id("writers") permit(principal in Role::"writer", action in Action::"writes", resource);
@id("open") permit(principal in Role::"nurse", action == Action::"read", resource);
"#;

    fn obliged(roles: &[&str], line: (&str, &str)) -> Vec<String> {
        let policies = Policies::of_texts(vec![("a.cedar".into(), POLICIES.into())], None).unwrap();
        let head = Head {
            method: line.0,
            path: line.1,
            content_type: Some("application/fhir+json"),
            ..Head::default()
        };
        let request = parse(&Head { query: None, ..head }).unwrap();
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        // Scopes for some types say nothing of what is contained or on a page.
        let caller = Caller { roles, scopes: Some("user/Observation.rs".into()), ..Caller::default() };
        let judge =
            Decisions::by_policies(Arc::new(policies)).judge(Arc::new(caller.principal().unwrap()), &request);
        plugins(&*judge, &request).into_iter().collect()
    }

    #[test]
    fn whatever_could_be_asked_for_is() {
        for (roles, line, expected) in [
            (&["clinician"][..], ("GET", "/Patient/1"), &[][..]),
            (&["researcher"], ("GET", "/Patient/1"), &["deid"]),
            (&["researcher"], ("GET", "/Patient"), &["deid"]),
            // It may contain a Patient.
            (&["researcher"], ("GET", "/Observation/1"), &["deid"]),
            (&["researcher"], ("POST", "/"), &["deid"]),
            (&["researcher"], ("GET", "/Patient/1/$everything"), &["deid"]),
            (&["researcher", "writer"], ("PUT", "/Patient/1"), &["deid"]),
            (&["writer"], ("PUT", "/Patient/1"), &[]),
            (&["nurse"], ("GET", "/Observation/1"), &["mask"]),
            (&["clinician", "nurse"], ("GET", "/Observation/1"), &["mask"]),
            (&[], ("GET", "/Observation/1"), &[]),
        ] {
            assert_eq!(obliged(roles, line), expected, "{roles:?} {line:?}");
        }
    }
}
