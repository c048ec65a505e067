//! The AuditEvent of one happening, in JSON. Codes and slices are those of BALP's profiles; what is no success conforms
//! to none of them, and is an AuditEvent all the same.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fireguard_fhir::interaction::Id;
use serde_json::{Map, Value, json};

use super::{Concerned, Denial, Happened};
use crate::principal::Principal;

const PROFILES: &str = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.";
const DICOM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";

/// How BALP records an interaction.
struct Pattern {
    /// The profile's name, which follows `Patient` where there is one; none: there is no profile of it.
    profile: Option<&'static str>,
    action: &'static str,
    /// The client's part, and the server's: where the data comes from, and where it goes.
    client: Coding,
    server: Coding,
    /// The user's part.
    user: Coding,
}

type Coding = (&'static str, &'static str, &'static str);

const SOURCE: Coding = (DICOM, "110153", "Source Role ID");
const DESTINATION: Coding = (DICOM, "110152", "Destination Role ID");
const APPLICATION: Coding = (DICOM, "110150", "Application");
const CUSTODIAN: Coding =
    ("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "custodian", "Custodian");
const RECIPIENT: Coding = (PARTICIPATION, "IRCP", "information recipient");
const AUTHOR: Coding = (PARTICIPATION, "AUT", "author (originator)");

const PERSON: Coding = ("http://terminology.hl7.org/CodeSystem/audit-entity-type", "1", "Person");
const SYSTEM_OBJECT: Coding =
    ("http://terminology.hl7.org/CodeSystem/audit-entity-type", "2", "System Object");
const REQUEST_ID: Coding =
    ("https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType", "XrequestId", "X-Request-Id");
const PATIENT_ROLE: Coding = ("http://terminology.hl7.org/CodeSystem/object-role", "1", "Patient");
const RESOURCE_ROLE: Coding = ("http://terminology.hl7.org/CodeSystem/object-role", "4", "Domain Resource");
const QUERY_ROLE: Coding = ("http://terminology.hl7.org/CodeSystem/object-role", "24", "Query");

fn pattern(interaction: &str) -> Pattern {
    let writes = |profile, action| Pattern {
        profile: Some(profile),
        action,
        client: SOURCE,
        server: DESTINATION,
        user: AUTHOR,
    };
    match interaction {
        "create" => writes("Create", "C"),
        "update" | "patch" => writes("Update", "U"),
        "delete" => Pattern { client: APPLICATION, server: CUSTODIAN, user: AUTHOR, ..writes("Delete", "D") },
        "read" | "vread" => Pattern {
            profile: Some("Read"),
            action: "R",
            client: DESTINATION,
            server: SOURCE,
            user: RECIPIENT,
        },
        "search" | "search-type" | "search-system" => Pattern { user: RECIPIENT, ..writes("Query", "E") },
        "history" | "history-instance" | "history-type" | "history-system" => {
            Pattern { profile: None, action: "R", client: DESTINATION, server: SOURCE, user: RECIPIENT }
        }
        _ => Pattern { profile: None, user: RECIPIENT, ..writes("", "E") },
    }
}

/// The resource. `only`: the one that was concerned. `named`: those that this event names besides.
pub(super) fn resource(
    happened: &Happened<'_>,
    id: &str,
    patient: Option<&Id>,
    only: Option<&Concerned>,
    named: &[&Concerned],
) -> Vec<u8> {
    let pattern = pattern(happened.interaction);
    let succeeded = happened.status < 400;
    let queried = pattern.profile == Some("Query") || !matches!(pattern.action, "C" | "R" | "U" | "D");
    // A profile asks for what it is about: without that, it is not claimed.
    let complete = if queried { happened.query.is_some() } else { only.is_some_and(|one| one.id.is_some()) };
    let mut event = Map::new();
    event.insert("resourceType".into(), "AuditEvent".into());
    event.insert("id".into(), id.into());
    if let Some(profile) = pattern.profile.filter(|_| succeeded && complete) {
        let of = if patient.is_some() { "Patient" } else { "" };
        event.insert("meta".into(), json!({"profile": [format!("{PROFILES}{of}{profile}")]}));
    }
    let rest = ("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest", "Restful Operation");
    event.insert("type".into(), coding(rest));
    let subtype =
        json!([{"system": "http://hl7.org/fhir/restful-interaction", "code": happened.interaction}]);
    event.insert("subtype".into(), subtype);
    event.insert("action".into(), pattern.action.into());
    event.insert("recorded".into(), happened.at.into());
    event.insert("outcome".into(), outcome(happened.status).into());
    if !succeeded {
        event.insert("outcomeDesc".into(), failed(happened).into());
    }
    let purposes =
        happened.principal.map(|principal| &principal.purposes).filter(|purposes| !purposes.is_empty());
    if let Some(purposes) = purposes {
        let system = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
        let concept = |purpose: &String| json!({"coding": [{"system": system, "code": purpose}]});
        event.insert("purposeOfEvent".into(), purposes.iter().map(concept).collect());
    }
    event.insert("agent".into(), agents(happened, &pattern));
    event.insert("source".into(), source(happened));
    event.insert("entity".into(), entities(happened, patient, only, named, queried));
    serde_json::to_vec(&event).unwrap_or_default()
}

fn outcome(status: u16) -> &'static str {
    match status {
        ..400 => "0",
        400..500 => "4",
        _ => "8",
    }
}

fn failed(happened: &Happened<'_>) -> String {
    let why = match happened.denial {
        None => String::new(),
        Some(Denial::Forbidden(policies)) => format!(": forbidden by {}", policies.join(", ")),
        Some(Denial::Unpermitted) => ": no policy permits it".to_owned(),
        Some(Denial::Unscoped) => ": no scope that was granted permits it".to_owned(),
    };
    format!("HTTP status {}{why}", happened.status)
}

fn agents(happened: &Happened<'_>, pattern: &Pattern) -> Value {
    let principal = happened.principal;
    let network = json!({"address": happened.client.to_string(), "type": "2"});
    let program = match principal.and_then(|principal| Some((principal, principal.client.as_deref()?))) {
        Some((principal, client)) => json!({"identifier": {"system": &*principal.issuer, "value": client}}),
        None => json!({"display": "a client that nobody vouches for"}),
    };
    let mut client = json!({"type": concept(pattern.client), "who": program,
        "requestor": principal.is_none(), "network": network});
    let server = json!({"type": concept(pattern.server), "who": {"display": happened.base}, "requestor": false,
        "network": {"address": happened.base, "type": "5"}});
    let decided: Vec<&Arc<str>> = match happened.denial {
        Some(Denial::Forbidden(policies)) => policies.iter().collect(),
        Some(_) => Vec::new(),
        None => happened.policies.iter().collect(),
    };
    let policies: Vec<String> =
        decided.into_iter().map(|policy| format!("urn:fireguard:policy:{policy}")).collect();
    let mut agents = Vec::new();
    match principal {
        Some(principal) => {
            let mut user = user(principal, pattern.user);
            if !policies.is_empty() {
                user["policy"] = policies.into();
            }
            agents.extend([client, server, user]);
        }
        None => {
            if !policies.is_empty() {
                client["policy"] = policies.into();
            }
            agents.extend([client, server]);
        }
    }
    agents.into()
}

fn user(principal: &Principal, part: Coding) -> Value {
    let mut user = json!({"type": concept(part), "requestor": true, "altId": &*principal.subject,
        "who": {"identifier": {"system": &*principal.issuer, "value": &*principal.subject}}});
    if !principal.roles.is_empty() {
        let role = |role: &String| json!({"coding": [{"system": &*principal.issuer, "code": role}]});
        user["role"] = principal.roles.iter().map(role).collect();
    }
    user
}

/// Who noted it: neither of the two that talked.
fn source(happened: &Happened<'_>) -> Value {
    let security = ("http://terminology.hl7.org/CodeSystem/security-source-type", "6", "Security Server");
    json!({"site": happened.base, "observer": {"display": "Fireguard"}, "type": [coding(security)]})
}

fn entities(
    happened: &Happened<'_>,
    patient: Option<&Id>,
    only: Option<&Concerned>,
    named: &[&Concerned],
    queried: bool,
) -> Value {
    let mut entities = vec![json!({"type": coding(REQUEST_ID),
        "what": {"identifier": {"value": happened.request_id}}})];
    if let Some(patient) = patient {
        entities.push(json!({"type": coding(PERSON), "role": coding(PATIENT_ROLE),
            "what": {"reference": format!("Patient/{patient}")}}));
    }
    match (queried, happened.query, only) {
        (true, Some(query), _) => entities.push(json!({"type": coding(SYSTEM_OBJECT),
            "role": coding(QUERY_ROLE), "query": STANDARD.encode(query)})),
        (false, _, Some(only)) => {
            entities.extend(what(happened, only).map(
                |what| json!({"type": coding(SYSTEM_OBJECT), "role": coding(RESOURCE_ROLE), "what": what}),
            ))
        }
        _ => {}
    }
    // By their types: a System Object is the one that the profile asks for.
    let named = named.iter().filter(|_| queried || only.is_none());
    entities.extend(named.filter_map(|one| {
        let code = one.resource_type.as_str();
        let kind = json!({"system": "http://hl7.org/fhir/resource-types", "code": code});
        Some(json!({"type": kind, "role": coding(RESOURCE_ROLE), "what": what(happened, one)?}))
    }));
    entities.into()
}

/// The resource. What was deleted is not referred to: servers refuse references that lead nowhere.
fn what(happened: &Happened<'_>, one: &Concerned) -> Option<Value> {
    let (name, id) = (one.resource_type.as_str(), one.id.as_ref()?);
    if happened.interaction == "delete" {
        return Some(identified(name, id.as_str()));
    }
    let version = one.version.as_ref().map(|version| format!("/_history/{version}")).unwrap_or_default();
    Some(json!({"reference": format!("{name}/{id}{version}")}))
}

/// A resource named by what is no reference: type and id as an identifier.
pub fn identified(resource_type: &str, id: &str) -> Value {
    json!({"type": resource_type, "identifier": {"value": format!("{resource_type}/{id}")}})
}

/// The event without references, for a server that does not have what they lead to; none: it is none.
pub fn without_references(event: &[u8]) -> Option<Vec<u8>> {
    let mut event: Value = serde_json::from_slice(event).ok()?;
    for entity in event.get_mut("entity")?.as_array_mut()? {
        let Some(reference) = entity.pointer("/what/reference").and_then(Value::as_str) else { continue };
        let (resource_type, id) = reference.split_once('/')?;
        let id = id.split('/').next().unwrap_or(id);
        let (what, name) = (identified(resource_type, id), format!("{resource_type}/{id}"));
        entity["what"] = what;
        // What servers find it by: `AuditEvent?entity-name=Patient/1`.
        entity["name"] = name.into();
    }
    serde_json::to_vec(&event).ok()
}

fn coding((system, code, display): Coding) -> Value {
    json!({"system": system, "code": code, "display": display})
}

fn concept(of: Coding) -> Value {
    json!({"coding": [coding(of)]})
}
