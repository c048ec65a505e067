//! The plugins that come with Fireguard, in every language: whatever they are handed, they give an answer that fits or fail
//! closed, and serve on.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use fireguard_plugin_host::{
    By, CallError, Direction, Engine, Event, Exchange, FhirClientGrant, Field, Grants, HttpOutGrant, Item,
    Limits, LoadError, NamedFile, Phase, Plugin, PluginSpec, PseudonymGrant, Session, TerminologyGrant,
};
use fireguard_test_support::plugins;
use serde_json::{Value, json};

/// A plugin, and what an operator would give it.
struct Shipped {
    folder: &'static str,
    settings: Value,
    files: &'static [(&'static str, &'static str)],
    grants: fn() -> Grants,
    /// The grant that it is not loaded without.
    needs: Option<&'static str>,
}

const RULES: &str = r#"{"fhirVersion":"R4","fhirPathRules":[{"path":"Patient.id","method":"cryptoHash"},
    {"path":"Observation","method":"keep"},{"path":"nodesByType('date')","method":"dateShift"}]}"#;
const MAP: &str =
    "system,code,target_system,target_code,display,equivalence\nhttp://a,B,http://c,D,,equivalent\n";

fn shipped() -> Vec<Shipped> {
    let plain =
        |folder, settings| Shipped { folder, settings, files: &[], grants: Grants::default, needs: None };
    vec![
        Shipped {
            files: &[("rules", RULES)],
            grants: || Grants { pseudonym: Some(key()), ..Grants::default() },
            needs: Some("pseudonym"),
            ..plain("deid", json!({}))
        },
        Shipped {
            grants: || Grants { fhir_client: Some(FhirClientGrant { by: By::Caller }), ..Grants::default() },
            needs: Some("fhir_client"),
            ..plain("profile-validate", json!({"types": {"Patient": []}}))
        },
        Shipped {
            grants: || Grants { http_out: Some(nowhere()), ..Grants::default() },
            needs: Some("http_out"),
            ..plain("publish-events", json!({"url": "http://192.0.2.1/", "source": "s"}))
        },
        plain("examples/rust", json!({"profiles": {"Patient": ["http://p"]}})),
        plain("examples/python", json!({"country_code": "+49", "unknown_unit": "refuse"})),
        Shipped {
            grants: || Grants { terminology: Some(map()), ..Grants::default() },
            ..plain("examples/javascript", json!({"map": "lab", "system": "http://a"}))
        },
    ]
}

fn key() -> PseudonymGrant {
    let key = "0d9f4c6be1a87253".to_owned().into();
    let (project, date_range_days) = ("test".to_owned(), PseudonymGrant::DATE_RANGE_DAYS);
    PseudonymGrant { key, project, date_range_days, open: false }
}

fn map() -> TerminologyGrant {
    let (name, path) = ("lab".to_owned(), "lab.csv".to_owned());
    TerminologyGrant { maps: vec![NamedFile { name, path, content: MAP.into() }] }
}

/// A host that is granted and does not answer.
fn nowhere() -> HttpOutGrant {
    HttpOutGrant {
        hosts: vec!["http://192.0.2.1".to_owned()],
        private: Vec::new(),
        authorities: None,
        timeout: Duration::from_millis(200),
        body_bytes: HttpOutGrant::BODY_BYTES,
    }
}

