//! Toward the server: absolute URLs below the caller's base become relative, as HAPI stores them.

use super::values;
use crate::ResourceType;
use crate::base::Base;
use crate::interaction::{Id, Request};
use crate::r4::search_parameter;

/// Turns URLs below the base that callers know into relative ones. HAPI takes a reference to itself by an absolute
/// URL for a foreign one, even by its own base, and refuses or stores it as such.
#[derive(Debug, Clone)]
pub struct Relative {
    base: Base,
}

impl Relative {
    /// To URLs below this base.
    pub fn new(base: Base) -> Self {
        Self { base }
    }

    /// The server's form of an address: `Patient/1`, `Patient?identifier=…`.
    pub fn url(&self, url: &str) -> Option<String> {
        let relative = self.base.strip(url).and_then(|rest| rest.strip_prefix('/')).filter(|r| !r.is_empty());
        let values = values::in_query(relative.unwrap_or(url), |name, part| self.part(name, part));
        values.or_else(|| relative.map(str::to_owned))
    }

    /// The server's form of a query: that of `If-None-Exist`.
    pub fn query(&self, query: &str) -> Option<String> {
        let (before, query) = query.split_at(query.find('?').map_or(0, |at| at + 1));
        values::of_query(query, |name, part| self.part(name, part)).map(|query| format!("{before}{query}"))
    }

    /// Changes the parameters of a request, and its `If-None-Exist`.
    pub fn request(&self, request: &mut Request) {
        let change = |name: &str, value: &str| {
            // Most values are no URLs.
            let other = || values::in_value(value, |part| self.part(name, part));
            value.contains("://").then(other).flatten()
        };
        request.parameters.change(change);
        if let Some(condition) = &mut request.preconditions.if_none_exist {
            condition.change(change);
        }
    }

    /// One part of a search value: a reference to a resource, not the canonical URL of a definition.
    fn part(&self, name: &str, part: &str) -> Option<String> {
        if name.starts_with('_') && !name.starts_with("_has:") {
            return None;
        }
        self.reference(part).map(str::to_owned)
    }

    fn reference<'a>(&self, url: &'a str) -> Option<&'a str> {
        let relative = self.base.strip(url)?.strip_prefix('/')?;
        let mut segments = relative.split('/');
        let resource_type = ResourceType::parse(segments.next()?)?;
        let is_definition = search_parameter(resource_type, "url").is_some();
        let is_id = |segment: Option<&str>| segment.is_some_and(|id| Id::parse(id).is_some());
        let whole = is_id(segments.next())
            && match segments.next() {
                None => true,
                Some(history) => history == "_history" && is_id(segments.next()) && segments.next().is_none(),
            };
        (whole && !is_definition).then_some(relative)
    }
}
