//! The rewriter: walks one whole value, asks a visitor about each place, and notes what changes as edits.

use std::borrow::Cow;

use super::edit::{Appender, Edit, Rewrite, Slot};
use super::keys::{Entry, Fingerprint};
use super::lex::{Kind, Lexer};
use super::{Error, ErrorKind, lookup, unescape};

/// Decides, place by place, what becomes of a value. `State` is what the visitor wants to remember of the
/// place it is in: a state of its automaton, a depth, nothing.
pub trait Visitor {
    /// Handed down from each container to its items.
    type State: Copy;

    /// An object's member. What it appends to `out` replaces the value if it answers [`Step::Replace`].
    fn member(
        &mut self,
        within: Self::State,
        key: &Key<'_>,
        value: &Value<'_>,
        out: &mut Vec<u8>,
    ) -> Step<Self::State>;

    /// An array's element; otherwise like [`Visitor::member`].
    fn element(
        &mut self,
        within: Self::State,
        index: usize,
        value: &Value<'_>,
        out: &mut Vec<u8>,
    ) -> Step<Self::State>;

    /// An object or array that was entered ends here. `end` is the place after its last item, where more
    /// may be appended, now or on leaving a container around it.
    fn leave(&mut self, within: Self::State, end: Slot, append: &mut Appender<'_>) {
        let _ = (within, end, append);
    }
}

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<S> {
    /// It stays, byte for byte.
    Keep,
    /// Ask about each of its items, with this state. A value without items stays.
    Enter(S),
    /// Like [`Step::Enter`], but if nothing is left of the value, `null` takes its place.
    EnterOrBlank(S),
    /// It goes, with its name and its comma. A container that loses its last item goes too (FHIR knows no
    /// empty ones), except the root.
    Drop,
    /// `null` takes its place, as in an array whose places count. A container left with nothing else goes.
    Blank,
    /// What was appended to `out` takes its place.
    Replace,
}

/// A member's name.
#[derive(Debug)]
pub struct Key<'a> {
    text: &'a [u8],
    entry: Entry,
    print: Fingerprint,
}

/// A value that a visitor is asked about. A scalar was checked already; a container is checked after the
/// answer.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    kind: Kind,
    text: &'a [u8],
}

/// Walks `text` and asks `visitor` about each item of the root value, then of what it enters.
///
/// Checks the whole text: grammar, UTF-8, escapes, depth, and that no object has two members of one name.
///
/// # Errors
/// What is wrong with `text`, at the first place found. The visitor may have been asked about places before.
pub fn rewrite<V: Visitor>(text: &[u8], root: V::State, visitor: &mut V) -> Result<Rewrite, Error> {
    bounded(text)?;
    let mut rewriter = Rewriter {
        lexer: Lexer::new(text),
        // Room for what a usual resource needs.
        edits: Vec::with_capacity(16),
        text: Vec::with_capacity(512),
        appended: Vec::new(),
        visitor,
    };
    let kind = rewriter.lexer.kind()?;
    match kind {
        Kind::Object | Kind::Array => rewriter.container(kind, root).map(|_| ())?,
        _ => rewriter.lexer.scalar(kind)?,
    }
    rewriter.lexer.end()?;
    Ok(Rewrite::new(rewriter.edits, rewriter.text, rewriter.appended))
}

/// Checks a text and changes nothing.
///
/// # Errors
/// What is wrong with `text`.
pub fn check(text: &[u8]) -> Result<(), Error> {
    bounded(text)?;
    let mut lexer = Lexer::new(text);
    let kind = lexer.kind()?;
    lexer.value(kind)?;
    lexer.end()
}

/// Places in a text are kept in 32 bits.
pub(super) fn bounded(text: &[u8]) -> Result<(), Error> {
    match u32::try_from(text.len()) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error { kind: ErrorKind::TooLong, offset: u64::from(u32::MAX) }),
    }
}

impl<'a> Key<'a> {
    pub(super) fn new(text: &'a [u8], entry: Entry, print: Fingerprint) -> Self {
        Self { text, entry, print }
    }

    /// The decoded name. Borrowed unless the text writes it with an escape.
    #[must_use]
    pub fn name(&self) -> Cow<'a, str> {
        self.entry.name(self.text).unwrap_or_default()
    }

    /// The name's bytes if it is written without an escape, which nearly all are.
    #[must_use]
    pub fn plain(&self) -> Option<&'a [u8]> {
        let raw = &self.text[self.entry.start as usize..self.entry.end as usize];
        (!self.entry.escaped).then_some(raw)
    }

    /// Whether this is the decoded name.
    #[inline]
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        match self.plain() {
            Some(plain) => plain == name.as_bytes(),
            None => self.name() == name,
        }
    }

    /// The fingerprint of the decoded name.
    #[inline]
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.print
    }

    /// The fingerprint's hash, which is known already.
    #[inline]
    #[must_use]
    pub fn hash(&self) -> u32 {
        self.entry.hash
    }
}

