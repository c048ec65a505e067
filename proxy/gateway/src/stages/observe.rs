//! Notes how each exchange ended: one log line, one count, one duration. Nothing a resource says is in them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use fireguard_traffic::body::{Body, BodyError};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use metrics::{counter, histogram};

use crate::exchange::{Arrived, Facts};
use crate::stage::{Answer, Next, Stage};

/// The stage.
pub struct Observe;

impl Stage<Arrived> for Observe {
    type Out = Arrived;

    async fn handle<N: Next<Arrived>>(self: Arc<Self>, arrived: Arrived, mut next: N) -> Answer {
        let mut record = Record {
            id: arrived.id.clone(),
            method: arrived.parts.method.clone(),
            facts: Arc::clone(&arrived.facts),
            since: Instant::now(),
            status: 0,
            source: "none",
            detail: None,
            bytes: 0,
            end: End::ClientLeft,
        };
        match next.call(arrived).await {
            Ok(response) => {
                record.status = response.status().as_u16();
                Ok(response.map(|body| Observed { body, record }.boxed_unsync()))
            }
            Err(failure) => {
                record.status = failure.status.as_u16();
                record.source = failure.source.as_str();
                record.detail =
                    Some(failure.detail.clone().unwrap_or_else(|| failure.message.clone().into_owned()));
                record.end = End::Complete;
                Err(failure)
            }
        }
    }
}

/// How the answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It was sent to its end.
    Complete,
    /// It broke off: the connection was aborted.
    Aborted,
    /// Nobody read it to its end.
    ClientLeft,
}

/// What is noted; written when dropped, so exactly once.
struct Record {
    id: String,
    method: http::Method,
    facts: Arc<Facts>,
    since: Instant,
    status: u16,
    source: &'static str,
    detail: Option<String>,
    bytes: u64,
    end: End,
}

impl Drop for Record {
    fn drop(&mut self) {
        let route = self.facts.route.get().map_or("none", String::as_str);
        let interaction = self.facts.interaction.get().copied().unwrap_or("none");
        let end = match self.end {
            End::Complete => "complete",
            End::Aborted => "aborted",
            End::ClientLeft => "client-left",
        };
        let seconds = self.since.elapsed().as_secs_f64();
        let status = self.status.to_string();
        let route_label = route.to_owned();
        counter!("fireguard_requests_total", "route" => route_label.clone(), "interaction" => interaction,
            "status" => status, "source" => self.source, "end" => end)
        .increment(1);
        histogram!("fireguard_request_seconds", "route" => route_label.clone(), "interaction" => interaction)
            .record(seconds);
        counter!("fireguard_answer_bytes_total", "route" => route_label).increment(self.bytes);
        tracing::info!(
            target: "fireguard::access",
            request_id = self.id,
            method = %self.method,
            route,
            interaction,
            resource_type = self.facts.resource_type.get().copied().unwrap_or("none"),
            status = self.status,
            source = self.source,
            detail = self.detail.as_deref(),
            abort = self.facts.abort.get().map(String::as_str),
            attempts = self.facts.attempts.load(Ordering::Relaxed),
            bytes = self.bytes,
            milliseconds = (seconds * 1e4).round() / 10.0,
            end,
        );
    }
}

/// An answer's body that is watched to its end.
struct Observed {
    body: Body,
    record: Record,
}

impl http_body::Body for Observed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.record.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                if self.body.is_end_stream() {
                    self.record.end = End::Complete;
                }
            }
            Poll::Ready(Some(Err(error))) => {
                self.record.end = End::Aborted;
                let _ = self.record.facts.abort.set(error.to_string());
            }
            Poll::Ready(None) => self.record.end = End::Complete,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
