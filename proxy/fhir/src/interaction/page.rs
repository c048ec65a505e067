//! HAPI's links to further pages: `[base]?_getpages=…&_getpagesoffset=…&_count=…&_bundletype=…`.
//!
//! Whoever has such a link, or changes its offset, reads on in somebody's search. So callers get them sealed,
//! as `[base]?_page=…`, and only what was sealed is taken back.

use std::fmt;

use super::{Id, Refusal};
use crate::parameters::Parameters;

/// The parameter that carries a sealed page link.
pub const PAGE: &str = "_page";
/// The parameters that make a link of the server's a page link.
const OF_PAGES: [&str; 4] = ["_getpages", "_getpagesoffset", "_pageId", "_bundletype"];

/// Seals links to pages, and opens them again.
pub trait SealPages: Send + Sync {
    /// A text for a URL (unreserved characters only) from which only [`SealPages::open`] makes the query again.
    fn seal(&self, query: &str) -> String;

    /// The query that was sealed.
    ///
    /// # Errors
    /// It was not sealed here for this caller, or not lately.
    fn open(&self, token: &str) -> Result<String, Refusal>;

    /// The same for the id of a job; none: callers may know it.
    fn seal_job(&self, id: &str) -> Option<String> {
        let _ = id;
        None
    }

    /// The same for the id of a Binary that is a job's file; none: callers may know it.
    fn seal_file(&self, id: &str) -> Option<String> {
        let _ = id;
        None
    }
}

/// The parameter that names a job.
pub const JOB: &str = "_jobId";
/// The parameter that names a file of a job, sealed: it stands beside no job.
pub const FILE: &str = "_file";

/// Whether an operation says how a job is getting on, or ends it: `$export-poll-status`.
pub fn is_job_status(operation: &str) -> bool {
    operation.starts_with('$') && operation.ends_with("-poll-status")
}

/// Which form links to pages have in a request.
#[derive(Clone, Copy, Default)]
pub enum Pages<'a> {
    /// The server's own: what it writes into its answers.
    #[default]
    Plain,
    /// Sealed: what a caller sends back.
    Sealed(&'a dyn SealPages),
}

impl fmt::Debug for Pages<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Sealed(_) => "Sealed",
        })
    }
}

/// Whether the query of a link of the server's leads to a page.
pub(crate) fn is_page(query: &str) -> bool {
    query.split('&').any(|pair| pair.split('=').next() == Some("_getpages"))
}

/// A page of a search or history that HAPI keeps. Its link says neither of what type the resources are nor whom
/// they are about: the answer has to be judged resource by resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// `_getpages`: HAPI's id of the search.
    pub search: Id,
    /// `_getpagesoffset`: how many entries to skip.
    pub offset: Option<u32>,
    /// `_pageId`: the page, where HAPI names pages instead of counting entries.
    pub page: Option<Id>,
    /// `_count`: entries on the page.
    pub count: Option<u32>,
    /// `_bundletype`: what the first page was.
    pub bundle: Option<PageBundle>,
}

/// The types of Bundle that have pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageBundle {
    /// `searchset`
    SearchSet,
    /// `history`
    History,
}

impl PageBundle {
    /// The code of the Bundle type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SearchSet => "searchset",
            Self::History => "history",
        }
    }
}

impl Pages<'_> {
    /// Puts the parameters of a sealed link in its place. What the caller adds may only say how the page is to
    /// look.
    pub(super) fn unseal(self, mut parameters: Parameters) -> Result<Parameters, Refusal> {
        let Self::Sealed(seal) = self else { return Ok(parameters) };
        if parameters.iter().any(|(name, _)| OF_PAGES.contains(&name)) {
            return Err(Refusal::invalid("pages are reached by the links of answers, as they are"));
        }
        let tokens = parameters.take(PAGE);
        let [token] = tokens.as_slice() else {
            return match tokens.len() {
                0 => Ok(parameters),
                _ => Err(Refusal::invalid(format!("the parameter `{PAGE}` may come only once"))),
            };
        };
        let mut opened = Parameters::parse(seal.open(token)?.as_bytes())?;
        for (name, _) in parameters.iter() {
            if !matches!(name, "_format" | "_pretty") {
                return Err(Refusal::invalid("a link to a page takes no further parameters"));
            }
            opened.take(name);
        }
        opened.append(parameters);
        Ok(opened)
    }
}

impl Page {
    /// Takes the page's parameters out of the others; `None` when there are none.
    pub(super) fn take(parameters: &mut Parameters) -> Result<Option<Self>, Refusal> {
        if parameters.get("_getpages").is_none() {
            return Ok(None);
        }
        let mut one = |name: &'static str| parameters.take(name).into_iter().next();
        let number = |name: &'static str, value: Option<String>| {
            let digits = |value: &String| value.bytes().all(|b| b.is_ascii_digit());
            match value {
                None => Ok(None),
                Some(value) => value.parse().ok().filter(|_| digits(&value)).map(Some).ok_or(bad(name)),
            }
        };
        let id = |name: &'static str, value: Option<String>| match value {
            None => Ok(None),
            Some(value) => Id::parse(&value).map(Some).ok_or(bad(name)),
        };
        Ok(Some(Self {
            search: id("_getpages", one("_getpages"))?.ok_or(bad("_getpages"))?,
            offset: number("_getpagesoffset", one("_getpagesoffset"))?,
            page: id("_pageId", one("_pageId"))?,
            count: number("_count", one("_count"))?,
            bundle: match one("_bundletype").as_deref() {
                None => None,
                Some("searchset") => Some(PageBundle::SearchSet),
                Some("history") => Some(PageBundle::History),
                Some(_) => return Err(bad("_bundletype")),
            },
        }))
    }

    /// The parameters it was read from.
    pub(super) fn parameters(&self) -> Parameters {
        let mut parameters = Parameters::default();
        parameters.push("_getpages", self.search.as_str());
        if let Some(offset) = self.offset {
            parameters.push("_getpagesoffset", offset.to_string());
        }
        if let Some(page) = &self.page {
            parameters.push("_pageId", page.as_str());
        }
        if let Some(count) = self.count {
            parameters.push("_count", count.to_string());
        }
        if let Some(bundle) = self.bundle {
            parameters.push("_bundletype", bundle.as_str());
        }
        parameters
    }
}

fn bad(name: &'static str) -> Refusal {
    Refusal::invalid(format!("the parameter `{name}` does not have the form that links to pages give it"))
}
