//! Asking the validator.

use fireguard_sdk::{Host, HostError, HttpRequest, HttpResponse};

use crate::ProfileValidate;

const FHIR_JSON: &str = "application/fhir+json";

impl ProfileValidate {
    /// What is asked about one resource: a validation for each profile of its type.
    pub(crate) fn questions(&self, resource: &[u8]) -> Vec<HttpRequest> {
        let Some(name) = self.validated(resource) else { return Vec::new() };
        let profiles = self.profiles(&name).unwrap_or_default();
        let base = self.url().map(|url| format!("{url}/")).unwrap_or_default();
        let ask = |query: String| {
            let url = format!("{base}{name}/$validate{query}");
            let mut request = HttpRequest::post(url, FHIR_JSON, resource);
            request.headers.push(fireguard_sdk::Field::new("accept", FHIR_JSON));
            request
        };
        if profiles.is_empty() {
            return vec![ask(String::new())];
        }
        profiles.iter().map(|profile| ask(format!("?profile={}", encoded(profile)))).collect()
    }

    /// One answer for each question, in the same order.
    pub(crate) fn ask(
        &self,
        host: &dyn Host,
        questions: &[HttpRequest],
    ) -> Vec<Result<HttpResponse, HostError>> {
        if self.url().is_some() {
            return questions.iter().map(|question| host.send_http(question)).collect();
        }
        if questions.is_empty() {
            return Vec::new();
        }
        host.send_fhir(questions)
    }
}

/// Percent-encoded, but for what RFC 3986 leaves unreserved.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
