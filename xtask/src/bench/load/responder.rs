//! A server that always answers the same.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::error::Error;

const HEAD_END: &[u8] = b"\r\n\r\n";

/// A running server; dropped, it ends with its connections.
pub(in crate::bench) struct Responder {
    pub(in crate::bench) address: SocketAddr,
    _accepting: JoinSet<()>,
}

impl Responder {
    /// Answers every request with a body, chunked as HAPI does. The body may hold the server's own base.
    ///
    /// # Errors
    /// It cannot listen.
    pub(in crate::bench) async fn start(body: impl FnOnce(&str) -> Vec<u8>) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(Error::io("listening"))?;
        let address = listener.local_addr().map_err(Error::io("listening"))?;
        let answer: Arc<[u8]> = chunked(&body(&format!("http://{address}/fhir"))).into();
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let answer = Arc::clone(&answer);
                // Those that ended make room.
                while connections.try_join_next().is_some() {}
                connections.spawn(async move {
                    // The other side closes when it has had enough.
                    let _ = serve(stream, &answer).await;
                });
            }
        });
        Ok(Self { address, _accepting: accepting })
    }
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json;charset=UTF-8\r\n\
                       Transfer-Encoding: chunked\r\n\r\n"
        .to_vec();
    for chunk in body.chunks(8 << 10) {
        answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        answer.extend_from_slice(chunk);
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"0\r\n\r\n");
    answer
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
