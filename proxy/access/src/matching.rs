//! Whether a resource is what a search with some parameters would find, told by the resource alone (R4 search.html#token,
//! #uri). Only of parameters whose meaning is plain: a token or URI at one place. What is not as plain matches nothing.

use fireguard_fhir::ResourceType;
use fireguard_fhir::ResourceType as T;
use fireguard_fhir::json::Tree;
use fireguard_fhir::parameters::Parameters;

/// Whether this can be told of every resource of a type.
pub fn is_told(resource_type: ResourceType, parameters: &Parameters) -> bool {
    parameters.iter().all(|(name, value)| place(resource_type, name).is_some() && !value.contains('\\'))
}

/// Whether a search with these parameters finds the resource, all of them taken together.
pub fn finds(resource_type: ResourceType, parameters: &Parameters, resource: &Tree) -> bool {
    is_told(resource_type, parameters)
        && parameters.iter().all(|(name, wanted)| {
            place(resource_type, name).is_some_and(|place| {
                let any = |value: &Tree| wanted.split(',').any(|wanted| place.kind.is(value, wanted));
                values(resource, place.path).into_iter().any(any)
            })
        })
}

/// Where a parameter looks.
struct Place {
    path: &'static [&'static str],
    kind: Kind,
}

/// What it finds there.
#[derive(Clone, Copy)]
enum Kind {
    CodeableConcept,
    Coding,
    /// Its system is fixed, and nobody writes it.
    Code,
    Uri,
}

/// The places are those of the expressions in the R4 definitions of search parameters.
fn place(resource_type: ResourceType, name: &str) -> Option<Place> {
    use Kind::{Code, CodeableConcept, Coding, Uri};
    let (path, kind): (&'static [&'static str], Kind) = match (name, resource_type) {
        ("_tag", _) => (&["meta", "tag"], Coding),
        ("_security", _) => (&["meta", "security"], Coding),
        ("_profile", _) => (&["meta", "profile"], Uri),
        (
            "category",
            T::Observation
            | T::Condition
            | T::DiagnosticReport
            | T::CarePlan
            | T::ServiceRequest
            | T::MedicationRequest
            | T::DocumentReference
            | T::Goal
            | T::Communication
            | T::CommunicationRequest
            | T::CareTeam
            | T::Consent
            | T::Procedure,
        ) => (&["category"], CodeableConcept),
        ("category", T::AllergyIntolerance) => (&["category"], Code),
        (
            "code",
            T::Observation
            | T::Condition
            | T::DiagnosticReport
            | T::Procedure
            | T::ServiceRequest
            | T::Medication,
        ) => (&["code"], CodeableConcept),
        (
            "status",
            T::Observation
            | T::DiagnosticReport
            | T::Procedure
            | T::ServiceRequest
            | T::MedicationRequest
            | T::DocumentReference
            | T::CarePlan
            | T::Encounter
            | T::Immunization
            | T::QuestionnaireResponse
            | T::Appointment
            | T::Task,
        ) => (&["status"], Code),
        ("intent", T::ServiceRequest | T::MedicationRequest | T::CarePlan | T::Task) => (&["intent"], Code),
        ("type", T::DocumentReference | T::Encounter) => (&["type"], CodeableConcept),
        ("class", T::Encounter) => (&["class"], Coding),
        ("clinical-status", T::Condition | T::AllergyIntolerance) => (&["clinicalStatus"], CodeableConcept),
        ("verification-status", T::Condition | T::AllergyIntolerance) => {
            (&["verificationStatus"], CodeableConcept)
        }
        ("vaccine-code", T::Immunization) => (&["vaccineCode"], CodeableConcept),
        _ => return None,
    };
    Some(Place { path, kind })
}

/// The values at a place: what is a list is each of its elements.
fn values<'a>(resource: &'a Tree, path: &[&str]) -> Vec<&'a Tree> {
    path.iter().fold(vec![resource], |values, name| {
        values.into_iter().filter_map(|value| value.get(name)).flat_map(each).collect()
    })
}

