//! What comes out, as JSON that people write and read.

use bytes::Bytes;
use fireguard_plugin_host::{Action, Field, Head, Ingested, Outcome, Problem, Refusal, Settled};
use serde_json::{Value, json};

/// What became of a resource.
pub(in crate::cli::plugin) fn outcome(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Unchanged => json!({"keep": true}),
        Outcome::Changed(bytes) => json!({"change": content(bytes)}),
        Outcome::Dropped => json!({"drop": true}),
        Outcome::Refused(why) => json!({"refuse": refusal(why)}),
    }
}

/// What became of a request.
pub(in crate::cli::plugin) fn action(action: &Action) -> Value {
    match action {
        Action::Forward => json!({"forward": true}),
        Action::Change(changed) => json!({"change": head(changed)}),
        Action::Answer(answer) => json!({"answer": without_nothing(json!({
            "status": answer.status,
            "headers": pairs(&answer.headers),
            "body": if answer.body.is_empty() { Value::Null } else { content(&answer.body) },
        }))}),
        Action::Refuse(why) => json!({"refuse": refusal(why)}),
    }
}

/// What became of an event.
pub(in crate::cli::plugin) fn settled(settled: &Settled) -> Value {
    match settled {
        Settled::Done => json!({"done": true}),
        Settled::Retry(milliseconds) => json!({"retry": milliseconds}),
    }
}

/// What became of a message.
pub(in crate::cli::plugin) fn ingested(ingested: &Ingested) -> Value {
    match ingested {
        Ok(resources) => json!({"resources": resources.iter().map(content).collect::<Vec<_>>()}),
        Err(problem) => json!({"problem": {"place": problem.place, "message": problem.message}}),
    }
}

/// What is wrong with settings or a file.
pub(super) fn problem(problem: &Problem) -> Value {
    without_nothing(json!({
        "file": problem.file,
        "line": if problem.line == 0 { Value::Null } else { problem.line.into() },
        "column": if problem.column == 0 { Value::Null } else { problem.column.into() },
        "pointer": problem.pointer,
        "message": problem.message,
    }))
}

fn refusal(refusal: &Refusal) -> Value {
    let status = refusal.extras.iter().find(|field| field.name == "status").map(|field| &field.value);
    without_nothing(json!({
        "code": refusal.code,
        "message": refusal.message,
        "status": status,
        "outcome": refusal.outcome.as_ref().map(|outcome| content(&Bytes::from(outcome.clone()))),
    }))
}

fn head(head: &Head) -> Value {
    without_nothing(json!({
        "resourceType": head.resource_type,
        "id": head.id,
        "versionId": head.version_id,
        "operation": head.operation,
        "parameters": pairs(&head.parameters),
        "headers": pairs(&head.headers),
    }))
}

fn pairs(fields: &[Field]) -> Value {
    fields.iter().map(|field| json!([field.name, field.value])).collect()
}

/// JSON as a value, whose numbers keep their digits; anything else as a text.
fn content(bytes: &Bytes) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| json!({"text": String::from_utf8_lossy(bytes)}))
}

/// Members that are null or an empty array say nothing.
fn without_nothing(mut value: Value) -> Value {
    if let Some(members) = value.as_object_mut() {
        members
            .retain(|_, member| !member.is_null() && member.as_array().is_none_or(|list| !list.is_empty()));
    }
    value
}
