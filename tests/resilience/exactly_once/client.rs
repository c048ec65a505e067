//! A client that keeps its connection, and sees how an answer ended.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub(super) struct Client {
    address: String,
    connection: Option<BufReader<TcpStream>>,
}

/// An answer, whole or not.
pub(super) struct Answer {
    /// Zero: there was none.
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    pub(super) whole: bool,
}

#[derive(Default)]
struct Head {
    status: u16,
    length: Option<usize>,
    chunked: bool,
    close: bool,
}

impl Client {
    pub(super) fn new(address: &str) -> Self {
        Self { address: address.to_owned(), connection: None }
    }

    /// Sends a request and reads its answer. Headers are lines with their ends.
    pub(super) async fn ask(&mut self, method: &str, target: &str, headers: &str, body: &str) -> Answer {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => BufReader::new(TcpStream::connect(&self.address).await.unwrap()),
        };
        let typed = if body.is_empty() { "" } else { "Content-Type: application/fhir+json\r\n" };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\n{headers}{typed}Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let mut answer = Answer { status: 0, body: Vec::new(), whole: false };
        let mut head = Head::default();
        if connection.get_mut().write_all(request.as_bytes()).await.is_ok()
            && read(&mut connection, &mut head, &mut answer).await.is_ok()
        {
            answer.whole = true;
            if !head.close {
                self.connection = Some(connection);
            }
        }
        answer
    }
}

async fn read(connection: &mut BufReader<TcpStream>, head: &mut Head, answer: &mut Answer) -> io::Result<()> {
    let mut line = String::new();
    loop {
        line.clear();
        if connection.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = line.trim_end().to_ascii_lowercase();
        match text.split_once(": ") {
            _ if text.is_empty() => break,
            Some(("content-length", value)) => head.length = value.parse().ok(),
            Some(("transfer-encoding", _)) => head.chunked = true,
            Some(("connection", value)) => head.close = value == "close",
            Some(_) => {}
            None => {
                head.status =
                    text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
            }
        }
    }
    answer.status = head.status;
    if !head.chunked {
        return exactly(connection, head.length.unwrap_or_default(), &mut answer.body).await;
    }
    loop {
        line.clear();
        connection.read_line(&mut line).await?;
        let size = usize::from_str_radix(line.trim_end(), 16);
        let size = size.map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        exactly(connection, size + 2, &mut answer.body).await?;
        answer.body.truncate(answer.body.len() - 2);
        if size == 0 {
            return Ok(());
        }
    }
}

async fn exactly(connection: &mut BufReader<TcpStream>, length: usize, body: &mut Vec<u8>) -> io::Result<()> {
    let from = body.len();
    body.resize(from + length, 0);
    connection.read_exact(&mut body[from..]).await.map(drop)
}
