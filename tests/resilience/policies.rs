//! Policies in a running Fireguard: what they oblige to, what a route on trial notes, what holds after a reload, and what
//! the CapabilityStatement says of them.

use std::path::PathBuf;

use fireguard_test_support::gateway::Gateway;
use fireguard_test_support::issuer::Issuer;
use fireguard_test_support::standin::{Answer, StandIn};
use fireguard_test_support::{guest, repository};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{Ask, Reply};

/// What a plugin has to take out.
const MARKER: &str = "MARKER7391";

const CLINICIANS: &str = "@id(\"clinicians\")\npermit(principal in Role::\"clinician\", action, resource);\n";

struct Policed {
    standin: StandIn,
    gateway: Gateway,
    issuer: Issuer,
    folder: TempDir,
}

impl Policed {
    /// With these policies, lines of the route, and further tables.
    async fn start(policies: &str, route: &str, tables: &str) -> Self {
        let (standin, issuer) = (StandIn::start().await.unwrap(), Issuer::start().await.unwrap());
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("a.cedar"), policies).unwrap();
        let cache: PathBuf = repository::target().join("gateway/cache");
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\ncache = {cache:?}\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n{}[policies]\nfolder = {:?}\n\
             [upstreams.hapi]\nurl = \"{}\"\n\
             [routes.fhir]\npath = \"/fhir\"\nupstream = \"hapi\"\nauthentication = [\"id\"]\n\
             hapi = {{ check_versions = false, check_transactions = false }}\n{route}\n{tables}",
            issuer.configuration("id"),
            folder.path(),
            standin.base_url(),
        );
        let gateway = tokio::task::spawn_blocking(move || Gateway::start(&config).unwrap()).await.unwrap();
        Self { standin, gateway, issuer, folder }
    }

    async fn ask(&self, roles: &[&str], ask: Ask) -> Reply {
        let claims = json!({ "scope": "user/*.cruds", "realm_access": { "roles": roles } });
        let token = self.issuer.token(claims);
        ask.header("Authorization", &format!("Bearer {token}")).send(self.gateway.listen()).await
    }

    async fn reload(&self, policies: &str) -> Reply {
        std::fs::write(self.folder.path().join("a.cedar"), policies).unwrap();
        let admin = self.gateway.admin_url();
        Ask::new("POST", "/reload").send(admin.trim_start_matches("http://")).await
    }

    /// A server that has one patient, and pages.
    fn serves_a_patient(&self) {
        let patient = json!({"resourceType": "Patient", "id": "1", "meta": {"versionId": "1"}, "name": [{"family": MARKER}]});
        let base = self.standin.base_url();
        let bundle = |kind: &str, own: &str, next: bool| {
            let mut link = vec![json!({"relation": "self", "url": format!("{base}{own}")})];
            if next {
                let url = format!("{base}?_getpages=3f2d0b5c-1111-4000-8000-000000000001&_getpagesoffset=1");
                link.push(json!({"relation": "next", "url": url}));
            }
            let response = json!({"status": "200 OK"});
            let entry =
                json!({"fullUrl": format!("{base}/Patient/1"), "resource": patient, "response": response});
            json!({"resourceType": "Bundle", "type": kind, "link": link, "entry": [entry]}).to_string()
        };
        let answer = |text: String| Answer::json(200, text).header("ETag", "W/\"1\"");
        self.standin.always("*", "/fhir/Patient/*", answer(patient.to_string()));
        self.standin.always(
            "GET",
            "/fhir/Patient",
            answer(bundle("searchset", "/Patient?active=true", true)),
        );
        for path in ["/fhir", "/fhir/"] {
            self.standin.always("GET", path, answer(bundle("searchset", "/Patient?active=true", false)));
            self.standin.always("POST", path, answer(bundle("batch-response", "", false)));
        }
    }
}

/// Replaces every Patient that is answered.
fn masking(act: &str) -> String {
    let component = guest::component().display();
    format!(
        "[plugins.mask]\ncomponent = \"{component}\"\n\
         settings = {{ act = \"{act}\", direction = \"to-client\", text = '{{\"resourceType\":\"Patient\",\"id\":\"m\"}}' }}\n"
    )
}

const OBLIGED: &str = "plugins = [\"mask\"]\nonly_obliged = [\"mask\"]\n";

