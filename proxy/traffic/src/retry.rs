//! When a throttled request is sent again.
//!
//! Only what changes nothing and can be sent a second time; only after 429, or 503 with `Retry-After`, which
//! say that the server did not begin.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};

/// How patient the proxy is on behalf of a client.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// How often a request is sent at the most, the first time included.
    pub attempts: u32,
    /// The longest wait between two attempts; a server that asks for more gets none, the client its answer.
    pub longest_wait: Duration,
}

impl RetryPolicy {
    /// How long to wait before attempt number `done + 1`; `None`: the answer goes to the client.
    /// `left` is what remains until the exchange's deadline.
    pub fn wait(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        done: u32,
        left: Duration,
    ) -> Option<Duration> {
        let asked = retry_after(headers, SystemTime::now());
        let throttled = status == StatusCode::TOO_MANY_REQUESTS
            || (status == StatusCode::SERVICE_UNAVAILABLE && asked.is_some());
        if !throttled || done >= self.attempts {
            return None;
        }
        // Full jitter over a doubling wait, so that clients throttled together do not come back together.
        let backoff = Duration::from_millis(100 << done.min(6)).mul_f64(fastrand::f64());
        let wait = asked.unwrap_or(backoff);
        (wait <= self.longest_wait && wait < left).then_some(wait)
    }
}

/// `Retry-After` as a duration from `now`: seconds or an HTTP date (RFC 9110 §10.2.3).
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn only_throttled_answers_wait_and_only_as_long_as_it_pays() {
        let policy = RetryPolicy { attempts: 3, longest_wait: Duration::from_secs(5) };
        let hour = Duration::from_secs(3600);
        for (status, after, done, left, expected) in [
            (429, Some("2"), 1, hour, Some(2)),
            (503, Some("2"), 1, hour, Some(2)),
            (503, None, 1, hour, None),
            (500, Some("2"), 1, hour, None),
            (502, Some("2"), 1, hour, None),
            (200, Some("2"), 1, hour, None),
            (429, Some("2"), 3, hour, None),
            (429, Some("6"), 1, hour, None),
            (429, Some("4"), 1, Duration::from_secs(3), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(after) = after {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(after));
            }
            let wait = policy.wait(StatusCode::from_u16(status).unwrap(), &headers, done, left);
            assert_eq!(wait, expected.map(Duration::from_secs), "{status} {after:?} {done}");
        }
        let wait = policy.wait(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), 1, hour).unwrap();
        assert!(wait <= Duration::from_millis(200));
    }

    #[test]
    fn retry_after_reads_both_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, expected) in [
            ("120", Some(120)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{value}");
        }
    }
}
