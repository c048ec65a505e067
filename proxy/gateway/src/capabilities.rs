//! What a route says of itself: the server's CapabilityStatement, less what the route does not let through or nobody
//! could be let do, and how callers show who they are (SMART App Launch 2.2, Conformance; R4 capabilitystatement.html,
//! `rest.security`).

mod permitted;

use std::sync::Arc;

use bytes::Bytes;
use fireguard_access::authentication::Discovery;
use fireguard_access::policy::Extent;
use fireguard_access::surface::Surface;
use fireguard_fhir::ResourceType;
use serde_json::{Value, json};

/// The system of `rest.security.service`.
const SERVICES: &str = "http://terminology.hl7.org/CodeSystem/restful-security-service";
/// Where applications looked before there was `.well-known/smart-configuration`, and some still do.
const OAUTH_URIS: &str = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris";
/// Interactions with a type that change nothing.
const READING: [&str; 5] = ["read", "vread", "history-instance", "history-type", "search-type"];
/// The same with the whole system.
const READING_ALL: [&str; 2] = ["search-system", "history-system"];
/// Members of `rest.resource` that tell of ways to write.
const WRITING: [&str; 5] =
    ["conditionalCreate", "conditionalUpdate", "conditionalPatch", "conditionalDelete", "updateCreate"];

/// How callers of a route show who they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Security {
    /// What its issuer publishes; none: that cannot be said now, or there is none.
    pub discovery: Option<Arc<Discovery>>,
    /// Pages of other origins may ask.
    pub cors: bool,
}

/// What a statement is adapted to.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// What the route lets through.
    pub surface: &'a Surface,
    /// How callers show who they are, if the route asks.
    pub security: Option<&'a Security>,
    /// What could be let do; none: whatever the route lets through.
    pub extent: Option<&'a Extent>,
    /// XML is spoken as well as JSON.
    pub xml: bool,
    /// In lines, for people.
    pub pretty: bool,
}

/// The statement as the route's clients get it, whole or in parts. What there is nothing to change in stays byte for byte.
pub fn adapted(statement: Bytes, view: View<'_>) -> Bytes {
    let Ok(server) = serde_json::from_slice::<Value>(&statement) else { return statement };
    let mut own = server.clone();
    if !view.xml {
        for member in ["format", "patchFormat"] {
            keep(&mut own, member, |format| format.as_str().is_none_or(|format| !format.contains("xml")));
        }
    }
    for rest in list(&mut own, "rest") {
        narrow(rest, view.surface);
        if let Some(extent) = view.extent {
            permitted::narrow(rest, extent);
        }
        if let Some(security) = view.security {
            rest["security"] = said(security);
        }
    }
    if own == server {
        return statement;
    }
    let pretty = view.pretty.then(|| serde_json::to_vec_pretty(&own).ok()).flatten();
    pretty.map_or_else(|| own.to_string().into(), Bytes::from)
}

fn narrow(rest: &mut Value, surface: &Surface) {
    let reading =
        |codes: &[&str], interaction: &Value| codes.iter().any(|code| interaction["code"] == **code);
    for resource in list(rest, "resource") {
        let resource_type = resource["type"].as_str().and_then(ResourceType::parse);
        if surface.is_read_only() {
            keep(resource, "interaction", |interaction| reading(&READING, interaction));
            if let Some(resource) = resource.as_object_mut() {
                resource.retain(|member, _| !WRITING.contains(&member.as_str()));
            }
        }
        let listed = |parameter: &Value| {
            parameter["name"].as_str().is_some_and(|name| surface.lists(resource_type, name))
        };
        keep(resource, "searchParam", listed);
        for (member, parameter) in [("searchInclude", "_include"), ("searchRevInclude", "_revinclude")] {
            keep(resource, member, |_| surface.lists(resource_type, parameter));
        }
        keep(resource, "operation", |operation| operates(operation, surface));
    }
    if surface.is_read_only() {
        keep(rest, "interaction", |interaction| reading(&READING_ALL, interaction));
    }
    keep(rest, "searchParam", |parameter| {
        parameter["name"].as_str().is_some_and(|name| surface.lists(None, name))
    });
    keep(rest, "operation", |operation| operates(operation, surface));
}

/// Names stand there without the dollar sign, but not everywhere.
fn operates(operation: &Value, surface: &Surface) -> bool {
    operation["name"]
        .as_str()
        .is_some_and(|name| surface.operates(&format!("${}", name.trim_start_matches('$'))))
}

/// What is in a list, if it is there.
fn list<'v>(of: &'v mut Value, member: &str) -> impl Iterator<Item = &'v mut Value> {
    of.get_mut(member).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Keeps what fits of a list. One that is empty is not there at all (R4 json.html).
