//! Events in files: one on a line, a file after the other.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// A folder of files. Nobody else than this user can look into what is made here.
pub(super) struct Files {
    folder: PathBuf,
    /// How large a file becomes, in bytes.
    size: u64,
    open: Arc<Mutex<Option<Open>>>,
}

/// The file that is written to.
struct Open {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Files {
    pub(super) fn new(folder: PathBuf, size: u64) -> Self {
        Self { folder, size, open: Arc::default() }
    }

    /// Writes events, all of them, and waits until the disk has them. What an earlier attempt left half written stays
    /// behind a line break: a line that is no JSON is none.
    ///
    /// # Errors
    /// They are not written, or not all; and of which file it is said.
    pub(super) async fn append(&self, events: &[&[u8]]) -> Result<(), (PathBuf, io::Error)> {
        let mut lines = Vec::with_capacity(events.iter().map(|event| event.len() + 1).sum());
        for event in events {
            lines.extend_from_slice(event);
            lines.push(b'\n');
        }
        let (folder, size, open) = (self.folder.clone(), self.size, Arc::clone(&self.open));
        let written = tokio::task::spawn_blocking(move || write(&folder, size, &open, &lines)).await;
        written.unwrap_or_else(|error| Err((self.folder.clone(), io::Error::other(error))))
    }
}

fn write(
    folder: &std::path::Path,
    size: u64,
    open: &Mutex<Option<Open>>,
    lines: &[u8],
) -> Result<(), (PathBuf, io::Error)> {
    let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
    let length = lines.len() as u64;
    let mut current = match open.take() {
        // One that somebody has taken away is begun anew.
        Some(current) if current.size + length <= size && current.path.exists() => current,
        _ => begin(folder).map_err(|error| (folder.to_owned(), error))?,
    };
    let written = current.file.write_all(lines).and_then(|()| current.file.sync_data());
    // After a failure nobody knows how the file ends: the next attempt begins another.
    written.map_err(|error| (current.path.clone(), error))?;
    current.size += length;
    *open = Some(current);
    Ok(())
}

/// A new file, later by its name than those before.
fn begin(folder: &std::path::Path) -> io::Result<Open> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let now = humantime::format_rfc3339_micros(SystemTime::now()).to_string().replace(':', "");
    let path = folder.join(format!("audit-{now}.ndjson"));
    let file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(&path)?;
    // The name reaches the disk, too.
    File::open(folder)?.sync_all()?;
    Ok(Open { path, file, size: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(folder: &std::path::Path) -> Vec<(String, String)> {
        let mut paths: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        paths.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
    }

    #[tokio::test]
    async fn a_full_file_is_followed_by_another() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("audit");
        let files = Files::new(folder.clone(), 8);
        for events in [&[&b"{1}"[..], b"{2}"][..], &[b"{3}"], &[b"{0123456789}"], &[b"{4}"]] {
            files.append(events).await.unwrap();
        }
        let found = lines(&folder);
        let texts: Vec<_> = found.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["{1}\n{2}\n", "{3}\n", "{0123456789}\n", "{4}\n"]);
        assert!(found.iter().all(|(name, _)| name.starts_with("audit-20") && name.ends_with("Z.ndjson")));
        std::fs::remove_dir_all(&folder).unwrap();
        files.append(&[b"{5}"]).await.unwrap();
        assert_eq!(lines(&folder).len(), 1);
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a-file");
        std::fs::write(&file, "").unwrap();
        let (path, _) = Files::new(file.clone(), 8).append(&[b"{}"]).await.unwrap_err();
        assert_eq!(path, file);
    }
}
