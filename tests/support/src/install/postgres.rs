//! PostgreSQL, from Maven: the archive in the jar is for any Linux, or any macOS, of an architecture.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use lzma_rust2::XzReader;
use tar::Archive;

use super::{Error, MAVEN, io_error, once, run};
use crate::repository;

/// The folder whose `bin` holds `initdb` and `postgres`.
///
/// # Errors
/// There is no build for this machine, Maven is missing, or the download or unpacking failed.
pub fn postgres(progress: &dyn Fn(&str)) -> Result<PathBuf, Error> {
    let home = repository::target().join("postgres");
    let pom = repository::root().join("tests/support/postgres/pom.xml");
    let platform = platform(std::env::consts::OS, std::env::consts::ARCH)?;
    let programs = home.join("programs");
    once(&home, platform, std::slice::from_ref(&pom), || {
        progress("downloading PostgreSQL (15 MB) into target/postgres");
        // Another version's files would stay beside this one's.
        for folder in [&home.join("archive"), &programs] {
            if folder.exists() {
                fs::remove_dir_all(folder).map_err(io_error(folder.display().to_string()))?;
            }
        }
        let mut maven = Command::new("mvn");
        maven.args(["--quiet", "--batch-mode", "--file"]).arg(&pom);
        maven.arg(format!("-Dplatform={platform}")).arg(format!("-DbuildDirectory={}", home.display()));
        run(maven.arg("generate-resources"), MAVEN)?;
        unpack(&archive(&home.join("archive"))?, &programs)
    })?;
    Ok(programs)
}

/// As the jars are named.
fn platform(os: &str, architecture: &str) -> Result<&'static str, Error> {
    match (os, architecture) {
        ("linux", "x86_64") => Ok("linux-amd64"),
        ("linux", "aarch64") => Ok("linux-arm64v8"),
        ("macos", "x86_64") => Ok("darwin-amd64"),
        ("macos", "aarch64") => Ok("darwin-arm64v8"),
        _ => Err(Error::Missing {
            needed: "Linux or macOS on x86-64 or ARM64",
            reason: format!("there is no PostgreSQL for {os} on {architecture}"),
        }),
    }
}

/// The only archive there; its name tells the architecture in words of its own.
fn archive(folder: &Path) -> Result<PathBuf, Error> {
    let files = fs::read_dir(folder).map_err(io_error(folder.display().to_string()))?;
    let mut paths = files.flatten().map(|file| file.path());
    paths.find(|path| path.extension().is_some_and(|e| e == "txz")).ok_or_else(|| Error::Failed {
        command: "mvn generate-resources".into(),
        reason: format!("it left no archive in {}", folder.display()),
    })
}

fn unpack(archive: &Path, into: &Path) -> Result<(), Error> {
    let doing = || format!("unpacking {}", archive.display());
    let file = File::open(archive).map_err(io_error(doing()))?;
    Archive::new(XzReader::new(file, false)).unpack(into).map_err(io_error(doing()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_named_as_the_jars() {
        assert_eq!(platform("linux", "x86_64").unwrap(), "linux-amd64");
        assert_eq!(platform("linux", "aarch64").unwrap(), "linux-arm64v8");
        assert!(platform("linux", "riscv64").unwrap_err().to_string().contains("riscv64"));
    }
}
