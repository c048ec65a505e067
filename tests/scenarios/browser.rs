//! An app in a browser: npm `fhirclient` in headless Chromium launches as SMART says, through Keycloak's own form, and
//! reads across origins through Fireguard.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use fireguard_test_support::issuer::AUDIENCE;
use fireguard_test_support::keycloak::{ANN, Error, Keycloak, Realm};
use fireguard_test_support::{install, repository};
use serde_json::{Value, json};

use crate::clients::{installed, progress};
use crate::common::resources::{bundle, entry, observation, patient};
use crate::common::world::{World, config};

const CLIENT: &str = "browser-app";
const SCOPE: &str = "openid fhirUser launch/patient patient/*.rs";

#[tokio::test]
async fn a_smart_launch_in_a_browser() {
    let Some(chromium) = installed(install::chromium(&progress)) else { return };
    let Some(modules) = installed(install::node_clients(&progress)) else { return };
    let keycloak = match Keycloak::shared().await {
        Ok(keycloak) => keycloak,
        Err(Error::Install(missing)) => return println!("skipped: {missing}"),
        Err(error) => panic!("{error}"),
    };
    let realm = keycloak.realm();
    let folder = repository::root().join("tests/support/clients/browser");
    let mut driver = Command::new("node");
    driver.arg(folder.join("driver.mjs")).args([&chromium, &modules]);
    let mut driver =
        driver.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let origins: Vec<String> = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    let [app, stranger] = &origins[..] else { panic!("{origins:?}") };
    realm.register(CLIENT, &origins).unwrap();
    let world = world(realm, app).await;

    let base = format!("{}/app", world.gateway.url());
    let asks = json!({
        "iss": base, "client": CLIENT, "scope": SCOPE, "user": "ann", "password": realm.password(),
    });
    let mut stdin = driver.stdin.take().unwrap();
    writeln!(stdin, "{asks}").unwrap();
    let printed = tokio::task::spawn_blocking(move || lines.next()).await.unwrap();
    assert!(driver.wait().unwrap().success());
    let seen: Value = serde_json::from_str(&printed.unwrap().unwrap()).unwrap();

    launched_as_smart_says(&seen, &base, app);
    read_what_is_the_patients(&seen, &base);
    another_origin_reads_nothing(&seen["stranger"], &seen["stolen"]);
    preflights_are_answered_here(&world, stranger).await;
}

/// `/app` lets in who has a token, for pages of this origin.
async fn world(realm: &Realm, origin: &str) -> World {
    let tables = format!(
        "[issuers.keycloak]\nurl = \"{}\"\naudience = [\"{AUDIENCE}\"]\n\
         [routes.app]\npath = \"/app\"\nupstream = \"hapi\"\nauthentication = [\"keycloak\"]\n\
         cors.origins = [\"{origin}\"]\n",
        realm.url()
    );
    let world = World::with(&config(&tables)).await;
    let other = "browser-other";
    let observations = (0..8).map(|n| (format!("browser-{n}"), ANN));
    let observations = observations.chain([("browser-8".to_owned(), other)]);
    let people = [ANN, other].map(|id| entry("PUT", &format!("Patient/{id}"), Some(patient(id, "Browser"))));
    let entries = people.into_iter().chain(observations.map(|(id, of)| {
        let stored = observation(&id, &format!("Patient/{of}"), "1.0");
        entry("PUT", &format!("Observation/{id}"), Some(stored))
    }));
    let stored = world.client.post(world.base()).header("Content-Type", "application/fhir+json");
    let stored = stored.body(bundle("transaction", entries.collect()).to_string()).send().await.unwrap();
    assert_eq!(stored.status(), 200);
    world
}

fn launched_as_smart_says(seen: &Value, base: &str, app: &str) {
    let asked = &seen["asked"];
    for (parameter, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("scope", SCOPE),
        ("aud", base),
        ("redirect_uri", &format!("{app}/app.html")),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(asked[parameter], value, "{asked}");
    }
    assert!(asked["code_challenge"].is_string() && asked["state"].is_string(), "{asked}");
}

fn read_what_is_the_patients(seen: &Value, base: &str) {
    assert_eq!(seen["base"].as_str().map(|url| url.trim_end_matches('/')), Some(base), "{seen}");
    for whose in ["patient", "user"] {
        assert_eq!(seen[whose]["id"], ANN, "{seen}");
    }
    let ids = |page: &Value| -> Vec<String> { serde_json::from_value(page.clone()).unwrap() };
    let pages: Vec<_> = seen["pages"].as_array().unwrap().iter().map(ids).collect();
    assert_eq!(pages.len(), 2, "{pages:?}");
    assert!(pages[0].len() == 5 && pages.concat().iter().all(|id| id != "browser-8"), "{pages:?}");
    assert!(seen["etag"].as_str().is_some_and(|tag| tag.starts_with("W/")), "{seen}");
    assert_eq!((&seen["another"], &seen["anothers"]), (&json!(404), &json!([])), "{seen}");
    assert_eq!(seen["written"], 403, "{seen}");
}

/// Not even how to get a token; and not with one.
fn another_origin_reads_nothing(stranger: &Value, stolen: &Value) {
    assert!(stranger["error"].as_str().is_some_and(|error| error.contains("Failed to fetch")), "{stranger}");
    assert_eq!(stolen, "TypeError: Failed to fetch");
    let said: Vec<String> = serde_json::from_value(stranger["said"].clone()).unwrap();
    for path in ["/app/.well-known/smart-configuration", "/app/Patient"] {
        let blocked = |line: &&String| line.contains(path) && line.contains("blocked by CORS policy");
        assert!(said.iter().any(|line| blocked(&line)), "{path}: {said:?}");
    }
}

/// They never reach HAPI, and nobody else's is answered.
async fn preflights_are_answered_here(world: &World, stranger: &str) {
    let log = world.gateway.logged(r#""method":"OPTIONS""#).await;
    let lines = log.lines().filter(|line| line.contains(r#""method":"OPTIONS""#));
    let statuses: Vec<Value> = lines
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["attempts"], 0, "{line}");
            line["status"].clone()
        })
        .collect();
    for status in [204, 405] {
        assert!(statuses.contains(&json!(status)), "{stranger}: {statuses:?}");
    }
}
