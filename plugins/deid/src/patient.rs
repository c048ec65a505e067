//! The one patient whose dates a resource carries.

use fireguard_sdk::fhir::r4::{ResourceType, patient_references};
use fireguard_sdk::json::{self, Key, Step, Value, Visitor};

use crate::methods::reference::Reference;

/// The patient that a resource belongs to by R4's patient compartment, as `Patient/id`, with the server's
/// address before it when the resource writes it so. A Patient belongs to itself.
///
/// None when there is no patient, more than one, or one that the resource alone does not tell (a conditional
/// reference, a `urn:uuid:` of a transaction): then dates must not move by a guess.
pub(crate) fn of(resource: &[u8], ty: ResourceType) -> Option<String> {
    if ty == ResourceType::Patient {
        let id = json::member(resource, "id")?.string()?;
        return Some(format!("Patient/{id}"));
    }
    let mut finder = Finder { paths: patient_references(ty), patient: None, several: false };
    let all = (1 << finder.paths.len()) - 1;
    json::rewrite(resource, At::Path { depth: 0, paths: all }, &mut finder).ok()?;
    if finder.several { None } else { finder.patient }
}

struct Finder {
    paths: &'static [&'static str],
    patient: Option<String>,
    /// More than one patient, or one that cannot be told.
    several: bool,
}

#[derive(Clone, Copy)]
enum At {
    /// So many names into these paths, a bit for each.
    Path { depth: u8, paths: u16 },
    /// In a Reference that a path leads to.
    Reference,
}

impl Visitor for Finder {
    type State = At;

    fn member(&mut self, within: At, key: &Key<'_>, value: &Value<'_>, _: &mut Vec<u8>) -> Step<At> {
        let name = key.name();
        let At::Path { depth, paths } = within else {
            if name == "reference"
                && let Some(reference) = value.string()
            {
                self.meet(&reference);
            }
            return Step::Keep;
        };
        let mut inside = 0;
        for (at, path) in self.paths.iter().enumerate().filter(|(at, _)| paths & 1 << at != 0) {
            let mut names = path.split('.').skip(usize::from(depth));
            if names.next() == Some(&name) {
                if names.next().is_none() {
                    return Step::Enter(At::Reference);
                }
                inside |= 1 << at;
            }
        }
        if inside == 0 { Step::Keep } else { Step::Enter(At::Path { depth: depth + 1, paths: inside }) }
    }

    fn element(&mut self, within: At, _: usize, _: &Value<'_>, _: &mut Vec<u8>) -> Step<At> {
        Step::Enter(within)
    }
}

impl Finder {
    fn meet(&mut self, text: &str) {
        let reference = Reference::parse(text);
        match reference.ty {
            Some(ResourceType::Patient) => {
                let patient = format!("{}{}", reference.before, reference.id);
                self.several |= self.patient.as_ref().is_some_and(|other| *other != patient);
                self.patient = Some(patient);
            }
            Some(_) => {}
            // What is contained here is part of this resource and no patient of the server's.
            None if text.starts_with('#') => {}
            None => {
                let (ty, _) = text.split_once('?').unwrap_or(("", ""));
                self.several |= ResourceType::parse(ty).is_none_or(|ty| ty == ResourceType::Patient);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_resources() {
        for (resource, expected) in [
            (
                r#"{"resourceType":"Patient","id":"1","link":[{"other":{"reference":"Patient/2"}}]}"#,
                Some("Patient/1"),
            ),
            (r#"{"resourceType":"Patient"}"#, None),
            (r#"{"resourceType":"Observation","subject":{"reference":"Patient/1"}}"#, Some("Patient/1")),
            (
                r#"{"resourceType":"Observation","subject":{"reference":"Patient/1/_history/2"}}"#,
                Some("Patient/1"),
            ),
            (
                r#"{"resourceType":"Observation","s\u0075bject":{"reference":"P\u0061tient/1"}}"#,
                Some("Patient/1"),
            ),
            (
                r#"{"resourceType":"Observation","subject":{"reference":"http://h/Patient/1"}}"#,
                Some("http://h/Patient/1"),
            ),
            (r#"{"resourceType":"Observation","subject":{"reference":"Group/1"}}"#, None),
            (r#"{"resourceType":"Observation","subject":{"identifier":{"value":"1"}}}"#, None),
            (r##"{"resourceType":"Observation","subject":{"reference":"#p"}}"##, None),
            (
                r#"{"resourceType":"Observation","subject":{"reference":"urn:uuid:0f9c3b1e-6f4c-4f0e-9d55-0f2f2f1d7a11"}}"#,
                None,
            ),
            (r#"{"resourceType":"Observation","subject":{"reference":"Patient?identifier=1"}}"#, None),
            (r#"{"resourceType":"Observation","encounter":{"reference":"Patient/9"}}"#, None),
            (
                r##"{"resourceType":"Observation","subject":{"reference":"Patient/1"},"performer":[{"reference":"Practitioner?identifier=1"},{"reference":"#org"},{"reference":"Patient/1"}]}"##,
                Some("Patient/1"),
            ),
            (
                r#"{"resourceType":"Observation","subject":{"reference":"Patient/1"},"performer":[{"reference":"Patient/2"}]}"#,
                None,
            ),
            (
                r#"{"resourceType":"Observation","performer":[{"reference":"somewhere"}],"subject":{"reference":"Patient/1"}}"#,
                None,
            ),
            (
                r#"{"resourceType":"Appointment","participant":[{"actor":{"reference":"Practitioner/1"}},{"actor":{"reference":"Patient/1"}}]}"#,
                Some("Patient/1"),
            ),
            (r#"{"resourceType":"Organization","id":"1"}"#, None),
        ] {
            let ty = ResourceType::parse(&json::resource_type_of(resource.as_bytes()).unwrap()).unwrap();
            assert_eq!(of(resource.as_bytes(), ty).as_deref(), expected, "{resource}");
        }
    }
}