/// What no server would send, and what only looks like what one does.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let patient = br#"{"resourceType":"Patient","id":"1"}"#;
    vec![
        ("nothing", Vec::new()),
        ("no object", b"[]".to_vec()),
        ("an empty object", b"{}".to_vec()),
        ("cut short", patient[..20].to_vec()),
        ("not UTF-8", b"{\"resourceType\":\"Patient\",\"id\":\"\xff\"}".to_vec()),
        ("a type that is none", br#"{"resourceType":["Patient"]}"#.to_vec()),
        ("an unknown type", br#"{"resourceType":"Nobody","meta":7,"telecom":"x"}"#.to_vec()),
        (
            "other kinds",
            br#"{"resourceType":"Patient","meta":[],"telecom":{"system":1},"code":"x"}"#.to_vec(),
        ),
        (
            "other kinds below",
            br#"{"resourceType":"Observation","code":{"coding":{"system":null}},"valueQuantity":[1]}"#
                .to_vec(),
        ),
        (
            "a name twice",
            br#"{"resourceType":"Patient","resourceType":"Observation","id":"1","id":"2"}"#.to_vec(),
        ),
        (
            "a number of many digits",
            format!(r#"{{"resourceType":"Patient","x":{}}}"#, "9".repeat(5000)).into(),
        ),
        (
            "deep",
            format!(r#"{{"resourceType":"Patient","x":{}{}}}"#, "[".repeat(20_000), "]".repeat(20_000))
                .into(),
        ),
        ("long", format!(r#"{{"resourceType":"Patient","language":"{}"}}"#, "x".repeat(4 << 20)).into()),
    ]
}

/// Runs all of it; answers the rows that are wrong.
pub(crate) async fn wrong(engine: &Engine) -> Vec<String> {
    let mut wrong = Vec::new();
    for shipped in shipped() {
        let component = match shipped.folder {
            "deid" => Ok(crate::built("fireguard-deid")),
            folder => plugins::component(folder),
        };
        let component = match component {
            Ok(component) => component,
            Err(why) => {
                println!("skipped: {}: {why}", shipped.folder);
                continue;
            }
        };
        let without = Plugin::load(engine, spec(&shipped, &component, Grants::default())).await;
        let told =
            matches!(&without, Err(LoadError::MissingGrant { grant, .. }) if Some(&**grant) == shipped.needs);
        if told != shipped.needs.is_some() {
            wrong.push(format!("{}: without its grant: {without:?}", shipped.folder));
        }
        let plugin = Plugin::load(engine, spec(&shipped, &component, (shipped.grants)())).await;
        let plugin = plugin.unwrap_or_else(|error| panic!("{}: {error}", shipped.folder));
        for (name, content) in hostile() {
            let mut session = plugin.session();
            let said = handed(&plugin, &mut session, content).await;
            println!("{:<22}{name:<26}{said}", shipped.folder);
            let after = handed(&plugin, &mut session, b"{\"resourceType\":\"Basic\"}".to_vec()).await;
            if said.contains("WRONG") || after.contains("WRONG") || after.contains("failed") {
                wrong.push(format!("{}: {name}: {said}, afterwards {after}", shipped.folder));
            }
        }
    }
    wrong
}

fn spec(shipped: &Shipped, component: &Path, grants: Grants) -> PluginSpec {
    let file = |(name, content): &(&str, &'static str)| NamedFile {
        name: (*name).to_owned(),
        path: (*name).to_owned(),
        content: content.as_bytes().into(),
    };
    PluginSpec {
        settings: shipped.settings.clone(),
        files: shipped.files.iter().map(file).collect(),
        grants,
        limits: Limits {
            cpu_per_call: Duration::from_secs(30),
            wall_per_call: Duration::from_secs(120),
            memory: 256 << 20,
            ..Limits::default()
        },
        ..PluginSpec::new("shipped", component.to_path_buf())
    }
}

/// What a plugin says to one resource, in each direction and each phase that it has.
async fn handed(plugin: &Plugin, session: &mut Session, content: Vec<u8>) -> String {
    let content = Bytes::from(content);
    let mut said = Vec::new();
    if plugin.phases().contains(Phase::Resources) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let asked = session.process(&exchange(), direction, &[Item::new(content.clone())]).await;
            said.push(match asked {
                Ok(verdicts) => match verdicts.into_iter().next().map(|verdict| verdict.apply(&content)) {
                    Some(Ok(outcome)) => {
                        format!("{outcome:?}").chars().take_while(|c| c.is_alphabetic()).collect()
                    }
                    other => format!("WRONG: {other:?}"),
                },
                Err(error) => failed(&error),
            });
        }
    }
    if plugin.phases().contains(Phase::Written) {
        let settled = session.written(&[event(content)]).await;
        said.push(settled.map_or_else(|error| failed(&error), |settled| format!("{settled:?}")));
    }
    said.join(", ")
}

/// A trap refuses the exchange; the limits of its time and memory are far away.
fn failed(error: &CallError) -> String {
    match error {
        CallError::Trap(_) => format!("failed closed: {error}"),
        _ => format!("WRONG: {error}"),
    }
}

fn exchange() -> Exchange {
    Exchange { id: "x".into(), route: "r".into(), interaction: "create".into(), extras: Vec::new() }
}

fn event(content: Bytes) -> Event {
    Event {
        id: "1".into(),
        exchange: exchange(),
        interaction: "create".into(),
        resource_type: "Patient".into(),
        resource_id: "1".into(),
        version_id: None,
        time: "2026-11-21T22:00:00Z".into(),
        content: Some(content),
        extras: vec![Field { name: "attempt".into(), value: "1".into() }],
    }
}
