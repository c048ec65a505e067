//! `fireguard doctor`: what is wrong, and the line to change.

use std::process::Command;

use fireguard_test_support::gateway;
use fireguard_test_support::hapi::Hapi;
use fireguard_test_support::s3::S3;
use fireguard_test_support::standin::{Answer, StandIn};

use crate::{fireguard, folder, text};

const R4: &str = r#"{"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}"#;

/// Line 3 names the URL, line 4 how much is asked at once, line 10 the longest head.
fn configuration(url: &str) -> String {
    format!(
        "# One route to one server.\n[upstreams.hapi]\nurl = \"{url}\"\nconcurrency = {{ most = 16 }}\n\
         [routes.fhir]\npath = \"/fhir\"\nupstream = \"hapi\"\nauthentication = \"none\"\n[limits]\nupstream_head = \"8KiB\"\n"
    )
}

/// A server at which nothing is wrong.
async fn good() -> StandIn {
    let standin = StandIn::start().await.unwrap();
    standin.always("GET", "/fhir/metadata", Answer::json(200, R4));
    let page = r#"{"resourceType": "Bundle", "type": "searchset", "link": []}"#;
    standin.always("GET", "/fhir/Patient", Answer::json(200, page));
    standin.always("GET", "/fhir/Patient/*", Answer::outcome(404, "not-found"));
    standin.always("POST", "/fhir/Patient/$validate", Answer::outcome(400, "invalid"));
    standin.always("GET", "/actuator/metrics/hikaricp.connections.max", pool(16));
    standin
}

fn pool(connections: u32) -> Answer {
    Answer::json(200, format!(r#"{{"measurements": [{{"statistic": "VALUE", "value": {connections}.0}}]}}"#))
}

fn run(url: &str) -> (bool, String) {
    run_with(&configuration(url))
}

fn run_with(configuration: &str) -> (bool, String) {
    let folder = folder();
    std::fs::write(folder.path().join("fireguard.toml"), configuration).unwrap();
    let output = fireguard(folder.path(), &["doctor"]);
    assert_eq!(output.status.code(), Some(i32::from(!output.status.success())), "{}", text(&output));
    (output.status.success(), text(&output))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_server_passes() {
    let standin = good().await;
    let (success, said) = run(&standin.base_url());
    assert!(success, "{said}");
    for part in [
        "metadata  hapi: ",
        "head ",
        "body ",
        "16 database connections",
        "paging    fhir: ",
        "leaks     fhir: ",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let wrote =
        |r: &fireguard_test_support::standin::Received| r.method != "GET" && !r.path().ends_with("$validate");
    assert!(!standin.requests().iter().any(wrote), "{:?}", standin.requests());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_asked_for_and_nothing_is_put_there() {
    let (standin, server) = (good().await, S3::start("objects").await.unwrap());
    let keys = tempfile::tempdir().unwrap();
    let configuration = configuration(&standin.base_url()) + &server.table("archive", keys.path()).unwrap();
    let (success, said) = run_with(&configuration);
    assert!(success && said.contains("ok   bucket    archive: it is there and may be used"), "{said}");
    server.bucket_is_there(false);
    let (success, said) = run_with(&configuration);
    let told = "FAIL bucket    archive: there is no such bucket (fireguard.toml:12: buckets.archive.bucket)";
    assert!(!success && said.contains(told), "{said}");
    server.bucket_is_there(true);
    // Where no keys are named those of the environment count.
    let folder = folder();
    let unnamed: Vec<_> = configuration.lines().filter(|line| !line.contains("_key = ")).collect();
    std::fs::write(folder.path().join("fireguard.toml"), unnamed.join("\n")).unwrap();
    let doctor = |keys: Option<(&str, &str)>| {
        let mut command = Command::new(gateway::binary().unwrap());
        command.arg("doctor").current_dir(folder.path()).env("AWS_EC2_METADATA_DISABLED", "true");
        command
            .env("HOME", folder.path())
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY");
        if let Some((key, secret)) = keys {
            command.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", secret);
        }
        text(&command.output().unwrap())
    };
    let said = doctor(Some(server.keys()));
    assert!(said.contains("ok   bucket    archive: it is there and may be used"), "{said}");
    let said = doctor(None);
    assert!(said.contains("FAIL bucket    archive: no credentials were found"), "{said}");
    std::fs::write(keys.path().join("archive-secret"), "wrong").unwrap();
    let (success, said) = run_with(&configuration);
    assert!(!success && said.contains("FAIL bucket    archive: the S3 server refuses it"), "{said}");
    assert!(server.puts().is_empty() && server.objects().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_names_the_line_to_change() {
    type Spoil = fn(&StandIn);
    let cases: [(Spoil, &str, &str); 4] = [
        (
            |standin| {
                standin.always("GET", "/fhir/metadata", Answer::json(200, R4.replace("4.0.1", "5.0.0")))
            },
            "FAIL metadata  hapi: ",
            "(fireguard.toml:3: upstreams.hapi.url)",
        ),
        (
            |standin| standin.always("POST", "/fhir/Patient/$validate", Answer::html(413, "<html></html>")),
            "FAIL body      hapi: a body of 8388608 bytes is answered 413",
            "(fireguard.toml:9: limits.request_body)",
        ),
        (
            |standin| standin.always("GET", "/actuator/metrics/hikaricp.connections.max", pool(10)),
            "FAIL pool      hapi: up to 16 requests at once meet 10 database connections",
            "(fireguard.toml:4: upstreams.hapi.concurrency.most)",
        ),
        (
            |standin| standin.always("GET", "/fhir/Patient", Answer::html(200, "<html></html>")),
            "FAIL paging    fhir: page 1: ",
            "(fireguard.toml:3: upstreams.hapi.url)",
        ),
    ];
    for (spoil, finding, place) in cases {
        let standin = good().await;
        spoil(&standin);
        let (success, said) = run(&standin.base_url());
        let line =
            said.lines().find(|line| line.contains(finding)).unwrap_or_else(|| panic!("{finding}: {said}"));
        assert!(line.ends_with(place), "{line}");
        assert_eq!(success, !said.contains("FAIL"), "{said}");
    }
    let (success, said) = run("http://127.0.0.1:9/fhir");
    assert!(
        !success && said.contains("FAIL metadata  hapi: http://127.0.0.1:9/fhir cannot be reached"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_replica_is_examined() {
    let (one, other) = (good().await, good().await);
    let several = format!("\nreplicas = [{:?}]\nconcurrency", other.base_url());
    let configuration = configuration(&one.base_url()).replace("\nconcurrency", &several);
    let (success, said) = run_with(&configuration);
    assert!(success, "{said}");
    other.always("GET", "/actuator/metrics/hikaricp.connections.max", pool(10));
    // It says where the other one is: a client must not see that either.
    let note = format!(
        r#"{{"resourceType": "Bundle", "type": "searchset", "entry": [{{"resource": {{"resourceType": "Patient", "address": [{{"text": "at //{}"}}]}}}}]}}"#,
        other.address()
    );
    one.always("GET", "/fhir/Patient", Answer::json(200, note.clone()));
    other.always("GET", "/fhir/Patient", Answer::json(200, note));
    let (success, said) = run_with(&configuration);
    assert!(!success);
    for (address, good) in [(one.address(), "ok  "), (other.address(), "FAIL")] {
        assert!(said.contains(&format!("{good} pool      hapi at {address}: ")), "{said}");
    }
    assert!(said.contains("FAIL leaks"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_hapi_passes() {
    let hapi = Hapi::shared().await.unwrap();
    let (success, said) = run(hapi.base_url());
    assert!(success, "{said}");
}
