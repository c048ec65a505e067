//! Lines that tell what is going on, on standard error: standard output is for results.

use std::io::Write;
use std::time::Instant;

/// Prints steps with the seconds since the command began.
#[derive(Debug)]
pub(crate) struct Progress {
    began: Instant,
}

impl Progress {
    /// Starts the clock.
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now() }
    }

    /// Tells that a step begins, or is done.
    pub(crate) fn step(&self, text: &str) {
        eprintln!("[{:6.1} s] {text}", self.began.elapsed().as_secs_f32());
    }
}

/// A line of the result, on standard output at once. Whoever closed it has seen enough.
pub(crate) fn print(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}");
    let _ = stdout.flush();
}
