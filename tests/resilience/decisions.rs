//! The decision table: what each interaction needs, tried with a token that grants exactly that, and with each part of it
//! missing. And what other gateways were found to get wrong, where the bypass catalogue does not try it already.

use fireguard_test_support::gateway::Gateway;
use fireguard_test_support::issuer::Issuer;
use fireguard_test_support::standin::{Answer, Received, StandIn};
use serde_json::json;

use crate::http::{Ask, Reply};
use crate::rig::asking_who;

struct Deciding {
    standin: StandIn,
    gateway: Gateway,
    issuer: Issuer,
}

const OBSERVATION: &str = r#"{"resourceType":"Observation","id":"1","meta":{"versionId":"1"},"status":"final","code":{"text":"x"},"subject":{"reference":"Patient/1"}}"#;

impl Deciding {
    async fn start() -> Self {
        let (standin, issuer) = (StandIn::start().await.unwrap(), Issuer::start().await.unwrap());
        let gateway = asking_who(&standin, &issuer).await;
        let page = |rest: &str| {
            let own = format!("{}{rest}", standin.base_url());
            json!({"resourceType": "Bundle", "type": "searchset", "link": [{"relation": "self", "url": own}],
                   "entry": [{"resource": serde_json::from_str::<serde_json::Value>(OBSERVATION).unwrap()}]})
            .to_string()
        };
        standin.always("*", "/fhir/Observation/*", Answer::json(200, OBSERVATION).header("ETag", "W/\"1\""));
        standin.always("GET", "/fhir/Observation", Answer::json(200, page("/Observation")));
        standin.always("POST", "/fhir/Observation/_search", Answer::json(200, page("/Observation")));
        let location = format!("{}/Observation/1/_history/1", standin.base_url());
        let created = Answer::json(201, OBSERVATION).header("Location", &location).header("ETag", "W/\"1\"");
        standin.always("POST", "/fhir/Observation", created);
        standin.always("DELETE", "/fhir/Observation/1", Answer::status(204));
        let responses = r#"{"resourceType":"Bundle","type":"transaction-response","entry":[{"response":{"status":"200"}},{"response":{"status":"204"}}]}"#;
        for path in ["/fhir", "/fhir/"] {
            standin.always("POST", path, Answer::json(200, responses));
        }
        standin.always("PATCH", "/fhir/Observation", Answer::json(200, OBSERVATION));
        standin.always("DELETE", "/fhir/Observation", Answer::status(204));
        Self { standin, gateway, issuer }
    }

    async fn ask(&self, scope: &str, ask: Ask) -> Reply {
        let token = self.issuer.token(json!({ "scope": scope }));
        ask.header("Authorization", &format!("Bearer {token}")).send(self.gateway.listen()).await
    }

    /// How much the server was asked, besides what it says of itself, and what was looked up before a write. It acts on no
    /// half request.
    fn asked(&self, write: bool) -> usize {
        let looked_up = |request: &Received| write && request.method == "GET";
        let counts = |request: &&Received| {
            request.complete && request.path() != "/fhir/metadata" && !looked_up(request)
        };
        self.standin.requests().iter().filter(counts).count()
    }
}

