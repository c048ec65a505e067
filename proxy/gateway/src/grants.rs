//! Makes the host's grants of the configuration's.

use std::sync::Arc;

use fireguard_plugin_host::{
    By, Directory, DirectoryFault, FhirClientGrant, Grants, HttpOutGrant, KeyValueGrant, NamedFile, Object,
    ObjectStore, ObjectStoreGrant, PseudonymGrant, Secret, StoreFault, Stored, TerminologyGrant,
};
use fireguard_state::{Embedded, Quota};

use crate::config::grants::{Granted, Objects, Reachable};
use crate::config::{Plugin, Pseudonym};
use crate::objects::BucketObjects;
use crate::values::Values;

/// The directory of a plugin's objects cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the grant [plugins.{plugin}.grants.object_store] cannot be used")]
pub struct NoGrant {
    plugin: String,
    source: DirectoryFault,
}

/// Makes the grants of a plugin. Opens what they need, unless the configuration is only looked at; blocks.
///
/// # Errors
/// What cannot be opened.
pub fn grants(plugin: &Plugin, state: Option<&Arc<Embedded>>, looked_at: bool) -> Result<Grants, NoGrant> {
    let Granted { key_value, terminology, fhir_client, object_store, http_out } = &plugin.grants;
    let key_value = key_value.map(|(entries, bytes)| {
        let store = Values::new(state.cloned(), &plugin.name, Quota { entries, bytes });
        KeyValueGrant { store: Arc::new(store) }
    });
    let object_store = match object_store {
        Some(_) if looked_at => Some(ObjectStoreGrant { store: Arc::new(LookedAt) }),
        Some((Objects::Bucket(bucket), bytes)) => {
            let store = BucketObjects::new(bucket, &plugin.name, *bytes);
            Some(ObjectStoreGrant { store: Arc::new(store) })
        }
        Some((Objects::Directory(directory), bytes)) => {
            let fault = |source| NoGrant { plugin: plugin.name.clone(), source };
            let store = Directory::open(directory, *bytes).map_err(fault)?;
            Some(ObjectStoreGrant { store: Arc::new(store) })
        }
        None => None,
    };
    let file = |(name, path, content): &(String, String, Vec<u8>)| NamedFile {
        name: name.clone(),
        path: path.clone(),
        content: content.clone().into(),
    };
    let maps = |maps: &Vec<_>| TerminologyGrant { maps: maps.iter().map(file).collect() };
    let by = |route: &Option<String>| route.clone().map_or(By::Caller, By::Route);
    Ok(Grants {
        pseudonym: plugin.pseudonym.as_ref().map(pseudonym),
        key_value,
        terminology: terminology.as_ref().map(maps),
        fhir_client: fhir_client.as_ref().map(|route| FhirClientGrant { by: by(route) }),
        object_store,
        http_out: http_out.as_ref().map(http),
    })
}

/// Hands over all that grants differ in.
pub fn differences(granted: &Granted, add: &mut impl FnMut(&[u8])) {
    let Granted { key_value, terminology, fhir_client, object_store, http_out } = granted;
    let maps = terminology.as_ref().map(Vec::len);
    add(format!("{key_value:?} {maps:?} {fhir_client:?} {object_store:?}").as_bytes());
    for (name, path, content) in terminology.iter().flatten() {
        add(name.as_bytes());
        add(path.as_bytes());
        add(content);
    }
    // What is shown of a bucket shows no keys.
    if let Some((Objects::Bucket(bucket), _)) = object_store
        && let Some(access) = &bucket.place().access
    {
        add(access.key.as_bytes());
        add(access.secret.as_bytes());
    }
    if let Some(Reachable { hosts, private, ca, timeout, body }) = http_out {
        add(format!("{hosts:?} {private:?} {ca:?} {timeout:?} {body}").as_bytes());
    }
}

fn pseudonym(grant: &Pseudonym) -> PseudonymGrant {
    PseudonymGrant {
        key: Secret::new(grant.key.expose().to_vec()),
        project: grant.project.clone(),
        date_range_days: grant.date_range_days.unwrap_or(PseudonymGrant::DATE_RANGE_DAYS),
        open: grant.open,
    }
}

fn http(grant: &Reachable) -> HttpOutGrant {
    HttpOutGrant {
        hosts: grant.hosts.clone(),
        private: grant.private.clone(),
        authorities: grant.ca.clone(),
        timeout: grant.timeout,
        body_bytes: usize::try_from(grant.body).unwrap_or(usize::MAX),
    }
}

/// In the place of a directory that is not to be made.
#[derive(Debug)]
struct LookedAt;

impl ObjectStore for LookedAt {
    fn put(&self, _: Object) -> Stored<'_, ()> {
        Box::pin(async { Err(StoreFault::Unavailable) })
    }

    fn get(&self, _: String, _: u64) -> Stored<'_, Option<Vec<u8>>> {
        Box::pin(async { Err(StoreFault::Unavailable) })
    }

    fn delete(&self, _: String) -> Stored<'_, ()> {
        Box::pin(async { Err(StoreFault::Unavailable) })
    }

    fn names(&self, _: String, _: String, _: usize) -> Stored<'_, Vec<String>> {
        Box::pin(async { Err(StoreFault::Unavailable) })
    }
}
