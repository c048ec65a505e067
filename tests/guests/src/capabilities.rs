//! Asks capabilities what the settings' `asks` say, one after another, and tells what they answered.

use serde_json::{Value, json};

use crate::fireguard::plugin::types::{Error, Field};
use crate::fireguard::plugin::{
    fhir_client, http_out, key_value, metrics, object_store, pseudonym, terminology,
};

/// Each ask is an object of one member: `{"seal": ["domain", ["id"]]}`. `times` repeats all of them; the last answers are
/// told.
pub(crate) fn ask(settings: &Value) -> String {
    let times = settings["times"].as_u64().unwrap_or(1);
    let mut answers = Vec::new();
    for _ in 0..times {
        let asks = settings["asks"].as_array().unwrap().iter();
        answers = asks
            .map(|ask| {
                let (name, about) = ask.as_object().unwrap().iter().next().unwrap();
                one(name, about)
            })
            .collect();
    }
    // Where an answer takes the place of a resource, it has to be one.
    match settings["as"].as_str() {
        Some(resource_type) => json!({"resourceType": resource_type, "id": "1", "told": answers}).to_string(),
        None => Value::Array(answers).to_string(),
    }
}

fn one(name: &str, about: &Value) -> Value {
    match name {
        "seal" => told(pseudonym::seal(&text(&about[0]), &texts(&about[1])), |ids| json!(ids)),
        "open" => told(pseudonym::open(&text(&about[0]), &texts(&about[1])), |ids| json!(ids)),
        "kv-get" => told(key_value::get(&texts(about)), |values| {
            values.into_iter().map(|value| value.map_or(Value::Null, shown)).collect()
        }),
        "kv-set" => told(key_value::set(&list(about, entry)), |()| json!(true)),
        "kv-delete" => told(key_value::delete(&texts(about)), |()| json!(true)),
        "kv-swap" => {
            let expected = about[1].as_str().map(|expected| expected.as_bytes().to_vec());
            told(key_value::swap(&entry(&about[0]), expected.as_deref()), |swapped| json!(swapped))
        }
        "translate" => {
            let coding = |of: &Value| terminology::Coding { system: text(&of[0]), code: text(&of[1]) };
            told(terminology::translate(&text(&about[0]), &list(&about[1], coding)), |answers| {
                answers.into_iter().map(|matches| matches.into_iter().map(found).collect::<Value>()).collect()
            })
        }
        "fhir" => {
            let answers = fhir_client::send(&list(about, |of| fhir_client::Request {
                method: text(&of["method"]),
                url: text(&of["url"]),
                headers: list(&of["headers"], field),
                body: body(of),
                extras: Vec::new(),
            }));
            let answer = |answer: fhir_client::Response| json!({"status": answer.status, "headers": pairs(answer.headers), "body": shown(answer.body)});
            answers.into_iter().map(|one| told(one, answer)).collect()
        }
        "put" => told(object_store::put(&text(&about[0]), &bytes(&about[1]), &[]), |()| json!(true)),
        "get" => told(object_store::get(&text(about)), |content| content.map_or(Value::Null, shown)),
        "delete" => told(object_store::delete(&text(about)), |()| json!(true)),
        "names" => told(object_store::names(&text(&about[0]), &text(&about[1])), |names| json!(names)),
        "http" => {
            let request = http_out::Request {
                method: text(&about["method"]),
                url: text(&about["url"]),
                headers: list(&about["headers"], field),
                body: body(about),
                extras: Vec::new(),
            };
            told(
                http_out::send(&request),
                |answer| json!({"status": answer.status, "headers": pairs(answer.headers), "body": shown(answer.body)}),
            )
        }
        "count" => {
            metrics::count(&text(&about[0]), about[1].as_u64().unwrap());
            Value::Null
        }
        "observe" => {
            metrics::observe(&text(&about[0]), about[1].as_f64().unwrap());
            Value::Null
        }
        unknown => panic!("no ask is named {unknown}"),
    }
}

fn told<T>(answer: Result<T, Error>, tell: impl FnOnce(T) -> Value) -> Value {
    answer.map_or_else(|error| json!({"error": error.code, "message": error.message}), tell)
}

fn found(found: terminology::Match) -> Value {
    let mut told = json!([found.system, found.code, found.display, found.equivalence]);
    told.as_array_mut().unwrap().extend(found.extras.into_iter().map(|extra| json!(extra.value)));
    told
}

fn entry(of: &Value) -> key_value::Entry {
    let expires_in = of[2].as_u64().map(|seconds| u32::try_from(seconds).unwrap());
    key_value::Entry { key: text(&of[0]), value: bytes(&of[1]), expires_in }
}

/// A text, or a letter that is repeated.
fn text(of: &Value) -> String {
    match of {
        Value::Number(many) => "x".repeat(usize::try_from(many.as_u64().unwrap()).unwrap()),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

fn bytes(of: &Value) -> Vec<u8> {
    text(of).into_bytes()
}

fn body(of: &Value) -> Option<Vec<u8>> {
    (!of["body"].is_null()).then(|| bytes(&of["body"]))
}

fn field(of: &Value) -> Field {
    Field { name: text(&of[0]), value: text(&of[1]) }
}

fn texts(of: &Value) -> Vec<String> {
    match of {
        Value::Number(many) => vec!["k".to_owned(); usize::try_from(many.as_u64().unwrap()).unwrap()],
        other => list(other, text),
    }
}

fn list<T>(of: &Value, read: impl Fn(&Value) -> T) -> Vec<T> {
    of.as_array().into_iter().flatten().map(read).collect()
}

fn pairs(fields: Vec<Field>) -> Value {
    fields.into_iter().map(|field| (field.name, json!(field.value))).collect()
}

/// The beginning of it, and how long it is where it is long.
fn shown(bytes: Vec<u8>) -> Value {
    let text = String::from_utf8(bytes).unwrap();
    if text.len() > 10_000 { json!(text.len()) } else { json!(text) }
}
