//! What is added to a search so that the server looks no further than its caller may.
//!
//! HAPI has no searches within compartments, so the parameter that leads from the type to its patient stands for them.
//! Where a type belongs to a patient in several ways, this is the first of them, or the one that the caller names.

use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::{Id, Refusal};
use fireguard_fhir::outcome::IssueCode;
use fireguard_fhir::parameters::{Parameters, split_name};
use fireguard_fhir::r4::{patient_parameters, reference_targets};

use crate::confinement::Narrowed;
use crate::decision::Bound;
use crate::shared_types::{Sharing, sharing};

/// Narrows a search for a type to what is within any of these bounds. None: nothing can or need be added, and each
/// resource has to be judged.
///
/// # Errors
/// 403: it cannot be narrowed.
pub fn narrow(
    ty: ResourceType,
    bounds: &[Bound],
    parameters: &Parameters,
) -> Result<Option<Narrowed>, Refusal> {
    let bounds = reduced(ty, bounds);
    if bounds.iter().any(Bound::is_all) {
        return Ok(None);
    }
    let Some(chosen) = together(&bounds).or_else(|| asked_for(&bounds, parameters)) else {
        return Err(refused("what you may see is in several parts: name the one by its parameters"));
    };
    let mut required = chosen.constraint;
    if !chosen.patients.is_empty() {
        let (name, value) = by_patient(ty, &chosen.patients, parameters)?;
        required.push(name, value);
    }
    Ok(Some(Narrowed { resource_type: ty, required, bounds: chosen.bounds }))
}

/// The parameter by which a search for this type is narrowed to a patient.
pub(super) fn patient_parameter(ty: ResourceType) -> Option<&'static str> {
    if ty == ResourceType::Patient {
        return Some("_id");
    }
    let leads = |name: &&str| reference_targets(ty, name).is_some_and(|to| to.has(ResourceType::Patient));
    let own = patient_parameters(ty).first().copied();
    // Whatever the compartment calls it, `patient` leads to patients only.
    Some("patient").filter(leads).or(own).or(Some("subject").filter(leads))
}

/// What a search for this type within the compartment of a patient comes to: the parameter that leads there, and its
/// value. None: no parameter does.
pub(super) fn in_compartment(ty: ResourceType, patient: &Id) -> Option<(&'static str, String)> {
    if ty == ResourceType::Patient || patient_parameters(ty).is_empty() {
        return None;
    }
    Some((patient_parameter(ty)?, format!("Patient/{patient}")))
}

/// Bounds that can be told by one set of parameters.
struct Chosen {
    patients: Vec<Id>,
    constraint: Parameters,
    bounds: Vec<Bound>,
}

/// Without patients where a type belongs to none, or is judged one by one; and without those that others hold.
fn reduced(ty: ResourceType, bounds: &[Bound]) -> Vec<Bound> {
    let free = matches!(sharing(ty), Sharing::Everybodys | Sharing::OwnOrNobodys);
    let bounds: Vec<_> = bounds
        .iter()
        .map(|bound| Bound { patient: bound.patient.clone().filter(|_| !free), ..bound.clone() })
        .collect();
    let held = |bound: &Bound| {
        bounds.iter().any(|wider| {
            wider != bound
                && (wider.patient.is_none() || wider.patient == bound.patient)
                && (wider.constraint.is_empty() || wider.constraint == bound.constraint)
        })
    };
    let mut kept: Vec<Bound> = Vec::new();
    for bound in &bounds {
        if !held(bound) && !kept.contains(bound) {
            kept.push(bound.clone());
        }
    }
    kept
}

/// All of them at once: the same constraint for several patients, or several values of one parameter for the same.
fn together(bounds: &[Bound]) -> Option<Chosen> {
    let first = bounds.first()?;
    if bounds.iter().all(|bound| bound.constraint == first.constraint) {
        let patients: Option<Vec<Id>> = bounds.iter().map(|bound| bound.patient.clone()).collect();
        let patients = match patients {
            Some(patients) => patients,
            None if bounds.len() == 1 => Vec::new(),
            None => return None,
        };
        return Some(Chosen { patients, constraint: first.constraint.clone(), bounds: bounds.to_vec() });
    }
    let mut values = Vec::new();
    let name = first.constraint.iter().next().map(|(name, _)| name)?;
    for bound in bounds {
        let mut pairs = bound.constraint.iter();
        let (Some((own, value)), None) = (pairs.next(), pairs.next()) else { return None };
        if own != name || bound.patient != first.patient {
            return None;
        }
        values.push(value);
    }
    // A modifier such as `:not` means "none of these" of a list, and "any" of several bounds.
    if name.contains(':') {
        return None;
    }
    let mut constraint = Parameters::default();
    constraint.push(name, values.join(","));
    Some(Chosen { patients: first.patient.iter().cloned().collect(), constraint, bounds: bounds.to_vec() })
}

/// The one whose constraint the caller has written down.
fn asked_for(bounds: &[Bound], parameters: &Parameters) -> Option<Chosen> {
    let named = |bound: &&Bound| {
        let written = |(name, value): (&str, &str)| parameters.all(name).any(|own| own == value);
        !bound.constraint.is_empty() && bound.constraint.iter().all(written)
    };
    let bound = bounds.iter().find(named)?.clone();
    let patients = bound.patient.iter().cloned().collect();
    Some(Chosen { patients, constraint: bound.constraint.clone(), bounds: vec![bound] })
}

/// The parameter that leads to these patients: the caller's own, if one does.
fn by_patient(
    ty: ResourceType,
    patients: &[Id],
    parameters: &Parameters,
) -> Result<(String, String), Refusal> {
    let Some(usual) = patient_parameter(ty) else {
        return Err(refused("a search for this type cannot be confined to what you may see"));
    };
    let patient = ty == ResourceType::Patient;
    let leads = |name: &str| name == usual || (!patient && patient_parameters(ty).contains(&name));
    for (name, value) in parameters.iter() {
        let (base, modifier) = split_name(name);
        let typed = !patient && modifier == Some("Patient");
        // An id alone may be one of any type.
        let bare = typed || patient || base == "patient";
        let own = |value: &str| match value.strip_prefix("Patient/") {
            Some(id) if !patient => patients.iter().any(|own| own.as_str() == id),
            Some(_) => false,
            None => bare && patients.iter().any(|own| own.as_str() == value),
        };
        if leads(base) && (modifier.is_none() || typed) && value.split(',').all(own) {
            return Ok((name.to_owned(), value.to_owned()));
        }
    }
    let value = |id: &Id| if patient { id.to_string() } else { format!("Patient/{id}") };
    Ok((usual.to_owned(), patients.iter().map(value).collect::<Vec<_>>().join(",")))
}

fn refused(message: &'static str) -> Refusal {
    Refusal::new(403, IssueCode::Forbidden, message)
}
