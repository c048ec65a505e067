//! Capability: figures under the plugin's name. It needs no grant, since it is bounded.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use ::metrics::{Counter, Histogram, counter, histogram};
use wasmtime::component::{HasData, Linker};

use crate::contract::metrics;
use crate::host::HostState;

/// Bounds that the contract names.
const NAMES: usize = 32;
const NAME_BYTES: usize = 64;

/// Adds `fireguard:plugin/metrics`.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    metrics::add_to_linker::<HostState, Metrics>(linker, |host| &mut host.capabilities.metrics)
}

/// The state of one instance.
pub(crate) fn prepare(figures: &Arc<Figures>) -> State {
    State(Arc::clone(figures))
}

/// Names the state's type for wasmtime.
pub(crate) struct Metrics;

impl HasData for Metrics {
    type Data<'a> = &'a mut State;
}

/// What one instance counts.
pub(crate) struct State(Arc<Figures>);

/// The figures of one plugin, of all its instances.
pub(crate) struct Figures {
    plugin: Arc<str>,
    known: RwLock<HashMap<String, Figure>>,
    complained: AtomicBool,
}

/// A name may be both.
#[derive(Default)]
struct Figure {
    counter: Option<Counter>,
    histogram: Option<Histogram>,
}

impl Figures {
    /// None yet, of the plugin `name`.
    pub(crate) fn new(name: &str) -> Self {
        Self { plugin: name.into(), known: RwLock::default(), complained: AtomicBool::new(false) }
    }

    /// The figure of this name, made at its first use.
    fn figure<T>(
        &self,
        name: &str,
        kept: impl Fn(&Figure) -> Option<T>,
        make: impl FnOnce(&mut Figure) -> T,
    ) -> Option<T> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = known.get(name).and_then(kept) {
            return Some(kept);
        }
        let (room, new) = (known.len() < NAMES, !known.contains_key(name));
        drop(known);
        if !is_name(name) || (new && !room) {
            self.complain();
            return None;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Others may have come first, and taken the last place.
        if known.len() >= NAMES && !known.contains_key(name) {
            return None;
        }
        Some(make(known.entry(name.to_owned()).or_default()))
    }

    /// Once: a plugin that does it once does it all the time.
    fn complain(&self) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            let plugin = &*self.plugin;
            tracing::warn!(target: "fireguard::plugin", plugin, "a figure is passed over: a plugin has up to 32, with names of up to 64 lower-case letters, digits and underscores");
        }
    }
}

impl metrics::Host for State {
    async fn count(&mut self, name: String, by: u64) {
        let Figures { plugin, .. } = &*self.0;
        let make = |figure: &mut Figure| {
            let labels = [("plugin", plugin.to_string()), ("name", name.clone())];
            figure.counter.insert(counter!("fireguard_plugin_count_total", &labels)).clone()
        };
        if let Some(counter) = self.0.figure(&name, |figure| figure.counter.clone(), make) {
            counter.increment(by);
        }
    }

    async fn observe(&mut self, name: String, value: f64) {
        // A sum with one of them in it would never be a number again.
        if !value.is_finite() {
            return;
        }
        let Figures { plugin, .. } = &*self.0;
        let make = |figure: &mut Figure| {
            let labels = [("plugin", plugin.to_string()), ("name", name.clone())];
            figure.histogram.insert(histogram!("fireguard_plugin_value", &labels)).clone()
        };
        if let Some(histogram) = self.0.figure(&name, |figure| figure.histogram.clone(), make) {
            histogram.record(value);
        }
    }
}

/// A lower-case letter, and up to 63 lower-case letters, digits and underscores.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.len() <= NAME_BYTES
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::metrics::Host;
    use ::metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    /// What is exported of what `act` counts.
    fn exported(act: impl AsyncFnOnce(&mut State)) -> Vec<String> {
        let recorder = PrometheusBuilder::new().build_recorder();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        with_local_recorder(&recorder, || {
            runtime.block_on(act(&mut prepare(&Arc::new(Figures::new("p")))));
        });
        let text = recorder.handle().render();
        let mut lines: Vec<_> = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.contains("quantile") && !line.is_empty())
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn figures_stand_under_the_plugins_name() {
        let lines = exported(async |state| {
            state.count("seen".to_owned(), 2).await;
            state.count("seen".to_owned(), 3).await;
            for value in [1.5, f64::NAN, f64::INFINITY, 0.25] {
                state.observe("seen".to_owned(), value).await;
            }
        });
        let expected = [
            r#"fireguard_plugin_count_total{plugin="p",name="seen"} 5"#,
            r#"fireguard_plugin_value_count{plugin="p",name="seen"} 2"#,
            r#"fireguard_plugin_value_sum{plugin="p",name="seen"} 1.75"#,
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn there_are_no_more_than_32_names_and_no_odd_ones() {
        let lines = exported(async |state| {
            for name in ["", "A", "1a", "_a", "a-b", "ä", "a b", "a\n", &"a".repeat(65)] {
                state.count(name.to_owned(), 1).await;
            }
            for n in 0..100 {
                state.observe(format!("n{n}"), 1.0).await;
                state.count(format!("n{n}"), 1).await;
            }
            state.count("n0".to_owned(), 1).await;
        });
        assert_eq!(lines.len(), 32 * 3, "{lines:?}");
        assert!(lines.contains(&r#"fireguard_plugin_count_total{plugin="p",name="n0"} 2"#.to_owned()));
    }

    #[test]
    fn names_are_those_of_the_contract() {
        for (name, expected) in
            [("a", true), ("a_1", true), (&*"a".repeat(64), true), ("", false), ("a.b", false), ("aB", false)]
        {
            assert_eq!(is_name(name), expected, "{name}");
        }
    }
}
