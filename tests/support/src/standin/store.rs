//! A server that stores what it is sent, counts what it carried out, and fails at random.
//!
//! Clients put a mark of their own into each write, [`mark`]; afterwards [`Store::carried_out`] tells how often that
//! one was carried out, whatever became of its answer.

mod faults;
mod resources;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::receive::{Received, read_body, read_head};
use faults::{Commits, Fault};
use resources::{Outcome, Resources};

/// How often it fails.
#[derive(Debug, Clone, Copy)]
pub struct Odds {
    /// Of all requests, in percent.
    pub requests: u8,
    /// Of the entries of a batch that is carried out, throttled ones, in percent.
    pub entries: u8,
    /// Of the answers to batches, those without their last entry, in percent.
    pub short: u8,
}

/// A running store. Dropping it ends its connections and frees its port.
#[derive(Debug)]
pub struct Store {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    odds: Odds,
    seed: u64,
    connections: AtomicU64,
    resources: Mutex<Resources>,
    faults: Mutex<BTreeMap<&'static str, u64>>,
}

/// The text that marks a write; it may stand anywhere in a resource.
pub fn mark(number: u64) -> String {
    format!("mark-{number};")
}

impl Store {
    /// Listens on a free port of the loopback interface. The seed decides what each connection, by its number,
    /// will go through.
    ///
    /// # Errors
    /// No port can be opened.
    pub async fn start(seed: u64, odds: Odds) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            odds,
            seed,
            connections: AtomicU64::new(0),
            resources: Mutex::default(),
            faults: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting })
    }

    /// The FHIR base without a slash at its end.
    pub fn base_url(&self) -> String {
        format!("http://{}/fhir", self.address)
    }

    /// How often the write with this mark was carried out.
    pub fn carried_out(&self, mark: u64) -> u32 {
        lock(&self.shared.resources).carried_out(mark)
    }

    /// The current version of `Patient/[id]`; none: it was never there, or is deleted.
    pub fn version(&self, id: &str) -> Option<usize> {
        lock(&self.shared.resources).version(id)
    }

    /// How many resources were created.
    pub fn created(&self) -> usize {
        lock(&self.shared.resources).created()
    }

    /// What went wrong, by name, and how often.
    pub fn faults(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.shared.faults).clone()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn note(&self, fault: &'static str) {
        *lock(&self.faults).entry(fault).or_default() += 1;
    }

    /// What the server answers, if it carries the request out.
    fn carry_out(&self, request: &Received, rng: &mut Rng) -> Outcome {
        let resources = &mut lock(&self.resources);
        let is_base = matches!(request.path(), "/fhir" | "/fhir/");
        if request.method != "POST" || !is_base {
            return resources.carry_out(request);
        }
        resources.bundle(&request.body, |entries| {
            let throttled = (rng.u8(..100) < self.odds.entries).then(|| self.note("throttled entry"));
            if throttled.is_some() {
                return resources::Entry::Throttled;
            }
            let last = entries.is_last && rng.u8(..100) < self.odds.short;
            if last {
                self.note("short answer");
                return resources::Entry::LeftOut;
            }
            resources::Entry::CarriedOut
        })
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves requests one after another until either side ends the connection.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let number = shared.connections.fetch_add(1, Ordering::Relaxed);
    let mut rng = Rng::with_seed(shared.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let _ = stream.set_nodelay(true);
    let (read, mut writer) = stream.into_split();
    let mut reader = BufReader::new(read);
    while let Ok(Some(mut request)) = read_head(&mut reader, 0).await {
        let mut body = Vec::new();
        // Half a request is none.
        if read_body(&mut reader, &request, &mut body).await.is_err() {
            return;
        }
        request.body = body;
        let faulty = rng.u8(..100) < shared.odds.requests && request.path() != "/fhir/metadata";
        let fault = faulty.then(|| Fault::choose(&mut rng));
        if let Some(fault) = fault {
            shared.note(fault.name());
        }
        let outcome = match fault.map(Fault::commits) {
            Some(Commits::No) => None,
            None | Some(Commits::Yes) => Some(shared.carry_out(&request, &mut rng)),
        };
        let answer = faults::answer(fault, outcome, request.method == "HEAD");
        for piece in &answer.pieces {
            if writer.write_all(piece).await.is_err() {
                return;
            }
            if answer.pieces.len() > 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        if answer.reset {
            let _ = writer.as_ref().set_zero_linger();
            writer.forget();
            return;
        }
        if answer.close {
            return;
        }
    }
}

/// A test that panicked while it held the lock has failed already; the others may go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
