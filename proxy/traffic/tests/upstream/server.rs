//! A server that does byte by byte what a test tells it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Kind;
use super::tls::PKI;

/// Long enough for what was sent before to be read on its own; nothing depends on it.
const PAUSE: Duration = Duration::from_millis(2);

/// What a connection does, one after another. At the end it is closed.
#[derive(Clone)]
pub(crate) enum Step {
    /// Reads one request, its body too.
    Request,
    /// Reads the head of a request only.
    RequestHead,
    /// Sends bytes.
    Send(Vec<u8>),
    /// Lets the other side read what was sent.
    Pause,
    /// Waits until the other side closes.
    Hold,
    /// Resets instead of closing.
    Reset,
    /// Closes the connection without TLS' word that it is over.
    Sever,
}

/// A running server. Each connection plays the next script; the last one is played again and again.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _accepting: JoinSet<()>,
}

/// What a server has seen.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// Connections so far.
    pub(crate) connections: usize,
    /// Connections that played to their end, a hold included.
    pub(crate) finished: usize,
    /// TLS connections that took up an earlier session.
    pub(crate) resumed: usize,
    /// Steps that were done, of all connections.
    pub(crate) steps: usize,
    /// Requests as they came.
    pub(crate) requests: Vec<Vec<u8>>,
}

impl Server {
    pub(crate) async fn start(scripts: impl IntoIterator<Item = Vec<Step>>) -> Self {
        Self::with(scripts, None).await
    }

    /// Plain or over TLS, as this kind of connection expects it.
    pub(crate) async fn for_kind<K: Kind>(scripts: impl IntoIterator<Item = Vec<Step>>) -> Self {
        Self::with(scripts, K::TLS.then(|| PKI.acceptor())).await
    }

    pub(crate) async fn with(scripts: impl IntoIterator<Item = Vec<Step>>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut scripts: VecDeque<_> = scripts.into_iter().collect();
        let mut accepting = JoinSet::new();
        let log = Arc::clone(&seen);
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                log.lock().unwrap().connections += 1;
                let script = if scripts.len() > 1 { scripts.pop_front() } else { scripts.front().cloned() };
                let (log, tls) = (Arc::clone(&log), tls.clone());
                let script = script.unwrap_or_default();
                stream.set_nodelay(true).unwrap();
                connections.spawn(async move {
                    match tls {
                        None => play(stream, script, &log).await,
                        // Who does not get on with TLS has not connected.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                let resumed = rustls::HandshakeKind::Resumed;
                                let kind = stream.get_ref().1.handshake_kind();
                                log.lock().unwrap().resumed += usize::from(kind == Some(resumed));
                                play(stream, script, &log).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, seen, _accepting: accepting }
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until so many connections have played to their end.
    pub(crate) async fn finished(&self, count: usize) {
        self.until(|seen| seen.finished >= count).await;
    }

    /// Waits until so many steps were done, and what they sent has arrived: the loop back takes no time, so one
    /// more turn of the runtime sees it.
    pub(crate) async fn played(&self, steps: usize) {
        self.until(|seen| seen.steps >= steps).await;
    }

    async fn until(&self, there: impl Fn(&Seen) -> bool) {
        while !there(&self.seen()) {
            tokio::time::sleep(PAUSE).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The usual script: a request, this answer, and so on until the other side closes.
pub(crate) fn answers<const N: usize>(answers: [&str; N]) -> Vec<Step> {
    let steps = answers.iter().flat_map(|answer| [Step::Request, Step::Send(answer.as_bytes().to_vec())]);
    steps.chain([Step::Hold]).collect()
}

/// A connection as a server holds it.
trait Held: AsyncRead + AsyncWrite + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Held for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Held for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

async fn play(mut stream: impl Held, script: Vec<Step>, log: &Mutex<Seen>) {
    let mut says_so = true;
    for step in script {
        let played = match step {
            Step::Request => match read_request(&mut stream, true).await {
                Some(request) => {
                    log.lock().unwrap().requests.push(request);
                    true
                }
                None => false,
            },
            Step::RequestHead => read_request(&mut stream, false).await.is_some(),
            Step::Send(bytes) => {
                // TLS keeps what does not fit until it is told to let go of it.
                stream.write_all(&bytes).await.is_ok() && stream.flush().await.is_ok()
            }
            Step::Pause => {
                tokio::time::sleep(PAUSE).await;
                true
            }
            Step::Hold => {
                while let Ok(1..) = stream.read(&mut [0; 1024]).await {}
                true
            }
            Step::Reset => {
                stream.tcp().set_zero_linger().unwrap();
                says_so = false;
                false
            }
            Step::Sever => {
                says_so = false;
                false
            }
        };
        if !played {
            break;
        }
        log.lock().unwrap().steps += 1;
    }
    if says_so {
        // The other side may be gone already.
        let _ = stream.shutdown().await;
    }
    drop(stream);
    log.lock().unwrap().finished += 1;
}

async fn read_request(stream: &mut impl Held, with_body: bool) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).await.ok()?;
        bytes.push(byte[0]);
    }
    if with_body {
        let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut body).await.ok()?;
        bytes.extend_from_slice(&body);
    }
    Some(bytes)
}
