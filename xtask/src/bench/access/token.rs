//! What it costs to know a token again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fireguard_access::authentication::{
    Algorithm, Answer, ClaimPaths, Fetch, IntrospectionSettings, IssuerSettings, Provider, Question, Task,
    Tokens, Unreachable,
};
use fireguard_fhir::base::Base;
use serde_json::json;

use super::super::row::{Goal, Row};
use super::{failed, rounds};
use crate::error::Error;

const URL: &str = "https://id.example/realms/clinic";

/// As long as one of Keycloak's for a user with some roles.
const LENGTH: usize = 1200;

/// A token that was good a moment ago.
pub(super) fn known() -> Result<Row, Error> {
    let base = Base::parse("https://fhir.example/fhir").map_err(|error| failed(error.to_string()))?;
    let provider = Provider::new(Arc::new(settings()), Arc::new(Issuer));
    let tokens = Tokens::new(vec![provider], Vec::new());
    let token = "x".repeat(LENGTH);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::io("a runtime"))?;
    let checked = runtime.block_on(tokens.check(&token, &base));
    checked.map_err(|rejection| failed(format!("{rejection:?}")))?;
    let rounds = rounds(|| tokens.known(&token, &base).is_some())?;
    Ok(Row::alone(format!("known token of {LENGTH} bytes, us"), rounds, Some(Goal::AtMost(2.0))))
}

fn settings() -> IssuerSettings {
    IssuerSettings {
        name: "id".into(),
        url: URL.into(),
        audience: BTreeSet::from(["fhir".to_owned()]),
        clients: None,
        algorithms: Algorithm::ALL.into(),
        clock_skew: Duration::from_secs(30),
        keys: None,
        keys_stale: Duration::from_secs(3600),
        introspection: Some(IntrospectionSettings {
            url: Some("https://id.example/introspect".to_owned()),
            client_id: "fireguard".to_owned(),
            client_secret: "secret".to_owned().into(),
            all: true,
        }),
        smart: true,
        claims: ClaimPaths::default(),
    }
}

/// Finds every token good.
#[derive(Debug)]
struct Issuer;

impl Fetch for Issuer {
    fn fetch(&self, question: Question) -> Task<Result<Answer, Unreachable>> {
        let body = match question {
            Question::Get(_) => json!({ "issuer": URL, "jwks_uri": "https://id.example/keys" }),
            Question::Introspect(_) => {
                // Year 2100.
                json!({ "active": true, "iss": URL, "aud": "fhir", "sub": "ann", "exp": 4_102_444_800_u64 })
            }
        };
        Box::pin(async move { Ok(Answer { status: 200, body: body.to_string().into_bytes() }) })
    }

    fn spawn(&self, task: Task<()>) {
        tokio::spawn(task);
    }
}
