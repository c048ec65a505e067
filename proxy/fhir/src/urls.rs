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
use crate::interaction::{FILE, Id, JOB, PAGE, SealPages, is_job_status, is_page};

pub use glance::Glance;
pub use relative::Relative;
pub use rewriter::{Scope, UrlRewriter};

/// Toward callers: URLs below one of `from` get the same place below `to`.
#[derive(Clone)]
pub struct Rewrite {
    from: Arc<[Base]>,
    to: Base,
    pages: Option<Arc<dyn SealPages>>,
    /// The operation whose answer names files of a job, if that is what is rewritten.
    files: Option<Box<str>>,
}

impl Rewrite {
    /// Rewrites URLs below any of `from` to the same place below `to`.
    pub fn new(from: Vec<Base>, to: Base) -> Self {
        Self { from: from.into(), to, pages: None, files: None }
    }

    /// Seals links to pages and jobs, too.
    #[must_use]
    pub fn sealing(self, pages: Arc<dyn SealPages>) -> Self {
        Self { pages: Some(pages), ..self }
    }

    /// Seals links to files, too, for the answer of this operation, which says how a job got on. It names them as
    /// Binaries, so such an answer is to be read from the start and not by a [`Rewrite::glance`].
    #[must_use]
    pub fn of_job(self, operation: &str) -> Self {
        Self { files: Some(operation.into()), ..self }
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
        let rest = || self.strip(url).or_else(|| self.to.strip(url));
        if !url.contains('?') {
            let file = self.files.as_deref().and_then(|operation| self.file(rest()?, operation));
            return file.or_else(|| self.moved(url));
        }
        if let Some(sealed) = rest().and_then(|rest| self.page(rest).or_else(|| self.job(rest))) {
            return Some(sealed);
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

    /// How a job is getting on: `/$export-poll-status?_jobId=…`.
    fn job(&self, rest: &str) -> Option<String> {
        let pages = self.pages.as_ref()?;
        let (path, query) = rest.split_once('?')?;
        let operation = path.rsplit('/').next().filter(|operation| is_job_status(operation))?;
        let id = query.split('&').find_map(|pair| pair.strip_prefix(JOB)?.strip_prefix('='))?;
        Some(format!("{}/{operation}?{JOB}={}", self.to, pages.seal_job(id)?))
    }

    /// A file of a job: `/Binary/…`.
    fn file(&self, rest: &str, operation: &str) -> Option<String> {
        let id = rest.strip_prefix("/Binary/").filter(|id| Id::parse(id).is_some())?;
        Some(format!("{}/{operation}?{FILE}={}", self.to, self.pages.as_ref()?.seal_file(id)?))
    }
}

#[cfg(test)]
mod tests;
