//! Patients with versions, and a count of every write.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::standin::Received;

/// What is stored.
#[derive(Debug, Default)]
pub(super) struct Resources {
    /// Versions from 1; none: deleted.
    versions: HashMap<String, Vec<Option<String>>>,
    /// What a conditional create looks for.
    conditions: HashMap<String, String>,
    carried_out: HashMap<u64, u32>,
    created: usize,
}

/// What came of a request.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) status: u16,
    /// Header lines.
    pub(super) headers: String,
    pub(super) body: String,
}

/// What becomes of an entry of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    CarriedOut,
    /// It says 429.
    Throttled,
    /// It is carried out, and its answer is missing.
    LeftOut,
}

/// An entry that is to be judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) is_last: bool,
}

const CAPABILITIES: &str = r#"{"resourceType":"CapabilityStatement","status":"active","date":"2026-01-01","kind":"instance","fhirVersion":"4.0.1","format":["json"]}"#;

impl Resources {
    pub(super) fn carried_out(&self, mark: u64) -> u32 {
        self.carried_out.get(&mark).copied().unwrap_or_default()
    }

    pub(super) fn version(&self, id: &str) -> Option<usize> {
        let versions = self.versions.get(id)?;
        versions.last()?.as_ref().map(|_| versions.len())
    }

    pub(super) fn created(&self) -> usize {
        self.created
    }

    /// Carries a request out, once more each time it comes.
    pub(super) fn carry_out(&mut self, request: &Received) -> Outcome {
        let path = request.path().trim_start_matches("/fhir/").to_owned();
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let (match_version, condition) = (request.header("if-match"), request.header("if-none-exist"));
        self.interaction(&request.method, &path, &body, match_version, condition)
    }

    fn interaction(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
        if_match: Option<&str>,
        condition: Option<&str>,
    ) -> Outcome {
        let segments: Vec<&str> = path.split(['/', '?']).collect();
        match (method, segments.as_slice()) {
            (_, ["metadata"]) => Outcome::of(200, CAPABILITIES),
            ("GET" | "HEAD", ["Patient", id]) => {
                let version = self.version(id);
                version.map_or_else(|| Outcome::of(404, ""), |version| self.read(id, version))
            }
            ("GET", ["Patient", id, "_history", version]) => {
                self.read(id, version.parse().unwrap_or_default())
            }
            ("POST", ["Patient"]) => {
                if let Some(found) = condition.and_then(|condition| self.conditions.get(condition)).cloned() {
                    return self.read(&found, 1);
                }
                self.created += 1;
                let id = format!("c{}", self.created);
                self.conditions.extend(condition.map(|condition| (condition.to_owned(), id.clone())));
                self.write(&id, body, 201)
            }
            ("PUT", ["Patient", id]) => {
                let current = self.version(id);
                let wanted = if_match.map(|tag| tag.trim_matches(['W', '/', '"']).parse().ok());
                if wanted.is_some_and(|wanted| wanted != current) {
                    return Outcome::of(409, "");
                }
                self.write(id, body, if current.is_some() { 200 } else { 201 })
            }
            ("DELETE", ["Patient", id]) => {
                let Some(_) = self.version(id) else { return Outcome::of(404, "") };
                self.versions.entry((*id).to_owned()).or_default().push(None);
                Outcome::of(204, "")
            }
            _ => Outcome::of(400, ""),
        }
    }

    /// A batch, each entry judged for itself, or a transaction.
    pub(super) fn bundle(&mut self, body: &[u8], mut judge: impl FnMut(Place) -> Entry) -> Outcome {
        let Ok(bundle) = serde_json::from_slice::<Value>(body) else { return Outcome::of(400, "") };
        let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
        let batch = bundle["type"] == "batch";
        let mut answers = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            let judged =
                if batch { judge(Place { is_last: at + 1 == entries.len() }) } else { Entry::CarriedOut };
            if judged == Entry::Throttled {
                answers.push(json!({"response": {"status": "429 Too Many Requests"}}));
                continue;
            }
            let (method, url) = (entry["request"]["method"].as_str(), entry["request"]["url"].as_str());
            let resource = entry.get("resource").map(Value::to_string).unwrap_or_default();
            let outcome = self.interaction(
                method.unwrap_or_default(),
                url.unwrap_or_default(),
                &resource,
                entry["request"]["ifMatch"].as_str(),
                entry["request"]["ifNoneExist"].as_str(),
            );
            if judged == Entry::CarriedOut {
                let status = format!("{} Stored", outcome.status);
                let resource = serde_json::from_str::<Value>(&outcome.body);
                answers.push(match resource {
                    Ok(resource) => json!({"resource": resource, "response": {"status": status}}),
                    Err(_) => json!({"response": {"status": status}}),
                });
            }
        }
        let kind = if batch { "batch-response" } else { "transaction-response" };
        let answer = json!({"resourceType": "Bundle", "type": kind, "entry": answers});
        Outcome::of(200, &answer.to_string())
    }

    fn write(&mut self, id: &str, body: &str, status: u16) -> Outcome {
        if let Some(mark) = marked(body) {
            *self.carried_out.entry(mark).or_default() += 1;
        }
        let versions = self.versions.entry(id.to_owned()).or_default();
        versions.push(Some(body.to_owned()));
        let version = versions.len();
        Outcome { status, ..self.read(id, version) }
    }

    fn read(&self, id: &str, version: usize) -> Outcome {
        let stored = self.versions.get(id).and_then(|versions| versions.get(version.checked_sub(1)?));
        match stored {
            Some(Some(body)) => {
                let headers =
                    format!("ETag: W/\"{version}\"\r\nLocation: Patient/{id}/_history/{version}\r\n");
                Outcome { headers, ..Outcome::of(200, body) }
            }
            Some(None) => Outcome::of(410, ""),
            None => Outcome::of(404, ""),
        }
    }
}

impl Outcome {
    fn of(status: u16, body: &str) -> Self {
        Self { status, headers: String::new(), body: body.to_owned() }
    }
}

fn marked(body: &str) -> Option<u64> {
    let (_, rest) = body.split_once("mark-")?;
    rest.split_once(';')?.0.parse().ok()
}
