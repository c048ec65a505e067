//! Clients that keep their connections and ask as fast as they are answered, or at a given rate.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::answer::{self, Answer};
use crate::error::Error;

/// Clients at a given rate ask so often for what has become due.
const TICK: Duration = Duration::from_millis(1);

/// Whom to ask.
#[derive(Clone)]
pub(in crate::bench) struct Target {
    pub(in crate::bench) address: SocketAddr,
    /// With it, connections use TLS.
    pub(in crate::bench) tls: Option<TlsConnector>,
}

/// What is asked, and how.
#[derive(Clone)]
pub(in crate::bench) struct Load {
    pub(in crate::bench) target: Target,
    pub(in crate::bench) clients: usize,
    /// Whole requests; the clients take turns in sending them.
    pub(in crate::bench) requests: Arc<[Bytes]>,
    /// The body that every answer must have.
    pub(in crate::bench) expected: Option<Bytes>,
    /// Requests a second of all clients together; none: as many as are answered.
    pub(in crate::bench) rate: Option<f64>,
}

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
                if answer.status != 200 || !answer.right || answer.closes {
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
    pub(in crate::bench) async fn finish(mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.due.close();
        while self.tasks.join_next().await.is_some() {}
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

impl Load {
    /// Sends the request of this turn, and reads its answer.
    async fn ask(
        &self,
        stream: &mut Box<dyn Stream>,
        turn: usize,
        buffer: &mut Vec<u8>,
    ) -> std::io::Result<Answer> {
        stream.write_all(&self.requests[turn]).await?;
        stream.flush().await?;
        answer::read(stream, buffer, self.expected.as_deref()).await
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Target {
    async fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some(tls) => {
                let name = ServerName::IpAddress(self.address.ip().into());
                Ok(Box::new(tls.connect(name, stream).await?))
            }
        }
    }
}
