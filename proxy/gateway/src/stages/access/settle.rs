//! Gate 2 for one write, whole or as an entry of a Bundle: the stored and the resulting version are both judged, and
//! the write is sent such that it can be about nothing else.

use std::sync::Arc;

use bytes::Bytes;
use fireguard_access::confinement::{Confinement, Narrowed};
use fireguard_access::decision::{Action, Judge, Permission};
use fireguard_access::resource::Found;
use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::{
    BodyKind, Id, IfNoneMatch, Interaction, OperationScope, Preconditions, Request,
};
use fireguard_fhir::json::Tree;
use fireguard_fhir::outcome::IssueCode;
use fireguard_fhir::patch::{self, PatchError};
use http::StatusCode;

use super::stored::{Asker, Present, Stored};
use crate::exchange::Ready;
use crate::failure::{Failure, Source};
use crate::stage::Next;
use crate::stages::words;

/// A write.
pub(super) struct Write {
    /// What is asked for.
    pub(super) request: Request,
    /// The body; none of a DELETE.
    pub(super) body: Bytes,
    /// Of a DELETE: when what is deleted came to be as it was looked at.
    pub(super) since: Option<String>,
}

impl Write {
    /// As it is asked for.
    pub(super) fn new(request: Request, body: Bytes) -> Self {
        Self { request, body, since: None }
    }
}

/// Judges writes.
pub(super) struct Settler<N> {
    /// Decides.
    pub(super) judge: Arc<dyn Judge>,
    /// Asks the server.
    pub(super) asker: Asker<N>,
}

impl<N: Next<Ready>> Settler<N> {
    /// The write as it may be sent.
    ///
    /// # Errors
    /// It may not be. What the caller may not see is answered as if it were not there.
    pub(super) async fn settle(
        &mut self,
        mut write: Write,
        narrowed: Option<&Narrowed>,
    ) -> Result<Write, Failure> {
        match write.request.interaction.clone() {
            Interaction::Create { ty } | Interaction::ConditionalCreate { ty } => {
                let new = self.version(ty, &write.body)?;
                self.may_become(&Action::Create, &new.outer, &write.body)?;
                Ok(write)
            }
            Interaction::Update { ty, id } => self.update(ty, id, write).await,
            Interaction::Patch { ty, id } => self.patch(ty, id, write).await,
            Interaction::Delete { ty, id } => self.delete(ty, &id, write).await,
            Interaction::ConditionalUpdate { ty } => match self.only_match(ty, &write, narrowed).await? {
                Some(id) => {
                    write.body = with_id(ty, &id, &write.body)?;
                    write.request.interaction = Interaction::Update { ty, id: id.clone() };
                    write.request.parameters = Default::default();
                    self.update(ty, id, write).await
                }
                None => self.make(ty, write),
            },
            Interaction::ConditionalPatch { ty } => {
                let id = self.only_match(ty, &write, narrowed).await?.ok_or_else(words::not_found)?;
                write.request.parameters = Default::default();
                self.patch(ty, id, write).await
            }
            Interaction::ConditionalDelete { ty } => {
                let id = self.only_match(ty, &write, narrowed).await?.ok_or_else(words::not_found)?;
                write.request.interaction = Interaction::Delete { ty, id: id.clone() };
                write.request.parameters = Default::default();
                self.delete(ty, &id, write).await
            }
            _ => Ok(write),
        }
    }

    /// Looks whether what is asked for may be asked for, where gate 1 could not tell: a read within what a scope names
    /// is searched for first; a history, and what an operation makes of a resource, is for those who see its present
    /// version.
    ///
    /// # Errors
    /// It may not, or nobody could tell: it is answered as if it were not there.
    pub(super) async fn may_be_asked(
        &mut self,
        interaction: &Interaction,
        confinement: &Confinement,
    ) -> Result<(), Failure> {
        let seen = match (interaction, &confinement.narrowed) {
            (Interaction::Read { ty, .. }, Some(by)) => self.is_found(*ty, by).await?,
            (
                Interaction::HistoryInstance { ty, id }
                | Interaction::Operation { scope: OperationScope::Instance { ty, id }, .. },
                _,
            ) => self.is_seen(&confinement.shown, *ty, id).await?,
            _ => true,
        };
        if seen { Ok(()) } else { Err(words::not_found()) }
    }

    /// Whether a search finds this resource within what a scope names.
    async fn is_found(&mut self, ty: ResourceType, by: &Narrowed) -> Result<bool, Failure> {
        Ok(!self.asker.matches(ty, &by.required, Some(by)).await?.is_empty())
    }

    /// Whether the present version may be seen. An answer that is a list would tell by being empty what one that is
    /// refused does not: that there is such a resource.
    async fn is_seen(&mut self, action: &Action, ty: ResourceType, id: &Id) -> Result<bool, Failure> {
        match self.asker.stored(ty, id).await? {
            Stored::Present(stored) => Ok(self.allowed(action, &stored.found.outer, &stored.bytes).is_some()),
            Stored::Absent | Stored::Gone => Ok(false),
        }
    }

    async fn update(&mut self, ty: ResourceType, id: Id, mut write: Write) -> Result<Write, Failure> {
        let new = self.version(ty, &write.body)?;
        if new.outer.id.as_ref() != Some(&id) {
            return Err(invalid("the id of the resource must be the one of the URL"));
        }
        self.may_become(&Action::Update, &new.outer, &write.body)?;
        let conditions = &mut write.request.preconditions;
        match self.asker.stored(ty, &id).await? {
            Stored::Absent if conditions.if_match.is_some() => Err(stale()),
            Stored::Absent => {
                // Whether there is a resource that may not be seen, or none that may be made, is the same answer.
                self.allowed(&Action::Create, &new.outer, &write.body).ok_or_else(words::not_found)?;
                conditions.if_none_match = Some(IfNoneMatch::Any);
                Ok(write)
            }
            Stored::Gone => Err(words::not_found()),
            Stored::Present(stored) => {
                self.may_change(&Action::Update, &stored)?;
                pin(conditions, &stored)?;
                if let Some(body) = self.kept(&stored, &new, &write.body)? {
                    write.body = body;
                }
                Ok(write)
            }
        }
    }

