//! Writes a Bundle around resources, as they come.

use super::Entry;
use crate::json::{write_escaped, write_string};

/// The joiner. Elements it writes: `resourceType`, `type`, `link`, and in each entry `fullUrl` (from the
/// resource's own type and id), `resource`, `search.mode`, `request` (method, and `url` from type and id)
/// and `response.status`.
pub struct Joiner {
    base: String,
    kind: Option<String>,
    links: Vec<(String, String)>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing is written.
    Start,
    /// The head is written; these of its parts were not known in time.
    Entries { kind_written: bool, links_written: usize },
}

impl Joiner {
    /// A joiner for a Bundle whose entries live below `base`.
    pub fn new(base: String) -> Self {
        Self { base, kind: None, links: Vec::new(), stage: Stage::Start }
    }

    /// Sets `Bundle.type`.
    pub fn kind(&mut self, kind: String) {
        self.kind = Some(kind);
    }

    /// Adds a link.
    pub fn link(&mut self, relation: String, url: String) {
        self.links.push((relation, url));
    }

    /// Appends one entry. `identity` is the type and id of `resource` as it now is.
    pub fn entry(
        &mut self,
        out: &mut Vec<u8>,
        entry: &Entry,
        identity: (&str, Option<&str>),
        resource: &[u8],
    ) {
        match self.stage {
            Stage::Start => {
                self.head(out);
                out.extend_from_slice(br#","entry":["#);
            }
            Stage::Entries { .. } => out.push(b','),
        }
        let (resource_type, id) = identity;
        out.push(b'{');
        if let Some(id) = id {
            out.extend_from_slice(br#""fullUrl":""#);
            write_escaped(out, &self.base);
            out.push(b'/');
            write_escaped(out, resource_type);
            out.push(b'/');
            write_escaped(out, id);
            out.extend_from_slice(br#"","#);
        }
        out.extend_from_slice(br#""resource":"#);
        out.extend_from_slice(resource);
        if let Some(mode) = entry.search_mode.as_deref().filter(|m| matches!(*m, "match" | "include")) {
            out.extend_from_slice(br#","search":{"mode":"#);
            write_string(out, mode);
            out.push(b'}');
        }
        if let (Some(method), Some(id)) = (entry.method.as_deref().filter(|m| is_method(m)), id) {
            out.extend_from_slice(br#","request":{"method":"#);
            write_string(out, method);
            out.extend_from_slice(br#","url":"#);
            write_string(out, &format!("{resource_type}/{id}"));
            out.push(b'}');
        }
        if let Some(status) = entry.status.as_deref().and_then(|s| s.get(..3)).filter(|s| is_status(s)) {
            out.extend_from_slice(br#","response":{"status":"#);
            write_string(out, status);
            out.push(b'}');
        }
        out.push(b'}');
    }

    /// Ends the Bundle.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        match self.stage {
            Stage::Start => self.head(out),
            Stage::Entries { kind_written, links_written } => {
                out.push(b']');
                if !kind_written {
                    self.write_kind(out);
                }
                // A second `link` member would be a duplicate: links that came too late for the head are only
                // written if the head had none.
                if links_written == 0 {
                    self.write_links(out);
                }
            }
        }
        out.push(b'}');
    }

    fn head(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"resourceType":"Bundle""#);
        self.write_kind(out);
        self.write_links(out);
        self.stage = Stage::Entries { kind_written: self.kind.is_some(), links_written: self.links.len() };
    }

    fn write_kind(&self, out: &mut Vec<u8>) {
        if let Some(kind) = &self.kind {
            out.extend_from_slice(br#","type":"#);
            write_string(out, kind);
        }
    }

    fn write_links(&self, out: &mut Vec<u8>) {
        for (n, (relation, url)) in self.links.iter().enumerate() {
            out.extend_from_slice(if n == 0 { br#","link":["# } else { b"," });
            out.extend_from_slice(br#"{"relation":"#);
            write_string(out, relation);
            out.extend_from_slice(br#","url":"#);
            write_string(out, url);
            out.push(b'}');
        }
        if !self.links.is_empty() {
            out.push(b']');
        }
    }
}

fn is_method(text: &str) -> bool {
    matches!(text, "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "PATCH")
}

fn is_status(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit())
}
