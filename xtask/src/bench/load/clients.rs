//! Clients that keep their connections and ask as fast as they are answered, or at a given rate.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::answer::Answer;
use super::ask::{Load, Stream};
use crate::error::Error;

/// Clients at a given rate ask so often for what has become due.
const TICK: Duration = Duration::from_millis(1);
/// HAPI's own patience with its database, twice.
const LAST_ANSWER: Duration = Duration::from_secs(60);

/// Running clients.
pub(in crate::bench) struct Clients {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// Connections that are open until it is dropped.
pub(in crate::bench) struct Kept {
    _streams: Vec<Box<dyn Stream>>,
}

/// What has happened between two moments.
#[derive(Debug)]
pub(in crate::bench) struct Round {
    pub(in crate::bench) answered: usize,
    /// Answers that were not 2xx.
    pub(in crate::bench) refused: usize,
    pub(in crate::bench) seconds: f64,
    /// How long each answer took, the quickest first.
    times: Vec<Duration>,
}

struct Shared {
    load: Load,
    stop: AtomicBool,
    next: AtomicUsize,
    due: Semaphore,
    tally: Mutex<Tally>,
}

#[derive(Default)]
struct Tally {
    refused: usize,
    times: Vec<Duration>,
    failed: Option<Error>,
}

impl Clients {
    /// Starts them.
    pub(in crate::bench) fn start(load: &Load) -> Self {
        let shared = Arc::new(Shared {
            load: load.clone(),
            stop: AtomicBool::new(false),
            next: AtomicUsize::new(0),
            due: Semaphore::new(0),
            tally: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        for _ in 0..load.clients {
            let shared = Arc::clone(&shared);
            tasks.spawn(async move {
                if let Err(error) = shared.ask_on().await {
                    shared.tally().failed.get_or_insert(error);
                }
            });
        }
        if let Some(rate) = load.rate {
            let shared = Arc::clone(&shared);
            tasks.spawn(async move { shared.pace(rate).await });
        }
        Self { shared, tasks }
    }

    /// Waits for a right answer: who listens may still have to begin to serve.
    ///
    /// # Errors
    /// There is none, or a wrong one.
    pub(in crate::bench) async fn first(load: &Load) -> Result<(), Error> {
        let one = Load { clients: 1, ..load.clone() };
        let answer = tokio::time::timeout(LAST_ANSWER, Self::once(&one)).await;
        answer.map_err(|_| Error::Usage("a proxy does not answer the benchmark".to_owned()))?.map(drop)
    }

    /// Lets each client ask once, and keeps their connections.
    ///
    /// # Errors
    /// One is not answered, or wrongly.
    pub(in crate::bench) async fn once(load: &Load) -> Result<Kept, Error> {
        let mut asking = JoinSet::new();
        for _ in 0..load.clients {
            let load = load.clone();
            asking.spawn(async move {
                let mut stream = load.target.connect().await.map_err(Error::io("connecting"))?;
                let answer = load.ask(&mut stream, 0, &mut Vec::new()).await.map_err(Error::io("asking"))?;
                if !(200..300).contains(&answer.status) || !answer.right {
                    return Err(Error::Usage(format!(
                        "an answer ({}) is not what it should be",
                        answer.status
                    )));
                }
                Ok(stream)
            });
        }
        let mut kept = Vec::with_capacity(load.clients);
        while let Some(stream) = asking.join_next().await {
            kept.push(stream.unwrap_or_else(|_| Err(Error::Usage("a client broke down".to_owned())))?);
        }
        Ok(Kept { _streams: kept })
    }

    /// Counts what happens from now on for so long.
    ///
    /// # Errors
    /// A client was not answered, or wrongly.
    pub(in crate::bench) async fn during(&self, time: Duration) -> Result<Round, Error> {
        {
            let mut tally = self.shared.tally();
            (tally.refused, tally.times) = (0, Vec::new());
        }
        let began = Instant::now();
        tokio::time::sleep(time).await;
        let Tally { refused, mut times, failed } = std::mem::take(&mut *self.shared.tally());
        let seconds = began.elapsed().as_secs_f64();
        if let Some(error) = failed {
            return Err(error);
        }
        times.sort_unstable();
        Ok(Round { answered: times.len(), refused, seconds, times })
    }

    /// Lets every client get its last answer.
    ///
    /// # Errors
    /// One was not answered, or wrongly.
    pub(in crate::bench) async fn finish(mut self) -> Result<(), Error> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.due.close();
        let ended =
            tokio::time::timeout(LAST_ANSWER, async { while self.tasks.join_next().await.is_some() {} });
        ended.await.map_err(|_| Error::Usage("a client of the benchmark is not answered".to_owned()))?;
        self.shared.tally().failed.take().map_or(Ok(()), Err)
    }
}

impl Round {
    /// Answers a second.
    pub(in crate::bench) fn rate(&self) -> f64 {
        self.answered as f64 / self.seconds
    }

    /// The time that this part of the answers did not exceed, in milliseconds.
    pub(in crate::bench) fn quantile(&self, part: f64) -> f64 {
        let place = (self.times.len() as f64 * part) as usize;
        self.times.get(place).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask_on(&self) -> Result<(), Error> {
        let mut connection = None;
        let mut buffer = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            if self.load.rate.is_some() {
                match self.due.acquire().await {
                    Ok(permit) => permit.forget(),
                    Err(_) => return Ok(()),
                }
            }
            let mut stream = match connection.take() {
                Some(stream) => stream,
                None => self.load.target.connect().await.map_err(Error::io("connecting"))?,
            };
            let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.load.requests.len();
            let began = Instant::now();
            let answer = self.load.ask(&mut stream, turn, &mut buffer).await;
            let Answer { status, closes, right } = answer.map_err(Error::io("asking"))?;
            if !right {
                return Err(Error::Usage(format!("an answer ({status}) is not what it should be")));
            }
            {
                let mut tally = self.tally();
                if (200..300).contains(&status) {
                    tally.times.push(began.elapsed());
                } else {
                    tally.refused += 1;
                }
            }
            if !closes {
                connection = Some(stream);
            }
        }
        Ok(())
    }

    /// Hands out permits as they become due, however slowly they are used.
    async fn pace(&self, rate: f64) {
        let mut ticks = tokio::time::interval(TICK);
        let began = Instant::now();
        let mut given = 0;
        while !self.due.is_closed() {
            ticks.tick().await;
            let due = (began.elapsed().as_secs_f64() * rate) as usize;
            self.due.add_permits(due - given);
            given = due;
        }
    }
}
