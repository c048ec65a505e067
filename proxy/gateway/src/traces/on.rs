//! With spans.

use std::sync::OnceLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use super::Ended;

/// Any of these says where spans go.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Where spans go.
#[derive(Debug)]
pub struct Traces(Option<SdkTracerProvider>);

/// The span of an exchange, if spans go anywhere.
#[derive(Debug)]
pub struct Trace(Option<Context>);

impl Traces {
    /// Sends spans, on a thread of their own, if a variable says where.
    ///
    /// # Errors
    /// The variables are wrong.
    pub fn start() -> Result<Self, ExporterBuildError> {
        if ENDPOINTS.iter().all(|name| std::env::var_os(name).is_none()) {
            return Ok(Self(None));
        }
        let exporter = SpanExporter::builder().with_http().build()?;
        let resource = Resource::builder()
            .with_service_name("fireguard")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        TRACER.get_or_init(|| provider.tracer("fireguard"));
        Ok(Self(Some(provider)))
    }

    /// Sends what is left.
    pub fn end(self) {
        if let Some(Err(error)) = self.0.map(|provider| provider.shutdown()) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

impl Trace {
    /// None.
    pub fn none() -> Self {
        Self(None)
    }

    /// Begins below the span that the client names, if it names one.
    pub fn begin(headers: &HeaderMap) -> Self {
        Self(TRACER.get().map(|tracer| begin(tracer, headers)))
    }

    /// Tells the server of this span, in place of the client's.
    pub fn pass_on(&self, headers: &mut HeaderMap) {
        if let Some(context) = &self.0 {
            TraceContextPropagator::new().inject_context(context, &mut Into(headers));
        }
    }

    /// The exchange is over.
    pub fn end(&self, ended: Ended<'_>) {
        let Some(context) = &self.0 else { return };
        let span = context.span();
        let Ended { method, route, interaction, resource_type, status, attempts, source, end, request_id } =
            ended;
        span.update_name(format!("{method} {route} {interaction}"));
        span.set_attributes([
            KeyValue::new("http.request.method", method.to_owned()),
            KeyValue::new("http.response.status_code", i64::from(status)),
            KeyValue::new("fireguard.request_id", request_id.to_owned()),
            KeyValue::new("fireguard.route", route.to_owned()),
            KeyValue::new("fireguard.attempts", i64::from(attempts)),
            KeyValue::new("fireguard.source", source),
            KeyValue::new("fireguard.end", end),
            KeyValue::new("fhir.interaction", interaction),
            KeyValue::new("fhir.resource_type", resource_type),
        ]);
        // By the convention for servers an answer 4xx is not a fault of ours.
        if status >= 500 || end == "aborted" {
            span.set_status(Status::error(source));
        }
        span.end();
    }
}

fn begin(tracer: &SdkTracer, headers: &HeaderMap) -> Context {
    let parent = TraceContextPropagator::new().extract(&From(headers));
    let builder = tracer.span_builder("exchange").with_kind(SpanKind::Server);
    let span = tracer.build_with_context(builder, &parent);
    parent.with_span(span)
}

struct From<'a>(&'a HeaderMap);

impl Extractor for From<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Into<'a>(&'a mut HeaderMap);

impl Injector for Into<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::SpanData;

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl opentelemetry_sdk::trace::SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    const CLIENTS: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_span_stands_between_client_and_server() {
        let kept = Kept::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", CLIENTS.parse().unwrap());
        let trace = Trace(Some(begin(&provider.tracer("test"), &headers)));
        trace.pass_on(&mut headers);
        let told = headers["traceparent"].to_str().unwrap().to_owned();
        trace.end(Ended {
            method: "GET",
            route: "fhir",
            interaction: "read",
            resource_type: "Patient",
            status: 502,
            attempts: 2,
            source: "upstream",
            end: "complete",
            request_id: "r1",
        });
        let spans = kept.0.lock().unwrap();
        let [span] = &spans[..] else { unreachable!("{spans:?}") };
        assert_eq!(span.name, "GET fhir read");
        assert_eq!(span.parent_span_id.to_string(), "b7ad6b7169203331");
        let ids = format!("00-{}-{}-01", span.span_context.trace_id(), span.span_context.span_id());
        assert!(told == ids && told.starts_with(&CLIENTS[..36]) && told != CLIENTS, "{told}");
        assert_eq!(span.status, Status::error("upstream"));
        let value = |key: &str| {
            span.attributes.iter().find(|pair| pair.key.as_str() == key).unwrap().value.to_string()
        };
        assert_eq!((value("fhir.interaction").as_str(), value("fireguard.attempts").as_str()), ("read", "2"));
    }

    #[test]
    fn without_an_endpoint_the_client_s_own_is_passed_on() {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", CLIENTS.parse().unwrap());
        Trace(None).pass_on(&mut headers);
        assert_eq!(headers["traceparent"], CLIENTS);
    }
}
