//! Links to pages as callers have them.

use super::*;

/// Seals by writing backwards; opens nothing that says so.
struct Backwards;

impl SealPages for Backwards {
    fn seal(&self, query: &str) -> String {
        query.chars().rev().collect()
    }

    fn open(&self, token: &str) -> Result<String, Refusal> {
        match token {
            "gone" => Err(Refusal::new(410, crate::outcome::IssueCode::Expired, "gone")),
            token => Ok(token.chars().rev().collect()),
        }
    }
}

fn sealed(query: &str) -> Result<Request, Refusal> {
    parse(&Head { query: Some(query), pages: Pages::Sealed(&Backwards), ..Head::new("GET", "/") })
}

#[test]
fn a_sealed_link_is_the_page_it_was() {
    let inside = "_getpages=0a-1&_getpagesoffset=20&_count=20&_bundletype=searchset&_format=json";
    let token =
        percent_encoding::utf8_percent_encode(&Backwards.seal(inside), percent_encoding::NON_ALPHANUMERIC)
            .to_string();
    for (outer, expected) in [
        ("", "/?_getpages=0a-1&_getpagesoffset=20&_count=20&_bundletype=searchset"),
        ("&_pretty=true", "/?_getpages=0a-1&_getpagesoffset=20&_count=20&_bundletype=searchset&_pretty=true"),
        (
            "&_format=application/fhir%2Bjson",
            "/?_getpages=0a-1&_getpagesoffset=20&_count=20&_bundletype=searchset",
        ),
    ] {
        let request = sealed(&format!("_page={token}{outer}")).unwrap();
        assert!(matches!(request.interaction, Interaction::Page(_)));
        assert_eq!(request.target().path_and_query, expected, "{outer}");
    }
}

#[test]
fn what_was_not_sealed_is_refused() {
    for (query, status) in [
        ("_getpages=0a-1", 400),
        ("_getpagesoffset=20", 400),
        ("_page=x&_getpages=0a-1", 400),
        ("_page=x&_page=y", 400),
        ("_page=x&_count=5", 400),
        ("_page=x&name=Quorvath", 400),
        ("_page=gone", 410),
    ] {
        assert_eq!(sealed(query).unwrap_err().status, status, "{query}");
    }
}
