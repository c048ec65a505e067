//! A real HAPI on PostgreSQL, with data.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use fireguard_test_support::data::{self, Bundle};
use fireguard_test_support::hapi::{Options, Package, Postgres, Server, port_of};
use serde_json::{Value, json};

use super::Bench;
use super::process::Front;
use super::usage::{self, Usage};
use crate::bench::payload::observation_of;
use crate::error::Error;

/// Patients who are read; what is written is about another.
const PATIENTS: usize = 20;
/// Observations of each: searches have more than one page.
const OBSERVATIONS: usize = 40;
/// Whom all is about that is written.
const WRITTEN: &str = "bench-written";

/// A running HAPI with its PostgreSQL.
pub(super) struct Backend {
    // Before its database: fields are dropped in this order.
    server: Server,
    _database: Postgres,
    postgres: u32,
    pub(super) address: SocketAddr,
}

impl Backend {
    /// Starts one with so many database connections, that compiles hot code fully and keeps no searches, and
    /// stores the data.
    ///
    /// # Errors
    /// It does not start, or does not take the data.
    pub(super) fn start(bench: &Bench, pool: usize) -> Result<Self, Error> {
        let tell = |step: &str| bench.progress.step(&format!("HAPI: {step}"));
        let package = Package::ensure(&tell)?;
        let database = Postgres::start(true, &tell)?;
        let mut options =
            Options::default().heap("2g").full_jit(true).setting("pool.size", &pool.to_string());
        // Fireguard asks for fresh results after writes: direct and through it, all are fresh.
        options = options.storage("reuseCachedSearchResultsForMillis", "0");
        for (name, value) in database.settings() {
            options = options.setting(&name, &value);
        }
        tell("starting");
        let server = Server::start(&package, &options)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port_of(server.base_url())));
        let postgres = usage::descendant("postgres")?;
        data::load(server.base_url(), &bundles(), &tell)?;
        Ok(Self { server, _database: database, postgres, address })
    }

    /// Processor time of HAPI and PostgreSQL so far.
    ///
    /// # Errors
    /// They have ended.
    pub(super) fn usage(&self) -> Result<f64, Error> {
        let hapi = usage::of_tree(self.server.pid())?;
        let Usage { total, .. } = usage::of_tree(self.postgres)?;
        Ok(hapi.total + total)
    }

    /// A proxy before it may use all cores, as it does itself.
    pub(super) fn front(&self) -> Front<'static> {
        Front { cores: "0-1023", workers: 2, ..Front::plain(self.address) }
    }
}

/// Reads by id, each of another Observation.
pub(super) fn reads(host: SocketAddr) -> Vec<Bytes> {
    let one =
        |n| super::compare::get(host, &format!("/fhir/Observation/bench-{}-{}", n % PATIENTS, n / PATIENTS));
    (0..PATIENTS * OBSERVATIONS).map(one).collect()
}

/// Searches for a patient's Observations.
pub(super) fn searches(host: SocketAddr) -> Vec<Bytes> {
    let one = |n| super::compare::get(host, &format!("/fhir/Observation?patient=bench-{n}"));
    (0..PATIENTS).map(one).collect()
}

/// Creates of an Observation.
pub(super) fn creates(host: SocketAddr) -> Vec<Bytes> {
    (0..10).map(|n| post(host, "/fhir/Observation", &observation_of(WRITTEN, n))).collect()
}

/// Transactions that create so many Observations.
pub(super) fn transactions(host: SocketAddr, entries: usize) -> Vec<Bytes> {
    let entry = |n| json!({"request": {"method": "POST", "url": "Observation"}, "resource": observation_of(WRITTEN, n)});
    let bundle = transaction((0..entries).map(entry).collect());
    vec![post(host, "/fhir", &bundle)]
}

fn bundles() -> Vec<Bundle> {
    let put = |kind: &str, id: &str, mut resource: Value| {
        resource["id"] = json!(id);
        json!({"request": {"method": "PUT", "url": format!("{kind}/{id}")}, "resource": resource})
    };
    let patient = |id: &str| put("Patient", id, json!({"resourceType": "Patient", "gender": "other"}));
    let bundle = |(n, entries)| Bundle {
        name: format!("benchmark {n}"),
        stage: 0,
        json: transaction(entries).to_string().into_bytes(),
    };
    let of_patient = |p: usize| {
        let id = format!("bench-{p}");
        let observation = |n| put("Observation", &format!("bench-{p}-{n}"), observation_of(&id, n));
        std::iter::once(patient(&id)).chain((0..OBSERVATIONS).map(observation)).collect()
    };
    let written = vec![patient(WRITTEN)];
    (0..PATIENTS).map(of_patient).chain([written]).enumerate().map(bundle).collect()
}

fn transaction(entries: Vec<Value>) -> Value {
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
}

fn post(host: SocketAddr, path: &str, body: &Value) -> Bytes {
    let body = body.to_string();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/fhir+json\r\n\
         Content-Type: application/fhir+json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into()
}
