//! Without spans.

use http::HeaderMap;

use super::Ended;

/// Where spans go: nowhere.
#[derive(Debug)]
pub struct Traces;

/// The span of an exchange: none.
#[derive(Debug)]
pub struct Trace;

impl Traces {
    /// Nothing starts.
    ///
    /// # Errors
    /// None; with the feature there may be some.
    pub fn start() -> Result<Self, std::convert::Infallible> {
        Ok(Self)
    }

    /// Nothing is left to be sent.
    pub fn end(self) {}
}

impl Trace {
    /// None.
    pub fn none() -> Self {
        Self
    }

    /// Nothing begins.
    pub fn begin(_: &HeaderMap) -> Self {
        Self
    }

    /// The server is told what the client said.
    pub fn pass_on(&self, _: &mut HeaderMap) {}

    /// Nothing ends.
    pub fn end(&self, _: Ended<'_>) {}
}
