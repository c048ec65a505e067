//! Bulk export on a real HAPI: the job and its files are its holder's, and nobody else's.

use std::time::{Duration, Instant};

use fireguard_test_support::gateway::Gateway;
use fireguard_test_support::hapi::Hapi;
use fireguard_test_support::issuer::Issuer;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::common::resources::patient;
use crate::common::world::{client, gateway, hidden};

/// HAPI takes a step of a job each second, and has other work.
const DONE_WITHIN: Duration = Duration::from_secs(240);
/// No other scenario stores any of it.
const TYPE: &str = "Flag";

struct Exports {
    hapi: &'static Hapi,
    gateway: Gateway,
    issuer: Issuer,
    client: reqwest::Client,
}

#[tokio::test]
async fn an_export_is_its_holder_s() {
    let world = Exports::start().await;
    world.is_not_for_the_confined().await;

    let job = world.begin().await;
    let manifest = world.finished(&job).await;
    world.nobody_else_follows(&job, "a job").await;
    let output = manifest["output"].as_array().unwrap();
    assert!(output.iter().all(|file| file["type"] == TYPE) && !output.is_empty(), "{manifest}");
    assert_eq!((&manifest["requiresAccessToken"], &manifest["error"]), (&json!(true), &json!([])));
    let file = output[0]["url"].as_str().unwrap();
    world.reads(file).await;
    world.nobody_else_follows(file, "a file").await;

    world.raw_names_lead_nowhere(&job).await;
    world.ends(&job).await;
}

