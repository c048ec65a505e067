//! What the configuration says about one plugin.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::capability::fhir_client::FhirClientGrant;
use crate::capability::http_out::HttpOutGrant;
use crate::capability::key_value::KeyValueGrant;
use crate::capability::object_store::ObjectStoreGrant;
use crate::capability::pseudonym::PseudonymGrant;
use crate::capability::terminology::TerminologyGrant;

/// A plugin to be loaded.
#[derive(Debug)]
pub struct PluginSpec {
    /// Its name: the key under `[plugins]`.
    pub name: String,
    /// Where its code is.
    pub component: Source,
    /// Its settings; [`Value::Null`] stands for none.
    pub settings: Value,
    /// The files it is configured with.
    pub files: Vec<NamedFile>,
    /// What it may use of the host.
    pub grants: Grants,
    /// What a call may cost.
    pub limits: Limits,
    /// How long an instance lives.
    pub instances: Instances,
    /// What becomes of an exchange when it fails.
    pub on_failure: OnFailure,
    /// SHA-256 that the component must have.
    pub digest: Option<[u8; 32]>,
}

impl PluginSpec {
    /// A plugin with no settings, no files, no grants and the default limits.
    pub fn new(name: impl Into<String>, component: impl Into<Source>) -> PluginSpec {
        PluginSpec {
            name: name.into(),
            component: component.into(),
            settings: Value::Null,
            files: Vec::new(),
            grants: Grants::default(),
            limits: Limits::default(),
            instances: Instances::default(),
            on_failure: OnFailure::default(),
            digest: None,
        }
    }
}

/// Where the code of a plugin is.
#[derive(Clone)]
pub enum Source {
    /// A file, read by [`Plugin::load`](crate::Plugin::load).
    Path(PathBuf),
    /// The component itself.
    Bytes(Bytes),
}

/// A file that the configuration names for a plugin.
#[derive(Clone)]
pub struct NamedFile {
    /// The name that the plugin knows it by: the key under `[plugins.<name>.files]`.
    pub name: String,
    /// The path as the operator wrote it, for messages.
    pub path: String,
    /// Its bytes.
    pub content: Bytes,
}

/// The capabilities of a plugin. Log and metrics need no grant: they are bounded and end in the host's own.
#[derive(Debug, Default)]
pub struct Grants {
    /// Tokens, reversible ids and date offsets under a key.
    pub pseudonym: Option<PseudonymGrant>,
    /// Values that outlive the instance.
    pub key_value: Option<KeyValueGrant>,
    /// Translation of codes.
    pub terminology: Option<TerminologyGrant>,
    /// Requests to the FHIR server.
    pub fhir_client: Option<FhirClientGrant>,
    /// Objects in a place of the operator.
    pub object_store: Option<ObjectStoreGrant>,
    /// Requests to other hosts.
    pub http_out: Option<HttpOutGrant>,
}

/// What one call of a plugin may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time on the processor, host functions included; waiting does not count. Default 100 ms.
    pub cpu_per_call: Duration,
    /// Time until the answer, waiting included. Default 5 s.
    pub wall_per_call: Duration,
    /// Bytes of memory of one instance; also the most that one call may hand over. Default 64 MiB.
    pub memory: usize,
    /// Elements of the tables of one instance: they hold function pointers, 8 bytes each in the host. Default
    /// 100,000.
    pub table_elements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            cpu_per_call: Duration::from_millis(100),
            wall_per_call: Duration::from_secs(5),
            memory: 64 << 20,
            table_elements: 100_000,
        }
    }
}

/// How long an instance of a plugin lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Instances {
    /// As long as one exchange: nothing of one patient or client survives in a guest.
    #[default]
    PerExchange,
    /// For several exchanges, one after the other. What a plugin remembers of one it may show in another.
    Reuse(Reuse),
}

/// What ends an instance that serves several exchanges; besides, every failure does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reuse {
    /// The exchanges that it serves. Default 128.
    pub uses: u32,
    /// How long it waits for the next. Default 1 s.
    pub idle: Duration,
    /// The bytes of memory that it may have grown to by the end of an exchange. Default 16 MiB.
    pub memory: usize,
    /// How many of one plugin wait at once; each holds one of the engine's instances. Default 16.
    pub kept: usize,
}

impl Default for Reuse {
    fn default() -> Self {
        Reuse { uses: 128, idle: Duration::from_secs(1), memory: 16 << 20, kept: 16 }
    }
}

/// What becomes of an exchange when a plugin fails. Retrying is the session's work; the rest the gateway's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// The exchange is refused: right for anything that protects data.
    #[default]
    Refuse,
    /// The exchange goes on as if the plugin were not there.
    Pass,
    /// The call is made once more, in a fresh instance; when that fails too, the exchange is refused.
    Retry,
}

impl From<&str> for Source {
    fn from(path: &str) -> Self {
        Source::Path(path.into())
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Source::Path(path)
    }
}

impl From<Bytes> for Source {
    fn from(bytes: Bytes) -> Self {
        Source::Bytes(bytes)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Path(path) => path.fmt(f),
            Source::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

impl fmt::Debug for NamedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} ({} bytes)", self.name, self.path, self.content.len())
    }
}
