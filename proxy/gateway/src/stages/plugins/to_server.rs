//! Resources on their way to the server: the plugins that want them see them before anything is sent.

mod entries;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use fireguard_fhir::interaction::{BodyKind, Interaction, OperationMethod, Refusal, Request};
use fireguard_fhir::json;
use fireguard_fhir::outcome::IssueCode;
use fireguard_plugin_host::Direction;
use http::StatusCode;
use http_body_util::BodyExt;

use super::chain::{self, Chain, Fate, Part};
use super::judge::Judge;
use crate::exchange::{Ready, Upload};
use crate::failure::Failure;
use crate::plugins::Attached;
use crate::stage::{Answer, Next, Stage};
use crate::state::Shared;

/// The stage. A body that a plugin wants is read whole and written again with what plugins made of its resources;
/// every other byte is as it was. All others stream.
pub struct ToServer {
    judge: Judge,
}

impl ToServer {
    /// With the limits of the configuration.
    pub fn new(shared: &Shared) -> Self {
        Self { judge: Judge::new(shared) }
    }

    async fn single(&self, ready: &mut Ready) -> Result<(), Failure> {
        let code = ready.request.interaction.code();
        let mut chain = Chain::to_server(ready, code, self.judge);
        let content = whole(&mut ready.body, self.judge.limit).await?;
        let resource_type = json::resource_type_of(&content);
        let named = ready.request.interaction.resource_type().map(|ty| ty.as_str());
        let operation = matches!(ready.request.interaction, Interaction::Operation { .. });
        if resource_type.is_none() || (!operation && resource_type.as_deref() != named) {
            let message = "the body must be a resource of the type that the URL names";
            return Err(Failure::client(StatusCode::BAD_REQUEST, IssueCode::Invalid, message));
        }
        let part = Part { content, code: None };
        ready.body = Upload::whole(match chain.run(std::slice::from_ref(&part)).await?.pop() {
            Some(Fate::Changed(bytes)) => bytes,
            Some(Fate::Refused(refused)) => return Err(refused.failure()),
            // Dropping is no verdict on this way: it never comes here.
            Some(Fate::Kept | Fate::Dropped) | None => part.content,
        });
        Ok(())
    }
}

impl Stage<Ready> for ToServer {
    type Out = Ready;

    fn pass(&self, ready: Ready) -> Result<Ready, Ready> {
        if ready.route.plugins.is_empty() {
            return Ok(ready);
        }
        let interaction = &ready.request.interaction;
        let concerned = match ready.request.body {
            BodyKind::None | BodyKind::Form => false,
            _ => concerned(&ready, interaction),
        };
        let writes = !interaction.is_safe() && written_back(&ready).is_err();
        if concerned || writes { Err(ready) } else { Ok(ready) }
    }

    async fn handle<N: Next<Ready>>(self: Arc<Self>, mut ready: Ready, mut next: N) -> Answer {
        let bundle = matches!(ready.request.interaction, Interaction::Bundle { .. });
        if !bundle && !ready.request.interaction.is_safe() {
            written_back(&ready)?;
        }
        unseen(&ready.request)?;
        if bundle {
            return entries::through(self.judge, ready, next).await;
        }
        self.single(&mut ready).await?;
        next.call(ready).await
    }
}

/// Refuses to write who is shown what a plugin has changed that does not see what is written: it would be written back
/// with its gaps. On routes where such a plugin runs for everybody nobody writes at all.
fn written_back(ready: &Ready) -> Result<(), Refusal> {
    let sees = |attached: &Attached, direction| {
        attached.plugin.plan().interests.iter().any(|interest| interest.directions.contains(&direction))
    };
    let changes = |attached: &&Attached| {
        attached.only_obliged && sees(attached, Direction::ToClient) && !sees(attached, Direction::ToServer)
    };
    if ready.plugins().find(changes).is_none() {
        return Ok(());
    }
    let message = "what you are shown is changed on its way to you, and cannot be written back";
    Err(Refusal::new(403, IssueCode::Forbidden, message))
}

/// Whether plugins want what this interaction brings.
fn concerned(ready: &Ready, interaction: &Interaction) -> bool {
    let to_server = Direction::ToServer;
    let wants = |codes: &[&str], resource_type: &str| {
        let one = |code: &&str| ready.plugins().any(|a| a.plugin.wants(code, to_server, resource_type));
        codes.iter().any(one)
    };
    match interaction {
        // What they answer must fit what is asked.
        Interaction::Bundle { .. } => {
            chain::want(ready.plugins(), interaction, to_server)
                || chain::want(ready.plugins(), interaction, Direction::ToClient)
        }
        Interaction::Operation { method: OperationMethod::Post, .. } => {
            chain::want(ready.plugins(), interaction, to_server)
        }
        // It changes what an update would have shown.
        Interaction::Patch { ty, .. } | Interaction::ConditionalPatch { ty } => {
            wants(&["patch", "update"], ty.as_str())
        }
        other => other.resource_type().is_some_and(|ty| wants(&[other.code()], ty.as_str())),
    }
}

/// Whether a PATCH of this type would pass plugins by that want to see what is written.
fn patch_unseen(ready: &Ready, interaction: &Interaction) -> bool {
    matches!(interaction, Interaction::Patch { .. } | Interaction::ConditionalPatch { .. })
        && concerned(ready, interaction)
}

/// Refuses what plugins want to see and cannot: they see resources in JSON.
fn unseen(request: &Request) -> Result<(), Refusal> {
    match (&request.interaction, &request.body) {
        (Interaction::Patch { .. } | Interaction::ConditionalPatch { .. }, _) => Err(no_patch()),
        (_, BodyKind::FhirJson) => Ok(()),
        _ => {
            let message = "plugins of this route see what is written: send it as application/fhir+json";
            Err(Refusal::new(415, IssueCode::NotSupported, message))
        }
    }
}

fn no_patch() -> Refusal {
    let message =
        "plugins of this route see whole resources, and a patch is none: update the resource instead";
    let allow = &["GET", "HEAD", "PUT", "DELETE"];
    Refusal { allow, ..Refusal::new(405, IssueCode::NotSupported, message) }
}

/// Reads a body to its end.
///
/// # Errors
/// It is over the limit, was refused on its way, or broke off.
pub(in crate::stages) async fn whole(upload: &mut Upload, limit: usize) -> Result<Bytes, Failure> {
    let Upload { body, watch } = std::mem::replace(upload, Upload::whole(Bytes::new()));
    let mut body = body.into_body();
    let (mut first, mut all) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let broken = |error| {
            let message = "the request body broke off";
            let failure = Failure::client(StatusCode::BAD_REQUEST, IssueCode::Incomplete, message);
            watch.fault().unwrap_or_else(|| failure.detail(format!("{error}")))
        };
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if first.len().max(all.len()) + data.len() > limit {
            let message = "a resource is over the limit for what is looked at";
            return Err(Failure::client(StatusCode::PAYLOAD_TOO_LARGE, IssueCode::TooLong, message));
        }
        // Mostly one piece is all, and it is not copied.
        if first.is_empty() {
            first = data;
            continue;
        }
        if all.is_empty() {
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}
