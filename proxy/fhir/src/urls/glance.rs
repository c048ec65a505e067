//! Whole answers of the server in JSON: most hold none of its addresses, or a few in places that are plain to see.
//!
//! An address has `://` and a host. So the body is searched for that, as fast as memory is read, and only where our
//! host follows the JSON around it is read, backward: an address is a whole string, its member's name stands
//! before it, and sometimes the name of the object it stands in matters. Whatever is not as plain as that is left
//! to the [`UrlRewriter`](super::UrlRewriter), which comes to the same result (tested so) and takes its time.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use memchr::{memchr, memchr2_iter};

use super::Rewrite;
use crate::json::scan::MAX_TEXT;
use crate::json::write_escaped;

/// What a body becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Glance {
    /// It stays as it is.
    Unchanged,
    /// This.
    Changed(Vec<u8>),
    /// It has to be read from the start.
    Unclear,
}

static AUTHORITY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("://"));
/// The texts of OperationOutcomes are not shown as they are.
static OUTCOMES: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| ["OperationOutcome", "\"issue\""].map(Finder::new));

/// So far is looked back for the object that a member belongs to.
const LOOK_BACK: usize = 4096;

impl Rewrite {
    /// What a whole JSON answer becomes, in [`Scope::Elements`](super::Scope::Elements). It is not checked to be
    /// JSON but for its ends.
    pub fn glance(&self, body: &[u8]) -> Glance {
        let whole = body.trim_ascii();
        let object = whole.starts_with(b"{") && whole.ends_with(b"}");
        if !object || self.may_be_hidden(body) || OUTCOMES.iter().any(|outcome| outcome.find(body).is_some())
        {
            return Glance::Unclear;
        }
        let mut out = Vec::new();
        let mut copied = 0;
        for at in AUTHORITY.find_iter(body) {
            match self.names(&body[at + "://".len()..]) {
                Some(false) => continue,
                Some(true) => {}
                None => return Glance::Unclear,
            }
            let Some(text) = Text::around(body, at) else { return Glance::Unclear };
            match text.is_address() {
                Some(false) => continue,
                Some(true) => {}
                None => return Glance::Unclear,
            }
            let Ok(url) = str::from_utf8(&body[text.start..text.end]) else { return Glance::Unclear };
            // What follows the base stays as it is written, unless it has a query to be looked at.
            let changed;
            let (start, rest) = match self.strip(url).filter(|rest| !rest.contains('?')) {
                Some(rest) => (self.to.as_str(), rest),
                None => match self.url(url) {
                    Some(url) => {
                        changed = url;
                        (changed.as_str(), "")
                    }
                    None => continue,
                },
            };
            if out.is_empty() {
                out.reserve(body.len() + body.len() / 4);
            }
            out.extend_from_slice(&body[copied..text.start]);
            write_escaped(&mut out, start);
            out.extend_from_slice(rest.as_bytes());
            copied = text.end;
        }
        if copied == 0 {
            return Glance::Unchanged;
        }
        out.extend_from_slice(&body[copied..]);
        Glance::Changed(out)
    }

    /// Whether an address may be written so that a search for `://` does not find it: with escaped characters, or
    /// encoded as a part of another's query.
    fn may_be_hidden(&self, body: &[u8]) -> bool {
        let mut passed = 0;
        memchr2_iter(b'\\', b'%', body).any(|at| {
            if at < passed {
                return false;
            }
            let next = |n: usize| body.get(at + n).map_or(0, u8::to_ascii_lowercase);
            match (body[at], next(1), next(2), next(3)) {
                (b'\\', b'/' | b'u', ..) => true,
                (b'\\', ..) => {
                    passed = at + 2;
                    false
                }
                (_, b'2', b'f', b'%') if next(4) == b'2' && next(5) == b'f' => {
                    passed = at + "%2f%2f".len();
                    self.names(body.get(passed..).unwrap_or_default()) != Some(false)
                }
                (_, b'2', b'f', b'/') | (_, b'3', b'a', b'/') => true,
                (_, b'2', b'f', _) => body[..at].ends_with(b"/"),
                _ => false,
            }
        })
    }

