//! Requests that Fireguard accepts, however they are framed, are understood by HAPI's own Tomcat as Fireguard has
//! understood them: what it sent is recorded on its way, and sent to Tomcat once more.

use std::mem::take;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use fireguard_test_support::hapi::Hapi;

use crate::common::raw::{PATIENCE, connect, status};
use crate::common::world::{client, config, gateway, hidden};

/// Stands between Fireguard and HAPI, and keeps what goes to HAPI, by connection.
#[derive(Clone)]
struct Relay {
    address: String,
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Relay {
    async fn start(to: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let relay = Self { address, sent: Arc::default() };
        let accepting = relay.clone();
        tokio::spawn(async move {
            while let Ok((inward, _)) = listener.accept().await {
                let outward = TcpStream::connect(&to).await.unwrap();
                accepting.sent.lock().unwrap().push(Vec::new());
                let number = accepting.sent.lock().unwrap().len() - 1;
                let (mut from_client, mut to_client) = inward.into_split();
                let (mut from_server, mut to_server) = outward.into_split();
                let sent = Arc::clone(&accepting.sent);
                tokio::spawn(async move {
                    let mut buffer = [0; 16 << 10];
                    while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
                        sent.lock().unwrap()[number].extend_from_slice(&buffer[..read]);
                        if to_server.write_all(&buffer[..read]).await.is_err() {
                            break;
                        }
                    }
                });
                tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            }
        });
        relay
    }

    /// What was sent since this was asked before, on each connection that was used.
    fn take(&self) -> Vec<Vec<u8>> {
        let mut sent = self.sent.lock().unwrap();
        sent.iter_mut().map(take).filter(|bytes| !bytes.is_empty()).collect()
    }
}

/// What ends a connection, if nothing before it has: a request for what is not there.
const LAST: &[u8] = b"GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// Sends these bytes and a last request, and reads until the connection ends.
async fn exchange(address: &str, bytes: &[u8]) -> String {
    let mut stream = connect(address, None).await;
    stream.write_all(&[bytes, LAST].concat()).await.unwrap();
    let mut received = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut received)).await.expect("an answer in time").unwrap();
    String::from_utf8_lossy(&received).into_owned()
}

fn statuses(answers: &str) -> Vec<u16> {
    let heads = answers.match_indices("HTTP/1.").map(|(at, _)| status(&answers[at..]));
    // An interim answer is none, nor what a body quotes.
    heads.filter(|status| *status > 100).collect()
}

/// A body in chunks of so many bytes, their sizes as this writes them.
fn chunks(body: &str, size: usize, write: impl Fn(usize) -> String, line: &str, trailer: &str) -> String {
    let mut framed = String::new();
    for piece in body.as_bytes().chunks(size) {
        framed += &format!("{}{line}{}{line}", write(piece.len()), std::str::from_utf8(piece).unwrap());
    }
    framed + &format!("0{line}{trailer}{line}")
}

