//! The acts of the other phases. They read the settings' members `request`, `written` and `ingest`.

use serde_json::Value;

use crate::acts::{count, refusal, text};
use crate::exports::fireguard::plugin::ingest::{Message, Problem};
use crate::exports::fireguard::plugin::request::{Action, Answer, Head};
use crate::exports::fireguard::plugin::written::{Event, Settled};
use crate::fireguard::plugin::log::{self, Level};
use crate::fireguard::plugin::types::{Exchange, Field};

pub(crate) fn request(settings: &Value, exchange: &Exchange, mut head: Head) -> Action {
    match text(settings, "request") {
        // Whatever `head` holds takes the place of what was there.
        "change" => {
            let change = &settings["head"];
            let member = |name: &str, old: &mut Option<String>| {
                if let Some(new) = change.get(name) {
                    *old = new.as_str().map(str::to_owned);
                }
            };
            member("resource_type", &mut head.resource_type);
            member("id", &mut head.id);
            member("version_id", &mut head.version_id);
            member("operation", &mut head.operation);
            if change.get("parameters").is_some() {
                head.parameters = fields(&change["parameters"]);
            }
            head.parameters.extend(fields(&settings["add"]));
            if change.get("headers").is_some() {
                head.headers = fields(&change["headers"]);
            }
            Action::Change(head)
        }
        "answer" => Action::Answer(Answer {
            status: settings["status"].as_u64().unwrap_or(200) as u16,
            headers: fields(&settings["headers"]),
            body: text(settings, "body").as_bytes().to_vec(),
            extras: Vec::new(),
        }),
        // Says what it was given.
        "echo" => {
            let all = [&head.parameters, &head.headers, &head.extras];
            let said = all.map(|fields| {
                fields.iter().map(|f| format!("{}={}", f.name, f.value)).collect::<Vec<_>>().join("&")
            });
            let ids = [&head.resource_type, &head.id, &head.version_id, &head.operation];
            let ids = ids.map(|id| id.as_deref().unwrap_or("-")).join(" ");
            let value =
                format!("{} {} {ids} {} {}", exchange.interaction, exchange.id, said.join(" "), count());
            let headers = vec![Field { name: "echo".to_owned(), value }];
            Action::Answer(Answer { status: 200, headers, body: Vec::new(), extras: Vec::new() })
        }
        "refuse" => Action::Refuse(refusal("forbidden")),
        "panic" => panic!("request"),
        "loop" => loop {
            std::hint::black_box(());
        },
        _ => Action::Forward,
    }
}

pub(crate) fn written(settings: &Value, events: &[Event]) -> Vec<Settled> {
    match text(settings, "written") {
        "retry" => vec![Settled::Retry(settings["after"].as_u64().unwrap_or(0) as u32); events.len()],
        // Every event at its second attempt.
        "second" => {
            let second = |event: &Event| event.extras.iter().any(|f| f.name == "attempt" && f.value != "1");
            events.iter().map(|event| if second(event) { Settled::Done } else { Settled::Retry(0) }).collect()
        }
        // Says in the log what it was told.
        "tell" => {
            for event in events {
                let Event { id, interaction, resource_type, resource_id, .. } = event;
                let version = event.version_id.as_deref().unwrap_or("-");
                let bytes =
                    event.content.as_ref().map_or("-".to_owned(), |content| content.len().to_string());
                let line = format!("told {interaction} {resource_type}/{resource_id} {version} {bytes} {id}");
                log::write(Level::Info, &line);
            }
            vec![Settled::Done; events.len()]
        }
        // Asks what `asks` says, and is done.
        "ask" => {
            log::write(Level::Info, &crate::capabilities::ask(settings));
            vec![Settled::Done; events.len()]
        }
        "too-few" => Vec::new(),
        "panic" => panic!("written"),
        _ => vec![Settled::Done; events.len()],
    }
}

/// Each message becomes as many copies of itself as its first digit says; without one it is a problem. Three are acts.
pub(crate) fn ingest(
    settings: &Value,
    exchange: &Exchange,
    messages: Vec<Message>,
) -> Vec<Result<Vec<Vec<u8>>, Problem>> {
    if text(settings, "ingest") == "too-few" {
        return Vec::new();
    }
    let one = |message: Message| match message.content.first() {
        _ if message.content == b"panic" => panic!("ingest"),
        _ if message.content == b"loop" => loop {
            std::hint::black_box(());
        },
        _ if message.content == b"bomb" => Ok(vec![message.content.repeat(64 << 10); 1 << 20]),
        Some(digit @ b'0'..=b'9') => Ok(vec![message.content.clone(); usize::from(digit - b'0')]),
        _ => Err(Problem {
            place: format!("{}:{}", message.source, message.position),
            message: format!("no digit\nin {}", exchange.route),
            extras: message.extras,
        }),
    };
    messages.into_iter().map(one).collect()
}

/// `[["name", "value"], …]`
fn fields(value: &Value) -> Vec<Field> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pairs = value.as_array().into_iter().flatten();
    pairs.map(|pair| Field { name: text(&pair[0]), value: text(&pair[1]) }).collect()
}
