//! What a plugin may ask of the host.

use std::time::SystemTime;

use crate::Field;

/// The host as a plugin sees it: the capabilities it may have been granted.
///
/// Every call costs a crossing of the sandbox, so ask once for many values. Every error is a [`HostError`]: the plugin
/// has no such grant, asks for too much at once, or what would answer does not. As written here the trait is a host that
/// grants nothing; a stand-in for tests writes what it needs.
pub trait Host {
    /// For each value its token: HMAC-SHA256 under the granted key, 64 lower-case hexadecimal digits. With
    /// an empty domain the message is the value; otherwise it is the domain, a zero byte, the value.
    ///
    /// # Errors
    /// As all here.
    fn tokens(&self, _: &str, _: &[String]) -> Result<Vec<String>, HostError> {
        Err(HostError::missing("pseudonym"))
    }

    /// For each patient (any stable text that names one, such as `Patient/123`) its offset in days: never
    /// zero, always the same for the same patient and key.
    ///
    /// # Errors
    /// As all here.
    fn date_offsets(&self, _: &[String]) -> Result<Vec<i32>, HostError> {
        Err(HostError::missing("pseudonym"))
    }

    /// For each FHIR id of at most 42 characters another that stands for it, a valid id itself: always the same for
    /// the same key and domain, and opened only by who has the key.
    ///
    /// # Errors
    /// As all here.
    fn seal(&self, _: &str, _: &[String]) -> Result<Vec<String>, HostError> {
        Err(HostError::missing("pseudonym"))
    }

    /// The other way; none for what [`seal`](Host::seal) did not make. Needs the grant's `open`.
    ///
    /// # Errors
    /// As all here.
    fn open(&self, _: &str, _: &[String]) -> Result<Vec<Option<String>>, HostError> {
        Err(HostError::missing("pseudonym"))
    }

    /// For each key its value, if there is one.
    ///
    /// # Errors
    /// As all here.
    fn get_values(&self, _: &[String]) -> Result<Vec<Option<Vec<u8>>>, HostError> {
        Err(HostError::missing("key_value"))
    }

    /// Sets all of them or none. What it answers for has reached the disk.
    ///
    /// # Errors
    /// As all here.
    fn set_values(&self, _: &[Entry]) -> Result<(), HostError> {
        Err(HostError::missing("key_value"))
    }

    /// Deletes what is there of them.
    ///
    /// # Errors
    /// As all here.
    fn delete_values(&self, _: &[String]) -> Result<(), HostError> {
        Err(HostError::missing("key_value"))
    }

    /// Sets the entry if what stands there is `expected` (none: nothing does), and tells whether it did.
    ///
    /// # Errors
    /// As all here.
    fn swap_value(&self, _: &Entry, _: Option<&[u8]>) -> Result<bool, HostError> {
        Err(HostError::missing("key_value"))
    }

    /// For each code its matches in a map of the configuration, in the map's order; empty: the map has none.
    ///
    /// # Errors
    /// As all here.
    fn translate(&self, _: &str, _: &[Coding]) -> Result<Vec<Vec<Match>>, HostError> {
        Err(HostError::missing("terminology"))
    }

    /// Sends requests to the FHIR server, side by side: addresses relative to its base. One answer for each, in the
    /// same order; one that is no success is an answer, not an error.
    fn send_fhir(&self, requests: &[HttpRequest]) -> Vec<Result<HttpResponse, HostError>> {
        requests.iter().map(|_| Err(HostError::missing("fhir_client"))).collect()
    }

    /// Puts an object in its place.
    ///
    /// # Errors
    /// As all here.
    fn put_object(&self, _: &str, _: &[u8], _: &[Field]) -> Result<(), HostError> {
        Err(HostError::missing("object_store"))
    }

    /// An object; none: there is no such object.
    ///
    /// # Errors
    /// As all here.
    fn get_object(&self, _: &str) -> Result<Option<Vec<u8>>, HostError> {
        Err(HostError::missing("object_store"))
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// As all here.
    fn delete_object(&self, _: &str) -> Result<(), HostError> {
        Err(HostError::missing("object_store"))
    }

    /// Up to 1,000 names that begin with `prefix` and come after `after`, in the order of their bytes.
    ///
    /// # Errors
    /// As all here.
    fn object_names(&self, _: &str, _: &str) -> Result<Vec<String>, HostError> {
        Err(HostError::missing("object_store"))
    }

    /// Sends a request to a host that the configuration names: `https://…`.
    ///
    /// # Errors
    /// As all here.
    fn send_http(&self, _: &HttpRequest) -> Result<HttpResponse, HostError> {
        Err(HostError::missing("http_out"))
    }

    /// Writes one line to the host's log. Never log what a resource says.
    fn log(&self, _: Level, _: &str) {}

    /// Adds to a counter in the host's metrics, under the plugin's name.
    fn count(&self, _: &str, _: u64) {}

    /// Notes one value of a distribution in the host's metrics, under the plugin's name.
    fn observe(&self, _: &str, _: f64) {}

    /// The time.
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Why the host did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct HostError {
    /// `not-granted`, `too-much`, `invalid`, `denied` or `unavailable`; later versions may add codes.
    pub code: String,
    /// One sentence; for `not-granted` it names the missing grant.
    pub message: String,
}

/// A value that outlives the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// 1 to 256 bytes.
    pub key: String,
    /// Up to 64 KiB.
    pub value: Vec<u8>,
    /// Seconds until it is gone; none: it stays.
    pub expires_in: Option<u32>,
}

/// A code in a system.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Coding {
    pub system: String,
    pub code: String,
}

/// What a code is translated to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The system of the target.
    pub system: String,
    /// The code in it.
    pub code: String,
    /// Its text, where the map has one.
    pub display: Option<String>,
    /// Of <http://hl7.org/fhir/concept-map-equivalence>: `equal`, `equivalent`, `wider`, …
    pub equivalence: String,
}

/// A request to the FHIR server or to another host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// To the FHIR server: relative to its base. Otherwise absolute.
    pub url: String,
    /// Names and values.
    pub headers: Vec<Field>,
    /// The body, if it has one.
    pub body: Option<Vec<u8>>,
    /// None are defined in this version.
    pub extras: Vec<Field>,
}

/// The answer to a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<Field>,
    /// The body.
    pub body: Vec<u8>,
}

/// How much a line in the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl HostError {
    /// With one of the contract's codes.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }

    /// Of a capability that is not granted.
    #[must_use]
    pub fn missing(grant: &str) -> Self {
        Self::new("not-granted", format!("the grant [plugins.<name>.grants.{grant}] is missing"))
    }

    /// Whether the configuration does not allow it.
    #[must_use]
    pub fn is_not_granted(&self) -> bool {
        self.code == "not-granted"
    }

    /// Whether it was more than one call may carry.
    #[must_use]
    pub fn is_too_much(&self) -> bool {
        self.code == "too-much"
    }
}

impl HttpRequest {
    /// `GET`, without headers.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: "GET".to_owned(), url: url.into(), ..Self::default() }
    }

    /// `POST` of a body of this type.
    #[must_use]
    pub fn post(url: impl Into<String>, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            method: "POST".to_owned(),
            url: url.into(),
            headers: vec![Field::new("content-type", content_type)],
            body: Some(body.into()),
            extras: Vec::new(),
        }
    }
}
