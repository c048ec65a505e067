//! What a plugin may ask of the host.

use std::time::SystemTime;

/// The host as a plugin sees it: the capabilities it may have been granted.
///
/// Every call costs a crossing of the sandbox, so ask once for many values.
pub trait Host {
    /// For each value its token: HMAC-SHA256 under the granted key, 64 lower-case hexadecimal digits. With
    /// an empty domain the message is the value; otherwise it is the domain, a zero byte, the value.
    ///
    /// # Errors
    /// The plugin has no such grant, or asks for too much at once.
    fn tokens(&self, domain: &str, values: &[String]) -> Result<Vec<String>, HostError>;

    /// For each patient (any stable text that names one, such as `Patient/123`) its offset in days: never
    /// zero, always the same for the same patient and key.
    ///
    /// # Errors
    /// The plugin has no such grant, or asks for too much at once.
    fn date_offsets(&self, patients: &[String]) -> Result<Vec<i32>, HostError>;

    /// Writes one line to the host's log. Never log what a resource says.
    fn log(&self, level: Level, message: &str);

    /// The time.
    fn now(&self) -> SystemTime;
}

/// Why the host did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The configuration does not grant this; the text names the missing grant.
    #[error("not granted: {0}")]
    NotGranted(String),
    /// More values, or longer ones, than one call may carry.
    #[error("too much for one call")]
    TooMuch,
}

/// How much a line in the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}
