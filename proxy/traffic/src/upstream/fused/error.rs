//! What can be wrong with an answer.

use std::io;

use super::chunked::ChunkError;

/// Why an answer cannot be read. Says nothing of what it holds.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// The server closed the connection before the end of its answer.
    #[error("the server closed the connection in the middle of its answer")]
    Truncated,
    /// Whatever this is, it is not an HTTP/1 answer.
    #[error("the answer is not HTTP/1")]
    NotHttp,
    /// The head is longer than [`super::head::MAX_HEAD`] bytes.
    #[error("the head of the answer is too long")]
    HeadTooLong,
    /// A line of the head ends with LF alone.
    #[error("a line of the answer's head does not end with CR LF")]
    BareLf,
    /// The head is not well-formed, or has too many fields.
    #[error("the head of the answer is malformed: {0}")]
    Head(#[from] httparse::Error),
    /// A status outside 100 to 999.
    #[error("the status of the answer is out of range")]
    Status,
    /// A field that `http` does not take.
    #[error("a field of the answer's head is malformed")]
    Field,
    /// `101`, which nobody asked for.
    #[error("the server switched protocols unasked")]
    Upgrade,
    /// Both `Content-Length` and `Transfer-Encoding` (RFC 9112 §6.3).
    #[error("the answer has both a length and a transfer coding")]
    LengthAndCoding,
    /// A `Content-Length` that is not one number.
    #[error("the answer's length is not one number")]
    Length,
    /// A transfer coding other than `chunked`, or one in HTTP/1.0.
    #[error("the answer has an unknown transfer coding")]
    Coding,
    /// The chunks are not well-formed.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
}
