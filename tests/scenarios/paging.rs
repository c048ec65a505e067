//! Pages, followed by their links only.

use std::collections::BTreeSet;

use fireguard_test_support::gateway::Gateway;
use fireguard_test_support::hapi::Hapi;
use serde_json::Value;

use crate::common::resources::{bundle, entry, observation, patient};
use crate::common::world::{World, config, hidden};

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

/// HAPI keeps searches in its database: whichever replica made a page, any can make the next. Here they are one HAPI by
/// two names.
#[tokio::test]
async fn any_replica_makes_the_next_page() {
    let hapi = Hapi::shared().await.expect("a HAPI").base_url();
    let other = hapi.replace("127.0.0.1", "localhost");
    assert_ne!(other, hapi);
    let upstream = "url = \"{upstream}\"";
    let world =
        World::with(&config("").replace(upstream, &format!("{upstream}\nreplicas = [{other:?}]"))).await;
    store(&world, "replicas").await;
    let base = world.base();
    for _ in 0..5 {
        let pages = follow(&world, &base, &format!("{base}/Observation?patient=replicas&_count=5")).await;
        let seen: BTreeSet<String> = pages.iter().flat_map(observations).collect();
        assert_eq!(seen.len(), ENTRIES);
        assert!(!serde_json::to_string(&pages).unwrap().contains(hidden(&other)));
    }
    let metrics = world.client.get(format!("{}/metrics", world.gateway.admin_url())).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    for replica in [hidden(hapi), hidden(&other)] {
        let name = format!("fireguard_replica_requests_total{{upstream=\"hapi\",replica=\"{replica}\"}} ");
        let count = metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap();
        assert!(count.parse::<u32>().unwrap() > 2, "{name}{count}");
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

/// A link is good on every node that has the key, also after the one that made it has started anew, and on no
/// other route.
#[tokio::test]
async fn pages_are_good_on_every_node_and_on_one_route() {
    let world = World::start().await;
    store(&world, "nodes").await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pages.key"), "7f0c9e1b5a2d48638e9d10f2a4c6b8e3").unwrap();
    let key = folder.path().join("pages.key");
    let routes = |keys: &str| {
        let upstream = world.hapi.base_url();
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[pages]\n{keys}\n\
             [upstreams.hapi]\nurl = \"{upstream}\"\n[routes.a]\npath = \"/a\"\nupstream = \"hapi\"\nauthentication = \"none\"\n\
             [routes.b]\npath = \"/b\"\nupstream = \"hapi\"\nauthentication = \"none\"\n"
        )
    };
    let keyed = routes(&format!("keys = [\"file:{}\"]", key.display()));
    let (one, two) = (Gateway::start(&keyed).unwrap(), Gateway::start(&keyed).unwrap());
    let page = async |url: String| {
        let answer = world.client.get(&url).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let next = |page: &Value| {
        let links = page["link"].as_array().unwrap();
        links.iter().find(|l| l["relation"] == "next").unwrap()["url"].as_str().unwrap().to_owned()
    };
    let (_, first) = page(format!("{}/a/Observation?patient=nodes&_count=5", one.url())).await;
    let link = next(&first);
    drop(one);
    let again = Gateway::start(&keyed).unwrap();
    let token = link.split_once("/a?").unwrap().1;
    let mut seen: Vec<String> = observations(&first);
    let (status, second) = page(format!("{}/a?{token}", two.url())).await;
    assert_eq!(status, 200, "on another node");
    seen.extend(observations(&second));
    let token = next(&second).split_once("/a?").unwrap().1.to_owned();
    let (status, third) = page(format!("{}/a?{token}", again.url())).await;
    assert_eq!(status, 200, "after a start");
    seen.extend(observations(&third));
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 15, "{seen:?}");

    let chance = Gateway::start(&routes("lifetime = \"1s\"")).unwrap();
    for (case, url, status, code) in [
        ("on another route", format!("{}/b?{token}", two.url()), 400, "invalid"),
        ("on a node with another key", format!("{}/a?{token}", chance.url()), 410, "expired"),
        ("with a parameter more", format!("{}/a?{token}&_count=500", two.url()), 400, "invalid"),
        ("changed", format!("{}/a?{token}A", two.url()), 400, "invalid"),
    ] {
        let (given, outcome) = page(url).await;
        assert_eq!((given, outcome["issue"][0]["code"].as_str()), (status, Some(code)), "{case}: {outcome}");
    }
    let (_, first) = page(format!("{}/a/Observation?patient=nodes&_count=5", chance.url())).await;
    let link = next(&first);
    // Its second has ended when the clock has gone on by two.
    tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
    assert_eq!(page(link).await.0, 410, "later");
}
