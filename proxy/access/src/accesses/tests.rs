use fireguard_fhir::interaction::{Head, Pages, parse};

use super::*;

fn asked(method: &str, target: &str) -> Result<Asked, Refusal> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let content_type = match method {
        "POST" if path.ends_with("_search") => Some("application/x-www-form-urlencoded"),
        "POST" | "PUT" => Some("application/fhir+json"),
        "PATCH" => Some("application/json-patch+json"),
        _ => None,
    };
    let (method, if_none_exist) = if method == "POST?" { ("POST", query) } else { (method, None) };
    let content_type = if if_none_exist.is_some() { Some("application/fhir+json") } else { content_type };
    let query = query.filter(|_| if_none_exist.is_none());
    let head = Head { query, content_type, if_none_exist, pages: Pages::Plain, ..Head::new(method, path) };
    accesses(&parse(&head).unwrap_or_else(|refusal| panic!("{method} {target}: {}", refusal.message)))
}

/// As `Action Type/id`, possible ones behind a bar.
fn text(asked: &Asked) -> String {
    let one = |access: &Access| {
        let action = match &access.action {
            Action::Operate(name) => name.to_string(),
            action => format!("{action:?}"),
        };
        let ty = access.resource_type.map_or("*", ResourceType::as_str);
        let id = access.id.as_ref().map_or(String::new(), |id| format!("/{id}"));
        format!("{action} {ty}{id}")
    };
    let list = |accesses: &[Access]| accesses.iter().map(one).collect::<Vec<_>>().join(", ");
    match asked.possible.as_slice() {
        [] => list(&asked.accesses),
        possible => format!("{} | {}", list(&asked.accesses), list(possible)),
    }
}

#[test]
fn every_interaction_needs_what_the_table_says() {
    for (method, target, expected) in [
        ("GET", "/metadata", ""),
        ("GET", "/Patient/1", "Read Patient/1"),
        ("HEAD", "/Patient/1", "Read Patient/1"),
        ("GET", "/Patient/1/_history/2", "VersionRead Patient/1"),
        ("GET", "/Patient/1/_history", "History Patient/1"),
        ("GET", "/Patient/_history", "History Patient"),
        ("GET", "/_history", "History *"),
        ("GET", "/Patient?name=x", "Search Patient"),
        ("POST", "/Patient/_search?name=x", "Search Patient"),
        ("GET", "/?_type=Patient,Observation", "Search Patient, Search Observation"),
        ("GET", "/?name=x", "Search *"),
        ("GET", "/Patient/1/Observation?code=x", "Search Observation, Read Patient/1"),
        ("GET", "/Patient/1/*", "Search *, Read Patient/1"),
        ("POST", "/Patient", "Create Patient"),
        ("POST?", "/Patient?identifier=x", "Create Patient, Search Patient"),
        ("PUT", "/Patient/1", "Update Patient/1 | Create Patient/1"),
        ("PUT", "/Patient?identifier=x", "Update Patient, Search Patient | Create Patient"),
        ("PATCH", "/Patient/1", "Patch Patient/1"),
        ("PATCH", "/Patient?identifier=x", "Patch Patient, Search Patient"),
        ("DELETE", "/Patient/1", "Delete Patient/1"),
        ("DELETE", "/Patient?identifier=x", "Delete Patient, Search Patient"),
        ("POST", "/", " | Read *, VersionRead *, History *, Search *, Create *, Update *, Patch *, Delete *"),
        ("GET", "/?_getpages=1&_bundletype=searchset", " | Search *, History *"),
        ("GET", "/Patient/1/$everything", "$everything Patient/1, Read Patient/1 | Read *"),
        ("GET", "/Composition/1/$document", "$document Composition/1, Read Composition/1 | Read *"),
        ("GET", "/Bundle/1", "Read Bundle/1 | Read *"),
        ("GET", "/Bundle?type=document", "Search Bundle | Read *"),
        (
            "GET",
            "/Patient/1/$everything?_type=Observation",
            "$everything Patient/1, Read Patient/1, Search Observation",
        ),
        ("GET", "/Observation/$lastn?patient=1", "$lastn Observation"),
        ("GET", "/$export", "$export * | Read *"),
        ("POST", "/Patient/1/$meta-delete", "$meta-delete Patient/1, Read Patient/1 | Relabel Patient"),
        ("POST", "/Patient/$of-our-own", "$of-our-own Patient | Read *"),
    ] {
        assert_eq!(text(&asked(method, target).unwrap()), expected, "{method} {target}");
    }
}

#[test]
fn joins_need_every_type_they_touch() {
    for (query, expected) in [
        ("code=x&_count=2&_sort=-date,code", ""),
        ("_include=Observation:encounter", "Encounter, EpisodeOfCare, Observation"),
        ("_include:iterate=Encounter:service-provider", "Encounter, Organization"),
        ("%5Finclude=Observation:performer:Practitioner", "Observation, Practitioner"),
        ("_include=Observation:focus", "*"),
        ("_include=Observation:*", "*"),
        ("_include=*", "*"),
        ("_include=Observation:of-our-own", "*"),
        ("_revinclude=Provenance:target", "Provenance"),
        ("_revinclude:iterate=Provenance:*", "Provenance"),
        ("_revinclude=*", "*"),
        ("patient.name=x", "Patient"),
        ("subject:Patient.name=x", "Patient"),
        ("subject.name=x", "Location, Patient"),
        ("patient:Patient.general-practitioner:Organization.name=x", "Patient, Organization"),
        ("patient.general-practitioner.name:exact=x", "Patient, Organization, Practitioner"),
        ("focus.name=x", "*"),
        ("focus:Patient.name=x", "Patient"),
        ("of-our-own.name=x", "*"),
        ("subject:nonsense.name=x", "*"),
        ("_has:DiagnosticReport:result:code=x", "DiagnosticReport"),
        ("_has:DiagnosticReport:result:patient.name=x", "DiagnosticReport, Patient"),
        ("_has:DiagnosticReport:result:_has:Provenance:target:agent=x", "DiagnosticReport, Provenance"),
        ("patient._has:Group:member:code=x", "Patient, Group"),
        ("_sort=patient.name", "*"),
        ("_list=1", "List"),
        ("_filter=x", "*"),
        ("_query=x", "*"),
        ("_contained=true", "*"),
    ] {
        let expected = match expected {
            "" => "Search Observation".to_owned(),
            types => format!("Search Observation, Search {}", types.replace(", ", ", Search ")),
        };
        assert_eq!(text(&asked("GET", &format!("/Observation?{query}")).unwrap()), expected, "{query}");
    }
    let touched = asked("PUT", "/Observation?patient.identifier=x").unwrap();
    assert!(text(&touched).contains("Search Patient"), "{touched:?}");
    let touched = asked("POST?", "/Observation?patient.identifier=x").unwrap();
    assert!(text(&touched).contains("Search Patient"), "{touched:?}");
}

#[test]
fn joins_that_are_none_are_refused() {
    for query in [
        "_include=Observation",
        "_include=Nonsense:subject",
        "_include=Observation:subject:Nonsense",
        "_include=Observation:subject:Patient:more",
        "_include=",
        "_revinclude=x",
        "_has=x",
        "_has:Observation=x",
        "_has:Observation:patient=x",
        "_has:Nonsense:patient:code=x",
    ] {
        let refused = asked("GET", &format!("/Observation?{query}"));
        assert_eq!(refused.map(|asked| text(&asked)).map_err(|r| r.status), Err(400), "{query}");
    }
    assert_eq!(asked("GET", "/?_type=Patient,Nonsense").map_err(|r| r.status), Err(400));
}