    async fn patch(&mut self, ty: ResourceType, id: Id, mut write: Write) -> Result<Write, Failure> {
        let Stored::Present(stored) = self.asker.stored(ty, &id).await? else {
            return Err(words::not_found());
        };
        let allowed = self.may_change(&Action::Patch, &stored)?;
        if !self.hidden(&stored.found.outer, &allowed).is_empty() {
            let message =
                "a patch of what is not wholly shown to you cannot be judged: update the resource instead";
            return Err(forbidden(message));
        }
        pin(&mut write.request.preconditions, &stored)?;
        let body = Bytes::from(patch::apply(&stored.bytes, &write.body).map_err(|error| unpatched(&error))?);
        let new = self.version(ty, &body)?;
        if new.outer.id.as_ref() != Some(&id) {
            return Err(invalid("a patch cannot change the id of a resource"));
        }
        self.may_become(&Action::Patch, &new.outer, &body)?;
        self.may_look_up(&body)?;
        write.body = self.kept(&stored, &new, &body)?.unwrap_or(body);
        write.request.interaction = Interaction::Update { ty, id };
        write.request.body = BodyKind::FhirJson;
        Ok(write)
    }

    async fn delete(&mut self, ty: ResourceType, id: &Id, mut write: Write) -> Result<Write, Failure> {
        let Stored::Present(stored) = self.asker.stored(ty, id).await? else {
            return Err(words::not_found());
        };
        self.may_change(&Action::Delete, &stored)?;
        pin(&mut write.request.preconditions, &stored)?;
        write.since = stored.updated;
        Ok(write)
    }

    /// A conditional update that finds nothing: it creates, unless somebody else has meanwhile.
    fn make(&self, ty: ResourceType, mut write: Write) -> Result<Write, Failure> {
        let conditions = &mut write.request.preconditions;
        if conditions.if_match.is_some() {
            return Err(stale());
        }
        conditions.if_none_match = None;
        conditions.if_none_exist = Some(std::mem::take(&mut write.request.parameters));
        let mut tree = tree(&write.body)?;
        tree.take("id");
        write.body = tree.to_bytes().into();
        let new = self.version(ty, &write.body)?;
        self.may_become(&Action::Create, &new.outer, &write.body)?;
        write.request.interaction = Interaction::ConditionalCreate { ty };
        Ok(write)
    }

    /// The one resource that a condition is about.
    async fn only_match(
        &mut self,
        ty: ResourceType,
        write: &Write,
        narrowed: Option<&Narrowed>,
    ) -> Result<Option<Id>, Failure> {
        let found = self.asker.matches(ty, &write.request.parameters, narrowed).await?;
        let seen = |found: &Found| {
            matches!(self.judge.resource(&Action::Search, &found.outer), Permission::Allowed(_))
        };
        let mut seen = found.into_iter().filter(seen);
        match (seen.next(), seen.next()) {
            (Some(_), Some(_)) => {
                let message = "the condition finds several resources";
                Err(Failure::client(StatusCode::PRECONDITION_FAILED, IssueCode::MultipleMatches, message))
            }
            (one, _) => Ok(one.and_then(|found| found.outer.id)),
        }
    }
}

/// Has the write apply to the version that was judged, and to no other.
fn pin(conditions: &mut Preconditions, stored: &Present) -> Result<(), Failure> {
    let other = conditions.if_match.as_ref().is_some_and(|version| *version != stored.version);
    if other || conditions.if_none_match.is_some() {
        return Err(stale());
    }
    conditions.if_match = Some(stored.version.clone());
    Ok(())
}

/// With the id that a condition has found.
fn with_id(ty: ResourceType, id: &Id, body: &[u8]) -> Result<Bytes, Failure> {
    let mut tree = tree(body)?;
    match tree.get("id").map(Tree::as_text) {
        None => tree.set("id", Tree::text(id.as_str())),
        Some(own) if own.as_deref() == Some(id.as_str()) => {}
        Some(_) => {
            return Err(invalid(format!(
                "the id of the {ty} is not the one of the resource that the condition finds"
            )));
        }
    }
    Ok(tree.to_bytes().into())
}

fn tree(body: &[u8]) -> Result<Tree, Failure> {
    Tree::parse(body).map_err(|error| invalid(error.to_string()))
}

fn unpatched(error: &PatchError) -> Failure {
    let (status, code) = match error {
        PatchError::Json(_) | PatchError::Malformed(_) => (StatusCode::BAD_REQUEST, IssueCode::Invalid),
        PatchError::Place(_) | PatchError::Test(_) => {
            (StatusCode::UNPROCESSABLE_ENTITY, IssueCode::Processing)
        }
    };
    Failure::client(status, code, format!("the patch cannot be applied: {error}"))
}

fn stale() -> Failure {
    let message = "the version is not the one that the condition names";
    Failure::client(StatusCode::PRECONDITION_FAILED, IssueCode::Conflict, message)
}

pub(super) fn forbidden(message: &'static str) -> Failure {
    Failure::new(Source::Policy, StatusCode::FORBIDDEN, IssueCode::Forbidden, message)
}

pub(super) fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Failure {
    Failure::client(StatusCode::BAD_REQUEST, IssueCode::Invalid, message)
}