fn keep(of: &mut Value, member: &str, fits: impl Fn(&Value) -> bool) {
    let Some(Value::Array(list)) = of.get_mut(member) else { return };
    list.retain(fits);
    if list.is_empty()
        && let Some(of) = of.as_object_mut()
    {
        of.shift_remove(member);
    }
}

fn said(security: &Security) -> Value {
    let mut said = json!({
        "cors": security.cors,
        "service": [{
            "coding": [{ "system": SERVICES, "code": "SMART-on-FHIR", "display": "SMART-on-FHIR" }],
            "text": "OAuth2 using SMART-on-FHIR profile (see http://docs.smarthealthit.org)",
        }],
    });
    if let Some(discovery) = &security.discovery {
        let urls = [
            ("token", &discovery.token_endpoint),
            ("authorize", &discovery.authorization_endpoint),
            ("introspect", &discovery.introspection_endpoint),
            ("revoke", &discovery.revocation_endpoint),
            ("register", &discovery.registration_endpoint),
            ("manage", &discovery.management_endpoint),
        ];
        let known = urls.into_iter().filter_map(|(name, url)| Some((name, url.as_ref()?)));
        let parts: Vec<_> = known.map(|(name, url)| json!({ "url": name, "valueUri": url })).collect();
        said["extension"] = json!([{ "url": OAUTH_URIS, "extension": parts }]);
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view<'a>(surface: &'a Surface, security: Option<&'a Security>) -> View<'a> {
        View { surface, security, extent: None, xml: true, pretty: false }
    }

    #[test]
    fn a_route_without_xml_does_not_speak_of_it() {
        let open = Surface::new(false, None, None).unwrap();
        let text =
            r#"{"format":["application/fhir+xml","xml","json"],"patchFormat":["application/fhir+xml"]}"#;
        for (xml, pretty, expected) in [
            (true, true, text),
            (false, false, r#"{"format":["json"]}"#),
            (false, true, "{\n  \"format\": [\n    \"json\"\n  ]\n}"),
        ] {
            let own = adapted(text.into(), View { xml, pretty, ..view(&open, None) });
            assert_eq!(own, expected, "{xml} {pretty}");
        }
    }

    fn statement() -> Bytes {
        let statement = json!({ "resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": [{
            "mode": "server",
            "resource": [{
                "type": "Patient",
                "interaction": [{ "code": "read" }, { "code": "update" }, { "code": "search-type" }],
                "conditionalCreate": true,
                "searchInclude": ["Patient:organization"],
                "searchParam": [{ "name": "name", "type": "string" }, { "name": "gender", "type": "token" }],
                "operation": [{ "name": "everything" }, { "name": "expunge" }],
            }],
            "interaction": [{ "code": "transaction" }, { "code": "search-system" }],
            "operation": [{ "name": "reindex" }],
        }] });
        statement.to_string().into()
    }

    #[test]
    fn it_says_what_the_route_lets_through() {
        let list = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        let surface = Surface::new(true, list(&["$everything"]), list(&["Patient.gender"])).unwrap();
        let own: Value = serde_json::from_slice(&adapted(statement(), view(&surface, None))).unwrap();
        let expected = json!([{
            "mode": "server",
            "resource": [{
                "type": "Patient",
                "interaction": [{ "code": "read" }, { "code": "search-type" }],
                "searchParam": [{ "name": "gender", "type": "token" }],
                "operation": [{ "name": "everything" }],
            }],
            "interaction": [{ "code": "search-system" }],
        }]);
        assert_eq!(own["rest"], expected);
    }

    #[test]
    fn what_needs_no_change_keeps_its_bytes() {
        let text = Bytes::from_static(b"{ \"resourceType\": \"CapabilityStatement\",\n \"rest\": [ {} ] }");
        let open = Surface::new(false, None, None).unwrap();
        assert_eq!(adapted(text.clone(), view(&open, None)), text);
        let broken = Bytes::from_static(b"{");
        assert_eq!(adapted(broken.clone(), view(&open, Some(&Security::default()))), broken);
    }

    #[test]
    fn it_says_where_tokens_are_got() {
        let discovery: Discovery = serde_json::from_value(json!({
            "issuer": "https://id.example", "token_endpoint": "https://id.example/token",
            "authorization_endpoint": "https://id.example/authorize",
        }))
        .unwrap();
        let security = Security { discovery: Some(Arc::new(discovery)), cors: true };
        let open = Surface::new(false, None, None).unwrap();
        let own: Value = serde_json::from_slice(&adapted(statement(), view(&open, Some(&security)))).unwrap();
        let said = &own["rest"][0]["security"];
        assert_eq!(said["cors"], true);
        assert_eq!(said["service"][0]["coding"][0]["code"], "SMART-on-FHIR");
        assert_eq!(
            said["extension"][0]["extension"],
            json!([
                { "url": "token", "valueUri": "https://id.example/token" },
                { "url": "authorize", "valueUri": "https://id.example/authorize" },
            ])
        );
    }
}
