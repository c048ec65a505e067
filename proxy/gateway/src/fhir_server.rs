//! A FHIR server as all cores know it: what it can take.

use fireguard_traffic::retry::{Budget, Serial};

use crate::config::Route;

/// What all cores share about one FHIR server.
pub struct FhirServer {
    /// How many requests may be repeats.
    pub repeats: Budget,
    /// Conditional creates, one at a time for each condition.
    pub conditional_creates: Serial,
    /// It answers 503 only before it works.
    pub sheds_before_working: bool,
}

impl FhirServer {
    /// The server a route leads to, about which nothing is known yet.
    pub fn new(route: &Route) -> Self {
        Self {
            repeats: Budget::new(),
            conditional_creates: Serial::default(),
            sheds_before_working: route.sheds_before_working,
        }
    }

    /// Whether it is also the server of this route, as it is configured: then what is known of it is kept.
    pub fn stays(&self, route: &Route) -> bool {
        self.sheds_before_working == route.sheds_before_working
    }
}
