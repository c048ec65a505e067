//! The resumable scanner: validates a JSON stream fed in any cuts and tells a [`Sink`] where it is.
//!
//! Its whole memory is a stack of [`MAX_DEPTH`] states and one bounded token (a member name, or a string
//! value the sink asked for). Every other byte is handed on at once.

mod checker;

use super::plain::{Utf8, plain_len};
use super::{Error, ErrorKind, MAX_DEPTH, unescape};

pub use checker::Checker;

/// A member name may be this long, in bytes as written.
const MAX_KEY: usize = 256;
/// A string value a sink asked for is held up to this many bytes as written.
pub const MAX_TEXT: usize = 8 * 1024;
/// An exponent may have this many digits: `1e999999999` makes a server write a number of a gigabyte.
const MAX_EXPONENT: u8 = 3;
/// An object may have this many members when duplicates are looked for.
const MAX_MEMBERS: usize = 1024;

/// What a sink wants to know about a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Nothing: its bytes are copied.
    None,
    /// The text, when the value is a string.
    Text,
    /// The text, when the value is a string, of any length and as it comes: in pieces that may be cut within an
    /// escape. All but the last are not complete, and the sink emits what takes the place of each.
    Pieces,
    /// Where it begins and where it ends, when it is an object or an array.
    Extent,
}

/// What the scanner drives. A state is the sink's own notion of a place in the document.
pub trait Sink {
    /// The place of a value, as the sink tells places apart.
    type State: Copy;

    /// The state of a member's value; `key` is decoded.
    fn member(&mut self, parent: Self::State, key: &[u8]) -> Self::State;
    /// The state of an array's element.
    fn element(&mut self, parent: Self::State) -> Self::State;
    /// What to tell about a value in this state.
    fn interest(&self, state: Self::State) -> Interest;
    /// Bytes that pass as they are, in order.
    fn copy(&mut self, bytes: &[u8]);
    /// A string value without its quotes, as written. Nothing of it has been copied: the sink emits what
    /// takes its place. Not `complete`: it is longer than [`MAX_TEXT`] and its rest will be copied.
    fn text(&mut self, state: Self::State, raw: &[u8], complete: bool);
    /// A value of interest begins; its first byte is copied next.
    fn begin(&mut self, state: Self::State);
    /// A value of interest has ended; its last byte was copied.
    fn end(&mut self, state: Self::State);

    /// Whether an object of interest may be read by somebody else: [`Scanner::feed_to`] stops before it.
    fn apart(&self, _: Self::State) -> bool {
        false
    }

    /// XML ([`crate::xml::scan`]): the value in this state is a resource of this type. JSON has a member for it.
    fn resource(&mut self, state: Self::State, resource_type: &[u8]) {
        let place = self.member(state, b"resourceType");
        if self.interest(place) == Interest::Text {
            self.text(place, resource_type, true);
        }
    }

    /// XML: an element that may repeat, and so is a list by itself: the state of the one.
    fn single(&mut self, state: Self::State) -> Self::State {
        state
    }

    /// XML: what takes the place of a whole element in this state, if anything.
    fn instead(&self, _: Self::State) -> Option<&'static [u8]> {
        None
    }
}

