//! The open elements: which states they have, and which names, attributes and namespaces FHIR gives them.

use super::attributes::MAX_NAME;
use super::{ErrorKind, FHIR, MAX_DEPTH, MAX_NARRATIVE_DEPTH, XHTML};
use crate::ResourceType;
use crate::json::scan::Sink;
use crate::r4::TypeId;

/// The elements that hold a resource.
const HOLDERS: [&[u8]; 3] = [b"resource", b"contained", b"outcome"];

/// The stack of open elements.
pub(super) struct Elements<S> {
    stack: Vec<Frame<S>>,
    /// The names of all, one behind the other.
    names: Vec<u8>,
    /// What may come once in each and has come.
    seen: Vec<&'static str>,
    root: S,
    strict: bool,
    began: bool,
}

struct Frame<S> {
    state: S,
    kind: Kind,
    /// What R4 defines it as, if that is looked up.
    ty: Option<TypeId>,
    /// Where its name starts in `names`, and what is in it in `seen`.
    name: usize,
    seen: usize,
    content: Content,
    namespace: Needed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Resource,
    Element,
    Narrative,
}

/// What is in an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Nothing,
    Elements,
    Resource,
}

/// Whether a namespace must be declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needed {
    Yes,
    No,
}

/// What an attribute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// `xmlns`.
    Namespace,
    /// The value of its element.
    Value,
    /// What JSON has as a member: `id`, `url`, and the addresses of narratives.
    Member,
    /// Of a narrative, and nothing to us.
    Other,
}

impl<S: Copy> Elements<S> {
    /// None is open. The outermost will have the state `root`.
    pub(super) fn new(root: S, strict: bool) -> Self {
        let (names, seen) = (Vec::new(), Vec::new());
        Self { stack: Vec::with_capacity(16), names, seen, root, strict, began: false }
    }

    /// How many are open.
    pub(super) fn depth(&self) -> usize {
        self.stack.len()
    }

    /// Whether the outermost is over.
    pub(super) fn is_over(&self) -> bool {
        self.began && self.stack.is_empty()
    }

    /// Whether what comes next belongs to a narrative.
    pub(super) fn in_narrative(&self) -> bool {
        self.stack.last().is_some_and(|frame| frame.kind == Kind::Narrative)
    }

    /// The state of the innermost.
    pub(super) fn state(&self) -> S {
        self.stack.last().map_or(self.root, |frame| frame.state)
    }

    /// Opens an element of this name.
    pub(super) fn open<K: Sink<State = S>>(&mut self, name: &[u8], sink: &mut K) -> Result<(), ErrorKind> {
        let narrative = self.in_narrative();
        if self.stack.len() == if narrative { MAX_NARRATIVE_DEPTH } else { MAX_DEPTH } {
            return Err(ErrorKind::TooDeep);
        }
        if name.contains(&b':') && (self.strict || !narrative) {
            return Err(ErrorKind::Namespace);
        }
        let (name_at, seen_at) = (self.names.len(), self.seen.len());
        let mut frame = Frame {
            state: self.state(),
            kind: Kind::Narrative,
            ty: None,
            name: name_at,
            seen: seen_at,
            content: Content::Nothing,
            namespace: Needed::No,
        };
        if !narrative {
            self.define(name, &mut frame, sink)?;
        }
        self.names.extend_from_slice(name);
        self.stack.push(frame);
        self.began = true;
        Ok(())
    }

