//! Demo data: Bundles of invented patients, a loader, and what must not be seen of them where they are
//! de-identified.
//!
//! Where the shared test data is, the patients are Synthea's; elsewhere clinosim makes them up, which
//! takes ten seconds once. Hand-written cases add what generators leave out: names in narrative, in
//! references, in attachments, in contained resources, in extensions of primitive values.

mod generated;
mod load;
mod markers;
mod samples;

use std::fs;
use std::path::PathBuf;

pub use generated::generated;
pub use load::{Loaded, load};
pub use markers::{Found, Kind, Marker, Markers};
pub use samples::samples;

use crate::{install, repository};

/// A transaction or batch Bundle to be posted to a server.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Where it comes from, for messages.
    pub name: String,
    /// Bundles of a stage refer to those of earlier stages only, so a stage can be loaded in parallel.
    pub stage: u8,
    /// The Bundle as JSON.
    pub json: Vec<u8>,
}

/// Why data could not be had or loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The generator could not be installed or run.
    #[error(transparent)]
    Install(#[from] install::Error),
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something that should be JSON is not.
    #[error("{name} is not JSON: {source}")]
    Json {
        /// The file or the Bundle.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The server could not be asked.
    #[error("posting {name}: {source}")]
    Http {
        /// The Bundle.
        name: String,
        /// Why.
        source: ureq::Error,
    },
    /// The server answered that it did not store everything.
    #[error("posting {name}: {reason}")]
    Refused {
        /// The Bundle.
        name: String,
        /// What the server said.
        reason: String,
    },
}

/// Patients and hand-written cases, ready to load into an empty server.
///
/// # Errors
/// A file cannot be read, or the generator is needed and cannot be run.
pub fn demo(progress: &dyn Fn(&str)) -> Result<Vec<Bundle>, Error> {
    let mut bundles = match samples()? {
        Some(samples) => samples,
        None => generated(progress)?,
    };
    bundles.extend(hand_written()?);
    Ok(bundles)
}

/// The cases in `tests/data/demo`. Every resource keeps the id that it has there, so that tests can name
/// it and loading again changes nothing.
///
/// # Errors
/// A file cannot be read.
pub fn hand_written() -> Result<Vec<Bundle>, Error> {
    let folder = repository::root().join("tests/data/demo");
    let file_error = |path: &PathBuf| {
        let path = path.clone();
        move |source| Error::File { path, source }
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(&folder).map_err(file_error(&folder))? {
        let path = entry.map_err(file_error(&folder))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path: PathBuf| {
        let json = fs::read(&path).map_err(file_error(&path))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Bundle { name, stage: 1, json })
    };
    paths.into_iter().map(read).collect()
}
