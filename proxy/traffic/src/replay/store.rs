//! Where a body is kept.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use super::Keep;

/// Bytes of one read.
const READ: u64 = 64 << 10;

/// The bytes of a body so far.
pub(super) struct Store {
    keep: Keep,
    place: Place,
    length: u64,
    /// What came last is on its way into the file.
    writing: Option<JoinHandle<Written>>,
}

/// The file, or what could not be written.
type Written = Result<Arc<File>, Vec<Bytes>>;

enum Place {
    Memory(Vec<Bytes>),
    File(Arc<File>),
    Nowhere,
}

/// How far one attempt has read.
#[derive(Default)]
pub(super) struct Reading {
    piece: usize,
    from_file: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Store {
    pub(super) fn new(keep: Keep) -> Self {
        Self { keep, place: Place::Memory(Vec::new()), length: 0, writing: None }
    }

    /// The bytes that came, kept or not.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Whether as much has come as is kept in memory.
    pub(super) fn is_full(&self) -> bool {
        self.length >= self.keep.memory
    }

    /// Whether this can be kept as well.
    pub(super) fn has_room_for(&self, data: &Bytes) -> bool {
        self.length + data.len() as u64 <= self.keep.total
    }

    pub(super) fn is_kept(&self) -> bool {
        self.writing.is_some() || !matches!(self.place, Place::Nowhere)
    }

    /// Keeps what came. Nothing else may come before [`Store::poll_written`] is ready.
    pub(super) fn keep(&mut self, data: &Bytes) {
        let at = self.length;
        self.length += data.len() as u64;
        match &mut self.place {
            _ if self.length > self.keep.total => self.place = Place::Nowhere,
            Place::Memory(pieces) => {
                pieces.push(data.clone());
                if self.length > self.keep.memory {
                    let pieces = std::mem::take(pieces);
                    self.place = Place::Nowhere;
                    self.write(None, pieces, 0);
                }
            }
            Place::File(file) => {
                let file = Arc::clone(file);
                self.write(Some(file), vec![data.clone()], at);
            }
            Place::Nowhere => {}
        }
    }

    fn write(&mut self, file: Option<Arc<File>>, pieces: Vec<Bytes>, mut at: u64) {
        self.writing = Some(spawn_blocking(move || {
            let mut write = || {
                let file = match &file {
                    Some(file) => Arc::clone(file),
                    None => Arc::new(tempfile::tempfile()?),
                };
                for piece in &pieces {
                    file.write_all_at(piece, at)?;
                    at += piece.len() as u64;
                }
                Ok(file)
            };
            write().map_err(|error: io::Error| {
                tracing::warn!(%error, "a request body could not be kept in a file");
                pieces
            })
        }));
    }

    /// Ready when what came last is where it is kept.
    pub(super) fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(writing) = &mut self.writing {
            let written = ready!(Pin::new(writing).poll(cx));
            self.writing = None;
            self.settle(written.unwrap_or_else(|_| Err(Vec::new())));
        }
        Poll::Ready(())
    }

    /// Without a file all there is may still be in memory: it stays there, and nothing more is kept.
    fn settle(&mut self, written: Written) {
        self.place = match written {
            Ok(file) => Place::File(file),
            Err(pieces) if pieces.iter().map(|piece| piece.len() as u64).sum::<u64>() == self.length => {
                self.keep.total = self.length;
                Place::Memory(pieces)
            }
            Err(_) => Place::Nowhere,
        };
    }
}

impl Reading {
    /// The next piece, which begins at `at`.
    ///
    /// # Errors
    /// It is not kept.
    pub(super) fn poll(&mut self, store: &Store, at: u64, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let lost = || io::Error::from(io::ErrorKind::NotFound);
        match &store.place {
            Place::Memory(pieces) => {
                let piece = pieces.get(self.piece).cloned().ok_or_else(lost);
                self.piece += 1;
                Poll::Ready(piece)
            }
            Place::File(file) => {
                let reading = self.from_file.get_or_insert_with(|| {
                    let (file, length) = (Arc::clone(file), READ.min(store.length - at));
                    spawn_blocking(move || {
                        // At most `READ`.
                        let mut piece = vec![0; length as usize];
                        file.read_exact_at(&mut piece, at)?;
                        Ok(piece.into())
                    })
                });
                let read = ready!(Pin::new(reading).poll(cx));
                self.from_file = None;
                Poll::Ready(read.unwrap_or_else(|_| Err(lost())))
            }
            Place::Nowhere => Poll::Ready(Err(lost())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full disk does not lose what has come, only what would make room for more.
    #[tokio::test]
    async fn what_could_not_be_written_stays_in_memory() {
        let piece = Bytes::from_static(b"0123456789");
        let mut store = Store::new(Keep { memory: 15, total: 100 });
        store.keep(&piece);
        store.keep(&piece);
        assert!(store.writing.take().is_some());
        store.settle(Err(vec![piece.clone(), piece.clone()]));
        assert!(store.is_kept());
        let mut reading = Reading::default();
        for at in [0, 10] {
            let read = std::future::poll_fn(|cx| reading.poll(&store, at, cx)).await;
            assert_eq!(read.unwrap(), piece);
        }
        assert!(!store.has_room_for(&piece));
        store.keep(&piece);
        assert!(!store.is_kept());

        let mut store = Store::new(Keep { memory: 15, total: 100 });
        store.length = 30;
        store.settle(Err(vec![piece]));
        assert!(!store.is_kept(), "a part of it is none of it");
    }
}
