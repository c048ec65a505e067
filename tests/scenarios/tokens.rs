//! A real identity provider: Keycloak's tokens before a real HAPI. One test, because it changes what all would share.

use std::time::{Duration, Instant};

use fireguard_test_support::issuer::AUDIENCE;
use fireguard_test_support::keycloak::{ANN, Error, Keycloak, Realm};
use reqwest::StatusCode;
use serde_json::Value;

use crate::common::resources::{bundle, entry, observation, patient};
use crate::common::world::{World, config, folder};

#[tokio::test]
async fn a_real_identity_provider() {
    let keycloak = match Keycloak::shared().await {
        Ok(keycloak) => keycloak,
        Err(Error::Install(missing)) => return println!("skipped: {missing}"),
        Err(error) => panic!("{error}"),
    };
    let site = Site::start(keycloak.realm()).await;
    site.tells_how_to_get_a_token().await;
    site.lets_in_who_has_one().await;
    site.takes_no_other().await;
    site.pages_with_a_refreshed_token().await;
    site.ends_with_the_token().await;
    site.learns_what_was_revoked().await;
    site.follows_a_rotation().await;
}

/// `/clinic` believes signatures, `/asked` asks Keycloak about each token besides, `/fhir` is open.
struct Site {
    world: World,
    realm: &'static Realm,
}

impl Site {
    async fn start(realm: &'static Realm) -> Self {
        let secret = folder("keycloak").join("secret");
        std::fs::write(&secret, realm.secret()).unwrap();
        let url = realm.url();
        let tables = format!(
            "[issuers.keycloak]\nurl = \"{url}\"\naudience = [\"{AUDIENCE}\"]\nclock_skew = \"0s\"\n\
             [issuers.asked]\nurl = \"{url}\"\naudience = [\"{AUDIENCE}\"]\n\
             introspection = {{ client_id = \"fireguard\", client_secret = \"file:{}\", tokens = \"all\" }}\n\
             [routes.clinic]\npath = \"/clinic\"\nupstream = \"hapi\"\nauthentication = [\"keycloak\"]\n\
             [routes.asked]\npath = \"/asked\"\nupstream = \"hapi\"\nauthentication = [\"asked\"]\n",
            secret.display()
        );
        let world = World::with(&config(&tables)).await;
        let one = |n: u32| {
            let id = format!("tokens-{n}");
            let stored = observation(&id, &format!("Patient/{ANN}"), "1.0");
            entry("PUT", &format!("Observation/{id}"), Some(stored))
        };
        let ann = entry("PUT", &format!("Patient/{ANN}"), Some(patient(ANN, "Tokens")));
        let entries = [ann].into_iter().chain((0..12).map(one));
        let stored = world.client.post(world.base()).header("Content-Type", "application/fhir+json");
        let stored = stored.body(bundle("transaction", entries.collect()).to_string()).send().await.unwrap();
        assert_eq!(stored.status(), StatusCode::OK);
        Self { world, realm }
    }

    async fn get(&self, target: &str, token: &str) -> (StatusCode, Value) {
        let request = self.world.client.get(format!("{}{target}", self.world.gateway.url()));
        let answer = request.bearer_auth(token).send().await.unwrap();
        let status = answer.status();
        (status, answer.json().await.unwrap_or_default())
    }

    async fn tells_how_to_get_a_token(&self) {
        let (status, smart) = self.get("/clinic/.well-known/smart-configuration", "x").await;
        assert_eq!(status, StatusCode::OK);
        for (member, end) in [("token_endpoint", "/token"), ("authorization_endpoint", "/auth")] {
            let expected = format!("{}/protocol/openid-connect{end}", self.realm.url());
            assert_eq!(smart[member], expected.as_str(), "{smart}");
        }
        let capabilities = smart["capabilities"].as_array().unwrap();
        for one in ["permission-v2", "client-public", "launch-standalone"] {
            assert!(capabilities.contains(&one.into()), "{smart}");
        }
        let (_, metadata) = self.get("/clinic/metadata", "x").await;
        let security = &metadata["rest"][0]["security"];
        assert_eq!(security["service"][0]["coding"][0]["code"], "SMART-on-FHIR");
        assert_eq!(security["extension"][0]["extension"][0]["valueUri"], smart["token_endpoint"]);
        assert_eq!(self.get("/fhir/.well-known/smart-configuration", "x").await.0, StatusCode::NOT_FOUND);
    }