    /// Whether what follows `://` begins with a host of the server's or of ours; none: it is encoded.
    fn names(&self, authority: &[u8]) -> Option<bool> {
        for host in self.from.iter().chain([&self.to]).map(|base| base.host().as_bytes()) {
            // Most are told apart by their first letter.
            let first = authority.first().map_or(0, u8::to_ascii_lowercase);
            if host.first() != Some(&first) && first != b'%' {
                continue;
            }
            let same = |(a, b): &(&u8, &u8)| a.eq_ignore_ascii_case(b);
            let common = authority.iter().zip(host).take_while(same).count();
            match authority.get(common) {
                Some(b'%') => return None,
                Some(next) if common == host.len() => {
                    let longer = next.is_ascii_alphanumeric() || b"-._".contains(next);
                    if !longer {
                        return Some(true);
                    }
                }
                _ => {}
            }
        }
        Some(false)
    }
}

/// A string value that begins with an address.
struct Text<'a> {
    body: &'a [u8],
    /// Where its quotes are.
    start: usize,
    end: usize,
    name: &'a [u8],
    /// Where its name's opening quote is.
    member: usize,
}

impl<'a> Text<'a> {
    /// Around this `://`.
    fn around(body: &'a [u8], at: usize) -> Option<Self> {
        let start = ["http", "https"].iter().find_map(|scheme| {
            let start = at.checked_sub(scheme.len())?;
            let quoted = start > 0 && body[start - 1] == b'"';
            (quoted && body[start..at].eq_ignore_ascii_case(scheme.as_bytes())).then_some(start)
        })?;
        let end = at + memchr(b'"', &body[at..])?;
        if end - start > MAX_TEXT || memchr(b'\\', &body[start..end]).is_some() {
            return None;
        }
        let (name, member) = name_before(body, start - 1)?;
        Some(Self { body, start, end, name, member })
    }

    /// Whether it stands where an address stands, as `Place` tells them in the rewriter.
    fn is_address(&self) -> Option<bool> {
        match self.name {
            b"reference" | b"fullUrl" | b"valueUrl" | b"request" => Some(true),
            b"url" => {
                let object = object_of(self.body, self.member)?;
                // The `url` of a resource is its name, and so is an extension's.
                Some(match parent_name(self.body, object)? {
                    None => false,
                    Some(b"resource" | b"contained" | b"extension" | b"modifierExtension") => false,
                    Some(b"outcome") => return None,
                    Some(_) => true,
                })
            }
            b"location" | b"criteria" | b"valueUri" | b"div" | b"resourceType" | b"name" => None,
            _ => Some(false),
        }
    }
}

/// The name of the member whose value begins here, and where its opening quote is.
fn name_before(body: &[u8], value: usize) -> Option<(&[u8], usize)> {
    let colon = last_before(body, value)?;
    if body[colon] != b':' {
        return None;
    }
    let close = last_before(body, colon)?;
    let open = quote_before(body, close)?;
    let name = &body[open + 1..close];
    memchr(b'\\', name).is_none().then_some((name, open))
}

/// Where the object begins in which a member's name stands here.
fn object_of(body: &[u8], mut member: usize) -> Option<usize> {
    let first = member.saturating_sub(LOOK_BACK);
    loop {
        let before = last_before(body, member)?;
        match body[before] {
            b'{' => return Some(before),
            b',' if before > first => {
                let value = value_before(body, before)?;
                (_, member) = name_before(body, value)?;
            }
            _ => return None,
        }
    }
}

/// The name of the member that an object is the value of, or an element of; the outermost one has none.
fn parent_name(body: &[u8], mut object: usize) -> Option<Option<&[u8]>> {
    let first = object.saturating_sub(LOOK_BACK);
    let Some(mut before) = last_before(body, object) else { return Some(None) };
    while body[before] == b',' && before > first {
        object = value_before(body, before)?;
        before = last_before(body, object)?;
    }
    match body[before] {
        b':' => name_before(body, object).map(|(name, _)| Some(name)),
        b'[' => name_before(body, before).map(|(name, _)| Some(name)),
        _ => None,
    }
}

