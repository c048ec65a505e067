//! The configuration and the binary change while clients go on: nobody notices.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fireguard_test_support::gateway::Gateway;
use fireguard_test_support::guest;
use fireguard_test_support::standin::{Answer, Gate, Received};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::{Ask, Reply};
use crate::phases;
use crate::plugins::route;
use crate::rig::{Change, Rig, WELL};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
const TARGET: &str = "/fhir/Patient/well";

async fn rig(change: Change) -> Rig {
    let rig = Rig::with(change).await;
    rig.standin.always("GET", TARGET, Answer::json(200, WELL));
    rig.standin.always("GET", "/fhir/metadata", Answer::json(200, METADATA));
    // Readiness is part of what must not change.
    until("ready", async || admin(&rig, Ask::get("/ready")).await.status == 200).await;
    rig
}

const METADATA: &str = r#"{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1"}"#;

async fn admin(rig: &Rig, ask: Ask) -> Reply {
    ask.send(rig.gateway.admin_url().trim_start_matches("http://")).await
}

/// Changes the configuration file, and asks for it to be read.
async fn reload(rig: &Rig, change: impl FnOnce(String) -> String) -> Reply {
    rewrite(&rig.gateway.folder().join("fireguard.toml"), change);
    admin(rig, Ask::new("POST", "/reload")).await
}

fn rewrite(path: &Path, change: impl FnOnce(String) -> String) {
    std::fs::write(path, change(std::fs::read_to_string(path).unwrap())).unwrap();
}

/// Asks again until it is so.
async fn until(what: &str, mut there: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !there().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("{what}"));
}

/// The lines of the log with this message.
fn lines(gateway: &Gateway, message: &str) -> Vec<serde_json::Value> {
    let lines =
        gateway.log().lines().map(serde_json::from_str).collect::<Result<Vec<_>, _>>().unwrap_or_default();
    lines.into_iter().filter(|line: &serde_json::Value| line["message"] == message).collect()
}

/// A client that makes a new connection for each request.
async fn visit(address: SocketAddr) -> Result<(), String> {
    let told = |step: &'static str| move |error: std::io::Error| format!("{step}: {error}");
    let mut stream = TcpStream::connect(address).await.map_err(told("connect"))?;
    let request = format!("GET {TARGET} HTTP/1.1\r\nHost: fhir.example.org\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(told("write"))?;
    let mut answer = Vec::with_capacity(1024);
    stream.read_to_end(&mut answer).await.map_err(told("read"))?;
    let answer = String::from_utf8_lossy(&answer);
    match answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&format!("\r\n\r\n{WELL}")) {
        true => Ok(()),
        false => Err(format!("answer: {answer:?}")),
    }
}

/// As many connections as there can be: a thread that asks for what Fireguard answers by itself, on a new connection
/// each time, from an address of its own so that ports do not run out.
fn knock(from: u8, address: SocketAddr, go_on: &AtomicBool, knocked: &AtomicUsize) -> Vec<String> {
    let source: SocketAddr = ([127, 0, 1, from], 0).into();
    let request = b"GET /nothing HTTP/1.1\r\nHost: fhir.example.org\r\nConnection: close\r\n\r\n";
    let (mut failures, mut buffer) = (Vec::new(), [0; 1024]);
    let mut once = || -> std::io::Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&source.into())?;
        socket.connect(&address.into())?;
        let mut stream: std::net::TcpStream = socket.into();
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request)?;
        let mut read = 0;
        loop {
            match stream.read(&mut buffer[read..])? {
                0 if buffer.starts_with(b"HTTP/1.1 404 ") && buffer[..read].ends_with(b"}") => return Ok(()),
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                more => read += more,
            }
        }
    };
    while go_on.load(Ordering::Relaxed) {
        match once() {
            Ok(()) => drop(knocked.fetch_add(1, Ordering::Relaxed)),
            Err(failure) => failures.push(format!("knocking: {failure}")),
        }
    }
    failures
}

