//! A FHIR server as all cores know it: what it can take.

use std::sync::Arc;

use fireguard_traffic::breaker::{Breaker, BreakerPolicy};
use fireguard_traffic::concurrency::{Bounds, Concurrency, Waiting};
use fireguard_traffic::rate::Class;
use fireguard_traffic::retry::{Budget, Serial};

use crate::config::Route;

/// What all cores share about one FHIR server.
pub struct FhirServer {
    /// How many requests may be repeats.
    pub repeats: Budget,
    /// Conditional creates, one at a time for each condition.
    pub conditional_creates: Serial,
    /// Writes on a condition that we keep, one at a time for each resource.
    pub conditional_writes: Serial,
    /// It answers 503 only before it works.
    pub sheds_before_working: bool,
    /// How many requests are there at once.
    pub concurrency: Arc<Concurrency>,
    /// Whether it is left alone, by the class of what it is asked.
    pub breakers: [Arc<Breaker>; Class::ALL.len()],
    configured: (Bounds, Waiting, BreakerPolicy),
}

impl FhirServer {
    /// The server a route leads to, about which nothing is known yet.
    pub fn new(route: &Route) -> Self {
        Self {
            repeats: Budget::new(),
            conditional_creates: Serial::default(),
            conditional_writes: Serial::default(),
            sheds_before_working: route.sheds_before_working,
            concurrency: Arc::new(Concurrency::new(route.concurrency, route.waiting)),
            breakers: Class::ALL.map(|_| Arc::new(Breaker::new(route.breaker))),
            configured: (route.concurrency, route.waiting, route.breaker),
        }
    }

    /// Whether it is also the server of this route, as it is configured: then what is known of it is kept.
    pub fn stays(&self, route: &Route) -> bool {
        self.sheds_before_working == route.sheds_before_working
            && self.configured == (route.concurrency, route.waiting, route.breaker)
    }
}
