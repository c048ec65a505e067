use std::collections::BTreeSet;

use fireguard_fhir::interaction::{Head, parse};

use super::*;
use crate::decision::{Obligations, Resource};

/// Allows by type: `Type` all of it, `Type=patient?constraint` so far, `Type-element` without an element.
#[derive(Debug)]
struct Table(Vec<(Option<ResourceType>, Allowed)>);

impl Table {
    fn new(text: &str) -> Self {
        let mut rows: Vec<(Option<ResourceType>, Allowed)> = Vec::new();
        for word in text.split_whitespace() {
            let (word, dropped) = word.split_once('-').map_or((word, None), |(w, d)| (w, Some(d)));
            let (name, bound) = word.split_once('=').unwrap_or((word, ""));
            let (patient, constraint) = bound.split_once('?').unwrap_or((bound, ""));
            let constraint = Parameters::parse(constraint.as_bytes()).unwrap();
            let bound = Bound { patient: Id::parse(patient), constraint };
            let ty = ResourceType::parse(name);
            assert!(ty.is_some() || name == "*", "{word}");
            if let Some((_, allowed)) = rows.iter_mut().find(|(known, _)| *known == ty) {
                allowed.bounds.push(bound);
                continue;
            }
            let drop: BTreeSet<_> = dropped.map(|element| format!("{name}.{element}")).into_iter().collect();
            let each = !bound.is_all();
            let obligations = Obligations { drop, ..Obligations::default() };
            rows.push((ty, Allowed { bounds: vec![bound], each, obligations, policies: Vec::new() }));
        }
        Self(rows)
    }
}

impl Judge for Table {
    fn request(&self, access: &Access) -> Permission {
        let found = self.0.iter().find(|(ty, _)| *ty == access.resource_type);
        match found.or(self.0.iter().find(|(ty, _)| ty.is_none())) {
            Some((_, allowed)) => Permission::Allowed(allowed.clone()),
            None => Permission::Denied(Denied {
                message: "no".into(),
                scope: Some("user/X.rs".into()),
                policies: Vec::new(),
            }),
        }
    }

    fn resource(&self, action: &Action, resource: &Resource) -> Permission {
        let resource_type = Some(resource.resource_type);
        self.request(&Access { action: action.clone(), resource_type, id: resource.id.clone() })
    }

    fn plugins(&self, _: &Access) -> BTreeSet<String> {
        BTreeSet::new()
    }
}

fn request(method: &str, target: &str) -> Request {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let content_type = match method {
        "POST" if path.ends_with("_search") => Some("application/x-www-form-urlencoded"),
        "POST" | "PUT" => Some("application/fhir+json"),
        "PATCH" => Some("application/json-patch+json"),
        _ => None,
    };
    parse(&Head { query, content_type, ..Head::new(method, path) })
        .unwrap_or_else(|refusal| panic!("{method} {target}: {}", refusal.message))
}

/// What is sent, or the status of the refusal.
fn sent(may: &str, method: &str, target: &str) -> (Result<String, u16>, Option<Granted>) {
    let mut request = request(method, target);
    match admit(&Table::new(may), &mut request) {
        Ok(granted) => {
            let target = request.target();
            (Ok(format!("{} {}", target.method, target.path_and_query)), Some(granted))
        }
        Err(refused) => (Err(refused.refusal.status), None),
    }
}

const PATIENT: &str = "Patient=p Observation=p Appointment=p Group=p Coverage=p Practitioner Organization";

