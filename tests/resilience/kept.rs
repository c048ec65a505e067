//! What plugins keep and read: values over a kill, files, maps of codes over a reload.

use std::fs;

use fireguard_test_support::gateway::Gateway;
use fireguard_test_support::s3::{Fault, S3};
use fireguard_test_support::standin::Answer;
use serde_json::{Value, json};

use crate::asking::asking;
use crate::http::{Ask, Reply};
use crate::rig::{Change, Rig};

async fn rig(tables: String) -> Rig {
    let rig = Rig::with(Change { tables, ..Change::default() }).await;
    let patient = json!({"resourceType": "Patient", "id": "1"}).to_string();
    rig.standin.always("GET", "/fhir/Patient/1", Answer::json(200, patient));
    rig
}

/// What the plugin on this route was answered.
fn told(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["told"].clone()
}

#[tokio::test]
async fn values_survive_a_kill_and_belong_to_one_plugin() {
    let counting = json!([
        {"kv-swap": [["count", "1"]]}, {"kv-get": ["count", "late"]}, {"kv-set": [["late", "x"]]},
    ]);
    let more = json!([{"kv-get": ["count"]}, {"kv-set": [["a", ""], ["b", ""], ["c", ""]]}]);
    let grant = "key_value = { entries = 2 }";
    let state = "[state]\ndirectory = \"kept\"\n";
    let tables = asking("one", &counting, grant) + &asking("other", &more, grant) + state;
    let rig = rig(tables).await;
    assert_eq!(told(&rig.get("/one/Patient/1").await), json!([true, ["1", null], true]));
    let full = json!({"error": "too-much", "message": "there is room for 2 entries; delete some"});
    assert_eq!(told(&rig.get("/other/Patient/1").await), json!([[null], full]));

    let folder = rig.gateway.folder().to_owned();
    let config = fs::read_to_string(folder.join("fireguard.toml")).unwrap();
    let Rig { standin, gateway } = rig;
    // Dropped, it is killed.
    drop(gateway);
    let gateway =
        tokio::task::spawn_blocking(move || Gateway::start_in(&folder, &config).unwrap()).await.unwrap();
    let rig = Rig { standin, gateway };
    assert_eq!(told(&rig.get("/one/Patient/1").await), json!([false, ["1", "x"], true]));
}

#[tokio::test]
async fn a_map_that_changes_is_read_at_the_next_reload_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("labs.csv");
    let write = |code: &str| {
        let header = "system,code,target_system,target_code,display,equivalence";
        fs::write(&map, format!("{header}\nlocal,A,http://loinc.org,{code},,\n")).unwrap();
    };
    write("1-1");
    let grant = format!("terminology.maps = {{ labs = {map:?} }}");
    let rig = rig(asking("p", &json!([{"translate": ["labs", [["local", "A"]]]}]), &grant)).await;
    let code = async || told(&rig.get("/p/Patient/1").await)[0][0][0][1].clone();
    let reload = async || {
        Ask::new("POST", "/reload").send(rig.gateway.admin_url().trim_start_matches("http://")).await
    };
    assert_eq!(code().await, "1-1");
    write("2-2");
    assert_eq!(code().await, "1-1", "not before it is asked for");
    assert_eq!(reload().await.status, 200);
    assert_eq!(code().await, "2-2");
    write("");
    let refused = reload().await;
    assert!(
        refused.status != 200 && refused.text().contains("labs.csv: line 2: target_code is empty"),
        "{refused:?}"
    );
    assert_eq!(code().await, "2-2", "the previous one goes on");
}

#[tokio::test]
async fn objects_are_files_in_the_granted_directory() {
    let folder = tempfile::tempdir().unwrap();
    let grant = format!("object_store = {{ directory = {:?}, bytes = \"10B\" }}", folder.path().join("out"));
    let large = json!({"put": ["large", "12345678901"]});
    let asks = json!([{"put": ["2026/patients.ndjson", "{}"]}, {"put": ["../x", ""]}, large]);
    let rig = rig(asking("p", &asks, &grant)).await;
    let told = told(&rig.get("/p/Patient/1").await);
    assert_eq!(
        (&told[0], &told[1]["error"], &told[2]["error"]),
        (&json!(true), &json!("invalid"), &json!("too-much"))
    );
    assert_eq!(fs::read_to_string(folder.path().join("out/2026/patients.ndjson")).unwrap(), "{}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// What a plugin asks that tries to leave its place, each with the answer's code.
const ESCAPES: [&str; 9] =
    ["../x", "/x", "a/../../x", "a//x", ".x", "a\u{2044}x", "a\u{ff0f}..\u{ff0f}x", "a%2f..%2fx", "a\\x"];

#[tokio::test]
async fn objects_in_a_bucket_stay_below_the_name_of_their_plugin() {
    let server = S3::start("objects").await.unwrap();
    let keys = tempfile::tempdir().unwrap();
    let grant = "object_store = { bucket = \"b\", bytes = \"10B\" }";
    let escapes: Vec<Value> = ESCAPES.iter().map(|name| json!({"put": [name, ""]})).collect();
    let reads: Vec<Value> = ESCAPES.iter().map(|name| json!({"get": name})).collect();
    let asks = json!([
        {"put": ["2026/a.ndjson", "{}"]}, {"put": ["2026/a.ndjson", "{1}"]}, {"get": "2026/a.ndjson"}, {"get": "b"},
        {"put": ["large", "12345678901"]}, {"put": ["b", ""]}, {"names": ["", ""]}, {"names": ["", "2026/a.ndjson"]},
        {"delete": "b"}, {"delete": "b"}, {"names": ["", ""]},
    ]);
    let tables = asking("one", &asks, grant)
        + &asking("other", &json!([{"names": ["", ""]}, {"get": "2026/a.ndjson"}]), grant)
        + &asking("escaping", &json!(escapes), grant)
        + &asking("reading", &json!(reads), grant)
        + &server.table("b", keys.path()).unwrap();
    // Several requests to another server are more than these plugins have time for otherwise.
    let tables = tables.replace("900ms", "30s");
    let rig = rig(tables).await;
    let told = async |route: &str| told(&rig.get(&format!("/{route}/Patient/1")).await);
    let answers = told("one").await;
    assert_eq!(answers[4]["error"], "too-much", "{answers}");
    let expected = json!([
        true,
        true,
        "{1}",
        null,
        answers[4],
        true,
        ["2026/a.ndjson", "b"],
        ["b"],
        true,
        true,
        ["2026/a.ndjson"]
    ]);
    assert_eq!(answers, expected);
    assert_eq!(told("other").await, json!([[], null]));
    for route in ["escaping", "reading"] {
        let answers = told(route).await;
        let codes: Vec<_> =
            answers.as_array().unwrap().iter().map(|answer| answer["error"].as_str()).collect();
        assert_eq!(codes, vec![Some("invalid"); ESCAPES.len()], "{route}");
    }
    let objects = server.objects().unwrap();
    assert_eq!(objects.keys().collect::<Vec<_>>(), ["plugins/one/2026/a.ndjson"]);
    // It is not the plugin's affair why, and the log names no object.
    server.always(Some(Fault::Answer(403, "AccessDenied")));
    let answers = told("other").await;
    assert_eq!(answers[0]["error"], "unavailable", "{answers}");
    assert!(!answers.to_string().contains("AccessDenied"));
    rig.gateway.logged("the object store does not work").await;
    assert!(!rig.gateway.log().contains("a.ndjson"));
}
