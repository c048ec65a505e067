//! Synthea's Bundles from the test data beside the repository.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use super::{Bundle, Error};
use crate::repository;

/// Synthea's hospital, practitioners and nine patients; none: the test data is not on this machine.
///
/// # Errors
/// A file is there and cannot be read.
pub fn samples() -> Result<Option<Vec<Bundle>>, Error> {
    let folder = repository::shared().map(|shared| shared.join("fhir-samples/synthea-2.7-bundles"));
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else { return Ok(None) };
    let files = fs::read_dir(&folder).map_err(|source| Error::File { path: folder.clone(), source })?;
    let mut bundles = Vec::new();
    for path in files.flatten().map(|file| file.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let json = read(&path).map_err(|source| Error::File { path: path.clone(), source })?;
        // Patients refer to the hospital and its practitioners by their identifiers.
        let stage = u8::from(!name.starts_with("0-"));
        bundles.push(Bundle { name, stage, json });
    }
    bundles.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Some(bundles))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = fs::read(path)?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut json = Vec::new();
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut json)?;
        return Ok(json);
    }
    Ok(bytes)
}
