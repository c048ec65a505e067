//! The resumable scanner: validates an XML stream fed in any cuts and tells a [`Sink`] of JSON what it holds.
//!
//! An element is the member of its name, a resource's name its `resourceType`, `value` the text of its element, and a
//! list is repeated elements ([`Sink::single`]). So one table says for both syntaxes where what stands.

use super::attributes::{self, Attribute, MAX_NAME, is_space};
use super::elements::{Elements, Meaning};
use super::text::{Characters, References};
use super::{Error, ErrorKind};
use crate::json::Utf8;
use crate::json::scan::{Interest, MAX_TEXT, Sink};

/// A start tag may be this long, values over [`MAX_TEXT`] not counted.
pub const MAX_TAG: usize = 32 * 1024;
/// The XML declaration may be.
const MAX_DECLARATION: usize = 128;

/// See the module's text.
pub struct Scanner<S> {
    mode: Mode,
    elements: Elements<S>,
    /// Of the markup at hand. A value that is too long is left out.
    token: Vec<u8>,
    tag: Tag<S>,
    attributes: Vec<Attribute>,
    /// What of a narrative is replaced: from this depth on, by this.
    instead: Option<(usize, &'static [u8])>,
    references: References,
    /// How many of `]]` have come, in a text.
    brackets: usize,
    utf8: Utf8,
    characters: Characters,
    offset: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nothing has come.
    Start,
    /// Outside of tags.
    Text,
    /// After a `<`: what begins is not known. Only at the very start it may be a declaration.
    Markup { first: bool },
    /// `<?`
    Declaration,
    /// `</`
    End,
    /// A start tag.
    Tag,
    /// A comment, and how many dashes have come.
    Comment(u8),
    /// A section of characters, and how many brackets have come.
    Characters(u8),
}

/// The start tag at hand.
struct Tag<S> {
    quote: Option<u8>,
    /// Where the value that is open starts in the token.
    value: usize,
    /// So much of the token has gone to the sink.
    emitted: usize,
    open: bool,
    /// So many attributes have been dealt with.
    told: usize,
    /// The value that is open is too long to be held.
    long: Option<Long<S>>,
}

#[derive(Clone, Copy)]
struct Long<S> {
    state: S,
    pieces: bool,
}

impl<S> Default for Tag<S> {
    fn default() -> Self {
        Self { quote: None, value: 0, emitted: 0, open: false, told: 0, long: None }
    }
}

impl<S: Copy> Scanner<S> {
    /// A scanner at the start of a document whose outermost element is in state `root`. That what comes once comes
    /// once is looked for only if `strict`: in what a client sends, not in what the server serialised.
    pub fn new(root: S, strict: bool) -> Self {
        Self {
            mode: Mode::Start,
            elements: Elements::new(root, strict),
            token: Vec::new(),
            tag: Tag::default(),
            attributes: Vec::new(),
            instead: None,
            references: References::default(),
            brackets: 0,
            utf8: Utf8::default(),
            characters: Characters::default(),
            offset: 0,
        }
    }

    /// Takes the next bytes of the document.
    ///
    /// # Errors
    /// The first fault. The scanner is of no use afterwards; what the sink got before it stands.
    pub fn feed<K: Sink<State = S>>(&mut self, chunk: &[u8], sink: &mut K) -> Result<(), Error> {
        let offset = self.offset;
        let fault = |kind, at: usize| Error { kind, offset: offset + at as u64 };
        self.utf8.feed(chunk).map_err(|at| fault(ErrorKind::Encoding, at))?;
        self.characters.feed(chunk).map_err(|at| fault(ErrorKind::Encoding, at))?;
        let mut at = 0;
        while at < chunk.len() {
            at += self.step(&chunk[at..], sink).map_err(|kind| fault(kind, at))?;
        }
        self.offset += chunk.len() as u64;
        Ok(())
    }

    /// Says that the document is over.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] if it was not complete.
    pub fn finish(&self) -> Result<(), Error> {
        let whole = self.mode == Mode::Text && self.elements.is_over() && self.utf8.is_complete();
        if whole { Ok(()) } else { Err(Error { kind: ErrorKind::Truncated, offset: self.offset }) }
    }

