//! What the profiles of IHE BALP (v1.1.3) require of an event, as a table, and whether events have it.

use std::net::Ipv4Addr;

use serde_json::Value;

use super::*;

/// A profile: the codes that it fixes.
struct Profile {
    name: &'static str,
    interactions: &'static [&'static str],
    action: &'static str,
    client: &'static str,
    server: &'static str,
    user: &'static str,
    /// The role of the entity it is about, beside the patient.
    role: &'static [&'static str],
    /// That one holds the search, or names the resource.
    queried: bool,
}

const OBJECT: &[&str] = &["3", "4", "20"];

const PROFILES: [Profile; 5] = [
    profile("Create", &["create"], "C", ["110153", "110152", "AUT"]),
    profile("Read", &["read", "vread"], "R", ["110152", "110153", "IRCP"]),
    profile("Update", &["update", "patch"], "U", ["110153", "110152", "AUT"]),
    profile("Delete", &["delete"], "D", ["110150", "custodian", "AUT"]),
    Profile {
        role: &["24"],
        queried: true,
        ..profile("Query", &["search", "search-type", "search-system"], "E", ["110153", "110152", "IRCP"])
    },
];

const fn profile(
    name: &'static str,
    interactions: &'static [&'static str],
    action: &'static str,
    [client, server, user]: [&'static str; 3],
) -> Profile {
    Profile { name, interactions, action, client, server, user, role: OBJECT, queried: false }
}

/// What of an agent or entity is required, and what is not allowed.
const AGENT: (&[&str], &[&str]) = (&["/who", "/network", "/requestor"], &["/media"]);
const USER: (&[&str], &[&str]) = (&["/who", "/requestor"], &["/media", "/network"]);
const TRANSACTION: (&[&str], &[&str]) = (&["/what/identifier/value"], &["/lifecycle", "/query", "/detail"]);
const PATIENT: (&[&str], &[&str]) =
    (&["/what", "/role"], &["/lifecycle", "/securityLabel", "/query", "/detail"]);
const QUERY: (&[&str], &[&str]) = (&["/query", "/role"], &["/what", "/lifecycle", "/detail"]);
const DATA: (&[&str], &[&str]) = (&["/what", "/role"], &["/lifecycle", "/query", "/detail"]);

/// What an event has otherwise than its profile asks for.
fn faults(event: &Value, profile: &Profile, of_patient: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let mut require = |holds: bool, what: String| {
        if !holds {
            faults.push(what);
        }
    };
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let url = format!(
        "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.{}{}",
        if of_patient { "Patient" } else { "" },
        profile.name
    );
    for (pointer, expected) in [
        ("/meta/profile/0", url.as_str()),
        ("/type/system", "http://terminology.hl7.org/CodeSystem/audit-event-type"),
        ("/type/code", "rest"),
        ("/subtype/0/system", "http://hl7.org/fhir/restful-interaction"),
        ("/action", profile.action),
        ("/outcome", "0"),
    ] {
        require(text(pointer) == expected, format!("{pointer}: {}", text(pointer)));
    }
    require(profile.interactions.contains(&text("/subtype/0/code").as_str()), "/subtype".into());
    require(text("/recorded").ends_with('Z'), "/recorded".into());
    require(event.pointer("/source/observer").is_some(), "/source/observer".into());
    let list = |name: &str| event[name].as_array().cloned().unwrap_or_default();
    let coded = |part: &Value| part.pointer("/type/coding/0/code").and_then(Value::as_str).map(str::to_owned);
    let mut slice = |name: &str, found: Vec<Value>, (must, never): (&[&str], &[&str]), least: usize| {
        require((least..=1).contains(&found.len()), format!("{name}: {} of them", found.len()));
        for one in found {
            for pointer in must {
                require(one.pointer(pointer).is_some(), format!("{name}{pointer} is missing"));
            }
            for pointer in never {
                require(one.pointer(pointer).is_none(), format!("{name}{pointer} is there"));
            }
        }
    };
    let agents = |code: &str| -> Vec<Value> {
        list("agent").into_iter().filter(|agent| coded(agent).as_deref() == Some(code)).collect()
    };
    slice("client", agents(profile.client), AGENT, 1);
    slice("server", agents(profile.server), AGENT, 1);
    slice("user", agents(profile.user), USER, 0);
    let entities = |code: &str| -> Vec<Value> {
        list("entity").into_iter().filter(|entity| entity["type"]["code"] == code).collect()
    };
    slice("transaction", entities("XrequestId"), TRANSACTION, 0);
    slice("patient", entities("1"), PATIENT, usize::from(of_patient));
    slice("object", entities("2"), if profile.queried { QUERY } else { DATA }, 1);
    let roles: Vec<_> = entities("2").iter().map(|object| object["role"]["code"].clone()).collect();
    require(
        roles.iter().all(|role| profile.role.iter().any(|known| role == known)),
        format!("roles {roles:?}"),
    );
    let requestors = list("agent").iter().filter(|agent| agent["requestor"] == true).count();
    require(requestors == 1, format!("{requestors} requestors"));
    faults
}

/// Events of every interaction that has a profile, with and without a patient, a user, references.
#[test]
fn events_have_what_their_profiles_require() {
    let principal = Principal {
        issuer: "https://idp.example.org".into(),
        subject: "u-1".into(),
        client: Some("app".into()),
        roles: ["nurse".to_owned()].into(),
        tenant: None,
        fhir_user: None,
        patient: None,
        purposes: ["TREAT".to_owned()].into(),
        bound_to: None,
        scopes: None,
        expires: None,
    };
    let nameless =
        Principal { client: None, roles: BTreeSet::new(), purposes: BTreeSet::new(), ..principal.clone() };
    let policies = BTreeSet::from(["a-rule".into()]);
    let mut tried = 0;
    for profile in &PROFILES {
        for interaction in profile.interactions {
            for (who, patients) in
                [(Some(&principal), &["p"][..]), (Some(&nameless), &[]), (None, &["p"]), (None, &[])]
            {
                let happened = Happened {
                    at: "2026-01-01T00:00:00.000Z",
                    request_id: "r-1",
                    interaction,
                    status: 200,
                    principal: who,
                    client: Ipv4Addr::LOCALHOST.into(),
                    base: "https://fhir.example.org/fhir",
                    query: profile.queried.then_some("GET https://fhir.example.org/fhir/Observation?code=x"),
                    policies: &policies,
                    denial: None,
                };
                let one = Concerned {
                    resource_type: ResourceType::Observation,
                    id: Id::parse("o"),
                    version: Id::parse("1"),
                    patients: patients.iter().filter_map(|patient| Id::parse(patient)).collect(),
                };
                for level in [AuditLevel::Exchange, AuditLevel::Patient, AuditLevel::Entry] {
                    for event in happened.events(level, std::slice::from_ref(&one)) {
                        let without = without_references(&event.resource).unwrap();
                        for text in [&event.resource, &without] {
                            let event: Value = serde_json::from_slice(text).unwrap();
                            let faults = faults(&event, profile, !patients.is_empty());
                            assert!(faults.is_empty(), "{interaction} {level:?}: {faults:?} {event}");
                            tried += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(tried >= 9 * 4 * 3 * 2, "{tried}");
}