    async fn lets_in_who_has_one(&self) {
        let ann = self.realm.login("app", "ann", "openid launch/patient patient/*.rs").unwrap();
        let nora = self.realm.login("app", "nora", "user/*.cruds").unwrap();
        let backend = self.realm.client("backend", "system/*.rs").unwrap();
        for token in [&ann.access, &nora.access, &backend.access] {
            for route in ["clinic", "asked"] {
                let (status, body) = self.get(&format!("/{route}/Patient/{ANN}"), token).await;
                assert_eq!((status, &body["id"]), (StatusCode::OK, &ANN.into()), "{body}");
            }
        }
        let without_scopes = self.realm.login("app", "ann", "openid").unwrap();
        let (status, _) = self.get(&format!("/clinic/Patient/{ANN}"), &without_scopes.access).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "nothing was granted");
    }

    async fn takes_no_other(&self) {
        let ann = self.realm.login("app", "ann", "openid patient/*.rs").unwrap();
        let elsewhere = self.realm.login("elsewhere", "nora", "user/*.cruds").unwrap();
        for (what, token) in [
            ("an ID token", &ann.id),
            ("a refresh token", &ann.refresh),
            ("another audience", &elsewhere.access),
        ] {
            for route in ["clinic", "asked"] {
                let (status, body) = self.get(&format!("/{route}/Patient/{ANN}"), token).await;
                assert_eq!(status, StatusCode::UNAUTHORIZED, "{what} on /{route}: {body}");
            }
        }
    }

    async fn pages_with_a_refreshed_token(&self) {
        let first = self.realm.login("app", "nora", "user/*.cruds").unwrap();
        let (status, page) = self.get("/clinic/Observation?_count=5&_sort=_id", &first.access).await;
        assert_eq!(status, StatusCode::OK);
        let links = page["link"].as_array().unwrap();
        let next = links.iter().find(|link| link["relation"] == "next").expect("a second page");
        let next = next["url"].as_str().unwrap().strip_prefix(&self.world.gateway.url()).unwrap();
        let second = self.realm.refresh("app", &first).unwrap();
        assert_ne!(second.access, first.access);
        assert_eq!(self.get(next, &second.access).await.0, StatusCode::OK);
        let other = self.realm.client("backend", "system/*.rs").unwrap();
        assert_eq!(self.get(next, &other.access).await.0, StatusCode::BAD_REQUEST, "another's page");
    }

    async fn ends_with_the_token(&self) {
        let brief = self.realm.login("brief", "nora", "user/*.cruds").unwrap();
        let target = format!("/clinic/Patient/{ANN}");
        let since = Instant::now();
        while self.get(&target, &brief.access).await.0 != StatusCode::UNAUTHORIZED {
            assert!(since.elapsed() < Duration::from_secs(10), "it does not end");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn learns_what_was_revoked(&self) {
        let known = self.realm.login("app", "nora", "user/*.cruds").unwrap();
        let target = |route: &str| format!("/{route}/Patient/{ANN}");
        assert_eq!(self.get(&target("clinic"), &known.access).await.0, StatusCode::OK);
        self.realm.revoke("app", &known).unwrap();
        assert_eq!(self.get(&target("asked"), &known.access).await.0, StatusCode::UNAUTHORIZED);
        // A signature stays good to its end: who wants more asks.
        assert_eq!(self.get(&target("clinic"), &known.access).await.0, StatusCode::OK);
    }

    async fn follows_a_rotation(&self) {
        let before = self.realm.login("app", "nora", "user/*.cruds").unwrap();
        self.realm.rotate().unwrap();
        let after = self.realm.login("app", "nora", "user/*.cruds").unwrap();
        let target = format!("/clinic/Patient/{ANN}");
        assert_eq!(self.get(&target, &after.access).await.0, StatusCode::OK);
        assert_eq!(self.get(&target, &before.access).await.0, StatusCode::UNAUTHORIZED, "a withdrawn key");
    }
}