    /// What FHIR defines an element of this name as, in the innermost.
    fn define<K: Sink<State = S>>(
        &mut self,
        name: &[u8],
        frame: &mut Frame<S>,
        sink: &mut K,
    ) -> Result<(), ErrorKind> {
        // The type of a resource is the name of its element, and nothing else.
        if !name.iter().all(u8::is_ascii_alphanumeric) || name == b"resourceType" {
            return Err(ErrorKind::Structure);
        }
        let resource = name[0].is_ascii_uppercase();
        let holder = self.stack.last().is_some_and(|parent| HOLDERS.contains(&&self.names[parent.name..]));
        let Some(parent) = self.stack.last_mut() else {
            if !resource {
                return Err(ErrorKind::Structure);
            }
            frame.namespace = Needed::Yes;
            self.resource(name, frame, sink);
            return Ok(());
        };
        if resource {
            if !holder || parent.kind == Kind::Resource || parent.content != Content::Nothing {
                return Err(ErrorKind::Structure);
            }
            parent.content = Content::Resource;
            self.resource(name, frame, sink);
            return Ok(());
        }
        if parent.content == Content::Resource {
            return Err(ErrorKind::Structure);
        }
        parent.content = Content::Elements;
        let state = parent.state;
        if let Some(element) = parent.ty.and_then(|ty| ty.element(name)) {
            frame.ty = Some(element.ty);
            if !element.many {
                if self.seen[parent.seen..].contains(&element.json_name) {
                    return Err(ErrorKind::Duplicate);
                }
                self.seen.push(element.json_name);
                frame.seen = self.seen.len();
            }
        }
        let state = sink.member(state, name);
        frame.state = sink.single(state);
        if name == b"div" {
            // Anywhere else what is in it would not be looked at.
            if self.strict && frame.ty.is_none() {
                return Err(ErrorKind::Structure);
            }
            frame.namespace = Needed::Yes;
        } else {
            frame.kind = Kind::Element;
        }
        Ok(())
    }

    fn resource<K: Sink<State = S>>(&self, name: &[u8], frame: &mut Frame<S>, sink: &mut K) {
        // Only then it matters what comes once.
        if self.strict {
            let known = std::str::from_utf8(name).ok().and_then(ResourceType::parse);
            frame.ty = known.map(TypeId::of_resource);
        }
        frame.kind = Kind::Resource;
        sink.resource(frame.state, name);
    }

    /// What an attribute of the innermost is.
    pub(super) fn meaning(&self, name: &[u8]) -> Result<Meaning, ErrorKind> {
        let Some(frame) = self.stack.last() else { return Err(ErrorKind::Structure) };
        let prefix = name.iter().position(|byte| *byte == b':').map(|at| &name[..at]);
        match (frame.kind, name) {
            (_, b"xmlns") => Ok(Meaning::Namespace),
            (Kind::Narrative, _) if self.strict && prefix.is_some_and(|prefix| prefix != b"xml") => {
                Err(ErrorKind::Namespace)
            }
            (Kind::Narrative, _) => Ok(match &name[prefix.map_or(0, |prefix| prefix.len() + 1)..] {
                b"href" | b"src" => Meaning::Member,
                _ => Meaning::Other,
            }),
            _ if prefix.is_some() => Err(ErrorKind::Namespace),
            (Kind::Element, b"value") => Ok(Meaning::Value),
            (Kind::Element, b"id") => Ok(Meaning::Member),
            (Kind::Element, b"url") if self.is_extension(frame) => Ok(Meaning::Member),
            _ => Err(ErrorKind::Attribute),
        }
    }

    fn is_extension(&self, frame: &Frame<S>) -> bool {
        matches!(&self.names[frame.name..], b"extension" | b"modifierExtension")
    }

    /// The innermost declares a namespace, its own and that of what is in it.
    pub(super) fn namespace(&mut self, value: &[u8]) -> Result<(), ErrorKind> {
        let Some(frame) = self.stack.last_mut() else { return Err(ErrorKind::Structure) };
        let own = if frame.kind == Kind::Narrative { XHTML } else { FHIR };
        // What is stored may have anything within its narratives.
        let free = frame.kind == Kind::Narrative && frame.namespace == Needed::No && !self.strict;
        if value != own.as_bytes() && !free {
            return Err(ErrorKind::Namespace);
        }
        frame.namespace = Needed::No;
        Ok(())
    }

    /// The start tag of the innermost is over.
    pub(super) fn opened(&self) -> Result<(), ErrorKind> {
        let missing = self.stack.last().is_some_and(|frame| frame.namespace == Needed::Yes);
        if missing { Err(ErrorKind::Namespace) } else { Ok(()) }
    }

    /// Closes the innermost, of this name unless its tag was empty, and gives its state.
    pub(super) fn close(&mut self, name: Option<&[u8]>) -> Result<S, ErrorKind> {
        let frame = self.stack.pop().ok_or(ErrorKind::Syntax)?;
        if name.is_some_and(|name| name.len() > MAX_NAME || self.names[frame.name..] != *name) {
            return Err(ErrorKind::Syntax);
        }
        self.names.truncate(frame.name);
        self.seen.truncate(frame.seen);
        Ok(frame.state)
    }
}
