//! A body that is kept while it streams, so that it can be sent again.
//!
//! What has come is kept in memory at first and then in a file that has no name, up to a limit; over it nothing is
//! kept any more, and the body goes through once. Every attempt begins with what is kept and goes on with the
//! source. The file is read and written on threads where that may block.

mod spool;
mod store;

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;

use crate::body::{Body, BodyError};
pub use spool::{Full, Spool};
use store::{Reading, Store};

/// How much of a body is kept, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// In memory; what is longer goes to a file.
    pub memory: u64,
    /// At all.
    pub total: u64,
}

/// A body that can be sent several times, one after another. Clones are the same body.
#[derive(Clone)]
pub struct Replay(Arc<Mutex<State>>);

struct State {
    source: Source,
    /// A piece of the source that was read ahead and is too much to keep.
    ahead: Option<Bytes>,
    store: Store,
    /// The attempt that may read on; the ones before it are over.
    attempt: u32,
}

enum Source {
    Open(Body),
    Over,
    Broken,
}

/// Why a body cannot be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Lost {
    /// A later attempt has begun.
    #[error("the request is being sent again")]
    Superseded,
    /// It was too long to keep, or there was no room.
    #[error("the request body was not kept")]
    NotKept,
    /// The client did not send all of it.
    #[error("the request body broke off")]
    Broken,
}

impl Replay {
    /// Keeps what comes out of `source`.
    pub fn new(source: Body, keep: Keep) -> Self {
        Self(Arc::new(Mutex::new(State {
            source: Source::Open(source),
            ahead: None,
            store: Store::new(keep),
            attempt: 0,
        })))
    }

    /// The body from its beginning. Attempts before this one end with an error.
    pub fn attempt(&self) -> Body {
        let mut state = self.state();
        state.attempt += 1;
        let (state, number) = (Arc::clone(&self.0), state.attempt);
        Attempt { state, number, at: 0, reading: Reading::default() }.boxed_unsync()
    }