#[test]
fn whoever_may_see_all_is_let_through_as_is() {
    for (method, target) in [
        ("GET", "/Observation?code=x&_include=Observation:performer:Practitioner&_summary=count"),
        ("POST", "/Observation/_search?code=x"),
        ("GET", "/Observation/_history"),
        ("PUT", "/Observation/1"),
        ("GET", "/Patient/1/$everything?_type=Observation"),
    ] {
        let (sent, granted) = sent("Observation Practitioner Patient", method, target);
        assert_eq!(sent, Ok(format!("{method} {}", target.replace("/_search?code=x", "/_search"))));
        assert_eq!(granted.unwrap().confinement, None, "{target}");
    }
    // Their answers hold what else there is.
    for target in ["/Patient/1/$everything", "/Bundle/1", "/Bundle?type=document"] {
        let (sent, granted) = sent("Patient Bundle", "GET", target);
        assert!(sent.is_ok() && granted.unwrap().confinement.is_some(), "{target}");
        let (_, granted) = self::sent("*", "GET", target);
        assert_eq!(granted.unwrap().confinement, None, "{target}");
    }
    let refused = admit(&Table::new("Patient"), &mut request("GET", "/Observation")).unwrap_err();
    assert_eq!((refused.refusal.status, refused.scope.as_deref()), (403, Some("user/X.rs")));
}

#[test]
fn searches_are_narrowed() {
    for (may, target, expected) in [
        (PATIENT, "/Observation?code=x", "/Observation?code=x&patient=Patient/p"),
        (PATIENT, "/Observation", "/Observation?patient=Patient/p"),
        (PATIENT, "/Patient?name=x", "/Patient?name=x&_id=p"),
        (PATIENT, "/Appointment", "/Appointment?patient=Patient/p"),
        (PATIENT, "/Group", "/Group?member=Patient/p"),
        // What names the patient already.
        (PATIENT, "/Observation?patient=p", "/Observation?patient=p"),
        (PATIENT, "/Observation?patient:Patient=p", "/Observation?patient:Patient=p"),
        (PATIENT, "/Observation?performer=Patient/p", "/Observation?performer=Patient/p"),
        (PATIENT, "/Patient?_id=p&_id=q", "/Patient?_id=p&_id=q"),
        // What looks like it.
        (PATIENT, "/Observation?patient=p,q", "/Observation?patient=p,q&patient=Patient/p"),
        (PATIENT, "/Observation?patient=p2", "/Observation?patient=p2&patient=Patient/p"),
        (PATIENT, "/Observation?performer=p", "/Observation?performer=p&patient=Patient/p"),
        (PATIENT, "/Observation?patient:not=p", "/Observation?patient:not=p&patient=Patient/p"),
        (PATIENT, "/Observation?patient=", "/Observation?patient=&patient=Patient/p"),
        (
            PATIENT,
            "/Observation?subject=http://x/Patient/p",
            "/Observation?subject=http://x/Patient/p&patient=Patient/p",
        ),
        (PATIENT, "/Patient?link=Patient/p", "/Patient?link=Patient/p&_id=p"),
        (
            PATIENT,
            "/Observation?subject:identifier=x%7Cy",
            "/Observation?subject:identifier=x%7Cy&patient=Patient/p",
        ),
        // Several patients, and what scopes name.
        ("Observation=p Observation=q", "/Observation", "/Observation?patient=Patient/p,Patient/q"),
        ("Observation=p?a=1", "/Observation", "/Observation?a=1&patient=Patient/p"),
        ("Observation=p?a=1 Observation=p?a=2", "/Observation", "/Observation?a=1,2&patient=Patient/p"),
        ("Observation=p?a=1 Observation=p", "/Observation", "/Observation?patient=Patient/p"),
        ("Observation=?a=1", "/Observation?code=x", "/Observation?code=x&a=1"),
        ("Observation=?code=1 Observation=?date=2", "/Observation?date=2", "/Observation?date=2"),
        ("Observation=?code:not=1", "/Observation", "/Observation?code:not=1"),
        // Their compartments say nothing.
        (PATIENT, "/Practitioner?name=x&_revinclude=Observation:performer", "="),
        ("Schedule=p", "/Schedule?actor=Location/1", "="),
    ] {
        let (sent, granted) = sent(may, "GET", target);
        let expected = if expected == "=" { target } else { expected };
        assert_eq!(sent, Ok(format!("GET {expected}")), "{target}");
        let confinement = granted.unwrap().confinement.unwrap();
        assert_eq!(confinement.shown, Action::Search);
        if let Some(narrowed) = confinement.narrowed {
            let query = expected.split_once('?').map(|(_, query)| query);
            assert!(narrowed.is_proved_by(target.split('?').next().unwrap(), query), "{target}");
        }
    }
    let (sent, _) = sent(PATIENT, "POST", "/Observation/_search?code=x");
    assert_eq!(sent.as_deref(), Ok("GET /Observation?code=x&patient=Patient/p"));
}

