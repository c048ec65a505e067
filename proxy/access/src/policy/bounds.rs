//! Bounds together: any one of a list is enough, and both lists have to hold.

use crate::decision::Bound;

/// As many as are kept: searches are split by them.
const MOST: usize = 16;

/// What is within both. None: nothing is, or nobody could tell in so many parts.
pub(super) fn both(left: &[Bound], right: &[Bound]) -> Option<Vec<Bound>> {
    let pairs = left.iter().flat_map(|left| right.iter().filter_map(|right| within(left, right)));
    let bounds = any(pairs);
    (1..=MOST).contains(&bounds.len()).then_some(bounds)
}

/// Each once, and none that another holds already.
pub(super) fn any(bounds: impl IntoIterator<Item = Bound>) -> Vec<Bound> {
    let mut kept: Vec<Bound> = Vec::new();
    for bound in bounds {
        if kept.iter().any(|wider| holds(wider, &bound)) {
            continue;
        }
        kept.retain(|narrower| !holds(&bound, narrower));
        kept.push(bound);
    }
    kept
}

fn within(left: &Bound, right: &Bound) -> Option<Bound> {
    let patient = match (&left.patient, &right.patient) {
        (Some(left), Some(right)) if left != right => return None,
        (left, right) => left.clone().or_else(|| right.clone()),
    };
    let mut constraint = left.constraint.clone();
    for (name, value) in right.constraint.iter() {
        if !constraint.all(name).any(|known| known == value) {
            constraint.push(name, value);
        }
    }
    Some(Bound { patient, constraint })
}

/// Whether whatever is within the second is within the first.
fn holds(wider: &Bound, narrower: &Bound) -> bool {
    let patient = wider.patient.is_none() || wider.patient == narrower.patient;
    let among = |name: &str, value: &str| narrower.constraint.all(name).any(|own| own == value);
    patient && wider.constraint.iter().all(|(name, value)| among(name, value))
}

#[cfg(test)]
mod tests {
    use fireguard_fhir::interaction::Id;
    use fireguard_fhir::parameters::Parameters;

    use super::*;

    fn bound(text: &str) -> Bound {
        let (patient, query) = text.split_once('?').unwrap_or((text, ""));
        Bound { patient: Id::parse(patient), constraint: Parameters::parse(query.as_bytes()).unwrap() }
    }

    fn list(text: &str) -> Vec<Bound> {
        text.split_whitespace().map(|word| bound(if word == "all" { "" } else { word })).collect()
    }

    #[test]
    fn both_hold() {
        for (left, right, expected) in [
            ("all", "all", Some("all")),
            ("p", "all", Some("p")),
            ("p", "p", Some("p")),
            ("p", "q", None),
            ("p q", "q", Some("q")),
            ("p?a=1", "?b=2", Some("p?a=1&b=2")),
            ("p?a=1", "?a=1", Some("p?a=1")),
            // Both have to be found: a repeated parameter means "and".
            ("?a=1", "?a=2", Some("?a=1&a=2")),
            ("?a=1 ?a=2", "p", Some("p?a=1 p?a=2")),
            ("", "all", None),
        ] {
            assert_eq!(both(&list(left), &list(right)), expected.map(list), "{left:?} and {right:?}");
        }
        let many: String = (0..MOST).map(|n| format!("?a={n} ")).collect();
        assert_eq!(both(&list(&many), &list("?b=1 ?b=2")), None);
    }

    #[test]
    fn what_another_holds_is_left_out() {
        for (bounds, kept) in [
            ("p p", "p"),
            ("p all", "all"),
            ("all p?a=1", "all"),
            ("p?a=1 p", "p"),
            ("p?a=1 p?a=2", "p?a=1 p?a=2"),
            ("p?a=1&b=2 p?a=1", "p?a=1"),
        ] {
            assert_eq!(any(list(bounds)), list(kept), "{bounds}");
        }
    }
}
