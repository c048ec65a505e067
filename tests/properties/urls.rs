//! Where the server's address does not stand, rewriting changes no byte; nor does a rewrite that keeps all.

use std::sync::Arc;

use fireguard_fhir::base::Base;
use fireguard_fhir::json::scan::Checker;
use fireguard_fhir::json::{Step, check, transform};
use fireguard_fhir::urls::{Rewrite, Scope, UrlRewriter};

use crate::samples::{bundles, ndjson};

const FROM: &str = "http://hapi.internal:8080/fhir";
const TO: &str = "https://fireguard.example/r4";

#[test]
fn what_has_no_address_of_the_server_keeps_its_bytes() {
    for sample in bundles() {
        for scope in [Scope::Elements, Scope::Everything] {
            let out = rewritten(sample.bytes.chunks(4096), FROM, TO, scope);
            assert!(out == sample.bytes, "{} {scope:?}", sample.name);
        }
        // Samples name no server: with one, all of it changes, and changes back.
        let text = String::from_utf8(sample.bytes).unwrap();
        let theirs = text.replace("urn:uuid:", &format!("{FROM}/x/"));
        let ours = rewritten(theirs.as_bytes().chunks(1000), FROM, TO, Scope::Everything);
        let ours = String::from_utf8(ours).unwrap();
        assert!(!ours.contains("hapi.internal"), "{}", sample.name);
        let back = rewritten(ours.as_bytes().chunks(777), TO, FROM, Scope::Everything);
        assert!(back == theirs.as_bytes(), "{}", sample.name);
    }
}

#[test]
fn small_documents_are_cut_at_every_byte() {
    for sample in bundles().into_iter().filter(|sample| sample.bytes.len() < 5_000) {
        for cut in 0..=sample.bytes.len() {
            let (start, end) = sample.bytes.split_at(cut);
            let out = rewritten([start, end].into_iter(), FROM, TO, Scope::Everything);
            assert!(out == sample.bytes, "{} at {cut}", sample.name);
        }
    }
}

#[test]
fn every_line_is_read_alike_and_kept() {
    for sample in ndjson() {
        for (number, line) in
            sample.bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, l)| !l.is_empty())
        {
            let place = format!("{} line {number}", sample.name);
            assert_eq!(check(line), Ok(()), "{place}");
            let mut checker = Checker::default();
            line.chunks(97).for_each(|piece| checker.feed(piece).unwrap());
            assert_eq!(checker.finish(), Ok(()), "{place}");
            let kept = transform(line, |_, _, _| Step::Enter(())).unwrap();
            assert!(kept.is_unchanged(), "{place}");
        }
    }
}

fn rewritten<'a>(cuts: impl Iterator<Item = &'a [u8]>, from: &str, to: &str, scope: Scope) -> Vec<u8> {
    let rule = Rewrite::new(vec![Base::parse(from).unwrap()], Base::parse(to).unwrap());
    let mut rewriter = UrlRewriter::new(Arc::new(rule), scope);
    let mut out = Vec::new();
    for cut in cuts {
        rewriter.feed(cut, &mut out).unwrap();
    }
    rewriter.finish().unwrap();
    out
}
