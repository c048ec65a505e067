//! What a case gives the plugin of the host: capabilities whose contents and answers stand in files. What has no file is
//! not granted.

mod fhir;
mod http;
mod objects;
mod values;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fireguard_plugin_host::{
    By, FhirClient, FhirClientGrant, Grants, HttpOutGrant, KeyValueGrant, NamedFile, ObjectStoreGrant,
    PseudonymGrant, Secret, TerminologyGrant,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Case, json, text};
use crate::cli::Failed;

/// In the settings it stands for the address of the server that answers as `http.json` says.
const HTTP: &str = "{http}";

/// The host of one case.
pub(super) struct Host {
    values: Option<Arc<values::Values>>,
    objects: Option<Arc<objects::Objects>>,
    fhir: Option<Arc<fhir::Fhir>>,
    http: Option<http::Http>,
    sent: Sent,
}

/// An answer of `fhir.json` or `http.json`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Canned {
    /// `GET Patient/1`: method and address, with the query.
    request: String,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<Box<RawValue>>,
}

/// What the plugin has sent, in order.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Vec<Value>>>);

impl Host {
    /// Reads the files of a case.
    ///
    /// # Errors
    /// One is not what it should be, or there is no port for the server.
    pub(super) async fn of(case: &Case) -> Result<Self, Failed> {
        let sent = Sent::default();
        let file = |name: &str| text(&case.folder.join(name));
        let canned = |name: &str| -> Result<Option<Vec<Canned>>, Failed> {
            file(name)?.map(|text| json(&case.folder.join(name), &text)).transpose()
        };
        let texts = |name: &str| -> Result<Option<Map<String, Value>>, Failed> {
            file(name)?.map(|text| json(&case.folder.join(name), &text)).transpose()
        };
        let http = match canned("http.json")? {
            Some(answers) => Some(http::Http::start(answers, sent.clone()).await?),
            None => None,
        };
        Ok(Self {
            values: texts("key-value.json")?.map(|values| Arc::new(values::Values::new(&values))),
            objects: texts("objects.json")?.map(|objects| Arc::new(objects::Objects::new(&objects))),
            fhir: canned("fhir.json")?.map(|answers| Arc::new(fhir::Fhir::new(answers, sent.clone()))),
            http,
            sent,
        })
    }

    /// The settings, with the address of the case's own server in them.
    pub(super) fn settings(&self, settings: &Value) -> Value {
        let address = self.http.as_ref().map_or(HTTP, http::Http::address);
        serde_json::from_str(&settings.to_string().replace(HTTP, address))
            .unwrap_or_else(|_| settings.clone())
    }

    /// What it grants.
    ///
    /// # Errors
    /// A map of codes cannot be read.
    pub(super) fn grants(&self, case: &Case) -> Result<Grants, Failed> {
        let values = self.values.clone().map(|store| KeyValueGrant { store });
        let objects = self.objects.clone().map(|store| ObjectStoreGrant { store });
        Ok(Grants {
            pseudonym: case.about.pseudonym_key.as_ref().map(|key| PseudonymGrant {
                key: Secret::new(key.clone().into_bytes()),
                project: String::new(),
                date_range_days: PseudonymGrant::DATE_RANGE_DAYS,
                open: true,
            }),
            key_value: values,
            terminology: terminology(&case.folder.join("terminology"))?,
            fhir_client: self.fhir.as_ref().map(|_| FhirClientGrant { by: By::Caller }),
            object_store: objects,
            http_out: self.http.as_ref().map(|http| HttpOutGrant {
                hosts: vec![http.address().to_owned()],
                private: http::Http::networks(),
                authorities: None,
                timeout: HttpOutGrant::TIMEOUT,
                body_bytes: HttpOutGrant::BODY_BYTES,
            }),
        })
    }

    /// What answers requests to the FHIR server.
    pub(super) fn fhir(&self) -> Option<Arc<dyn FhirClient>> {
        self.fhir.clone().map(|fhir| fhir as Arc<dyn FhirClient>)
    }

    /// What there is to tell of it when the plugin has worked: requests sent, and what is kept now.
    pub(super) fn tell(&self, result: &mut Map<String, Value>) {
        let sent = self.sent.take();
        if !sent.is_empty() {
            result.insert("sent".to_owned(), sent.into());
        }
        if let Some(values) = &self.values {
            result.insert("keyValue".to_owned(), values.tell());
        }
        if let Some(objects) = &self.objects {
            result.insert("objects".to_owned(), objects.tell());
        }
    }
}

impl Canned {
    /// The body as it is sent: a JSON string is a text, everything else is JSON.
    fn bytes(&self) -> Bytes {
        let Some(raw) = &self.body else { return Bytes::new() };
        let text = serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| raw.get().to_owned());
        text.into()
    }

    fn find<'a>(answers: &'a [Self], method: &str, address: &str) -> Option<&'a Self> {
        let asked = format!("{method} {address}");
        answers.iter().find(|answer| answer.request == asked)
    }
}

impl Sent {
    fn note(&self, method: &str, address: &str, body: Option<&[u8]>) {
        let mut request = Map::from_iter([("request".to_owned(), format!("{method} {address}").into())]);
        if let Some(body) = body.filter(|body| !body.is_empty()) {
            request.insert("body".to_owned(), readable(body));
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(request.into());
    }

    fn take(&self) -> Vec<Value> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The maps in a folder, by their names without extension.
fn terminology(folder: &Path) -> Result<Option<TerminologyGrant>, Failed> {
    let Ok(found) = std::fs::read_dir(folder) else { return Ok(None) };
    let mut maps = Vec::new();
    for path in found.filter_map(|entry| Some(entry.ok()?.path())) {
        let content = std::fs::read(&path)
            .map_err(|error| miette::miette!("cannot read {}: {error}", path.display()))?;
        let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        maps.push(NamedFile { name, path: path.display().to_string(), content: content.into() });
    }
    Ok(Some(TerminologyGrant { maps }))
}

/// JSON as a value, everything else as a text.
fn readable(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into())
}

/// The other way: a JSON string is a text.
fn written(value: &Value) -> Vec<u8> {
    value.as_str().map_or_else(|| value.to_string().into_bytes(), |text| text.as_bytes().to_vec())
}

fn ok() -> u16 {
    200
}
