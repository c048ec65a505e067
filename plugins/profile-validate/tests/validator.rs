//! The plugin in front of a validator of the test's own.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::cell::RefCell;

use fireguard_profile_validate::ProfileValidate;
use fireguard_sdk::{
    Direction, Exchange, Host, HostError, HttpRequest, HttpResponse, Item, Plugin, Resources, Settings,
    Verdict,
};

/// Finds an error in everything that says `bad`, warns about the rest, and is away when told so.
#[derive(Default)]
struct Validator {
    away: bool,
    asked: RefCell<Vec<String>>,
}

impl Validator {
    fn answer(&self, request: &HttpRequest) -> Result<HttpResponse, HostError> {
        self.asked.borrow_mut().push(request.url.clone());
        if self.away {
            return Err(HostError::new("unavailable", "nobody answers"));
        }
        let bad = request.body.as_ref().is_some_and(|body| String::from_utf8_lossy(body).contains("bad"));
        let severity = if bad { "error" } else { "warning" };
        let body = format!(r#"{{"resourceType":"OperationOutcome","issue":[{{"severity":"{severity}"}}]}}"#);
        Ok(HttpResponse { status: 200, body: body.into_bytes(), ..HttpResponse::default() })
    }
}

impl Host for Validator {
    fn send_fhir(&self, requests: &[HttpRequest]) -> Vec<Result<HttpResponse, HostError>> {
        requests.iter().map(|request| self.answer(request)).collect()
    }

    fn send_http(&self, request: &HttpRequest) -> Result<HttpResponse, HostError> {
        self.answer(request)
    }
}

fn plugin(settings: &str) -> ProfileValidate {
    let settings = Settings { json: settings.to_owned(), files: Vec::new() };
    ProfileValidate::configure(settings).unwrap().0
}

fn verdicts(settings: &str, host: &Validator, resources: &[&str]) -> Vec<Verdict> {
    let items: Vec<Item> = resources.iter().map(|resource| Item::new(*resource)).collect();
    plugin(settings).resources(host, &Exchange::of("transaction"), Direction::ToServer, &items)
}

const GOOD: &str = r#"{"resourceType":"Patient"}"#;
const BAD: &str = r#"{"resourceType":"Patient","id":"bad"}"#;
const OTHER: &str = r#"{"resourceType":"Basic","id":"bad"}"#;

#[test]
fn errors_refuse_and_warnings_pass_each_entry_by_itself() {
    let host = Validator::default();
    let settings = r#"{"types": {"Patient": ["http://p/a b", "http://p/c"]}}"#;
    let verdicts = verdicts(settings, &host, &[GOOD, BAD, OTHER, GOOD]);
    let [Verdict::Keep, Verdict::Refuse(refusal), Verdict::Keep, Verdict::Keep] = verdicts.as_slice() else {
        panic!("{verdicts:?}")
    };
    assert_eq!(refusal.code, "invalid");
    assert!(refusal.outcome.is_some());
    let asked = host.asked.borrow();
    assert_eq!(asked.len(), 6, "two profiles for three Patients");
    assert_eq!(asked[0], "Patient/$validate?profile=http%3A%2F%2Fp%2Fa%20b");
}

#[test]
fn another_validator_is_asked_by_its_url() {
    let host = Validator::default();
    let settings = r#"{"types": {"Patient": []}, "url": "https://validator.example/fhir/"}"#;
    assert_eq!(verdicts(settings, &host, &[GOOD]), [Verdict::Keep]);
    assert_eq!(*host.asked.borrow(), ["https://validator.example/fhir/Patient/$validate"]);
}

#[test]
fn without_the_validator_the_setting_decides() {
    let away = Validator { away: true, ..Validator::default() };
    let refused = verdicts(r#"{"types": {"Patient": []}}"#, &away, &[GOOD, OTHER]);
    let [Verdict::Refuse(refusal), Verdict::Keep] = refused.as_slice() else { panic!("{refused:?}") };
    assert_eq!(refusal.code, "transient");
    assert_eq!(refusal.extras[0].value, "503");
    let settings = r#"{"types": {"Patient": []}, "unavailable": "pass"}"#;
    assert_eq!(verdicts(settings, &away, &[GOOD]), [Verdict::Keep]);
}

#[test]
fn settings_are_checked() {
    let cases = [
        (r#"{}"#, ""),
        (r#"{"types": {}}"#, "/types"),
        (r#"{"types": {"Patient": []}, "url": "validator.example"}"#, "/url"),
        (r#"{"types": {"Patient": []}, "unavailable": "maybe"}"#, "/unavailable"),
        (r#"{"types": {"Patient": "http://p"}}"#, "/types/Patient"),
    ];
    for (settings, pointer) in cases {
        let settings = Settings { json: settings.to_owned(), files: Vec::new() };
        let problems = ProfileValidate::configure(settings).err().unwrap();
        assert_eq!(problems[0].pointer, pointer, "{problems:?}");
    }
}
