//! A request as it was recorded: its line, its headers, an empty line, its body. So curl, browsers and proxies show it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fireguard_fhir::interaction::{Head, Request, parse};
use serde_json::Value;

use crate::cli::Failed;

/// A recorded request.
pub(super) struct Recorded {
    method: String,
    /// Path and query, below the FHIR base.
    target: String,
    headers: Vec<(String, String)>,
    /// Its body; empty: none.
    pub(super) body: Vec<u8>,
}

impl Recorded {
    /// Reads a file. `base` is the path of the FHIR base.
    pub(super) fn read(path: &Path, base: &str) -> Result<Self, Failed> {
        let bytes = std::fs::read(path).map_err(|error| miette::miette!("{}: {error}", path.display()))?;
        Self::of(&bytes, base).map_err(|message| miette::miette!("{}: {message}", path.display()))
    }

    /// Of a line: `GET /Patient/1`.
    pub(super) fn described(line: &str) -> Result<Self, Failed> {
        let mut recorded =
            Self::of(line.as_bytes(), "").map_err(|message| miette::miette!("{line}: {message}"))?;
        let path = recorded.target.split('?').next().unwrap_or_default();
        let kind = match &*recorded.method {
            "PATCH" => "application/json-patch+json",
            "POST" if path.ends_with("/_search") => "application/x-www-form-urlencoded",
            "POST" | "PUT" => "application/fhir+json",
            _ => return Ok(recorded),
        };
        recorded.headers.push(("content-type".to_owned(), kind.to_owned()));
        Ok(recorded)
    }

    /// What is asked for.
    pub(super) fn request(&self) -> Result<Request, Failed> {
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&*self.target, None),
        };
        let head = Head {
            method: &self.method,
            path,
            query,
            content_type: self.header("content-type"),
            accept: self.header("accept"),
            prefer: self.header("prefer"),
            if_match: self.header("if-match"),
            if_none_match: self.header("if-none-match"),
            if_modified_since: self.header("if-modified-since"),
            if_none_exist: self.header("if-none-exist"),
            xml: true,
            ..Head::default()
        };
        parse(&head).map_err(|refusal| miette::miette!("the request is refused: {}", refusal.message))
    }

    /// The claims of its token, whose signature nobody looks at here. None: it has none that can be read.
    pub(super) fn claims(&self) -> Option<Value> {
        let token = self.header("authorization")?.split_once(' ')?.1;
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        serde_json::from_slice(&claims).ok()
    }

    fn of(bytes: &[u8], base: &str) -> Result<Self, String> {
        let mut rest = bytes;
        let mut lines = Vec::new();
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            let line = String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned();
            rest = rest.get(end + 1..).unwrap_or_default();
            // curl marks what it sends.
            let line = line.trim_end().trim_start_matches("> ").trim_start_matches('>').to_owned();
            match (line.is_empty(), lines.is_empty()) {
                (true, true) => {}
                (true, false) => break,
                (false, _) => lines.push(line),
            }
        }
        let mut lines = lines.into_iter();
        let first = lines.next().unwrap_or_default();
        let mut words = first.split_whitespace();
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err("a request is written GET /Patient/1".to_owned());
        };
        let target = match target.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("", |at| rest.get(at..).unwrap_or_default()),
            None => target,
        };
        let target = target
            .strip_prefix(base.trim_end_matches('/'))
            .filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
            .ok_or_else(|| format!("{target} is not below the base {base}"))?;
        let header = |line: String| {
            let (name, value) = line.split_once(':').ok_or("a line of the head is no header")?;
            Ok::<_, String>((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        };
        let headers = lines.map(header).collect::<Result<_, _>>()?;
        Ok(Self { method: method.to_owned(), target: target.to_owned(), headers, body: rest.to_vec() })
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_they_are_shown() {
        let token = format!("x.{}.y", URL_SAFE_NO_PAD.encode(r#"{"sub":"s"}"#));
        let curl = format!(
            "> PUT /fhir/Patient/1 HTTP/2\n> Authorization: Bearer {token}\n> content-type: application/fhir+json\n>\n{{\"a\":1}}\n"
        );
        let recorded = Recorded::of(curl.as_bytes(), "/fhir").unwrap();
        assert_eq!((&*recorded.method, &*recorded.target), ("PUT", "/Patient/1"));
        assert_eq!(recorded.body, b"{\"a\":1}\n");
        assert_eq!(recorded.claims().unwrap()["sub"], "s");
        assert_eq!(recorded.request().unwrap().target().path_and_query, "/Patient/1");
        for (text, base, expected) in [
            ("GET https://h.example/fhir/Patient?x=1 HTTP/1.1\r\n\r\n", "/fhir", Ok("/Patient?x=1")),
            ("GET /Patient", "", Ok("/Patient")),
            ("POST /fhir HTTP/1.1\n\n{}", "/fhir/", Ok("")),
            ("GET /fhirx/Patient", "/fhir", Err("not below the base")),
            ("GET", "", Err("is written")),
            ("GET /Patient\nnonsense", "", Err("no header")),
        ] {
            let read = Recorded::of(text.as_bytes(), base).map(|recorded| recorded.target);
            match expected {
                Ok(target) => assert_eq!(read.as_deref(), Ok(target), "{text}"),
                Err(says) => assert!(read.as_ref().is_err_and(|error| error.contains(says)), "{read:?}"),
            }
        }
    }
}
