//! The resource types of R4.

use std::fmt;

use crate::r4::RESOURCE_TYPE_NAMES;
pub use crate::r4::ResourceType;

impl ResourceType {
    /// The type of this name; upper and lower case matter.
    pub fn parse(name: &str) -> Option<Self> {
        let at = RESOURCE_TYPE_NAMES.binary_search(&name).ok()?;
        Some(Self::ALL[at])
    }

    /// FHIR's name of the type.
    pub fn as_str(self) -> &'static str {
        RESOURCE_TYPE_NAMES[self as usize]
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_to_its_type() {
        for ty in ResourceType::ALL {
            assert_eq!(ResourceType::parse(ty.as_str()), Some(ty));
            assert_eq!(format!("{ty:?}"), ty.as_str());
        }
        assert!(ResourceType::ALL.is_sorted());
    }

    #[test]
    fn other_names_do_not() {
        for name in ["", "patient", "PATIENT", "Patient ", "Resource", "DomainResource", "SubscriptionStatus"]
        {
            assert_eq!(ResourceType::parse(name), None, "{name}");
        }
    }
}