    /// Takes some bytes, at least one, and says how many.
    fn step<K: Sink<State = S>>(&mut self, bytes: &[u8], sink: &mut K) -> Result<usize, ErrorKind> {
        match self.mode {
            Mode::Start if bytes[0] == 0xef => Err(ErrorKind::Encoding),
            Mode::Start | Mode::Text => self.text(bytes, sink),
            Mode::Markup { first } => self.markup(bytes[0], first, sink),
            Mode::Declaration => self.declaration(bytes, sink),
            Mode::End => self.end(bytes, sink),
            Mode::Tag => self.tag(bytes, sink),
            Mode::Comment(_) => self.comment(bytes, sink),
            Mode::Characters(_) => Ok(self.section(bytes, sink)),
        }
    }

    /// Gives bytes on, unless something else takes their place.
    fn copy<K: Sink<State = S>>(&self, bytes: &[u8], sink: &mut K) {
        if self.instead.is_none() {
            sink.copy(bytes);
        }
    }

    /// The token passes as it is.
    fn pass<K: Sink<State = S>>(&mut self, sink: &mut K) {
        self.copy(&self.token, sink);
        self.token.clear();
    }

    fn text<K: Sink<State = S>>(&mut self, bytes: &[u8], sink: &mut K) -> Result<usize, ErrorKind> {
        let markup = memchr::memchr(b'<', bytes);
        let text = &bytes[..markup.unwrap_or(bytes.len())];
        if self.elements.in_narrative() {
            self.references.feed(text)?;
            for &byte in text {
                if byte == b'>' && self.brackets >= 2 {
                    return Err(ErrorKind::Syntax);
                }
                self.brackets = if byte == b']' { self.brackets + 1 } else { 0 };
            }
        } else if !text.iter().all(|byte| is_space(*byte)) {
            let outside = self.elements.depth() == 0;
            return Err(match (outside, self.elements.is_over()) {
                (true, true) => ErrorKind::Trailing,
                (true, false) => ErrorKind::Syntax,
                (false, _) => ErrorKind::Structure,
            });
        }
        self.copy(text, sink);
        if !text.is_empty() {
            self.mode = Mode::Text;
        }
        if markup.is_none() {
            return Ok(text.len());
        }
        self.references.finish()?;
        self.brackets = 0;
        self.token.clear();
        self.token.push(b'<');
        self.mode = Mode::Markup { first: self.mode == Mode::Start };
        Ok(text.len() + 1)
    }

    /// The bytes after a `<` until it is known what begins.
    fn markup<K: Sink<State = S>>(
        &mut self,
        byte: u8,
        first: bool,
        sink: &mut K,
    ) -> Result<usize, ErrorKind> {
        const COMMENT: &[u8] = b"<!--";
        const SECTION: &[u8] = b"<![CDATA[";
        self.token.push(byte);
        self.mode = match self.token.as_slice() {
            b"<?" if first => Mode::Declaration,
            b"<?" => return Err(ErrorKind::Instruction),
            b"</" => Mode::End,
            COMMENT => {
                self.pass(sink);
                Mode::Comment(0)
            }
            SECTION if self.elements.in_narrative() => {
                self.pass(sink);
                Mode::Characters(0)
            }
            SECTION => return Err(ErrorKind::Structure),
            start if COMMENT.starts_with(start) || SECTION.starts_with(start) => Mode::Markup { first },
            [b'<', b'!', ..] => return Err(ErrorKind::Dtd),
            _ if self.elements.is_over() => return Err(ErrorKind::Trailing),
            [.., b'>' | b'<'] => return Err(ErrorKind::Syntax),
            _ => {
                self.tag = Tag::default();
                Mode::Tag
            }
        };
        Ok(1)
    }

    fn declaration<K: Sink<State = S>>(&mut self, bytes: &[u8], sink: &mut K) -> Result<usize, ErrorKind> {
        self.token.push(bytes[0]);
        if self.token.len() > MAX_DECLARATION {
            return Err(ErrorKind::TooLong);
        }
        if self.token.ends_with(b"?>") {
            let content = self.token.strip_prefix(b"<?").and_then(|rest| rest.strip_suffix(b"?>"));
            attributes::declaration(content.unwrap_or_default())?;
            self.pass(sink);
            self.mode = Mode::Text;
        }
        Ok(1)
    }