impl Exports {
    async fn start() -> Self {
        let hapi = Hapi::shared().await.expect("a HAPI");
        let issuer = Issuer::start().await.unwrap();
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n{}\
             [upstreams.hapi]\nurl = \"{{upstream}}\"\n\
             [routes.fhir]\npath = \"/fhir\"\nupstream = \"hapi\"\nauthentication = [\"id\"]\n\
             operations = [\"$export\", \"$export-poll-status\"]\n",
            issuer.configuration("id")
        );
        let gateway = gateway(&config, hapi.base_url()).await;
        let world = Self { hapi, gateway, issuer, client: client() };
        world.stored(patient("exports-own", "Exports")).await;
        world.stored(patient("exports-other", "Exports")).await;
        for who in ["own", "other"] {
            let subject = json!({"reference": format!("Patient/exports-{who}")});
            let id = format!("exports-{who}");
            let code = json!({"text": format!("of {who}")});
            world
                .stored(json!({
                    "resourceType": TYPE, "id": id, "status": "active", "code": code, "subject": subject,
                }))
                .await;
        }
        world
    }

    /// Straight to HAPI.
    async fn stored(&self, resource: Value) {
        let path =
            format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
        let put = self.client.put(format!("{}/{path}", self.hapi.base_url()));
        let answer =
            put.header("Content-Type", "application/fhir+json").body(resource.to_string()).send().await;
        assert!(answer.unwrap().status().is_success(), "{path}");
    }

    /// A new token at each call: `program` begins the export and goes on with others.
    fn token(&self, who: &str) -> String {
        self.issuer.token(match who {
            "patient" => json!({"sub": who, "patient": "exports-own", "scope": "patient/*.rs"}),
            _ => {
                json!({"sub": who, "azp": who, "scope": "system/*.rs", "jti": fastrand::u64(..).to_string()})
            }
        })
    }

    async fn send(&self, method: Method, who: &str, url: &str) -> Response {
        let request = self.client.request(method, url).bearer_auth(self.token(who));
        request.header("Prefer", "respond-async").send().await.unwrap()
    }

    async fn get(&self, who: &str, url: &str) -> Response {
        self.send(Method::GET, who, url).await
    }

    fn url(&self, target: &str) -> String {
        format!("{}/fhir/{target}", self.gateway.url())
    }

    async fn is_not_for_the_confined(&self) {
        for target in ["$export", "Patient/$export", "Patient/exports-own/$export"] {
            let answer = self.get("patient", &self.url(target)).await;
            assert_eq!(answer.status(), 403, "{target}");
        }
    }

    /// The link to the job's status.
    async fn begin(&self) -> String {
        let answer = self.get("program", &self.url(&format!("$export?_type={TYPE}"))).await;
        assert_eq!(answer.status(), 202);
        let link = answer.headers()["content-location"].to_str().unwrap().to_owned();
        assert!(link.starts_with(&self.url("$export-poll-status?_jobId=")), "{link}");
        link
    }

    async fn finished(&self, job: &str) -> Value {
        let since = Instant::now();
        loop {
            let answer = self.get("program", job).await;
            if answer.status() == 200 {
                assert_eq!(answer.headers()["content-type"], "application/json");
                let text = answer.text().await.unwrap();
                assert!(!text.contains(hidden(self.hapi.base_url())) && !text.contains("Binary"), "{text}");
                return serde_json::from_str(&text).unwrap();
            }
            assert_eq!(answer.status(), 202, "{answer:?}");
            assert!(answer.headers().contains_key("x-progress"), "{answer:?}");
            assert!(since.elapsed() < DONE_WITHIN, "the export does not end");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn reads(&self, file: &str) {
        let answer = self.get("program", file).await;
        let kind = answer.headers()["content-type"].to_str().unwrap();
        assert!(answer.status() == 200 && kind.starts_with("application/fhir+ndjson"), "{answer:?}");
        let text = answer.text().await.unwrap();
        let mut ids: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone())
            .filter(|id| id.as_str().is_some_and(|id| id.starts_with("exports-")))
            .collect();
        ids.sort_by_key(Value::to_string);
        assert_eq!(ids, ["exports-other", "exports-own"], "{text}");
    }

    /// In the words of what is not there.
    async fn nobody_else_follows(&self, link: &str, what: &str) {
        let (name, _) = link.rsplit_once('=').unwrap();
        for (who, url) in [
            ("another", link),
            ("patient", link),
            ("program", &format!("{name}=1-2-3")),
            ("program", &self.url("$export-poll-status")),
        ] {
            for method in [Method::GET, Method::DELETE] {
                let answer = self.send(method.clone(), who, url).await;
                let status = answer.status();
                let outcome: Value = answer.json().await.unwrap();
                assert_eq!(status, 404, "{what}: {method} by {who}: {outcome}");
                let said = outcome["issue"][0]["diagnostics"].as_str().unwrap();
                assert!(said.starts_with("there is no such job, or it is over ("), "{said}");
            }
        }
    }

    /// HAPI's own names of the job and its files, which somebody may have come by.
    async fn raw_names_lead_nowhere(&self, job: &str) {
        // An equal export that is over may be joined or done anew: either has files.
        let begun = self.client.get(format!("{}/$export?_type={TYPE}", self.hapi.base_url()));
        let begun = begun.header("Prefer", "respond-async").send().await.unwrap();
        let raw = begun.headers()["content-location"].to_str().unwrap().to_owned();
        let id = raw.rsplit_once('=').unwrap().1;
        assert!(!job.contains(id), "{job}");
        let since = Instant::now();
        let manifest: Value = loop {
            let answer = self.client.get(&raw).send().await.unwrap();
            if answer.status() == 200 {
                break answer.json().await.unwrap();
            }
            assert!(since.elapsed() < DONE_WITHIN, "HAPI's export does not end");
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        let file = manifest["output"][0]["url"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        for who in ["program", "patient"] {
            for target in
                [format!("$export-poll-status?_jobId={id}"), format!("$export-poll-status?_file={file}")]
            {
                assert_eq!(self.get(who, &self.url(&target)).await.status(), 404, "{who}: {target}");
            }
        }
        for accept in ["application/fhir+json", "application/fhir+ndjson", "*/*"] {
            let asked = self.client.get(self.url(&format!("Binary/{file}"))).header("Accept", accept);
            let answer = asked.bearer_auth(self.token("patient")).send().await.unwrap();
            assert!(answer.status().is_client_error(), "{accept}: {answer:?}");
            let text = answer.text().await.unwrap();
            assert!(!text.contains("exports-") && !text.contains("\"data\""), "{accept}: {text}");
        }
    }

    /// Cancelled by its holder, with a token that is newer still.
    async fn ends(&self, job: &str) {
        let ended = self.send(Method::DELETE, "program", job).await;
        // HAPI's 404: what is over cannot be cancelled.
        assert!([202, 404].contains(&ended.status().as_u16()), "{ended:?}");
    }
}
