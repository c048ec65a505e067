//! What can be answered, and how badly.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

/// One scripted answer. The constructors say what it is; the methods after them spoil it.
#[derive(Debug, Clone)]
pub struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
    pub(super) framing: Framing,
    /// Whether to answer before the request's body has been read, which is then left unread.
    pub(super) early: bool,
    pub(super) delay: Duration,
    pub(super) gate: Option<Gate>,
    pub(super) drip: Option<(usize, Duration)>,
    pub(super) end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    ContentLength,
    Chunked,
    /// The end of the connection is the end of the body.
    UntilClose,
    /// The body holds everything that is sent, the head too.
    Raw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The connection serves further requests.
    KeepAlive,
    /// The connection is closed after the whole answer, whatever the head said.
    Close,
    /// After so many bytes of the body the connection is closed, or reset.
    Cut { after: usize, reset: bool },
    /// Nothing is sent.
    Nothing { reset: bool },
    /// Nothing is sent and the connection stays open until the other side gives up.
    Silence,
}

impl Answer {
    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
            framing: Framing::ContentLength,
            early: false,
            delay: Duration::ZERO,
            gate: None,
            drip: None,
            end: End::KeepAlive,
        }
    }

    /// A FHIR JSON body.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        let answer = Self::status(status).header("Content-Type", "application/fhir+json;charset=UTF-8");
        answer.body(body.into())
    }

    /// An OperationOutcome with one error of this IssueType code.
    pub fn outcome(status: u16, code: &str) -> Self {
        let issue = serde_json::json!([{"severity": "error", "code": code, "diagnostics": "scripted"}]);
        let outcome = serde_json::json!({"resourceType": "OperationOutcome", "issue": issue});
        Self::json(status, outcome.to_string())
    }

    /// An HTML body, as servlet containers and load balancers answer.
    pub fn html(status: u16, body: &str) -> Self {
        Self::status(status).header("Content-Type", "text/html;charset=utf-8").body(body.to_owned())
    }

    /// A Binary resource of a little more than `bytes` bytes, for limits and streaming.
    pub fn binary(bytes: usize) -> Self {
        let mut body = String::with_capacity(bytes + 100);
        body.push_str(r#"{"resourceType":"Binary","contentType":"application/octet-stream","data":""#);
        // Base64 comes in groups of four.
        body.extend(std::iter::repeat_n('A', bytes.next_multiple_of(4)));
        body.push_str("\"}");
        Self::json(200, body)
    }

    /// These bytes as they are, head included; the connection stays open unless [`Answer::closing`].
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self { framing: Framing::Raw, ..Self::status(200).body(bytes) }
    }

    /// No answer: the connection is reset (RST).
    pub fn reset() -> Self {
        Self { end: End::Nothing { reset: true }, ..Self::status(0) }
    }

    /// No answer: the connection is closed (FIN).
    pub fn close() -> Self {
        Self { end: End::Nothing { reset: false }, ..Self::status(0) }
    }

    /// No answer: the connection stays open until the other side gives up.
    pub fn silence() -> Self {
        Self { end: End::Silence, ..Self::status(0) }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body's bytes.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the body with `Transfer-Encoding: chunked`, as HAPI does.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.framing = Framing::Chunked;
        self
    }

    /// Sends the body without a length; the end of the connection is its end.
    #[must_use]
    pub fn until_close(mut self) -> Self {
        self.framing = Framing::UntilClose;
        self.closing()
    }

    /// Closes the connection after the answer without having announced it, so that it dies in the
    /// other side's pool. With `header("Connection", "close")` it is announced.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.end = End::Close;
        self
    }

    /// Closes the connection (FIN) after so many bytes of the body, when the head has promised all.
    #[must_use]
    pub fn cut(mut self, after: usize) -> Self {
        self.end = End::Cut { after, reset: false };
        self
    }

    /// As [`Answer::cut`], with a reset (RST).
    #[must_use]
    pub fn cut_by_reset(mut self, after: usize) -> Self {
        self.end = End::Cut { after, reset: true };
        self
    }

    /// Waits before anything is sent.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Waits for the gate before anything is sent.
    #[must_use]
    pub fn after(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Sends the body in pieces of `bytes` with a pause after each.
    #[must_use]
    pub fn drip(mut self, bytes: usize, pause: Duration) -> Self {
        self.drip = Some((bytes.max(1), pause));
        self
    }

    /// Answers as soon as the head has come, leaves the request's body unread, and closes.
    #[must_use]
    pub fn early(mut self) -> Self {
        self.early = true;
        self.closing()
    }
}

/// Holds answers back until a test opens it, so that order does not depend on the clock.
#[derive(Debug, Clone)]
pub struct Gate {
    open: watch::Sender<bool>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { open: watch::Sender::new(false) }
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets every answer pass, those that wait and those to come.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    pub(super) async fn passed(&self) {
        // The sender is in `self`, so the wait cannot fail.
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }
}
