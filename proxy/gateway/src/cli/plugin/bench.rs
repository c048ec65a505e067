//! `fireguard plugin bench`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fireguard_plugin_host::{Engine, EngineConfig, Exchange, Item, Limits, Plugin, PluginSpec, Session};
use serde_json::Value;

use super::case::{Direction, resources};
use crate::cli::{Failed, report, runtime, say};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The component; a release build, or the figures mean little.
    file: PathBuf,
    /// A resource, an array of resources, or a Bundle, which is handed over in one call.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// The plugin's settings, as JSON.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Which way the resources travel.
    #[arg(long, default_value = "to-client")]
    direction: Direction,
    /// The FHIR interaction they are part of.
    #[arg(long, default_value = "search-type")]
    interaction: String,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

/// Measures calls on one core: on a fresh instance each, as exchanges have them, and on one that is used again.
pub(super) fn bench(arguments: &Arguments) -> Result<(), Failed> {
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path);
        text.map_err(|error| miette::miette!("cannot read {}: {error}", path.display()))
    };
    let items = resources(&read(&arguments.input)?)
        .map_err(|error| miette::miette!("{}: {error}", arguments.input.display()))?;
    let settings = match &arguments.settings {
        None => Value::Null,
        Some(path) => serde_json::from_str(&read(path)?)
            .map_err(|error| miette::miette!("{}: {error}", path.display()))?,
    };
    let engine = Engine::new(EngineConfig { instances: 4, ..EngineConfig::default() });
    let engine = engine.map_err(|error| report(&error))?;
    runtime()?.block_on(async {
        let name = arguments.file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into());
        // What is measured is not cut short.
        let limits = Limits { cpu_per_call: Duration::from_secs(10), ..Limits::default() };
        let spec = PluginSpec { settings, limits, ..PluginSpec::new(name, arguments.file.clone()) };
        let plugin = Plugin::load(&engine, spec).await.map_err(|error| report(&error))?;
        let work = Work { arguments, items };
        let fresh = work.measure(&plugin, true).await?;
        let reused = work.measure(&plugin, false).await?;
        let bytes: usize = work.items.iter().map(|item| item.content.len()).sum();
        say(&format!(
            "{} resources, {bytes} bytes in each call; engine: {:?}",
            work.items.len(),
            plugin.allocation()
        ));
        say(&format!("{:<18}{:>10}{:>10}{:>12}{:>12}", "", "calls/s", "MB/s", "p50 µs", "p99 µs"));
        say(&fresh.row("fresh instance", bytes));
        say(&reused.row("reused instance", bytes));
        Ok(())
    })
}

struct Work<'a> {
    arguments: &'a Arguments,
    items: Vec<Item>,
}

/// The times of calls, sorted.
struct Times(Vec<Duration>);

impl Work<'_> {
    async fn measure(&self, plugin: &Plugin, fresh: bool) -> Result<Times, Failed> {
        let mut session = plugin.session();
        // The first call meets cold code.
        self.call(&mut session).await?;
        let mut times = Vec::new();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(self.arguments.seconds) {
            if fresh {
                session = plugin.session();
            }
            let started = Instant::now();
            self.call(&mut session).await?;
            times.push(started.elapsed());
        }
        times.sort_unstable();
        Ok(Times(times))
    }

    async fn call(&self, session: &mut Session) -> Result<(), Failed> {
        let exchange = Exchange {
            id: "bench".to_owned(),
            route: "bench".to_owned(),
            interaction: self.arguments.interaction.clone(),
            extras: Vec::new(),
        };
        let answer = session.process(&exchange, self.arguments.direction.into(), &self.items).await;
        answer.map(drop).map_err(|error| report(&error))
    }
}

impl Times {
    fn row(&self, what: &str, bytes: usize) -> String {
        let total: f64 = self.0.iter().map(Duration::as_secs_f64).sum();
        let calls = self.0.len() as f64 / total;
        let megabytes = calls * bytes as f64 / 1e6;
        let (half, most) = (micros(self.at(50)), micros(self.at(99)));
        format!("{what:<18}{calls:>10.0}{megabytes:>10.1}{half:>12.1}{most:>12.1}")
    }

    fn at(&self, percent: usize) -> Duration {
        let index = self.0.len().saturating_sub(1) * percent / 100;
        self.0.get(index).copied().unwrap_or_default()
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_rate_and_percentiles() {
        let times = Times((1..=100).map(Duration::from_millis).collect());
        assert_eq!((times.at(50), times.at(99)), (Duration::from_millis(50), Duration::from_millis(99)));
        let row = times.row("fresh", 1_000_000);
        assert!(row.contains(" 20 ") && row.contains(" 19.8 ") && row.contains(" 50000.0 "), "{row}");
    }
}
