//! HTTP/1.1 by hand: tests send what no library would, and see how an answer ended.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Far longer than anything here takes; a test that hangs should fail.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request to be sent on a connection of its own.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    head: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    chunked: bool,
}

/// An answer, and how it ended.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// Zero: there was no answer.
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// Without chunk framing.
    pub(crate) body: Vec<u8>,
    /// The framing says that this is all.
    pub(crate) whole: bool,
}

impl Ask {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        let head = format!("{method} {target} HTTP/1.1\r\n");
        Self { head, headers: Vec::new(), body: Vec::new(), chunked: false }
    }

    pub(crate) fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or_default()
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A FHIR JSON body.
    pub(crate) fn json(method: &str, target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new(method, target).header("Content-Type", "application/fhir+json").body(body)
    }

    /// A search by POST.
    pub(crate) fn form(target: &str, body: &str) -> Self {
        Self::new("POST", target).header("Content-Type", "application/x-www-form-urlencoded").body(body)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the body in chunks instead of announcing its length.
    pub(crate) fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Sends it and reads until the connection ends.
    pub(crate) async fn send(self, address: &str) -> Reply {
        let request = self.bytes(address);
        let received = tokio::time::timeout(PATIENCE, exchange(address, request)).await;
        Reply::read(&received.unwrap_or_else(|_| panic!("no answer within {PATIENCE:?}")))
    }

    fn bytes(&self, address: &str) -> Vec<u8> {
        let given = |wanted: &str| self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let mut head = self.head.clone();
        let mut add = |name: &str, value: &str| {
            head.push_str(&format!("{name}: {value}\r\n"));
        };
        if !given("host") {
            add("Host", address);
        }
        if !given("connection") {
            add("Connection", "close");
        }
        for (name, value) in &self.headers {
            add(name, value);
        }
        if self.chunked {
            add("Transfer-Encoding", "chunked");
        } else if !self.body.is_empty() {
            add("Content-Length", &self.body.len().to_string());
        }
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(b"\r\n");
        if self.chunked {
            for chunk in self.body.chunks(1000) {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        } else {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// Writes and reads at once: an answer may come before the request is through.
async fn exchange(address: &str, request: Vec<u8>) -> Vec<u8> {
    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    let writing = tokio::spawn(async move {
        // Whether the other side reads it all is its own affair.
        let _ = writer.write_all(&request).await;
        writer
    });
    let mut received = Vec::new();
    // A reset ends it like a close: what matters is whether the answer was whole.
    let _ = reader.read_to_end(&mut received).await;
    writing.abort();
    received
}

impl Reply {
    fn read(received: &[u8]) -> Self {
        let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else {
            assert!(received.is_empty(), "half a head: {}", String::from_utf8_lossy(received));
            return Self { status: 0, headers: Vec::new(), body: Vec::new(), whole: false };
        };
        let head = String::from_utf8(received[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut reply = Self { status, headers, body: Vec::new(), whole: false };
        let rest = &received[end + 4..];
        (reply.body, reply.whole) = if reply.header("transfer-encoding") == Some("chunked") {
            dechunked(rest)
        } else {
            let length: usize = reply.header("content-length").map_or(0, |value| value.parse().unwrap());
            (rest.to_vec(), rest.len() == length)
        };
        reply
    }

    /// The value of the first header of this name, given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(present, _)| present == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The code of its OperationOutcome, when that is all it is.
    pub(crate) fn code(&self) -> String {
        let outcome = self.json();
        assert_eq!(outcome["resourceType"], "OperationOutcome", "{self:?}");
        outcome["issue"][0]["code"].as_str().unwrap().to_owned()
    }

    /// What its OperationOutcome tells people.
    pub(crate) fn diagnostics(&self) -> String {
        self.json()["issue"][0]["diagnostics"].as_str().unwrap().to_owned()
    }

    /// It has this status, is whole, and is an OperationOutcome with this code, as every error of the proxy is.
    #[track_caller]
    pub(crate) fn assert_outcome(&self, status: u16, code: &str, case: &str) {
        assert_eq!((self.status, self.whole), (status, true), "{case}: {}", self.text());
        assert_eq!(self.code(), code, "{case}: {}", self.text());
        let content_type = self.header("content-type").unwrap();
        assert!(content_type.starts_with("application/fhir+json"), "{case}: {content_type}");
        let id = self.header("x-request-id").unwrap();
        assert!(self.diagnostics().ends_with(&format!("(request {id})")), "{case}: {}", self.text());
    }
}

/// The bytes of a chunked body, and whether its last chunk came.
fn dechunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else { return (body, false) };
        let size = std::str::from_utf8(&rest[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        rest = &rest[end + 2..];
        if size == 0 {
            return (body, rest == b"\r\n");
        }
        if rest.len() < size + 2 {
            body.extend_from_slice(&rest[..rest.len().min(size)]);
            return (body, false);
        }
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
}
