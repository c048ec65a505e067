//! One OpenTelemetry span for each exchange, in programs that are built with the feature `otel`; without it nothing
//! is done and a client's `traceparent` goes to the server as it came.
//!
//! Where spans go is said by the variables of the OpenTelemetry specification (`OTEL_EXPORTER_OTLP_ENDPOINT` and
//! others); without an endpoint there are none.

#[cfg(not(feature = "otel"))]
mod off;
#[cfg(feature = "otel")]
mod on;

#[cfg(not(feature = "otel"))]
pub use off::{Trace, Traces};
#[cfg(feature = "otel")]
pub use on::{Trace, Traces};

/// What a span says: nothing of a resource, a search value or a token.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// The request's method.
    pub method: &'a str,
    /// The route's name.
    pub route: &'a str,
    /// The FHIR interaction's code.
    pub interaction: &'static str,
    /// The resource type asked for.
    pub resource_type: &'static str,
    /// Of the answer; zero: there was none.
    pub status: u16,
    /// How often the server was asked.
    pub attempts: u32,
    /// Whose failure the answer is.
    pub source: &'static str,
    /// How the answer ended.
    pub end: &'static str,
    /// The exchange's id, as in the log.
    pub request_id: &'a str,
}
