//! Rewrites the server's own URLs in a JSON body into the ones the caller knows, as a stream.
//!
//! Only elements that carry a URL of the server are looked at (Bundle links and `fullUrl`, references,
//! `Attachment.url`, `response.location`, …). Canonical URLs, identifier and code systems, profiles,
//! extension URLs and `Subscription.channel.endpoint` are names, not addresses, and stay.

use std::borrow::Cow;
use std::sync::Arc;

use crate::base::Base;
use crate::interaction::{PAGE, SealPages, is_page};
use crate::json::scan::{Interest, Scanner, Sink};
use crate::json::{self, unescape, write_escaped};

/// What stands where: URLs below one of `from` get the same place below `to`.
pub struct Rewrite {
    from: Vec<Base>,
    to: Base,
    pages: Option<Arc<dyn SealPages>>,
}

impl Rewrite {
    /// Rewrites URLs below any of `from` to the same place below `to`.
    pub fn new(from: Vec<Base>, to: Base) -> Self {
        Self { from, to, pages: None }
    }

    /// Seals links to pages, too.
    #[must_use]
    pub fn sealing(self, pages: Arc<dyn SealPages>) -> Self {
        Self { pages: Some(pages), ..self }
    }

    /// The base the caller knows.
    pub fn to(&self) -> &Base {
        &self.to
    }

    /// The caller's form of `url`, when it is below the server's base. HAPI may be set up to make links of what
    /// it is told of the caller's base: there only links to pages have another form.
    pub fn url(&self, url: &str) -> Option<String> {
        let theirs = self.from.iter().find_map(|base| base.strip(url));
        let rest = theirs.or_else(|| self.to.strip(url))?;
        match (self.page(rest), theirs) {
            (Some(page), _) => Some(page),
            (None, Some(rest)) => Some(format!("{}{rest}", self.to)),
            (None, None) => None,
        }
    }

    fn moved(&self, url: &str) -> Option<String> {
        self.from.iter().find_map(|base| base.strip(url)).map(|rest| format!("{}{rest}", self.to))
    }

    fn page(&self, rest: &str) -> Option<String> {
        let pages = self.pages.as_ref()?;
        let query = rest.strip_prefix('/').unwrap_or(rest).strip_prefix('?')?;
        is_page(query).then(|| format!("{}?{PAGE}={}", self.to, pages.seal(query)))
    }
}

/// Which strings of a document are addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The elements that carry addresses, in any resource.
    Elements,
    /// Every string: a CapabilityStatement names the server's definitions by its own base.
    Everything,
}

/// The rewriter: feed it the body in any cuts, take what comes out.
pub struct UrlRewriter {
    scanner: Scanner<Place>,
    output: Output,
}

struct Output {
    rewrite: Arc<Rewrite>,
    scope: Scope,
    out: Vec<u8>,
}

/// Where a value stands, as far as addresses care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A resource: its own `url` is its canonical name.
    Resource,
    /// An extension: its `url` is a name, its `valueUrl` may be an address.
    Extension,
    /// `Bundle.entry.response`.
    Response,
    /// An address, if it is a string.
    Address,
    /// Any other.
    Other,
}

impl UrlRewriter {
    /// A rewriter for one document.
    pub fn new(rewrite: Arc<Rewrite>, scope: Scope) -> Self {
        let scanner = Scanner::new(Place::Resource, false);
        Self { scanner, output: Output { rewrite, scope, out: Vec::new() } }
    }

    /// Takes the next bytes and appends to `out` what can be given on.
    ///
    /// # Errors
    /// The body is not valid JSON; what came out before is a valid start of it.
    pub fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), json::Error> {
        std::mem::swap(&mut self.output.out, out);
        let result = self.scanner.feed(chunk, &mut self.output);
        std::mem::swap(&mut self.output.out, out);
        result
    }

    /// Says that the body is over.
    ///
    /// # Errors
    /// The document is not complete.
    pub fn finish(&self) -> Result<(), json::Error> {
        self.scanner.finish()
    }
}

impl Sink for Output {
    type State = Place;

    fn member(&mut self, parent: Place, key: &[u8]) -> Place {
        match (parent, key) {
            (_, b"resource" | b"contained") => Place::Resource,
            (_, b"extension" | b"modifierExtension") => Place::Extension,
            (_, b"response") => Place::Response,
            (Place::Resource, b"url") | (Place::Extension, b"url") => Place::Other,
            (_, b"url" | b"reference" | b"fullUrl" | b"valueUrl") => Place::Address,
            (Place::Response, b"location") => Place::Address,
            // The manifest of a bulk export names the request it answers.
            (Place::Resource, b"request") => Place::Address,
            _ => Place::Other,
        }
    }

    fn element(&mut self, parent: Place) -> Place {
        parent
    }

    fn interest(&self, place: Place) -> Interest {
        if place == Place::Address || self.scope == Scope::Everything {
            Interest::Text
        } else {
            Interest::None
        }
    }

