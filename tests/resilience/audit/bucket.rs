//! Audit events in a bucket: each is there once, whatever happens on the way.

use std::collections::BTreeMap;

use fireguard_test_support::s3::versity::Versity;
use fireguard_test_support::s3::{Fault, S3};

use super::*;

/// Gathered for so short a time that a test does not wait.
const GATHER: &str = "to = \"bucket:b\"\ngather = \"100ms\"";

fn audit(server: &S3, folder: &Path) -> String {
    format!("{GATHER}\n{}timeout = \"2s\"\n", server.table("b", folder).unwrap())
}

/// Writes so many patients, each acknowledged.
async fn write(standin: &StandIn, gateway: &Gateway, ids: impl IntoIterator<Item = String>) {
    for id in ids {
        let (path, body) =
            (format!("/fhir/Patient/{id}"), format!(r#"{{"resourceType":"Patient","id":"{id}"}}"#));
        let location = format!("{}/Patient/{id}/_history/1", standin.base_url());
        let answer = Answer::json(201, body.clone()).header("Location", &location).header("ETag", "W/\"1\"");
        standin.always("PUT", &path, answer);
        let reply = Ask::json("PUT", &path, body).send(gateway.listen()).await;
        assert_eq!(reply.status, 201, "{reply:?}");
    }
}

fn ids(name: &str, many: usize) -> Vec<String> {
    (0..many).map(|number| format!("{name}{number}")).collect()
}

fn events(objects: &BTreeMap<String, Vec<u8>>) -> Vec<Value> {
    let lines = objects.values().flat_map(|content| content.split(|byte| *byte == b'\n'));
    lines.filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// The events of a bucket, once there are so many; each is there once.
async fn put(read: impl Fn() -> BTreeMap<String, Vec<u8>>, many: usize) -> Vec<Value> {
    let waited = tokio::time::timeout(PATIENCE, async {
        while events(&read()).len() < many {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(waited.await.is_ok(), "{:?}", read().keys());
    let found = events(&read());
    let unique: std::collections::BTreeSet<_> = found.iter().map(|event| event["id"].to_string()).collect();
    assert_eq!(unique.len(), found.len(), "an event is there twice: {:?}", read().keys());
    found
}

async fn in_bucket(server: &S3, many: usize) -> Vec<Value> {
    put(|| server.objects().unwrap(), many).await
}

/// Waits until so many PUTs have arrived.
async fn tried(server: &S3, many: usize) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while server.puts().len() < many {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "{:?}", server.puts());
}

#[tokio::test]
async fn events_are_gathered_in_objects_by_day_and_hour() {
    let (standin, folder, server) = (patients().await, folder("bucket"), S3::start("audit").await.unwrap());
    let gateway = start(&standin, &folder, &audit(&server, &folder)).await;
    write(&standin, &gateway, ids("w", 20)).await;
    for _ in 0..5 {
        assert_eq!(Ask::get("/fhir/Patient/1").send(gateway.listen()).await.status, 200);
    }
    let found = in_bucket(&server, 25).await;
    assert_eq!(found.len(), 25);
    let objects = server.objects().unwrap();
    for key in objects.keys() {
        let parts: Vec<_> = key.split('/').collect();
        let ["audit", year, month, day, hour, name] = parts[..] else { panic!("{key}") };
        assert!(
            name.starts_with(&format!("{year}{month}{day}T{hour}")) && name.ends_with(".ndjson"),
            "{key}"
        );
    }
    assert!(objects.len() < 25, "many are in one: {:?}", objects.keys());
    assert!(server.puts().iter().all(|put| put.only_new), "nothing is replaced");
    let admin = gateway.admin_url();
    let metrics = Ask::get("/metrics").send(admin.trim_start_matches("http://")).await.text();
    let counted = "fireguard_s3_requests_total{bucket=\"b\",operation=\"put\",outcome=\"ok\"}";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(!gateway.log().contains(".ndjson"), "{}", gateway.log());
}

#[tokio::test]
async fn while_the_bucket_is_away_events_wait_and_then_arrive_once() {
    for (name, fault) in [
        ("busy", Fault::Answer(503, "SlowDown")),
        ("broken", Fault::Answer(500, "InternalError")),
        ("denied", Fault::Answer(403, "AccessDenied")),
        ("done", Fault::DoneAndDenied),
        ("reset", Fault::Reset),
    ] {
        let (standin, folder, server) = (patients().await, folder(name), S3::start("audit").await.unwrap());
        server.always(Some(fault));
        let gateway = start(&standin, &folder, &audit(&server, &folder)).await;
        write(&standin, &gateway, ids("a", 3)).await;
        tried(&server, 1).await;
        write(&standin, &gateway, ids("b", 3)).await;
        gateway.logged("audit events come again").await;
        server.always(None);
        assert_eq!(in_bucket(&server, 6).await.len(), 6, "{name}");
        let log = gateway.log();
        assert!(!log.contains(".ndjson") && !log.contains("Patient/a0"), "{name}: {log}");
    }
}

#[tokio::test]
async fn without_its_bucket_or_the_right_key_it_says_so_and_loses_nothing() {
    let (standin, folder, server) = (patients().await, folder("absent"), S3::start("audit").await.unwrap());
    server.bucket_is_there(false);
    let gateway = start(&standin, &folder, &audit(&server, &folder)).await;
    write(&standin, &gateway, ids("a", 2)).await;
    gateway.logged("there is no such bucket").await;
    drop(gateway);
    server.bucket_is_there(true);
    let right = audit(&server, &folder);
    std::fs::write(folder.join("b-secret"), "wrong").unwrap();
    let gateway = start(&standin, &folder, &right).await;
    gateway.logged("SignatureDoesNotMatch").await;
    drop(gateway);
    let gateway = start(&standin, &folder, &audit(&server, &folder)).await;
    assert_eq!(in_bucket(&server, 2).await.len(), 2);
    drop(gateway);
}

#[tokio::test]
async fn a_process_that_is_killed_between_put_and_answer_puts_the_same_object() {
    let (standin, folder, server) = (patients().await, folder("between"), S3::start("audit").await.unwrap());
    // It is there, and nobody learns of it.
    server.always(Some(Fault::SilentlyDone));
    let gateway = start(&standin, &folder, &audit(&server, &folder)).await;
    write(&standin, &gateway, ids("a", 5)).await;
    tried(&server, 1).await;
    let before = in_bucket(&server, 1).await.len();
    write(&standin, &gateway, ids("b", 5)).await;
    // By SIGKILL.
    drop(gateway);
    server.always(None);
    let gateway = start(&standin, &folder, &audit(&server, &folder)).await;
    assert_eq!(in_bucket(&server, 10).await.len(), 10, "{before} were there before");
    let puts = server.puts();
    let first = puts.iter().filter(|put| put.path == puts[0].path).count();
    assert!(first > 1, "it was put again, as the same object: {puts:?}");
    drop(gateway);
}

#[tokio::test]
async fn a_queue_that_is_full_refuses_until_the_bucket_is_back() {
    let (standin, folder, server) = (patients().await, folder("full"), S3::start("audit").await.unwrap());
    server.always(Some(Fault::Answer(503, "SlowDown")));
    // What counts in [audit] stands before the table of the bucket.
    let limited = format!("waiting = 3\n{}", audit(&server, &folder));
    let gateway = start(&standin, &folder, &limited).await;
    let ask = async || Ask::get("/fhir/Patient/1").send(gateway.listen()).await.status;
    let until = async |expected: u16| {
        let waited = tokio::time::timeout(PATIENCE, async {
            while ask().await != expected {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(waited.await.is_ok(), "{expected}");
    };
    until(503).await;
    // Also what is sealed counts: it stays so.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(ask().await, 503);
    server.always(None);
    until(200).await;
    assert!(in_bucket(&server, 3).await.len() >= 3);
}

#[tokio::test]
async fn what_was_sealed_for_a_bucket_goes_where_it_is_to_go_now() {
    let (standin, folder, server) = (patients().await, folder("moved"), S3::start("audit").await.unwrap());
    server.always(Some(Fault::Answer(500, "InternalError")));
    let gateway = start(&standin, &folder, &audit(&server, &folder)).await;
    write(&standin, &gateway, ids("a", 4)).await;
    tried(&server, 1).await;
    write(&standin, &gateway, ids("b", 4)).await;
    drop(gateway);
    let gateway = start(&standin, &folder, "to = \"files:events\"").await;
    let moved: std::collections::BTreeSet<_> = patients_of(&arrived(&folder, 8).await).into_iter().collect();
    assert_eq!(moved.len(), 8, "{moved:?}");
    drop(gateway);
}

#[tokio::test]
async fn events_arrive_in_a_bucket_of_a_real_server() {
    let Some(server) = tokio::task::spawn_blocking(Versity::start).await.unwrap().unwrap() else { return };
    let (standin, folder) = (patients().await, folder("versity"));
    let audit = format!("{GATHER}\n{}", server.table("b", &folder).unwrap());
    let gateway = start(&standin, &folder, &audit).await;
    write(&standin, &gateway, ids("v", 30)).await;
    let read = || {
        let root = server.objects();
        let (mut found, mut open) = (BTreeMap::new(), vec![root]);
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if path.extension().is_some_and(|kind| kind == "ndjson") {
                    found.insert(path.display().to_string(), std::fs::read(&path).unwrap());
                }
            }
        }
        found
    };
    assert_eq!(put(read, 30).await.len(), 30);
    drop(gateway);
}
