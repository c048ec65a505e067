//! Grants: what is wrong with one, and what an instance holds of it.

use std::sync::Arc;

use super::http_out::HttpOutFault;
use super::object_store::DirectoryFault;
use super::pseudonym::PseudonymFault;
use super::terminology::MapFault;
use super::{error, not_granted};
use crate::contract::Error;

/// What is wrong with a grant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrantFault {
    /// Of pseudonyms.
    #[error(transparent)]
    Pseudonym(#[from] PseudonymFault),
    /// Of a map of codes.
    #[error("{file}: {fault}")]
    Map {
        /// The map's file, as the operator wrote it.
        file: String,
        /// What is wrong with it.
        fault: MapFault,
    },
    /// Of objects.
    #[error(transparent)]
    Directory(#[from] DirectoryFault),
    /// Of requests to other hosts.
    #[error(transparent)]
    HttpOut(#[from] HttpOutFault),
}

/// A grant, checked, or nothing, for the instances of one plugin.
pub(crate) struct Held<T> {
    plugin: Arc<str>,
    /// Its name in the configuration.
    name: &'static str,
    granted: Option<Arc<T>>,
}

impl<T> Held<T> {
    pub(crate) fn new(plugin: &Arc<str>, name: &'static str, granted: Option<&Arc<T>>) -> Self {
        Self { plugin: Arc::clone(plugin), name, granted: granted.cloned() }
    }

    /// The grant.
    ///
    /// # Errors
    /// The configuration has none.
    pub(crate) fn get(&self) -> Result<&Arc<T>, Error> {
        self.granted.as_ref().ok_or_else(|| not_granted(&self.plugin, self.name))
    }
}

/// How often one call of the guest may still ask.
pub(crate) struct Allowance {
    most: u32,
    left: u32,
}

impl Allowance {
    pub(crate) fn new(most: u32) -> Self {
        Self { most, left: most }
    }

    pub(crate) fn begin_call(&mut self) {
        self.left = self.most;
    }

    /// Uses up one.
    ///
    /// # Errors
    /// There is none left.
    pub(crate) fn take(&mut self) -> Result<(), Error> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(error("too-much", format!("one call asks {} times at most", self.most))),
        }
    }
}