    fn copy(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn text(&mut self, _: Place, raw: &[u8], complete: bool) {
        let (text, rest) = decoded(raw);
        // Half a link to a page cannot be sealed, and unsealed it leads nowhere.
        let url = if complete { self.rewrite.url(&text) } else { self.rewrite.moved(&text) };
        match url {
            Some(url) => {
                write_escaped(&mut self.out, &url);
                self.out.extend_from_slice(rest);
            }
            None => self.out.extend_from_slice(raw),
        }
    }

    fn begin(&mut self, _: Place) {}

    fn end(&mut self, _: Place) {}
}

/// The text up to the first escape that stands for no character, or that a cut went through; and what is
/// left. A text that was cut is longer than any base, so its start decides.
fn decoded(raw: &[u8]) -> (Cow<'_, str>, &[u8]) {
    match unescape(raw) {
        Ok(text) => (text, &[]),
        Err(error) => {
            let (start, rest) = raw.split_at(usize::try_from(error.offset).unwrap_or(0).min(raw.len()));
            unescape(start).map_or((Cow::Borrowed(""), raw), |text| (text, rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(text: &str, scope: Scope, size: usize) -> String {
        let from = vec![Base::parse("http://hapi:8080/fhir").unwrap()];
        let to = Base::parse("https://public.example/r4").unwrap();
        let mut rewriter = UrlRewriter::new(Arc::new(Rewrite::new(from, to)), scope);
        let mut out = Vec::new();
        for chunk in text.as_bytes().chunks(size) {
            rewriter.feed(chunk, &mut out).unwrap_or_else(|e| panic!("{e}: {text}"));
        }
        rewriter.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    const OURS: &str = "http://hapi:8080/fhir";

    #[test]
    fn addresses_change_and_names_stay() {
        let changed = [
            r#"{"resourceType":"Bundle","link":[{"relation":"next","url":"@?_getpages=1&x=2"}]}"#,
            r#"{"entry":[{"fullUrl":"@/Patient/1","resource":{"id":"1"}}]}"#,
            r#"{"entry":[{"link":[{"url":"@/Patient/1"}],"request":{"url":"@/Patient"}}]}"#,
            r#"{"entry":[{"response":{"location":"@/Patient/1/_history/1"}}]}"#,
            r#"{"subject":{"reference":"@/Patient/1"},"contained":[{"subject":{"reference":"@/Patient/1"}}]}"#,
            r#"{"content":[{"attachment":{"url":"@/Binary/1"}}],"photo":[{"url":"@/Binary/2"}]}"#,
            r#"{"extension":[{"url":"http://x","valueUrl":"@/Binary/1"},{"valueReference":{"reference":"@/P/1"}}]}"#,
            r#"{"resourceType":"CapabilityStatement","implementation":{"url":"@"}}"#,
            r#"{"subject" : { "reference" : "http:\/\/hapi:8080\/fhir\/Patient\/1" } }"#,
            r#"{"request":"@/$export","output":[{"type":"Patient","url":"@/Binary/9"}]}"#,
        ];
        for text in changed {
            let text = text.replace('@', OURS);
            let plain = text.replace(r"\/", "/");
            let expected = plain.replace(OURS, "https://public.example/r4");
            for size in [1, 2, 3, 7, 64, 4096] {
                assert_eq!(rewrite(&text, Scope::Elements, size), expected, "{text}");
            }
        }
        let stays = [
            r#"{"resourceType":"ValueSet","url":"@/ValueSet/x"}"#,
            r#"{"entry":[{"resource":{"url":"@/ValueSet/x"}}]}"#,
            r#"{"extension":[{"url":"@/StructureDefinition/x","valueUri":"@/y"}]}"#,
            r#"{"identifier":[{"system":"@/sid","value":"@/1"}],"meta":{"profile":["@/StructureDefinition/x"]}}"#,
            r#"{"channel":{"endpoint":"@/hook"}}"#,
            r#"{"subject":{"reference":"http://hapi:8080/fhir2/Patient/1"}}"#,
            r#"{"subject":{"reference":"Patient/1"}, "text":{"div":"<a href=\"@/Patient/1\">x</a>"}}"#,
        ];
        for text in stays {
            let text = text.replace('@', OURS);
            assert_eq!(rewrite(&text, Scope::Elements, 5), text);
        }
    }

    #[test]
    fn a_capability_statement_shows_no_address_of_the_server() {
        let text =
            r#"{"url":"@/metadata","rest":[{"operation":[{"definition":"@/OperationDefinition/x"}]}]}"#
                .replace('@', OURS);
        assert!(!rewrite(&text, Scope::Everything, 9).contains("hapi"));
    }

    #[test]
    fn a_url_longer_than_any_token_changes_at_its_start() {
        for pad in 8100..8250 {
            let tail = ["?x=", &"y".repeat(pad), r"\u00e9", &"z".repeat(500)].concat();
            let text = format!(r#"{{"link":[{{"url":"{OURS}{tail}"}}]}}"#);
            let out = rewrite(&text, Scope::Elements, 512);
            assert!(out.starts_with(r#"{"link":[{"url":"https://public.example/r4?x=yyy"#));
            assert_eq!(
                unescape(out.as_bytes()).unwrap().len(),
                unescape(text.as_bytes()).unwrap().len() + "https://public.example/r4".len() - OURS.len()
            );
        }
    }
}
