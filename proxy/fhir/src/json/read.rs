//! Reading one whole value without changing it. It asks and checks like the rewriter, and keeps no account of what
//! becomes of the text, which makes it several times as fast.

use super::Error;
use super::lex::{Kind, Lexer};
use super::rewrite::{Key, Value, bounded};

/// Is asked, place by place, whether to look into a value.
pub trait Reader {
    /// What the reader wants to remember of the place it is in; handed down from each container to its items.
    type State: Copy;

    /// An object's member. Some: ask about each of its items, with this state.
    fn member(&mut self, within: Self::State, key: &Key<'_>, value: &Value<'_>) -> Option<Self::State>;

    /// An array's element; otherwise like [`Reader::member`].
    fn element(&mut self, within: Self::State, value: &Value<'_>) -> Option<Self::State>;
}

/// Reads `text` and asks `reader` about each item of the root value, then of what it looks into.
///
/// Checks the whole text as [`rewrite`](super::rewrite()) does: grammar, UTF-8, escapes, depth, and that no object has two
/// members of one name.
///
/// # Errors
/// What is wrong with `text`, at the first place found. The reader may have been asked about places before.
pub fn read<R: Reader>(text: &[u8], root: R::State, reader: &mut R) -> Result<(), Error> {
    bounded(text)?;
    let mut lexer = Lexer::new(text);
    walk(&mut lexer, root, reader)?;
    lexer.end()
}

/// Reads the object or array that `text` starts with, and tells how long it is. What follows is not looked at. `depth` is
/// how many objects and arrays are around it, of those that [`MAX_DEPTH`](super::MAX_DEPTH) allows.
///
/// # Errors
/// As [`read`]; [`ErrorKind::Truncated`](super::ErrorKind::Truncated) if the value goes on beyond the text.
pub fn read_first<R: Reader>(
    text: &[u8],
    depth: usize,
    root: R::State,
    reader: &mut R,
) -> Result<usize, Error> {
    bounded(text)?;
    let mut lexer = Lexer::within(text, depth);
    walk(&mut lexer, root, reader)?;
    Ok(lexer.at())
}

/// Passes the value here, without recursion.
fn walk<R: Reader>(lexer: &mut Lexer<'_>, root: R::State, reader: &mut R) -> Result<(), Error> {
    let text = lexer.text();
    let mut kind = lexer.kind()?;
    if !matches!(kind, Kind::Object | Kind::Array) {
        return lexer.scalar(kind);
    }
    let mut state = root;
    // The containers around the one at hand.
    let mut around: Vec<(Kind, R::State)> = Vec::with_capacity(16);
    let mut more = lexer.open(kind)?;
    loop {
        if !more {
            lexer.close(kind)?;
            let Some(outer) = around.pop() else { return Ok(()) };
            (kind, state) = outer;
            more = lexer.comma(kind)?;
            continue;
        }
        let key = match kind {
            Kind::Object => {
                let (entry, print) = lexer.key()?;
                Some(Key::new(text, entry, print))
            }
            _ => None,
        };
        let start = lexer.at();
        let inner = lexer.kind()?;
        let container = matches!(inner, Kind::Object | Kind::Array);
        if !container {
            lexer.scalar(inner)?;
        }
        let value = Value::new(inner, if container { &text[start..] } else { &text[start..lexer.at()] });
        let into = match &key {
            Some(key) => reader.member(state, key, &value),
            None => reader.element(state, &value),
        };
        match into {
            Some(next) if container => {
                around.push((kind, state));
                (kind, state) = (inner, next);
                more = lexer.open(kind)?;
            }
            _ => {
                if container {
                    lexer.value(inner)?;
                }
                more = lexer.comma(kind)?;
            }
        }
    }
}
