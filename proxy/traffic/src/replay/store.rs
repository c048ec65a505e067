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
    writing: Option<JoinHandle<io::Result<Arc<File>>>>,
}

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
            let file = match file {
                Some(file) => file,
                None => Arc::new(tempfile::tempfile()?),
            };
            for piece in pieces {
                file.write_all_at(&piece, at)?;
                at += piece.len() as u64;
            }
            Ok(file)
        }));
    }

    /// Ready when what came last is where it is kept. A file that cannot be written keeps nothing.
    pub(super) fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(writing) = &mut self.writing {
            let written = ready!(Pin::new(writing).poll(cx));
            self.writing = None;
            self.place = match written {
                Ok(Ok(file)) => Place::File(file),
                Ok(Err(_)) | Err(_) => Place::Nowhere,
            };
        }
        Poll::Ready(())
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
