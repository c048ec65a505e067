//! Group 10: what HTTP lets one say besides. What no client library sends is tried in the suites about framing.

use crate::attack::{Attack, get};

pub(super) fn all() -> Vec<Attack> {
    let header = |name, value| get(10, "Patient/{x}-patient").header(name, value).plain();
    vec![
        header("X-HTTP-Method-Override", "DELETE"),
        header("X-Forwarded-Host", "elsewhere.example"),
        header("X-Forwarded-User", "admin"),
        header("X-Security-Context", "Patient/zqa-patient"),
        header("X-Request-Partition-IDs", "_ALL"),
        header("X-Rewrite-History", "true"),
        header("X-Cascade", "delete"),
        header("Connection", "Authorization"),
        header("Forwarded", "host=elsewhere.example;proto=https"),
        header("Prefer", "handling=lenient, return=representation"),
        header("Accept", "text/turtle"),
        header("Accept", "application/x-turtle"),
        header("Accept", "application/fhir+ndjson"),
        header("Accept-Encoding", "br, gzip"),
        header("Cookie", "JSESSIONID=1"),
        get(10, "Patient/%7Ax{x}").plain().inert("no such id"),
        get(10, "%50atient/{x}-patient").plain(),
        get(10, "Patient//{x}-patient").plain(),
        get(10, "Patient/{x}-patient/").plain(),
        get(10, "Patient/zqa-patient/../{x}-patient").plain(),
        get(10, "Patient/{x}%2Dpatient").plain(),
        get(10, "Patient;x=y/{x}-patient").plain().inert("refused"),
        get(10, "patient/{x}-patient").plain().inert("refused"),
        get(10, "Observation?patient={x}-patient#").plain(),
        get(10, "Observation?patient={x}-patient&_format=ndjson").plain(),
        get(10, "Observation?patient={x}-patient&_method=DELETE").plain(),
        get(10, "?_getpages=00000000-0000-4000-8000-000000000000&_getpagesoffset=0")
            .plain()
            .inert("no such search"),
        get(10, "?_page=AAAA").plain().inert("ours only"),
    ]
}
