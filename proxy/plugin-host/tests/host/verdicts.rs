//! What a plugin may answer, and what it is told.

use std::slice;

use bytes::Bytes;
use fireguard_plugin_host::{BadVerdict, CallError, Direction, Outcome, Refusal};
use serde_json::json;

use crate::guests::{CALM, exchange, items, load, outcome};

#[tokio::test]
async fn every_verdict_is_carried_out() {
    let changed = |text: &'static str| Outcome::Changed(Bytes::from_static(text.as_bytes()));
    let refusal =
        Refusal { code: "business-rule".into(), message: "no".into(), outcome: None, extras: Vec::new() };
    let cases = [
        ("keep", Outcome::Unchanged),
        ("replace", changed("AB")),
        ("edits", changed("ba")),
        ("drop", Outcome::Dropped),
        ("refuse", Outcome::Refused(refusal)),
    ];
    for (act, expected) in cases {
        let plugin = load(json!({ "act": act })).await;
        assert_eq!(outcome(&plugin, &Bytes::from_static(b"ab")).await, expected, "{act}");
        assert_eq!(outcome(&plugin, &CALM).await, Outcome::Unchanged, "{act}");
    }
}

#[tokio::test]
async fn verdicts_come_in_the_order_of_the_resources() {
    let plugin = load(json!({ "act": "edits" })).await;
    let resources: Vec<Bytes> = (0..500).map(|n| Bytes::from(format!("{n:03}"))).collect();
    let verdicts =
        plugin.session().process(&exchange("x"), Direction::ToServer, &items(&resources)).await.unwrap();
    for (verdict, resource) in verdicts.into_iter().zip(&resources) {
        let rotated = [&resource[1..], &resource[..1]].concat();
        assert_eq!(verdict.apply(resource), Ok(Outcome::Changed(rotated.into())));
    }
}

#[tokio::test]
async fn a_plugin_is_told_the_exchange_and_an_instance_lives_as_long_as_its_session() {
    let plugin = load(json!({ "act": "echo" })).await;
    for session in ["one", "two"] {
        let mut session_of = plugin.session();
        assert_eq!(session_of.stats().instantiations, 0, "made at the first call");
        for (call, (direction, name)) in
            [(Direction::ToServer, "to-server"), (Direction::ToClient, "to-client")].into_iter().enumerate()
        {
            let resource = Bytes::from_static(b"{}");
            let asked =
                session_of.process(&exchange(session), direction, &items(slice::from_ref(&resource))).await;
            let Outcome::Changed(text) = asked.unwrap().remove(0).apply(&resource).unwrap() else {
                panic!("no answer");
            };
            assert_eq!(text, format!("{session} research read 0 {name} {call}"));
        }
    }
}

#[tokio::test]
async fn verdicts_that_do_not_fit_are_errors() {
    let bad = |fault| CallError::BadVerdict { resource: 0, fault };
    let cases = [
        ("too-few", CallError::WrongCount { asked: 2, given: 0 }),
        ("too-many", CallError::WrongCount { asked: 2, given: 3 }),
        ("out-of-range", bad(BadVerdict::OutOfRange { edit: 0 })),
        ("reversed", bad(BadVerdict::Reversed { edit: 0 })),
        ("overlap", bad(BadVerdict::Unordered { edit: 1 })),
    ];
    for (act, expected) in cases {
        let plugin = load(json!({ "act": act })).await;
        let mut session = plugin.session();
        let resources = [Bytes::from_static(b"abcd"), Bytes::from_static(b"efgh")];
        let asked = session.process(&exchange("x"), Direction::ToClient, &items(&resources)).await;
        assert_eq!(asked, Err(expected), "{act}");
        let asked = session.process(&exchange("x"), Direction::ToClient, &items(&[CALM])).await;
        assert!(asked.is_ok(), "{act}: a fresh instance");
        let stats = session.stats();
        assert_eq!((stats.calls, stats.failures, stats.instantiations), (2, 1, 2), "{act}");
    }
}

#[tokio::test]
async fn a_session_counts_what_it_costs() {
    let plugin = load(json!({ "act": "replace" })).await;
    let mut session = plugin.session();
    assert_eq!(session.process(&exchange("x"), Direction::ToClient, &[]).await, Ok(Vec::new()));
    assert_eq!(session.stats().calls, 0, "nothing to ask");
    for _ in 0..3 {
        let resources = [Bytes::from_static(b"ab"), Bytes::from_static(b"cde")];
        session.process(&exchange("x"), Direction::ToClient, &items(&resources)).await.unwrap();
    }
    let stats = session.stats();
    assert_eq!((stats.calls, stats.failures, stats.instantiations), (3, 0, 1));
    assert_eq!((stats.bytes_in, stats.bytes_out), (15, 15));
    assert!(!stats.wall.is_zero());
}
