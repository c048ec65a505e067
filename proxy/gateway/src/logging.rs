//! Log lines on standard error: JSON for machines, text for people.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{LogFormat, LogLevel, file::Log};

/// Starts logging as the configuration says.
pub fn start(log: &Log) {
    let level = match log.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    };
    // Libraries log addresses and bytes on their lower levels: only our own lines go below `warn`.
    let filter = EnvFilter::new(format!(
        "warn,fireguard={level},fireguard_traffic={level},fireguard_plugin_host={level}"
    ));
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Text => builder.with_target(false).with_ansi(colours()).try_init(),
    };
    if let Err(error) = started {
        eprintln!("logging does not start: {error}");
    }
}

/// Colours are for people at a terminal, not for files and service managers.
fn colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}
