//! What a FHIR server can take and how its health is checked, as it is written.

use std::num::NonZeroU32;

use fireguard_traffic::breaker::BreakerPolicy;
use fireguard_traffic::concurrency::{Bounds, Waiting};
use fireguard_traffic::upstream::replicas::Rules;
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::defaults;
use super::units::{SecretSource, Time};

/// TLS toward a FHIR server. Its certificate must name the host in its URL.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamTls {
    /// PEM file with the authorities that are believed, and no others; those of the machine unless given.
    #[schemars(with = "Option<String>")]
    pub ca: Option<Spanned<String>>,
    /// PEM file with our own certificate and its chain, for a server that wants one.
    #[schemars(with = "Option<String>")]
    pub client_certificate: Option<Spanned<String>>,
    /// Its private key (PEM): `file:PATH` or `env:NAME`.
    #[schemars(with = "Option<SecretSource>")]
    pub client_key: Option<Spanned<SecretSource>>,
}

/// When a replica gets no requests: its health checks fail, or its requests do. Checked is only where there are several,
/// or where this table is written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// What is read, below the base. Any answer of a FHIR server under 500 is good, also that there is no such resource.
    #[schemars(with = "String")]
    pub path: Spanned<String>,
    /// From one check to the next.
    pub interval: Time,
    /// How long an answer may take.
    pub timeout: Time,
    /// So many checks must fail in a row.
    pub unhealthy_after: NonZeroU32,
    /// So many must succeed in a row until it is asked again.
    pub healthy_after: NonZeroU32,
    /// A replica that answers so many requests in a row with 5xx, or not at all, is left out for a second, each further
    /// time for twice as long, up to a minute; one that cannot be connected to at once. Never all, and half at the most
    /// for what they answer.
    pub eject_after: NonZeroU32,
}

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

impl Health {
    /// How many in a row count.
    pub fn rules(&self) -> Rules {
        let [eject_after, unhealthy_after, healthy_after] =
            [self.eject_after, self.unhealthy_after, self.healthy_after].map(NonZeroU32::get);
        Rules { eject_after, unhealthy_after, healthy_after }
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

impl Default for Health {
    fn default() -> Self {
        let number = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        Self {
            path: Spanned::new(0..0, defaults::HEALTH_PATH.to_owned()),
            interval: Time(defaults::HEALTH_INTERVAL),
            timeout: Time(defaults::HEALTH_TIMEOUT),
            unhealthy_after: number(defaults::UNHEALTHY_AFTER),
            healthy_after: number(defaults::HEALTHY_AFTER),
            eject_after: number(defaults::EJECT_AFTER),
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self { faults: NonZeroU32::new(defaults::BREAKER_FAULTS).unwrap_or(NonZeroU32::MIN) }
    }
}