    /// Waits for the next piece of the body and keeps it. False: it is over, or as much is there as is kept in memory.
    pub async fn more(&self) -> bool {
        std::future::poll_fn(|cx| {
            let mut state = self.state();
            let state = &mut *state;
            ready!(state.store.poll_written(cx));
            let Source::Open(source) = &mut state.source else { return Poll::Ready(false) };
            if state.store.is_full() || state.ahead.is_some() {
                return Poll::Ready(false);
            }
            match ready!(Pin::new(source).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { return Poll::Ready(true) };
                    if !state.store.has_room_for(&data) {
                        state.ahead = Some(data);
                        return Poll::Ready(false);
                    }
                    state.store.keep(&data);
                    return Poll::Ready(true);
                }
                Some(Err(_)) => state.source = Source::Broken,
                None => state.source = Source::Over,
            }
            Poll::Ready(false)
        })
        .await
    }

    /// Whether another attempt can be made.
    pub fn is_kept(&self) -> bool {
        let state = self.state();
        state.store.is_kept() && !matches!(state.source, Source::Broken)
    }

    /// The length of the body, once all of it has come.
    pub fn length(&self) -> Option<u64> {
        let state = self.state();
        matches!(state.source, Source::Over).then_some(state.store.length())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One way through the body.
struct Attempt {
    state: Arc<Mutex<State>>,
    number: u32,
    /// So many bytes were given.
    at: u64,
    reading: Reading,
}

impl http_body::Body for Attempt {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let mut state = lock(&this.state);
        if state.attempt != this.number {
            return Poll::Ready(Some(Err(Lost::Superseded.into())));
        }
        ready!(state.store.poll_written(cx));
        if this.at < state.store.length() {
            let piece = ready!(this.reading.poll(&state.store, this.at, cx)).map_err(|_| Lost::NotKept)?;
            this.at += piece.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if let Some(data) = state.ahead.take() {
            this.at += data.len() as u64;
            state.store.keep(&data);
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        loop {
            let source = match &mut state.source {
                Source::Open(source) => source,
                Source::Over => return Poll::Ready(None),
                Source::Broken => return Poll::Ready(Some(Err(Lost::Broken.into()))),
            };
            match ready!(Pin::new(source).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    this.at += data.len() as u64;
                    state.store.keep(&data);
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => {
                    state.source = Source::Broken;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    state.source = Source::Over;
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Attempt {
    /// The bytes that are left, once the source is over.
    fn left(&self) -> Option<u64> {
        let state = lock(&self.state);
        matches!(state.source, Source::Over).then(|| state.store.length().saturating_sub(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body_util::StreamBody;
    use proptest::prelude::*;

    fn source(pieces: &[Vec<u8>], broken: bool) -> Body {
        let mut frames: Vec<Result<_, BodyError>> =
            pieces.iter().map(|piece| Ok(Frame::data(Bytes::from(piece.clone())))).collect();
        if broken {
            frames.push(Err("gone".into()));
        }
        StreamBody::new(stream::iter(frames)).boxed_unsync()
    }

    async fn read(body: Body) -> Result<Bytes, String> {
        body.collect().await.map(|all| all.to_bytes()).map_err(|error| error.to_string())
    }

    /// Takes so many frames and leaves the rest.
    async fn begin(mut body: Body, frames: usize) -> Body {
        for _ in 0..frames {
            let _ = body.frame().await;
        }
        body
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever the cuts, wherever the attempts before it stopped, and wherever it is kept.
        #[test]
        fn every_attempt_sees_every_byte(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..400), 0..20),
            stops in prop::collection::vec(0..22_usize, 0..4),
            memory in 0..2000_u64,
            ahead in 0..30,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let replay = Replay::new(source(&pieces, false), Keep { memory, total: 100_000 });
                for _ in 0..ahead {
                    replay.more().await;
                }
                for stop in stops {
                    drop(begin(replay.attempt(), stop).await);
                    prop_assert!(replay.is_kept());
                }
                let whole = pieces.concat();
                for _ in 0..2 {
                    prop_assert_eq!(&read(replay.attempt()).await.unwrap()[..], &whole[..]);
                }
                let again = replay.attempt();
                prop_assert_eq!(again.size_hint().exact(), Some(whole.len() as u64));
                prop_assert_eq!(replay.length(), Some(whole.len() as u64));
                Ok(())
            })?;
        }
    }

    #[tokio::test]
    async fn what_is_too_long_goes_through_once() {
        for memory in [0, 10, 100] {
            let pieces = vec![vec![7; 30]; 3];
            let replay = Replay::new(source(&pieces, false), Keep { memory, total: 80 });
            assert_eq!(read(replay.attempt()).await.unwrap().len(), 90);
            assert!(!replay.is_kept());
            assert_eq!(read(replay.attempt()).await.unwrap_err(), Lost::NotKept.to_string());
        }
    }

    #[tokio::test]
    async fn what_was_read_ahead_is_not_lost() {
        for memory in [0, 10, 40, 100, 1000] {
            for total in [0, 10, 30, 59, 60, 89, 90, 1000] {
                let pieces = vec![vec![7; 30]; 3];
                let replay = Replay::new(source(&pieces, false), Keep { memory, total });
                while replay.more().await {}
                assert_eq!(read(replay.attempt()).await.map(|all| all.len()), Ok(90), "{memory} {total}");
                assert_eq!(replay.is_kept(), total >= 90, "{memory} {total}");
            }
        }
    }

    #[tokio::test]
    async fn what_broke_off_is_not_sent_again() {
        let replay = Replay::new(source(&[vec![1]], true), Keep { memory: 10, total: 10 });
        assert_eq!(read(replay.attempt()).await.unwrap_err(), "gone");
        assert!(!replay.is_kept());
        assert_eq!(read(replay.attempt()).await.unwrap_err(), Lost::Broken.to_string());
    }

    #[tokio::test]
    async fn an_attempt_ends_when_the_next_begins() {
        let pieces = vec![vec![1], vec![2], vec![3]];
        let replay = Replay::new(source(&pieces, false), Keep { memory: 10, total: 10 });
        let first = begin(replay.attempt(), 1).await;
        let mut second = replay.attempt();
        assert_eq!(read(first).await.unwrap_err(), Lost::Superseded.to_string());
        let frame = second.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), &[1][..]);
        assert_eq!(read(second).await.unwrap(), &[2, 3][..]);
    }
}
