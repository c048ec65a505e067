//! What one client does, and what it is told.

use std::sync::Arc;

use fireguard_test_support::standin::store::{Store, mark};
use serde_json::{Value, json};

use super::client::{Answer, Client};

/// What a client is told of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Accepted,
    Refused,
    /// That nobody knows, or half an answer.
    Unknown,
}

/// One client, with a resource of its own that it updates and deletes.
pub(super) struct Worker {
    number: u64,
    rng: fastrand::Rng,
    client: Client,
    store: Arc<Store>,
    marks: u64,
    done: Done,
}

/// What it did.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) requests: u64,
    pub(super) reads_answered: u64,
    /// Mark, kind, what was told.
    pub(super) writes: Vec<(u64, &'static str, Told)>,
}

impl Worker {
    pub(super) fn new(number: u64, seed: u64, client: Client, store: Arc<Store>) -> Self {
        let rng = fastrand::Rng::with_seed(seed ^ number);
        Self { number, rng, client, store, marks: 0, done: Done::default() }
    }

    /// Sends so many requests, entries of batches each for itself.
    pub(super) async fn run(mut self, requests: u64) -> Done {
        while self.done.requests < requests {
            match self.rng.u8(..100) {
                0..35 => self.read().await,
                35..60 => self.create().await,
                60..70 => self.update().await,
                70..82 => self.update_of_version().await,
                82..88 => self.delete().await,
                88..89 => self.conditional_create().await,
                89..97 => self.bundle("batch").await,
                _ => self.bundle("transaction").await,
            }
        }
        self.done
    }

    async fn read(&mut self) {
        self.done.requests += 1;
        let id = self.id();
        let there = self.store.version(&id);
        let answer = self.client.ask("GET", &format!("/fhir/Patient/{id}"), "", "").await;
        if answer.whole && matches!(answer.status, 200 | 404) {
            assert_eq!(answer.status == 200, there.is_some(), "{id}: {there:?}");
            self.done.reads_answered += 1;
        }
        if answer.whole && answer.status == 200 {
            let resource: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(resource["resourceType"], "Patient");
        }
    }

    async fn create(&mut self) {
        let (mark, body) = self.resource(None);
        let answer = self.client.ask("POST", "/fhir/Patient", "", &body).await;
        self.told("create", mark, &answer);
    }

    async fn conditional_create(&mut self) {
        let (mark, body) = self.resource(None);
        let condition = format!("If-None-Exist: identifier=x{mark}\r\n");
        let answer = self.client.ask("POST", "/fhir/Patient", &condition, &body).await;
        self.told("conditional create", mark, &answer);
    }

    async fn update(&mut self) {
        let id = self.id();
        let (mark, body) = self.resource(Some(&id));
        let answer = self.client.ask("PUT", &format!("/fhir/Patient/{id}"), "", &body).await;
        self.told("update", mark, &answer);
    }

    async fn update_of_version(&mut self) {
        let id = self.id();
        let Some(version) = self.store.version(&id) else { return self.update().await };
        let (mark, body) = self.resource(Some(&id));
        let condition = format!("If-Match: W/\"{version}\"\r\n");
        let answer = self.client.ask("PUT", &format!("/fhir/Patient/{id}"), &condition, &body).await;
        assert_ne!((answer.status, answer.whole), (409, true), "nobody else writes {id}");
        self.told("update of a version", mark, &answer);
    }

    async fn delete(&mut self) {
        self.done.requests += 1;
        let id = self.id();
        let there = self.store.version(&id).is_some();
        let answer = self.client.ask("DELETE", &format!("/fhir/Patient/{id}"), "", "").await;
        let left = self.store.version(&id).is_some();
        match told(answer.status, answer.whole) {
            Told::Accepted => assert!(!left, "{id} was to be deleted"),
            Told::Refused if there && answer.status == 404 => panic!("{id} was there"),
            Told::Refused => assert_eq!(left, there, "{id}: {}", answer.status),
            Told::Unknown => {}
        }
    }

    async fn bundle(&mut self, kind: &'static str) {
        let mut marks = Vec::new();
        let mut entries = Vec::new();
        for n in 0..self.rng.u8(1..24) {
            if n % 3 == 1 {
                marks.push(None);
                entries.push(json!({"request": {"method": "GET", "url": format!("Patient/{}", self.id())}}));
                self.done.requests += 1;
            } else {
                let (mark, body) = self.resource(None);
                marks.push(Some(mark));
                let resource: Value = serde_json::from_str(&body).unwrap();
                entries.push(json!({"resource": resource, "request": {"method": "POST", "url": "Patient"}}));
            }
        }
        let body = json!({"resourceType": "Bundle", "type": kind, "entry": entries}).to_string();
        let answer = self.client.ask("POST", "/fhir", "", &body).await;
        let whole = told(answer.status, answer.whole);
        let answered = if whole == Told::Accepted { entries_of(&answer) } else { Vec::new() };
        for (at, mark) in marks.iter().enumerate() {
            let Some(mark) = mark else { continue };
            let entry = match whole {
                // An entry whose answer is missing: nobody knows which one that is.
                Told::Accepted if answered.len() != marks.len() => Told::Unknown,
                Told::Accepted => told(answered[at], true),
                other => other,
            };
            self.done.requests += 1;
            self.done.writes.push((*mark, kind, entry));
        }
    }

    fn told(&mut self, what: &'static str, mark: u64, answer: &Answer) {
        self.done.requests += 1;
        self.done.writes.push((mark, what, told(answer.status, answer.whole)));
    }

    /// The resource that nobody else writes.
    fn id(&self) -> String {
        format!("own-{}", self.number)
    }

    /// A Patient with a mark of its own.
    fn resource(&mut self, id: Option<&str>) -> (u64, String) {
        self.marks += 1;
        let number = self.number * 1_000_000 + self.marks;
        let id = id.map(|id| format!(r#""id":"{id}","#)).unwrap_or_default();
        let identifier = format!(r#"[{{"value":"{}"}}]"#, mark(number));
        (number, format!(r#"{{"resourceType":"Patient",{id}"identifier":{identifier}}}"#))
    }
}

/// The statuses of a Bundle's entries.
fn entries_of(answer: &Answer) -> Vec<u16> {
    let bundle: Value = serde_json::from_slice(&answer.body).unwrap();
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let status = |entry: &Value| entry["response"]["status"].as_str()?.get(..3)?.parse().ok();
    entries.iter().map(|entry| status(entry).unwrap()).collect()
}

fn told(status: u16, whole: bool) -> Told {
    match status {
        200..300 if whole => Told::Accepted,
        400..500 | 503 if whole => Told::Refused,
        _ => Told::Unknown,
    }
}
