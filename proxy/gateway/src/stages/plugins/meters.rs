//! What is counted of every plugin. Each core keeps what it has looked up.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use fireguard_plugin_host::{CallError, Phase, Stats};
use metrics::{Counter, Histogram, counter, histogram};

/// One call of a plugin has ended. `spent` is what it cost.
pub(crate) fn called(plugin: &str, phase: Phase, failure: Option<&CallError>, spent: &Spent) {
    with(plugin, |meters| {
        let calls = &meters.calls[phase as usize];
        if failure.is_none() {
            calls.answered.increment(1)
        } else {
            calls.failed.increment(1)
        }
        calls.seconds.record(spent.wall.as_secs_f64());
        meters.bytes_in.increment(spent.bytes_in);
        meters.bytes_out.increment(spent.bytes_out);
        meters.instances.increment(spent.instantiations);
        if failure.is_none() {
            meters.age.record(spent.instance_age.as_secs_f64());
        }
    });
    if let Some(failure) = failure {
        counter!("fireguard_plugin_failures_total", "plugin" => plugin.to_owned(), "kind" => kind(failure))
            .increment(1);
    }
}

/// A plugin decided this: `keep`, `edits`, `replace`, `drop`, `refuse`, `forward`, `change`, `answer`, `done`, `retry`.
pub(crate) fn decided(plugin: &str, verdict: &'static str) {
    with(plugin, |meters| {
        let known = meters.verdicts.entry(verdict);
        let meter = known.or_insert_with(|| {
            counter!("fireguard_plugin_verdicts_total", "plugin" => plugin.to_owned(), "verdict" => verdict)
        });
        meter.increment(1);
    });
}

/// What one call cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    wall: Duration,
    bytes_in: u64,
    bytes_out: u64,
    instantiations: u64,
    instance_age: Duration,
}

impl Spent {
    /// What came to a session's account between two looks at it.
    pub(crate) fn between(before: Stats, after: Stats) -> Self {
        Self {
            wall: after.wall.saturating_sub(before.wall),
            bytes_in: after.bytes_in - before.bytes_in,
            bytes_out: after.bytes_out - before.bytes_out,
            instantiations: after.instantiations - before.instantiations,
            instance_age: after.instance_age,
        }
    }
}

struct Meters {
    calls: [Calls; 4],
    bytes_in: Counter,
    bytes_out: Counter,
    instances: Counter,
    age: Histogram,
    verdicts: HashMap<&'static str, Counter>,
}

struct Calls {
    answered: Counter,
    failed: Counter,
    seconds: Histogram,
}

thread_local! {
    static KNOWN: RefCell<HashMap<String, Meters>> = RefCell::default();
}

fn with(plugin: &str, note: impl FnOnce(&mut Meters)) {
    KNOWN.with_borrow_mut(|known| match known.get_mut(plugin) {
        Some(meters) => note(meters),
        None => note(known.entry(plugin.to_owned()).or_insert_with(|| Meters::new(plugin))),
    });
}

impl Meters {
    fn new(plugin: &str) -> Self {
        let name = || plugin.to_owned();
        let calls = |phase: Phase, outcome: &'static str| counter!("fireguard_plugin_calls_total", "plugin" => name(), "phase" => phase.name(), "outcome" => outcome);
        Self {
            calls: Phase::ALL.map(|phase| Calls {
                answered: calls(phase, "answered"),
                failed: calls(phase, "failed"),
                seconds: histogram!("fireguard_plugin_seconds", "plugin" => name(), "phase" => phase.name()),
            }),
            bytes_in: counter!("fireguard_plugin_bytes_total", "plugin" => name(), "way" => "in"),
            bytes_out: counter!("fireguard_plugin_bytes_total", "plugin" => name(), "way" => "out"),
            instances: counter!("fireguard_plugin_instances_total", "plugin" => name()),
            age: histogram!("fireguard_plugin_instance_age_seconds", "plugin" => name()),
            verdicts: HashMap::new(),
        }
    }
}

/// The label of a failure.
fn kind(failure: &CallError) -> &'static str {
    match failure {
        CallError::Busy => "busy",
        CallError::Trap(_) => "trap",
        CallError::Cpu(_) => "cpu",
        CallError::Wall(_) => "wall",
        CallError::Memory(_) => "memory",
        // What it answered makes no sense, or could not be handed over.
        _ => "answer",
    }
}
