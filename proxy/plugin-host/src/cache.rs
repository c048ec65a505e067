//! Compiled plugins on disk, so that a start or a reload takes milliseconds.
//!
//! A cached file is machine code: whoever can write it owns the host. Hence only the host writes and reads
//! them, in a directory that must belong to its user alone; the name carries the digest of the component
//! and the compatibility hash of the engine, and the file a digest of its own, so that one cut short by a
//! crash or a full disk is compiled again. Nothing here is an error for the user: without a cache, or with
//! a bad one, plugins are compiled.
//!
//! What is cached is mapped, not read: its pages are the file's, which the kernel may drop and fetch again, and an
//! interpreter of 30 MB takes the memory of what of it runs.

use std::fs::{self, DirBuilder, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use wasmtime::component::Component;

/// What a file ends with, after the digest of what comes before. (At its beginning the code would not lie on a page.)
const MAGIC: &[u8; 8] = b"FGCWASM2";
const TRAILER: usize = 32 + MAGIC.len();

/// A directory of compiled plugins, or none.
pub(crate) struct Cache {
    dir: Option<PathBuf>,
    /// Whether code may run from files in it: not where its file system is mounted with `noexec`.
    maps: bool,
    /// Differs between versions of wasmtime, processors and compiler settings.
    compatibility: u64,
}

/// A component compiled by this program: in this run, or by a former one that left it in the cache.
pub(crate) struct Compiled(Form);

enum Form {
    Bytes(Vec<u8>),
    /// A file of the cache, held open: another of its name is another file.
    File(File),
}

impl Cache {
    /// Uses `dir` if it is fit to hold machine code, making it if need be.
    pub(crate) fn open(dir: Option<PathBuf>, engine: &wasmtime::Engine) -> Cache {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let dir = dir.filter(|dir| match prepare(dir) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(dir = %dir.display(), %error, "compiled plugins are not cached");
                false
            }
        });
        let maps = dir.as_deref().is_some_and(may_execute);
        Cache { dir, maps, compatibility: hasher.finish() }
    }

    /// The compiled form of the component of a plugin, from the cache or by compiling it; whether it came from the cache.
    ///
    /// # Errors
    /// Of the compiler: the component is not valid, or uses a feature that is switched off.
    pub(crate) fn compile(
        &self,
        engine: &wasmtime::Engine,
        component: &[u8],
        digest: &[u8; 32],
        plugin: &str,
    ) -> wasmtime::Result<(Compiled, bool)> {
        if let Some(compiled) = self.find(digest, plugin) {
            return Ok((compiled, true));
        }
        self.recompile(engine, component, digest).map(|compiled| (compiled, false))
    }

    /// Compiles `component` whatever the cache holds, and replaces that.
    pub(crate) fn recompile(
        &self,
        engine: &wasmtime::Engine,
        component: &[u8],
        digest: &[u8; 32],
    ) -> wasmtime::Result<Compiled> {
        let bytes = aside(|| engine.precompile_component(component))?;
        let written = self.write(digest, &bytes).filter(|_| self.maps);
        Ok(Compiled(written.map_or(Form::Bytes(bytes), Form::File)))
    }

    fn path(&self, digest: &[u8; 32]) -> Option<PathBuf> {
        let name = format!("{}-{:016x}.cwasm", crate::host::hex(digest), self.compatibility);
        self.dir.as_ref().map(|dir| dir.join(name))
    }

    /// What the cache has for a plugin.
    pub(crate) fn find(&self, digest: &[u8; 32], plugin: &str) -> Option<Compiled> {
        let path = self.path(digest)?;
        let mut file = File::open(&path).ok()?;
        let sound = if self.maps {
            is_sound(&mut file, &mut io::sink()).map(|sound| sound.then_some(Form::File(file)))
        } else {
            // The digest is that of the copy that is loaded.
            let mut bytes = Vec::new();
            is_sound(&mut file, &mut bytes).map(|sound| sound.then_some(Form::Bytes(bytes)))
        };
        let form = sound.ok().flatten();
        if form.is_none() {
            tracing::warn!(plugin, path = %path.display(), "the cached plugin is damaged; compiling it again");
        }
        form.map(Compiled)
    }

    /// The file that it wrote, if it could.
    fn write(&self, digest: &[u8; 32], compiled: &[u8]) -> Option<File> {
        let path = self.path(digest)?;
        let written = write(&path, compiled);
        written
            .inspect_err(|error| {
                tracing::warn!(path = %path.display(), %error, "the compiled plugin is not cached");
            })
            .ok()
    }
}

