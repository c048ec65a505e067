//! One plugin, many sessions and threads.

use std::time::Duration;

use bytes::Bytes;
use fireguard_plugin_host::{Allocation, Direction, Engine, EngineConfig, Plugin, Session};
use serde_json::json;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::guests::{exchange, items, spec};

#[test]
fn plugins_go_anywhere() {
    fn anywhere<T: Send + Sync + Clone + 'static>() {}
    fn movable<T: Send + 'static>() {}
    anywhere::<Engine>();
    anywhere::<Plugin>();
    movable::<Session>();
}

/// 50 sessions at once over two threads, each with a runtime of its own, on ten slots.
#[test]
fn sessions_of_many_runtimes_share_the_slots() {
    for instances in [10, 200_000] {
        let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
        let config = EngineConfig {
            instances,
            slot_wait: Duration::from_secs(300),
            templates: false,
            ..EngineConfig::default()
        };
        let engine = Engine::new(config).unwrap();
        let plugin = runtime().block_on(Plugin::load(&engine, spec(json!({ "act": "echo" })))).unwrap();
        // So many slots exceed the address space: the same without a pool.
        let expected = if instances == 10 { Allocation::Pooled } else { Allocation::OnDemand };
        assert_eq!(plugin.allocation(), expected);
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let plugin = plugin.clone();
                scope.spawn(move || runtime().block_on(sessions(plugin, thread)));
            }
        });
    }
}

async fn sessions(plugin: Plugin, thread: usize) {
    let mut sessions = JoinSet::new();
    for number in 0..25 {
        let mut session = plugin.session();
        let id = format!("{thread}/{number}");
        sessions.spawn(async move {
            for call in 0..5 {
                let resources = items(&[Bytes::from_static(b"{}")]);
                let exchange = exchange(&id);
                let verdicts =
                    session.process(&exchange, Direction::ToClient, &resources).await.expect("an answer");
                let expected = format!("{id} research read 0 to-client {call}");
                let given = format!("{:?}", verdicts[0]);
                assert_eq!(given, format!("Replace({} bytes)", expected.len()));
                tokio::task::yield_now().await;
            }
        });
    }
    while let Some(done) = sessions.join_next().await {
        done.unwrap();
    }
}
