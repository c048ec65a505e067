//! Counts: how much a search finds, and nothing of it (R4 search.html: `_summary=count`, or `_count=0`).
//!
//! HAPI's answer to a count has no link, and so no proof that it counted what it should. A confined caller's is asked for
//! as a search with a total and one match, which has a link; what it finds is left out of the answer.

use std::str::FromStr;

use fireguard_fhir::parameters::{Parameters, split_name};

/// Takes out what asks for a count, and what then says nothing. False: it is asked for no count, and stays as it is.
pub(super) fn taken(parameters: &mut Parameters) -> bool {
    if !parameters.iter().any(|(name, value)| is(name, value)) {
        return false;
    }
    let mut kept = Parameters::default();
    for (name, value) in parameters.iter().filter(|(name, _)| !OF_PAGES.contains(&split_name(name).0)) {
        kept.push(name, value);
    }
    *parameters = kept;
    true
}

/// Whether this asks for a count.
pub(super) fn is(name: &str, value: &str) -> bool {
    match name {
        "_count" => u32::from_str(value) == Ok(0),
        "_summary" => value == "count",
        _ => false,
    }
}

/// Asks for what has a total, and a link.
pub(super) fn asked_otherwise(parameters: &mut Parameters) {
    parameters.push("_total", "accurate");
    parameters.push("_count", "1");
}

/// What says how matches are shown, and which others with them.
const OF_PAGES: [&str; 7] = ["_count", "_elements", "_include", "_revinclude", "_sort", "_summary", "_total"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_known_by_either_form() {
        for (query, rest) in [
            ("code=x&_summary=count", Some("code=x")),
            ("_count=0&code=x", Some("code=x")),
            ("_count=00&_sort=date&_include:iterate=*&status=final", Some("status=final")),
            ("_summary=true", None),
            ("_count=10", None),
            ("_count=-0", None),
            ("code=count", None),
        ] {
            let mut parameters = Parameters::parse(query.as_bytes()).unwrap();
            assert_eq!(taken(&mut parameters), rest.is_some(), "{query}");
            assert_eq!(parameters.serialise(), rest.unwrap_or(query), "{query}");
        }
    }
}
