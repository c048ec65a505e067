//! Links and images of narratives: `href` and `src` of their XHTML, inside of a JSON text, as a stream.

use std::ops::Range;

use super::Rewrite;
use crate::json::{unescape, write_escaped};

/// A tag is held up to this many bytes as written; a longer one passes as it is.
const MAX_TAG: usize = 8 * 1024;

/// What is held of a narrative: the beginning of a tag.
#[derive(Default)]
pub(super) struct Narrative {
    held: Vec<u8>,
    /// Within a tag that is too long: it passes to its end.
    too_long: bool,
}

impl Narrative {
    /// Takes the next piece of the text as written and gives on what is complete; all, if it is the `last`.
    pub(super) fn feed(&mut self, piece: &[u8], last: bool, rewrite: &Rewrite, out: &mut Vec<u8>) {
        self.held.extend_from_slice(piece);
        let mut done = 0;
        if self.too_long {
            let end = memchr::memchr(b'>', &self.held);
            self.too_long = end.is_none();
            done = end.map_or(self.held.len(), |end| end + 1);
            out.extend_from_slice(&self.held[..done]);
        }
        while let Some(start) = memchr::memchr(b'<', &self.held[done..]).map(|at| done + at) {
            let Some(end) = memchr::memchr(b'>', &self.held[start..]).map(|at| start + at + 1) else {
                out.extend_from_slice(&self.held[done..start]);
                done = start;
                break;
            };
            out.extend_from_slice(&self.held[done..start]);
            match &self.held[start..end] {
                long if long.len() > MAX_TAG => out.extend_from_slice(long),
                short => tag(short, rewrite, out),
            }
            done = end;
        }
        let open = self.held[done..].first() == Some(&b'<');
        let too_long = open && self.held.len() - done > MAX_TAG;
        if last || !open || too_long {
            self.too_long |= too_long;
            out.extend_from_slice(&self.held[done..]);
            done = self.held.len();
        }
        self.held.drain(..done);
        if last {
            *self = Self::default();
        }
    }
}

fn tag(raw: &[u8], rewrite: &Rewrite, out: &mut Vec<u8>) {
    let changed = unescape(raw).ok().and_then(|text| {
        let mut text = text.into_owned();
        // From the end, so that places before stay right.
        let places: Vec<_> = addresses(&text).collect();
        let mut changed = false;
        for place in places.into_iter().rev() {
            if let Some(url) = rewrite.moved(&text[place.clone()]) {
                text.replace_range(place, &url);
                changed = true;
            }
        }
        changed.then_some(text)
    });
    match changed {
        Some(text) => write_escaped(out, &text),
        None => out.extend_from_slice(raw),
    }
}

/// Where the values of `href` and `src` are.
fn addresses(tag: &str) -> impl Iterator<Item = Range<usize>> {
    let value = |at: usize, name: &str| {
        if !tag[..at].ends_with(char::is_whitespace) {
            return None;
        }
        let rest = tag[at + name.len()..].trim_start().strip_prefix('=')?.trim_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let start = tag.len() - rest.len() + 1;
        let end = start + tag[start..].find(quote)?;
        Some(start..end)
    };
    let of = move |name: &'static str| tag.match_indices(name).filter_map(move |(at, name)| value(at, name));
    let mut places: Vec<_> = of("href").chain(of("src")).collect();
    places.sort_by_key(|place| place.start);
    places.into_iter()
}