/// Threads that knock.
const KNOCKING: u8 = 6;
/// Clients that read a resource of the server.
const CLIENTS: usize = 4;
const ROUNDS: usize = 25;
/// Every so many rounds the binary is changed, in the others the configuration.
const UPGRADE: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_reloads_and_five_upgrades_go_unnoticed() {
    // Less to log and no limit to meet: as many new connections as the machine gives.
    let rig = rig(Change { server: "workers = 2".to_owned(), ..Change::default() }).await;
    assert_eq!(reload(&rig, |text| text.replace("level = \"debug\"", "level = \"info\"")).await.status, 200);
    let address: SocketAddr = rig.gateway.listen().parse().unwrap();
    let (go_on, answered) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (go_on, answered) = (Arc::clone(&go_on), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut failures = Vec::new();
                while go_on.load(Ordering::Relaxed) {
                    match visit(address).await {
                        Ok(()) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        Err(failure) => failures.push(failure),
                    }
                }
                failures
            })
        })
        .collect();
    let knocked = Arc::new(AtomicUsize::new(0));
    let knocking: Vec<_> = (1..=KNOCKING)
        .map(|from| {
            let (go_on, knocked) = (Arc::clone(&go_on), Arc::clone(&knocked));
            std::thread::spawn(move || knock(from, address, &go_on, &knocked))
        })
        .collect();
    let begin = Instant::now();
    let (mut pid, mut switches) = (rig.gateway.pid(), Vec::new());
    for round in 1..=ROUNDS {
        let before = answered.load(Ordering::Relaxed);
        if round % UPGRADE == 0 {
            Gateway::succeed(pid);
            let generation = round / UPGRADE;
            until("a successor", async || lines(&rig.gateway, "stopped").len() == generation).await;
            pid = lines(&rig.gateway, "the successor serves")[generation - 1]["pid"].as_u64().unwrap() as u32;
        } else {
            let begin = Instant::now();
            let name = |round: usize| {
                format!(
                    "[routes.r{round}]\npath = \"/r{round}\"\nupstream = \"hapi\"\nauthentication = \"none\"\n"
                )
            };
            let reply = reload(&rig, |text| text.replace(&name(round - 1), "") + &name(round)).await;
            switches.push(begin.elapsed());
            assert_eq!(reply.status, 200, "{}", reply.text());
            // The next request sees it, wherever it arrives.
            for _ in 0..4 {
                assert_eq!(rig.get(&format!("/r{round}/Patient/well")).await.status, 200);
                assert_eq!(rig.get(&format!("/r{}/Patient/well", round - 1)).await.status, 404);
            }
        }
        until("clients go on", async || answered.load(Ordering::Relaxed) > before + CLIENTS).await;
    }
    let (took, answered) = (begin.elapsed(), answered.load(Ordering::Relaxed));
    let knocked = knocked.load(Ordering::Relaxed);
    go_on.store(false, Ordering::Relaxed);
    let mut failures = Vec::new();
    for client in clients {
        failures.extend(client.await.unwrap());
    }
    for client in knocking {
        failures.extend(client.join().unwrap());
    }
    let answered = answered + knocked;
    let rate = answered as f64 / took.as_secs_f64();
    println!("{answered} connections at {rate:.0}/s; longest reload {:?}", switches.iter().max());
    assert!(failures.is_empty(), "{} of {answered}: {:?}", failures.len(), failures.first());
    assert_eq!(lines(&rig.gateway, "reloaded").len(), ROUNDS - ROUNDS / UPGRADE + 1);
}