#[test]
fn searches_that_tell_of_others_are_refused() {
    for (query, status) in [
        ("_summary=count", 403),
        ("_count=0", 403),
        ("_summary=text", 403),
        ("_list=1", 403),
        ("_filter=x", 403),
        ("_query=x", 403),
        ("_content=x", 403),
        ("_text=x", 403),
        ("_contained=true", 403),
        ("_type=Patient", 403),
        ("of-our-own=x", 400),
        ("Code=x", 400),
        ("code:recurse=x", 403),
        ("code:Patient=x", 403),
        ("_sort=of-our-own", 400),
        ("_sort=patient.name", 400),
        // Joins: not granted, or granted but not whole.
        ("_include=Observation:encounter", 403),
        ("patient.name=x", 403),
        ("subject:Patient.name=x", 403),
        ("_has:Group:member:code=x", 403),
        ("_has:Observation:has-member:patient=q", 403),
        ("performer:Practitioner._has:Observation:performer:patient=q", 403),
    ] {
        let (sent, _) = sent(&format!("{PATIENT} *=p"), "GET", &format!("/Observation?{query}"));
        if query.starts_with("_include") {
            assert!(sent.is_ok(), "{query}");
            let (sent, _) = self::sent(PATIENT, "GET", &format!("/Observation?{query}"));
            assert_eq!(sent, Err(403));
        } else {
            assert_eq!(sent, Err(status), "{query}");
        }
    }
    for (target, passes) in [
        ("/Observation?_include=Observation:performer:Practitioner", true),
        ("/Observation?_revinclude=Observation:has-member", true),
        ("/Observation?performer:Practitioner.name=x", true),
        ("/Observation?_total=accurate&_count=1&_sort=-date,_id&_elements=code", true),
        ("/Practitioner?_has:Observation:performer:patient=q", false),
        ("/Patient?_has:Observation:patient:code=x", true),
        ("/Patient?_has:Observation:performer:code=x", true),
        ("/Patient?_has:Observation:focus:code=x", false),
        ("/Patient?_has:Observation:patient:performer.name=x", false),
        ("/Patient?_has:Group:member:code=x", false),
        ("/Patient?general-practitioner:Practitioner.name=x", true),
    ] {
        assert_eq!(sent(PATIENT, "GET", target).0.is_ok(), passes, "{target}");
    }
}

#[test]
fn what_is_not_shown_is_not_searched_for() {
    for (target, passes) in [
        ("/Patient?birthdate=2000", false),
        ("/Patient?_sort=birthdate", false),
        ("/Patient?name=x", true),
        ("/Observation?patient:Patient.birthdate=2000", false),
    ] {
        let (sent, _) = sent("Patient-birthDate Observation", "GET", target);
        assert_eq!(sent.is_ok(), passes, "{target}");
    }
}

