//! Released contracts stay as they are, and what was built against them keeps running.

use std::path::Path;

use bytes::Bytes;
use fireguard_plugin_host::{
    Action, Direction, Event, Field, Head, Item, LoadError, Message, Outcome, Phase, Plugin, PluginSpec,
    Settled,
};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::guests::{engine, exchange, wide};

/// Every released version, and SHA-256 of its contract.
const RELEASED: [(&str, &str); 1] =
    [("0.1.0", "b792474220045872289dfdf47fde70f86b9800201df7dc40069f6b562c149001")];

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn a_frozen_contract_never_changes() {
    for (version, digest) in RELEASED {
        let frozen = std::fs::read(repository().join(format!("wit/released/{version}/plugin.wit"))).unwrap();
        let found: String = Sha256::digest(&frozen).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, digest, "wit/released/{version}/plugin.wit was changed");
    }
}

#[test]
fn the_contract_in_use_is_the_last_that_was_released() {
    let (last, _) = RELEASED[RELEASED.len() - 1];
    let read = |path: &str| std::fs::read_to_string(repository().join(path)).unwrap();
    let frozen = read(&format!("wit/released/{last}/plugin.wit"));
    assert_eq!(read("wit/plugin.wit"), frozen, "a changed contract is another version");
}

async fn old(version: &str, settings: serde_json::Value) -> Result<Plugin, LoadError> {
    let path = format!("{}/tests/released/{version}/plugin.wasm", env!("CARGO_MANIFEST_DIR"));
    let spec = PluginSpec { settings, limits: wide(), ..PluginSpec::new("old", &*path) };
    Plugin::load(engine(), spec).await
}

#[tokio::test]
async fn an_old_binary_runs_through_every_phase() {
    for (version, _) in RELEASED {
        let refused = old(version, json!({ "refuse": 1 })).await.unwrap_err().to_string();
        assert_eq!(refused, "settings#/refuse: refused", "{version}");

        let plugin = old(version, json!({})).await.unwrap();
        assert_eq!(plugin.contract_version(), version);
        assert_eq!(plugin.phases().iter().collect::<Vec<_>>(), Phase::ALL);
        assert!(plugin.wants_request("search-type", Some("Patient")));
        assert!(!plugin.wants_request("search-type", Some("Observation")));
        let mut session = plugin.session();

        let head = Head { resource_type: Some("Patient".into()), ..Head::default() };
        let asked = session.request(&exchange("x"), &head).await.unwrap();
        let tag = Field { name: "_tag".into(), value: "research".into() };
        assert_eq!(asked, Action::Change(Head { parameters: vec![tag], ..head }));

        let resource = Bytes::from_static(b"{}");
        let items = vec![Item::new(resource.clone()); 5];
        let verdicts = session.process(&exchange("x"), Direction::ToServer, &items).await.unwrap();
        let outcomes: Vec<Outcome> = verdicts.into_iter().map(|one| one.apply(&resource).unwrap()).collect();
        let refused = "not-granted ".repeat(15);
        assert_eq!(outcomes[0], Outcome::Changed(Bytes::from_static(b"{} ")));
        assert_eq!(outcomes[1], Outcome::Changed(format!("\"{refused}\"").into()));
        let Outcome::Refused(refusal) = &outcomes[2] else { panic!("{outcomes:?}") };
        assert_eq!((refusal.message.as_str(), refusal.outcome.as_deref()), ("the third", Some(&b"{}"[..])));
        assert_eq!(outcomes[3..], [Outcome::Dropped, Outcome::Unchanged]);

        let event = |content: Option<Bytes>| Event {
            id: "1".into(),
            exchange: exchange("x"),
            interaction: "create".into(),
            resource_type: "Patient".into(),
            resource_id: "1".into(),
            version_id: None,
            time: "2026-11-21T22:00:00Z".into(),
            content,
            extras: Vec::new(),
        };
        let settled = session.written(&[event(Some(resource.clone())), event(None)]).await.unwrap();
        assert_eq!(settled, [Settled::Done, Settled::Retry(1000)]);

        let message = |content: &'static [u8]| Message {
            source: "device".into(),
            position: 7,
            content: Bytes::from_static(content),
            extras: Vec::new(),
        };
        let ingested = session.ingest(&exchange("x"), &[message(b"{}"), message(b"")]).await.unwrap();
        assert_eq!(ingested[0], Ok(vec![resource]));
        assert_eq!(ingested[1].as_ref().unwrap_err().place, "device");
        assert_eq!(session.stats().instantiations, 1, "one instance for all of it");
    }
}
