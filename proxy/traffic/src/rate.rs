//! How often one client may ask on one route (GCRA, by governor).

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::forwarded::limit_key;

/// Above this many clients, those that have their whole burst back are forgotten.
const FORGET_ABOVE: usize = 100_000;

/// One route's limit; shared by all cores.
pub struct RateLimit {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
}

impl RateLimit {
    /// `per_second` requests a second on the long run, up to `burst` at once.
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Self { limiter: RateLimiter::keyed(quota), clock: DefaultClock::default() }
    }

    /// Takes one request of this client into account.
    ///
    /// # Errors
    /// It came too early; the time to wait before the next one.
    pub fn check(&self, client: IpAddr) -> Result<(), Duration> {
        if self.limiter.len() > FORGET_ABOVE {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&limit_key(client)).map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_client_waits() {
        let limit = RateLimit::new(NonZeroU32::MIN, NonZeroU32::new(3).unwrap());
        let client = |n: u8| IpAddr::from([192, 0, 2, n]);
        for _ in 0..3 {
            assert!(limit.check(client(1)).is_ok());
        }
        let wait = limit.check(client(1)).unwrap_err();
        assert!(wait <= Duration::from_secs(1) && wait > Duration::ZERO);
        assert!(limit.check(client(2)).is_ok(), "another client has its own burst");
    }
}
