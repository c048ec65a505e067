//! One entry of a confined caller's batch or transaction: what it asks for, as it may be sent, and what its answer is
//! judged by.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fireguard_access::gate;
use fireguard_fhir::bundle::requests::EntryRequest;
use fireguard_fhir::interaction::{Id, Interaction, Refusal, Request};
use fireguard_fhir::json::Tree;
use fireguard_fhir::outcome::IssueCode;
use fireguard_fhir::parameters::Parameters;
use fireguard_fhir::urls::{Rewrite, UrlRewriter};
use http::StatusCode;

use super::admit;
use super::settle::{Settler, Write};
use crate::caller::Caller;
use crate::exchange::Ready;
use crate::face::Face;
use crate::facts::Facts;
use crate::failure::Failure;
use crate::stage::Next;
use crate::stages::answers::responses::Expected;
use crate::stages::answers::sight::Sight;
use crate::stages::hapi::only_if_absent;
use crate::state::Route;

/// What the entries of one Bundle share.
pub(super) struct Around {
    caller: Caller,
    sight: Sight,
    face: Arc<Face>,
    route: Arc<Route>,
    facts: Arc<Facts>,
    /// Seals links to further pages of a search that was narrowed; none: nobody is known for whom.
    links: Option<Arc<Rewrite>>,
}

impl Around {
    /// Of this exchange; none: its caller is not confined. `most`: the largest resource, in bytes.
    pub(super) fn of(ready: &Ready, most: usize) -> Option<Self> {
        let links = ready.caller.links.as_ref().map(|links| ready.face.sealed(Arc::new(links.proved())));
        Some(Self {
            caller: ready.caller.clone(),
            sight: Sight::of(ready, most)?,
            face: Arc::clone(&ready.face),
            route: Arc::clone(&ready.route),
            facts: Arc::clone(&ready.facts),
            links,
        })
    }

    /// The entry as it may be sent, and what its answer is judged by.
    ///
    /// # Errors
    /// It may not.
    pub(super) async fn entry<N: Next<Ready>>(
        &self,
        settler: &mut Settler<N>,
        asked: &EntryRequest,
        entry: Tree,
    ) -> Result<(Tree, Expected), Failure> {
        let url = asked.url();
        let mut request = asked.parse(self.face.base.strip(url).unwrap_or(url))?;
        self.face.to_server.request(&mut request);
        // Policies may look at how this is asked for, and not at how the Bundle is.
        if let Some(judge) = self.caller.asking(&self.route, &request, None).judge {
            settler.judge = judge;
        }
        let granted = gate::admit(&*settler.judge, &mut request).map_err(admit::failure)?;
        admit::obliged(&granted, &self.route)?;
        if let Some(notes) = self.facts.audit.get() {
            notes.granted(&granted);
        }
        let Some(confinement) = granted.confinement.clone() else { return Ok((entry, Expected::all())) };
        let expected = Expected::of(&self.sight, Arc::clone(&settler.judge), granted, &mut request)?;
        settler.may_be_asked(&request.interaction, &confinement).await?;
        if request.interaction.is_safe() {
            let links = self.links.clone().filter(|_| confinement.narrowed.is_some());
            return Ok((asking(entry, &request), expected.linked(links)));
        }
        let body = match &request.interaction {
            Interaction::Create { .. }
            | Interaction::ConditionalCreate { .. }
            | Interaction::Update { .. }
            | Interaction::ConditionalUpdate { .. } => {
                entry.get("resource").map(Tree::to_bytes).unwrap_or_default().into()
            }
            Interaction::Delete { .. } | Interaction::ConditionalDelete { .. } => Bytes::new(),
            Interaction::Patch { .. } | Interaction::ConditionalPatch { .. } => self.patch(&entry)?,
            _ => {
                let message = "this cannot be confined in a Bundle: ask for it by itself";
                return Err(Refusal::new(403, IssueCode::Forbidden, message).into());
            }
        };
        let settled = settler.settle(Write::new(request, body), confinement.narrowed.as_ref()).await?;
        writing(entry, settled, expected)
    }

