//! The host behind the component's imports.

use std::time::SystemTime;

use super::bindings::imports::fireguard::plugin::{
    fhir_client, http_out, key_value, log, metrics, object_store, pseudonym, terminology, types,
};
use super::convert::fields;
use crate::{Coding, Entry, Field, Host, HostError, HttpRequest, HttpResponse, Level, Match};

pub(super) struct Imports;

impl Host for Imports {
    fn tokens(&self, domain: &str, values: &[String]) -> Result<Vec<String>, HostError> {
        Ok(pseudonym::tokens(domain, values)?)
    }

    fn date_offsets(&self, patients: &[String]) -> Result<Vec<i32>, HostError> {
        Ok(pseudonym::date_offsets(patients)?)
    }

    fn seal(&self, domain: &str, ids: &[String]) -> Result<Vec<String>, HostError> {
        Ok(pseudonym::seal(domain, ids)?)
    }

    fn open(&self, domain: &str, sealed: &[String]) -> Result<Vec<Option<String>>, HostError> {
        Ok(pseudonym::open(domain, sealed)?)
    }

    fn get_values(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, HostError> {
        Ok(key_value::get(keys)?)
    }

    fn set_values(&self, entries: &[Entry]) -> Result<(), HostError> {
        let entries: Vec<_> = entries.iter().map(key_value::Entry::from).collect();
        Ok(key_value::set(&entries)?)
    }

    fn delete_values(&self, keys: &[String]) -> Result<(), HostError> {
        Ok(key_value::delete(keys)?)
    }

    fn swap_value(&self, entry: &Entry, expected: Option<&[u8]>) -> Result<bool, HostError> {
        Ok(key_value::swap(&entry.into(), expected)?)
    }

    fn translate(&self, concept_map: &str, codings: &[Coding]) -> Result<Vec<Vec<Match>>, HostError> {
        let coding = |Coding { system, code }: &Coding| terminology::Coding {
            system: system.clone(),
            code: code.clone(),
        };
        let codings: Vec<_> = codings.iter().map(coding).collect();
        let translated = terminology::translate(concept_map, &codings)?;
        Ok(translated.into_iter().map(fields).collect())
    }

    fn send_fhir(&self, requests: &[HttpRequest]) -> Vec<Result<HttpResponse, HostError>> {
        let requests: Vec<_> = requests.iter().map(fhir_client::Request::from).collect();
        let answers = fhir_client::send(&requests);
        answers.into_iter().map(|answer| Ok(answer?.into())).collect()
    }

    fn put_object(&self, name: &str, content: &[u8], extras: &[Field]) -> Result<(), HostError> {
        let extras: Vec<_> = fields(extras.to_vec());
        Ok(object_store::put(name, content, &extras)?)
    }

    fn get_object(&self, name: &str) -> Result<Option<Vec<u8>>, HostError> {
        Ok(object_store::get(name)?)
    }

    fn delete_object(&self, name: &str) -> Result<(), HostError> {
        Ok(object_store::delete(name)?)
    }

    fn object_names(&self, prefix: &str, after: &str) -> Result<Vec<String>, HostError> {
        Ok(object_store::names(prefix, after)?)
    }

    fn send_http(&self, request: &HttpRequest) -> Result<HttpResponse, HostError> {
        Ok(http_out::send(&request.into())?.into())
    }

    fn log(&self, level: Level, message: &str) {
        let level = match level {
            Level::Debug => log::Level::Debug,
            Level::Info => log::Level::Info,
            Level::Warn => log::Level::Warn,
            Level::Error => log::Level::Error,
        };
        log::write(level, message);
    }

    fn count(&self, name: &str, by: u64) {
        metrics::count(name, by);
    }

    fn observe(&self, name: &str, value: f64) {
        metrics::observe(name, value);
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

impl From<types::Error> for HostError {
    fn from(error: types::Error) -> Self {
        Self { code: error.code, message: error.message }
    }
}

impl From<&Entry> for key_value::Entry {
    fn from(Entry { key, value, expires_in }: &Entry) -> Self {
        Self { key: key.clone(), value: value.clone(), expires_in: *expires_in }
    }
}

impl From<terminology::Match> for Match {
    fn from(found: terminology::Match) -> Self {
        let terminology::Match { system, code, display, equivalence, extras: _ } = found;
        Self { system, code, display, equivalence }
    }
}

impl From<&HttpRequest> for fhir_client::Request {
    fn from(HttpRequest { method, url, headers, body, extras }: &HttpRequest) -> Self {
        Self {
            method: method.clone(),
            url: url.clone(),
            headers: fields(headers.clone()),
            body: body.clone(),
            extras: fields(extras.clone()),
        }
    }
}

impl From<&HttpRequest> for http_out::Request {
    fn from(HttpRequest { method, url, headers, body, extras }: &HttpRequest) -> Self {
        Self {
            method: method.clone(),
            url: url.clone(),
            headers: fields(headers.clone()),
            body: body.clone(),
            extras: fields(extras.clone()),
        }
    }
}

impl From<fhir_client::Response> for HttpResponse {
    fn from(response: fhir_client::Response) -> Self {
        Self { status: response.status, headers: fields(response.headers), body: response.body }
    }
}

impl From<http_out::Response> for HttpResponse {
    fn from(response: http_out::Response) -> Self {
        Self { status: response.status, headers: fields(response.headers), body: response.body }
    }
}
