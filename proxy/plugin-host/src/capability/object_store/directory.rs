//! Objects as files in a directory.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};

use super::name::is_object_name;
use super::store::{Object, ObjectStore, StoreFault, Stored};

/// Files that are being written are named so; no object is.
const UNFINISHED: &str = ".unfinished-";
/// Nothing takes so long to be written: its writer has died.
const ABANDONED: Duration = Duration::from_secs(3600);
/// Tells apart what is being written by this process.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// A directory. What is put there is whole and on the disk when it is answered for, or not there at all. Symbolic
/// links out of it lead nowhere.
#[derive(Debug, Clone)]
pub struct Directory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: Dir,
    /// Bytes of all objects together.
    quota: u64,
    /// How many there are. Held while one is replaced, so that two cannot both take the last place.
    used: Mutex<u64>,
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct DirectoryFault {
    path: PathBuf,
    source: io::Error,
}

impl Directory {
    /// Opens the directory, makes it if need be, and counts what is there. Blocks.
    ///
    /// # Errors
    /// It cannot be made or read.
    pub fn open(path: &Path, quota: u64) -> Result<Self, DirectoryFault> {
        let open = || {
            std::fs::create_dir_all(path)?;
            let root = Dir::open_ambient_dir(path, ambient_authority())?;
            sweep(&root)?;
            let mut used = 0;
            visit(&root, "", &|_| true, &mut |_, length| used += length)?;
            Ok(Inner { root, quota, used: Mutex::new(used) })
        };
        let inner = open().map_err(|source| DirectoryFault { path: path.to_owned(), source })?;
        Ok(Self(Arc::new(inner)))
    }
}

impl ObjectStore for Directory {
    fn put(&self, object: Object) -> Stored<'_, ()> {
        self.blocking(move |inner| inner.put(&object))
    }

    fn get(&self, name: String, most: u64) -> Stored<'_, Option<Vec<u8>>> {
        self.blocking(move |inner| inner.get(&name, most))
    }

    fn delete(&self, name: String) -> Stored<'_, ()> {
        self.blocking(move |inner| inner.delete(&name))
    }

    fn names(&self, prefix: String, after: String, most: usize) -> Stored<'_, Vec<String>> {
        self.blocking(move |inner| inner.names(&prefix, &after, most))
    }
}

impl Directory {
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StoreFault> + Send + 'static,
    ) -> Stored<'_, T> {
        let inner = Arc::clone(&self.0);
        let work = tokio::task::spawn_blocking(move || work(&inner));
        Box::pin(async move { work.await.unwrap_or(Err(StoreFault::Unavailable)) })
    }
}