/// What is asked, and the scopes that it needs: `Type.letters`, each for itself.
fn table() -> Vec<(Ask, &'static [&'static str])> {
    let post = |target: &str| Ask::json("POST", target, OBSERVATION.replace(r#""id":"1","#, ""));
    let put = |target: &str| Ask::json("PUT", target, OBSERVATION);
    let patch = |target: &str| {
        Ask::new("PATCH", target)
            .header("Content-Type", "application/json-patch+json")
            .body(r#"[{"op":"replace","path":"/status","value":"amended"}]"#)
    };
    let transaction = format!(
        r#"{{"resourceType":"Bundle","type":"transaction","entry":[{{"resource":{OBSERVATION},"request":{{"method":"PUT","url":"Observation/1"}}}},{{"request":{{"method":"DELETE","url":"Observation/2"}}}}]}}"#
    );
    vec![
        (Ask::get("/fhir/Observation/1"), &["Observation.r"]),
        (Ask::new("HEAD", "/fhir/Observation/1"), &["Observation.r"]),
        (Ask::get("/fhir/Observation/1/_history/1"), &["Observation.r"]),
        (Ask::get("/fhir/Observation?code=x"), &["Observation.s"]),
        (Ask::form("/fhir/Observation/_search", "code=x"), &["Observation.s"]),
        (Ask::get("/fhir/Observation?patient.name=x"), &["Observation.s", "Patient.s"]),
        (Ask::form("/fhir/Observation/_search", "patient.name=x"), &["Observation.s", "Patient.s"]),
        (
            Ask::get("/fhir/Observation?_has:DiagnosticReport:result:code=x"),
            &["Observation.s", "DiagnosticReport.s"],
        ),
        (Ask::get("/fhir/Observation?_revinclude=Provenance:target"), &["Observation.s", "Provenance.s"]),
        (
            Ask::get("/fhir/Observation?_revinclude:iterate=Provenance:target"),
            &["Observation.s", "Provenance.s"],
        ),
        (
            Ask::get("/fhir/Observation?_include=Observation:performer:Practitioner"),
            &["Observation.s", "Practitioner.s"],
        ),
        (post("/fhir/Observation"), &["Observation.c"]),
        (post("/fhir/Observation").header("If-None-Exist", "code=x"), &["Observation.c", "Observation.s"]),
        (put("/fhir/Observation/1"), &["Observation.u"]),
        (put("/fhir/Observation?code=x"), &["Observation.u", "Observation.s"]),
        (patch("/fhir/Observation/1"), &["Observation.u"]),
        (patch("/fhir/Observation?code=x"), &["Observation.u", "Observation.s"]),
        (Ask::new("DELETE", "/fhir/Observation/1"), &["Observation.d"]),
        (Ask::new("DELETE", "/fhir/Observation?code=x"), &["Observation.d", "Observation.s"]),
        (Ask::json("POST", "/fhir", transaction), &["Observation.u", "Observation.d"]),
    ]
}

fn scopes(of: &[&str]) -> String {
    of.iter().map(|scope| format!("system/{scope}")).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn each_interaction_needs_all_of_its_scopes_and_no_more() {
    let deciding = Deciding::start().await;
    let mut faults = Vec::new();
    for (ask, needed) in table() {
        let write =
            !["GET", "HEAD"].contains(&ask.method()) && needed.iter().any(|scope| !scope.ends_with('s'));
        let name = format!("{ask:?}");
        let name = name.split("headers").next().unwrap_or_default();
        let reply = deciding.ask(&scopes(needed), ask.clone()).await;
        if !(200..300).contains(&reply.status) {
            faults.push(format!("{name} with {needed:?}: {} {}", reply.status, reply.text()));
        }
        for missing in needed {
            let rest: Vec<_> = needed.iter().filter(|scope| *scope != missing).copied().collect();
            // What is granted for another type, and in other letters, does not count.
            let letter = missing.rsplit('.').next().unwrap_or_default();
            let others: String = "cruds".chars().filter(|c| !letter.contains(*c)).collect();
            let instead = format!("{} system/Condition.cruds", scopes(&rest));
            let other = missing.split('.').next().unwrap_or_default();
            let letters = needed.iter().all(|scope| scope == missing || !scope.starts_with(other));
            let wrong = if letters { format!("{instead} system/{other}.{others}") } else { instead.clone() };
            for scope in [instead, wrong] {
                let before = deciding.asked(write);
                let reply = deciding.ask(&scope, ask.clone()).await;
                if reply.status != 403 || deciding.asked(write) != before {
                    faults.push(format!("{name} with {scope}: {} {}", reply.status, reply.text()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A batch is let in; each entry is asked for what it is.
#[tokio::test]
async fn an_entry_of_a_batch_needs_what_it_would_need_alone() {
    let deciding = Deciding::start().await;
    let batch = r#"{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Observation/1"}}]}"#;
    // To write Bundles is not to read what is in them.
    for scope in ["system/Observation.c", "system/Bundle.cruds", "system/*.cud"] {
        let before = deciding.asked(false);
        let reply = deciding.ask(scope, Ask::json("POST", "/fhir", batch)).await;
        assert!(reply.status == 403 || reply.text().contains("403"), "{scope}: {reply:?}");
        assert_eq!(deciding.asked(false), before, "{scope}");
    }
}

/// What looks like something that is open is not.
#[tokio::test]
async fn a_url_is_judged_by_what_it_is() {
    let deciding = Deciding::start().await;
    for target in [
        "/fhir/Observation/1?x=/metadata",
        "/fhir/Observation/metadata",
        "/fhir/Observation/1/metadata",
        "/fhir/Observation/1#/metadata",
        "/fhir/Observation/1?_format=json&y=.well-known/smart-configuration",
        "/fhir/metadata/../Observation/1",
        "/fhir/metadata%2f..%2fObservation%2f1",
        "/fhir/.well-known/smart-configuration/../../Observation/1",
    ] {
        let before = deciding.asked(false);
        let reply = Ask::get(target).send(deciding.gateway.listen()).await;
        assert!((400..500).contains(&reply.status), "{target}: {reply:?}");
        assert_eq!(deciding.asked(false), before, "{target}");
    }
    assert_eq!(Ask::get("/fhir/metadata").send(deciding.gateway.listen()).await.status, 200);
}

/// Being a practitioner, or calling oneself an administrator, grants nothing by itself.
#[tokio::test]
async fn nobody_is_an_administrator_by_default() {
    let deciding = Deciding::start().await;
    for claims in [
        json!({"fhirUser": "Practitioner/1", "scope": "openid fhirUser"}),
        json!({"realm_access": {"roles": ["admin", "practitioner"]}, "scope": ""}),
        json!({"scope": "system/Patient.read", "roles": ["admin"]}),
        json!({"scope": "user/Observation"}),
        json!({}),
    ] {
        let before = deciding.asked(false);
        let token = deciding.issuer.token(claims.clone());
        let ask = Ask::get("/fhir/Observation/1").header("Authorization", &format!("Bearer {token}"));
        let reply = ask.send(deciding.gateway.listen()).await;
        assert_eq!(reply.status, 403, "{claims}: {reply:?}");
        assert_eq!(deciding.asked(false), before, "{claims}");
    }
}
