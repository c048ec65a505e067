//! The tokens of one whole JSON text, checked against RFC 8259.

use super::keys::{Entry, Fingerprint, Keys};
use super::{Error, ErrorKind, MAX_DEPTH, unescape};

/// What a JSON value is, told by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// `-1.20E3`
    Number,
    /// `true` or `false`
    Boolean,
    /// `null`
    Null,
}

/// Walks a text token by token. What it has passed is valid.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    /// None when repeated names are not looked for.
    keys: Option<Keys>,
}

impl<'a> Lexer<'a> {
    /// Starts at the root value.
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self::within(text, 0)
    }

    /// Starts at a value that is within so many others.
    pub(super) fn within(text: &'a [u8], depth: usize) -> Self {
        let mut lexer = Self { text, at: 0, depth, keys: Some(Keys::default()) };
        lexer.space();
        lexer
    }

    /// Like [`Lexer::new`], but lets repeated names pass: for looking into a text that is checked elsewhere.
    pub(super) fn lenient(text: &'a [u8]) -> Self {
        let mut lexer = Self { text, at: 0, depth: 0, keys: None };
        lexer.space();
        lexer
    }

    pub(super) fn text(&self) -> &'a [u8] {
        self.text
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Nothing but white space may follow the root value.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.fault(ErrorKind::Trailing)) }
    }

    /// What the value here is.
    #[inline]
    pub(super) fn kind(&self) -> Result<Kind, Error> {
        match self.text.get(self.at) {
            Some(b'"') => Ok(Kind::String),
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Boolean),
            Some(b'n') => Ok(Kind::Null),
            _ => Err(self.unexpected()),
        }
    }

    /// Passes a value that is neither object nor array.
    #[inline]
    pub(super) fn scalar(&mut self, kind: Kind) -> Result<(), Error> {
        match kind {
            Kind::String => self.string().map(|_| ()),
            Kind::Number => self.number(),
            Kind::Null => self.literal(b"null"),
            Kind::Boolean if self.text[self.at] == b't' => self.literal(b"true"),
            Kind::Boolean => self.literal(b"false"),
            Kind::Object | Kind::Array => Err(self.fault(ErrorKind::Syntax)),
        }
    }

    /// Passes the opening bracket of an object or array, and the space after it. False: it is empty, and
    /// its closing bracket comes next.
    pub(super) fn open(&mut self, kind: Kind) -> Result<bool, Error> {
        if self.depth >= MAX_DEPTH {
            return Err(self.fault(ErrorKind::TooDeep));
        }
        self.depth += 1;
        self.at += 1;
        self.space();
        if kind == Kind::Object {
            if let Some(keys) = &mut self.keys {
                keys.open();
            }
            Ok(self.text.get(self.at) != Some(&b'}'))
        } else {
            Ok(self.text.get(self.at) != Some(&b']'))
        }
    }

    /// After an item: passes a comma and the space around it (true), or stops at the closing bracket.
    #[inline]
    pub(super) fn comma(&mut self, kind: Kind) -> Result<bool, Error> {
        self.space();
        let bracket = if kind == Kind::Object { b'}' } else { b']' };
        match self.text.get(self.at) {
            Some(b',') => {
                self.at += 1;
                self.space();
                Ok(true)
            }
            Some(byte) if *byte == bracket => Ok(false),
            _ => Err(self.unexpected()),
        }
    }

    /// Passes the closing bracket, which comes next.
    pub(super) fn close(&mut self, kind: Kind) -> Result<(), Error> {
        if kind == Kind::Object
            && let Some(keys) = &mut self.keys
        {
            keys.close(self.text)?;
        }
        self.depth -= 1;
        self.at += 1;
        Ok(())
    }

    /// Passes a member name, its colon and the space around them.
    #[inline]
    pub(super) fn key(&mut self) -> Result<(Entry, Fingerprint), Error> {
        if self.text.get(self.at) != Some(&b'"') {
            return Err(self.unexpected());
        }
        let start = self.at + 1;
        let escaped = self.string()?;
        let raw = &self.text[start..self.at - 1];
        // Of the decoded name, so that `"id"` and `"\u0069d"` meet.
        let print = if escaped { Fingerprint::of(unescape(raw)?.as_bytes()) } else { Fingerprint::of(raw) };
        let entry = Entry { start: start as u32, end: (self.at - 1) as u32, hash: print.hash(), escaped };
        if let Some(keys) = &mut self.keys {
            keys.add(entry, self.text)?;
        }
        if self.text.get(self.at) != Some(&b':') {
            self.space();
            if self.text.get(self.at) != Some(&b':') {
                return Err(self.unexpected());
            }
        }
        self.at += 1;
        self.space();
        Ok((entry, print))
    }

    /// Passes a whole value, without recursion.
    pub(super) fn value(&mut self, kind: Kind) -> Result<(), Error> {
        // One bit for each container that this call opened, the innermost lowest: set for an object.
        let mut objects: u64 = 0;
        let outside = self.depth;
        let mut kind = kind;
        loop {
            if matches!(kind, Kind::Object | Kind::Array) {
                let filled = self.open(kind)?;
                objects = objects << 1 | u64::from(kind == Kind::Object);
                if filled {
                    kind = self.item(objects)?;
                    continue;
                }
                self.close(kind)?;
                objects >>= 1;
            } else {
                self.scalar(kind)?;
            }
            loop {
                if self.depth == outside {
                    return Ok(());
                }
                let container = if objects & 1 == 1 { Kind::Object } else { Kind::Array };
                if self.comma(container)? {
                    kind = self.item(objects)?;
                    break;
                }
                self.close(container)?;
                objects >>= 1;
            }
        }
    }

    /// Passes the name, if the innermost container is an object, and tells the kind of the value.
    #[inline]
    fn item(&mut self, objects: u64) -> Result<Kind, Error> {
        if objects & 1 == 1 {
            self.key()?;
        }
        self.kind()
    }

    /// Passes a string; true if it holds an escape.
    #[inline]
    fn string(&mut self) -> Result<bool, Error> {
        let start = self.at + 1;
        let mut escaped = false;
        // All bytes so far, put together: the high bits tell whether any is not ASCII.
        let mut seen = 0;
        let mut at = start;
        loop {
            at = plain_end(self.text, at, &mut seen);
            match self.text.get(at) {
                Some(b'"') => break,
                // The character after a backslash is part of the escape, which is judged below.
                Some(b'\\') => {
                    escaped = true;
                    at += 2;
                    if at > self.text.len() {
                        return Err(Error { kind: ErrorKind::Truncated, offset: self.text.len() as u64 });
                    }
                }
                Some(_) => return Err(Error { kind: ErrorKind::Syntax, offset: at as u64 }),
                None => return Err(Error { kind: ErrorKind::Truncated, offset: at as u64 }),
            }
        }
        let inside = &self.text[start..at];
        let fault = |offset: usize| Error { kind: ErrorKind::Encoding, offset: (start + offset) as u64 };
        if seen & HIGH_BITS != 0 {
            std::str::from_utf8(inside).map_err(|error| fault(error.valid_up_to()))?;
        }
        if escaped {
            check_escapes(inside).map_err(fault)?;
        }
        self.at = at + 1;
        Ok(escaped)
    }

    fn number(&mut self) -> Result<(), Error> {
        if self.text[self.at] == b'-' {
            self.at += 1;
        }
        if self.text.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.text.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Error> {
        let from = self.at;
        while let Some(b'0'..=b'9') = self.text.get(self.at) {
            self.at += 1;
        }
        if self.at > from { Ok(()) } else { Err(self.unexpected()) }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Error> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        let wrong = word.iter().zip(&self.text[self.at..]).take_while(|(a, b)| a == b).count();
        self.at += wrong;
        Err(self.unexpected())
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    fn unexpected(&self) -> Error {
        let ended = self.at >= self.text.len();
        self.fault(if ended { ErrorKind::Truncated } else { ErrorKind::Syntax })
    }

    fn fault(&self, kind: ErrorKind) -> Error {
        Error { kind, offset: self.at as u64 }
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// The first byte from `at` on that is a quote, a backslash or a control character. Eight bytes at a time.
#[inline]
fn plain_end(text: &[u8], mut at: usize, seen: &mut u64) -> usize {
    while let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * 0x22);
        let backslash = word ^ (ONES * 0x5c);
        // A byte that is met borrows into its high bit; the lowest bit set is exact.
        let met = (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let met = met & HIGH_BITS;
        if met != 0 {
            let bits = met.trailing_zeros() & !7;
            *seen |= word & ((1 << bits) - 1);
            return at + (bits / 8) as usize;
        }
        *seen |= word;
        at += 8;
    }
    while let Some(byte) = text.get(at) {
        if matches!(byte, 0..0x20 | b'"' | b'\\') {
            break;
        }
        *seen |= u64::from(*byte);
        at += 1;
    }
    at
}

/// Checks the escapes of a string's inside without decoding it. `Err` is the offset of a faulty one.
fn check_escapes(raw: &[u8]) -> Result<(), usize> {
    let mut at = 0;
    while let Some(next) = memchr::memchr(b'\\', &raw[at..]) {
        at += next;
        at += match raw.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') => match (code_unit(raw, at), code_unit(raw, at + 6)) {
                (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
                (Some(unit), _) if !(0xd800..=0xdfff).contains(&unit) => 6,
                _ => return Err(at),
            },
            _ => return Err(at),
        };
    }
    Ok(())
}

/// The UTF-16 code unit that `\uXXXX` at this place stands for.
fn code_unit(raw: &[u8], at: usize) -> Option<u32> {
    let digits = raw.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}
