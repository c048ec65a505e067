//! The commands of the binary, as a person uses them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod doctor;
mod plugin;
mod policy;
mod running;
mod service;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fireguard_test_support::gateway;
use fireguard_test_support::hapi::Hapi;
use fireguard_test_support::standin::{Answer, StandIn};
use serde_json::{Value, json};

fn fireguard(folder: &Path, arguments: &[&str]) -> Output {
    let binary = gateway::binary().unwrap();
    Command::new(binary).args(arguments).current_dir(folder).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn version_schema_and_help_answer() {
    let folder = folder();
    let version = fireguard(folder.path(), &["version"]);
    assert_eq!(text(&version), format!("fireguard {}\n", env!("CARGO_PKG_VERSION")));
    let schema: Value = serde_json::from_slice(&fireguard(folder.path(), &["schema"]).stdout).unwrap();
    assert_eq!(schema["title"], "File");
    let help = text(&fireguard(folder.path(), &["--help"]));
    for command in ["run", "check", "init", "schema", "version"] {
        assert!(help.contains(command), "{help}");
    }
}

#[test]
fn check_says_what_is_wrong_and_where() {
    let folder = folder();
    let missing = fireguard(folder.path(), &["check"]);
    assert!(!missing.status.success());
    assert!(text(&missing).contains("fireguard init"), "{}", text(&missing));

    let file = folder.path().join("fireguard.toml");
    std::fs::write(&file, "[upstreams.hapi]\nurl = \"http://127.0.0.1:1/fhir\"\n[routes.fhir]\npath = \"/fhir\"\nupstream = \"happy\"\nauthentication = \"none\"\n")
        .unwrap();
    let wrong = fireguard(folder.path(), &["check"]);
    assert!(!wrong.status.success());
    for part in ["there is no upstream named \"happy\"", "did you mean \"hapi\"?", "fireguard.toml:5:"] {
        assert!(text(&wrong).contains(part), "{part}: {}", text(&wrong));
    }
    let right = std::fs::read_to_string(&file).unwrap().replace("happy", "hapi");
    std::fs::write(&file, right).unwrap();
    let good = fireguard(folder.path(), &["check"]);
    assert!(good.status.success(), "{}", text(&good));
    let says = "route fhir: clients use http://127.0.0.1:8088/fhir ► http://127.0.0.1:1/fhir";
    assert!(text(&good).contains(says), "{}", text(&good));
}

#[test]
fn check_loads_the_plugins_too() {
    let folder = folder();
    let configuration = |plugin: &str| {
        format!(
            "[upstreams.hapi]\nurl = \"http://127.0.0.1:1/fhir\"\n[routes.research]\npath = \"/research\"\n\
             upstream = \"hapi\"\nauthentication = \"none\"\nread_only = true\nplugins = [\"deid\"]\n[plugins.deid]\n{plugin}\n"
        )
    };
    let component = plugin("deid");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "rules.json",
        "{\"fhirVersion\": \"R4\",\n \"fhirPathRules\": [\n  {\"path\": \"Patient.nmae\", \"method\": \"redact\"}]}",
    );
    write("not-wasm", "hello");
    write("weak.key", "changeme");
    write("good.key", &"4f9c2e".repeat(8));
    let component = component.display();
    for (settings, expected) in [
        ("component = \"not-wasm\"".to_owned(), "not a WebAssembly component"),
        (format!("component = \"{component}\""), "rules"),
        (
            format!(
                "component = \"{component}\"\nfiles = {{ rules = \"rules.json\" }}\n\
                 grants.pseudonym = {{ key = \"file:weak.key\" }}"
            ),
            "openssl rand -hex 32",
        ),
        (
            format!(
                "component = \"{component}\"\nfiles = {{ rules = \"rules.json\" }}\n\
                 grants.pseudonym = {{ key = \"file:good.key\" }}"
            ),
            "rules.json:3:",
        ),
    ] {
        write("fireguard.toml", &configuration(&settings));
        let output = fireguard(folder.path(), &["check", "--dev"]);
        let text = text(&output);
        assert!(!output.status.success(), "{settings}");
        assert!(text.contains(expected) && text.contains("plugin deid"), "{settings}: {text}");
        assert!(!text.contains("changeme"), "{text}");
    }
}

