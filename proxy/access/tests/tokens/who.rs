//! The caller that a token makes.

use fireguard_access::authentication::IssuerSettings;
use fireguard_fhir::ResourceType;
use serde_json::json;

use crate::issuer::{Site, settings};

#[tokio::test]
async fn users_and_patients_are_ours_or_nobodys() {
    let site = Site::new();
    for (user, expected) in [
        ("Practitioner/1", Some((ResourceType::Practitioner, "1"))),
        ("https://fhir.example/fhir/Patient/p", Some((ResourceType::Patient, "p"))),
        ("http://hapi:8080/fhir/RelatedPerson/r", Some((ResourceType::RelatedPerson, "r"))),
        ("https://other.example/fhir/Patient/p", None),
        ("https://fhir.example/fhir2/Patient/p", None),
        ("https://fhir.example/fhir/Patient/p/_history/1", None),
        ("https://fhir.example/fhirPatient/p", None),
        ("https://fhir.example@other.example/fhir/Patient/p", None),
        ("Observation/1", None),
        ("Patient/", None),
        ("Patient/../1", None),
        ("Patient?_id=1", None),
    ] {
        let caller = site.check(&site.token(&json!({ "fhirUser": user }))).await.unwrap();
        let found = caller.fhir_user.as_ref().map(|(kind, id)| (*kind, id.as_str()));
        assert_eq!(found, expected, "{user}");
        let patient = caller.patient.as_ref().map(|id| id.as_str());
        let own = expected.filter(|(kind, _)| *kind == ResourceType::Patient).map(|(_, id)| id);
        assert_eq!(patient, own, "{user}");
    }
    for (patient, expected) in [
        (json!("1"), Some("1")),
        (json!("Patient/1"), Some("1")),
        (json!("https://fhir.example/fhir/Patient/1"), Some("1")),
        (json!("https://other.example/fhir/Patient/1"), None),
        (json!("Practitioner/1"), None),
        (json!("1,2"), None),
        (json!(["1"]), None),
        (json!(1), None),
    ] {
        let caller = site.check(&site.token(&json!({ "patient": patient }))).await.unwrap();
        assert_eq!(caller.patient.as_ref().map(|id| id.as_str()), expected, "{patient}");
    }
}

#[tokio::test]
async fn roles_tenant_purpose_and_scopes() {
    let site = Site::new();
    let token = site.token(&json!({
        "realm_access": { "roles": ["nurse", "ward-1", 7] },
        "tenant": "north",
        "extensions": { "ihe_iua": { "purpose_of_use": [{ "system": "urn:oid:1", "code": "TREAT" }] } },
        "scope": "openid patient/Observation.rs",
    }));
    let caller = site.check(&token).await.unwrap();
    assert_eq!(caller.roles.iter().collect::<Vec<_>>(), ["nurse", "ward-1"]);
    assert_eq!(caller.tenant.as_deref(), Some("north"));
    assert_eq!(caller.purposes.iter().collect::<Vec<_>>(), ["TREAT"]);
    assert_eq!(caller.scopes.as_ref().map(|scopes| scopes.resources().len()), Some(1));
    let none = site.check(&site.token(&json!({}))).await.unwrap();
    assert_eq!(none.scopes.as_ref().map(|scopes| scopes.resources().len()), Some(0), "granted nothing");
    let by_policies = Site::with(IssuerSettings { smart: false, ..settings() });
    let caller = by_policies.check(&by_policies.token(&json!({ "scope": "system/*.*" }))).await.unwrap();
    assert!(caller.scopes.is_none());
}

#[tokio::test]
async fn a_refreshed_token_is_of_the_same_holder() {
    let site = Site::new();
    let holder = |caller: &fireguard_access::principal::Principal| caller.holder();
    let first = site.check(&site.token(&json!({ "jti": "1" }))).await.unwrap();
    let second = site.check(&site.token(&json!({ "jti": "2" }))).await.unwrap();
    assert_eq!(holder(&first), holder(&second));
    let other = site.check(&site.token(&json!({ "azp": "other" }))).await.unwrap();
    assert_ne!(holder(&first), holder(&other));
}