impl Compiled {
    /// Loads it into an engine.
    ///
    /// # Errors
    /// When another version of wasmtime or other settings made it, or the engine's pool has no slot that
    /// large.
    #[expect(unsafe_code, reason = "wasmtime cannot check machine code; this type vouches for its origin")]
    pub(crate) fn load(&self, engine: &wasmtime::Engine) -> wasmtime::Result<Component> {
        // SAFETY: the bytes are what `precompile_component` answered, in this process or in an earlier one: `is_sound` has
        // checked the file's digest, and `prepare` that only this user can write it, which the host does aside, under
        // another name: a file of the cache never changes.
        match &self.0 {
            Form::Bytes(bytes) => unsafe { Component::deserialize(engine, bytes) },
            Form::File(file) => {
                // wasmtime takes a path; this one leads to the very file that was checked.
                let path = format!("/proc/self/fd/{}", file.as_raw_fd());
                unsafe { Component::deserialize_file(engine, path) }
            }
        }
    }
}

/// How much the priority of compiling is lowered (`nice(2)`).
const NICE: i32 = 10;

/// Runs what the compiler does on threads of low priority, which end with it: an interpreter takes a quarter of a minute of
/// every core. The compiler's usual threads keep the priority of whoever needed them first.
pub(crate) fn aside<T: Send>(compile: impl FnOnce() -> T + Send) -> T {
    let lowered = rayon::ThreadPoolBuilder::new()
        .thread_name(|number| format!("compiler-{number}"))
        .start_handler(|_| {
            // Without the right to it the work is done all the same.
            let _ = rustix::process::nice(NICE);
        })
        .build();
    match lowered {
        Ok(pool) => pool.install(compile),
        Err(_) => compile(),
    }
}

/// Makes `dir` and checks that nobody else can put files into it.
fn prepare(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    // A file made here shows who we are and that we may write.
    let own = NamedTempFile::new_in(dir)?.as_file().metadata()?.uid();
    let dir = fs::metadata(dir)?;
    if dir.uid() != own {
        return Err(io::Error::other("the directory belongs to another user"));
    }
    if dir.mode() & 0o022 != 0 {
        return Err(io::Error::other("other users may write to the directory (chmod go-w)"));
    }
    Ok(())
}

/// Whether the file is whole; hands over what it holds.
fn is_sound(file: &mut File, content: &mut impl Write) -> io::Result<bool> {
    let length = file.metadata()?.len();
    let Some(mut left) = length.checked_sub(TRAILER as u64).filter(|left| *left > 0) else {
        return Ok(false);
    };
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; 256 << 10]);
    while left > 0 {
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let piece = &mut buffer[..room];
        file.read_exact(piece)?;
        digest.update(&*piece);
        content.write_all(piece)?;
        left -= room as u64;
    }
    let mut trailer = [0; TRAILER];
    file.read_exact(&mut trailer)?;
    Ok(trailer.starts_with(&digest.finalize()) && trailer.ends_with(MAGIC))
}

/// Whether the file system of `dir` lets code run.
fn may_execute(dir: &Path) -> bool {
    rustix::fs::statvfs(dir).is_ok_and(|system| !system.f_flag.contains(StatVfsMountFlags::NOEXEC))
}

