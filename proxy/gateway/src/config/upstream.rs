//! What a FHIR server can take, as it is written.

use std::num::NonZeroU32;

use fireguard_traffic::breaker::BreakerPolicy;
use fireguard_traffic::concurrency::{Bounds, Waiting};
use schemars::JsonSchema;
use serde::Deserialize;

use super::defaults;
use super::units::Time;

/// How many requests are at a FHIR server at once. The limit moves with the time its answers take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Concurrency {
    /// Where the limit starts; about as many as the server has database connections.
    pub start: NonZeroU32,
    /// The least it becomes.
    pub least: NonZeroU32,
    /// The most it becomes.
    pub most: NonZeroU32,
    /// So many requests may wait; reads by id go first.
    pub queue: u32,
    /// How long one may wait.
    pub queue_time: Time,
}

/// When a FHIR server is left alone, each class of interactions for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    /// After so many failed requests within ten seconds, if they are half of all.
    pub faults: NonZeroU32,
}

impl Concurrency {
    /// The limit's bounds.
    ///
    /// # Errors
    /// They are not in order.
    pub fn bounds(&self) -> Result<Bounds, &'static str> {
        if !(self.least <= self.start && self.start <= self.most) {
            return Err("the limit starts between its least and its most: least <= start <= most");
        }
        let [start, least, most] = [self.start, self.least, self.most].map(|n| n.get() as usize);
        Ok(Bounds { start, least, most })
    }

    /// Who may wait.
    pub fn waiting(&self) -> Waiting {
        Waiting { time: self.queue_time.0, length: self.queue as usize }
    }
}

impl Breaker {
    /// When it opens.
    pub fn policy(&self) -> BreakerPolicy {
        BreakerPolicy { faults: self.faults.get() }
    }
}

impl Default for Concurrency {
    fn default() -> Self {
        let number = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        Self {
            start: number(defaults::CONCURRENCY_START),
            least: number(defaults::CONCURRENCY_LEAST),
            most: number(defaults::CONCURRENCY_MOST),
            queue: defaults::QUEUE,
            queue_time: Time(defaults::QUEUE_TIME),
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self { faults: NonZeroU32::new(defaults::BREAKER_FAULTS).unwrap_or(NonZeroU32::MIN) }
    }
}
