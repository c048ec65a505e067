//! Log lines on standard error: JSON for machines, text for people.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::access_log;
use crate::config::{LogFormat, LogLevel, file::Log};

/// From which level on lines are written; can be changed.
pub struct Level {
    reload: Box<dyn Fn(EnvFilter) + Send + Sync>,
    format: LogFormat,
}

impl Level {
    /// Changes it.
    pub fn set(&self, level: LogLevel) {
        (self.reload)(filter(level));
        self.note_exchanges(level);
    }

    /// For people the exchange's line is one like the others.
    fn note_exchanges(&self, level: LogLevel) {
        let info = matches!(level, LogLevel::Info | LogLevel::Debug);
        access_log::write(info && self.format == LogFormat::Json);
    }
}

/// Starts logging as the configuration says.
pub fn start(log: &Log) -> Level {
    let builder = fmt().with_env_filter(filter(log.level)).with_writer(std::io::stderr);
    let (started, reload): (_, Box<dyn Fn(EnvFilter) + Send + Sync>) = match log.format {
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_current_span(false).with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), Box::new(move |filter| drop(handle.reload(filter))))
        }
        LogFormat::Text => {
            let builder = builder.with_target(false).with_ansi(colours()).with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), Box::new(move |filter| drop(handle.reload(filter))))
        }
    };
    if let Err(error) = started {
        eprintln!("logging does not start: {error}");
    }
    let level = Level { reload, format: log.format };
    level.note_exchanges(log.level);
    level
}

/// An error with its causes, on one line. Some libraries' errors say their cause themselves: once is enough.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !message.ends_with(&text) {
            message = format!("{message}: {text}");
        }
        source = cause.source();
    }
    message
}

fn filter(level: LogLevel) -> EnvFilter {
    let level = match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    };
    // Libraries log addresses and bytes on their lower levels: only our own lines go below `warn`.
    EnvFilter::new(format!("warn,fireguard={level},fireguard_traffic={level},fireguard_plugin_host={level}"))
}

/// Colours are for people at a terminal, not for files and service managers.
fn colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}