#[tokio::test]
async fn whatever_is_accepted_is_understood_by_tomcat_alike() {
    let hapi = Hapi::shared().await.expect("a HAPI");
    let tomcat = hidden(hapi.base_url()).to_owned();
    let relay = Relay::start(tomcat.clone()).await;
    let before = gateway(&config(""), &hapi.base_url().replace(&tomcat, &relay.address)).await;
    let address = before.listen().to_owned();
    let ready = format!("{}/ready", before.admin_url());
    let client = client();
    let begin = std::time::Instant::now();
    while !client.get(&ready).send().await.is_ok_and(|answer| answer.status() == 200) {
        assert!(begin.elapsed() < PATIENCE, "Fireguard is not ready");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    relay.take();

    let hex = |n: usize| format!("{n:x}");
    let (crlf, lf) = ("\r\n", "\n");
    // The second hides a request in its text.
    let texts = ["plain", "GET /fhir/Patient/hidden HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n0\\r\\n\\r\\n"];
    let mut number = 0;
    for text in texts {
        let body =
            |id: &str| format!(r#"{{"resourceType":"Patient","id":"{id}","name":[{{"family":"{text}"}}]}}"#);
        let length = |id: &str| body(id).len();
        let put = |line: &str, headers: &str, framed: String| {
            let headers = headers.replace('|', "\r\n");
            format!("{line}\r\nHost: a\r\nContent-Type: application/fhir+json\r\n{headers}\r\n\r\n{framed}")
        };
        let chunked = "Transfer-Encoding: chunked";
        type Case<'a> = (&'a str, Box<dyn Fn(&str) -> String + 'a>);
        let line = |id: &str| format!("PUT /fhir/Patient/{id} HTTP/1.1");
        let cases: Vec<Case<'_>> = vec![
            ("a length", Box::new(|id| put(&line(id), &format!("Content-Length: {}", length(id)), body(id)))),
            (
                "a length with zeros",
                Box::new(|id| put(&line(id), &format!("Content-Length: 000{}", length(id)), body(id))),
            ),
            (
                "a length in odd letters",
                Box::new(|id| put(&line(id), &format!("cOnTeNt-LeNgTh:\t {} ", length(id)), body(id))),
            ),
            ("one chunk", Box::new(|id| put(&line(id), chunked, chunks(&body(id), 9999, hex, crlf, "")))),
            ("chunks of a byte", Box::new(|id| put(&line(id), chunked, chunks(&body(id), 1, hex, crlf, "")))),
            (
                "sizes in capitals, with zeros",
                Box::new(|id| {
                    put(&line(id), chunked, chunks(&body(id), 30, |n| format!("000{n:X}"), crlf, ""))
                }),
            ),
            (
                "chunk extensions",
                Box::new(|id| {
                    put(&line(id), chunked, chunks(&body(id), 20, |n| format!("{n:x};a=b;c=\"d\""), crlf, ""))
                }),
            ),
            (
                "trailers",
                Box::new(|id| {
                    let trailers = "Content-Length: 3\r\nX-Cascade: delete\r\n";
                    put(
                        &line(id),
                        &format!("Trailer: Content-Length|{chunked}"),
                        chunks(&body(id), 40, hex, crlf, trailers),
                    )
                }),
            ),
            (
                "the coding in capitals",
                Box::new(|id| {
                    put(&line(id), "TRANSFER-ENCODING: CHUNKED", chunks(&body(id), 50, hex, crlf, ""))
                }),
            ),
            (
                "lines that end in LF",
                Box::new(|id| {
                    put(&line(id), &format!("Content-Length: {}", length(id)), String::new())
                        .replace(crlf, lf)
                        + &body(id)
                }),
            ),
            (
                "empty lines before",
                Box::new(|id| {
                    put(
                        &format!("\r\n\r\n{}", line(id)),
                        &format!("Content-Length: {}", length(id)),
                        body(id),
                    )
                }),
            ),
            (
                "an absolute target",
                Box::new(|id| {
                    let line = format!("PUT http://a/fhir/Patient/{id} HTTP/1.1");
                    put(&line, &format!("Content-Length: {}", length(id)), body(id))
                }),
            ),
            (
                "HTTP/1.0",
                Box::new(|id| {
                    let line = format!("PUT /fhir/Patient/{id} HTTP/1.0");
                    put(&line, &format!("Content-Length: {}", length(id)), body(id))
                }),
            ),
            (
                "an offer of another protocol",
                Box::new(|id| {
                    let headers =
                        "Connection: Upgrade, HTTP2-Settings|Upgrade: h2c|HTTP2-Settings: AAMAAABkAAQ";
                    put(&line(id), &format!("{headers}|Content-Length: {}", length(id)), body(id))
                }),
            ),
            (
                "headers that Connection names",
                Box::new(|id| {
                    let headers = "Connection: close, X-Request-Id, X-A|TE: trailers|Keep-Alive: 5";
                    put(&line(id), &format!("{headers}|Content-Length: {}", length(id)), body(id))
                }),
            ),
            (
                "a body that is asked for",
                Box::new(|id| {
                    put(&line(id), &format!("Expect: 100-continue|Content-Length: {}", length(id)), body(id))
                }),
            ),
        ];
        let mut pipelined = String::new();
        let mut waiting = Vec::new();
        for (case, request) in &cases {
            number += 1;
            let id = format!("zq-framing-{number}");
            understood(&relay, (&address, &tomcat), case, &request(&id), &[201]).await;
            stored(&client, hapi.base_url(), &id, text, case).await;
            if !matches!(*case, "HTTP/1.0" | "headers that Connection names") {
                let next = format!("zq-framing-next-{number}");
                pipelined += &request(&next);
                waiting.push(next);
            }
        }
        // All on one connection, one after the other, before the first is answered.
        understood(&relay, (&address, &tomcat), "pipelined", &pipelined, &vec![201; waiting.len()]).await;
        for id in waiting {
            stored(&client, hapi.base_url(), &id, text, "pipelined").await;
        }
    }
    let hidden = client.get(format!("{}/Patient/hidden", hapi.base_url())).send().await.unwrap();
    assert_eq!(hidden.status(), 404);
}

/// Fireguard answers so; and what it sent is to Tomcat as many requests, which change nothing any more.
async fn understood(
    relay: &Relay,
    (fireguard, tomcat): (&str, &str),
    case: &str,
    sent: &str,
    expected: &[u16],
) {
    let answers = exchange(fireguard, sent.as_bytes()).await;
    let (mut found, closes) = (statuses(&answers), ["HTTP/1.0", "headers that Connection names"]);
    assert_eq!(found.pop_if(|last| *last == 404).is_some(), !closes.contains(&case), "{case}: {answers}");
    assert_eq!(found, expected, "{case}: {answers}");
    let mut again = Vec::new();
    for bytes in relay.take() {
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("PUT /fhir/Patient/zq-framing-"), "{case}: {text}");
        let head = text.split("\r\n\r\n").next().unwrap_or_default().to_ascii_lowercase();
        assert!(
            head.contains("content-length: ") != head.contains("transfer-encoding: chunked"),
            "{case}: {head}"
        );
        let mut found = statuses(&exchange(tomcat, &bytes).await);
        assert_eq!(found.pop(), Some(404), "{case}: the last request is not the last");
        again.extend(found);
    }
    assert_eq!(again, vec![200; expected.len()], "{case}: Tomcat reads it otherwise");
}

/// HAPI has this resource as it was meant, and once: a body that differed would have made another version.
async fn stored(client: &reqwest::Client, base: &str, id: &str, text: &str, case: &str) {
    let answer = client.get(format!("{base}/Patient/{id}")).send().await.unwrap();
    let patient: Value = answer.json().await.unwrap();
    let expected = text.replace("\\r", "\r").replace("\\n", "\n");
    assert_eq!(patient["name"][0]["family"], expected.as_str(), "{case}: {patient}");
    assert_eq!(patient["meta"]["versionId"], "1", "{case}: {patient}");
}
