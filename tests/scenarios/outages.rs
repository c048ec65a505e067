//! HAPI on PostgreSQL that runs out of connections, stands still, and is killed, each in the middle of work: no
//! wrong answer, no write lost that was accepted, none made twice, and all is well again by itself.

mod load;

use std::sync::Arc;

use fireguard_test_support::hapi::{End, Hapi, Options};

use crate::common::world::{config, gateway};
use load::Load;

/// Short enough that a HAPI that stands still is given up while the test looks on.
const LIMITS: &str = r#"
[limits]
answer_head = "5s"
bundle_answer_head = "5s"
"#;

const CLIENTS: usize = 32;

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_kept_and_made_once_whatever_happens_to_hapi() {
    let options = Options::default().postgres().setting("pool.size", "2").setting("pool.wait.ms", "1000");
    let options = options.without_jobs().setting("page.max", "5000");
    let hapi = Hapi::start(options).await.expect("a HAPI on PostgreSQL");
    let gateway = gateway(&config(LIMITS), hapi.base_url()).await;
    let base = format!("{}/fhir", gateway.url());
    let load = Arc::new(Load::prepare(&base, hapi.base_url()).await);

    load.phase("out of connections");
    load.at_once(200).await;
    load.recovers().await;

    load.phase("standing still");
    let clients = load.begin(CLIENTS);
    load.until_answered(CLIENTS, |status| status < 300).await;
    hapi.freeze();
    load.until_answered(CLIENTS, |status| status == 504).await;
    hapi.thaw();
    load.recovers().await;
    clients.end().await;

    load.phase("killed");
    let clients = load.begin(CLIENTS);
    load.until_answered(CLIENTS, |status| status < 300).await;
    let hapi = hapi.restart(End::Killed).await.expect("the same HAPI again");
    load.recovers().await;
    clients.end().await;

    load.account(&hapi).await;
}
