//! What the validator says.

use fireguard_sdk::{HostError, HttpResponse};
use serde::Deserialize;

/// The statuses under which servers answer `$validate` with what they found. HAPI says 200 to everything; others say
/// it like the write that would fail.
const JUDGED: [u16; 4] = [200, 400, 412, 422];

/// What one validation came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// No error.
    Good,
    /// The OperationOutcome with the errors.
    Bad(Vec<u8>),
    /// It was not made, and why. Says nothing of the resource.
    None(String),
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(rename = "resourceType")]
    resource_type: String,
    #[serde(default)]
    issue: Vec<Issue>,
}

#[derive(Deserialize)]
struct Issue {
    severity: String,
}

/// Reads one answer. Whatever is not clearly a judgement is none.
pub(crate) fn finding(answer: Result<HttpResponse, HostError>) -> Finding {
    let response = match answer {
        Ok(response) => response,
        Err(error) => return Finding::None(error.code),
    };
    let status = response.status;
    if !JUDGED.contains(&status) {
        return Finding::None(format!("the validator answered with status {status}"));
    }
    match serde_json::from_slice::<Outcome>(&response.body) {
        Ok(outcome) if outcome.resource_type == "OperationOutcome" => {
            let fatal = |issue: &Issue| matches!(issue.severity.as_str(), "fatal" | "error");
            match (outcome.issue.iter().any(fatal), status) {
                (true, _) => Finding::Bad(response.body),
                (false, 200) => Finding::Good,
                (false, _) => Finding::None(format!("status {status} without an error in the outcome")),
            }
        }
        _ => Finding::None(format!("status {status} without an OperationOutcome")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_answer_is_a_judgement() {
        let outcome = |severity: &str| {
            format!(
                r#"{{"resourceType":"OperationOutcome","issue":[{{"severity":"information"}},{{"severity":"{severity}"}}]}}"#
            )
        };
        enum Is {
            Good,
            Bad,
            None,
        }
        let cases = [
            (200, outcome("information"), Is::Good),
            (200, outcome("warning"), Is::Good),
            (200, outcome("error"), Is::Bad),
            (200, outcome("fatal"), Is::Bad),
            (412, outcome("error"), Is::Bad),
            (422, outcome("warning"), Is::None),
            (200, r#"{"resourceType":"Patient"}"#.to_owned(), Is::None),
            (200, "<OperationOutcome/>".to_owned(), Is::None),
            (200, String::new(), Is::None),
            (404, outcome("error"), Is::None),
            (500, outcome("error"), Is::None),
        ];
        for (status, body, expected) in cases {
            let response =
                HttpResponse { status, body: body.clone().into_bytes(), ..HttpResponse::default() };
            let found = finding(Ok(response));
            let right = match expected {
                Is::Good => found == Finding::Good,
                Is::Bad => found == Finding::Bad(body.clone().into_bytes()),
                Is::None => matches!(found, Finding::None(_)),
            };
            assert!(right, "{status} {body}: {found:?}");
        }
    }
}
