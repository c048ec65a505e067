//! The element graph: from a type by a JSON property name to the next type.

use std::fmt;

use super::{
    ResourceType,
    generated::elements::{ELEMENTS, NAMED, NAMES, PRIMITIVES, RESOURCES, TYPES},
};

/// Set in an element's type number when the element repeats.
const MANY: u16 = 0x8000;

/// A type that elements can have: a data type, a resource type, or the content of one backbone element.
///
/// Two are not in FHIR's list of types: `Resource` is also what elements have that hold any resource
/// (`contained`, `Bundle.entry.resource`), and `System.String` (FHIRPath) is the type of `Element.id` and
/// `Extension.url`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(u16);

/// An element of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element {
    /// The property name in JSON: `valueQuantity`.
    pub json_name: &'static str,
    /// The name in the definition, by which paths call it: `value` for `valueQuantity`.
    pub definition_name: &'static str,
    /// The type of its value; of each item, when it repeats.
    pub ty: TypeId,
    /// Whether it repeats, which makes it an array in JSON.
    pub many: bool,
}

impl TypeId {
    /// The type of a resource.
    pub fn of_resource(ty: ResourceType) -> Self {
        // `Key` in xtask/src/r4/graph.rs numbers the resource types first and in this order.
        Self(ty as u16)
    }

    /// The type of this name: a data type, a resource type, `Resource`, `DomainResource`, `BackboneElement`
    /// or `Element`. Upper and lower case matter. Goes through a list: for set-up, not for every request.
    pub fn of_name(name: &str) -> Option<Self> {
        (0..NAMED).map(Self).find(|ty| ty.name() == name)
    }

    /// FHIR's name of the type; for the content of a backbone element `BackboneElement` or `Element`.
    pub fn name(self) -> &'static str {
        NAMES[usize::from(TYPES[usize::from(self.0)].0)]
    }

    /// Whether its value is a JSON string, number or boolean. Its id and extensions stand in the sibling
    /// property (`_birthDate`), and are the elements that this type has.
    pub fn is_primitive(self) -> bool {
        (RESOURCES..PRIMITIVES).contains(&self.0)
    }

    /// Whether it is a resource type, `Resource` or `DomainResource`.
    pub fn is_resource(self) -> bool {
        self.0 < RESOURCES
    }

    /// The element of this JSON property name, inherited ones included. The caller takes the underscore off
    /// the siblings of primitives. `resourceType` is not an element.
    pub fn element(self, json_name: &[u8]) -> Option<Element> {
        let rows = self.rows();
        let at = rows.binary_search_by(|row| NAMES[usize::from(row.0)].as_bytes().cmp(json_name)).ok()?;
        Some(Element::from(rows[at]))
    }

    /// Its elements, sorted by JSON property name.
    pub fn elements(self) -> impl ExactSizeIterator<Item = Element> {
        self.rows().iter().copied().map(Element::from)
    }

    fn rows(self) -> &'static [(u16, u16, u16)] {
        let at = usize::from(self.0);
        &ELEMENTS[usize::from(TYPES[at].1)..usize::from(TYPES[at + 1].1)]
    }
}

impl From<(u16, u16, u16)> for Element {
    fn from((json_name, definition_name, ty): (u16, u16, u16)) -> Self {
        Self {
            json_name: NAMES[usize::from(json_name)],
            definition_name: NAMES[usize::from(definition_name)],
            ty: TypeId(ty & !MANY),
            many: ty & MANY != 0,
        }
    }
}

