//! A server that always answers the same, and clients that ask it through a proxy as fast as they can.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::error::Error;

/// The end of a chunked body without trailers. No body here ends so by itself.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
const HEAD_END: &[u8] = b"\r\n\r\n";

/// A running server; dropped, it ends with its connections.
pub(super) struct Responder {
    pub(super) address: SocketAddr,
    _accepting: JoinSet<()>,
}

impl Responder {
    /// Listens, and answers every request with this body, chunked as HAPI does.
    pub(super) async fn start(listener: TcpListener, body: &[u8]) -> Result<Self, Error> {
        let address = listener.local_addr().map_err(Error::io("listening"))?;
        let mut answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json;charset=UTF-8\r\n\
                           Transfer-Encoding: chunked\r\n\r\n"
            .to_vec();
        for chunk in body.chunks(8 << 10) {
            answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            answer.extend_from_slice(chunk);
            answer.extend_from_slice(b"\r\n");
        }
        answer.extend_from_slice(LAST_CHUNK);
        let answer: Arc<[u8]> = answer.into();
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let answer = Arc::clone(&answer);
                connections.spawn(async move {
                    // The other side closes when it has had enough.
                    let _ = serve(stream, &answer).await;
                });
            }
        });
        Ok(Self { address, _accepting: accepting })
    }
}

async fn serve(mut stream: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4 << 10);
    loop {
        buffer.clear();
        while !buffer.ends_with(HEAD_END) {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        stream.write_all(answer).await?;
    }
}

/// Clients on connections that are kept; dropped, they stop.
pub(super) struct Clients {
    done: Arc<AtomicU64>,
    tasks: JoinSet<Result<(), Error>>,
}

impl Clients {
    /// So many of them, each asking again as soon as it is answered.
    pub(super) fn start(address: SocketAddr, count: usize) -> Self {
        let done = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            let done = Arc::clone(&done);
            tasks.spawn(async move { ask_on(address, &done).await });
        }
        Self { done, tasks }
    }

    /// Answers so far.
    ///
    /// # Errors
    /// A client was answered wrongly, or not at all.
    pub(super) fn answered(&mut self) -> Result<u64, Error> {
        match self.tasks.try_join_next() {
            Some(Ok(Err(error))) => Err(error),
            Some(_) => Err(Error::Usage("a client of the benchmark stopped".to_owned())),
            None => Ok(self.done.load(Ordering::Relaxed)),
        }
    }
}

/// Whether an answer has come to its end, told by its length or by its last chunk.
fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(HEAD_END.len()).position(|bytes| bytes == HEAD_END) else { return false };
    let lines = answer[..head].split(|byte| *byte == b'\n');
    let length = lines
        .filter_map(|line| line.strip_prefix(b"content-length:").or(line.strip_prefix(b"Content-Length:")));
    let length =
        length.filter_map(|value| std::str::from_utf8(value).ok()?.trim().parse::<usize>().ok()).next();
    match length {
        Some(length) => answer.len() >= head + HEAD_END.len() + length,
        None => answer.ends_with(LAST_CHUNK),
    }
}

async fn ask_on(address: SocketAddr, done: &AtomicU64) -> Result<(), Error> {
    let request = format!(
        "GET /fhir/Basic?code=x HTTP/1.1\r\nHost: {address}\r\nAccept: application/fhir+json\r\n\r\n"
    );
    let lost = || Error::io("asking the proxy");
    let mut stream = TcpStream::connect(address).await.map_err(lost())?;
    stream.set_nodelay(true).map_err(lost())?;
    let mut buffer = Vec::with_capacity(64 << 10);
    loop {
        buffer.clear();
        stream.write_all(request.as_bytes()).await.map_err(lost())?;
        while !is_whole(&buffer) {
            if stream.read_buf(&mut buffer).await.map_err(lost())? == 0 {
                return Err(Error::Usage("the proxy closed a connection of the benchmark".to_owned()));
            }
            if !b"HTTP/1.1 200".starts_with(&buffer[..buffer.len().min(12)]) {
                return Err(Error::Usage("the proxy did not answer 200 to the benchmark".to_owned()));
            }
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
}