#[tokio::test]
async fn whatever_is_wrong_the_old_state_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        std::fs::write(folder.path().join(name), content).unwrap();
        folder.path().join(name).display().to_string()
    };
    let certificate = write("broken.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n");
    let rig = rig(Change { tables: route("plain", "keep", ""), ..Change::default() }).await;
    let component = write("broken.wasm", b"no component");
    let module = write("module.wasm", b"\0asm\x01\0\0\0");
    let newer = write("newer.wasm", &of_another_version());
    let tls = format!("[server]\ntls = {{ certificate = \"{certificate}\", key = \"file:{certificate}\" }}");
    let version = rig.standin.base_url().replace("/fhir", "/r5");
    rig.standin.always("GET", "/r5/metadata", Answer::json(200, METADATA.replace("4.0.1", "5.0.0")));
    let file = rig.gateway.folder().join("fireguard.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    let plugin = good.lines().find(|line| line.starts_with("component")).unwrap();
    let newcomer = format!(
        "[upstreams.r5]\nurl = \"{version}\"\n[routes.r5]\npath = \"/r5\"\nupstream = \"r5\"\nauthentication = \"none\"\n"
    );
    for (case, bad, expected) in [
        ("syntax", good.replace("[routes.fhir]", "[routes.fhir"), "fireguard.toml:"),
        (
            "a name",
            good.replace(
                "upstream = \"hapi\"\nauthentication = \"none\"",
                "upstream = \"hapy\"\nauthentication = \"none\"",
            ),
            "did you mean",
        ),
        ("a plugin", good.replace(plugin, &format!("component = \"{component}\"")), "plugin plain"),
        (
            "no component",
            good.replace(plugin, &format!("component = \"{module}\"")),
            "build it for the target wasm32-wasip2",
        ),
        (
            "another contract",
            good.replace(plugin, &format!("component = \"{newer}\"")),
            "built for version 0.9.0 of the plugin contract; this host serves 0.1.0",
        ),
        (
            "another component",
            good.replace(plugin, &format!("{plugin}\ndigest = \"sha256:{}\"", "0".repeat(64))),
            "the configuration says sha256:000",
        ),
        (
            "a missing grant",
            good.replace("act = \"keep\"", "needs = [\"pseudonym\"]"),
            "grant it by [plugins.plain.grants.pseudonym]",
        ),
        (
            "a plan",
            good.replace("act = \"keep\"", "interactions = [\"raed\"]"),
            "interests/0: \"raed\" is no interaction",
        ),
        (
            "a trap",
            good.replace("act = \"keep\"", "configure = \"panic\""),
            "the plugin failed while it was being configured",
        ),
        ("a plugin's settings", good.replace("act = \"keep\"", "configure = \"problems\""), "plugin plain"),
        ("a certificate", good.replace("[server]", &tls), "the certificate file holds no PEM certificate"),
        ("another port", good.replacen("127.0.0.1:0", "127.0.0.1:1", 1), "server.listen cannot be changed"),
        ("another version", format!("{good}\n{newcomer}"), "FHIR 5.0.0"),
    ] {
        // With what is wrong comes something right, which must not be taken either.
        let bad = bad.replace("path = \"/plain\"", "path = \"/other\"");
        let reply = reload(&rig, |_| bad).await;
        assert!(reply.status == 422 && reply.text().contains(expected), "{case}: {}", reply.text());
        let of_plugin =
            !["syntax", "a name", "a certificate", "another port", "another version"].contains(&case);
        assert!(!of_plugin || reply.text().contains("plugin plain"), "{case}: {}", reply.text());
        for (target, status) in [(TARGET, 200), ("/plain/Patient/well", 200), ("/other/Patient/well", 404)] {
            assert_eq!(rig.get(target).await.status, status, "{case}: {target}");
        }
        assert_eq!(admin(&rig, Ask::get("/ready")).await.status, 200, "{case}");
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(admin(&rig, Ask::new("POST", "/reload")).await.status, 422, "no file");
    std::fs::write(&file, &good).unwrap();
    rig.gateway.hang_up();
    until("a reload by signal", async || lines(&rig.gateway, "reloaded").len() == 1).await;
    assert_eq!(lines(&rig.gateway, "reloaded")[0]["plugins"], "", "nothing has changed");
    assert_eq!(lines(&rig.gateway, "not reloaded: everything stays as it was").len(), 14);
    let metrics = rig.metrics().await;
    for counted in ["{outcome=\"applied\"} 1", "{outcome=\"refused\"} 14"] {
        assert!(metrics.contains(&format!("fireguard_reloads_total{counted}")), "{metrics}");
    }
}

/// The guest as if it were built for a later contract.
fn of_another_version() -> Vec<u8> {
    let mut component = std::fs::read(guest::component()).unwrap();
    let served = b"@0.1.0";
    for at in 0..component.len() - served.len() {
        if component[at..].starts_with(served) {
            component[at..at + served.len()].copy_from_slice(b"@0.9.0");
        }
    }
    component
}

/// Only what changes is loaded anew; and who asks while it changes is answered by what there was when it asked.
#[tokio::test]
async fn what_stays_is_kept() {
    let tables = [route("kept", "keep", ""), route("changed", "keep", "")].concat();
    let limited = "[routes.limited]\npath = \"/limited\"\nupstream = \"hapi\"\nauthentication = \"none\"\nrate = { per_second = 0.001, burst = 1 }\n";
    let rig = rig(Change { tables: tables + limited, ..Change::default() }).await;
    assert_eq!(rig.get("/limited/Patient/well").await.status, 200);
    let gate = Gate::new();
    rig.standin.always("GET", "/fhir/Patient/slow", Answer::json(200, WELL).after(&gate));
    let slow = rig.get("/changed/Patient/slow");
    let change = async {
        let arrived = |r: &[Received]| r.iter().any(|r| r.path() == "/fhir/Patient/slow");
        assert!(rig.standin.received(arrived).await);
        let changed = |text: String| {
            let (before, after) = text.split_once("[routes.changed]").unwrap();
            format!("{before}[routes.changed]{}", after.replacen("\"keep\"", "\"drop\"", 1))
        };
        let reply = reload(&rig, changed).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "reloaded: plugins.changed.settings.act\n"));
        assert_eq!(rig.get("/changed/Patient/well").await.status, 404, "dropped by the new plugin");
        gate.open();
    };
    let (slow, ()) = tokio::join!(slow, change);
    assert_eq!((slow.status, slow.text().as_str()), (200, WELL));
    assert_eq!(lines(&rig.gateway, "reloaded")[0]["plugins"], "changed");
    assert_eq!(rig.get("/limited/Patient/well").await.status, 429, "what was counted is kept");
}

