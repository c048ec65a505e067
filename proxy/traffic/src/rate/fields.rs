//! The header fields that tell clients their limits (draft-ietf-httpapi-ratelimit-headers-11).

use std::num::NonZeroU32;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::Standing;

/// What is left: `"search";r=17;t=2`.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// The quota that applied: `"search";q=20;w=2`.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// A wait in whole seconds, rounded up: who comes back a moment too early is refused once more.
pub fn delay_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// In `window` a whole quota of `burst` comes back.
pub(super) fn policy(name: &'static str, burst: NonZeroU32, window: Duration) -> HeaderValue {
    let text = format!("\"{name}\";q={burst};w={}", delay_seconds(window));
    // Names are ours: letters only.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("\"all\";q=0"))
}

pub(super) fn standing(name: &'static str, standing: Standing) -> Option<HeaderValue> {
    let Standing { left, wait } = standing;
    HeaderValue::from_str(&format!("\"{name}\";r={left};t={}", delay_seconds(wait))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_rounded_up() {
        for (milliseconds, seconds) in [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (60_000, 60)] {
            assert_eq!(delay_seconds(Duration::from_millis(milliseconds)), seconds, "{milliseconds} ms");
        }
    }
}
