//! What goes wrong with an exchange: a typed cause, and whose fault it is. `stages::rescue` renders it.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use fireguard_access::audit::Denial;
use fireguard_fhir::interaction::Refusal;
use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::retry::matrix::Fault;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// Whose fault it is; a label of metrics and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The client asked for something that cannot be.
    Client,
    /// The FHIR server.
    Upstream,
    /// A plugin.
    Plugin,
    /// What the route or a policy allows.
    Policy,
    /// Fireguard itself.
    Proxy,
}

/// An exchange that ends without the answer it asked for.
#[derive(Debug)]
pub struct Failure {
    /// Whose fault it is.
    pub source: Source,
    /// The status of the answer.
    pub status: StatusCode,
    /// The code of its OperationOutcome.
    pub code: IssueCode,
    /// What the client is told: a sentence without anything from a resource.
    pub message: Cow<'static, str>,
    /// An OperationOutcome in JSON that takes the place of ours: a plugin's.
    pub outcome: Option<Box<Bytes>>,
    /// What the log says on top; without anything from a resource either.
    pub detail: Option<String>,
    /// When it makes sense to come back.
    pub retry_after: Option<Duration>,
    /// The methods that are allowed instead.
    pub allow: &'static [&'static str],
    /// Whether nothing more is read from the client's connection.
    pub closes: bool,
    /// What is known of the attempt to ask the server, if that is what failed.
    pub fault: Option<Fault>,
    /// Why the caller is refused, for the audit, if that was decided of it.
    pub denial: Option<Box<Denial>>,
    /// Further headers of the answer.
    headers: Option<Box<HeaderMap>>,
}

impl Failure {
    /// A failure with a fixed sentence.
    pub fn new(
        source: Source,
        status: StatusCode,
        code: IssueCode,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let message = message.into();
        Self {
            source,
            status,
            code,
            message,
            outcome: None,
            detail: None,
            retry_after: None,
            allow: &[],
            closes: false,
            fault: None,
            denial: None,
            headers: None,
        }
    }

    /// The client's fault.
    pub fn client(status: StatusCode, code: IssueCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Source::Client, status, code, message)
    }

    /// The server's fault: 502, and what it was goes to the log.
    pub fn upstream(message: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self::new(Source::Upstream, StatusCode::BAD_GATEWAY, IssueCode::Exception, message).detail(detail)
    }

    /// Adds what the log says on top.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Puts an OperationOutcome in JSON in the place of ours.
    #[must_use]
    pub fn outcome(mut self, outcome: Option<Bytes>) -> Self {
        self.outcome = outcome.map(Box::new);
        self
    }

    /// Says what is known of the attempt.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Says why the caller is refused.
    #[must_use]
    pub fn denied(mut self, denial: Denial) -> Self {
        self.denial = Some(Box::new(denial));
        self
    }

    /// Closes the client's connection: where its next request begins is not certain.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// Further headers of the answer.
    pub fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.headers.iter().flat_map(|headers| headers.iter())
    }

    /// The same, to add some.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers.get_or_insert_default()
    }

    /// Says when to come back.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl Source {
    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Plugin => "plugin",
            Self::Policy => "policy",
            Self::Proxy => "proxy",
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
        let source = if status == StatusCode::FORBIDDEN { Source::Policy } else { Source::Client };
        // The sentence may repeat a name from the request. The client knows it; the log has no need of it.
        let detail = format!("refused: {}", refusal.code.as_str());
        Self {
            allow: refusal.allow,
            ..Self::new(source, status, refusal.code, refusal.message).detail(detail)
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.status.as_u16())
    }
}

impl std::error::Error for Failure {}