/// While a plugin is loaded anew, again and again, every request is answered by one or the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_is_reloaded_without_a_failed_request() {
    let says = |n: usize| format!("act = \"append\", text = ',\"n\":{n}'");
    let tables = phases::route("p", "read_only = true", &[("p", &says(0), "")]);
    let rig = Arc::new(rig(Change { tables, ..Change::default() }).await);
    rig.standin.always("GET", "/fhir/Patient/well", Answer::json(200, WELL));
    let (go_on, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (rig, go_on, asked) = (Arc::clone(&rig), Arc::clone(&go_on), Arc::clone(&asked));
            tokio::spawn(async move {
                let mut last = 0;
                while go_on.load(Ordering::Relaxed) {
                    let reply = rig.get("/p/Patient/well").await;
                    assert_eq!((reply.status, reply.whole), (200, true), "{reply:?}");
                    let n = reply.json()["n"].as_u64().unwrap();
                    assert!(n >= last, "{n} after {last}");
                    last = n;
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for n in 1..=5 {
        let before = asked.load(Ordering::Relaxed);
        until("requests go on", async || asked.load(Ordering::Relaxed) > before).await;
        let broken = reload(&rig, |text| text.replace(&says(n - 1), "configure = \"problems\"")).await;
        assert_eq!(broken.status, 422, "{}", broken.text());
        let reply = reload(&rig, |text| text.replace("configure = \"problems\"", &says(n))).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "reloaded: plugins.p.settings.text\n"));
        assert_eq!(rig.get("/p/Patient/well").await.json()["n"], n, "who asks after it gets the new one");
    }
    go_on.store(false, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn new_connections_get_the_new_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let make = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.path().join("server.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("server.key"), made.signing_key.serialize_pem()).unwrap();
        reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap()
    };
    let first = make();
    let path = folder.path().display();
    let server = format!("tls = {{ certificate = \"{path}/server.pem\", key = \"file:{path}/server.key\" }}");
    let rig = rig(Change { server, ..Change::default() }).await;
    let address: SocketAddr = rig.gateway.listen().parse().unwrap();
    let url = format!("https://localhost:{}{TARGET}", address.port());
    let trusting = |root: &reqwest::Certificate| {
        let builder = reqwest::Client::builder().tls_certs_only([root.clone()]).resolve("localhost", address);
        builder.build().unwrap()
    };
    let old = trusting(&first);
    assert_eq!(old.get(&url).send().await.unwrap().text().await.unwrap(), WELL);
    let second = make();
    let reply = reload(&rig, |text| text).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "reloaded: server.tls\n"));
    assert_eq!(trusting(&second).get(&url).send().await.unwrap().status(), 200);
    assert!(trusting(&first).get(&url).send().await.is_err(), "the old certificate is served");
    assert_eq!(old.get(&url).send().await.unwrap().status(), 200, "a connection that was there goes on");
}

/// Whoever starts with a folder for it compiles a plugin once.
#[tokio::test]
async fn compiled_plugins_stay_in_their_folder() {
    let folder = tempfile::tempdir().unwrap();
    let server = format!("cache = \"{}\"", folder.path().join("made/at/need").display());
    let compiled = || {
        let files = std::fs::read_dir(folder.path().join("made/at/need")).unwrap();
        let mut found: Vec<_> = files
            .map(|file| {
                (file.as_ref().unwrap().file_name(), file.unwrap().metadata().unwrap().modified().unwrap())
            })
            .collect();
        found.sort();
        found
    };
    let change = Change { server, tables: route("plain", "keep", ""), ..Change::default() };
    let first = rig(change.clone()).await;
    let kept = compiled();
    // The component, and what its settings made of it.
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept.iter().all(|(name, _)| name.to_string_lossy().ends_with(".cwasm")), "{kept:?}");
    drop(first);
    let second = rig(change.clone()).await;
    assert_eq!(second.get("/plain/Patient/well").await.status, 200);
    assert_eq!(compiled(), kept, "compiled again");
    drop(second);
    // A damaged file is told, with the plugin's name, and replaced.
    let (damaged, _) = &kept[0];
    let path = folder.path().join("made/at/need").join(damaged);
    let sound = std::fs::read(&path).unwrap();
    std::fs::write(&path, &sound[..sound.len() / 2]).unwrap();
    let third = rig(change).await;
    assert_eq!(third.get("/plain/Patient/well").await.status, 200);
    let said = "the cached plugin is damaged; compiling it again";
    until("the log", async || !lines(&third.gateway, said).is_empty()).await;
    assert_eq!(lines(&third.gateway, said)[0]["plugin"], "plain");
    assert!(std::fs::read(&path).unwrap() != sound[..sound.len() / 2], "it is replaced");
}
