//! The rewriter of bodies.

use std::sync::Arc;

use super::narrative::Narrative;
use super::{Relative, Rewrite};
use crate::document::{Error, Reader, Syntax};
use crate::json::scan::{Interest, MAX_TEXT, Sink};
use crate::json::unescape;
use crate::outcome::ServerText;

/// Which strings of a document are addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The elements that carry addresses, in any resource.
    Elements,
    /// Every string: a CapabilityStatement names the server's definitions by its own base.
    Everything,
}

/// The rewriter: feed it the body in any cuts, take what comes out.
pub struct UrlRewriter {
    reader: Reader<Place>,
    output: Output,
}

struct Output {
    syntax: Syntax,
    /// What the whole is.
    root: Place,
    way: Way,
    out: Vec<u8>,
    /// The resource at hand is an OperationOutcome: its narrative repeats the server's words.
    outcome: bool,
    /// The name of the parameter at hand says that it is an address.
    names_address: bool,
    /// What the value of the patch operation at hand is.
    patched: Place,
    narrative: Narrative,
    words: ServerText,
}

enum Way {
    ToCaller(Arc<Rewrite>, Scope),
    ToServer(Arc<Relative>),
}

/// Where a value stands, as far as addresses care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A resource: its own `url` is its canonical name.
    Resource,
    /// Its `resourceType`.
    ResourceType,
    /// An extension: its `url` is a name, its `valueUrl` may be an address.
    Extension,
    /// `Parameters.parameter` and its parts.
    Parameter,
    /// Their `name`.
    ParameterName,
    /// `Bundle.entry.request`, or the request of a manifest.
    Request,
    /// `Bundle.entry.response`.
    Response,
    /// `OperationOutcome.issue`
    Issue,
    /// `OperationOutcome.issue.details`
    Details,
    /// What an OperationOutcome says.
    Words,
    /// The XHTML of a narrative.
    Xhtml,
    /// A link or an image of it, where XML has it as an attribute.
    Link,
    /// An address, if it is a string.
    Address,
    /// A query, if it is a string.
    Query,
    /// The list of a JSON Patch.
    Patch,
    /// One operation of it.
    PatchOperation,
    /// Its path.
    PatchPath,
    /// Any other.
    Other,
}

impl UrlRewriter {
    /// A rewriter for an answer of the server. What OperationOutcomes say is made fit for callers, too.
    pub fn new(rewrite: Arc<Rewrite>, scope: Scope) -> Self {
        Self::on(Way::ToCaller(rewrite, scope), Place::Resource, false)
    }

    /// Reads a document of this syntax; JSON unless said.
    #[must_use]
    pub fn reading(mut self, syntax: Syntax) -> Self {
        let Output { way, root, words, .. } = &mut self.output;
        words.syntax = syntax;
        self.reader = Reader::new(syntax, *root, matches!(way, Way::ToServer(_)));
        self.output.syntax = syntax;
        self
    }

    /// Says that the answer as a whole is a failure: then less of the server's words is shown.
    #[must_use]
    pub fn of_failure(mut self, failure: bool) -> Self {
        self.output.words.failure = failure;
        self
    }

    /// A rewriter for a body of a caller, which also finds every fault that [`crate::json::scan::Checker`] finds, or
    /// those of XML.
    pub fn toward_server(relative: Arc<Relative>, json_patch: bool) -> Self {
        let root = if json_patch { Place::Patch } else { Place::Resource };
        Self::on(Way::ToServer(relative), root, true)
    }

    fn on(way: Way, root: Place, strict: bool) -> Self {
        let output = Output {
            syntax: Syntax::Json,
            root,
            way,
            out: Vec::new(),
            outcome: false,
            names_address: false,
            patched: Place::Other,
            narrative: Narrative::default(),
            words: ServerText::default(),
        };
        Self { reader: Reader::new(Syntax::Json, root, strict), output }
    }

    /// Takes the next bytes and appends to `out` what can be given on.
    ///
    /// # Errors
    /// The body is not valid; what came out before is a valid start of it.
    pub fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        std::mem::swap(&mut self.output.out, out);
        let result = self.reader.feed(chunk, &mut self.output);
        std::mem::swap(&mut self.output.out, out);
        result
    }

    /// Says that the body is over.
    ///
    /// # Errors
    /// The document is not complete.
    pub fn finish(&self) -> Result<(), Error> {
        self.reader.finish()
    }
}

impl Sink for Output {
    type State = Place;

