//! What a plugin may use of the host: one file for each capability.
//!
//! Every capability has the same four moments. *link* adds it to the linker, for every plugin alike.
//! *validate* checks a grant when a plugin is loaded. *prepare* makes the state of one instance. The *state*
//! answers the guest's calls; without a grant it is a stand-in that refuses, because languages with a
//! runtime import everything the contract has, whether they use it or not.

use std::sync::Arc;

use wasmtime::component::Linker;

use crate::contract::{Error, Exchange, types};
use crate::error::LoadError;
use crate::host::HostState;
use crate::spec::Grants;

pub(crate) mod fhir_client;
pub(crate) mod grant;
pub(crate) mod http_out;
pub(crate) mod key;
pub(crate) mod key_value;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod object_store;
pub(crate) mod pseudonym;
pub(crate) mod terminology;
pub(crate) mod wasi;

/// Links every capability.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    // Only types: nothing answers, and some components import it all the same.
    types::add_to_linker::<HostState, log::Log>(linker, |host| &mut host.capabilities.log)?;
    log::link(linker)?;
    metrics::link(linker)?;
    pseudonym::link(linker)?;
    key_value::link(linker)?;
    terminology::link(linker)?;
    fhir_client::link(linker)?;
    object_store::link(linker)?;
    http_out::link(linker)?;
    wasi::link(linker)
}

/// Links what an instance may use that others are made of: nothing that could differ from one to the next.
pub(crate) fn link_for_template(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    types::add_to_linker::<HostState, log::Log>(linker, |host| &mut host.capabilities.log)?;
    log::link(linker)?;
    wasi::link(linker)
}

/// The checked grants of one plugin.
pub(crate) struct Granted {
    figures: Arc<metrics::Figures>,
    pseudonym: Option<Arc<pseudonym::Keyed>>,
    key_value: Option<Arc<key_value::KeyValueGrant>>,
    terminology: Option<Arc<terminology::Terms>>,
    fhir_client: Option<Arc<fhir_client::FhirClientGrant>>,
    object_store: Option<Arc<object_store::ObjectStoreGrant>>,
    http_out: Option<Arc<http_out::Sender>>,
}

/// The state of every capability, for one instance.
pub(crate) struct States {
    pub(crate) log: log::State,
    pub(crate) metrics: metrics::State,
    pub(crate) pseudonym: pseudonym::State,
    pub(crate) key_value: key_value::State,
    pub(crate) terminology: terminology::State,
    pub(crate) fhir_client: fhir_client::State,
    pub(crate) object_store: object_store::State,
    pub(crate) http_out: http_out::State,
}

impl Granted {
    /// Checks the grants of the plugin `name`. Reads the maps of codes; blocks.
    ///
    /// # Errors
    /// [`LoadError::Grant`].
    pub(crate) fn validate(grants: Grants, name: &str) -> Result<Granted, LoadError> {
        let fault = |grant| move |fault| LoadError::Grant { plugin: name.to_owned(), grant, fault };
        let pseudonym = grants.pseudonym.map(pseudonym::validate).transpose().map_err(fault("pseudonym"))?;
        let terminology = grants.terminology.as_ref().map(terminology::validate);
        let terminology = terminology.transpose().map_err(fault("terminology"))?;
        let http_out = grants.http_out.map(http_out::validate).transpose().map_err(fault("http_out"))?;
        Ok(Granted {
            figures: Arc::new(metrics::Figures::new(name)),
            pseudonym: pseudonym.map(Arc::new),
            key_value: grants.key_value.map(Arc::new),
            terminology: terminology.map(Arc::new),
            fhir_client: grants.fhir_client.map(Arc::new),
            object_store: grants.object_store.map(Arc::new),
            http_out: http_out.map(Arc::new),
        })
    }

    /// Whether a capability that a plan needs, named as in the contract, is there; an unknown one is an error that
    /// holds what there is.
    pub(crate) fn has(&self, capability: &str) -> Result<bool, Vec<&'static str>> {
        let all = [
            ("log", true),
            ("metrics", true),
            ("pseudonym", self.pseudonym.is_some()),
            ("key-value", self.key_value.is_some()),
            ("terminology", self.terminology.is_some()),
            ("fhir-client", self.fhir_client.is_some()),
            ("object-store", self.object_store.is_some()),
            ("http-out", self.http_out.is_some()),
        ];
        let found = all.iter().find(|(name, _)| *name == capability);
        found.map(|(_, granted)| *granted).ok_or_else(|| all.map(|(name, _)| name).to_vec())
    }

    /// The states for one instance of the plugin `name`.
    pub(crate) fn prepare(&self, name: &Arc<str>) -> States {
        States {
            log: log::prepare(Arc::clone(name)),
            metrics: metrics::prepare(&self.figures),
            pseudonym: pseudonym::prepare(self.pseudonym.as_ref(), name),
            key_value: key_value::prepare(self.key_value.as_ref(), name),
            terminology: terminology::prepare(self.terminology.as_ref(), name),
            fhir_client: fhir_client::prepare(self.fhir_client.as_ref(), name),
            object_store: object_store::prepare(self.object_store.as_ref(), name),
            http_out: http_out::prepare(self.http_out.as_ref(), name),
        }
    }
}

impl States {
    /// Called before each call of the guest: allowances that count by call start afresh.
    pub(crate) fn begin_call(&mut self, exchange: Option<&Exchange>) {
        self.log.begin_call(exchange.map_or("", |exchange| &exchange.id));
        self.key_value.begin_call();
        self.object_store.begin_call();
        self.http_out.begin_call();
    }

    /// Called after each call, also a failed one.
    pub(crate) fn end_call(&mut self) {
        self.log.end_call();
    }
}

/// Why a capability did not do what it was asked: one of the contract's codes.
pub(crate) fn error(code: &str, message: impl Into<String>) -> Error {
    Error { code: code.to_owned(), message: message.into(), extras: Vec::new() }
}

/// The answer where the configuration does not allow a capability. `grant` is its name there.
pub(crate) fn not_granted(plugin: &str, grant: &str) -> Error {
    error("not-granted", format!("the grant [plugins.{plugin}.grants.{grant}] is missing"))
}
