//! Readers of XML.

use std::sync::Arc;

use fireguard_fhir::base::Base;
use fireguard_fhir::bundle::requests::Requests;
use fireguard_fhir::document::Syntax;
use fireguard_fhir::references::ConditionalReferences;
use fireguard_fhir::urls::{Relative, Rewrite, Scope, UrlRewriter};

/// The first byte says in how large pieces the others come.
pub fn xml(data: &[u8]) {
    let Some((size, text)) = data.split_first() else { return };
    let size = usize::from(*size).max(1);
    let base = |text| Base::parse(text).expect("a base");
    let relative = Arc::new(Relative::new(base("https://fireguard.example/r4")));
    let inward = || UrlRewriter::toward_server(Arc::clone(&relative), false);
    let sound = through(inward, text, size, false);
    let to_caller = Rewrite::new(vec![base("http://h/fhir")], base("https://fireguard.example/r4"));
    let to_caller = Arc::new(to_caller);
    for scope in [Scope::Elements, Scope::Everything] {
        for failure in [false, true] {
            let outward = || UrlRewriter::new(Arc::clone(&to_caller), scope).of_failure(failure);
            let whole = through(outward, text, size, true);
            // What the server has stored may say more than what a client sends.
            assert!(whole.is_some() || sound.is_none());
        }
    }
    let mut requests = Requests::new(Syntax::Xml);
    let mut references = ConditionalReferences::new(Syntax::Xml);
    let mut all = true;
    for piece in text.chunks(size) {
        all &= references.feed(piece).is_ok();
        match requests.feed(piece) {
            Ok(entries) => entries.iter().for_each(|entry| drop(entry.parse(entry.url()))),
            Err(_) => all = false,
        }
        if !all {
            break;
        }
    }
    assert_eq!(all && requests.finish().is_ok(), sound.is_some(), "the readers do not agree");
}

/// The document rewritten, and the same however it is cut; well-formed before and after.
fn through(
    rewriter: impl Fn() -> UrlRewriter,
    document: &[u8],
    size: usize,
    stored: bool,
) -> Option<Vec<u8>> {
    let (whole, cut) =
        (rewritten(rewriter(), document, document.len().max(1)), rewritten(rewriter(), document, size));
    assert_eq!(whole, cut, "cuts make a difference");
    let whole = whole?;
    for text in [document, &whole] {
        let text = std::str::from_utf8(text).expect("UTF-8");
        match roxmltree::Document::parse(text) {
            Ok(_) => {}
            // What is stored may have prefixes in its narratives; whose they are is nothing to us.
            Err(roxmltree::Error::UnknownNamespace(..) | roxmltree::Error::DuplicatedNamespace(..))
                if stored => {}
            Err(error) => panic!("{error}: {text}"),
        }
    }
    Some(whole)
}

fn rewritten(rewriter: UrlRewriter, document: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut rewriter = rewriter.reading(Syntax::Xml);
    let mut out = Vec::new();
    for piece in document.chunks(size) {
        rewriter.feed(piece, &mut out).ok()?;
    }
    rewriter.finish().ok()?;
    Some(out)
}