impl fmt::Debug for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.name(), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows a dotted path of JSON names.
    fn at(path: &str) -> Option<Element> {
        let (resource, path) = path.split_once('.')?;
        let mut ty = TypeId::of_name(resource)?;
        let mut found = None;
        for name in path.split('.') {
            let element = ty.element(name.as_bytes())?;
            ty = element.ty;
            found = Some(element);
        }
        found
    }

    #[test]
    fn paths_lead_to_types() {
        for (path, definition_name, ty, many) in [
            ("Patient.id", "id", "id", false),
            ("Patient.meta.lastUpdated", "lastUpdated", "instant", false),
            ("Patient.name", "name", "HumanName", true),
            ("Patient.name.given", "given", "string", true),
            ("Patient.name.id", "id", "System.String", false),
            ("Patient.birthDate", "birthDate", "date", false),
            ("Patient.birthDate.extension", "extension", "Extension", true),
            ("Patient.extension.url", "url", "System.String", false),
            ("Patient.extension.valueAddress.city", "city", "string", false),
            ("Patient.contact", "contact", "BackboneElement", true),
            ("Patient.contact.modifierExtension", "modifierExtension", "Extension", true),
            ("Patient.contained", "contained", "Resource", true),
            ("Patient.text.div", "div", "xhtml", false),
            ("Patient.deceasedDateTime", "deceased", "dateTime", false),
            ("Observation.valueQuantity", "value", "Quantity", false),
            ("Observation.component.valueQuantity.value", "value", "decimal", false),
            ("Observation.component.valueQuantity.comparator", "comparator", "code", false),
            ("Observation.component.referenceRange.low", "low", "Quantity", false),
            ("Observation.effectiveTiming.repeat", "repeat", "Element", false),
            ("Observation.effectiveTiming.repeat.boundsPeriod.start", "start", "dateTime", false),
            ("Questionnaire.item.item.item.linkId", "linkId", "string", false),
            ("Bundle.link.url", "url", "uri", false),
            ("Bundle.entry.link.url", "url", "uri", false),
            ("Bundle.entry.resource", "resource", "Resource", false),
            ("Bundle.entry.response.outcome", "outcome", "Resource", false),
            ("Parameters.parameter.part.resource", "resource", "Resource", false),
            ("Parameters.parameter.valueHumanName.family", "family", "string", false),
            ("Condition.onsetAge.value", "value", "decimal", false),
            ("Resource.id", "id", "id", false),
            (
                "EvidenceVariable.characteristic.participantEffectiveTiming",
                "participantEffective",
                "Timing",
                false,
            ),
            (
                "MedicinalProductIngredient.specifiedSubstance.strength.referenceStrength.country",
                "country",
                "CodeableConcept",
                true,
            ),
        ] {
            let found = at(path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(
                (found.definition_name, found.ty.name(), found.many),
                (definition_name, ty, many),
                "{path}"
            );
        }
    }

    #[test]
    fn other_paths_lead_nowhere() {
        for path in [
            "Patient.value",
            "Patient.resourceType",
            "Patient._birthDate",
            "Patient.Name",
            "Patient.name.city",
            "Observation.value",
            "Observation.value[x]",
            "Observation.valueAddress",
            "Patient.contained.name",
            "Patient.text.div.extension",
            "Patient.birthDate.value",
            // Additions of the package the tables come from.
            "Patient.meta.project",
            "Patient.meta.accounts",
            "Binary.url",
            "ResearchStudy.label",
            "ResearchStudy.recruitment",
            "EvidenceVariable.characteristic.timeFromEvent",
            "EvidenceVariable.characteristic.definitionByCombination",
            "DeviceDefinition.classification",
            "HealthcareService.offeredIn",
        ] {
            assert_eq!(at(path), None, "{path}");
        }
    }

    #[test]
    fn numbers_and_names_agree() {
        for ty in ResourceType::ALL {
            let id = TypeId::of_resource(ty);
            assert_eq!(TypeId::of_name(ty.as_str()), Some(id));
            assert!(id.is_resource() && !id.is_primitive());
        }
        for (name, primitive, resource) in [
            ("Resource", false, true),
            ("DomainResource", false, true),
            ("BackboneElement", false, false),
            ("Element", false, false),
            ("HumanName", false, false),
            ("base64Binary", true, false),
            ("uuid", true, false),
            ("xhtml", true, false),
            ("System.String", true, false),
        ] {
            let id = TypeId::of_name(name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!((id.name(), id.is_primitive(), id.is_resource()), (name, primitive, resource));
        }
        assert_eq!(TypeId::of_name("humanname"), None);
        assert_eq!(TypeId::of_name("SimpleQuantity"), None);
    }

    #[test]
    fn every_element_is_found_by_its_name() {
        for ty in (0..TYPES.len() - 1).map(|at| TypeId(at as u16)) {
            assert!(ty.elements().len() > 0 || ty.name() == "System.String", "{ty:?}");
            for element in ty.elements() {
                assert_eq!(ty.element(element.json_name.as_bytes()), Some(element));
                assert!(usize::from(element.ty.0) < TYPES.len() - 1);
            }
        }
    }
}
