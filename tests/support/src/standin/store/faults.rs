//! What can go wrong with one request, and how that looks.

use fastrand::Rng;

use super::resources::Outcome;

/// A fault of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    ThrottledSeconds,
    ThrottledMilliseconds,
    Throttled,
    Unavailable,
    ResetBefore,
    ResetAfter,
    CloseBefore,
    TimeoutAfter,
    BadGatewayBefore,
    HtmlAfter,
    Drip,
    LengthTooGreat,
    LengthTooSmall,
}

/// Whether the request is carried out all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Commits {
    No,
    Yes,
}

/// An answer as it is sent, and what becomes of the connection.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) pieces: Vec<Vec<u8>>,
    pub(super) close: bool,
    pub(super) reset: bool,
}

impl Fault {
    pub(super) fn choose(rng: &mut Rng) -> Self {
        const ALL: [(Fault, u8); 13] = [
            (Fault::ThrottledSeconds, 4),
            (Fault::ThrottledMilliseconds, 4),
            (Fault::Throttled, 2),
            (Fault::Unavailable, 4),
            (Fault::ResetBefore, 2),
            (Fault::ResetAfter, 3),
            (Fault::CloseBefore, 1),
            (Fault::TimeoutAfter, 3),
            (Fault::BadGatewayBefore, 1),
            (Fault::HtmlAfter, 1),
            (Fault::Drip, 1),
            (Fault::LengthTooGreat, 1),
            (Fault::LengthTooSmall, 1),
        ];
        let all: u8 = ALL.iter().map(|(_, weight)| weight).sum();
        let mut left = rng.u8(..all);
        for (fault, weight) in ALL {
            match left.checked_sub(weight) {
                Some(less) => left = less,
                None => return fault,
            }
        }
        Self::Throttled
    }

    pub(super) fn commits(self) -> Commits {
        match self {
            Self::ThrottledSeconds
            | Self::ThrottledMilliseconds
            | Self::Throttled
            | Self::Unavailable
            | Self::ResetBefore
            | Self::CloseBefore
            | Self::BadGatewayBefore => Commits::No,
            Self::ResetAfter
            | Self::TimeoutAfter
            | Self::HtmlAfter
            | Self::Drip
            | Self::LengthTooGreat
            | Self::LengthTooSmall => Commits::Yes,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ThrottledSeconds => "429 with seconds",
            Self::ThrottledMilliseconds => "429 with milliseconds",
            Self::Throttled => "429",
            Self::Unavailable => "503",
            Self::ResetBefore => "reset before",
            Self::ResetAfter => "reset after",
            Self::CloseBefore => "close before",
            Self::TimeoutAfter => "504 after",
            Self::BadGatewayBefore => "502 in HTML before",
            Self::HtmlAfter => "HTML after",
            Self::Drip => "drip",
            Self::LengthTooGreat => "length too great",
            Self::LengthTooSmall => "length too small",
        }
    }
}

/// What is sent for an outcome, if there is one, under this fault.
pub(super) fn answer(fault: Option<Fault>, outcome: Option<Outcome>, head_only: bool) -> Sent {
    let refusal = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"transient"}]}"#;
    let refused =
        |status: u16, headers: &str| whole(status, headers, FHIR, refusal, refusal.len(), head_only);
    let outcome = outcome.unwrap_or_default();
    let length = outcome.body.len();
    let fine = |length| whole(outcome.status, &outcome.headers, FHIR, &outcome.body, length, head_only);
    let html = "<html>something else</html>";
    let page = |status| whole(status, "", "text/html", html, html.len(), head_only);
    let (mut pieces, mut close) = (Vec::new(), false);
    match fault {
        None => pieces.push(fine(length)),
        Some(Fault::ThrottledSeconds) => pieces.push(refused(429, "Retry-After: 0\r\n")),
        Some(Fault::ThrottledMilliseconds) => pieces.push(refused(429, "x-ms-retry-after-ms: 5\r\n")),
        Some(Fault::Throttled) => pieces.push(refused(429, "")),
        Some(Fault::Unavailable) => pieces.push(refused(503, "Retry-After: 0\r\n")),
        Some(Fault::ResetBefore | Fault::ResetAfter | Fault::CloseBefore) => close = true,
        Some(Fault::TimeoutAfter) => pieces.push(refused(504, "")),
        Some(Fault::BadGatewayBefore) => pieces.push(page(502)),
        Some(Fault::HtmlAfter) => pieces.push(page(200)),
        Some(Fault::Drip) => {
            let bytes = fine(length);
            pieces.extend(bytes.chunks(bytes.len().div_ceil(4).max(1)).map(<[u8]>::to_vec));
        }
        Some(Fault::LengthTooGreat) => {
            pieces.push(fine(length + 10));
            close = true;
        }
        Some(Fault::LengthTooSmall) => pieces.push(fine(length.saturating_sub(5))),
    }
    let reset = matches!(fault, Some(Fault::ResetBefore | Fault::ResetAfter));
    Sent { pieces, close: close && !reset, reset }
}

const FHIR: &str = "application/fhir+json;charset=UTF-8";

fn whole(
    status: u16,
    headers: &str,
    media_type: &str,
    body: &str,
    length: usize,
    head_only: bool,
) -> Vec<u8> {
    let body = if head_only { "" } else { body };
    let typed = if length > 0 { format!("Content-Type: {media_type}\r\n") } else { String::new() };
    format!("HTTP/1.1 {status} Stored\r\n{headers}{typed}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}
