//! The phases of the contract: a trait for each, and what its calls carry.

use fireguard_fhir::json::{self, Rewrite};

use crate::{Host, Plugin, Refusal};

/// Phase: a request that may go to the server, before its body is looked at.
pub trait Request: Plugin {
    /// What becomes of a request.
    fn request(&mut self, host: &dyn Host, exchange: &Exchange, head: Head) -> Action;
}

/// Phase: the resources of a body, in batches, in the order they stand in it.
pub trait Resources: Plugin {
    /// One verdict for each resource, in the same order.
    fn resources(
        &mut self,
        host: &dyn Host,
        exchange: &Exchange,
        direction: Direction,
        items: &[Item],
    ) -> Vec<Verdict>;
}

/// Phase: writes that the server has acknowledged. At least once for each; the same event may come again.
pub trait Written: Plugin {
    /// One answer for each event, in the same order.
    fn written(&mut self, host: &dyn Host, events: &[Event]) -> Vec<Settled>;
}

/// Phase: messages that become resources: of devices, rows, files.
pub trait Ingest: Plugin {
    /// For each message, in the same order, the resources it becomes (there may be none), or what is wrong with it.
    fn ingest(
        &mut self,
        host: &dyn Host,
        exchange: &Exchange,
        messages: &[Message],
    ) -> Vec<Result<Vec<Vec<u8>>, MessageProblem>>;
}

/// Which way a body travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the caller to the FHIR server: what is about to be written.
    ToServer,
    /// From the FHIR server to the caller: what is about to be read.
    ToClient,
}

/// A name and a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Field {
    pub name: String,
    pub value: String,
}

/// The request that a call belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exchange {
    /// The request id, as it stands in logs and in `X-Request-Id`.
    pub id: String,
    /// The name of the route in the configuration.
    pub route: String,
    /// The FHIR interaction code: `read`, `search-type`, `transaction`, …
    pub interaction: String,
    /// Further facts. None are defined in this version.
    pub extras: Vec<Field>,
}

/// What a request asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The type of resource it is about; none for the whole system.
    pub resource_type: Option<String>,
    /// The id of the resource.
    pub id: Option<String>,
    /// The version of the resource.
    pub version_id: Option<String>,
    /// The name of the operation, with its `$`.
    pub operation: Option<String>,
    /// The parameters of the query or form: names with their modifiers, values without percent-encoding, in order.
    pub parameters: Vec<Field>,
    /// The headers that mean something to a FHIR server; names in lower case.
    pub headers: Vec<Field>,
    /// `compartment`, `compartment-id`: of a compartment search.
    pub extras: Vec<Field>,
}

/// An answer in place of the server's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// 200 to 599.
    pub status: u16,
    /// Those that a FHIR server may send: `etag`, `last-modified`, `retry-after`, …
    pub headers: Vec<Field>,
    /// A resource in JSON, or nothing.
    pub body: Vec<u8>,
    /// None are defined in this version.
    pub extras: Vec<Field>,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It goes on as it is.
    Forward,
    /// It goes on with this head. It is judged again as if the caller had sent it; where type, id, version or
    /// operation are others, only with the grant `retarget`. The interaction stays what it is.
    Change(Head),
    /// This is the answer. The server is not asked.
    Answer(Answer),
    /// It is refused.
    Refuse(Refusal),
}

/// One resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// One JSON object, as it was sent.
    pub content: Vec<u8>,
    /// In a batch or transaction `interaction`: what its entry asks for.
    pub extras: Vec<Field>,
}

/// What becomes of one resource. It stays of its type; toward the server it keeps its id as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It passes as it is.
    Keep,
    /// It passes with these edits, sorted by `start` and without overlap.
    Edits(Vec<Edit>),
    /// These bytes take its place.
    Replace(Vec<u8>),
    /// It is left out of the Bundle; a single resource is answered as if it did not exist. What is written cannot be
    /// dropped, only refused.
    Drop,
    /// The exchange is refused; of a batch toward the server, the entry.
    Refuse(Refusal),
}

