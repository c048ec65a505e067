//! Notes who did what, for the audit.
//!
//! Strangers leave no events: who could not say who they are, or asked too often, was turned away before, and stands in
//! the log.

pub mod shown;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fireguard_fhir::interaction::Interaction;
use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::body::{Body, BodyError};
use http::StatusCode;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

use crate::audit::{Audit, Keeping, Notes, lost};
use crate::exchange::Asked;
use crate::failure::{Failure, Source};
use crate::stage::{Answer, Next, Stage};
use crate::state::Shared;

/// The stage. Answers 503 where nothing more can be noted.
pub struct Audited(Option<(Arc<Audit>, Arc<Keeping>)>);

/// When to come back.
const COME_BACK: Duration = Duration::from_secs(5);

impl Audited {
    /// As configured.
    pub fn new(shared: &Shared) -> Self {
        Self(shared.audit.clone().zip(shared.keeping.clone()))
    }
}

impl Stage<Asked> for Audited {
    type Out = Asked;

    fn pass(&self, asked: Asked) -> Result<Asked, Asked> {
        // What the server can do is no secret of anybody.
        let quiet = matches!(asked.request.interaction, Interaction::Capabilities);
        if self.0.is_none() || !asked.route.audit || quiet { Ok(asked) } else { Err(asked) }
    }

    async fn handle<N: Next<Asked>>(self: Arc<Self>, asked: Asked, mut next: N) -> Answer {
        let Some((audit, keeping)) = self.0.clone() else { return next.call(asked).await };
        if audit.is_full(&keeping) {
            if keeping.passes() {
                lost(1, "as many wait as may");
                return next.call(asked).await;
            }
            let message = "what is done here is noted, and at the moment it cannot be";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let failure = Failure::new(Source::Proxy, status, IssueCode::Transient, message);
            return Err(failure.detail("as many audit events wait as may").retry_after(COME_BACK));
        }
        let notes = Arc::new(Notes::new(audit, keeping, &asked));
        let _ = asked.facts.audit.set(Arc::clone(&notes));
        // Notes it however it ends, also when the client leaves now.
        let ending = Ending(notes);
        let head_only = asked.request.head_only;
        match next.call(asked).await {
            Ok(answer) => {
                ending.0.answered(answer.status());
                if head_only || http_body::Body::is_end_stream(answer.body()) {
                    return Ok(answer);
                }
                Ok(answer.map(|body| Noted { body, ending: Some(ending) }.boxed_unsync()))
            }
            Err(failure) => {
                ending.0.answered(failure.status);
                if let Some(denial) = &failure.denial {
                    ending.0.refused(denial);
                }
                Err(failure)
            }
        }
    }
}

/// Ends the notes when it is dropped.
struct Ending(Arc<Notes>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// An answer's body; its notes end with it.
struct Noted {
    body: Body,
    ending: Option<Ending>,
}

impl http_body::Body for Noted {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let over = matches!(polled, Poll::Ready(None | Some(Err(_)))) || self.body.is_end_stream();
        if over {
            self.ending = None;
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
