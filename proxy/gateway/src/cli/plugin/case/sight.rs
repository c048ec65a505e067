//! What a plugin says besides its answers: its lines in the log, and what it prints, of which the text of a panic is
//! the most telling.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// The target under which the host writes what plugins say.
const TARGET: &str = "fireguard::plugin";

/// Collects it for the whole process.
#[derive(Clone, Default)]
pub(in crate::cli::plugin) struct Sight(Arc<Mutex<Seen>>);

/// What was said since the last time.
#[derive(Default)]
pub(in crate::cli::plugin) struct Seen {
    /// `info: …`
    pub(in crate::cli::plugin) lines: Vec<String>,
    /// What was printed, without line ends.
    pub(in crate::cli::plugin) printed: String,
}

impl Sight {
    /// Takes the place of the log. Once in a process.
    pub(in crate::cli::plugin) fn install() -> Self {
        let sight = Self::default();
        let subscriber = tracing_subscriber::registry().with(sight.clone());
        if tracing::subscriber::set_global_default(subscriber).is_err() {
            eprintln!("what plugins log cannot be shown: there is a log already");
        }
        sight
    }

    /// What was said since the last call.
    pub(in crate::cli::plugin) fn take(&self) -> Seen {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: Subscriber> Layer<S> for Sight {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != TARGET {
            return;
        }
        let mut words = Words::default();
        event.record(&mut words);
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match words.text {
            Some(printed) => seen.printed.push_str(&printed),
            None => {
                let level = match *event.metadata().level() {
                    Level::ERROR => "error",
                    Level::WARN => "warn",
                    Level::INFO => "info",
                    _ => "debug",
                };
                seen.lines.push(format!("{level}: {}", words.message));
            }
        }
    }
}

/// The fields of one event.
#[derive(Default)]
struct Words {
    message: String,
    text: Option<String>,
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "text" {
            self.text = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => {
                let _ = write!(self.message, "{value:?}");
            }
            "text" => self.text = Some(format!("{value:?}")),
            _ => {}
        }
    }
}

/// Where in the author's code it went wrong, as `file:line`, and the message that goes with it.
pub(in crate::cli::plugin) fn place(printed: &str) -> Option<String> {
    // The runtime of Python is written in Rust, and panics when an exception was not caught.
    python(printed).or_else(|| rust(printed)).or_else(|| javascript(printed))
}

/// `thread '<unnamed>' panicked at src/lib.rs:33:9: the message`
fn rust(printed: &str) -> Option<String> {
    let (_, after) = printed.split_once("panicked at ")?;
    let (place, _) = after.split_once(": ").or_else(|| after.split_once(":\n"))?;
    Some(place.trim_end_matches(':').to_owned())
}

/// `  File "/app/plugin.py", line 33, in judge`: the last one is where it was raised.
fn python(printed: &str) -> Option<String> {
    let (_, last) = printed.rsplit_once("File \"")?;
    let (file, rest) = last.split_once("\", line ")?;
    let line: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let file = file.rsplit('/').next().unwrap_or(file);
    Some(format!("{file}:{line}"))
}

/// `judge@plugin.js:33:11`: the first one is where it was thrown.
fn javascript(printed: &str) -> Option<String> {
    let (before, after) = printed.split_once(".js:")?;
    let file = before.rsplit(['@', '(', ' ', '/', '\n']).next()?;
    let place: String = after.chars().take_while(|c| c.is_ascii_digit() || *c == ':').collect();
    Some(format!("{file}.js:{}", place.trim_end_matches(':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_found_in_what_each_language_prints() {
        let cases = [
            ("thread '<unnamed>' panicked at src/lib.rs:33:9: boom note: run with", Some("src/lib.rs:33:9")),
            ("thread '<unnamed>' (1) panicked at src/a.rs:3:1:\nboom", Some("src/a.rs:3:1")),
            (
                "Traceback (most recent call last):   File \"/0/plugin.py\", line 3, in process   File \
                 \"/0/plugin.py\", line 33, in judge ValueError: boom  thread '<unnamed>' panicked at \
                 runtime/src/lib.rs:1280:25: Python function threw",
                Some("plugin.py:33"),
            ),
            ("Error: boom Stack:   judge@plugin.js:33:11   process@plugin.js:9:1", Some("plugin.js:33:11")),
            ("it said nothing of use", None),
        ];
        for (printed, expected) in cases {
            assert_eq!(place(printed).as_deref(), expected, "{printed}");
        }
    }
}