/// Replaces the bytes from `start` up to, not including, `end` with `text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The first byte that goes.
    pub start: u32,
    /// The first byte after that stays.
    pub end: u32,
    /// What takes their place.
    pub text: Vec<u8>,
}

/// One write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// The same for every repetition of the event, and for no other.
    pub id: String,
    /// The request that wrote.
    pub exchange: Exchange,
    /// `create`, `update`, `patch` or `delete`.
    pub interaction: String,
    /// The type of the resource.
    pub resource_type: String,
    /// Its id.
    pub resource_id: String,
    /// The version it now has, where the server said it.
    pub version_id: Option<String>,
    /// When the server acknowledged it: an instant of FHIR, in UTC.
    pub time: String,
    /// What was sent, where it is known: not for deletions, patches and what was too large to keep.
    pub content: Option<Vec<u8>>,
    /// `attempt`: how many times it was tried, from `1`.
    pub extras: Vec<Field>,
}

/// What became of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It is done with.
    Done,
    /// It is to come again, after this many milliseconds at the earliest.
    Retry(u32),
}

/// A message of a device, a row, a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The name of the source.
    pub source: String,
    /// Where in the source it stands: a line, an offset.
    pub position: u64,
    /// Its bytes.
    pub content: Vec<u8>,
    /// `content-type`, and what the source tells besides.
    pub extras: Vec<Field>,
}

/// Why a message became nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageProblem {
    /// A JSON Pointer into the message, or a name of what is wrong there; empty: the whole.
    pub place: String,
    /// One sentence. It must not quote the message.
    pub message: String,
    /// None are defined in this version.
    pub extras: Vec<Field>,
}

impl Field {
    /// A name and a value.
    #[must_use]
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

impl Exchange {
    /// What a native test says instead of the host: the route `test`, in this interaction.
    #[must_use]
    pub fn of(interaction: &str) -> Self {
        let (id, route) = ("test".to_owned(), "test".to_owned());
        Self { id, route, interaction: interaction.to_owned(), extras: Vec::new() }
    }
}

impl Item {
    /// A resource without further facts.
    #[must_use]
    pub fn new(content: impl Into<Vec<u8>>) -> Self {
        Self { content: content.into(), extras: Vec::new() }
    }
}

impl AsRef<[u8]> for Item {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}

impl Head {
    /// The values of the parameter of this name, with its modifier, in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.parameters.iter().filter(move |field| field.name == name).map(|field| field.value.as_str())
    }
}

impl Verdict {
    /// What a rewriter's outcome comes to: keep when nothing changes, replace when something does, and a
    /// refusal (`structure`) when the resource is not valid JSON.
    #[must_use]
    pub fn of_rewrite(resource: &[u8], outcome: Result<Rewrite, json::Error>) -> Self {
        match outcome {
            Ok(rewrite) if rewrite.is_unchanged() => Self::Keep,
            Ok(rewrite) => Self::Replace(rewrite.apply(resource)),
            Err(error) => Self::refuse("structure", format!("a resource is {error}")),
        }
    }

    /// A refusal with a code of <http://hl7.org/fhir/issue-type>.
    #[must_use]
    pub fn refuse(code: &str, message: impl Into<String>) -> Self {
        Self::Refuse(Refusal::new(code, message))
    }
}

#[cfg(test)]
mod tests {
    use fireguard_fhir::json::Step;

    use super::*;

    #[test]
    fn a_refusal_does_not_quote_the_resource() {
        let verdict = Verdict::of_rewrite(
            b"{\"family\":Chalmers}",
            json::transform(b"{\"family\":Chalmers}", |_, _, _| Step::Keep),
        );
        let Verdict::Refuse(refusal) = verdict else { panic!("{verdict:?}") };
        assert_eq!(refusal.code, "structure");
        assert_eq!(refusal.message, "a resource is not valid JSON (at byte 10)");
    }
}
