//! What is counted of every exchange. To make labels and look them up costs more than to count, so each core keeps
//! what it has looked up.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use metrics::{Counter, Histogram, counter, histogram};

/// What tells one kind of exchange from another. All but the route are of small lists, so there are few.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Labels {
    /// The route's name.
    pub route: Arc<str>,
    /// The FHIR interaction's code.
    pub interaction: &'static str,
    /// The status the client got.
    pub status: u16,
    /// Whose fault it was.
    pub source: &'static str,
    /// How the answer ended.
    pub end: &'static str,
}

struct Meters {
    requests: Counter,
    seconds: Histogram,
    bytes: Counter,
}

thread_local! {
    static KNOWN: RefCell<HashMap<Labels, Meters>> = RefCell::default();
}

/// An exchange has ended.
pub fn count(labels: Labels, seconds: f64, bytes: u64) {
    KNOWN.with_borrow_mut(|known| {
        let meters = known.entry(labels).or_insert_with_key(Meters::new);
        meters.requests.increment(1);
        meters.seconds.record(seconds);
        meters.bytes.increment(bytes);
    });
}

impl Meters {
    fn new(labels: &Labels) -> Self {
        let (route, interaction) = (Arc::clone(&labels.route), labels.interaction);
        Self {
            requests: counter!("fireguard_requests_total", "route" => Arc::clone(&route),
                "interaction" => interaction, "status" => labels.status.to_string(),
                "source" => labels.source, "end" => labels.end),
            seconds: histogram!("fireguard_request_seconds", "route" => Arc::clone(&route),
                "interaction" => interaction),
            bytes: counter!("fireguard_answer_bytes_total", "route" => route),
        }
    }
}
