//! How the cores share the work of few connections with many requests at once.

use std::collections::BTreeMap;

use fireguard_test_support::gateway::Gateway;
use fireguard_test_support::standin::Answer;
use http::Request;
use tokio::net::TcpStream;

use crate::rig::{Change, Rig, before};

const CONNECTIONS: usize = 2;
const STREAMS: usize = 200;
const ROUNDS: usize = 4;

/// So many requests at once on one connection, each answered whole; round after round.
async fn client(address: String, length: usize) {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1 << 20).initial_connection_window_size(1 << 28);
    let (client, connection) = builder.handshake::<_, &[u8]>(stream).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    for _ in 0..ROUNDS {
        let mut client = client.clone().ready().await.unwrap();
        let answers: Vec<_> = (0..STREAMS)
            .map(|n| {
                let uri = format!("http://fhir.example.org/fhir/Observation?code={n}");
                client.send_request(Request::get(uri).body(()).unwrap(), true).unwrap().0
            })
            .collect();
        for answer in answers {
            let answer = answer.await.unwrap();
            assert_eq!(answer.status(), 200);
            let (mut body, mut read) = (answer.into_body(), 0);
            while let Some(data) = body.data().await {
                read += data.unwrap().len();
            }
            assert!(read >= length, "{read} of {length}");
        }
    }
}

/// Nanoseconds on a processor, of each thread of this name.
fn processor_time(gateway: &Gateway, name: &str) -> BTreeMap<String, u64> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", gateway.pid())).unwrap();
    let time = |task: std::path::PathBuf| {
        let comm = std::fs::read_to_string(task.join("comm")).ok()?;
        let spent = std::fs::read_to_string(task.join("schedstat")).ok()?;
        let spent = spent.split(' ').next()?.parse().ok()?;
        (comm.trim() == name).then(|| (task.display().to_string(), spent))
    };
    tasks.filter_map(|task| time(task.unwrap().path())).collect()
}

/// The processors' own account tells who worked, however busy the machine is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_connections_of_two_hundred_streams_use_both_cores() {
    let entry = r#"{"resource":{"resourceType":"Observation","id":"1","status":"final","subject":{"reference":"Patient/1"}}}"#;
    let entries = vec![entry; 200].join(",");
    let bundle = format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{entries}]}}"#);
    let length = bundle.len();
    let rig = Rig::start().await;
    rig.standin.always("GET", "/fhir/Observation", Answer::json(200, bundle));
    let server = "workers = 2\nruntime = \"shared\"".to_owned();
    let upstream = "concurrency = { start = 64, least = 64, most = 64, queue_time = \"60s\" }".to_owned();
    let change = Change { server, upstream, ..Change::default() };
    let gateway = before(&rig.standin.base_url(), &change).await;
    let at_first = processor_time(&gateway, "shared");
    assert_eq!(at_first.len(), 2, "two workers");
    let clients: Vec<_> =
        (0..CONNECTIONS).map(|_| tokio::spawn(client(gateway.listen().to_owned(), length))).collect();
    for client in clients {
        client.await.unwrap();
    }
    let spent: Vec<_> =
        processor_time(&gateway, "shared").into_iter().map(|(task, now)| now - at_first[&task]).collect();
    let all: u64 = spent.iter().sum();
    println!("{spent:?} ns");
    assert!(all > 100_000_000, "too little work to tell: {spent:?} ns");
    assert!(spent.iter().all(|one| one * 4 > all), "one core has less than a quarter of it: {spent:?} ns");
}