fn each(value: &Tree) -> Vec<&Tree> {
    match value {
        Tree::Array(elements) => elements.iter().collect(),
        one => vec![one],
    }
}

impl Kind {
    /// Whether this value is meant: `code`, `system|code`, `|code` (without a system) or `system|`.
    fn is(self, value: &Tree, wanted: &str) -> bool {
        if wanted.is_empty() {
            return false;
        }
        match self {
            Self::CodeableConcept => {
                values(value, &["coding"]).into_iter().any(|it| Self::Coding.is(it, wanted))
            }
            Self::Coding => {
                let member = |name: &str| value.get(name).and_then(Tree::as_text);
                let code = |wanted: &str| member("code").is_some_and(|code| code == wanted);
                match wanted.split_once('|') {
                    None => code(wanted),
                    Some(("", wanted)) => member("system").is_none() && code(wanted),
                    Some((system, wanted)) => {
                        member("system").is_some_and(|own| own == system)
                            && (wanted.is_empty() || code(wanted))
                    }
                }
            }
            Self::Code | Self::Uri => value.as_text().is_some_and(|own| own == wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAB: &str = r#"{"resourceType": "Observation", "status": "final",
        "meta": {"tag": [{"system": "urn:t", "code": "a"}, {"code": "b"}], "profile": ["http://p/1", "http://p/2"]},
        "category": [{"coding": [{"system": "urn:c", "code": "lab"}, {"system": "urn:d", "code": "x"}]}, {"text": "y"}],
        "code": {"coding": {"system": "http://loinc.org", "code": "1-8"}}}"#;

    #[test]
    fn a_resource_tells_whether_it_would_be_found() {
        let lab = Tree::parse(LAB.as_bytes()).unwrap();
        for (query, expected) in [
            ("", true),
            ("category=lab", true),
            ("category=urn:c|lab", true),
            ("category=urn:c|", true),
            ("category=urn:c|x", false),
            ("category=|lab", false),
            ("category=LAB", false),
            ("category=y", false),
            ("category=", false),
            ("category=,", false),
            ("category=z,urn:d|x", true),
            ("category=urn:c|lab&status=final", true),
            ("category=urn:c|lab&status=amended", false),
            ("category=urn:c|lab&category=urn:d|x", true),
            ("status=final,amended", true),
            ("status=http://hl7.org/fhir/observation-status|final", false),
            ("code=http://loinc.org|1-8", true),
            ("_tag=urn:t|a", true),
            ("_tag=|b", true),
            ("_tag=|a", false),
            ("_profile=http://p/2", true),
            ("_profile=http://p/", false),
            ("_security=urn:t|a", false),
            // Nothing of this is plain.
            ("category:not=lab", false),
            ("category:in=http://vs", false),
            ("category=lab\\,x", false),
            ("value-quantity=gt5", false),
            ("clinical-status=active", false),
            ("_id=1", false),
        ] {
            let parameters = Parameters::parse(query.as_bytes()).unwrap();
            assert_eq!(finds(T::Observation, &parameters, &lab), expected, "{query}");
        }
    }

    #[test]
    fn what_is_no_list_and_no_text_is_not_found() {
        for text in [
            r#"{"category": "lab"}"#,
            r#"{"category": [["lab"]]}"#,
            r#"{"category": [{"coding": "lab"}]}"#,
            r#"{"category": [{"coding": [{"code": 1}]}]}"#,
            r#"{"category": [{"coding": [{"code": null}]}]}"#,
            r#"{"coding": [{"code": "lab"}]}"#,
            "[]",
            "1",
        ] {
            let parameters = Parameters::parse(b"category=lab").unwrap();
            assert!(!finds(T::Observation, &parameters, &Tree::parse(text.as_bytes()).unwrap()), "{text}");
        }
    }
}
