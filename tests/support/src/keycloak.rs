//! A real identity provider: Keycloak, from Maven, with a realm of its own and secrets made by chance.
//!
//! The first use unpacks it under `target/keycloak` and has it build itself; later ones start it in about 20 seconds. It
//! keeps everything in memory, and ends with the process that started it, however that ends.

mod realm;

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use crate::{install, repository};

pub use realm::{ANN, Realm, Tokens};

/// Four times what a start takes on two cores that compile at the same time.
const READY_WITHIN: Duration = Duration::from_secs(180);
/// Small, and compiled fast instead of well: it serves some hundred requests.
const JVM: [(&str, &str); 2] =
    [("JAVA_OPTS_KC_HEAP", "-Xms64m -Xmx512m"), ("JAVA_OPTS_APPEND", "-XX:TieredStopAtLevel=1")];

const JDK: &str = "JDK 17 or newer";

/// Why there is no Keycloak.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be installed.
    #[error(transparent)]
    Install(#[from] install::Error),
    /// A file or process could not be handled.
    #[error("{0}: {1}")]
    Io(&'static str, #[source] std::io::Error),
    /// It did not answer in time, or ended.
    #[error("Keycloak does not serve (log: {})", .0.display())]
    NotServing(PathBuf),
    /// It refused what the harness asked for.
    #[error("Keycloak does not do as it is asked: {0}")]
    Refused(String),
    /// The runtime went away meanwhile.
    #[error("the start of Keycloak was interrupted")]
    Interrupted,
}

/// A running Keycloak. Dropping it ends it.
#[derive(Debug)]
pub struct Keycloak {
    process: Child,
    realm: Realm,
}

impl Keycloak {
    /// One for all tests of this process, with the realm `clinic`. It lives until the process ends.
    ///
    /// # Errors
    /// Java or Maven is missing or too old; it cannot be installed or does not serve. The next call tries again.
    pub async fn shared() -> Result<&'static Self, Error> {
        static SHARED: tokio::sync::OnceCell<Keycloak> = tokio::sync::OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Installs it if that is due, starts it and makes the realm.
    ///
    /// # Errors
    /// As [`Keycloak::shared`].
    pub async fn start() -> Result<Self, Error> {
        let password = realm::secret();
        let admin = password.clone();
        let (mut keycloak, base, log) = blocking(move || {
            let home = installed(&|step| eprintln!("Keycloak: {step}"))?;
            Self::run(&home, &admin)
        })
        .await?;
        let since = Instant::now();
        while !answers(&base).await {
            if since.elapsed() > READY_WITHIN {
                return Err(Error::NotServing(log));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        keycloak.realm = blocking(move || Realm::make(&base, &password)).await?;
        Ok(keycloak)
    }

    /// Its realm.
    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    /// With its address, and where its log is.
    fn run(home: &Path, password: &str) -> Result<(Self, String, PathBuf), Error> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = port.map_err(|error| Error::Io("finding a port", error))?.port();
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let log = repository::target().join(format!("keycloak/{}-{number}.log", std::process::id()));
        let output = File::create(&log).map_err(|error| Error::Io("creating its log", error))?;
        let errors = output.try_clone().map_err(|error| Error::Io("creating its log", error))?;
        // The pipe closes with this process, however that ends; then the group is ended.
        let script = "\"$0\" \"$@\" </dev/null & cat >/dev/null; kill -9 0";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(home.join("bin/kc.sh"));
        command.args(["start", "--optimized", "--http-enabled=true", "--hostname-strict=false"]);
        command.args(["--http-host=127.0.0.1".to_owned(), format!("--http-port={port}")]);
        command.envs(JVM).env("KC_BOOTSTRAP_ADMIN_USERNAME", realm::ADMIN);
        command.env("KC_BOOTSTRAP_ADMIN_PASSWORD", password);
        command.stdin(Stdio::piped()).stdout(output).stderr(errors).process_group(0);
        let process = command.spawn().map_err(|error| Error::Io("starting sh", error))?;
        Ok((Self { process, realm: Realm::default() }, format!("http://127.0.0.1:{port}"), log))
    }
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        let _ = self.process.wait();
    }
}

async fn answers(base: &str) -> bool {
    let url = format!("{base}/realms/master");
    tokio::task::spawn_blocking(move || ureq::get(url).call().is_ok()).await.unwrap_or(false)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Error::Interrupted))
}

/// The folder it is unpacked in, with what it builds of itself at its first start.
fn installed(progress: &dyn Fn(&str)) -> Result<PathBuf, Error> {
    let home = repository::target().join("keycloak");
    let pom = repository::root().join("tests/support/keycloak/pom.xml");
    let scripts = repository::root().join("packaging/keycloak/launch-context");
    let files = [pom.clone(), scripts.join("META-INF/keycloak-scripts.json"), scripts.join("patient.js")];
    let unpacked = home.join("unpacked");
    install::once(&home, "", &files, || {
        progress("unpacking it with Maven (the first time it downloads 177 MB)");
        if unpacked.exists() {
            fs::remove_dir_all(&unpacked).map_err(|error| Error::Io("removing an older one", error))?;
        }
        let mut maven = Command::new("mvn");
        maven.args(["--quiet", "--batch-mode", "--file"]).arg(&pom);
        maven.arg(format!("-DbuildDirectory={}", home.display())).arg("package");
        install::run(&mut maven, "Maven 3.6 or newer with a JDK")?;
        progress("building it");
        let program = program(&unpacked)?;
        let mut jar = Command::new("jar");
        jar.args(["--create", "--file"]).arg(program.join("providers/launch-context.jar"));
        install::run(jar.arg("-C").arg(&scripts).arg("."), JDK)?;
        let mut build = Command::new(program.join("bin/kc.sh"));
        build.args(["build", "--db=dev-mem", "--cache=local", "--features=scripts"]).envs(JVM);
        install::run(&mut build, JDK)?;
        Ok::<(), Error>(())
    })?;
    program(&unpacked)
}

/// The only folder in there, which has its version in its name.
fn program(unpacked: &Path) -> Result<PathBuf, Error> {
    let folder = fs::read_dir(unpacked).and_then(|mut entries| {
        let first = entries.next().unwrap_or_else(|| Err(std::io::ErrorKind::NotFound.into()));
        first.map(|entry| entry.path())
    });
    folder.map_err(|error| Error::Io("looking for what was unpacked", error))
}

/// For `map_err`: what was answered, less the tokens in it.
fn refused(what: &'static str) -> impl FnOnce(ureq::Error) -> Error {
    move |error| Error::Refused(format!("{what}: {error}"))
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_default()
}
