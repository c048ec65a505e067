//! A body changed as it streams.

use std::future::Future;

use bytes::Bytes;
use fireguard_traffic::body::{Body, BodyError};
use futures_util::stream;
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};

use crate::failure::Failure;

/// Takes a body in pieces and gives another.
pub trait Transform: Send + 'static {
    /// Takes the next bytes; appends what can be given on.
    fn feed(&mut self, chunk: Bytes, out: &mut Vec<u8>) -> impl Future<Output = Result<(), Failure>> + Send;

    /// The body is over; appends what is left.
    fn finish(&mut self, out: &mut Vec<u8>) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Appends more of what can be given on, where that is too much for one piece. False: that was all until more is
    /// fed.
    fn more(&mut self, _out: &mut Vec<u8>) -> impl Future<Output = Result<bool, Failure>> + Send {
        async { Ok(false) }
    }
}

struct Running<T> {
    body: Body,
    transform: T,
    over: bool,
    /// There is more to be given on before more is fed.
    more: bool,
}

impl<T: Transform> Running<T> {
    /// The next bytes that come out; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let mut out = Vec::new();
        while out.is_empty() && (self.more || !self.over) {
            if self.more {
                self.more = self.transform.more(&mut out).await?;
                continue;
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.transform.feed(data, &mut out).await?;
                        self.more = self.transform.more(&mut out).await?;
                    }
                    // Known now, a small answer is whole at once and gets a length.
                    if self.body.is_end_stream() && !self.more {
                        self.finish(&mut out).await?;
                    }
                }
                Some(Err(error)) => {
                    return Err(Failure::upstream("the FHIR server's answer broke off", error.to_string()));
                }
                None => {
                    self.finish(&mut out).await?;
                }
            }
        }
        Ok((!out.is_empty()).then(|| out.into()))
    }

    async fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.over = true;
        self.transform.finish(out).await?;
        self.more = self.transform.more(out).await?;
        Ok(())
    }
}

/// Runs the body through the transform. Waits for the first bytes that come out, so that a failure until then
/// still gets a status of its own; a later one aborts the body.
pub async fn transformed<T: Transform>(body: Body, transform: T) -> Result<Body, Failure> {
    let mut running = Running { body, transform, over: false, more: false };
    let Some(first) = running.next().await? else { return Ok(fireguard_traffic::body::empty()) };
    if running.over && !running.more {
        return Ok(fireguard_traffic::body::full(first));
    }
    let rest = stream::unfold((Some(first), Some(running)), |(first, running)| async move {
        if let Some(first) = first {
            return Some((Ok(Frame::data(first)), (None, running)));
        }
        let mut running = running?;
        match running.next().await {
            Ok(Some(data)) => Some((Ok(Frame::data(data)), (None, Some(running)))),
            Ok(None) => None,
            Err(failure) => Some((Err(BodyError::from(failure)), (None, None))),
        }
    });
    Ok(StreamBody::new(rest).boxed_unsync())
}

/// All of an answer of the server's.
///
/// # Errors
/// It broke off, or is over so many bytes.
pub async fn whole(mut body: Body, limit: usize) -> Result<Bytes, Failure> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let broken = |error| Failure::upstream("the FHIR server's answer broke off", format!("{error}"));
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        whole.extend_from_slice(&data);
        if whole.len() > limit {
            let detail = format!("a resource is larger than {limit} bytes");
            return Err(Failure::upstream("the answer holds a resource over the limit", detail));
        }
    }
    Ok(whole.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fireguard_traffic::body::{empty, full};

    /// Repeats what it gets, and says when it was told of the end.
    struct Echo;

    impl Transform for Echo {
        async fn feed(&mut self, chunk: Bytes, out: &mut Vec<u8>) -> Result<(), Failure> {
            out.extend_from_slice(&chunk);
            Ok(())
        }

        async fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
            out.push(b'.');
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_length_of_a_small_body_is_known() {
        let frames = || stream::iter(["a", "b"].map(|text| Ok(Frame::data(Bytes::from(text)))));
        for (body, length, expected) in [
            (full("ab"), Some(3), "ab."),
            (empty(), Some(1), "."),
            (StreamBody::new(frames()).boxed_unsync(), None, "ab."),
        ] {
            let body = transformed(body, Echo).await.unwrap();
            assert_eq!(body.size_hint().exact(), length, "{expected}");
            assert_eq!(body.collect().await.unwrap().to_bytes(), expected);
        }
    }
}
