//! Bytes that wait: kept as they come, in memory at first and then in a file that has no name, and taken once.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::Keep;

/// Bytes of one piece that is taken.
const PIECE: u64 = 64 << 10;

/// See the module's text.
#[derive(Debug)]
pub struct Spool {
    keep: Keep,
    /// What came first.
    memory: VecDeque<Bytes>,
    /// All that has come.
    length: u64,
    file: Option<Spilled>,
}

/// What came later.
#[derive(Debug)]
struct Spilled {
    file: Arc<File>,
    written: u64,
    taken: u64,
}

/// It cannot be kept as well; it is given back.
#[derive(Debug)]
pub struct Full(pub Bytes);

impl Spool {
    /// Keeps as much as this.
    pub fn new(keep: Keep) -> Self {
        Self { keep, memory: VecDeque::new(), length: 0, file: None }
    }

    /// Keeps a piece after all others.
    ///
    /// # Errors
    /// There is no room for it, or it cannot be written. What is kept stays.
    pub async fn push(&mut self, piece: Bytes) -> Result<(), Full> {
        let length = self.length + piece.len() as u64;
        if length > self.keep.total {
            return Err(Full(piece));
        }
        if self.file.is_none() && length <= self.keep.memory {
            self.memory.push_back(piece);
        } else {
            let (file, at) = match &self.file {
                Some(spilled) => (Some(Arc::clone(&spilled.file)), spilled.written),
                None => (None, 0),
            };
            let written = at + piece.len() as u64;
            let data = piece.clone();
            let work = spawn_blocking(move || {
                let file = file.map_or_else(|| tempfile::tempfile().map(Arc::new), Ok)?;
                file.write_all_at(&data, at)?;
                Ok::<_, io::Error>(file)
            });
            match work.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
                Ok(file) => {
                    let taken = self.file.as_ref().map_or(0, |spilled| spilled.taken);
                    self.file = Some(Spilled { file, written, taken });
                }
                Err(error) => {
                    tracing::warn!(%error, "an answer could not be kept in a file");
                    return Err(Full(piece));
                }
            }
        }
        self.length = length;
        Ok(())
    }

    /// Takes the next piece, of at most `most` bytes; an empty one if nothing is left.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn take(&mut self, most: u64) -> io::Result<Bytes> {
        let most = most.min(PIECE);
        while let Some(first) = self.memory.front_mut() {
            if first.is_empty() {
                self.memory.pop_front();
                continue;
            }
            // At most `PIECE`.
            return Ok(first.split_to(first.len().min(most as usize)));
        }
        let Some(spilled) = &mut self.file else { return Ok(Bytes::new()) };
        let (file, at) = (Arc::clone(&spilled.file), spilled.taken);
        let length = most.min(spilled.written - at);
        let work = spawn_blocking(move || {
            let mut piece = vec![0; length as usize];
            file.read_exact_at(&mut piece, at)?;
            Ok(piece.into())
        });
        let piece: Bytes = work.await.unwrap_or_else(|error| Err(io::Error::other(error)))?;
        spilled.taken += length;
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Wherever it is kept and however it is cut: what comes out is what went in, up to what is too much.
        #[test]
        fn what_is_kept_comes_out_in_order(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..20),
            memory in 0..2000_u64,
            total in 0..6000_u64,
            most in 1..500_u64,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let mut spool = Spool::new(Keep { memory, total });
                let mut kept = Vec::new();
                for piece in &pieces {
                    let fits = kept.len() + piece.len() <= usize::try_from(total).unwrap();
                    let pushed = spool.push(piece.clone().into()).await;
                    prop_assert_eq!(pushed.is_ok(), fits);
                    match pushed {
                        Ok(()) => kept.extend_from_slice(piece),
                        Err(Full(back)) => prop_assert_eq!(&back[..], &piece[..]),
                    }
                }
                let mut out = Vec::new();
                while out.len() < kept.len() {
                    let piece = spool.take(most).await.unwrap();
                    prop_assert!(piece.len() as u64 <= most);
                    out.extend_from_slice(&piece);
                }
                prop_assert_eq!(out, kept);
                prop_assert!(spool.take(most).await.unwrap().is_empty());
                Ok(())
            })?;
        }
    }
}
