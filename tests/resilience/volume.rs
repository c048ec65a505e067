//! Much at once: a gigabyte each way, ten thousand connections that rest, a thousand that trickle. Memory is what the
//! kernel counts as the process's own (PSS), and it is asked for meanwhile, not only at the end.
//!
//! What both sides send is made as it is sent; nobody holds it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::rig::{Change, Rig, WELL, before};

const PATIENCE: Duration = Duration::from_secs(120);
const GIB: u64 = 1 << 30;
/// Of a Bundle, which takes an unoptimised Fireguard a minute; all of it with `FIREGUARD_LONG` in the environment.
fn bundle_bytes() -> u64 {
    if std::env::var_os("FIREGUARD_LONG").is_some() { GIB } else { GIB / 4 }
}

/// What buffers and allocators may take while a gigabyte passes.
const FLAT_KIB: u64 = 32 << 10;

/// A FHIR server that throws bodies away and makes up answers as long as the path says.
struct Sink {
    url: String,
    received: Arc<AtomicU64>,
}

impl Sink {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/fhir", listener.local_addr().unwrap());
        let received = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&count)));
            }
        });
        Self { url, received }
    }
}

/// Serves one request after the other, with chunked bodies both ways.
async fn serve(mut stream: TcpStream, received: Arc<AtomicU64>) {
    let mut buffer = vec![0; 256 << 10];
    loop {
        let (mut head, mut rest) = (Vec::new(), Vec::new());
        while rest.is_empty() && !head.ends_with(b"\r\n\r\n") {
            let Ok(read @ 1..) = stream.read(&mut buffer).await else { return };
            head.extend_from_slice(&buffer[..read]);
            if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
                rest = head.split_off(end + 4);
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            // The last chunk can only stand at the end: nothing is sent after it before the answer.
            let mut total = rest.len() as u64;
            while !rest.ends_with(b"0\r\n\r\n") {
                let Ok(read @ 1..) = stream.read(&mut buffer).await else { return };
                total += read as u64;
                rest.extend_from_slice(&buffer[read.saturating_sub(5)..read]);
                rest.drain(..rest.len().saturating_sub(5));
            }
            received.fetch_add(total, Ordering::Relaxed);
        }
        let target = head.split(' ').nth(1).unwrap_or_default();
        let answered = match target.rsplit('/').next() {
            Some("raw") => {
                send(&mut stream, "application/octet-stream", b"", &[0x5a; 64 << 10], b"", GIB).await
            }
            Some("json") => {
                let before = br#"{"resourceType":"Binary","data":""#;
                send(&mut stream, "application/fhir+json", before, &[b'A'; 64 << 10], b"\"}", GIB).await
            }
            Some("bundle") => {
                let before = br#"{"resourceType":"Bundle","type":"searchset","entry":[{}"#;
                send(
                    &mut stream,
                    "application/fhir+json",
                    before,
                    entries().as_bytes(),
                    b"]}",
                    bundle_bytes(),
                )
                .await
            }
            Some("metadata") => {
                let answer = r#"{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1"}"#;
                answer_with(&mut stream, answer).await
            }
            _ => answer_with(&mut stream, WELL).await,
        };
        if answered.is_err() {
            return;
        }
    }
}

/// About 64 KiB of entries.
fn entries() -> String {
    let mut text = String::new();
    while text.len() < 64 << 10 {
        let number = text.len();
        let _ = write!(
            text,
            r#",{{"fullUrl":"http://other.example/fhir/Observation/{number}","resource":{{"resourceType":"Observation","id":"{number}","status":"final","code":{{"text":"much"}}}}}}"#
        );
    }
    text
}

async fn answer_with(stream: &mut TcpStream, json: &str) -> std::io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length";
    stream.write_all(format!("{head}: {}\r\n\r\n{json}", json.len()).as_bytes()).await
}

/// So many bytes in pieces, between what stands before and after them.
async fn send(
    stream: &mut TcpStream,
    media_type: &str,
    before: &[u8],
    piece: &[u8],
    after: &[u8],
    bytes: u64,
) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nTransfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let chunk = |data: &[u8]| [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat();
    if !before.is_empty() {
        stream.write_all(&chunk(before)).await?;
    }
    let framed = chunk(piece);
    for _ in 0..pieces(piece, bytes) {
        stream.write_all(&framed).await?;
    }
    if !after.is_empty() {
        stream.write_all(&chunk(after)).await?;
    }
    stream.write_all(b"0\r\n\r\n").await
}

