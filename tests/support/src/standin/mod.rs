//! A FHIR server that misbehaves on purpose, and remembers what it was sent.
//!
//! It speaks HTTP/1.1 by hand, because no HTTP library writes half an answer, resets a connection before
//! its head or closes one right after an answer; and because tests want to see the head as it came. It
//! differs from [`crate::hapi`] in that it stores nothing: every answer is scripted.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use fireguard_test_support::standin::{Answer, StandIn};
//! let standin = StandIn::start().await?;
//! standin.next("GET", "/fhir/Patient/1", [Answer::reset(), Answer::outcome(503, "transient").header("Retry-After", "1")]);
//! standin.always("GET", "/fhir/Patient/1", Answer::json(200, r#"{"resourceType":"Patient","id":"1"}"#));
//! // … two failures, then success at `standin.base_url()` …
//! assert_eq!(standin.requests().len(), 3);
//! # Ok(())
//! # }
//! ```

mod answer;
mod connection;
mod play;
mod receive;
mod script;
pub mod store;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

pub use answer::{Answer, Gate};
pub use receive::Received;
use script::Script;

/// A running stand-in. Dropping it ends its connections and frees its port.
#[derive(Debug)]
pub struct StandIn {
    address: SocketAddr,
    script: Arc<Script>,
    accepting: JoinHandle<()>,
}

impl StandIn {
    /// Listens on a free port of the loopback interface. Until told otherwise it answers
    /// `GET /fhir/metadata` with a CapabilityStatement for R4 and everything else with 404.
    ///
    /// # Errors
    /// No port can be opened.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let script = Arc::new(Script::default());
        let accepting = tokio::spawn(accept(listener, Arc::clone(&script)));
        let standin = Self { address, script, accepting };
        standin.always("GET", "/fhir/metadata", Answer::json(200, CAPABILITIES));
        Ok(standin)
    }

    /// The FHIR base without a slash at its end, such as `http://127.0.0.1:4711/fhir`.
    pub fn base_url(&self) -> String {
        format!("http://{}/fhir", self.address)
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on answers requests of this method (`*` is any) and path in this way, whenever nothing is
    /// queued for them. The path is compared as sent, without the query; `/fhir/*` is everything under
    /// `/fhir/`. The latest rule that fits wins.
    pub fn always(&self, method: &str, path: &str, answer: Answer) {
        self.script.set(method, path, answer);
    }

    /// Queues answers, each given once and in order, for requests of this method and path (as in
    /// [`StandIn::always`]).
    pub fn next(&self, method: &str, path: &str, answers: impl IntoIterator<Item = Answer>) {
        self.script.queue(method, path, answers);
    }

    /// Every request whose head was received, in order, `metadata` included.
    pub fn requests(&self) -> Vec<Received> {
        self.script.requests()
    }

    /// The requests of this method (`*` is any) and path, as in [`StandIn::always`].
    pub fn requests_to(&self, method: &str, path: &str) -> Vec<Received> {
        let mut requests = self.script.requests();
        requests.retain(|request| script::fits(method, path, &request.method, request.path()));
        requests
    }

    /// The largest number of requests that were being served at the same time.
    pub fn most_in_flight(&self) -> usize {
        self.script.most_in_flight()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.script.connections()
    }

    /// Waits until what was received satisfies the condition; false: it did not within ten seconds.
    pub async fn received(&self, condition: impl Fn(&[Received]) -> bool) -> bool {
        let mut changes = self.script.changes();
        let wait = async {
            while !condition(&self.script.requests()) {
                if changes.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap_or(false)
    }

    /// Ends all connections and frees the port before it returns.
    pub async fn stop(mut self) {
        self.accepting.abort();
        // Ends with the error that says it was aborted.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, script: Arc<Script>) {
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(connection::serve(stream, Arc::clone(&script)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

const CAPABILITIES: &str = r#"{"resourceType":"CapabilityStatement","status":"active","date":"2026-01-01","kind":"instance","fhirVersion":"4.0.1","format":["application/fhir+json"],"rest":[{"mode":"server"}]}"#;
