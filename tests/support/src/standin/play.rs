//! Writing an answer, as well or as badly as it was scripted.

use std::fmt::Write as _;
use std::io;

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::Answer;
use super::answer::{End, Framing};

/// What becomes of the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Request,
    Close,
    /// Closed, although something may be left unread.
    Linger,
    Reset,
}

impl Answer {
    /// Whether playing it to its end means that the other side was sent a whole answer.
    pub(super) fn sends_all(&self) -> bool {
        matches!(self.end, End::KeepAlive | End::Close)
    }
}

/// Writes the answer to a request of this method.
pub(super) async fn play(
    answer: &Answer,
    method: &str,
    writer: &mut (impl AsyncWrite + Unpin),
) -> io::Result<Next> {
    if let Some(gate) = &answer.gate {
        gate.passed().await;
    }
    if !answer.delay.is_zero() {
        tokio::time::sleep(answer.delay).await;
    }
    match answer.end {
        End::Nothing { reset: true } => return Ok(Next::Reset),
        End::Nothing { reset: false } => return Ok(Next::Close),
        End::Silence => return std::future::pending().await,
        End::KeepAlive | End::Close | End::Cut { .. } => {}
    }
    if answer.framing != Framing::Raw {
        writer.write_all(head(answer).as_bytes()).await?;
    }
    if answer.framing == Framing::Raw || has_body(method, answer.status) {
        write_body(answer, writer).await?;
    }
    writer.flush().await?;
    Ok(match answer.end {
        End::KeepAlive => Next::Request,
        End::Cut { reset: true, .. } => Next::Reset,
        _ if answer.early => Next::Linger,
        _ => Next::Close,
    })
}

fn head(answer: &Answer) -> String {
    let mut head = format!("HTTP/1.1 {} Scripted\r\n", answer.status);
    for (name, value) in &answer.headers {
        // Writing to a String cannot fail.
        let _ = write!(head, "{name}: {value}\r\n");
    }
    match answer.framing {
        Framing::ContentLength if answer.status == 204 || answer.status == 304 => {}
        Framing::ContentLength => {
            let _ = write!(head, "Content-Length: {}\r\n", answer.body.len());
        }
        Framing::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
        Framing::UntilClose => head.push_str("Connection: close\r\n"),
        Framing::Raw => {}
    }
    head.push_str("\r\n");
    head
}

fn has_body(method: &str, status: u16) -> bool {
    method != "HEAD" && status != 204 && status != 304
}

async fn write_body(answer: &Answer, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let sent = match answer.end {
        End::Cut { after, .. } => answer.body.slice(..after.min(answer.body.len())),
        _ => answer.body.clone(),
    };
    let (piece_size, pause) = match answer.drip {
        Some((bytes, pause)) => (bytes, Some(pause)),
        None => (64 * 1024, None),
    };
    for piece in sent.chunks(piece_size) {
        if answer.framing == Framing::Chunked {
            writer.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
        }
        writer.write_all(piece).await?;
        if answer.framing == Framing::Chunked {
            writer.write_all(b"\r\n").await?;
        }
        if let Some(pause) = pause {
            writer.flush().await?;
            tokio::time::sleep(pause).await;
        }
    }
    if answer.framing == Framing::Chunked && answer.sends_all() {
        writer.write_all(b"0\r\n\r\n").await?;
    }
    Ok(())
}