#[test]
fn interactions_of_the_confined() {
    for (may, method, target, expected) in [
        (PATIENT, "GET", "/Observation/1", Ok("GET /Observation/1")),
        (PATIENT, "GET", "/Observation/1/_history/2", Ok("GET /Observation/1/_history/2")),
        (PATIENT, "GET", "/Observation/1/_history", Ok("GET /Observation/1/_history")),
        (PATIENT, "GET", "/Observation/_history", Err(403)),
        ("*=p", "GET", "/_history", Err(403)),
        ("*=p", "GET", "/?_type=Patient", Err(403)),
        (PATIENT, "GET", "/Patient/p/Observation?code=1", Ok("GET /Observation?code=1&patient=Patient/p")),
        (
            PATIENT,
            "GET",
            "/Patient/q/Observation",
            Ok("GET /Observation?patient=Patient/q&patient=Patient/p"),
        ),
        ("Observation=p", "GET", "/Patient/p/Observation", Err(403)),
        ("*=p", "GET", "/Patient/p/Practitioner", Err(403)),
        ("*=p", "GET", "/Patient/p/*", Err(403)),
        ("*=p", "GET", "/Encounter/1/Observation", Err(403)),
        (PATIENT, "GET", "/Patient/p/$everything?_count=5", Ok("GET /Patient/p/$everything?_count=5")),
        (PATIENT, "GET", "/Patient/q/$everything", Err(403)),
        (PATIENT, "GET", "/Patient/$everything", Err(403)),
        (PATIENT, "GET", "/Patient/p/$everything?_filter=x", Err(403)),
        (PATIENT, "POST", "/Patient/p/$everything", Err(403)),
        (PATIENT, "GET", "/Observation/$lastn?patient=p", Err(403)),
        (PATIENT, "GET", "/Observation/$meta", Err(403)),
        (PATIENT, "GET", "/Observation/1/$meta", Err(403)),
        (PATIENT, "GET", "/Observation/1/$validate", Err(403)),
        ("*=p", "GET", "/$export", Err(403)),
        ("*=p", "POST", "/$graphql", Err(403)),
        (PATIENT, "POST", "/Observation", Ok("POST /Observation")),
        (PATIENT, "PUT", "/Observation/1", Ok("PUT /Observation/1")),
        (PATIENT, "DELETE", "/Observation/1", Ok("DELETE /Observation/1")),
        (PATIENT, "PATCH", "/Observation/1", Ok("PATCH /Observation/1")),
        (PATIENT, "PUT", "/Observation?identifier=x", Ok("PUT /Observation?identifier=x&patient=Patient/p")),
        (PATIENT, "DELETE", "/Observation?patient.name=x", Err(403)),
        ("Observation=p?code=1", "GET", "/Observation/1", Ok("GET /Observation/1")),
        ("Observation=p?code=1", "GET", "/Observation/1/_history/2", Err(403)),
        ("Observation=p?code=1", "GET", "/Observation/1/_history", Err(403)),
        // What is written can be compared with a code, and not with a date.
        ("Observation=p?code=1", "POST", "/Observation", Ok("POST /Observation")),
        ("Observation=p?code=1", "PUT", "/Observation/1", Ok("PUT /Observation/1")),
        ("Observation=p?code=1", "DELETE", "/Observation/1", Ok("DELETE /Observation/1")),
        ("Observation=p?date=1", "POST", "/Observation", Err(403)),
        ("Observation=p?date=1", "PUT", "/Observation/1", Err(403)),
        ("Observation=p?code=1&date=1", "PATCH", "/Observation/1", Err(403)),
        ("Observation=p?date=1", "DELETE", "/Observation/1", Err(403)),
    ] {
        let (sent, _) = sent(may, method, target);
        assert_eq!(sent.as_deref(), expected.as_ref().map(|t| *t), "{method} {target}");
    }
    let mut read = request("GET", "/Observation/1");
    let granted = admit(&Table::new("Observation=p?code=1"), &mut read).unwrap();
    let narrowed = granted.confinement.unwrap().narrowed.unwrap();
    assert_eq!(narrowed.required.serialise(), "code=1&patient=Patient/p&_id=1");
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let parsed = |head: Head<'_>| parse(&Head { xml: true, ..head }).unwrap();
    let xml = Head { accept: Some("application/fhir+xml"), ..Head::new("GET", "/Observation/1") };
    let body = Head { content_type: Some("application/fhir+xml"), ..Head::new("PUT", "/Observation/1") };
    let json = Some("application/fhir+json");
    let paths = Head { content_type: json, ..Head::new("PATCH", "/Observation/1") };
    let later = Head { prefer: Some("respond-async"), ..Head::new("GET", "/Observation") };
    for (head, status) in [(xml, 406), (Head { accept: json, ..body }, 415), (paths, 415), (later, 403)] {
        let refused = admit(&Table::new(PATIENT), &mut parsed(head)).unwrap_err();
        assert_eq!(refused.refusal.status, status, "{head:?}");
        assert!(admit(&Table::new("Observation"), &mut parsed(head)).is_ok(), "{head:?}");
    }
}