    fn member(&mut self, parent: Place, key: &[u8]) -> Place {
        match (parent, key) {
            (Place::PatchOperation, b"path") => Place::PatchPath,
            (Place::PatchOperation, b"value") => self.patched,
            (_, b"resource" | b"contained") | (Place::Response, b"outcome") => Place::Resource,
            (_, b"extension" | b"modifierExtension") => Place::Extension,
            (Place::Resource, b"parameter") | (Place::Parameter, b"part") => Place::Parameter,
            (Place::Resource, b"resourceType") => Place::ResourceType,
            (Place::Resource, b"issue") => Place::Issue,
            (_, b"div") => Place::Xhtml,
            (Place::Xhtml, _) => Place::Link,
            (Place::Issue, b"details") => Place::Details,
            (Place::Issue, b"diagnostics") | (Place::Details, b"text") => Place::Words,
            (Place::Parameter, b"name") => Place::ParameterName,
            (Place::Parameter, b"valueUri") if self.names_address => Place::Address,
            (_, b"response") => Place::Response,
            // The manifest of a bulk export names the request it answers, here a text.
            (_, b"request") => Place::Request,
            (Place::Request, b"ifNoneExist") => Place::Query,
            (Place::Resource, b"criteria") => Place::Address,
            (Place::Resource | Place::Extension, b"url") => Place::Other,
            (_, b"valueUrl") if matches!(self.way, Way::ToServer(_)) => Place::Other,
            (_, b"url" | b"reference" | b"fullUrl" | b"valueUrl") => Place::Address,
            (Place::Response, b"location") => Place::Address,
            _ => Place::Other,
        }
    }

    fn element(&mut self, parent: Place) -> Place {
        if parent == Place::Patch { Place::PatchOperation } else { parent }
    }

    fn interest(&self, place: Place) -> Interest {
        match (&self.way, place) {
            (_, Place::PatchOperation) => Interest::Extent,
            (Way::ToCaller(..), Place::Words | Place::Xhtml) => Interest::Pieces,
            (Way::ToCaller(..), Place::ResourceType | Place::ParameterName | Place::Link)
            | (Way::ToServer(_), Place::PatchPath | Place::Query)
            | (_, Place::Address | Place::Request)
            | (Way::ToCaller(_, Scope::Everything), _) => Interest::Text,
            _ => Interest::None,
        }
    }

    fn copy(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn text(&mut self, place: Place, raw: &[u8], complete: bool) {
        match place {
            Place::Xhtml | Place::Words => return self.piece(place, raw, complete),
            Place::ResourceType => self.outcome = raw == b"OperationOutcome",
            Place::ParameterName => self.names_address = raw.ends_with(b"-url"),
            Place::PatchPath => self.patched = patched(raw),
            _ => {}
        }
        // However the stream was cut: of a long text only the start is looked at.
        let (start, tail) = raw.split_at(raw.len().min(MAX_TEXT));
        let complete = complete && tail.is_empty();
        let (text, rest) = self.syntax.unescape_start(start);
        let url = match (&self.way, place) {
            // Half a link to a page cannot be sealed, and unsealed it leads nowhere.
            (Way::ToCaller(rewrite, _), Place::Link) => rewrite.moved(&text),
            (Way::ToCaller(rewrite, _), _) if complete => rewrite.url(&text),
            (Way::ToCaller(rewrite, _), _) => rewrite.moved(&text),
            (Way::ToServer(relative), Place::Query) if complete => relative.query(&text),
            (Way::ToServer(relative), Place::Address | Place::Request) if complete => relative.url(&text),
            (Way::ToServer(_), _) => None,
        };
        match url {
            Some(url) => {
                self.syntax.write_escaped(&mut self.out, &url);
                self.out.extend_from_slice(rest);
                self.out.extend_from_slice(tail);
            }
            None => self.out.extend_from_slice(raw),
        }
    }

    fn begin(&mut self, _: Place) {
        self.patched = Place::Other;
    }

    fn end(&mut self, _: Place) {}

    fn resource(&mut self, _: Place, resource_type: &[u8]) {
        self.outcome = resource_type == b"OperationOutcome";
    }

    fn instead(&self, place: Place) -> Option<&'static [u8]> {
        let replaced = place == Place::Xhtml && self.outcome && matches!(self.way, Way::ToCaller(..));
        replaced.then_some(SEE_ISSUES.as_bytes())
    }
}

impl Output {
    /// A piece of a text that may be long; the last one, if `complete`.
    fn piece(&mut self, place: Place, raw: &[u8], complete: bool) {
        let Way::ToCaller(rewrite, _) = &self.way else { return self.out.extend_from_slice(raw) };
        match place {
            Place::Xhtml if !self.outcome => self.narrative.feed(raw, complete, rewrite, &mut self.out),
            Place::Xhtml if complete => self.syntax.write_escaped(&mut self.out, SEE_ISSUES),
            Place::Words => {
                self.words.hold(raw);
                if complete {
                    self.words.write(rewrite, &mut self.out);
                }
            }
            _ => {}
        }
    }
}

/// The narrative of an OperationOutcome that is not ours.
const SEE_ISSUES: &str = "<div xmlns=\"http://www.w3.org/1999/xhtml\">See the issues.</div>";

/// What the value at this path of a patch is.
fn patched(path: &[u8]) -> Place {
    let text = unescape(path).unwrap_or_default();
    let segments = text.split('/').skip(1);
    let extension = segments.clone().any(|segment| matches!(segment, "extension" | "modifierExtension"));
    match (segments.clone().count(), segments.last()) {
        (_, Some("reference")) | (1, Some("criteria")) => Place::Address,
        (2.., Some("url")) if !extension => Place::Address,
        _ if extension => Place::Extension,
        _ => Place::Other,
    }
}
