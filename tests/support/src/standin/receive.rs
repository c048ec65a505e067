//! Reading requests.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// Real servers stop far earlier; a test that sends more wants to know that it arrived.
const MAX_HEAD: usize = 1024 * 1024;
const MAX_HEADERS: usize = 1000;

/// A request as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The number of the connection it came on, from one.
    pub connection: usize,
    /// The method.
    pub method: String,
    /// The request target, such as `/fhir/Patient?name=x`.
    pub target: String,
    /// Names and values, in the order and letters in which they came.
    pub headers: Vec<(String, String)>,
    /// The bytes of the body that arrived, without chunk framing.
    pub body: Vec<u8>,
    /// Whether the whole body arrived: then a real server would have acted on it.
    pub complete: bool,
    /// Whether the whole answer was written.
    pub answered: bool,
    /// Whether the other side went away before that.
    pub abandoned: bool,
}

impl Received {
    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(present, _)| present.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The values of all headers of this name.
    pub fn header_values(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter(|(present, _)| present.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }
}

/// Reads a head; none: the connection ended before one began.
pub(super) async fn read_head(
    reader: &mut (impl AsyncBufRead + Unpin),
    connection: usize,
) -> io::Result<Option<Received>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let read = reader.read_until(b'\n', &mut head).await?;
        if read == 0 && head.is_empty() {
            return Ok(None);
        }
        if read == 0 || head.len() > MAX_HEAD {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let mut headers = vec![httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(&head).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Some(Received {
        connection,
        method: request.method.unwrap_or_default().to_owned(),
        target: request.path.unwrap_or_default().to_owned(),
        headers: request.headers.iter().map(|h| (h.name.to_owned(), text(h.value))).collect(),
        body: Vec::new(),
        complete: false,
        answered: false,
        abandoned: false,
    }))
}

/// Reads the body that the head announces into `body`.
///
/// # Errors
/// It ended early or is framed wrongly; `body` holds what came until then.
pub(super) async fn read_body(
    reader: &mut (impl AsyncBufRead + Unpin),
    head: &Received,
    body: &mut Vec<u8>,
) -> io::Result<()> {
    let chunked = head.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked"));
    if chunked {
        return read_chunks(reader, body).await;
    }
    match head.header("content-length") {
        Some(length) => read_exactly(reader, number(length, 10)?, body).await,
        None => Ok(()),
    }
}

async fn read_chunks(reader: &mut (impl AsyncBufRead + Unpin), body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let line = read_line(reader).await?;
        let size = number(line.split(';').next().unwrap_or_default(), 16)?;
        if size == 0 {
            // Trailers, up to an empty line.
            while !read_line(reader).await?.is_empty() {}
            return Ok(());
        }
        read_exactly(reader, size, body).await?;
        if !read_line(reader).await?.is_empty() {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

async fn read_exactly(
    reader: &mut (impl AsyncBufRead + Unpin),
    length: u64,
    body: &mut Vec<u8>,
) -> io::Result<()> {
    let read = reader.take(length).read_to_end(body).await?;
    if u64::try_from(read).is_ok_and(|read| read == length) {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

async fn read_line(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line).await?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn number(text: &str, radix: u32) -> io::Result<u64> {
    u64::from_str_radix(text.trim(), radix).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}
