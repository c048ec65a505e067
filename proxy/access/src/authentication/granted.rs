//! Scopes that a site grants by its own files instead of by an issuer's token.

use fireguard_fhir::smart::Scopes;

/// What a text of SMART scopes grants.
///
/// # Errors
/// One of them grants nothing: in a token that is ignored, in a file it is most likely a slip of the pen.
pub(super) fn scopes(text: &str) -> Result<Scopes, String> {
    let scopes = Scopes::parse(text);
    let nothing = |word: &&str| Scopes::parse(word) == Scopes::default();
    if let Some(word) = text.split_ascii_whitespace().find(nothing) {
        return Err(format!("the scope {word:?} is not one of SMART: write `user/Observation.rs`"));
    }
    if scopes.is_contradictory() {
        return Err("scopes of `system/` grant nothing beside those of `patient/` and `user/`".to_owned());
    }
    Ok(scopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grants_nothing_is_told() {
        for (text, granted) in [
            ("", Ok(0)),
            ("user/Observation.rs  user/Patient.r", Ok(2)),
            ("launch/patient patient/*.rs", Ok(1)),
            ("user/Observaton.rs", Err("\"user/Observaton.rs\" is not")),
            ("user/Patient.rs system/Patient.rs", Err("scopes of `system/`")),
        ] {
            let found = scopes(text).map(|scopes| scopes.resources().len());
            match (found, granted) {
                (Ok(found), Ok(granted)) => assert_eq!(found, granted, "{text}"),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }
}