    fn end<K: Sink<State = S>>(&mut self, bytes: &[u8], sink: &mut K) -> Result<usize, ErrorKind> {
        let end = memchr::memchr(b'>', bytes);
        let taken = end.map_or(bytes.len(), |at| at + 1);
        self.token.extend_from_slice(&bytes[..taken]);
        if self.token.len() > 2 * MAX_NAME {
            return Err(ErrorKind::TooLong);
        }
        if end.is_some() {
            let name = self.token[2..self.token.len() - 1].trim_ascii_end();
            let depth = self.elements.depth();
            let state = self.elements.close(Some(name))?;
            self.pass(sink);
            self.closed(depth, state, sink);
        }
        Ok(taken)
    }

    /// An element that was this deep is over.
    fn closed<K: Sink<State = S>>(&mut self, depth: usize, state: S, sink: &mut K) {
        self.mode = Mode::Text;
        if let Some((_, other)) = self.instead.take_if(|(from, _)| *from == depth) {
            sink.copy(other);
        } else if sink.interest(state) == Interest::Extent {
            sink.end(state);
        }
    }

    fn comment<K: Sink<State = S>>(&mut self, bytes: &[u8], sink: &mut K) -> Result<usize, ErrorKind> {
        let Mode::Comment(mut dashes) = self.mode else { return Err(ErrorKind::Syntax) };
        let mut taken = bytes.len();
        for (at, &byte) in bytes.iter().enumerate() {
            match (dashes, byte) {
                (2, b'>') => {
                    taken = at + 1;
                    self.mode = Mode::Text;
                    break;
                }
                (2, _) => return Err(ErrorKind::Syntax),
                (_, b'-') => dashes += 1,
                _ => dashes = 0,
            }
        }
        if self.mode != Mode::Text {
            self.mode = Mode::Comment(dashes);
        }
        self.copy(&bytes[..taken], sink);
        Ok(taken)
    }

    fn section<K: Sink<State = S>>(&mut self, bytes: &[u8], sink: &mut K) -> usize {
        let Mode::Characters(mut brackets) = self.mode else { return 0 };
        let mut taken = bytes.len();
        for (at, &byte) in bytes.iter().enumerate() {
            match (brackets, byte) {
                (2, b'>') => {
                    taken = at + 1;
                    self.mode = Mode::Text;
                    break;
                }
                (_, b']') => brackets = (brackets + 1).min(2),
                _ => brackets = 0,
            }
        }
        if self.mode != Mode::Text {
            self.mode = Mode::Characters(brackets);
        }
        self.copy(&bytes[..taken], sink);
        taken
    }

    fn tag<K: Sink<State = S>>(&mut self, bytes: &[u8], sink: &mut K) -> Result<usize, ErrorKind> {
        let Some(quote) = self.tag.quote else {
            let end = memchr::memchr3(b'"', b'\'', b'>', bytes);
            let taken = end.map_or(bytes.len(), |at| at + 1);
            self.token.extend_from_slice(&bytes[..taken]);
            if self.token.len() > MAX_TAG {
                return Err(ErrorKind::TooLong);
            }
            match end.map(|at| bytes[at]) {
                Some(b'>') => self.start(sink)?,
                Some(quote) => (self.tag.quote, self.tag.value) = (Some(quote), self.token.len()),
                None => {}
            }
            return Ok(taken);
        };
        let end = memchr::memchr(quote, bytes);
        let mut piece = &bytes[..end.unwrap_or(bytes.len())];
        let taken = piece.len() + usize::from(end.is_some());
        if self.tag.long.is_none() {
            let held = self.token.len() - self.tag.value;
            let fits = piece.len().min(MAX_TEXT - held);
            self.token.extend_from_slice(&piece[..fits]);
            piece = &piece[fits..];
            if !piece.is_empty() {
                self.long(quote, sink)?;
            }
        }
        if let Some(long) = self.tag.long {
            self.references.feed(piece)?;
            if piece.contains(&b'<') {
                return Err(ErrorKind::Syntax);
            }
            match self.instead {
                None if long.pieces => sink.text(long.state, piece, end.is_some()),
                _ => self.copy(piece, sink),
            }
        }
        if end.is_some() {
            if self.tag.long.take().is_some() {
                self.references.finish()?;
            }
            self.token.push(quote);
            self.tag.quote = None;
        }
        Ok(taken)
    }

