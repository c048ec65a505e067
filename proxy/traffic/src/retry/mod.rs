//! When a request is sent to the server again.
//!
//! [`matrix`] says what may be; this file, how long to wait and when to stop.

pub mod matrix;
pub mod overload;
mod serial;

use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, RETRY_AFTER};
use tower::retry::budget::{Budget as _, TpsBudget};

pub use serial::Serial;

/// How patient the proxy is on behalf of a client.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// How often a request is sent at the most, the first time included.
    pub attempts: u32,
    /// The longest wait between two attempts; a server that asks for more gets none, the client its answer.
    pub longest_wait: Duration,
}

/// The first wait is up to this long, each further one up to twice the one before.
const FIRST_WAIT: Duration = Duration::from_millis(100);

impl RetryPolicy {
    /// How long to wait before attempt number `done + 1`; `None`: the answer goes to the client.
    /// `asked` is what the server asks for, `left` what remains until the exchange's deadline.
    pub fn wait(&self, asked: Option<Duration>, done: u32, left: Duration) -> Option<Duration> {
        if done >= self.attempts || asked.is_some_and(|asked| asked > self.longest_wait) {
            return None;
        }
        // Full jitter over a doubling wait, so that clients throttled together do not come back together; never
        // before the server said.
        let backoff = (FIRST_WAIT * (1 << done.saturating_sub(1).min(6))).min(self.longest_wait);
        let wait = asked.unwrap_or_default() + backoff.mul_f64(fastrand::f64());
        (wait < left).then_some(wait)
    }
}

/// What the server asks to wait: its milliseconds if it gives them, otherwise `Retry-After`.
pub fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    retry_after(headers, SystemTime::now())
}

/// In milliseconds, where seconds are too coarse: Azure's two names.
const MILLISECONDS: [&str; 2] = ["x-ms-retry-after-ms", "retry-after-ms"];

/// `Retry-After` as a duration from `now`: seconds or an HTTP date (RFC 9110 §10.2.3), or a vendor's milliseconds.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name| Some(headers.get(name)?.to_str().ok()?.trim());
    let milliseconds = MILLISECONDS.iter().find_map(|name| text(*name)?.parse().ok());
    if let Some(milliseconds) = milliseconds {
        return Some(Duration::from_millis(milliseconds));
    }
    let value = text(RETRY_AFTER.as_str())?;
    match value.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default()),
    }
}

/// How many requests to one server may be repeats: a share of all, and a few a second for quiet times. Without it,
/// repeats would be most of what a failing server gets.
pub struct Budget(TpsBudget);

impl Budget {
    /// A fifth of the requests of the last ten seconds, and ten a second.
    pub fn new() -> Self {
        Self(TpsBudget::new(Duration::from_secs(10), 10, 0.2))
    }

    /// A request is sent for the first time.
    pub fn request(&self) {
        self.0.deposit();
    }

    /// Whether one more may be repeated; it is counted.
    pub fn repeat(&self) -> bool {
        self.0.withdraw()
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    #[test]
    fn waits_are_as_long_as_asked_and_stop_where_it_does_not_pay() {
        let policy = RetryPolicy { attempts: 3, longest_wait: Duration::from_secs(5) };
        let (hour, second) = (Duration::from_secs(3600), Duration::from_secs(1));
        for (asked, done, left, expected) in [
            (Some(2), 1, hour, Some(2)),
            (Some(2), 2, hour, Some(2)),
            (Some(2), 3, hour, None),
            (Some(6), 1, hour, None),
            (Some(4), 1, Duration::from_secs(3), None),
            (None, 1, hour, Some(0)),
            (None, 1, Duration::ZERO, None),
        ] {
            let wait = policy.wait(asked.map(Duration::from_secs), done, left);
            let whole = wait.map(|wait| wait.as_secs());
            assert_eq!(whole, expected, "{asked:?} {done} {left:?}");
        }
        for _ in 0..100 {
            assert!(policy.wait(None, 1, hour).unwrap() <= FIRST_WAIT);
            assert!(policy.wait(None, 2, hour).unwrap() <= FIRST_WAIT * 2);
            assert!(policy.wait(Some(second), 1, hour).unwrap() >= second);
        }
    }

    #[test]
    fn every_form_of_retry_after_is_read() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (headers, expected) in [
            (&[("retry-after", "120")][..], Some(120_000)),
            (&[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")], Some(10_000)),
            (&[("retry-after", "Sun, 06 Nov 1994 08:49:27 GMT")], Some(0)),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "soon")], None),
            (&[("x-ms-retry-after-ms", "250")], Some(250)),
            (&[("retry-after-ms", "0")], Some(0)),
            (&[("retry-after", "1"), ("x-ms-retry-after-ms", "40")], Some(40)),
            (&[("retry-after", "1"), ("retry-after-ms", "soon")], Some(1_000)),
            (&[], None),
        ] {
            let headers: HeaderMap = headers
                .iter()
                .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
                .collect();
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_millis), "{headers:?}");
        }
    }

    #[test]
    fn repeats_are_a_share_of_requests() {
        let budget = Budget::new();
        let spend = || std::iter::repeat_with(|| budget.repeat()).take_while(|more| *more).count();
        assert_eq!(spend(), 100, "ten a second for ten seconds");
        for _ in 0..50 {
            budget.request();
        }
        assert_eq!(spend(), 10, "a fifth");
    }
}