/// Where the value begins that ends before this place.
fn value_before(body: &[u8], end: usize) -> Option<usize> {
    let last = last_before(body, end)?;
    let (mut at, mut depth) = (last, 0_usize);
    loop {
        if end - at > LOOK_BACK {
            return None;
        }
        match body[at] {
            b'"' => at = quote_before(body, at)?,
            b'}' | b']' => depth += 1,
            b'{' | b'[' => depth = depth.checked_sub(1)?,
            // Of a number or a word in the open the start is looked for.
            _ if depth == 0 && at > 0 && is_plain(body[at - 1]) => {
                at -= 1;
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
        at = at.checked_sub(1)?;
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)
}

/// The quote that opens the string which this one closes.
fn quote_before(body: &[u8], close: usize) -> Option<usize> {
    if body[close] != b'"' || body[..close].ends_with(b"\\") {
        return None;
    }
    let open = memchr::memrchr(b'"', &body[close.saturating_sub(LOOK_BACK)..close])?;
    let open = open + close.saturating_sub(LOOK_BACK);
    (!body[..open].ends_with(b"\\")).then_some(open)
}

/// The last byte before this place that is not white space.
fn last_before(body: &[u8], at: usize) -> Option<usize> {
    body[..at].iter().rposition(|byte| !byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Base;

    fn glance(text: &str) -> Glance {
        let base = |text| Base::parse(text).unwrap();
        let rewrite = Rewrite::new(vec![base("http://hapi:8080/fhir")], base("https://public.example/r4"));
        rewrite.glance(text.replace('@', "http://hapi:8080/fhir").as_bytes())
    }

    #[test]
    fn most_answers_are_clear() {
        for (text, expected) in [
            (r#"{"resourceType":"Patient","id":"1","x":"http://hapi2/fhir","y":"a\"b\\"}"#, None),
            (r#" {"code":{"coding":[{"system":"http://loinc.org","code":"1"}]}, "n":1.50}"#, None),
            (
                r#"{"link":[{"url":"https://x/y?code=http%3A%2F%2Floinc.org%7C8302-2&subject=Patient%2F1"}]}"#,
                None,
            ),
            (r#"{"url":"@/ValueSet/1"}"#, None),
            (r#"{"identifier":[{"system":"@/sid","value":"@/1"}]}"#, None),
            (r#"{"contained":[{"a":[1,{"b":"}"}],"c":true},{"d":null ,"url":"@/ValueSet/x"}]}"#, None),
            (r#"{"extension":[{"url":"@/x","valueUrl":"!/y"}]}"#, Some(())),
            (r#"{"link":[{"relation":"self","url":"!/Patient"},{"relation":"x","url":"!?a=b"}]}"#, Some(())),
            (r#"{"a":{"b":[1.5e-3,"x",{"y":{}}],"url" : "!/Binary/1"},"reference":"!"}"#, Some(())),
            (
                r#"{"entry":[{"fullUrl":"!/A/1","resource":{"url":"@/A/1"},"request":{"url":"!/A/1"}}]}"#,
                Some(()),
            ),
        ] {
            let (theirs, ours) = (text.replace('!', "@"), text.replace('!', "https://public.example/r4"));
            let ours = ours.replace('@', "http://hapi:8080/fhir").into_bytes();
            let expected = expected.map_or(Glance::Unchanged, |()| Glance::Changed(ours));
            assert_eq!(glance(&theirs), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_plain_to_see_is_left_to_the_rewriter() {
        for text in [
            "",
            "<html>",
            "[]",
            r#"{"a":1"#,
            r#"{"resourceType":"OperationOutcome"}"#,
            r#"{"x":{"issue":[]}}"#,
            r#"{"reference":"http:\/\/hapi:8080\/fhir/A/1"}"#,
            r#"{"reference":"http://h\u0061pi:8080/fhir/A/1"}"#,
            r#"{"url":"https://x/?y=http%3A%2F%2Fhapi%3A8080%2Ffhir"}"#,
            r#"{"url":"https://x/?y=http%3A//hapi:8080/fhir"}"#,
            r#"{"url":"https://x/?y=http://h%61pi:8080/fhir"}"#,
            r#"{"text":{"div":"<a href=\"@/A/1\">"}}"#,
            r#"{"text":{"div":"<a href='@/A/1'>"}}"#,
            r#"{"x":["@/A/1"]}"#,
            r#"{"response":{"location":"@/A/1/_history/1"}}"#,
            r#"{"parameter":[{"name":"a-url","valueUri":"@"}]}"#,
            r#"{"fullUrl":"ws://hapi:8080/fhir"}"#,
            r#"{"x":[[{"url":"@/A/1"}]]}"#,
        ] {
            assert_eq!(glance(text), Glance::Unclear, "{text}");
        }
    }
}