/// Writes aside and renames, so that no other process sees half a file; answers it.
fn write(path: &Path, compiled: &[u8]) -> io::Result<File> {
    let dir = path.parent().ok_or(io::ErrorKind::NotFound)?;
    let mut file = NamedTempFile::new_in(dir)?;
    file.write_all(compiled)?;
    file.write_all(&Sha256::digest(compiled))?;
    file.write_all(MAGIC)?;
    Ok(file.persist(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// The smallest component: the preamble.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn digest() -> [u8; 32] {
        Sha256::digest(EMPTY).into()
    }

    #[test]
    fn compiling_has_a_low_priority_and_its_caller_keeps_its_own() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        assert_eq!(aside(niceness), (before + NICE).min(19));
        let other = aside(|| rayon::join(niceness, niceness));
        assert_eq!(other, ((before + NICE).min(19), (before + NICE).min(19)));
        assert_eq!(niceness(), before);
    }

    #[test]
    fn what_was_compiled_is_found_and_what_is_damaged_compiled_again() {
        let engine = wasmtime::Engine::default();
        let dir = tempfile::tempdir().unwrap();
        for maps in [true, false] {
            let open = Cache::open(Some(dir.path().join("made/at/need")), &engine);
            let cache = Cache { maps, ..open };
            let path = cache.path(&digest()).unwrap();
            let compile = || {
                let (compiled, cached) = cache.compile(&engine, EMPTY, &digest(), "p").unwrap();
                assert_eq!(matches!(compiled.0, Form::File(_)), maps);
                compiled.load(&engine).unwrap();
                cached
            };
            assert!(!compile());
            assert!(compile());
            let sound = fs::read(&path).unwrap();
            let code = sound.len() - TRAILER;
            let damages: [(&str, Vec<u8>); 6] = [
                ("empty", Vec::new()),
                ("cut short", sound[..sound.len() - 1].to_vec()),
                ("a bit flipped", sound.iter().enumerate().map(|(i, b)| b ^ u8::from(i == 99)).collect()),
                ("no trailer", sound[..code].to_vec()),
                ("only a trailer", sound[code..].to_vec()),
                ("another mark", [&sound[..sound.len() - 1], b"1"].concat()),
            ];
            for (name, bytes) in damages {
                fs::write(&path, bytes).unwrap();
                assert!(!compile(), "{name}");
                assert_eq!(fs::read(&path).unwrap(), sound, "{name}: replaced");
                assert!(compile(), "{name}");
            }
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn what_is_loaded_stays_when_the_cache_is_emptied_or_written_anew() {
        let engine = wasmtime::Engine::default();
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(Some(dir.path().into()), &engine);
        let module = wat::parse_str(r#"(component (core module $m (func (export "f"))))"#).unwrap();
        let (compiled, _) = cache.compile(&engine, &module, &digest(), "p").unwrap();
        let loaded = compiled.load(&engine).unwrap();
        cache.recompile(&engine, EMPTY, &digest()).unwrap();
        compiled.load(&engine).unwrap();
        fs::remove_file(cache.path(&digest()).unwrap()).unwrap();
        compiled.load(&engine).unwrap();
        drop(loaded);
    }

    #[test]
    fn engines_of_other_settings_do_not_share_files() {
        let dir = tempfile::tempdir().unwrap();
        let one = wasmtime::Engine::default();
        let other = wasmtime::Engine::new(wasmtime::Config::new().epoch_interruption(true)).unwrap();
        let open = |engine| Cache::open(Some(dir.path().into()), engine);
        assert_ne!(open(&one).path(&digest()), open(&other).path(&digest()));
        let (compiled, _) = open(&one).compile(&one, EMPTY, &digest(), "p").unwrap();
        assert!(compiled.load(&other).is_err());
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_not_used() {
        let engine = wasmtime::Engine::default();
        let dir = tempfile::tempdir().unwrap();
        for (mode, used) in [(0o700, true), (0o755, true), (0o770, false), (0o777, false)] {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(Cache::open(Some(dir.path().into()), &engine).dir.is_some(), used, "{mode:o}");
        }
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(Cache::open(Some(file), &engine).dir.is_none(), "not a directory");
    }
}
