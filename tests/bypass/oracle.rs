//! Finds what must not be in an answer, and tells whether two answers tell the same.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use crate::data::{B, C, NOBODY, Who};

/// An answer, or several of one attack: pages.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    /// Heads and bodies, decoded.
    pub(crate) text: String,
}

/// What stands in A's own: ids of theirs, and where they lead.
const OWN: [&str; 6] =
    ["{x}-obs1", "{x}-report", "{x}-patient", "zqa-tie-{x}", "zqa-holds-{x}", "zqa-moved-{x}"];

impl Seen {
    /// The parts of somebody's data in it. What the request says is no news; `knows` neither.
    pub(crate) fn of(&self, who: Who, request: &str, knows: &[&str]) -> Vec<String> {
        let written = percent_decode_str(&self.text).decode_utf8_lossy();
        let all = format!("{written} {}", decoded(&self.text));
        let mut found: Vec<String> = Vec::new();
        for mark in [
            who.mark(),
            format!("SECRET-{}", who.name),
            format!("555-{}", who.name),
            format!("City{}", who.name),
        ] {
            if all.contains(&mark) && !request.contains(&mark) {
                found.push(mark);
            }
        }
        for (at, _) in all.match_indices(who.x) {
            let is = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            let before: String = all[..at].chars().rev().take_while(is).collect();
            let token: String = before.chars().rev().chain(all[at..].chars().take_while(is)).collect();
            let known = OWN.iter().chain(knows).any(|known| who.fill(known) == token);
            // A sealed token may look like anything.
            let sealed = token.len() > 40;
            if !sealed && !request.contains(&token) && !known && !found.contains(&token) {
                found.push(token);
            }
        }
        found
    }

    /// The same without what differs between any two answers, and without who is named.
    pub(crate) fn comparable(&self) -> String {
        // Before names are taken out: a token may look like one.
        let mut text = steady(&self.text);
        for who in [B, C, NOBODY] {
            text = text.replace(who.x, "{x}").replace(who.name, "{X}");
        }
        format!("{} {text}", self.status)
    }
}

/// What base64 in it hides.
fn decoded(text: &str) -> String {
    let is = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let long = text.split(|c| !is(c)).filter(|part| part.len() >= 24 && part.len().is_multiple_of(4));
    let bytes = long.filter_map(|part| STANDARD.decode(part).ok());
    bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect::<Vec<_>>().join(" ")
}

/// Takes out what is made by chance or by the clock: ids of Bundles and requests, instants, tokens of pages.
fn steady(text: &str) -> String {
    let mut steady = String::with_capacity(text.len());
    let is = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut rest = text;
    while let Some(start) = rest.find(is) {
        let (before, from) = rest.split_at(start);
        steady.push_str(before);
        let end = from.find(|c| !is(c)).unwrap_or(from.len());
        let (word, mut after) = from.split_at(end);
        let instant = is_instant(word);
        if instant {
            // The rest of its time.
            after = after
                .trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ':' | '.' | '+' | '-' | 'Z'));
        }
        steady.push_str(if instant || is_chance(word) { "#" } else { word });
        rest = after;
    }
    steady.push_str(rest);
    steady
}

/// A UUID, or a long token.
fn is_chance(word: &str) -> bool {
    word.len() == 36 && word.matches('-').count() == 4 || word.len() > 40
}

/// An instant up to its hour.
fn is_instant(word: &str) -> bool {
    word.len() >= 13 && word.starts_with("20") && word.as_bytes()[4] == b'-' && word.as_bytes()[10] == b'T'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Seen {
        Seen { status: 200, text: text.to_owned() }
    }

    #[test]
    fn everything_of_the_other_is_found() {
        let file = STANDARD.encode("this is about QuokkaBravo");
        for (text, request, knows, found) in [
            ("QuokkaBravo", "", &[][..], 1),
            ("QuokkaBravo", "name=QuokkaBravo", &[], 0),
            ("Observation/zqb-obs3 zqb-obs2", "Observation/zqb-obs3", &[], 1),
            ("Observation/zqb-obs1", "", &[], 0),
            ("Observation/zqb-obs2", "", &["{x}-obs2"], 0),
            ("Observation/zqb-obs22", "", &["{x}-obs2"], 1),
            ("{\"code\":\"tag-zqb\"}", "", &[], 1),
            ("QuokkaAlpha zqa-obs1 zqc-obs1", "", &[], 0),
            (&*format!("{{\"data\":\"{file}\"}}"), "", &[], 1),
        ] {
            assert_eq!(seen(text).of(B, request, knows).len(), found, "{text}");
        }
    }

    #[test]
    fn twins_differ_in_nothing_but_names_and_chance() {
        let one =
            "zqb-obs1 QuokkaBravo 8d0c1f4b-27a9-4360-b3be-1a47cd92856f 2026-01-01T00:00:00.000Z total 0";
        let other =
            "zqn-obs1 QuokkaNobod 9d0c1f4b-27a9-4360-b3be-1a47cd92856f 2026-01-02T10:00:00.000Z total 0";
        assert_eq!(seen(one).comparable(), seen(other).comparable());
        assert_ne!(seen(one).comparable(), seen(&other.replace("total 0", "total 1")).comparable());
        assert_ne!(seen(one).comparable(), Seen { status: 404, ..seen(other) }.comparable());
    }
}
