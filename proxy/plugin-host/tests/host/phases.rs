//! The phases beside resources, and what is made of failures in them.

use std::time::Duration;

use bytes::Bytes;
use fireguard_plugin_host::{
    Action, CallError, Event, Field, Head, Limits, Message, OnFailure, Phase, Plugin, PluginSpec, Settled,
};
use serde_json::{Value, json};

use crate::guests::{CALM, engine, exchange, items, load, spec, wide};

fn head() -> Head {
    let field = |name: &str, value: &str| Field { name: name.into(), value: value.into() };
    Head {
        resource_type: Some("Patient".into()),
        id: Some("1".into()),
        parameters: vec![field("name", "a"), field("name:exact", "b")],
        headers: vec![field("prefer", "return=minimal")],
        extras: vec![field("compartment", "Patient")],
        ..Head::default()
    }
}

fn event(attempt: &str) -> Event {
    Event {
        id: "1".into(),
        exchange: exchange("x"),
        interaction: "create".into(),
        resource_type: "Patient".into(),
        resource_id: "1".into(),
        version_id: Some("1".into()),
        time: "2026-11-21T22:00:00Z".into(),
        content: Some(Bytes::from_static(b"{}")),
        extras: vec![Field { name: "attempt".into(), value: attempt.into() }],
    }
}

fn message(content: &'static str) -> Message {
    let (source, position) = ("scale".to_owned(), 3);
    Message { source, position, content: content.into(), extras: Vec::new() }
}

async fn asked(settings: Value) -> Result<Action, CallError> {
    load(settings).await.session().request(&exchange("x-1"), &head()).await
}

#[tokio::test]
async fn a_request_is_forwarded_changed_answered_or_refused() {
    assert_eq!(asked(json!({})).await, Ok(Action::Forward));

    let added = asked(json!({ "request": "change", "add": [["_tag", "t"]], "head": { "id": null } })).await;
    let Ok(Action::Change(changed)) = added else { panic!("{added:?}") };
    let mut expected = Head { id: None, ..head() };
    expected.parameters.push(Field { name: "_tag".into(), value: "t".into() });
    assert_eq!(changed, expected);

    let Ok(Action::Answer(answer)) = asked(json!({ "request": "echo" })).await else { panic!() };
    let said = "read x-1 Patient 1 - - name=a&name:exact=b prefer=return=minimal compartment=Patient 0";
    assert_eq!((answer.status, answer.headers[0].value.as_str()), (200, said));

    let Ok(Action::Refuse(refusal)) = asked(json!({ "request": "refuse" })).await else { panic!() };
    assert_eq!((refusal.code.as_str(), refusal.message.as_str()), ("forbidden", "no"));
}

#[tokio::test]
async fn nothing_of_a_request_is_printed() {
    let said = format!("{:?} {:?}", head(), Action::Change(head()));
    assert!(!said.contains("minimal") && !said.contains("name:exact"), "{said}");
}

#[tokio::test]
async fn every_write_is_settled_or_comes_again() {
    let settled =
        async |settings: Value| load(settings).await.session().written(&[event("1"), event("2")]).await;
    assert_eq!(settled(json!({})).await, Ok(vec![Settled::Done; 2]));
    assert_eq!(settled(json!({ "written": "retry", "after": 5 })).await, Ok(vec![Settled::Retry(5); 2]));
    assert_eq!(settled(json!({ "written": "second" })).await, Ok(vec![Settled::Retry(0), Settled::Done]));
    let too_few = CallError::WrongCount { asked: 2, given: 0 };
    assert_eq!(settled(json!({ "written": "too-few" })).await, Err(too_few));
}

#[tokio::test]
async fn messages_become_resources_or_problems() {
    let messages = [message("0"), message("2 kg"), message("kg")];
    let plugin = load(json!({})).await;
    let ingested = plugin.session().ingest(&exchange("x"), &messages).await.unwrap();
    assert_eq!(ingested[0], Ok(Vec::new()));
    assert_eq!(ingested[1], Ok(vec![Bytes::from_static(b"2 kg"); 2]));
    let problem = ingested[2].as_ref().unwrap_err();
    assert_eq!((problem.place.as_str(), problem.message.as_str()), ("scale:3", "no digit in research"));

    let plugin = load(json!({ "ingest": "too-few" })).await;
    let ingested = plugin.session().ingest(&exchange("x"), &messages).await;
    assert_eq!(ingested, Err(CallError::WrongCount { asked: 3, given: 0 }));
}

