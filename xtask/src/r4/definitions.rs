//! Reads the files of the package.
//!
//! Its profiles carry additions that are not R4 (`Meta.project`, `Binary.url`, `SubscriptionStatus`, …).
//! `dataelements.json` is HL7's own list of R4 elements, unchanged, and decides what belongs to R4; of search
//! parameters (`DetectedIssue?status` is an addition) HL7's CapabilityStatement "base" does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;

use super::Error;

/// HL7 cuts the ids of its data elements at this length.
const ID_LENGTH: usize = 64;

/// The files of the package, as far as the tables need them.
pub(super) struct Definitions {
    /// StructureDefinitions of data types and resources, without profiles on them, by name.
    pub(super) structures: BTreeMap<String, Value>,
    /// R4's elements by path: ElementDefinitions. Containers and references to other content are not among them.
    pub(super) data_elements: BTreeMap<String, Value>,
    /// SearchParameters.
    pub(super) search_parameters: Vec<Value>,
    /// For each resource type R4's search parameters: name and type.
    pub(super) search_parameter_types: BTreeMap<String, BTreeMap<String, String>>,
    /// For each resource type the search parameters that put it into a patient's compartment.
    pub(super) patient_compartment: BTreeMap<String, Vec<String>>,
    data_element_ids: BTreeSet<String>,
}

impl Definitions {
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let mut structures = BTreeMap::new();
        let mut search_parameter_types = BTreeMap::new();
        for file in ["profiles-types.json", "profiles-resources.json"] {
            for resource in entries(&folder.join(file))? {
                let constraint = resource["derivation"] == "constraint" || resource["kind"] == "logical";
                if resource["resourceType"] == "StructureDefinition" && !constraint {
                    structures.insert(text(&resource["name"])?.to_owned(), resource);
                } else if resource["resourceType"] == "CapabilityStatement" && resource["id"] == "base" {
                    search_parameter_types = capabilities(&resource)?;
                }
            }
        }
        let mut data_elements = BTreeMap::new();
        let mut data_element_ids = BTreeSet::new();
        for mut resource in entries(&folder.join("dataelements.json"))? {
            data_element_ids.insert(text(&resource["id"])?.to_owned());
            let element = resource["snapshot"]["element"][0].take();
            // Quantity's come again, narrowed, from the profiles on Quantity: the first is the type's own.
            data_elements.entry(text(&element["path"])?.to_owned()).or_insert(element);
        }
        let search_parameters = entries(&folder.join("search-parameters.json"))?;

        let compartment = json(&folder.join("compartmentdefinition-patient.json"))?;
        let mut patient_compartment = BTreeMap::new();
        for resource in list(&compartment["resource"]) {
            let parameters = list(&resource["param"]).iter().map(|name| Ok(text(name)?.to_owned()));
            patient_compartment
                .insert(text(&resource["code"])?.to_owned(), parameters.collect::<Result<_, Error>>()?);
        }
        Ok(Self {
            structures,
            data_elements,
            search_parameters,
            search_parameter_types,
            patient_compartment,
            data_element_ids,
        })
    }

    /// Whether HL7 lists an element of this path.
    pub(super) fn is_r4(&self, path: &str) -> bool {
        let mut id = format!("de-{}", path.replace("[x]", "X"));
        id.truncate(ID_LENGTH);
        self.data_element_ids.contains(&id)
    }
}

/// For each resource type the names and types of the search parameters that a CapabilityStatement lists.
fn capabilities(statement: &Value) -> Result<BTreeMap<String, BTreeMap<String, String>>, Error> {
    let mut by_type = BTreeMap::new();
    for resource in list(&statement["rest"][0]["resource"]) {
        let mut parameters = BTreeMap::new();
        for parameter in list(&resource["searchParam"]) {
            parameters.insert(text(&parameter["name"])?.to_owned(), text(&parameter["type"])?.to_owned());
        }
        by_type.insert(text(&resource["type"])?.to_owned(), parameters);
    }
    Ok(by_type)
}

fn json(path: &Path) -> Result<Value, Error> {
    let bytes = fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Json { path: path.to_owned(), source })
}

fn entries(path: &Path) -> Result<Vec<Value>, Error> {
    let mut bundle = json(path)?;
    let Value::Array(entries) = bundle["entry"].take() else {
        return Err(Error::Definition(format!("{}: not a Bundle with entries", path.display())));
    };
    Ok(entries.into_iter().map(|mut entry| entry["resource"].take()).collect())
}

/// The text of a string value.
pub(super) fn text(value: &Value) -> Result<&str, Error> {
    value.as_str().ok_or_else(|| Error::Definition(format!("a string was expected instead of {value}")))
}

/// The items of an array; none when it is missing.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