impl<'a> Value<'a> {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A scalar's token as written, quotes included. Of an object or array: the text from its bracket on,
    /// beyond its end.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.text
    }

    /// The text of a string, decoded.
    #[must_use]
    pub fn string(&self) -> Option<Cow<'a, str>> {
        let inside = self.text.get(1..self.text.len().checked_sub(1)?)?;
        if self.kind == Kind::String { unescape(inside).ok() } else { None }
    }

    /// The text of a string that is written without an escape.
    #[must_use]
    pub fn plain_string(&self) -> Option<&'a [u8]> {
        let inside = self.text.get(1..self.text.len().checked_sub(1)?)?;
        (self.kind == Kind::String && memchr::memchr(b'\\', inside).is_none()).then_some(inside)
    }

    /// The value's own bytes. Of an object or array that means looking ahead to its end; none if it is not
    /// valid JSON so far.
    #[must_use]
    pub fn whole(&self) -> Option<&'a [u8]> {
        match self.kind {
            Kind::Object | Kind::Array => lookup::first_value(self.text),
            _ => Some(self.text),
        }
    }

    /// Looks ahead for an object's member. None also for what is not an object or not valid JSON; whoever
    /// walks on finds the fault.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<Value<'a>> {
        lookup::member(self.text, name)
    }

    pub(super) fn new(kind: Kind, text: &'a [u8]) -> Self {
        Self { kind, text }
    }
}

struct Rewriter<'a, 'v, V> {
    lexer: Lexer<'a>,
    edits: Vec<Edit>,
    text: Vec<u8>,
    appended: Vec<Edit>,
    visitor: &'v mut V,
}

/// What is known of the items of a container so far.
struct Items {
    /// One of them is still there, be it blank.
    placed: bool,
    /// One of them says something.
    kept: bool,
    /// Where the last one ends, or the opening bracket.
    end: usize,
}

/// What became of an item.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Blank,
    Dropped,
}

impl<V: Visitor> Rewriter<'_, '_, V> {
    /// Rewrites an object or array. False: nothing of it is left, though it held something.
    fn container(&mut self, kind: Kind, state: V::State) -> Result<bool, Error> {
        let text = self.lexer.text();
        let mut items = Items { placed: false, kept: false, end: self.lexer.at() + 1 };
        let mut more = self.lexer.open(kind)?;
        let empty = !more;
        let mut index = 0;
        while more {
            let start = self.lexer.at();
            if index > 0 && !items.placed {
                // So far only dropped items: they take the comma and the space up to here with them.
                self.extend_last(start);
            }
            let key = match kind {
                Kind::Object => {
                    let (entry, print) = self.lexer.key()?;
                    Some(Key::new(text, entry, print))
                }
                _ => None,
            };
            let fate = self.item(state, key, index)?;
            self.settle(&mut items, start, index, fate);
            index += 1;
            more = self.lexer.comma(kind)?;
        }
        let slot = Slot::new(items.end, items.placed);
        let appended_before = self.appended.len();
        let mut append = Appender::new(&mut self.appended, &mut self.text);
        self.visitor.leave(state, slot, &mut append);
        self.lexer.close(kind)?;
        Ok(items.kept || empty || self.appended.len() > appended_before)
    }

    /// Asks about one value and passes it.
    fn item(&mut self, state: V::State, key: Option<Key<'_>>, index: usize) -> Result<Fate, Error> {
        let text = self.lexer.text();
        let start = self.lexer.at();
        let kind = self.lexer.kind()?;
        let container = matches!(kind, Kind::Object | Kind::Array);
        if !container {
            self.lexer.scalar(kind)?;
        }
        let value = Value::new(kind, if container { &text[start..] } else { &text[start..self.lexer.at()] });
        let written = self.text.len();
        let step = match key {
            Some(key) => self.visitor.member(state, &key, &value, &mut self.text),
            None => self.visitor.element(state, index, &value, &mut self.text),
        };
        if !matches!(step, Step::Replace) {
            self.text.truncate(written);
        }
        let edits = self.edits.len();
        let mut fate = Fate::Kept;
        match step {
            Step::Enter(inner) | Step::EnterOrBlank(inner) if container => {
                let left = self.container(kind, inner)?;
                if !left {
                    // One edit takes the place of those inside.
                    self.edits.truncate(edits);
                    fate = if matches!(step, Step::Enter(_)) { Fate::Dropped } else { Fate::Blank };
                }
            }
            _ if container => self.lexer.value(kind)?,
            _ => {}
        }
        match step {
            Step::Replace => self.edits.push(Edit::new(start, self.lexer.at(), written, self.text.len())),
            Step::Drop => fate = Fate::Dropped,
            Step::Blank => fate = Fate::Blank,
            _ => {}
        }
        if fate == Fate::Blank && kind != Kind::Null {
            let from = self.text.len();
            self.text.extend_from_slice(b"null");
            self.edits.push(Edit::new(start, self.lexer.at(), from, self.text.len()));
        }
        Ok(fate)
    }

    /// Notes what became of the item from `start` up to here.
    fn settle(&mut self, items: &mut Items, start: usize, index: usize, fate: Fate) {
        let end = self.lexer.at();
        if fate != Fate::Dropped {
            items.placed = true;
            items.kept |= fate == Fate::Kept;
        } else if items.placed {
            // With the comma before it.
            self.edits.push(Edit::new(items.end, end, 0, 0));
        } else if index == 0 {
            self.edits.push(Edit::new(start, end, 0, 0));
        } else {
            self.extend_last(end);
        }
        items.end = end;
    }

    fn extend_last(&mut self, end: usize) {
        if let Some(edit) = self.edits.last_mut() {
            edit.extend(end);
        }
    }
}