/// The limits of messages are those of any call, and what one call fails at is not the next one's fault.
#[tokio::test]
async fn messages_have_limits_too() {
    for act in ["panic", "loop", "bomb"] {
        let limits = Limits { cpu_per_call: Duration::from_millis(500), ..wide() };
        let plugin = Plugin::load(engine(), PluginSpec { limits, ..spec(json!({})) }).await.unwrap();
        let mut session = plugin.session();
        let failed = session.ingest(&exchange("x"), &[message("1"), message(act)]).await.unwrap_err();
        let expected = match act {
            "panic" => matches!(failed, CallError::Trap(_)),
            "loop" => matches!(failed, CallError::Cpu(_)),
            _ => matches!(failed, CallError::Memory(_) | CallError::TooMuch(_)),
        };
        assert!(expected, "{act}: {failed}");
        let ingested = session.ingest(&exchange("x"), &[message("1")]).await.unwrap();
        assert_eq!(ingested, [Ok(vec![Bytes::from_static(b"1")])], "{act}");
    }
}

#[tokio::test]
async fn all_phases_of_an_exchange_go_to_one_instance() {
    let plugin = load(json!({ "request": "echo", "act": "echo" })).await;
    let mut session = plugin.session();
    session.request(&exchange("x"), &head()).await.unwrap();
    session
        .process(&exchange("x"), fireguard_plugin_host::Direction::ToClient, &items(&[CALM]))
        .await
        .unwrap();
    session.written(&[event("1")]).await.unwrap();
    let Ok(Action::Answer(answer)) = session.request(&exchange("x"), &head()).await else { panic!() };
    assert!(answer.headers[0].value.ends_with(" 1"), "the second call of this phase: {answer:?}");
    assert_eq!((session.stats().calls, session.stats().instantiations), (4, 1));
}

#[tokio::test]
async fn without_anything_to_say_nobody_is_asked() {
    let plugin = load(json!({ "written": "panic" })).await;
    let mut session = plugin.session();
    assert_eq!(session.written(&[]).await, Ok(Vec::new()));
    assert_eq!(session.ingest(&exchange("x"), &[]).await, Ok(Vec::new()));
    assert_eq!(session.stats().calls, 0);
}

/// The guest fails its first call in each instance. With `retry` the second attempt is made in another one.
#[tokio::test]
async fn a_failed_call_is_made_once_more_where_that_is_asked_for() {
    for (on_failure, instances) in [(OnFailure::Refuse, 1), (OnFailure::Pass, 1), (OnFailure::Retry, 2)] {
        let spec = PluginSpec { on_failure, ..spec(json!({ "request": "panic", "written": "too-few" })) };
        let plugin = Plugin::load(engine(), spec).await.unwrap();
        let mut session = plugin.session();
        let failed = session.request(&exchange("x"), &head()).await.unwrap_err();
        assert!(matches!(failed, CallError::Trap(_)), "{failed}");
        let stats = session.stats();
        assert_eq!((stats.calls, stats.failures, stats.instantiations), (1, 1, instances), "{on_failure:?}");
        let failed = session.written(&[event("1")]).await.unwrap_err();
        assert_eq!(failed, CallError::WrongCount { asked: 1, given: 0 });
        assert_eq!(session.stats().instantiations, 2 * instances, "{on_failure:?}");
    }
}

#[tokio::test]
async fn the_plan_names_its_phases() {
    let plugin = load(json!({ "phases": ["request", "written"], "types": ["Patient"] })).await;
    assert_eq!(plugin.phases().iter().collect::<Vec<_>>(), Phase::ALL);
    assert!(plugin.wants_request("read", Some("Patient")) && plugin.wants_written("update", "Patient"));
    assert!(!plugin.wants_request("read", Some("Basic")) && !plugin.wants_written("update", "Basic"));
    for direction in [fireguard_plugin_host::Direction::ToClient, fireguard_plugin_host::Direction::ToServer]
    {
        assert!(!plugin.wants("read", direction, "Patient") && !plugin.wants_direction("read", direction));
    }
}
