//! The one patient whose dates a resource carries.

use fireguard_sdk::fhir::r4::ResourceType;

use crate::methods::reference::Reference;
use crate::pseudonyms::Numbers;

/// The patient that a resource belongs to by R4's patient compartment: what its references told so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Patient {
    /// None.
    #[default]
    Unknown,
    /// This one, by its number.
    One(u32),
    /// More than one, or one that the resource alone does not tell (a conditional reference, a `urn:uuid:` of
    /// a transaction): dates must not move by a guess.
    Unclear,
}

impl Patient {
    /// Takes in a reference at a place that puts a resource into a patient's compartment.
    pub(crate) fn meet(&mut self, text: &str, reference: &Reference<'_>, patients: &mut Numbers) {
        match reference.ty {
            Some(ResourceType::Patient) => self.add(patients.number(reference.target)),
            Some(_) => {}
            // What is contained here is part of this resource and no patient of the server's.
            None if text.starts_with('#') => {}
            None => match text.split_once('?').and_then(|(ty, _)| ResourceType::parse(ty)) {
                Some(ty) if ty != ResourceType::Patient => {}
                _ => *self = Self::Unclear,
            },
        }
    }

    /// Takes in a Patient's own id.
    pub(crate) fn meet_own_id(&mut self, id: &str, patients: &mut Numbers) {
        self.add(patients.number(&format!("Patient/{id}")));
    }

    fn add(&mut self, patient: u32) {
        *self = match *self {
            Self::Unknown => Self::One(patient),
            Self::One(other) if other == patient => *self,
            _ => Self::Unclear,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_tell_the_patient() {
        for (references, expected) in [
            (&[][..], Patient::Unknown),
            (&["Patient/1"], Patient::One(0)),
            (&["Patient/1", "Patient/1/_history/2"], Patient::One(0)),
            (&["Patient/1", "Practitioner/1", "#org", "Organization?identifier=1"], Patient::One(0)),
            (&["http://h/Patient/1"], Patient::One(0)),
            (&["Group/1", "#p"], Patient::Unknown),
            (&["Patient/1", "Patient/2"], Patient::Unclear),
            (&["Patient/1", "http://h/Patient/1"], Patient::Unclear),
            (&["Patient/1", "Patient/2", "Patient/1"], Patient::Unclear),
            (&["Patient?identifier=1"], Patient::Unclear),
            (&["urn:uuid:0f9c3b1e-6f4c-4f0e-9d55-0f2f2f1d7a11"], Patient::Unclear),
            (&["somewhere", "Patient/1"], Patient::Unclear),
        ] {
            let (mut patient, mut patients) = (Patient::default(), Numbers::default());
            for text in references {
                patient.meet(text, &Reference::parse(text), &mut patients);
            }
            assert_eq!(patient, expected, "{references:?}");
        }
        let (mut patient, mut patients) = (Patient::default(), Numbers::default());
        patient.meet_own_id("1", &mut patients);
        assert_eq!(patients.values(), ["Patient/1"]);
    }
}
