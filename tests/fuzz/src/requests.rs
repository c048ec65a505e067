//! Readers of requests and of URLs.

use std::sync::Arc;

use fireguard_fhir::base::Base;
use fireguard_fhir::interaction::{BodyKind, Head, Pages, parse};
use fireguard_fhir::json::check;
use fireguard_fhir::parameters::Parameters;
use fireguard_fhir::smart::{ResourceScope, Scopes};
use fireguard_fhir::urls::{Relative, Rewrite, Scope, UrlRewriter};

/// Lines: method, path, query, content type, accept, prefer, the preconditions, and a form.
pub fn interaction(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let mut line = || lines.next().filter(|line| !line.is_empty());
    let head = Head {
        method: line().unwrap_or("GET"),
        path: line().unwrap_or_default(),
        query: line(),
        content_type: line(),
        accept: line(),
        prefer: line(),
        if_match: line(),
        if_none_match: line(),
        if_modified_since: line(),
        if_none_exist: line(),
        pages: Pages::Plain,
        xml: true,
    };
    let Ok(mut request) = parse(&head) else { return };
    if request.body == BodyKind::Form {
        match request.with_form(line().unwrap_or_default().as_bytes(), true) {
            Ok(with_form) => request = with_form,
            Err(_) => return,
        }
    }
    // What is sent is understood as it was meant.
    let target = request.target();
    let (path, query) = match target.path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target.path_and_query.as_str(), None),
    };
    let mut segments = path[1..].split('/');
    assert!(path == "/" || segments.all(|s| !matches!(s, "" | "." | "..")), "{path}");
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/_-.$*".contains(&b);
    assert!(path.bytes().all(plain), "{path}");
    assert!(target.path_and_query.bytes().all(|b| b.is_ascii_graphic()), "{}", target.path_and_query);
    let sent = Head { method: target.method, path, query, accept: Some(request.accept()), ..head };
    let mut again = parse(&sent).unwrap_or_else(|refusal| panic!("{sent:?}: {refusal}"));
    if let Some(form) = request.form() {
        assert_eq!(again.form().as_deref(), Some(""), "parameters of a form stand in the URL");
        again = again.with_form(form.as_bytes(), true).unwrap_or_else(|refusal| panic!("{form}: {refusal}"));
    }
    assert_eq!(again.interaction, request.interaction);
    assert_eq!(again.parameters, request.parameters);
    assert_eq!(again.preconditions, request.preconditions);
    assert_eq!((again.target(), again.form()), (target, request.form()));
}

/// Written anew they are the same.
pub fn parameters(data: &[u8]) {
    let Ok(parameters) = Parameters::parse(data) else { return };
    let written = parameters.serialise();
    assert!(written.bytes().all(|b| b.is_ascii_graphic()), "{written}");
    let pairs = parameters.len() <= fireguard_fhir::parameters::MAX_PAIRS;
    if pairs && written.len() <= fireguard_fhir::parameters::MAX_LENGTH {
        assert_eq!(Parameters::parse(written.as_bytes()), Ok(parameters), "{written}");
    }
}

/// A scope that is understood says what it grants, and what is not understood grants nothing.
pub fn scopes(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let scopes = Scopes::parse(text);
    let words: Vec<ResourceScope> = text.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(
        scopes.is_contradictory() || words.iter().all(|scope| scopes.resources().contains(scope)),
        "{text}"
    );
    for scope in scopes.resources() {
        assert!(words.contains(scope), "{text}");
        let written = scope.to_string();
        assert!(written.bytes().all(|b| b.is_ascii_graphic()), "{written}");
        if written.len() <= fireguard_fhir::parameters::MAX_LENGTH {
            assert_eq!(written.parse().as_ref(), Ok(scope), "{written}");
        }
    }
}

/// Lines: a base, a URL; the rest is a document, in pieces as large as the length of the base.
pub fn urls(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (base, url, document) = (line(), line(), line());
    let (Ok(base), Ok(url)) = (std::str::from_utf8(base), std::str::from_utf8(url)) else { return };
    let Ok(parsed) = Base::parse(base) else { return };
    let shown = parsed.to_string();
    assert_eq!(Base::parse(&shown).as_ref(), Ok(&parsed), "{shown}");
    assert_eq!(parsed.strip(&shown), Some(""));
    if let Some(rest) = parsed.strip(url) {
        assert!(rest.is_empty() || rest.starts_with(['/', '?', '#']), "{url}: {rest}");
        assert!(url.ends_with(rest));
    }
    let relative = Arc::new(Relative::new(parsed.clone()));
    for json_patch in [false, true] {
        let inward =
            |size| through(UrlRewriter::toward_server(Arc::clone(&relative), json_patch), document, size);
        let (whole, cut) = (inward(document.len().max(1)), inward(base.len()));
        assert_eq!(whole, cut, "cuts make a difference");
        if let Some(whole) = whole {
            assert_eq!(check(document).is_ok(), check(&whole).is_ok(), "{}", String::from_utf8_lossy(&whole));
        }
    }
    let to = Base::parse("https://fireguard.example/r4").expect("a base");
    let rule = Arc::new(Rewrite::new(vec![parsed], to));
    for scope in [Scope::Elements, Scope::Everything] {
        let whole = rewritten(&rule, scope, document, document.len().max(1));
        let cut = rewritten(&rule, scope, document, base.len());
        assert_eq!(whole.is_some(), cut.is_some(), "cuts make a difference");
        let (Some(whole), Some(cut)) = (whole, cut) else { continue };
        assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(&cut), "cuts make a difference");
        // Names it does not touch.
        assert_eq!(check(document).is_ok(), check(&whole).is_ok(), "{}", String::from_utf8_lossy(&whole));
    }
}

fn rewritten(rule: &Arc<Rewrite>, scope: Scope, document: &[u8], size: usize) -> Option<Vec<u8>> {
    through(UrlRewriter::new(Arc::clone(rule), scope), document, size)
}

fn through(mut rewriter: UrlRewriter, document: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for piece in document.chunks(size) {
        rewriter.feed(piece, &mut out).ok()?;
    }
    rewriter.finish().ok()?;
    Some(out)
}