    /// The value that is open is too long: it goes on as it comes, and its start is looked at.
    fn long<K: Sink<State = S>>(&mut self, quote: u8, sink: &mut K) -> Result<(), ErrorKind> {
        let start = self.token.split_off(self.tag.value);
        self.references.feed(&start)?;
        if start.contains(&b'<') {
            return Err(ErrorKind::Syntax);
        }
        // As if it were empty and the last.
        self.token.push(quote);
        let state = self.read(self.token.len(), true, sink)?;
        self.token.pop();
        let interest = state.map_or(Interest::None, |state| sink.interest(state));
        self.copy(&self.token[self.tag.emitted..], sink);
        self.tag.emitted = self.token.len();
        let told = matches!(interest, Interest::Text | Interest::Pieces) && self.instead.is_none();
        match state.filter(|_| told) {
            Some(state) => sink.text(state, &start, false),
            None => self.copy(&start, sink),
        }
        let state = state.unwrap_or_else(|| self.elements.state());
        self.tag.long = Some(Long { state, pieces: told && interest == Interest::Pieces });
        Ok(())
    }

    /// A start tag is complete.
    fn start<K: Sink<State = S>>(&mut self, sink: &mut K) -> Result<(), ErrorKind> {
        let empty = self.token.ends_with(b"/>");
        self.read(self.token.len() - if empty { 2 } else { 1 }, false, sink)?;
        self.elements.opened()?;
        self.copy(&self.token[self.tag.emitted..], sink);
        self.token.clear();
        self.mode = Mode::Text;
        if empty {
            let depth = self.elements.depth();
            let state = self.elements.close(None)?;
            self.closed(depth, state, sink);
        }
        Ok(())
    }

    /// Reads what of the start tag is there, up to `end`, and tells the sink of the attributes that are new. Of the last
    /// only the start may be there: gives its state, if it is for the sink, and does not tell its text.
    fn read<K: Sink<State = S>>(
        &mut self,
        end: usize,
        partly: bool,
        sink: &mut K,
    ) -> Result<Option<S>, ErrorKind> {
        let token = std::mem::take(&mut self.token);
        let mut attributes = std::mem::take(&mut self.attributes);
        let read = self.read_from(&token[..end], partly, &mut attributes, sink);
        (self.token, self.attributes) = (token, attributes);
        read
    }

    fn read_from<K: Sink<State = S>>(
        &mut self,
        token: &[u8],
        partly: bool,
        attributes: &mut Vec<Attribute>,
        sink: &mut K,
    ) -> Result<Option<S>, ErrorKind> {
        let content = std::str::from_utf8(&token[1..]).map_err(|_| ErrorKind::Encoding)?;
        let name = attributes::name(content.as_bytes())?;
        attributes::read(content, name, attributes)?;
        let content = content.as_bytes();
        if !self.tag.open {
            self.tag.open = true;
            self.open(&content[..name], sink)?;
        }
        let fresh = &attributes[std::mem::replace(&mut self.tag.told, attributes.len())..];
        let mut state = None;
        for (at, Attribute { name, value }) in fresh.iter().enumerate() {
            let (name, raw) = (&content[name.clone()], &content[value.clone()]);
            let partly = partly && at + 1 == fresh.len();
            state = match self.elements.meaning(name)? {
                Meaning::Namespace if partly => return Err(ErrorKind::Namespace),
                Meaning::Namespace => {
                    self.elements.namespace(raw)?;
                    None
                }
                Meaning::Value => Some(self.elements.state()),
                Meaning::Member => Some(sink.member(self.elements.state(), local(name))),
                Meaning::Other => None,
            };
            if partly {
                break;
            }
            super::text::check(raw)?;
            let wanted = |state| matches!(sink.interest(state), Interest::Text | Interest::Pieces);
            if let Some(state) = state.filter(|state| self.instead.is_none() && wanted(*state)) {
                // The token has one byte before its content.
                sink.copy(&token[self.tag.emitted..=value.start]);
                sink.text(state, raw, true);
                self.tag.emitted = value.end + 1;
            }
        }
        Ok(state)
    }

    fn open<K: Sink<State = S>>(&mut self, name: &[u8], sink: &mut K) -> Result<(), ErrorKind> {
        self.elements.open(name, sink)?;
        let state = self.elements.state();
        if self.instead.is_none() {
            self.instead = sink.instead(state).map(|other| (self.elements.depth(), other));
        }
        if sink.interest(state) == Interest::Extent {
            sink.begin(state);
        }
        Ok(())
    }
}

/// A name without its prefix.
fn local(name: &[u8]) -> &[u8] {
    name.rsplit(|byte| *byte == b':').next().unwrap_or(name)
}
