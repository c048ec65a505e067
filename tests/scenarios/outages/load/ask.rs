//! One request, and whether its answer is right.

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use super::MARK;
use crate::common::resources::{bundle, entry};

/// How many patients there are that reads and searches look for.
pub(super) const KNOWN: usize = 10;
/// Enough that two connections are busy for a while.
const ENTRIES: usize = 10;
const SYSTEM: &str = "urn:fireguard:mrn";
/// What an answer says of one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Done,
    NotDone,
    /// The connection broke or the time was up.
    Unknown,
    /// The same for all resources of a transaction: stored or not, but together.
    Whole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Create,
    Read,
    Transaction,
    ConditionalCreate,
    Batch,
    Search,
    TransactionThatReads,
    Update,
    ConditionalUpdate,
}

/// A request of its own: its number is in everything that it stores.
#[derive(Debug)]
pub(super) struct Ask {
    kind: Kind,
    number: usize,
}

/// A patient that was there before.
pub(super) fn known(number: usize) -> Value {
    let id = format!("{MARK}-known-{}", number % KNOWN);
    let mut patient = patient(&id);
    patient["id"] = id.into();
    patient
}

fn patient(identifier: &str) -> Value {
    json!({
        "resourceType": "Patient",
        "meta": {"tag": [{"system": "urn:fireguard:test", "code": MARK}]},
        "identifier": [{"system": SYSTEM, "value": identifier}],
        "name": [{"family": "Outage"}],
    })
}

impl Ask {
    /// How many kinds there are; they take turns.
    pub(super) const KINDS: usize = 9;

    pub(super) fn of(number: usize) -> Self {
        use Kind::{
            Batch, ConditionalCreate, ConditionalUpdate, Create, Read, Search, Transaction,
            TransactionThatReads, Update,
        };
        let kinds: [Kind; Self::KINDS] = [
            Create,
            Read,
            Transaction,
            ConditionalCreate,
            Batch,
            Search,
            TransactionThatReads,
            Update,
            ConditionalUpdate,
        ];
        Self { kind: kinds[number % Self::KINDS], number }
    }

    pub(super) fn request(&self, client: &Client, base: &str) -> RequestBuilder {
        let identifiers = self.identifiers();
        let searched = |identifier: &str| format!("identifier={SYSTEM}|{identifier}");
        let new = |identifier: &String| entry("POST", "Patient", Some(patient(identifier)));
        let known = known(self.number)["id"].as_str().unwrap().to_owned();
        let read = entry("GET", &format!("Patient?{}", searched(&known)), None);
        let request = match self.kind {
            Kind::Read => return client.get(format!("{base}/Patient/{known}")),
            Kind::Search => return client.get(format!("{base}/Patient?{}", searched(&known))),
            Kind::Create => client.post(format!("{base}/Patient")).body(patient(&identifiers[0]).to_string()),
            Kind::ConditionalCreate => client
                .post(format!("{base}/Patient"))
                .header("If-None-Exist", searched(&identifiers[0]))
                .body(patient(&identifiers[0]).to_string()),
            Kind::ConditionalUpdate => client
                .put(format!("{base}/Patient?{}", searched(&identifiers[0])))
                .body(patient(&identifiers[0]).to_string()),
            Kind::Update => {
                let mut patient = patient(&identifiers[0]);
                patient["id"] = identifiers[0].clone().into();
                client.put(format!("{base}/Patient/{}", identifiers[0])).body(patient.to_string())
            }
            Kind::Transaction | Kind::TransactionThatReads => {
                let mut entries: Vec<_> = identifiers.iter().map(new).collect();
                if self.kind == Kind::TransactionThatReads {
                    entries.push(read);
                }
                client.post(base).body(bundle("transaction", entries).to_string())
            }
            Kind::Batch => {
                client.post(base).body(bundle("batch", identifiers.iter().map(new).collect()).to_string())
            }
        };
        request.header("Content-Type", "application/fhir+json")
    }

    /// What is stored if all goes well.
    fn identifiers(&self) -> Vec<String> {
        let count = match self.kind {
            Kind::Read | Kind::Search => 0,
            Kind::Transaction | Kind::TransactionThatReads | Kind::Batch => ENTRIES,
            Kind::Create | Kind::Update | Kind::ConditionalCreate | Kind::ConditionalUpdate => 1,
        };
        (0..count).map(|entry| format!("{MARK}-{}-{entry}", self.number)).collect()
    }

    /// What the answer says of each identifier; or what is wrong with the answer.
    pub(super) fn judge(&self, status: u16, body: &[u8]) -> Result<Vec<(String, Told)>, String> {
        let told = |told: Told| self.identifiers().into_iter().map(|id| (id, told)).collect::<Vec<_>>();
        let json: Value = serde_json::from_slice(body).map_err(|_| "not JSON".to_owned())?;
        if status >= 400 {
            if json["resourceType"] != "OperationOutcome" {
                return Err(format!("not an outcome: {json}"));
            }
            return match status {
                // It got no connection, or nobody asked it: see docs/decisions/0009-no-connection-left.md.
                429 | 500 | 503 if self.kind != Kind::TransactionThatReads => Ok(told(Told::NotDone)),
                429 | 500 | 502..=504 => Ok(self.unknown()),
                _ => Err(json.to_string()),
            };
        }
        let known = known(self.number);
        let is_known =
            |patient: &Value| patient["id"] == known["id"] && patient["identifier"] == known["identifier"];
        let found = |bundle: &Value| {
            bundle["entry"].as_array().is_some_and(|e| e.len() == 1 && is_known(&e[0]["resource"]))
        };
        let responses = || json["entry"].as_array().map(Vec::as_slice).unwrap_or_default();
        let made = |entry: &Value| entry["response"]["status"].as_str().is_some_and(|s| s.starts_with('2'));
        // The search of a transaction may be what gets no connection: the writes stay all the same.
        let failed = |entry: &Value| entry["response"]["status"].as_str().is_some_and(|s| s.starts_with('5'));
        let right = match self.kind {
            Kind::Read => is_known(&json),
            Kind::Search => found(&json),
            Kind::Create | Kind::Update | Kind::ConditionalCreate | Kind::ConditionalUpdate => {
                json["identifier"][0]["value"] == self.identifiers()[0]
            }
            Kind::Transaction => responses().len() == ENTRIES && responses().iter().all(made),
            Kind::TransactionThatReads => {
                responses().len() == ENTRIES + 1
                    && responses()[..ENTRIES].iter().all(made)
                    && (found(&responses()[ENTRIES]["resource"]) || failed(&responses()[ENTRIES]))
            }
            Kind::Batch => responses().len() == ENTRIES,
        };
        if !right {
            return Err(responses().last().unwrap_or(&json).to_string());
        }
        let mut all = told(Told::Done);
        if self.kind == Kind::Batch {
            for ((_, told), entry) in all.iter_mut().zip(responses()) {
                *told = if made(entry) { Told::Done } else { Told::NotDone };
            }
        }
        Ok(all)
    }

    /// What is known if there is no answer.
    pub(super) fn unknown(&self) -> Vec<(String, Told)> {
        let whole = matches!(self.kind, Kind::Transaction | Kind::TransactionThatReads);
        let told = if whole { Told::Whole } else { Told::Unknown };
        self.identifiers().into_iter().map(|id| (id, told)).collect()
    }
}