    /// The JSON Patch that an entry brings in a Binary (R4 http.html#patch), with URLs as the server knows them.
    fn patch(&self, entry: &Tree) -> Result<Bytes, Failure> {
        let unfit = || {
            let message = "what a patch makes is looked at before: send it as a Binary with the contentType \
                           application/json-patch+json";
            Failure::client(StatusCode::UNSUPPORTED_MEDIA_TYPE, IssueCode::NotSupported, message)
        };
        let text = |name: &str| entry.get("resource")?.get(name)?.as_text();
        let kind = text("contentType").filter(|_| text("resourceType").as_deref() == Some("Binary"));
        if kind.as_deref() != Some("application/json-patch+json") {
            return Err(unfit());
        }
        let data = text("data").and_then(|data| STANDARD.decode(&*data).ok()).ok_or_else(unfit)?;
        let (mut urls, mut patch) =
            (UrlRewriter::toward_server(Arc::clone(&self.face.to_server), true), Vec::new());
        let read = urls.feed(&data, &mut patch).and_then(|()| urls.finish());
        read.map_err(|error| invalid(error.to_string()))?;
        Ok(patch.into())
    }
}

/// The entry with what it asks for, and no condition: that nothing has changed is something to know of a resource, too.
fn asking(entry: Tree, request: &Request) -> Tree {
    let target = request.target();
    with_request(
        entry,
        [("method", Some(target.method.to_owned())), ("url", Some(relative(&target.path_and_query)))],
    )
}

/// The entry with what was made of it.
fn writing(
    mut entry: Tree,
    Write { mut request, body, since }: Write,
    expected: Expected,
) -> Result<(Tree, Expected), Failure> {
    if let Interaction::Delete { ty, id } = &request.interaction {
        let url = unchanged(&format!("{ty}"), id, since)?;
        let members = [("method", Some("DELETE".to_owned())), ("url", Some(url))];
        return Ok((with_request(entry, members), expected.of_unchanged()));
    }
    let target = request.target();
    let conditions = &mut request.preconditions;
    if conditions.if_none_match.is_some() {
        only_if_absent(conditions);
    }
    let version = conditions.if_match.as_ref();
    let condition = conditions.if_none_exist.as_ref();
    let members = [
        ("method", Some(target.method.to_owned())),
        ("url", Some(relative(&target.path_and_query))),
        ("ifMatch", version.map(|version| format!("W/\"{version}\""))),
        ("ifNoneExist", condition.map(Parameters::serialise)),
    ];
    entry = with_request(entry, members);
    if !body.is_empty() {
        entry.set("resource", Tree::parse(&body).map_err(|error| invalid(error.to_string()))?);
    }
    Ok((entry, expected))
}

/// HAPI keeps no condition on the version that is deleted: so what is deleted is searched for, as it was looked at.
fn unchanged(ty: &str, id: &Id, since: Option<String>) -> Result<String, Failure> {
    let since = since.ok_or_else(|| {
        let message = "what is stored does not say since when, and cannot be deleted in a Bundle";
        Failure::upstream(message, "no meta.lastUpdated")
    })?;
    let mut search = Parameters::default();
    search.push("_id", id.as_str());
    search.push("_lastUpdated", format!("eq{since}"));
    Ok(format!("{ty}?{}", search.serialise()))
}

fn with_request<const N: usize>(mut entry: Tree, members: [(&str, Option<String>); N]) -> Tree {
    let members =
        members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Tree::text(&value?))));
    entry.set("request", Tree::Object(members.collect()));
    entry
}

fn relative(path_and_query: &str) -> String {
    path_and_query.trim_start_matches('/').to_owned()
}

fn invalid(message: String) -> Failure {
    Failure::client(StatusCode::BAD_REQUEST, IssueCode::Structure, message)
}
