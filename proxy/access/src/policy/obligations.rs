//! What a permit asks for in return: `@obligation("drop:Patient.name, audit:patient")`.

use fireguard_fhir::ResourceType;
use fireguard_fhir::r4::TypeId;

use crate::decision::{AuditLevel, Obligations};

/// The obligations of one permit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Obliged {
    /// The permit holds within the compartment of the patient in context only.
    pub(super) narrow: bool,
    /// What is to be done besides.
    pub(super) obligations: Obligations,
}

/// Why a text is no list of obligations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ObligationError {
    /// No such kind.
    #[error(
        "the obligation {0:?} is not known: write plugin:<name>, drop:<Type.element>, narrow:patient-compartment, or \
         audit:exchange, audit:patient, audit:entry"
    )]
    Unknown(String),
    /// No such element.
    #[error(
        "the obligation {0:?} names no element of R4: write drop:Patient.name, or drop:*.text for all types that have it"
    )]
    Element(String),
}

/// Reads the annotation.
pub(super) fn parse(text: &str) -> Result<Obliged, ObligationError> {
    let mut obliged = Obliged::default();
    for word in text.split(',').map(str::trim) {
        let unknown = || ObligationError::Unknown(word.to_owned());
        let (kind, what) = word.split_once(':').ok_or_else(unknown)?;
        match (kind, what) {
            ("plugin", name) if !name.is_empty() => {
                obliged.obligations.plugins.insert(name.to_owned());
            }
            ("drop", element) => {
                if !is_element(element) {
                    return Err(ObligationError::Element(word.to_owned()));
                }
                obliged.obligations.drop.insert(element.to_owned());
            }
            ("narrow", "patient-compartment") => obliged.narrow = true,
            ("audit", level) => {
                let level = match level {
                    "exchange" => AuditLevel::Exchange,
                    "patient" => AuditLevel::Patient,
                    "entry" => AuditLevel::Entry,
                    _ => return Err(unknown()),
                };
                obliged.obligations.audit = obliged.obligations.audit.max(Some(level));
            }
            _ => return Err(unknown()),
        }
    }
    Ok(obliged)
}

impl Obligations {
    /// Both.
    pub(super) fn join(&mut self, other: &Self) {
        self.plugins.extend(other.plugins.iter().cloned());
        self.drop.extend(other.drop.iter().cloned());
        self.audit = self.audit.max(other.audit);
    }
}

/// Whether a type has the element, by its name in JSON, or of `*` any type.
fn is_element(text: &str) -> bool {
    let Some((ty, element)) = text.split_once('.') else { return false };
    // Without them nothing could be told of a resource, by us or by others.
    if matches!(element, "id" | "meta") {
        return false;
    }
    let has = |ty: ResourceType| TypeId::of_resource(ty).element(element.as_bytes()).is_some();
    match ty {
        "*" => ResourceType::ALL.into_iter().any(has),
        name => ResourceType::parse(name).is_some_and(has),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn obligations_are_understood() {
        let obliged =
            parse("drop:Patient.name,  drop:*.text, plugin:deid, audit:entry, audit:patient").unwrap();
        assert!(!obliged.narrow);
        assert_eq!(obliged.obligations.audit, Some(AuditLevel::Entry));
        assert_eq!(obliged.obligations.drop.iter().collect::<Vec<_>>(), ["*.text", "Patient.name"]);
        assert_eq!(obliged.obligations.plugins.iter().collect::<Vec<_>>(), ["deid"]);
        assert!(parse("narrow:patient-compartment").unwrap().narrow);
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        for text in [
            "",
            ",",
            "audit",
            "audit:",
            "audit:everything",
            "plugin:",
            "narrow:",
            "narrow:compartment",
            "drop:name",
            "drop:Patient",
            "drop:Patient.",
            "drop:Patient.nam",
            "drop:Patients.name",
            "drop:*.nam",
            "drop:Patient.id",
            "drop:*.meta",
            "Drop:Patient.name",
            "audit:patient,",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
