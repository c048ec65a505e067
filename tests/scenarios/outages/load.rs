//! Clients that write, read and search, and remember what they were told.

mod ask;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fireguard_test_support::hapi::Hapi;
use futures_util::future::join_all;
use reqwest::Client;
use serde_json::Value;
use tokio::task::JoinHandle;

use self::ask::{Ask, KNOWN, Told, known};
use crate::common::raw::PATIENCE;
use crate::common::resources::{bundle, entry};
use crate::common::world::{client, hidden};

/// What everything is marked with.
const MARK: &str = "zq-outages";

/// Asks that were answered, and whatever was wrong about an answer.
pub(super) struct Load {
    client: Client,
    base: String,
    direct: String,
    next: AtomicUsize,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    phase: &'static str,
    /// Identifiers of one write, in the order of its entries, and what was told of each.
    writes: Vec<Vec<(String, Told)>>,
    /// How many answers of each status in each phase; 0: none.
    statuses: BTreeMap<(&'static str, u16), usize>,
    faults: Vec<String>,
}

/// Clients at work.
pub(super) struct Clients {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// Stores what reads and searches will look for.
    pub(super) async fn prepare(base: &str, direct: &str) -> Self {
        let client = client();
        let puts = (0..KNOWN).map(|n| {
            let patient = known(n);
            entry("PUT", &format!("Patient/{}", patient["id"].as_str().unwrap()), Some(patient))
        });
        let stored = client.post(direct).header("Content-Type", "application/fhir+json");
        let stored = stored.body(bundle("transaction", puts.collect()).to_string()).send().await.unwrap();
        assert_eq!(stored.status(), 200, "{}", stored.text().await.unwrap());
        let (base, direct) = (base.to_owned(), direct.to_owned());
        Self { client, base, direct, next: AtomicUsize::new(0), book: Mutex::default() }
    }

    /// What follows is counted under this name.
    pub(super) fn phase(&self, name: &'static str) {
        self.book.lock().unwrap().phase = name;
    }

    /// So many asks at one time.
    pub(super) async fn at_once(&self, asks: usize) {
        join_all((0..asks).map(|_| self.one())).await;
    }

    /// So many clients that go on asking.
    pub(super) fn begin(self: &Arc<Self>, clients: usize) -> Clients {
        let stop = Arc::new(AtomicBool::new(false));
        let task = |_| {
            let (load, stop) = (Arc::clone(self), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    if load.one().await >= 400 {
                        // A client that goes on at once only takes the processor from the server.
                        tokio::time::sleep(Duration::from_millis(500)).await;
                    }
                }
            })
        };
        Clients { tasks: (0..clients).map(task).collect(), stop }
    }

    /// Waits until so many more answers were of such a status.
    pub(super) async fn until_answered(&self, more: usize, such: impl Fn(u16) -> bool) {
        let count = || -> usize {
            let book = self.book.lock().unwrap();
            let statuses =
                book.statuses.iter().filter(|((phase, status), _)| *phase == book.phase && such(*status));
            statuses.map(|(_, count)| count).sum()
        };
        let wanted = count() + more;
        let reached = async {
            while count() < wanted {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("so many answers in time");
    }

    /// Waits until one of each kind was carried out, one after another.
    pub(super) async fn recovers(&self) {
        let all_well = async {
            let mut well = 0;
            while well < Ask::KINDS {
                well = if self.one().await < 300 { well + 1 } else { 0 };
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, all_well).await.expect("it recovers");
    }

    /// Compares what was told with what HAPI holds.
    pub(super) async fn account(&self, hapi: &Hapi) {
        let stored = self.settled().await;
        let mut book = std::mem::take(&mut *self.book.lock().unwrap());
        for ((phase, status), count) in &book.statuses {
            println!("{phase}: {count} answers {status}");
        }
        println!("{} resources stored", stored.len());
        for write in &book.writes {
            let counts: Vec<_> = write.iter().map(|(id, _)| stored.get(id).copied().unwrap_or(0)).collect();
            for ((identifier, told), count) in write.iter().zip(&counts) {
                match (told, count) {
                    (Told::Done | Told::Unknown | Told::Whole, 1)
                    | (Told::NotDone | Told::Unknown | Told::Whole, 0) => {}
                    _ => book.faults.push(format!("{identifier}: told {told:?}, {count} stored")),
                }
            }
            if matches!(write[0].1, Told::Whole) && counts.iter().any(|count| *count != counts[0]) {
                book.faults.push(format!("{}: a part of a transaction", write[0].0));
            }
        }
        assert!(stored.len() > 500, "little was done: {}, see {}", stored.len(), hapi.log().display());
        let faults = &book.faults[..book.faults.len().min(20)];
        assert!(faults.is_empty(), "{} faults, such as\n{}", book.faults.len(), faults.join("\n"));
    }

    /// Sends one ask and returns the status; 0: there was no whole answer.
    async fn one(&self) -> u16 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let ask = Ask::of(number);
        let answer = async {
            let answer = ask.request(&self.client, &self.base).send().await?;
            Ok::<_, reqwest::Error>((answer.status().as_u16(), answer.bytes().await?))
        };
        let (status, told) = match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok((status, body))) => {
                let judged = ask.judge(status, &body).and_then(|told| {
                    let text = String::from_utf8_lossy(&body);
                    let hides = !text.contains(hidden(&self.direct));
                    if hides { Ok(told) } else { Err("it names the server".to_owned()) }
                });
                (status, judged)
            }
            // A server that is killed in the middle of an answer.
            Ok(Err(_)) => (0, Ok(ask.unknown())),
            Err(_) => (0, Err("no answer at all".to_owned())),
        };
        let mut book = self.book.lock().unwrap();
        let phase = book.phase;
        *book.statuses.entry((phase, status)).or_default() += 1;
        match told {
            Ok(told) if told.is_empty() => {}
            Ok(told) => book.writes.push(told),
            Err(fault) => book.faults.push(format!("{phase}: {ask:?}: {status}: {fault}")),
        }
        status
    }

    /// How often each identifier is stored, once HAPI has done all that it was still about.
    async fn settled(&self) -> BTreeMap<String, usize> {
        let mut before = self.stored().await;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = self.stored().await;
            if now == before {
                return now;
            }
            before = now;
        }
    }

    async fn stored(&self) -> BTreeMap<String, usize> {
        let mut stored = BTreeMap::new();
        let mut next = Some(format!("{}/Patient?_tag={MARK}&_elements=identifier&_count=5000", self.direct));
        while let Some(url) = next {
            let page = self.client.get(url).header("Cache-Control", "no-cache").send().await.unwrap();
            let page: Value = page.json().await.unwrap();
            for entry in page["entry"].as_array().into_iter().flatten() {
                let identifier = entry["resource"]["identifier"][0]["value"].as_str().unwrap();
                *stored.entry(identifier.to_owned()).or_default() += 1;
            }
            let mut links = page["link"].as_array().unwrap().iter();
            next = links
                .find(|link| link["relation"] == "next")
                .map(|link| link["url"].as_str().unwrap().to_owned());
        }
        stored
    }
}

impl Clients {
    /// Lets them finish what they are about.
    pub(super) async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}
