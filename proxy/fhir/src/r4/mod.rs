//! What R4 defines: resource types, the element graph, the patient compartment, search parameters.
//!
//! The tables are generated (`cargo xtask r4`) and static: nothing is built at run time, so that plugins
//! pay for what they look up and no more.

#[rustfmt::skip]
mod generated {
    pub(super) mod compartment;
    pub(super) mod elements;
    pub(super) mod resource_types;
    pub(super) mod search_parameters;
    pub(super) mod search_targets;
}
mod search;
mod types;

use generated::{compartment, search_parameters};

pub(crate) use generated::resource_types::NAMES as RESOURCE_TYPE_NAMES;
pub use generated::resource_types::ResourceType;
pub use search::{Targets, patient_parameters, reference_targets, searched_elements};
pub use types::{Element, TypeId};

/// The elements of type Reference through which a resource belongs to a patient, as dotted paths of JSON
/// names without the resource type (R4 CompartmentDefinition "patient"). They may refer to others too: a
/// reference counts when it leads to a Patient.
///
/// A Patient belongs to itself besides; that is not an element and not listed.
pub fn patient_references(ty: ResourceType) -> &'static [&'static str] {
    compartment::PATIENT_REFERENCES[ty as usize]
}

/// The types of search parameter (<https://hl7.org/fhir/R4/search.html#ptypes>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum SearchParameterType {
    Number,
    Date,
    String,
    Token,
    Reference,
    Composite,
    Quantity,
    Uri,
    Special,
}

/// The type of the search parameter of this name (without modifier) that R4 defines for a resource type.
///
/// Knows `_id`, `_lastUpdated`, `_tag`, … too, but not what shapes the answer (`_count`, `_include`).
pub fn search_parameter(ty: ResourceType, name: &str) -> Option<SearchParameterType> {
    let domain = match ty {
        ResourceType::Binary | ResourceType::Bundle | ResourceType::Parameters => &[],
        _ => search_parameters::DOMAIN_RESOURCE,
    };
    [search_parameters::BY_TYPE[ty as usize], search_parameters::RESOURCE, domain].iter().find_map(|table| {
        let at = table.binary_search_by_key(&name, |(name, _)| *name).ok()?;
        Some(table[at].1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compartment_paths_are_references() {
        for ty in ResourceType::ALL {
            for path in patient_references(ty) {
                let end = path.split('.').fold(TypeId::of_resource(ty), |at, name| {
                    at.element(name.as_bytes()).unwrap_or_else(|| panic!("{ty}.{path}")).ty
                });
                assert_eq!(end.name(), "Reference", "{ty}.{path}");
            }
        }
        assert_eq!(patient_references(ResourceType::Observation), ["performer", "subject"]);
        assert_eq!(patient_references(ResourceType::AuditEvent), ["agent.who", "entity.what"]);
        assert_eq!(patient_references(ResourceType::Patient), ["link.other"]);
        assert!(patient_references(ResourceType::Practitioner).is_empty());
    }

    #[test]
    fn search_parameters_have_types() {
        use SearchParameterType as T;
        for (ty, name, expected) in [
            (ResourceType::Observation, "code", Some(T::Token)),
            (ResourceType::Observation, "subject", Some(T::Reference)),
            (ResourceType::Observation, "patient", Some(T::Reference)),
            (ResourceType::Observation, "date", Some(T::Date)),
            (ResourceType::Observation, "code-value-quantity", Some(T::Composite)),
            (ResourceType::Patient, "name", Some(T::String)),
            (ResourceType::Patient, "_id", Some(T::Token)),
            (ResourceType::Patient, "_lastUpdated", Some(T::Date)),
            (ResourceType::Patient, "_text", Some(T::String)),
            (ResourceType::Binary, "_text", None),
            (ResourceType::Location, "near", Some(T::Special)),
            (ResourceType::Patient, "name:exact", None),
            (ResourceType::Patient, "code", None),
            (ResourceType::Patient, "_count", None),
            // An addition of the package the tables come from.
            (ResourceType::DetectedIssue, "status", None),
        ] {
            assert_eq!(search_parameter(ty, name), expected, "{ty} {name}");
        }
    }
}
