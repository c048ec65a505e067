//! Documents of either syntax: one reader for sinks that need not know which.

use std::borrow::Cow;
use std::fmt;

use crate::json::scan::{self, Sink};
use crate::{json, xml};

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Syntax {
    /// JSON (R4 json.html).
    #[default]
    Json,
    /// XML (R4 xml.html).
    Xml,
}

/// A resumable reader of one document; a [`scan::Scanner`] or an [`xml::scan::Scanner`].
pub enum Reader<S> {
    /// Of JSON.
    Json(scan::Scanner<S>),
    /// Of XML.
    Xml(Box<xml::scan::Scanner<S>>),
}

/// A fault in a text and the byte it was found at. The display text never quotes the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault<K> {
    /// What is wrong.
    pub kind: K,
    /// Offset in bytes from the start of the text.
    pub offset: u64,
}

impl<K: fmt::Display> fmt::Display for Fault<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.kind, self.offset)
    }
}

impl<K: fmt::Debug + fmt::Display> std::error::Error for Fault<K> {}

/// A fault in a document. The display text never quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Of JSON.
    Json(json::Error),
    /// Of XML.
    Xml(xml::Error),
}

impl Error {
    /// Whether it is sound, but says something twice.
    pub fn is_duplicate(&self) -> bool {
        match self {
            Self::Json(error) => error.kind == json::ErrorKind::DuplicateKey,
            Self::Xml(error) => error.kind == xml::ErrorKind::Duplicate,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::Xml(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<json::Error> for Error {
    fn from(error: json::Error) -> Self {
        Self::Json(error)
    }
}

impl Syntax {
    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Xml => "XML",
        }
    }

    /// The text that a sink got as it is written; `None` if it is none.
    pub(crate) fn unescape(self, raw: &[u8]) -> Option<Cow<'_, str>> {
        match self {
            Self::Json => json::unescape(raw).ok(),
            Self::Xml => xml::unescape(raw).ok(),
        }
    }

    /// The text up to the first escape that stands for no character, or that a cut went through; and what is left.
    pub(crate) fn unescape_start(self, raw: &[u8]) -> (Cow<'_, str>, &[u8]) {
        match self {
            Self::Json => match json::unescape(raw) {
                Ok(text) => (text, &[]),
                Err(error) => {
                    let at = usize::try_from(error.offset).unwrap_or(0).min(raw.len());
                    let (start, rest) = raw.split_at(at);
                    json::unescape(start).map_or((Cow::Borrowed(""), raw), |text| (text, rest))
                }
            },
            Self::Xml => xml::unescape_start(raw),
        }
    }

    /// Appends a text as it is written there.
    pub(crate) fn write_escaped(self, out: &mut Vec<u8>, text: &str) {
        match self {
            Self::Json => json::write_escaped(out, text),
            Self::Xml => xml::write_escaped(out, text),
        }
    }
}

impl<S: Copy> Reader<S> {
    /// A reader at the start of a document whose root is in state `root`; `strict` for what a client sends.
    pub fn new(syntax: Syntax, root: S, strict: bool) -> Self {
        match syntax {
            Syntax::Json => Self::Json(scan::Scanner::new(root, strict)),
            Syntax::Xml => Self::Xml(Box::new(xml::scan::Scanner::new(root, strict))),
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// The first fault; what the sink got before it stands.
    pub fn feed<K: Sink<State = S>>(&mut self, chunk: &[u8], sink: &mut K) -> Result<(), Error> {
        match self {
            Self::Json(scanner) => scanner.feed(chunk, sink).map_err(Error::Json),
            Self::Xml(scanner) => scanner.feed(chunk, sink).map_err(Error::Xml),
        }
    }

    /// Says that the document is over.
    ///
    /// # Errors
    /// It was not complete.
    pub fn finish(&self) -> Result<(), Error> {
        match self {
            Self::Json(scanner) => scanner.finish().map_err(Error::Json),
            Self::Xml(scanner) => scanner.finish().map_err(Error::Xml),
        }
    }
}
