//! Pages, followed by their links only.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::common::resources::{bundle, entry, observation, patient};
use crate::common::world::World;

/// Entries in all; a page has five.
const ENTRIES: usize = 17;

#[tokio::test]
async fn every_entry_is_seen_once_and_no_link_leads_past_us() {
    let world = World::start().await;
    store(&world, "paging").await;
    let base = world.base();
    let second = format!("{}/second/r4", world.gateway.url());
    for (base, first) in [
        (&base, "/Observation?patient=paging&_count=5"),
        (&base, "/Observation?patient=paging&_count=5&_sort=-date&_total=accurate"),
        (&base, "/Observation?patient=paging&_count=5&_elements=status"),
        (&second, "/Observation?patient=paging&_count=5&_summary=true"),
        (&second, "/Patient/paging/$everything?_count=5&_type=Observation"),
    ] {
        let pages = follow(&world, base, &format!("{base}{first}")).await;
        let seen: Vec<String> = pages.iter().flat_map(observations).collect();
        let once: BTreeSet<&String> = seen.iter().collect();
        assert_eq!((seen.len(), once.len()), (ENTRIES, ENTRIES), "{first}: {seen:?}");
        assert!(pages.len() >= 4, "{first}: {} pages", pages.len());
        for page in &pages {
            for entry in page["entry"].as_array().unwrap() {
                assert!(entry["fullUrl"].as_str().unwrap().starts_with(&format!("{base}/")), "{entry}");
            }
        }
    }
}

/// Requests pages until there is no `next`; every link must be below `base`.
async fn follow(world: &World, base: &str, first: &str) -> Vec<Value> {
    let mut pages: Vec<Value> = Vec::new();
    let mut next = Some(first.to_owned());
    while let Some(url) = next {
        let response = world.client.get(&url).send().await.unwrap();
        assert_eq!(response.status(), 200, "{url}");
        let text = response.text().await.unwrap();
        assert!(!text.contains(world.hidden()), "{url}: {text}");
        let page: Value = serde_json::from_str(&text).unwrap();
        let links = page["link"].as_array().unwrap();
        for link in links {
            let url = link["url"].as_str().unwrap();
            assert!(url.strip_prefix(base).is_some_and(|rest| rest.starts_with(['/', '?'])), "{link}");
        }
        next = links.iter().find(|l| l["relation"] == "next").map(|l| l["url"].as_str().unwrap().to_owned());
        pages.push(page);
        assert!(pages.len() < 50, "the pages of {first} do not end");
    }
    pages
}

fn observations(page: &Value) -> Vec<String> {
    let entries = page["entry"].as_array().into_iter().flatten().map(|entry| &entry["resource"]);
    let observations = entries.filter(|resource| resource["resourceType"] == "Observation");
    observations.map(|resource| resource["id"].as_str().unwrap().to_owned()).collect()
}

async fn store(world: &World, id: &str) {
    let mut entries = vec![entry("PUT", &format!("Patient/{id}"), Some(patient(id, "Pages")))];
    for number in 0..ENTRIES {
        let own = format!("{id}-{number}");
        let observation = observation(&own, &format!("Patient/{id}"), "1");
        entries.push(entry("PUT", &format!("Observation/{own}"), Some(observation)));
    }
    let post = world.client.post(world.base()).header("Content-Type", "application/fhir+json");
    let answer = post.body(bundle("transaction", entries).to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
}

/// HAPI pages a history by `_offset`, not by a token.
#[tokio::test]
async fn a_history_has_pages_too() {
    let world = World::start().await;
    let base = world.base();
    for number in 0..ENTRIES {
        let body = observation("paged-history", "Patient/paged-history", &number.to_string());
        let patient = patient("paged-history", &format!("Version {number}"));
        for (path, body) in [("Patient/paged-history", patient), ("Observation/paged-history", body)] {
            let put =
                world.client.put(format!("{base}/{path}")).header("Content-Type", "application/fhir+json");
            let answer = put.body(body.to_string()).send().await.unwrap();
            assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        }
    }
    let first = format!("{base}/Observation/paged-history/_history?_count=5");
    let pages = follow(&world, &base, &first).await;
    let entries = pages.iter().map(|page| page["entry"].as_array().map_or(0, Vec::len));
    assert_eq!(entries.sum::<usize>(), ENTRIES);
}