/// Where in the grammar the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Value,
    FirstElement,
    FirstKey,
    NextKey,
    Colon,
    AfterValue,
    Key,
    Text,
    Plain,
    Number(Number),
    Literal(&'static [u8], u8),
    /// Before an object that somebody else may read.
    Apart,
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Integer,
    Dot,
    Fraction,
    E,
    ESign,
    /// So many digits.
    Exponent(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Backslash,
    /// This many hexadecimal digits are still to come, after these.
    Hex(u8, u16),
    /// The first half of a surrogate pair is over: the second must follow.
    Half,
    HalfBackslash,
    /// Digits of the second half.
    HalfHex(u8, u16),
}

struct Frame<S> {
    object: bool,
    state: S,
    /// Where this object's member names start in `Scanner::names`.
    names: usize,
}

/// See the module's text.
pub struct Scanner<S> {
    mode: Mode,
    escape: Escape,
    stack: Vec<Frame<S>>,
    /// The state of the value that begins next or is being read.
    state: S,
    token: Vec<u8>,
    utf8: Utf8,
    offset: u64,
    strict: bool,
    /// Hashes of the member names of every open object.
    names: Vec<u64>,
}

/// A position in the chunk at hand: bytes `from..at` were read and not yet given to the sink.
struct Cursor {
    at: usize,
    from: usize,
    /// Whether to stop before what may be read by somebody else.
    stops: bool,
}

impl<S: Copy> Scanner<S> {
    /// A scanner at the start of a document whose outermost value is in state `root`. Duplicate members and
    /// halves of surrogate pairs are looked for only if `strict`: in what a client sends, not in what the
    /// server serialised.
    pub fn new(root: S, strict: bool) -> Self {
        Self {
            mode: Mode::Value,
            escape: Escape::None,
            stack: Vec::with_capacity(16),
            state: root,
            token: Vec::new(),
            utf8: Utf8::default(),
            offset: 0,
            strict,
            names: Vec::new(),
        }
    }

    /// Takes the next bytes of the document.
    ///
    /// # Errors
    /// The first fault. The scanner is of no use afterwards; what the sink got before it stands.
    pub fn feed<K: Sink<State = S>>(&mut self, chunk: &[u8], sink: &mut K) -> Result<(), Error> {
        self.utf8.feed(chunk).map_err(|at| self.fault(ErrorKind::Encoding, at))?;
        self.run(chunk, false, sink)?;
        Ok(())
    }

    /// Takes the next bytes up to an object that the sink lets be read apart, or all of them, and tells how many it took.
    /// Fed on from there it reads the object itself, unless [`Scanner::pass`] says that it was read.
    ///
    /// # Errors
    /// As [`Scanner::feed`].
    pub fn feed_to<K: Sink<State = S>>(&mut self, chunk: &[u8], sink: &mut K) -> Result<usize, Error> {
        let from = self.offset;
        let taken = self.run(chunk, true, sink)?;
        let checked = self.utf8.feed(&chunk[..taken]);
        checked.map_err(|at| Error { kind: ErrorKind::Encoding, offset: from + at as u64 })?;
        Ok(taken)
    }

    /// The object before which [`Scanner::feed_to`] has stopped was read, and found to be sound; it was this long. What
    /// follows it comes next.
    pub fn pass(&mut self, length: usize) {
        if self.mode == Mode::Apart {
            self.offset += length as u64;
            self.ended();
        }
    }

    fn run<K: Sink<State = S>>(&mut self, chunk: &[u8], stops: bool, sink: &mut K) -> Result<usize, Error> {
        let mut cursor = Cursor { at: 0, from: 0, stops };
        if self.mode == Mode::Apart && !chunk.is_empty() {
            // Nobody has read it.
            self.mode = self.open(true, chunk, &mut cursor, sink)?;
            cursor.at += 1;
        }
        while cursor.at < chunk.len() {
            match self.mode {
                Mode::Key => self.key(chunk, &mut cursor, sink)?,
                Mode::Text => self.text(chunk, &mut cursor, sink)?,
                Mode::Plain => {
                    if self.string(chunk, &mut cursor.at)? {
                        self.ended();
                    }
                }
                Mode::Number(number) => self.number(number, chunk, &mut cursor.at)?,
                Mode::Literal(word, done) => {
                    if chunk[cursor.at] != word[usize::from(done)] {
                        return Err(self.fault(ErrorKind::Syntax, cursor.at));
                    }
                    cursor.at += 1;
                    self.mode = Mode::Literal(word, done + 1);
                    if usize::from(done) + 1 == word.len() {
                        self.ended();
                    }
                }
                Mode::Apart => break,
                _ => match chunk[cursor.at] {
                    b' ' | b'\t' | b'\n' | b'\r' => cursor.at += 1,
                    byte => self.structure(byte, chunk, &mut cursor, sink)?,
                },
            }
        }
        if cursor.from < cursor.at {
            sink.copy(&chunk[cursor.from..cursor.at]);
        }
        self.offset += cursor.at as u64;
        Ok(cursor.at)
    }

    /// Says that the document is over.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] if it was not complete.
    pub fn finish(&self) -> Result<(), Error> {
        use Number::{Exponent, Fraction, Integer, Zero};
        let number = matches!(self.mode, Mode::Number(Zero | Integer | Fraction | Exponent(_)));
        if (self.mode == Mode::Done || (number && self.stack.is_empty())) && self.utf8.is_complete() {
            Ok(())
        } else {
            Err(self.fault(ErrorKind::Truncated, 0))
        }
    }

    /// One byte outside strings, numbers and words.
    fn structure<K: Sink<State = S>>(
        &mut self,
        byte: u8,
        chunk: &[u8],
        cursor: &mut Cursor,
        sink: &mut K,
    ) -> Result<(), Error> {
        match (self.mode, byte) {
            (Mode::FirstElement, b']') | (Mode::FirstKey, b'}') => self.close(chunk, cursor, sink),
            (Mode::Value | Mode::FirstElement, _) => self.value(byte, chunk, cursor, sink)?,
            (Mode::FirstKey | Mode::NextKey, b'"') => {
                self.token.clear();
                self.mode = Mode::Key;
                cursor.at += 1;
            }
            (Mode::Colon, b':') => {
                self.mode = Mode::Value;
                cursor.at += 1;
            }
            (Mode::AfterValue, b',') => {
                let object = self.stack.last().is_some_and(|f| f.object);
                self.mode = if object { Mode::NextKey } else { Mode::Value };
                cursor.at += 1;
            }
            (Mode::AfterValue, b'}' | b']')
                if self.stack.last().is_some_and(|f| f.object == (byte == b'}')) =>
            {
                self.close(chunk, cursor, sink);
            }
            (Mode::Done, _) => return Err(self.fault(ErrorKind::Trailing, cursor.at)),
            _ => return Err(self.fault(ErrorKind::Syntax, cursor.at)),
        }
        Ok(())
    }

    /// The first byte of a value.
    fn value<K: Sink<State = S>>(
        &mut self,
        byte: u8,
        chunk: &[u8],
        cursor: &mut Cursor,
        sink: &mut K,
    ) -> Result<(), Error> {
        if let Some(array) = self.stack.last().filter(|f| !f.object) {
            self.state = sink.element(array.state);
        }
        self.mode = match byte {
            b'{' if cursor.stops && sink.apart(self.state) => {
                self.mode = Mode::Apart;
                return Ok(());
            }
            b'{' | b'[' => self.open(byte == b'{', chunk, cursor, sink)?,
            b'"' if matches!(sink.interest(self.state), Interest::Text | Interest::Pieces) => {
                sink.copy(&chunk[cursor.from..=cursor.at]);
                cursor.from = cursor.at + 1;
                self.token.clear();
                Mode::Text
            }
            b'"' => Mode::Plain,
            b'-' => Mode::Number(Number::Minus),
            b'0' => Mode::Number(Number::Zero),
            b'1'..=b'9' => Mode::Number(Number::Integer),
            b't' => Mode::Literal(b"true", 1),
            b'f' => Mode::Literal(b"false", 1),
            b'n' => Mode::Literal(b"null", 1),
            _ => return Err(self.fault(ErrorKind::Syntax, cursor.at)),
        };
        cursor.at += 1;
        Ok(())
    }

    /// The bracket of an object or array.
    fn open<K: Sink<State = S>>(
        &mut self,
        object: bool,
        chunk: &[u8],
        cursor: &mut Cursor,
        sink: &mut K,
    ) -> Result<Mode, Error> {
        if self.stack.len() == MAX_DEPTH {
            return Err(self.fault(ErrorKind::TooDeep, cursor.at));
        }
        if sink.interest(self.state) == Interest::Extent {
            sink.copy(&chunk[cursor.from..cursor.at]);
            cursor.from = cursor.at;
            sink.begin(self.state);
        }
        self.stack.push(Frame { object, state: self.state, names: self.names.len() });
        Ok(if object { Mode::FirstKey } else { Mode::FirstElement })
    }

    fn close<K: Sink<State = S>>(&mut self, chunk: &[u8], cursor: &mut Cursor, sink: &mut K) {
        cursor.at += 1;
        if let Some(frame) = self.stack.pop() {
            self.names.truncate(frame.names);
            if sink.interest(frame.state) == Interest::Extent {
                sink.copy(&chunk[cursor.from..cursor.at]);
                cursor.from = cursor.at;
                sink.end(frame.state);
            }
        }
        self.ended();
    }

    fn ended(&mut self) {
        self.mode = if self.stack.is_empty() { Mode::Done } else { Mode::AfterValue };
    }

    /// Member names; the bytes are copied with the rest, the token is only looked at.
    fn key<K: Sink<State = S>>(
        &mut self,
        chunk: &[u8],
        cursor: &mut Cursor,
        sink: &mut K,
    ) -> Result<(), Error> {
        let start = cursor.at;
        let complete = self.string(chunk, &mut cursor.at)?;
        let part = &chunk[start..cursor.at - usize::from(complete)];
        if self.token.len() + part.len() > MAX_KEY {
            return Err(self.fault(ErrorKind::TooLong, start));
        }
        if !complete {
            self.token.extend_from_slice(part);
            return Ok(());
        }
        let held = std::mem::take(&mut self.token);
        let raw = if held.is_empty() { part } else { &[&held, part].concat() };
        let key = unescape(raw).map_err(|_| self.fault(ErrorKind::Encoding, start))?;
        let key = key.as_bytes();
        let parent = self.stack.last().map(|f| (f.state, f.names));
        if let Some((state, names)) = parent {
            if self.strict {
                self.new_name(names, key).map_err(|kind| self.fault(kind, start))?;
            }
            self.state = sink.member(state, key);
        }
        self.mode = Mode::Colon;
        Ok(())
    }

    fn new_name(&mut self, from: usize, key: &[u8]) -> Result<(), ErrorKind> {
        // FNV-1a. Colliding names can be made on purpose: they get a text refused, never a duplicate through.
        let hash = key
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
        let names = &self.names[from..];
        if names.contains(&hash) {
            return Err(ErrorKind::DuplicateKey);
        }
        if names.len() == MAX_MEMBERS {
            return Err(ErrorKind::TooLong);
        }
        self.names.push(hash);
        Ok(())
    }

    /// A string value that the sink asked for.
    fn text<K: Sink<State = S>>(
        &mut self,
        chunk: &[u8],
        cursor: &mut Cursor,
        sink: &mut K,
    ) -> Result<(), Error> {
        let start = cursor.at;
        let complete = self.string(chunk, &mut cursor.at)?;
        cursor.from = cursor.at - usize::from(complete);
        let part = &chunk[start..cursor.from];
        if sink.interest(self.state) == Interest::Pieces {
            sink.text(self.state, part, complete);
            if complete {
                self.ended();
            }
            return Ok(());
        }
        let too_long = self.token.len() + part.len() > MAX_TEXT;
        if complete && self.token.is_empty() {
            sink.text(self.state, part, true);
        } else {
            self.token.extend_from_slice(part);
            if complete || too_long {
                sink.text(self.state, &self.token, complete);
                self.token.clear();
            }
        }
        if complete {
            self.ended();
        } else if too_long {
            self.mode = Mode::Plain;
        }
        Ok(())
    }

    /// Reads string bytes up to the end of the chunk, or over the closing quote: then `true`.
    fn string(&mut self, chunk: &[u8], at: &mut usize) -> Result<bool, Error> {
        while *at < chunk.len() {
            let byte = chunk[*at];
            match self.escape {
                Escape::None => match byte {
                    b'"' => {
                        *at += 1;
                        return Ok(true);
                    }
                    b'\\' => self.escape = Escape::Backslash,
                    0..0x20 => return Err(self.fault(ErrorKind::Syntax, *at)),
                    _ => {
                        *at += plain_len(&chunk[*at..]);
                        continue;
                    }
                },
                Escape::Backslash => {
                    self.escape = match byte {
                        b'u' => Escape::Hex(4, 0),
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Escape::None,
                        _ => return Err(self.fault(ErrorKind::Syntax, *at)),
                    };
                }
                Escape::Half if byte == b'\\' => self.escape = Escape::HalfBackslash,
                Escape::HalfBackslash if byte == b'u' => self.escape = Escape::HalfHex(4, 0),
                Escape::Half | Escape::HalfBackslash => return Err(self.fault(ErrorKind::Encoding, *at)),
                Escape::Hex(left, before) | Escape::HalfHex(left, before) => {
                    let digit = char::from(byte).to_digit(16).and_then(|digit| u16::try_from(digit).ok());
                    let digit = digit.ok_or_else(|| self.fault(ErrorKind::Syntax, *at))?;
                    let unit = before << 4 | digit;
                    let second = matches!(self.escape, Escape::HalfHex(..));
                    self.escape = match (left, second) {
                        (1, _) => self.unit(unit, second).map_err(|kind| self.fault(kind, *at))?,
                        (_, false) => Escape::Hex(left - 1, unit),
                        (_, true) => Escape::HalfHex(left - 1, unit),
                    };
                }
            }
            *at += 1;
        }
        Ok(false)
    }

    /// What follows a `\u` with this value, which is perhaps the `second` of a pair.
    fn unit(&self, unit: u16, second: bool) -> Result<Escape, ErrorKind> {
        match (unit, second) {
            (0xdc00..=0xdfff, true) => Ok(Escape::None),
            (0xd800..=0xdbff, false) if self.strict => Ok(Escape::Half),
            (0xdc00..=0xdfff, false) if self.strict => Err(ErrorKind::Encoding),
            (_, true) => Err(ErrorKind::Encoding),
            // What the server has stored passes as it is.
            (_, false) => Ok(Escape::None),
        }
    }

    fn number(&mut self, number: Number, chunk: &[u8], at: &mut usize) -> Result<(), Error> {
        use Number::{Dot, E, ESign, Exponent, Fraction, Integer, Minus, Zero};
        let next = match (number, chunk[*at]) {
            (Minus, b'0') => Zero,
            (Minus | Integer, b'0'..=b'9') => Integer,
            (Zero | Integer, b'.') => Dot,
            (Dot | Fraction, b'0'..=b'9') => Fraction,
            (Zero | Integer | Fraction, b'e' | b'E') => E,
            (E, b'+' | b'-') => ESign,
            (E | ESign, b'0'..=b'9') => Exponent(1),
            (Exponent(MAX_EXPONENT), b'0'..=b'9') => return Err(self.fault(ErrorKind::TooLong, *at)),
            (Exponent(digits), b'0'..=b'9') => Exponent(digits + 1),
            // The byte after a complete number belongs to the structure around it.
            (Zero | Integer | Fraction | Exponent(_), _) => {
                self.ended();
                return Ok(());
            }
            _ => return Err(self.fault(ErrorKind::Syntax, *at)),
        };
        *at += 1;
        self.mode = Mode::Number(next);
        Ok(())
    }

    fn fault(&self, kind: ErrorKind, at: usize) -> Error {
        Error { kind, offset: self.offset + at as u64 }
    }
}

#[cfg(test)]
mod tests;
