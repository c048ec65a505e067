//! The samples beside the repository.

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use fireguard_test_support::repository;
use flate2::read::GzDecoder;

/// A document, and the file it is from.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// Every sample Bundle; none: the samples are not on this machine, which has been said.
pub(crate) fn bundles() -> Vec<Sample> {
    let mut samples = files(&["json", "gz"]);
    samples.retain(|sample| sample.name != "manifest.json");
    samples
}

/// Every file of resources, one a line.
pub(crate) fn ndjson() -> Vec<Sample> {
    files(&["ndjson"])
}

fn files(extensions: &[&str]) -> Vec<Sample> {
    let Some(root) = repository::shared().map(|shared| shared.join("fhir-samples")) else {
        println!("skipped: ../shared/fhir-samples is not there");
        return Vec::new();
    };
    let mut folders = vec![root];
    let mut samples = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| extensions.iter().any(|wanted| e == *wanted)) {
                samples.push(read(path));
            }
        }
    }
    samples.sort_by(|a, b| a.name.cmp(&b.name));
    samples
}

fn read(path: PathBuf) -> Sample {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let mut bytes = fs::read(&path).unwrap();
    if name.ends_with(".gz") {
        let mut json = Vec::new();
        GzDecoder::new(bytes.as_slice()).read_to_end(&mut json).unwrap();
        bytes = json;
    }
    Sample { name, bytes }
}
