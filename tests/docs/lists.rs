//! Lists that a page repeats from the code.

use std::collections::BTreeSet;
use std::time::Duration;

use fireguard_test_support::gateway::Gateway;
use fireguard_test_support::repository;
use fireguard_test_support::standin::{Answer, StandIn};
use serde_json::Value;

use crate::blocks::{blocks, read};

#[test]
fn the_stages_on_the_page_are_those_of_the_pipeline() {
    let code = read("proxy/gateway/src/pipeline.rs");
    let named = |line: &str| {
        let line = line.trim();
        let service = [".layer(layer(", ".layer(check(", ".service("]
            .iter()
            .find_map(|start| line.strip_prefix(start))?;
        Some(service.split_once("::")?.0.to_owned())
    };
    let layers: Vec<String> = code.lines().filter_map(named).collect();
    assert!(layers.len() > 5 && layers.last().is_some_and(|last| last == "forward"), "{layers:?}");

    let page = read("docs/architecture.md");
    let row = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    let table: Vec<String> =
        page.lines().skip_while(|line| *line != "| --- | --- | --- |").skip(1).map_while(row).collect();
    assert_eq!(table, layers, "the table of docs/architecture.md");

    let drawn = page.lines().find(|line| line.starts_with("client ──►")).unwrap();
    let stages = drawn.split_once("listener ──► ").unwrap().1.split_once(" ──►").unwrap().0;
    assert_eq!(stages.split(" ► ").collect::<Vec<_>>(), layers, "the drawing in docs/architecture.md");
}

#[test]
fn the_metrics_on_the_page_are_those_of_the_code() {
    let recorded: BTreeSet<_> = sources().iter().flat_map(|text| names(text, '"')).collect();
    let listed: BTreeSet<_> = names(&read("docs/guide/operations.md"), '`').collect();
    assert_eq!(listed, recorded);
}

#[test]
fn the_log_messages_of_the_code_are_on_the_page() {
    let sources = sources();
    let found: BTreeSet<_> = sources.iter().flat_map(|text| messages(text)).collect();
    assert!(found.len() > 10, "{found:?}");
    let page = read("docs/guide/operations.md");
    let missing: Vec<_> = found.iter().filter(|message| !page.contains(&format!("`{message}`"))).collect();
    assert!(missing.is_empty(), "not on the page: {missing:#?}");
}

/// The Rust files of the proxy, without their tests.
fn sources() -> Vec<String> {
    let mut sources = Vec::new();
    let mut open = vec![repository::root().join("proxy")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = std::fs::read_to_string(path).unwrap();
            sources.push(text.split("#[cfg(test)]").next().unwrap_or_default().to_owned());
        }
    }
    sources
}

/// The fixed messages that are logged at `info` and above.
fn messages(text: &str) -> impl Iterator<Item = &str> {
    let calls = ["info", "warn", "error"].map(|level| format!("tracing::{level}!("));
    let begins = calls
        .into_iter()
        .flat_map(|call| text.match_indices(&call).map(|(at, call)| at + call.len()).collect::<Vec<_>>());
    begins.filter_map(|begin| {
        let mut depth = 1;
        let end = text[begin..].find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        })?;
        let message = text[begin..begin + end].trim_end().trim_end_matches(',').strip_suffix('"')?;
        Some(message.rsplit('"').next()?).filter(|message| !message.contains('{'))
    })
}

/// The names of metrics between these quotes.
fn names(text: &str, quote: char) -> impl Iterator<Item = String> {
    let metric = |name: &&str| {
        name.starts_with("fireguard_") && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    text.split(quote).filter(metric).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

#[tokio::test]
async fn the_log_line_on_the_page_has_the_fields_of_a_real_one() {
    let page = read("docs/guide/operations.md");
    let sample = blocks(&page).into_iter().find(|block| block.text.contains("request_id")).unwrap();
    let sample: Value = serde_json::from_str(&sample.text).unwrap();

    let standin = StandIn::start().await.unwrap();
    standin.always("GET", "/fhir/Patient/1", Answer::json(200, r#"{"resourceType":"Patient","id":"1"}"#));
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[upstreams.hapi]\nurl = \"{}\"\n\
         [routes.fhir]\npath = \"/fhir\"\nupstream = \"hapi\"\nauthentication = \"none\"\n",
        standin.base_url()
    );
    let gateway = tokio::task::spawn_blocking(move || Gateway::start(&config).unwrap()).await.unwrap();
    let answer = reqwest::get(format!("{}/fhir/Patient/1", gateway.url())).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.bytes().await.unwrap();
    let written = async {
        loop {
            let log = gateway.log();
            if let Some(line) = log.lines().find(|line| line.contains("fireguard::access")) {
                break serde_json::from_str::<Value>(line).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let line = tokio::time::timeout(Duration::from_secs(10), written).await.unwrap();
    let keys = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(&line), keys(&sample));
    for field in keys(&line).iter().filter(|field| !matches!(field.as_str(), "timestamp" | "level")) {
        assert!(page.contains(&format!("`{field}`")), "{field} is not explained");
    }
}
