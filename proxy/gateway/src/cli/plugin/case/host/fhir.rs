//! A FHIR server that knows the answers of `fhir.json`.

use fireguard_plugin_host::{By, FhirAnswer, FhirAnswers, FhirClient, FhirFault, FhirRequest};

use super::{Canned, Sent};

pub(super) struct Fhir {
    answers: Vec<Canned>,
    sent: Sent,
}

impl Fhir {
    pub(super) fn new(answers: Vec<Canned>, sent: Sent) -> Self {
        Self { answers, sent }
    }

    fn answer(&self, request: &FhirRequest) -> Result<FhirAnswer, FhirFault> {
        let FhirRequest { method, url, headers: _, body } = request;
        self.sent.note(method, url, body.as_deref());
        let Some(answer) = Canned::find(&self.answers, method, url) else {
            return Err(FhirFault::Unavailable(format!("fhir.json has no answer to {method} {url}")));
        };
        let headers = answer.headers.clone();
        Ok(FhirAnswer { status: answer.status, headers, body: answer.bytes().to_vec() })
    }
}

impl FhirClient for Fhir {
    fn send<'a>(&'a self, _: &'a By, requests: Vec<FhirRequest>, _: usize) -> FhirAnswers<'a> {
        Box::pin(async move { requests.iter().map(|request| self.answer(request)).collect() })
    }
}
