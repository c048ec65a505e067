//! HAPI's links to further pages: `[base]?_getpages=…&_getpagesoffset=…&_count=…&_bundletype=…`.

use super::{Id, Refusal};
use crate::parameters::Parameters;

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
