//! Gate 2: before a confined caller's write is sent, the stored and the resulting version are both judged.
//!
//! What is judged is what is sent: a patch is applied here, conditions are resolved first, and the write carries the
//! version that was looked at. A read that is allowed only within search parameters is searched for first; a history, and
//! what an operation makes of a resource, is for those who see its present version.

use std::sync::Arc;

use fireguard_access::decision::Judge;
use fireguard_access::subscription;
use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::{BodyKind, Interaction, OperationScope};
use fireguard_fhir::outcome::IssueCode;
use http::StatusCode;

use super::bundle;
use super::settle::{Settler, Write};
use super::stored::Asker;
use crate::exchange::{Ready, Upload};
use crate::failure::Failure;
use crate::stage::{Answer, Next, Stage};
use crate::stages::hapi::only_if_absent;
use crate::stages::plugins::to_server::whole;
use crate::stages::words;
use crate::state::Shared;

/// The stage. Whoever is not confined passes at once.
pub struct Writes {
    /// The largest resource, in bytes.
    limit: usize,
}

impl Writes {
    /// With the limits of the configuration.
    pub fn new(shared: &Shared) -> Self {
        Self { limit: usize::try_from(shared.limits.resource.0).unwrap_or(usize::MAX) }
    }
}

impl Stage<Ready> for Writes {
    type Out = Ready;

    fn pass(&self, ready: Ready) -> Result<Ready, Ready> {
        if ready.caller.judge.is_some() && stores_subscription(&ready.request.interaction) {
            return Err(ready);
        }
        let Some(confined) = ready.caller.confined() else { return Ok(ready) };
        let looked_at = match &ready.request.interaction {
            Interaction::Read { .. } => confined.confinement().narrowed.is_some(),
            Interaction::HistoryInstance { .. } => true,
            Interaction::Operation { scope, .. } => matches!(scope, OperationScope::Instance { .. }),
            interaction => !interaction.is_safe(),
        };
        if looked_at { Err(ready) } else { Ok(ready) }
    }

    async fn handle<N: Next<Ready>>(self: Arc<Self>, mut ready: Ready, next: N) -> Answer {
        if let Some(judge) = ready.caller.judge.clone()
            && stores_subscription(&ready.request.interaction)
        {
            let body = whole(&mut ready.body, self.limit).await?;
            subscription(&*judge, &ready, &body)?;
            ready.body = Upload::whole(body);
        }
        let Some(confined) = ready.caller.confined() else {
            let mut next = next;
            return next.call(ready).await;
        };
        let asker = Asker::new(&ready, next, self.limit);
        let mut settler = Settler { judge: Arc::clone(&confined.judge), asker };
        let confinement = confined.confinement();
        if matches!(ready.request.interaction, Interaction::Bundle { .. }) {
            return bundle::through(settler, ready, self.limit).await;
        }
        settler.may_be_asked(&ready.request.interaction, confinement).await?;
        if ready.request.interaction.is_safe() {
            return settler.asker.go_on(ready).await;
        }
        let body = whole(&mut ready.body, self.limit).await?;
        let conditional = ready.request.preconditions.if_match.is_some();
        let request = (*ready.request).clone();
        let settled = settler.settle(Write::new(request, body), confinement.narrowed.as_ref()).await?;
        let Write { mut request, body, .. } = settled;
        if request.preconditions.if_none_match.is_some() && !ready.route.hapi.check_versions {
            only_if_absent(&mut request.preconditions);
        }
        ready.request = Arc::new(request);
        ready.body = Upload::whole(body);
        let answer = settler.asker.go_on(ready).await;
        match answer {
            // The condition was ours: somebody else has changed it since it was looked at.
            Err(failure) if failure.status == StatusCode::PRECONDITION_FAILED && !conditional => {
                Err(words::changed())
            }
            Ok(answer) if answer.status() == StatusCode::PRECONDITION_FAILED && !conditional => {
                Err(words::changed())
            }
            other => other,
        }
    }
}

/// Whether a Subscription will be stored, which reads what its criteria say.
fn stores_subscription(interaction: &Interaction) -> bool {
    let written = !interaction.is_safe()
        && !matches!(interaction, Interaction::Delete { .. } | Interaction::ConditionalDelete { .. });
    written && interaction.resource_type() == Some(ResourceType::Subscription)
}

fn subscription(judge: &dyn Judge, ready: &Ready, body: &[u8]) -> Result<(), Failure> {
    if ready.request.body != BodyKind::FhirJson {
        let message =
            "a Subscription is looked at before it is stored: send it whole, as application/fhir+json";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Failure::client(status, IssueCode::NotSupported, message));
    }
    Ok(subscription::judge(judge, &ready.route.surface, body)?)
}
