//! Rewrites URLs between the server's base and the one that callers know, in both directions and as a stream.
//!
//! Only elements that carry a URL of the server are looked at (Bundle links and `fullUrl`, references,
//! `Attachment.url`, `response.location`, links of narratives, …). Canonical URLs, identifier and code systems,
//! profiles, extension URLs and `Subscription.channel.endpoint` are names, not addresses, and stay.

mod glance;
mod narrative;
mod relative;
mod rewriter;
mod values;

use std::sync::Arc;

use crate::base::{Base, Scheme};
use crate::interaction::{PAGE, SealPages, is_page};

pub use glance::Glance;
pub use relative::Relative;
pub use rewriter::{Scope, UrlRewriter};

/// Toward callers: URLs below one of `from` get the same place below `to`.
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

    /// The bases that callers must not see.
    pub(crate) fn from(&self) -> &[Base] {
        &self.from
    }

    /// The caller's form of `url`, when it is below the server's base or names that in its query. HAPI may be set
    /// up to make links of what it is told of the caller's base: there only links to pages have another form.
    pub fn url(&self, url: &str) -> Option<String> {
        // Most are relative.
        if !url.starts_with(['h', 'H', 'w', 'W']) && !url.contains('?') {
            return None;
        }
        if !url.contains('?') {
            return self.moved(url);
        }
        let rest = self.strip(url).or_else(|| self.to.strip(url));
        if let Some(page) = rest.and_then(|rest| self.page(rest)) {
            return Some(page);
        }
        let moved = self.moved(url);
        let copies = values::in_query(moved.as_deref().unwrap_or(url), |_, part| self.moved(part));
        copies.or(moved)
    }

    /// The same without a look at what follows the base.
    pub(crate) fn moved(&self, url: &str) -> Option<String> {
        if let Some(rest) = self.strip(url) {
            return Some([self.to.as_str(), rest].concat());
        }
        // The address of a web socket: the same origin by another scheme.
        let socket = url.get(..2).filter(|start| start.eq_ignore_ascii_case("ws")).and(url.get(2..))?;
        let as_http = format!("http{socket}");
        let scheme = if self.to.scheme() == Scheme::Https { "wss" } else { "ws" };
        let rest = self.strip(&as_http)?;
        Some(format!("{scheme}://{}{}{rest}", self.to.authority(), self.to.path()))
    }

    fn strip<'a>(&self, url: &'a str) -> Option<&'a str> {
        self.from.iter().find_map(|base| base.strip(url))
    }

    fn page(&self, rest: &str) -> Option<String> {
        let pages = self.pages.as_ref()?;
        let query = rest.strip_prefix('/').unwrap_or(rest).strip_prefix('?')?;
        is_page(query).then(|| format!("{}?{PAGE}={}", self.to, pages.seal(query)))
    }
}

#[cfg(test)]
mod tests;
