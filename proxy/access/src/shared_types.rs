//! To whom resources belong, by their type: whether somebody who is confined to one patient may see those that are in
//! nobody's compartment, or in several.
//!
//! R4's CompartmentDefinition says what belongs to a patient. It does not say that the rest belongs to everybody.

use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::Id;

use crate::decision::Resource;

/// What somebody who is confined to a patient may see of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// What is in that patient's compartment.
    Own,
    /// What is in that patient's compartment and in no other: it would tell of the others.
    Alone,
    /// What is in that patient's compartment, and what is in nobody's.
    OwnOrNobodys,
    /// All of it, to read: it is about no patient.
    Everybodys,
    /// Nothing: what is in it, or what it does, cannot be told by its compartment.
    Nobodys,
}

/// What somebody who is confined to a patient may see of this type.
pub fn sharing(ty: ResourceType) -> Sharing {
    use ResourceType as T;
    match ty {
        // Several patients are named in one, and each would learn who the others are.
        T::Group | T::AuditEvent | T::Provenance => Sharing::Alone,
        // A List is in the compartment of its subject, whatever its entries refer to; those are judged when they are
        // read. A Binary is in the compartment of its `securityContext`; a Device and a Contract in that of the patient
        // they name, although R4's definition leaves them out.
        T::List | T::Binary | T::Device | T::Contract => Sharing::Own,
        // A practitioner's free times are there for patients to book.
        T::Schedule => Sharing::OwnOrNobodys,
        // It searches on behalf of nobody, and sends what it finds elsewhere.
        T::Subscription
        // They hold resources of any kind, and of any patient.
        | T::Bundle | T::Parameters | T::MessageHeader | T::OperationOutcome
        // They join or judge resources of patients, or tell of donors, without being in their compartments.
        | T::Linkage | T::VerificationResult | T::BiologicallyDerivedProduct | T::DeviceMetric | T::TestReport
        | T::PaymentNotice | T::PaymentReconciliation | T::GuidanceResponse => Sharing::Nobodys,
        // Who treats, where, and with what.
        T::Practitioner | T::PractitionerRole | T::Organization | T::OrganizationAffiliation | T::Location
        | T::HealthcareService | T::Endpoint | T::Slot | T::InsurancePlan
        | T::Medication | T::MedicationKnowledge | T::Substance | T::SubstanceNucleicAcid | T::SubstancePolymer
        | T::SubstanceProtein | T::SubstanceReferenceInformation | T::SubstanceSourceMaterial
        | T::SubstanceSpecification | T::MedicinalProduct | T::MedicinalProductAuthorization
        | T::MedicinalProductContraindication | T::MedicinalProductIndication | T::MedicinalProductIngredient
        | T::MedicinalProductInteraction | T::MedicinalProductManufactured | T::MedicinalProductPackaged
        | T::MedicinalProductPharmaceutical | T::MedicinalProductUndesirableEffect | T::DeviceDefinition
        | T::CatalogEntry | T::ChargeItemDefinition
        // How to speak of it.
        | T::CapabilityStatement | T::CodeSystem | T::CompartmentDefinition | T::ConceptMap | T::ExampleScenario
        | T::GraphDefinition | T::ImplementationGuide | T::MessageDefinition | T::NamingSystem
        | T::OperationDefinition | T::SearchParameter | T::StructureDefinition | T::StructureMap
        | T::TerminologyCapabilities | T::TestScript | T::ValueSet
        // What is known in general.
        | T::ActivityDefinition | T::EffectEvidenceSynthesis | T::EventDefinition | T::Evidence
        | T::EvidenceVariable | T::Library | T::Measure | T::ObservationDefinition | T::PlanDefinition
        | T::Questionnaire | T::ResearchDefinition | T::ResearchElementDefinition | T::ResearchStudy
        | T::RiskEvidenceSynthesis | T::SpecimenDefinition => Sharing::Everybodys,
        _ if is_in_compartments(ty) => Sharing::Own,
        _ => Sharing::Nobodys,
    }
}

impl Sharing {
    /// Whether somebody who is confined to this patient may see the resource.
    pub fn reaches(self, patient: &Id, resource: &Resource) -> bool {
        let own = resource.patients.contains(patient);
        let alone = resource.patients.len() == 1 && !resource.unnamed;
        match self {
            Self::Own => own,
            Self::Alone => own && alone,
            Self::OwnOrNobodys => own || (resource.patients.is_empty() && !resource.unnamed),
            Self::Everybodys => true,
            Self::Nobodys => false,
        }
    }
}

fn is_in_compartments(ty: ResourceType) -> bool {
    ty == ResourceType::Patient || !fireguard_fhir::r4::patient_references(ty).is_empty()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Elements through which a resource belongs to a patient besides those of R4's CompartmentDefinition.
    fn further_patient_references(ty: ResourceType) -> &'static [&'static str] {
        match ty {
            ResourceType::Device => &["patient"],
            ResourceType::Contract => &["subject"],
            ResourceType::Binary => &["securityContext"],
            _ => &[],
        }
    }

    #[test]
    fn types_of_compartments_are_never_everybodys() {
        for ty in ResourceType::ALL.into_iter().filter(|ty| is_in_compartments(*ty)) {
            assert_ne!(sharing(ty), Sharing::Everybodys, "{ty}");
        }
    }

    #[test]
    fn every_type_has_a_rule_that_was_thought_of() {
        let left: Vec<_> = ResourceType::ALL
            .into_iter()
            .filter(|ty| sharing(*ty) == Sharing::Own && !is_in_compartments(*ty))
            .filter(|ty| further_patient_references(*ty).is_empty())
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn rules_by_whose_it_is() {
        use Sharing as S;
        let me = Id::parse("me").unwrap();
        // The rule; of me, of me and another, of another, of nobody, of somebody unnamed.
        for (rule, expected) in [
            (S::Own, [true, true, false, false, false]),
            (S::Alone, [true, false, false, false, false]),
            (S::OwnOrNobodys, [true, true, false, true, false]),
            (S::Everybodys, [true; 5]),
            (S::Nobodys, [false; 5]),
        ] {
            let cases: [(&[&str], bool); 5] =
                [(&["me"], false), (&["me", "you"], false), (&["you"], false), (&[], false), (&[], true)];
            for ((patients, unnamed), expected) in cases.into_iter().zip(expected) {
                let resource = Resource {
                    resource_type: ResourceType::Basic,
                    id: None,
                    patients: patients.iter().filter_map(|id| Id::parse(id)).collect(),
                    unnamed,
                    labels: BTreeSet::new(),
                    tags: BTreeSet::new(),
                };
                assert_eq!(rule.reaches(&me, &resource), expected, "{rule:?} {patients:?} {unnamed}");
            }
        }
    }
}
