//! FHIR client libraries that people use: from PyPI, from npm, from Maven.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Error, MAVEN, NODE, io_error, once, run, venv, version};
use crate::{hapi, repository};

/// The Python of an environment that holds the FHIR clients fhirpy and fhirclient.
///
/// # Errors
/// Python is missing or too old, or the installation failed.
pub fn python_clients(progress: &dyn Fn(&str)) -> Result<PathBuf, Error> {
    let home = repository::target().join("python");
    venv(&home, &sources().join("requirements.txt"), progress)?;
    Ok(home.join("bin/python"))
}

/// The folder `node_modules` with the FHIR clients fhir-kit-client and fhirclient, and playwright-core, which drives a
/// browser that is there.
///
/// # Errors
/// Node.js is missing or too old, or the installation failed.
pub fn node_clients(progress: &dyn Fn(&str)) -> Result<PathBuf, Error> {
    let home = repository::target().join("node");
    let files = ["package.json", "package-lock.json"].map(|name| sources().join(name));
    let version = version(Command::new("node").arg("--version"), (20, 0), NODE)?;
    once(&home, &version, &files, || {
        progress("installing fhir-kit-client, fhirclient and playwright-core into target/node");
        for file in &files {
            let copy = home.join(file.file_name().unwrap_or_default());
            fs::copy(file, copy).map_err(io_error(format!("copying {}", file.display())))?;
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]);
        // Through these fhirclient would bring all of React Native, which no Node.js uses.
        npm.args(["--omit=optional", "--legacy-peer-deps"]);
        run(npm.current_dir(&home), NODE).map(drop)
    })?;
    Ok(home.join("node_modules"))
}

/// HAPI's own client.
#[derive(Debug)]
pub struct JavaClient {
    java: PathBuf,
    libraries: PathBuf,
}

/// HAPI's own client, in Java.
///
/// # Errors
/// Java or Maven is missing or too old, or the download failed.
pub fn java_client(progress: &dyn Fn(&str)) -> Result<JavaClient, Error> {
    let home = repository::target().join("java-client");
    let pom = sources().join("java/pom.xml");
    let java = hapi::find_java()
        .map_err(|error| Error::Missing { needed: "JDK 17 or newer", reason: error.to_string() })?;
    let libraries = home.join("lib");
    once(&home, "", std::slice::from_ref(&pom), || {
        progress("installing HAPI's Java client into target/java-client");
        if libraries.exists() {
            fs::remove_dir_all(&libraries).map_err(io_error(libraries.display().to_string()))?;
        }
        let mut maven = Command::new("mvn");
        maven.args(["--quiet", "--batch-mode", "--file"]).arg(&pom);
        maven.arg(format!("-DbuildDirectory={}", home.display()));
        run(maven.arg("package"), MAVEN).map(drop)
    })?;
    Ok(JavaClient { java: java.program, libraries })
}

impl JavaClient {
    /// Runs a program of one source file that uses the client.
    pub fn command(&self, source: &Path) -> Command {
        let mut command = Command::new(&self.java);
        // It runs for seconds: compiling well does not pay.
        command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "--class-path"]);
        command.arg(self.libraries.join("*")).arg(source);
        command
    }
}

/// Where the scripts are, and the lists of what they need.
fn sources() -> PathBuf {
    repository::root().join("tests/support/clients")
}
