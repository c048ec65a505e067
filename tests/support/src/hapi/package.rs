//! Packaging the server: Maven once, a class-data archive once, a key that tells when both are due again.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::java::{self, Java};
use super::server::Server;
use super::{Error, Options, directory};

const JAR: &str = "fireguard-hapi.jar";
const ARCHIVE: &str = "classes.jsa";
const KEEP_LOGS: usize = 60;

/// What a server is started from.
#[derive(Debug, Clone)]
pub struct Package {
    pub(super) java: PathBuf,
    pub(super) jar: PathBuf,
    /// None only while the archive itself is being made.
    pub(super) archive: Option<PathBuf>,
}

impl Package {
    /// Returns the package for the sources, the Java and the place as they are now; builds it if there is
    /// none. Other processes that ask meanwhile wait and find it built.
    ///
    /// `progress` is told of each step that takes long, so it is silent when nothing is due.
    ///
    /// # Errors
    /// Java or Maven is missing or too old; the build or the first start failed.
    pub fn ensure(progress: &dyn Fn(&str)) -> Result<Self, Error> {
        let java = java::find_java()?;
        let source = crate::repository::root().join("tests/support/hapi");
        let home = directory().join(format!("package-{:016x}", key(&source, &java)?));
        let package = Self { java: java.program, jar: home.join(JAR), archive: Some(home.join(ARCHIVE)) };
        // The archive is moved into place last: where it is, everything is.
        if home.join(ARCHIVE).exists() {
            return Ok(package);
        }

        let logs = directory().join("logs");
        fs::create_dir_all(&logs).map_err(Error::io("creating target/hapi/logs"))?;
        let _lock = crate::install::lock(&directory().join("lock"))?;
        if home.join(ARCHIVE).exists() {
            return Ok(package);
        }
        java::require_maven()?;
        remove_other_packages();
        prune_logs(&logs);
        progress("packaging with Maven (the first time it downloads 200 MB of libraries)");
        package_with_maven(&source, &home, &logs.join("package.log"))?;
        progress("making the class-data archive");
        package.make_archive(&home)?;
        Ok(package)
    }

    /// Runs the server once and lets the JVM write down the classes that it loaded.
    fn make_archive(&self, home: &Path) -> Result<(), Error> {
        let unfinished = home.join("unfinished.jsa");
        let plain = Self { java: self.java.clone(), jar: self.jar.clone(), archive: None };
        let log = directory().join("logs/archive.log");
        let options = Options::default().log(log);
        let flags = [
            format!("-XX:ArchiveClassesAtExit={}", unfinished.display()),
            "-Xlog:cds*=off:stderr".to_owned(),
        ];
        Server::start_with(&plain, &options, &flags)?.finish()?;
        fs::rename(&unfinished, home.join(ARCHIVE)).map_err(Error::io("moving the class-data archive"))
    }
}

fn package_with_maven(source: &Path, home: &Path, log: &Path) -> Result<(), Error> {
    let output = File::create(log).map_err(Error::io("creating Maven's log"))?;
    let errors = output.try_clone().map_err(Error::io("creating Maven's log"))?;
    let status = Command::new("mvn")
        .args(["--quiet", "--batch-mode", "--file"])
        .arg(source.join("pom.xml"))
        .arg(format!("-DbuildDirectory={}", home.display()))
        .arg("package")
        .stdin(std::process::Stdio::null())
        .stdout(output)
        .stderr(errors)
        .status()
        .map_err(|e| Error::Maven(format!("mvn does not start: {e}")))?;
    if status.success() {
        return Ok(());
    }
    let text = fs::read_to_string(log).unwrap_or_default();
    let reason = text.lines().find(|line| line.contains("ERROR")).unwrap_or("mvn gives no reason");
    Err(Error::Package { reason: reason.to_owned(), log: log.to_owned() })
}

/// Changes with the project's files, the JVM, and the folder: the JVM silently ignores an archive whose
/// jars have moved.
fn key(source: &Path, java: &Java) -> Result<u64, Error> {
    let mut hasher = DefaultHasher::new();
    java.version.hash(&mut hasher);
    directory().hash(&mut hasher);
    let mut files = Vec::new();
    list_files(source, &mut files).map_err(Error::io("reading tests/support/hapi"))?;
    files.sort();
    for file in files {
        file.hash(&mut hasher);
        fs::read(&file).map_err(Error::io(file.display().to_string()))?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

fn list_files(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { list_files(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

/// A package takes 350 MB; nothing starts from one whose key is not the present one.
fn remove_other_packages() {
    for entry in fs::read_dir(directory()).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("package-") {
            // What cannot be removed only takes room.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn prune_logs(logs: &Path) {
    let mut files: Vec<_> = fs::read_dir(logs)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    let surplus = files.len().saturating_sub(KEEP_LOGS);
    for (_, path) in files.into_iter().take(surplus) {
        let _ = fs::remove_file(path);
    }
}
