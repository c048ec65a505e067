//! The entries of a confined caller's batch or transaction: each is let through and judged like a request of its own,
//! before anything is sent; and so is what is answered to it.

use std::sync::Arc;

use fireguard_fhir::bundle::requests::Requests;
use fireguard_fhir::interaction::{BundleKind, Handling, Interaction, Refusal};
use fireguard_fhir::json::Tree;
use fireguard_fhir::outcome::IssueCode;
use http::StatusCode;

use super::entry::Around;
use super::settle::Settler;
use crate::exchange::{Ready, Upload};
use crate::failure::Failure;
use crate::stage::{Answer, Next};
use crate::stages::answers::responses;
use crate::stages::body::refused::RefusedEntries;
use crate::stages::plugins::to_server::whole;

/// Judges every entry, lets on what is left, and judges what is answered. What is refused of a batch is answered in its
/// place; of a transaction it refuses the whole.
pub(super) async fn through<N: Next<Ready>>(
    mut settler: Settler<N>,
    mut ready: Ready,
    most: usize,
) -> Answer {
    let Some(around) = Around::of(&ready, most) else { return settler.asker.go_on(ready).await };
    let limit = usize::try_from(ready.route.request_body).unwrap_or(usize::MAX);
    let body = whole(&mut ready.body, limit).await?;
    let mut requests = Requests::default();
    let asked = requests.feed(&body).map_err(|error| invalid(error.to_string()))?;
    requests.finish().map_err(|error| invalid(error.to_string()))?;
    let kind = requests.kind()?;
    let mut tree = Tree::parse(&body).map_err(|error| invalid(error.to_string()))?;
    let entries = match tree.take("entry") {
        Some(Tree::Array(entries)) => entries,
        _ => Vec::new(),
    };
    if entries.len() != asked.len() {
        return Err(invalid("something in the list of entries is no entry".to_owned()));
    }
    let (all, mut kept, mut expected) = (entries.len(), Vec::with_capacity(entries.len()), Vec::new());
    let refused = RefusedEntries::new(true);
    for (place, (entry, asked)) in entries.into_iter().zip(&asked).enumerate() {
        match around.entry(&mut settler, asked, entry).await {
            Ok((entry, answer)) => {
                kept.push(entry);
                expected.push(answer);
            }
            Err(failure) if kind == BundleKind::Transaction => return Err(of_whole(failure)),
            // What the server failed to tell is nobody's fault but its.
            Err(failure) if !failure.status.is_client_error() => return Err(failure),
            Err(failure) => {
                let Failure { status, code, message, .. } = failure;
                refused.add_with(place, Refusal::new(status.as_u16(), code, message), None)?;
            }
        }
    }
    refused.complete(all);
    let (format, id, passed) = (ready.request.format, ready.id.clone(), kept.len());
    let first = refused.first().filter(|_| passed == 0);
    let answer = match first {
        Some(first) => Err(of_whole(first.into())),
        None => {
            tree.set("entry", Tree::Array(kept));
            let request = Arc::make_mut(&mut ready.request);
            request.interaction = Interaction::Bundle { kind: Some(kind) };
            request.prefer.handling = Some(Handling::Strict);
            ready.body = Upload::whole(tree.to_bytes().into());
            ready.facts.entries_are(passed as u64);
            match settler.asker.go_on(ready).await {
                Ok(answer) if answer.status().is_success() => {
                    responses::answer(expected, id.as_str(), most, answer).await
                }
                other => other,
            }
        }
    };
    Ok(responses::judged(refused.within(answer, format, id.as_str()).await?))
}

/// An entry refuses the whole.
fn of_whole(mut failure: Failure) -> Failure {
    failure.message = format!("an entry of the Bundle is refused: {}", failure.message).into();
    failure
}

fn invalid(message: String) -> Failure {
    Failure::client(StatusCode::BAD_REQUEST, IssueCode::Structure, message)
}
