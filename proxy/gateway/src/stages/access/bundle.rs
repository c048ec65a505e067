//! The entries of a confined caller's batch or transaction: each is let through and judged like a request of its own,
//! before anything is sent.

use std::sync::Arc;

use fireguard_access::confinement::Confinement;
use fireguard_access::decision::Judge;
use fireguard_access::gate;
use fireguard_fhir::bundle::requests::{EntryRequest, Requests};
use fireguard_fhir::interaction::{BundleKind, Interaction, Refusal, Request};
use fireguard_fhir::json::Tree;
use fireguard_fhir::outcome::IssueCode;
use fireguard_fhir::parameters::Parameters;
use http::StatusCode;

use super::admit;
use super::settle::{Settler, Write};
use crate::exchange::{Ready, Upload};
use crate::failure::Failure;
use crate::stage::{Answer, Next};
use crate::stages::body::refused::RefusedEntries;
use crate::stages::hapi::only_if_absent;
use crate::stages::plugins::to_server::whole;

/// Judges every entry, and lets on what is left. What is refused of a batch is answered in its place; of a transaction
/// it refuses the whole.
pub(super) async fn through<N: Next<Ready>>(mut settler: Settler<'_, N>, mut ready: Ready) -> Answer {
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
    let (all, mut kept) = (entries.len(), Vec::with_capacity(entries.len()));
    let refused = RefusedEntries::new(true);
    for (place, (entry, asked)) in entries.into_iter().zip(&asked).enumerate() {
        let entered = Entry::of(&ready, settler.judge, asked);
        let settled = match entered {
            Ok(entered) => entered.settle(&mut settler, entry).await,
            Err(failure) => Err(failure),
        };
        match settled {
            Ok(entry) => kept.push(entry),
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
            Arc::make_mut(&mut ready.request).interaction = Interaction::Bundle { kind: Some(kind) };
            ready.body = Upload::whole(tree.to_bytes().into());
            ready.facts.entries_are(passed as u64);
            settler.asker.go_on(ready).await
        }
    };
    refused.within(answer, format, id.as_str()).await
}

/// One entry, let through gate 1.
struct Entry {
    request: Request,
    /// None: nothing of it has to be looked at.
    confinement: Option<Confinement>,
}

impl Entry {
    /// What it asks for, judged like a request of its own.
    fn of(ready: &Ready, judge: &dyn Judge, asked: &EntryRequest) -> Result<Self, Failure> {
        let url = asked.url();
        let mut request = asked.parse(ready.face.base.strip(url).unwrap_or(url))?;
        ready.face.to_server.request(&mut request);
        let granted = gate::admit(judge, &mut request).map_err(admit::failure)?;
        Ok(Self { request, confinement: granted.confinement })
    }

    /// As it may be sent.
    async fn settle<N: Next<Ready>>(
        self,
        settler: &mut Settler<'_, N>,
        entry: Tree,
    ) -> Result<Tree, Failure> {
        let Some(confinement) = self.confinement else { return Ok(entry) };
        match &self.request.interaction {
            Interaction::Read { .. } | Interaction::VersionRead { .. } if confinement.narrowed.is_none() => {
                return Ok(entry);
            }
            Interaction::Create { .. }
            | Interaction::ConditionalCreate { .. }
            | Interaction::Update { .. }
            | Interaction::ConditionalUpdate { .. }
            | Interaction::Delete { .. }
            | Interaction::ConditionalDelete { .. } => {}
            _ => {
                let message =
                    "searches, histories, patches and operations are confined by themselves, not in a Bundle";
                return Err(Refusal::new(403, IssueCode::Forbidden, message).into());
            }
        }
        let body = entry.get("resource").map(Tree::to_bytes).unwrap_or_default().into();
        let write = Write { request: self.request, body };
        let settled = settler.settle(write, confinement.narrowed.as_ref()).await?;
        written(entry, settled)
    }
}

/// The entry with what was made of it.
fn written(mut entry: Tree, Write { mut request, body }: Write) -> Result<Tree, Failure> {
    let target = request.target();
    let conditions = &mut request.preconditions;
    if conditions.if_none_match.is_some() {
        only_if_absent(conditions);
    }
    // HAPI keeps no condition on the version that is deleted.
    let pinned = conditions.if_match.as_ref().filter(|_| target.method != "DELETE");
    let condition = conditions.if_none_exist.as_ref();
    let members = [
        ("method", Some(target.method.to_owned())),
        ("url", Some(target.path_and_query.trim_start_matches('/').to_owned())),
        ("ifMatch", pinned.map(|version| format!("W/\"{version}\""))),
        ("ifNoneExist", condition.map(Parameters::serialise)),
    ];
    let members =
        members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Tree::text(&value?))));
    entry.set("request", Tree::Object(members.collect()));
    if !body.is_empty() {
        entry.set("resource", Tree::parse(&body).map_err(|error| invalid(error.to_string()))?);
    }
    Ok(entry)
}

/// An entry refuses the whole.
fn of_whole(mut failure: Failure) -> Failure {
    failure.message = format!("an entry of the Bundle is refused: {}", failure.message).into();
    failure
}

fn invalid(message: String) -> Failure {
    Failure::client(StatusCode::BAD_REQUEST, IssueCode::Structure, message)
}