/// The component built by `cargo xtask plugins`.
fn plugin(name: &str) -> PathBuf {
    let path = fireguard_test_support::repository::target().join(format!("plugins/{name}.wasm"));
    assert!(path.is_file(), "cargo xtask plugins builds {}", path.display());
    path
}

#[tokio::test]
async fn init_writes_a_configuration_and_tries_it_out() {
    let hapi = Hapi::shared().await.unwrap();
    let client = reqwest::Client::new();
    for family in ["One", "Two", "Three", "Four", "Five"] {
        let patient = json!({"resourceType": "Patient", "name": [{"family": family}]});
        let request = client.post(format!("{}/Patient", hapi.base_url()));
        let answer =
            request.header("content-type", "application/fhir+json").body(patient.to_string()).send().await;
        assert_eq!(answer.unwrap().status(), 201);
    }
    let folder = folder();
    let init = fireguard(folder.path(), &["init", "--upstream", hapi.base_url()]);
    let said = text(&init);
    assert!(init.status.success(), "{said}");
    for part in ["ok   metadata", "FHIR 4.0.1", "ok   paging", "3 pages followed", "ok   leaks"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(fireguard(folder.path(), &["check"]).status.success());
    let again = fireguard(folder.path(), &["init", "--upstream", hapi.base_url()]);
    assert!(!again.status.success() && text(&again).contains("--force"), "{}", text(&again));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn init_says_what_a_wrong_base_answers() {
    let standin = StandIn::start().await.unwrap();
    let at = |path: &str, answer| standin.always("GET", &format!("{path}/metadata"), answer);
    at("/page", Answer::html(200, "<html>welcome</html>"));
    at("/gone", Answer::html(404, "<html>not here</html>"));
    at("/fhir/R4", Answer::outcome(404, "not-found"));
    at("/moved", Answer::status(302).header("location", "/elsewhere"));
    at("/api", Answer::json(200, r#"{"name": "an API"}"#));
    at("/busy", Answer::status(503));
    at("/r5", Answer::json(200, r#"{"resourceType": "CapabilityStatement", "fhirVersion": "5.0.0"}"#));
    let folder = folder();
    for (path, expected) in [
        ("/page", "answered what is no JSON (HTML)"),
        ("/gone", "answered 404 Not Found (HTML)"),
        ("/fhir/R4", "answered 404 Not Found (application/fhir+json)"),
        ("/moved", "answered 302 Found (a redirect to /elsewhere)"),
        ("/api", "answered JSON without a fhirVersion"),
        ("/busy", "answered 503 Service Unavailable"),
        ("/r5", "FHIR 5.0.0"),
    ] {
        let base = standin.base_url().replace("/fhir", path);
        let init = fireguard(folder.path(), &["init", "--force", "--upstream", &base]);
        let said = text(&init);
        assert!(
            !init.status.success() && said.contains("FAIL metadata") && said.contains(expected),
            "{said}"
        );
        let asks_back = said.contains(&format!("is {base} the FHIR base?"));
        assert_eq!(asks_back, !matches!(path, "/busy" | "/r5"), "{said}");
    }
}

#[test]
fn init_says_when_nobody_answers() {
    let folder = folder();
    let init = fireguard(folder.path(), &["init", "--upstream", "http://127.0.0.1:9/fhir"]);
    assert!(!init.status.success());
    for part in ["FAIL metadata", "http://127.0.0.1:9/fhir cannot be reached", "refused"] {
        assert!(text(&init).contains(part), "{}", text(&init));
    }
    for wrong in ["127.0.0.1:8080/fhir", "ftp://h/fhir", "http://h/fhir?x=1"] {
        let init = fireguard(folder.path(), &["init", "--force", "--upstream", wrong]);
        assert!(!init.status.success() && text(&init).contains("--upstream"), "{}", text(&init));
    }
}
