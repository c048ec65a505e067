//! The plugin in front of an endpoint and a store of the test's own.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::cell::RefCell;

use fireguard_publish_events::PublishEvents;
use fireguard_sdk::{
    Event, Field, Host, HostError, HttpRequest, HttpResponse, Plugin, Settings, Settled, Written,
};
use serde_json::Value;

/// Takes what it is told, but for resources with these ids.
#[derive(Default)]
struct Receiver {
    refuses: Vec<&'static str>,
    got: RefCell<Vec<Value>>,
    objects: RefCell<Vec<String>>,
}

impl Host for Receiver {
    fn send_http(&self, request: &HttpRequest) -> Result<HttpResponse, HostError> {
        let event: Value = serde_json::from_slice(request.body.as_ref().unwrap()).unwrap();
        let refused = self.refuses.iter().any(|id| event["resourceId"] == *id);
        self.got.borrow_mut().push(event);
        Ok(HttpResponse { status: if refused { 503 } else { 202 }, ..HttpResponse::default() })
    }

    fn put_object(&self, name: &str, _: &[u8], _: &[Field]) -> Result<(), HostError> {
        self.objects.borrow_mut().push(name.to_owned());
        Ok(())
    }
}

fn plugin(settings: &str) -> PublishEvents {
    PublishEvents::configure(Settings { json: settings.to_owned(), files: Vec::new() }).unwrap().0
}

fn event(id: &str, patient: &str) -> Event {
    Event {
        id: format!("e/{id}"),
        interaction: "create".to_owned(),
        resource_type: "Observation".to_owned(),
        resource_id: id.to_owned(),
        version_id: Some("1".to_owned()),
        time: "2026-01-31T10:00:00.000Z".to_owned(),
        content: Some(
            format!(r#"{{"subject":{{"reference":"Patient/{patient}"}},"note":"secret"}}"#).into_bytes(),
        ),
        extras: vec![Field::new("attempt", "3")],
        ..Event::default()
    }
}

const BOTH: &str = r#"{"url": "https://events.example", "objects": "events/", "source": "clinic"}"#;

#[test]
fn an_event_says_what_happened_and_nothing_of_the_content() {
    let host = Receiver::default();
    assert_eq!(plugin(BOTH).written(&host, &[event("7", "1")]), [Settled::Done]);
    let expected = serde_json::json!({
        "id": "e/7", "action": "create", "type": "Observation", "resourceId": "7", "version": "1",
        "time": "2026-01-31T10:00:00.000Z", "source": "clinic",
    });
    assert_eq!(*host.got.borrow(), [expected]);
    assert_eq!(*host.objects.borrow(), ["events/2026-01-31/e-7.json"]);
}

#[test]
fn what_cannot_be_delivered_holds_back_its_patient_and_nobody_else() {
    let host = Receiver { refuses: vec!["a"], ..Receiver::default() };
    let events = [event("a", "1"), event("b", "1"), event("c", "2")];
    let settings = r#"{"url": "https://events.example", "source": "clinic"}"#;
    let settled = plugin(settings).written(&host, &events);
    assert_eq!(settled, [Settled::Retry(4_000), Settled::Retry(4_000), Settled::Done]);
    let told: Vec<Value> = host.got.borrow().iter().map(|event| event["resourceId"].clone()).collect();
    assert_eq!(told, ["a", "c"], "b waits for a");
}

#[test]
fn settings_are_checked() {
    let cases = [
        (r#"{"source": "x"}"#, ""),
        (r#"{"source": "", "url": "https://e"}"#, "/source"),
        (r#"{"source": "x", "url": "e"}"#, "/url"),
        (r#"{"source": "x", "objects": "events"}"#, "/objects"),
        (r#"{"source": "x", "urls": []}"#, "/urls"),
    ];
    for (settings, pointer) in cases {
        let settings = Settings { json: settings.to_owned(), files: Vec::new() };
        let problems = PublishEvents::configure(settings).err().unwrap();
        assert_eq!(problems[0].pointer, pointer, "{problems:?}");
    }
}
