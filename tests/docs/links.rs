//! Links from page to page lead somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use fireguard_test_support::repository;
use pulldown_cmark::{Event, Tag, TagEnd};

use crate::blocks::{pages, parser};

#[test]
fn every_relative_link_leads_somewhere() {
    let root = repository::root();
    let mut broken = Vec::new();
    let mut followed = 0;
    for page in pages() {
        let text = fs::read_to_string(root.join(&page)).unwrap();
        for link in links(&text) {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => root.join(&page),
                path => root.join(&page).parent().unwrap().join(path),
            };
            followed += 1;
            if !target.exists() || !(anchor.is_empty() || anchors(&target).contains(anchor)) {
                broken.push(format!("{} -> {link}", page.display()));
            }
        }
    }
    assert!(followed > 20, "only {followed} links were found");
    assert!(broken.is_empty(), "{broken:#?}");
}

/// The links and images that stay in the repository.
fn links(text: &str) -> Vec<String> {
    let target = |event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
            Some(dest_url.into_string())
        }
        _ => None,
    };
    let links = parser(text).filter_map(target);
    links.filter(|link| !link.contains("://") && !link.starts_with("mailto:")).collect()
}

/// The anchors GitHub gives to the headings of a page.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    let mut anchors = BTreeSet::new();
    let mut heading: Option<String> = None;
    for event in parser(&text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(part) | Event::Code(part) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&part);
                }
            }
            Event::End(TagEnd::Heading(_)) => anchors.extend(heading.take().map(|text| slug(&text))),
            _ => {}
        }
    }
    anchors
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn slugs_are_those_of_github() {
    for (heading, expected) in [
        ("What it promises", "what-it-promises"),
        ("As a systemd service", "as-a-systemd-service"),
        ("Searches, and what is left out", "searches-and-what-is-left-out"),
        ("HAPI's side", "hapis-side"),
    ] {
        assert_eq!(slug(heading), expected);
    }
}
