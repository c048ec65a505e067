//! What search parameters touch: the types that reference parameters lead to, the elements that parameters look at, and
//! those by which a type belongs to a patient's compartment.

use super::ResourceType;
use super::generated::search_targets::{ELEMENTS, PATIENT, TARGETS};

/// Where a reference parameter may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Targets {
    /// To a resource of any type.
    Any,
    /// To one of these types, sorted.
    Of(&'static [ResourceType]),
}

impl Targets {
    /// Whether it may lead to this type.
    pub fn has(self, ty: ResourceType) -> bool {
        match self {
            Self::Any => true,
            Self::Of(types) => types.contains(&ty),
        }
    }
}

/// Where the reference parameter of this name leads that R4 defines for a type; `None`: there is none.
pub fn reference_targets(ty: ResourceType, name: &str) -> Option<Targets> {
    let types = of(TARGETS[ty as usize], name)?;
    Some(if types.is_empty() { Targets::Any } else { Targets::Of(types) })
}

/// The elements that the search parameter of this name looks at, without what lies below them; `None`: it may look
/// anywhere, or R4 does not define it for the type.
pub fn searched_elements(ty: ResourceType, name: &str) -> Option<&'static [&'static str]> {
    match name {
        "_id" => Some(&["id"]),
        "_lastUpdated" | "_profile" | "_security" | "_source" | "_tag" => Some(&["meta"]),
        _ => of(ELEMENTS[ty as usize], name).filter(|elements| !elements.is_empty()).copied(),
    }
}

/// The search parameters by which a resource belongs to a patient (R4 CompartmentDefinition "patient"). None: the type
/// is in nobody's compartment.
pub fn patient_parameters(ty: ResourceType) -> &'static [&'static str] {
    PATIENT[ty as usize]
}

fn of<T>(table: &'static [(&'static str, T)], name: &str) -> Option<&'static T> {
    let at = table.binary_search_by_key(&name, |(name, _)| *name).ok()?;
    Some(&table[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::r4::{SearchParameterType, patient_references, search_parameter};

    #[test]
    fn reference_parameters_have_targets() {
        use ResourceType as T;
        for (ty, name, expected) in [
            (T::Observation, "patient", Some(Targets::Of(&[T::Patient]))),
            (T::Observation, "subject", Some(Targets::Of(&[T::Device, T::Group, T::Location, T::Patient]))),
            (T::Observation, "focus", Some(Targets::Any)),
            (T::Provenance, "target", Some(Targets::Any)),
            (T::Observation, "code", None),
            (T::Observation, "_id", None),
            (T::Observation, "nope", None),
        ] {
            assert_eq!(reference_targets(ty, name), expected, "{ty} {name}");
        }
        for ty in ResourceType::ALL {
            for (name, _) in TARGETS[ty as usize] {
                assert_eq!(search_parameter(ty, name), Some(SearchParameterType::Reference), "{ty} {name}");
            }
        }
    }

    #[test]
    fn parameters_look_at_elements() {
        use ResourceType as T;
        for (ty, name, expected) in [
            (T::Observation, "patient", Some(&["subject"][..])),
            (T::Patient, "name", Some(&["name"])),
            (T::Patient, "death-date", Some(&["deceased"])),
            (T::Patient, "_id", Some(&["id"])),
            (T::AuditEvent, "patient", Some(&["agent", "entity"])),
            (T::Observation, "code-value-quantity", None),
            (T::Patient, "_content", None),
            (T::Patient, "nope", None),
        ] {
            assert_eq!(searched_elements(ty, name), expected, "{ty} {name}");
        }
    }

    #[test]
    fn compartments_are_the_same_by_parameter_and_by_path() {
        for ty in ResourceType::ALL {
            assert_eq!(patient_parameters(ty).is_empty(), patient_references(ty).is_empty(), "{ty}");
            for name in patient_parameters(ty) {
                let targets = reference_targets(ty, name).unwrap_or_else(|| panic!("{ty}.{name}"));
                assert!(targets.has(ResourceType::Patient), "{ty}.{name}");
            }
        }
        assert_eq!(patient_parameters(ResourceType::Observation), ["subject", "performer"]);
    }
}
