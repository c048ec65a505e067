//! Patients made up by clinosim.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Bundle, Error};
use crate::{install, repository};

/// Six weeks of a small town: 123 patients and 7,800 resources, the same at every run.
const SIMULATION: [&str; 11] = [
    "simulate",
    "--country=US",
    "--population=400",
    "--seed=42",
    "--start=2025-01-01",
    "--end=2025-02-15",
    "--format",
    "fhir-r4",
    "--log-file",
    "simulator.log",
    "--output=.",
];

/// The hospital and more than a hundred patients, made once and then kept under `target/`.
///
/// # Errors
/// The generator cannot be installed or run, or its output cannot be read.
pub fn generated(progress: &dyn Fn(&str)) -> Result<Vec<Bundle>, Error> {
    let clinosim = install::clinosim(progress)?;
    let home = repository::target().join("demo-patients");
    let requirements = repository::root().join("tests/support/clinosim/requirements.txt");
    install::once(&home, &SIMULATION.join(" "), &[requirements], || {
        progress("making up patients");
        let mut command = Command::new(&clinosim);
        command.args(SIMULATION).current_dir(&home);
        install::run(&mut command, "clinosim").map(drop)
    })?;
    bundles(read_all(&home.join("fhir_r4"))?)
}

/// One transaction for the hospital and one for each patient: nothing in the output refers from the
/// hospital to a patient, or from one patient to another.
fn bundles(resources: Vec<Value>) -> Result<Vec<Bundle>, Error> {
    let mut transactions: BTreeMap<Option<String>, Vec<Value>> = BTreeMap::new();
    for mut resource in resources {
        correct(&mut resource);
        let (Some(kind), Some(id)) = (resource["resourceType"].as_str(), resource["id"].as_str()) else {
            continue;
        };
        let url = format!("{kind}/{id}");
        let patient = if kind == "Patient" { Some(url.clone()) } else { patient_of(&resource) };
        let entry = json!({"resource": resource, "request": {"method": "PUT", "url": url}});
        transactions.entry(patient).or_default().push(entry);
    }
    let bundle = |(patient, entries): (Option<String>, Vec<Value>)| {
        let name = patient.clone().unwrap_or_else(|| "hospital".into());
        let json = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        let json = serde_json::to_vec(&json).map_err(|source| Error::Json { name: name.clone(), source })?;
        Ok(Bundle { name, stage: u8::from(patient.is_some()), json })
    };
    transactions.into_iter().map(bundle).collect()
}

/// The generator lets `media` point to an ImagingStudy, where R4 allows a Media only; HAPI refuses that.
fn correct(resource: &mut Value) {
    if resource["resourceType"] == "DiagnosticReport"
        && let Some(members) = resource.as_object_mut()
    {
        members.remove("media");
    }
}

/// The first reference to a patient, at any depth.
fn patient_of(value: &Value) -> Option<String> {
    match value {
        Value::Object(members) => {
            let reference = members.get("reference").and_then(Value::as_str);
            match reference.filter(|reference| reference.starts_with("Patient/")) {
                Some(patient) => Some(patient.to_owned()),
                None => members.values().find_map(patient_of),
            }
        }
        Value::Array(items) => items.iter().find_map(patient_of),
        _ => None,
    }
}

fn read_all(folder: &Path) -> Result<Vec<Value>, Error> {
    let file_error = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(file_error(folder))? {
        paths.push(entry.map_err(file_error(folder))?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "ndjson"));
    paths.sort();
    let mut resources = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(file_error(&path))?;
        for line in text.lines() {
            let name = || path.display().to_string();
            resources
                .push(serde_json::from_str(line).map_err(|source| Error::Json { name: name(), source })?);
        }
    }
    Ok(resources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_patient_is_a_transaction_after_the_hospital() {
        let resources = vec![
            json!({"resourceType": "Observation", "id": "o", "subject": {"reference": "Patient/b"}}),
            json!({"resourceType": "Patient", "id": "b"}),
            json!({"resourceType": "Organization", "id": "h"}),
            json!({"resourceType": "Patient", "id": "a"}),
        ];
        let bundles = bundles(resources).unwrap();
        let shape: Vec<_> = bundles
            .iter()
            .map(|bundle| {
                let json: Value = serde_json::from_slice(&bundle.json).unwrap();
                (bundle.name.clone(), bundle.stage, json["entry"].as_array().unwrap().len())
            })
            .collect();
        let expected = [("hospital", 0, 1), ("Patient/a", 1, 1), ("Patient/b", 1, 2)]
            .map(|(n, s, e)| (n.to_owned(), s, e));
        assert_eq!(shape, expected);
    }
}