fn researchers() -> String {
    format!(
        "{CLINICIANS}@id(\"researchers\") @obligation(\"plugin:mask\")\n\
         permit(principal in Role::\"researcher\", action in Action::\"reads\", resource);\n\
         @id(\"authors\")\npermit(principal in Role::\"author\", action in Action::\"writes\", resource);\n"
    )
}

fn asked() -> Vec<Ask> {
    let batch = r#"{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/1"}}]}"#;
    vec![
        Ask::get("/fhir/Patient/1"),
        Ask::get("/fhir/Patient/1/_history/1"),
        Ask::get("/fhir/Patient?active=true"),
        Ask::form("/fhir/Patient/_search", "active=true"),
        Ask::json("POST", "/fhir", batch),
    ]
}

#[tokio::test]
async fn a_plugin_runs_for_whom_a_policy_obliges_to_it() {
    let policed = Policed::start(&researchers(), OBLIGED, &masking("say")).await;
    policed.serves_a_patient();
    policed.standin.always(
        "POST",
        "/fhir/Patient/_search",
        Answer::json(200, r#"{"resourceType":"Bundle","type":"searchset"}"#),
    );
    for ask in asked() {
        let plain = policed.ask(&["clinician"], ask.clone()).await;
        assert_eq!(plain.status, 200, "{ask:?}: {plain:?}");
        let form = ask.method() == "POST" && !plain.text().contains("batch");
        assert!(plain.text().contains(MARKER) || form, "{ask:?}: {plain:?}");
        for roles in [&["researcher"][..], &["clinician", "researcher"]] {
            let masked = policed.ask(roles, ask.clone()).await;
            assert_eq!(masked.status, 200, "{ask:?}: {masked:?}");
            assert!(!masked.text().contains(MARKER), "{roles:?} {ask:?}: {masked:?}");
            assert!(masked.text().contains("\"m\"") || form, "{roles:?} {ask:?}: {masked:?}");
        }
    }
    // The second page, too.
    for (roles, plain) in [(&["clinician"][..], true), (&["researcher"], false)] {
        let first = policed.ask(roles, Ask::get("/fhir/Patient?active=true")).await.json();
        let links = first["link"].as_array().unwrap();
        let next = links.iter().find(|link| link["relation"] == "next").unwrap();
        let url = next["url"].as_str().unwrap();
        let target = url.split_once(policed.gateway.listen()).unwrap().1;
        let second = policed.ask(roles, Ask::get(target)).await;
        assert_eq!((second.status, second.text().contains(MARKER)), (200, plain), "{roles:?}: {second:?}");
    }
    assert!(!policed.gateway.log().contains(MARKER));
}

#[tokio::test]
async fn who_is_shown_what_was_changed_does_not_write_it_back() {
    let policed = Policed::start(&researchers(), OBLIGED, &masking("say")).await;
    policed.serves_a_patient();
    let patient = r#"{"resourceType":"Patient","id":"1"}"#;
    let batch = format!(
        r#"{{"resourceType":"Bundle","type":"batch","entry":[{{"resource":{patient},"request":{{"method":"PUT","url":"Patient/1"}}}}]}}"#
    );
    for (roles, status) in [(&["clinician"][..], 200), (&["author"], 200), (&["researcher", "author"], 403)] {
        let reply = policed.ask(roles, Ask::json("PUT", "/fhir/Patient/1", patient)).await;
        assert_eq!(reply.status, status, "{roles:?}: {reply:?}");
        let reply = policed.ask(roles, Ask::json("POST", "/fhir", batch.clone())).await;
        assert_eq!(
            reply.status == 403 || reply.text().contains("403"),
            status == 403,
            "{roles:?}: {reply:?}"
        );
    }
    let written = policed.standin.requests_to("PUT", "/fhir/Patient/1").len();
    assert_eq!(written, 2, "the researcher's did not arrive");
}

#[tokio::test]
async fn nothing_is_shown_where_the_plugin_fails() {
    for act in ["panic", "too-few", "replace"] {
        let policed = Policed::start(&researchers(), OBLIGED, &masking(act)).await;
        policed.serves_a_patient();
        for ask in [Ask::get("/fhir/Patient/1"), Ask::get("/fhir/Patient?active=true")] {
            let reply = policed.ask(&["researcher"], ask.clone()).await;
            reply.assert_outcome(500, "exception", act);
            assert!(!format!("{reply:?}").contains(MARKER), "{act}: {reply:?}");
            assert_eq!(policed.ask(&["clinician"], ask).await.status, 200, "{act}");
        }
    }
}

#[tokio::test]
async fn a_route_on_trial_lets_pass_and_notes_what_it_would_refuse() {
    let policies = format!(
        "{CLINICIANS}@id(\"no-consents\")\nforbid(principal, action, resource in Type::\"Consent\");\n"
    );
    let policed = Policed::start(&policies, "policies = \"audit-only\"\n", "").await;
    policed.standin.always("*", "/fhir/*", Answer::json(200, r#"{"resourceType":"Basic","id":"secret-id"}"#));
    for (roles, target, gate) in [
        (&["clinician"][..], "/fhir/Patient/secret-id", None),
        (&["stranger"], "/fhir/Patient/secret-id", Some(("Patient", ""))),
        (&["clinician"], "/fhir/Consent/secret-id", Some(("Consent", "no-consents"))),
    ] {
        let before = policed.gateway.log().matches("would be refused").count();
        let reply = policed.ask(roles, Ask::get(target)).await;
        assert_eq!(reply.status, 200, "{roles:?} {target}: {reply:?}");
        let Some((ty, policies)) = gate else { continue };
        let log = policed.gateway.logged(&format!("\"type\":\"{ty}\"")).await;
        assert!(log.matches("would be refused").count() > before, "{target}: {log}");
        let noted = |line: &&str| line.contains("would be refused") && line.contains(ty);
        let line: Value = serde_json::from_str(log.lines().rfind(noted).unwrap()).unwrap();
        assert_eq!((&line["policies"], &line["gate"]), (&json!(policies), &json!("request")), "{line}");
        assert!(!line.to_string().contains("secret-id"), "{line}");
    }
    let admin = policed.gateway.admin_url();
    let metrics = Ask::get("/metrics").send(admin.trim_start_matches("http://")).await.text();
    assert!(metrics.contains("fireguard_policies_would_refuse_total{"), "{metrics}");
}

#[tokio::test]
async fn changed_policies_hold_for_the_next_request_and_broken_ones_never() {
    let policed = Policed::start(CLINICIANS, "", "").await;
    policed.standin.always("*", "/fhir/*", Answer::json(200, r#"{"resourceType":"Patient","id":"1"}"#));
    let status = async |roles: &[&str]| policed.ask(roles, Ask::get("/fhir/Patient/1")).await.status;
    assert_eq!((status(&["clinician"]).await, status(&["nurse"]).await), (200, 403));
    let broken = CLINICIANS.replace("action,", "action == Action::\"raed\",");
    let reply = policed.reload(&broken).await;
    assert!((400..600).contains(&reply.status), "{reply:?}");
    assert!(reply.text().contains("a.cedar:2:"), "{reply:?}");
    let log = policed.gateway.logged("not reloaded").await;
    let line = log.lines().find(|line| line.contains("not reloaded")).unwrap();
    assert!(line.contains("a.cedar:2:"), "{line}");
    assert_eq!((status(&["clinician"]).await, status(&["nurse"]).await), (200, 403), "those before hold");
    let reply = policed.reload(&CLINICIANS.replace("clinician", "nurse")).await;
    assert_eq!((reply.status, &*reply.text()), (200, "reloaded: policies\n"));
    assert_eq!((status(&["clinician"]).await, status(&["nurse"]).await), (403, 200));
}

const STATEMENT: &str = r#"{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1","format":["json"],"rest":[{"mode":"server",
"resource":[{"type":"Patient","interaction":[{"code":"read"},{"code":"search-type"},{"code":"update"}],"searchParam":[{"name":"_id","type":"token"}]},
{"type":"Observation","interaction":[{"code":"read"},{"code":"update"}],"conditionalUpdate":true},
{"type":"Task","interaction":[{"code":"read"}]}],"interaction":[{"code":"transaction"},{"code":"search-system"}]}]}"#;

#[tokio::test]
async fn the_statement_tells_each_what_it_may_do() {
    let policies = "@id(\"readers\")\npermit(principal in Role::\"reader\", action in Action::\"reads\", resource)\nwhen { resource in [Type::\"Patient\", Type::\"Observation\"] };\n\
                    @id(\"writers\")\npermit(principal in Role::\"writer\", action in Action::\"writes\", resource in Type::\"Observation\");\n";
    let policed = Policed::start(policies, "", "").await;
    policed.standin.always("GET", "/fhir/metadata", Answer::json(200, STATEMENT));
    let told = |reply: &Reply| -> String {
        let statement = reply.json();
        let types = statement["rest"][0]["resource"].as_array().cloned().unwrap_or_default();
        let one = |ty: &Value| {
            let codes = ty["interaction"].as_array().cloned().unwrap_or_default();
            let codes: Vec<_> = codes.iter().map(|code| code["code"].as_str().unwrap().to_owned()).collect();
            format!("{}:{}", ty["type"].as_str().unwrap(), codes.join(","))
        };
        types.iter().map(one).collect::<Vec<_>>().join(" ")
    };
    let get = || Ask::get("/fhir/metadata");
    let anybody = get().send(policed.gateway.listen()).await;
    assert_eq!(told(&anybody), "Patient:read,search-type Observation:read,update", "{anybody:?}");
    assert_eq!(anybody.header("vary"), Some("Authorization"));
    let rubbish = get().header("Authorization", "Bearer rubbish").send(policed.gateway.listen()).await;
    assert_eq!(rubbish.text(), anybody.text(), "it is told what anybody is");
    for (roles, expected) in [
        (&["reader"][..], "Patient:read,search-type Observation:read"),
        (&["writer"], "Observation:update"),
        (&["reader", "writer"], "Patient:read,search-type Observation:read,update"),
        (&["stranger"], ""),
    ] {
        let first = policed.ask(roles, get()).await;
        assert_eq!(told(&first), expected, "{roles:?}: {first:?}");
        // The same again, from what is kept, and in other forms.
        let second = policed.ask(roles, get()).await;
        assert_eq!((second.text(), second.header("etag")), (first.text(), first.header("etag")));
        for form in ["?_summary=true", "?_elements=rest", "?_pretty=true", "?mode=full"] {
            let reply = policed.ask(roles, Ask::get(&format!("/fhir/metadata{form}"))).await;
            assert_eq!(
                (reply.status, told(&reply)),
                (200, expected.to_owned()),
                "{roles:?} {form}: {reply:?}"
            );
        }
        for xml in [get().header("Accept", "application/fhir+xml"), Ask::get("/fhir/metadata?_format=xml")] {
            assert_eq!(policed.ask(roles, xml).await.status, 406);
        }
        let head = policed.ask(roles, Ask::new("HEAD", "/fhir/metadata?_summary=true")).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
    }
    let before = policed.standin.requests_to("GET", "/fhir/metadata").len();
    policed.ask(&["reader"], get()).await;
    assert_eq!(policed.standin.requests_to("GET", "/fhir/metadata").len(), before, "it is kept");
    // And after a reload what holds then.
    assert_eq!(policed.reload(&policies.replace("reader", "stranger")).await.status, 200);
    assert_eq!(told(&policed.ask(&["reader"], get()).await), "");
}

#[tokio::test]
async fn the_audit_says_which_policies_refused() {
    let policies = format!(
        "{CLINICIANS}@id(\"no-consents\")\nforbid(principal, action, resource in Type::\"Consent\");\n"
    );
    let state = TempDir::new().unwrap();
    let tables = format!(
        "[state]\ndirectory = {:?}\n[audit]\nto = \"files:{}/events\"\n",
        state.path(),
        state.path().display()
    );
    let policed = Policed::start(&policies, "", &tables).await;
    for (roles, scope, target) in [
        (&["clinician"][..], "user/*.rs", "/fhir/Consent/1"),
        (&["stranger"], "user/*.rs", "/fhir/Patient/1"),
        (&["clinician"], "user/Task.rs", "/fhir/Patient/1"),
    ] {
        let claims = json!({ "scope": scope, "realm_access": { "roles": roles } });
        let token = policed.issuer.token(claims);
        let ask = Ask::get(target).header("Authorization", &format!("Bearer {token}"));
        assert_eq!(ask.send(policed.gateway.listen()).await.status, 403, "{target}");
    }
    let told = async {
        loop {
            let files = std::fs::read_dir(state.path().join("events")).into_iter().flatten().flatten();
            let text: String = files.map(|file| std::fs::read_to_string(file.path()).unwrap()).collect();
            if text.lines().count() >= 3 {
                return text;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let told = tokio::time::timeout(std::time::Duration::from_secs(60), told).await.unwrap();
    let events: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for says in ["forbidden by no-consents", "no policy permits it", "no scope that was granted permits it"] {
        let found = events.iter().find(|event| event["outcomeDesc"].as_str().unwrap().ends_with(says));
        assert_eq!(found.unwrap_or_else(|| panic!("{says}: {told}"))["outcome"], "4");
    }
    assert!(told.contains("urn:fireguard:policy:no-consents"), "{told}");
}