fn pieces(piece: &[u8], bytes: u64) -> u64 {
    bytes.div_ceil(piece.len() as u64)
}

/// The memory of a process in KiB: its own, and its share of what it has with others.
fn pss(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Runs `work`, and tells by how much the memory of a process grew at the most, in KiB.
pub(crate) async fn growth<T>(pid: u32, work: impl Future<Output = T>) -> (T, u64) {
    let (before, mut most) = (pss(pid), 0);
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return (done, most.max(pss(pid)).saturating_sub(before)),
            () = tokio::time::sleep(Duration::from_millis(50)) => most = most.max(pss(pid)),
        }
    }
}

/// Reads an answer to the end of its connection: its first bytes, its last, and how many there were.
async fn read_all(stream: &mut TcpStream) -> (String, Vec<u8>, u64) {
    let (mut first, mut last, mut total) = (Vec::new(), Vec::new(), 0);
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
        if read == 0 {
            return (String::from_utf8_lossy(&first).into_owned(), last, total);
        }
        if first.len() < 400 {
            first.extend_from_slice(&buffer[..read.min(400)]);
        }
        last.extend_from_slice(&buffer[read.saturating_sub(16)..read]);
        last.drain(..last.len().saturating_sub(16));
        total += read as u64;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gigabyte_passes_each_way_in_flat_memory() {
    let sink = Sink::start().await;
    let change = Change {
        server: "workers = 1".to_owned(),
        limits: "request_body = \"2GiB\"\nreplay = \"8MiB\"".to_owned(),
        ..Change::default()
    };
    let gateway = before(&sink.url, &change).await;
    let (address, pid) = (gateway.listen().to_owned(), gateway.pid());
    // What is made once is made now.
    for target in ["Binary/well", "Patient/well"] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let get = format!("GET /fhir/{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(get.as_bytes()).await.unwrap();
        read_all(&mut stream).await;
    }
    for (case, target, accept, bytes) in [
        ("a file", "Binary/raw", "application/octet-stream", GIB),
        ("a resource", "Binary/json", "application/fhir+json", GIB),
        ("a Bundle", "Observation/bundle", "application/fhir+json", bundle_bytes()),
    ] {
        let get = format!(
            "GET /fhir/{target} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        );
        let begin = Instant::now();
        let work = async {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.write_all(get.as_bytes()).await.unwrap();
            read_all(&mut stream).await
        };
        let ((first, last, total), grown) = growth(pid, work).await;
        println!("{case}, down: {total} bytes in {:?}, {grown} KiB more at the most", begin.elapsed());
        assert!(first.starts_with("HTTP/1.1 200 "), "{case}: {first}");
        assert!(last.ends_with(b"\r\n0\r\n\r\n"), "{case}: it broke off");
        assert!(total > bytes, "{case}: {total}");
        assert!(grown < FLAT_KIB, "{case}: {grown} KiB more");
    }
    let piece = vec![b'A'; 64 << 10];
    for (case, media_type, begin, end) in [
        ("a file", "application/octet-stream", &b""[..], &b""[..]),
        ("a resource", "application/fhir+json", &br#"{"resourceType":"Binary","data":""#[..], &b"\"}"[..]),
    ] {
        let received = sink.received.load(Ordering::Relaxed);
        let length = pieces(&piece, GIB) * piece.len() as u64 + (begin.len() + end.len()) as u64;
        let head = format!(
            "POST /fhir/Binary HTTP/1.1\r\nHost: x\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        let began = Instant::now();
        let work = async {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.write_all(&[head.as_bytes(), begin].concat()).await.unwrap();
            for _ in 0..pieces(&piece, GIB) {
                stream.write_all(&piece).await.unwrap();
            }
            stream.write_all(end).await.unwrap();
            read_all(&mut stream).await
        };
        let ((first, ..), grown) = growth(pid, work).await;
        let passed = sink.received.load(Ordering::Relaxed) - received;
        println!("{case}, up: {passed} bytes in {:?}, {grown} KiB more at the most", began.elapsed());
        assert!(first.starts_with("HTTP/1.1 200 "), "{case}: {first}");
        assert!(passed > GIB, "{case}: {passed} bytes arrived");
        assert!(grown < FLAT_KIB, "{case}: {grown} KiB more");
    }
}

/// Raises this process's own limit. None: there may not be so many.
fn files(wanted: u64) -> Option<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).ok()?;
    maximum.is_none_or(|most| most >= wanted).then_some(())
}

/// A connection on which one request was answered, and that may stay.
async fn resting(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    ask(&mut stream).await;
    stream
}

async fn ask(stream: &mut TcpStream) {
    stream.write_all(b"GET /fhir/Patient/well HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let (mut received, mut buffer) = (Vec::new(), [0; 2048]);
    while !received.ends_with(b"}") {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(read > 0, "the connection ended");
        received.extend_from_slice(&buffer[..read]);
    }
    assert!(received.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&received));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connections_rest_and_wake() {
    const MANY: usize = 10_000;
    /// Of each connection that rests: its buffers, its task, its timers. About 36 KiB unoptimised.
    const EACH_KIB: u64 = 64;
    if files(MANY as u64 + 1000).is_none() {
        return println!("skipped: there may not be {MANY} open files (ulimit -Hn)");
    }
    let limits = "client_idle = \"10m\"".to_owned();
    let rig = Rig::with(Change { server: "workers = 2".to_owned(), limits, ..Change::default() }).await;
    rig.standin.always("GET", "/fhir/Patient/well", fireguard_test_support::standin::Answer::json(200, WELL));
    let (address, pid) = (rig.gateway.listen().to_owned(), rig.gateway.pid());
    let mut streams = Vec::with_capacity(MANY);
    streams.push(resting(&address).await);
    let (begin, empty) = (Instant::now(), pss(pid));
    while streams.len() < MANY {
        let more = 100.min(MANY - streams.len());
        let mut opening: FuturesUnordered<_> = (0..more).map(|_| resting(&address)).collect();
        while let Some(stream) = opening.next().await {
            streams.push(stream);
        }
    }
    let opened = begin.elapsed();
    let each = (pss(pid) - empty) * 1024 / MANY as u64;
    println!("{MANY} connections in {opened:?}, {each} bytes each");
    assert!(each < EACH_KIB << 10, "{each} bytes for each");
    // Others are served, and those that rested as well.
    rig.assert_serving().await;
    for stream in streams.iter_mut().step_by(97) {
        ask(stream).await;
    }
    drop(streams);
    rig.assert_serving().await;
}

/// Slow-loris: whoever sends its head byte by byte is let go when the time for a head is over, and nobody notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_trickle_keep_nobody_waiting() {
    const MANY: usize = 1000;
    if files(MANY as u64 + 1000).is_none() {
        return println!("skipped: there may not be {MANY} open files (ulimit -Hn)");
    }
    let rig = Rig::limited("client_head = \"2s\"").await;
    rig.standin.always("GET", "/fhir/Patient/well", fireguard_test_support::standin::Answer::json(200, WELL));
    let address = rig.gateway.listen().to_owned();
    let ended = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    for _ in 0..MANY {
        let (address, ended) = (address.clone(), Arc::clone(&ended));
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.write_all(b"GET /fhir/Patient/well HTTP/1.1\r\nHost: x\r\nX-A: ").await.unwrap();
            let mut byte = [0];
            loop {
                tokio::select! {
                    _ = stream.read(&mut byte) => break,
                    () = tokio::time::sleep(Duration::from_millis(100)) => {
                        if stream.write_all(b"a").await.is_err() {
                            break;
                        }
                    }
                }
            }
            ended.fetch_add(1, Ordering::Relaxed);
        });
    }
    let mut served = 0;
    while ended.load(Ordering::Relaxed) < MANY {
        rig.assert_serving().await;
        served += 1;
        assert!(began.elapsed() < PATIENCE, "{} are held", MANY - ended.load(Ordering::Relaxed));
    }
    println!("{MANY} trickling heads gone after {:?}, {served} requests served meanwhile", began.elapsed());
    assert!(served > 0 && began.elapsed() >= Duration::from_secs(2));
    let asked = rig.arrived().iter().filter(|r| r.path() == "/fhir/Patient/well").count();
    assert_eq!(asked, served, "none of theirs reached the server");
}
