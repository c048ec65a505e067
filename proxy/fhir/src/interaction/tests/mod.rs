//! Tables of requests: what each is understood as, and what is refused.

mod headers;
mod pages;
mod properties;
mod refusals;
mod routes;

use super::*;

/// A head for a method and a path with its query.
fn head<'a>(method: &'a str, url: &'a str) -> Head<'a> {
    let (path, query) = url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)));
    Head { query, ..Head::new(method, path) }
}

fn with_type<'a>(method: &'a str, url: &'a str, content_type: &'a str) -> Head<'a> {
    Head { content_type: Some(content_type), ..head(method, url) }
}

const FHIR_JSON: &str = "application/fhir+json";
const FORM: &str = "application/x-www-form-urlencoded";
