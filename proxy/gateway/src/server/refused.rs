//! Connections that fail before their first request: counted all, logged some, so that nobody can fill the log.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::counter;

/// So many lines in this time.
const LINES: u32 = 10;
const SPAN: Duration = Duration::from_secs(60);

/// Where a connection failed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// In the header that a trusted balancer has to send.
    ProxyHeader,
    /// In the TLS handshake.
    Tls,
    /// At the limit of connections.
    Full,
    /// At the limit of connections of one client.
    Client,
}

/// Writes them down; one for all cores.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<Span>);

#[derive(Debug, Default)]
struct Span {
    begun: Option<Instant>,
    lines: u32,
    withheld: u64,
}

impl Refused {
    /// A connection of `peer` failed.
    pub(super) fn note(&self, step: Step, peer: IpAddr, error: &dyn Display) {
        let step = match step {
            Step::ProxyHeader => "proxy-header",
            Step::Tls => "tls",
            Step::Full => "full",
            Step::Client => "client",
        };
        counter!("fireguard_connections_refused_total", "step" => step).increment(1);
        if let Some(withheld) = self.line(Instant::now()) {
            tracing::info!(step, %peer, %error, withheld, "a connection failed before its first request");
        }
    }

    /// Whether a line may be written now: how many were withheld since the one before.
    fn line(&self, now: Instant) -> Option<u64> {
        let mut span = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if span.begun.is_none_or(|begun| now.duration_since(begun) >= SPAN) {
            span.begun = Some(now);
            span.lines = 0;
        }
        if span.lines == LINES {
            span.withheld += 1;
            return None;
        }
        span.lines += 1;
        Some(std::mem::take(&mut span.withheld))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_few_and_say_how_many_are_missing() {
        let refused = Refused::default();
        let begin = Instant::now();
        let lines = |at: Duration, asked: u32| -> Vec<u64> {
            (0..asked).filter_map(|_| refused.line(begin + at)).collect()
        };
        assert_eq!(lines(Duration::ZERO, 25), [0; LINES as usize]);
        assert!(lines(SPAN / 2, 5).is_empty());
        assert_eq!(lines(SPAN, 2), [20, 0]);
        assert_eq!(lines(SPAN * 3, 1), [0]);
    }
}