impl Inner {
    fn put(&self, object: &Object) -> Result<(), StoreFault> {
        let (folder, file) = split(&object.name);
        let parent = self.folder(folder)?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match parent.symlink_metadata(file) {
            Ok(known) if known.is_dir() => return Err(StoreFault::IsFolder),
            Ok(known) if known.is_file() => known.len(),
            Ok(_) => 0,
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => return Err(error.into()),
        };
        let after = used.saturating_sub(before).saturating_add(object.content.len() as u64);
        if after > self.quota && object.content.len() as u64 > before {
            return Err(StoreFault::Full { quota: self.quota });
        }
        let (process, write) = (std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed));
        let unfinished = format!("{UNFINISHED}{process}-{write}");
        let written = self.write(&unfinished, &object.content).and_then(|()| {
            self.root.rename(&unfinished, &parent, file)?;
            // The name is on the disk when its folder is.
            sync(&parent)
        });
        if let Err(error) = written {
            // It may not have come so far as to be there.
            let _ = self.root.remove_file(&unfinished);
            return Err(error.into());
        }
        *used = after;
        Ok(())
    }

    fn get(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, StoreFault> {
        let known = match self.root.metadata(name) {
            Ok(known) if known.is_file() => known,
            Ok(_) => return Ok(None),
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if known.len() > most {
            return Err(StoreFault::TooLarge { most });
        }
        let mut content = Vec::new();
        match self.root.open(name) {
            Ok(file) => file.take(most).read_to_end(&mut content)?,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(content))
    }

    fn delete(&self, name: &str) -> Result<(), StoreFault> {
        let (folder, file) = split(name);
        let parent = match self.root.open_dir(folder.unwrap_or(".")) {
            Ok(parent) => parent,
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let length = match parent.symlink_metadata(file) {
            Ok(known) if known.is_dir() => return Ok(()),
            Ok(known) if known.is_file() => known.len(),
            Ok(_) => 0,
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        parent.remove_file(file)?;
        sync(&parent)?;
        *used = used.saturating_sub(length);
        Ok(())
    }

    /// The names are wanted in the order of their bytes, in which `a-b` stands before `a/b`: so all that may be among
    /// the first are looked at, and no more than these are kept.
    fn names(&self, prefix: &str, after: &str, most: usize) -> Result<Vec<String>, StoreFault> {
        let mut first = BTreeSet::new();
        let leads_there = |folder: &str| {
            let may_begin_so = folder.starts_with(prefix) || prefix.starts_with(folder);
            may_begin_so && (folder > after || after.starts_with(folder))
        };
        visit(&self.root, "", &leads_there, &mut |name, _| {
            if name.starts_with(prefix) && name > after {
                first.insert(name.to_owned());
                if first.len() > most {
                    first.pop_last();
                }
            }
        })?;
        Ok(first.into_iter().collect())
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut file = self.root.open_with(name, OpenOptions::new().write(true).create_new(true))?;
        file.write_all(content)?;
        file.sync_all()
    }

    /// The folder of this name, made if need be.
    fn folder(&self, name: Option<&str>) -> Result<Dir, StoreFault> {
        let Some(name) = name else { return Ok(self.root.try_clone()?) };
        match self.root.open_dir(name) {
            Ok(folder) => return Ok(folder),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if error.kind() == ErrorKind::NotADirectory => return Err(StoreFault::IsObject),
            Err(error) => return Err(error.into()),
        }
        let mut folder = self.root.try_clone()?;
        for segment in name.split('/') {
            match folder.create_dir(segment) {
                Ok(()) => sync(&folder)?,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
            folder = folder.open_dir(segment).map_err(|error| match error.kind() {
                ErrorKind::NotADirectory => StoreFault::IsObject,
                _ => error.into(),
            })?;
        }
        Ok(folder)
    }
}

/// Calls `found` with the name and length of every object below, in the folders that are `wanted` (by name and `/`).
fn visit(
    folder: &Dir,
    place: &str,
    wanted: &dyn Fn(&str) -> bool,
    found: &mut dyn FnMut(&str, u64),
) -> io::Result<()> {
    for entry in folder.entries()? {
        let entry = entry?;
        let name = entry.file_name();
        // What has no object's name is none.
        let Some(name) = name.to_str().filter(|name| is_object_name(name)) else { continue };
        let (kind, name) = (entry.file_type()?, format!("{place}{name}"));
        if kind.is_dir() {
            let below = format!("{name}/");
            if wanted(&below) {
                visit(&entry.open_dir()?, &below, wanted, found)?;
            }
        } else if kind.is_file() {
            match entry.metadata() {
                Ok(known) => found(&name, known.len()),
                // It was deleted meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Removes what was never finished.
fn sweep(root: &Dir) -> io::Result<()> {
    for entry in root.entries()? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            continue;
        }
        let written = entry.metadata()?.modified()?.into_std();
        if SystemTime::now().duration_since(written).is_ok_and(|age| age > ABANDONED) {
            root.remove_file(name)?;
        }
    }
    Ok(())
}

fn split(name: &str) -> (Option<&str>, &str) {
    name.rsplit_once('/').map_or((None, name), |(folder, file)| (Some(folder), file))
}

fn sync(folder: &Dir) -> io::Result<()> {
    folder.open(".")?.sync_all()
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests;
