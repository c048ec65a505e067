//! Values by their keys.

use std::collections::HashMap;
use std::time::Duration;

use fireguard_state::{Embedded, Entry, KeyValue, Quota, StateError};
use proptest::prelude::*;

use crate::{Time, fresh};

const WIDE: Quota = Quota { entries: 1000, bytes: 1 << 20 };

fn entry(key: &str, value: &str) -> Entry {
    Entry { key: key.to_owned(), value: value.as_bytes().to_vec(), stays: None }
}

fn fleeting(key: &str, value: &str, seconds: u64) -> Entry {
    Entry { stays: Some(Duration::from_secs(seconds)), ..entry(key, value) }
}

async fn read(store: &dyn KeyValue, namespace: &str, keys: &[&str]) -> Vec<Option<String>> {
    let keys = keys.iter().map(|key| (*key).to_owned()).collect();
    let values = store.get(namespace, keys).await.unwrap();
    values.into_iter().map(|value| value.map(|value| String::from_utf8(value).unwrap())).collect()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

async fn keeps_namespaces_apart(store: &dyn KeyValue) {
    store.set("a", vec![entry("k", "1"), entry("l", "2"), entry("k", "3")], WIDE).await.unwrap();
    store.set("b", vec![entry("k", "4")], WIDE).await.unwrap();
    assert_eq!(read(store, "a", &["l", "k", "none", "k"]).await, [some("2"), some("3"), None, some("3")]);
    store.delete("a", vec!["k".to_owned(), "none".to_owned()]).await.unwrap();
    assert_eq!(read(store, "a", &["k", "l"]).await, [None, some("2")]);
    assert_eq!(read(store, "b", &["k"]).await, [some("4")]);
}

async fn swaps_what_is_expected(store: &dyn KeyValue, time: &Time) {
    let swap = async |value: &str, expected: Option<&str>| {
        let expected = expected.map(|expected| expected.as_bytes().to_vec());
        store.swap("s", entry("k", value), expected, WIDE).await.unwrap()
    };
    for (value, expected, swapped) in [
        ("1", Some("0"), false),
        ("1", None, true),
        ("2", None, false),
        ("2", Some("0"), false),
        ("2", Some("1"), true),
        ("3", Some("1"), false),
    ] {
        assert_eq!(swap(value, expected).await, swapped, "{value} {expected:?}");
    }
    store.set("s", vec![fleeting("k", "gone soon", 1)], WIDE).await.unwrap();
    time.passes(1000);
    assert!(swap("4", None).await, "what has expired is not there");
    assert_eq!(read(store, "s", &["k"]).await, [some("4")]);
}

async fn forgets_what_expires(store: &dyn KeyValue, time: &Time) {
    store.set("e", vec![fleeting("k", "1", 10), entry("stays", "1")], WIDE).await.unwrap();
    time.passes(9_999);
    assert_eq!(read(store, "e", &["k"]).await, [some("1")]);
    store.set("e", vec![fleeting("k", "2", 10)], WIDE).await.unwrap();
    time.passes(9_999);
    assert_eq!(read(store, "e", &["k"]).await, [some("2")], "setting it again begins anew");
    time.passes(1);
    assert_eq!(read(store, "e", &["k", "stays"]).await, [None, some("1")]);
}

async fn counts_against_the_quota(store: &dyn KeyValue, time: &Time) {
    let small = Quota { entries: 3, bytes: 20 };
    let set = async |entries: Vec<Entry>| store.set("q", entries, small).await;
    set(vec![entry("a", "1"), entry("b", "2")]).await.unwrap();
    let over = set(vec![entry("c", "3"), entry("d", "4")]).await;
    assert_eq!(over, Err(StateError::Entries { most: 3 }));
    assert_eq!(read(store, "q", &["c"]).await, [None], "all of them or none");
    // "a" and "b" with their values are four bytes; multi-byte characters count as what they are.
    assert_eq!(set(vec![entry("€", "12345678901234")]).await, Err(StateError::Bytes { most: 20 }));
    set(vec![entry("€", "1234567890123")]).await.unwrap();
    assert_eq!(store.swap("q", entry("d", ""), None, small).await, Err(StateError::Entries { most: 3 }));
    set(vec![entry("€", "1")]).await.unwrap();
    store.delete("q", vec!["a".to_owned(), "b".to_owned(), "€".to_owned()]).await.unwrap();
    set(vec![fleeting("x", "1", 1), fleeting("y", "1", 1), fleeting("z", "1", 1)]).await.unwrap();
    assert!(set(vec![entry("w", "1")]).await.is_err());
    time.passes(1000);
    set(vec![entry("w", "1")]).await.unwrap();
    store.set("other", vec![entry("a", "1"); 9], small).await.unwrap();
}

#[tokio::test]
async fn key_value() {
    let fresh = fresh();
    keeps_namespaces_apart(&fresh.store).await;
    swaps_what_is_expected(&fresh.store, &fresh.time).await;
    forgets_what_expires(&fresh.store, &fresh.time).await;
    counts_against_the_quota(&fresh.store, &fresh.time).await;
}

#[tokio::test]
async fn it_is_there_when_it_is_opened_again_and_by_two_at_once() {
    let fresh = fresh();
    fresh.store.set("n", vec![entry("k", "1")], WIDE).await.unwrap();
    let successor = Embedded::open(fresh.folder.path()).unwrap();
    assert_eq!(read(&successor, "n", &["k"]).await, [some("1")]);
    let writes = (0..50).map(|n| {
        let store = if n % 2 == 0 { fresh.store.clone() } else { successor.clone() };
        tokio::spawn(async move { store.set("n", vec![entry(&format!("k{n}"), "1")], WIDE).await })
    });
    for write in writes.collect::<Vec<_>>() {
        write.await.unwrap().unwrap();
    }
    assert_eq!(read(&fresh.store, "n", &["k0", "k49"]).await, [some("1"), some("1")]);
}

#[tokio::test]
async fn many_who_swap_at_once_count_right() {
    let fresh = fresh();
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let store = fresh.store.clone();
        tasks.push(tokio::spawn(async move {
            for _ in 0..25 {
                loop {
                    let before = store.get("n", vec!["k".to_owned()]).await.unwrap().remove(0);
                    let count = before.as_deref().map_or(0, |b| String::from_utf8_lossy(b).parse().unwrap());
                    let after = entry("k", &u32::to_string(&(count + 1)));
                    if store.swap("n", after, before, WIDE).await.unwrap() {
                        break;
                    }
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(read(&fresh.store, "n", &["k"]).await, [some("200")]);
}

#[derive(Debug, Clone)]
enum Step {
    Set(u8, u8, Option<u8>),
    Delete(u8),
    Wait(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..6u8, any::<u8>(), proptest::option::of(1..5u8)).prop_map(|(k, v, e)| Step::Set(k, v, e)),
        (0..6u8).prop_map(Step::Delete),
        (1..5u8).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// As a map would, and what it counts never drifts from what is there.
    #[test]
    fn it_does_as_a_map_does(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let fresh = fresh();
            let (mut model, mut now) = (HashMap::new(), 0u64);
            for step in steps {
                match step {
                    Step::Set(key, value, stays) => {
                        let stays = stays.map(u64::from);
                        let set = Entry {
                            key: key.to_string(),
                            value: vec![value; usize::from(value)],
                            stays: stays.map(Duration::from_secs),
                        };
                        fresh.store.set("n", vec![set], WIDE).await.unwrap();
                        model.insert(key, (value, stays.map(|stays| now + stays)));
                    }
                    Step::Delete(key) => {
                        fresh.store.delete("n", vec![key.to_string()]).await.unwrap();
                        model.remove(&key);
                    }
                    Step::Wait(seconds) => {
                        fresh.time.passes(u64::from(seconds) * 1000);
                        now += u64::from(seconds);
                    }
                }
                model.retain(|_, (_, until)| until.is_none_or(|until| until > now));
                let found = fresh.store.get("n", (0..6u8).map(|key| key.to_string()).collect()).await.unwrap();
                let expected = (0..6u8).map(|key| model.get(&key).map(|(v, _)| vec![*v; usize::from(*v)]));
                assert_eq!(found, expected.collect::<Vec<_>>());
            }
            // What is there fits a quota of exactly its size, and no smaller one.
            let bytes = model.values().map(|(value, _)| 1 + u64::from(*value)).sum::<u64>();
            let exact = Quota { entries: model.len() as u64, bytes };
            fresh.store.set("n", Vec::new(), exact).await.unwrap();
            if bytes > 0 {
                let less = Quota { bytes: bytes - 1, ..exact };
                let over = fresh.store.set("n", Vec::new(), less).await;
                assert_eq!(over, Err(StateError::Bytes { most: bytes - 1 }));
            }
        });
    }
}
