//! A real S3 server of its own kind, Versity's gateway before a folder: built by Go from its module, once.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::repository;

/// The version that is built.
const MODULE: &str = "github.com/versity/versitygw/cmd/versitygw@v1.8.0";
const ACCESS_KEY: &str = "fireguard";
/// It answers by then, also on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server with one bucket. Dropping it ends the process.
#[derive(Debug)]
pub struct Versity {
    process: Child,
    scheme: &'static str,
    address: SocketAddr,
    folder: PathBuf,
    secret: String,
}

impl Versity {
    /// Its bucket.
    pub const BUCKET: &str = "objects";

    /// Starts one with an empty bucket. None, with a line that says so: there is no Go to build it.
    ///
    /// # Errors
    /// It does not start.
    pub fn start() -> io::Result<Option<Self>> {
        Self::launch(None)
    }

    /// The same with TLS: a certificate for 127.0.0.1 and its key, in PEM.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_with_tls(certificate: &str, key: &str) -> io::Result<Option<Self>> {
        Self::launch(Some((certificate, key)))
    }

    fn launch(tls: Option<(&str, &str)>) -> io::Result<Option<Self>> {
        let Some(program) = program()? else {
            eprintln!("skipped: there is no Go to build {MODULE}");
            return Ok(None);
        };
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let folder = repository::target().join(format!("s3/versity-{}", address.port()));
        std::fs::create_dir_all(folder.join("data").join(Self::BUCKET))?;
        std::fs::create_dir_all(folder.join("sidecar"))?;
        let secret: String = std::iter::repeat_with(fastrand::alphanumeric).take(40).collect();
        let mut command = Command::new(program);
        if let Some((certificate, key)) = tls {
            let (certificate_file, key_file) = (folder.join("certificate.pem"), folder.join("key.pem"));
            std::fs::write(&certificate_file, certificate)?;
            std::fs::write(&key_file, key)?;
            command.arg("--cert").arg(certificate_file).arg("--key").arg(key_file);
        }
        let process = command
            .args(["--port", &address.to_string(), "--access", ACCESS_KEY, "--quiet", "posix"])
            // What the file system may not support stands in files beside it.
            .args(["--sidecar", &folder.join("sidecar").display().to_string()])
            .arg(folder.join("data"))
            .env("ROOT_SECRET_ACCESS_KEY", &secret)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut started = Self { process: process?, scheme, address, folder, secret };
        started.listens()?;
        Ok(Some(started))
    }

    #[expect(clippy::disallowed_methods, reason = "no runtime here, and the condition is asked again")]
    fn listens(&mut self) -> io::Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let ended = self.process.try_wait()?;
            if ended.is_some() || begun.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("versitygw does not listen: {ended:?}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Where it listens, as `endpoint` is written.
    pub fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// The name of the key that it knows, and the key.
    pub fn keys(&self) -> (&str, &str) {
        (ACCESS_KEY, &self.secret)
    }

    /// The table `[buckets.<name>]` for it; the keys stand in files of this folder.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn table(&self, name: &str, folder: &Path) -> io::Result<String> {
        super::table(name, folder, &self.endpoint(), Self::BUCKET, self.keys())
    }

    /// The folder that holds the bucket's objects as files.
    pub fn objects(&self) -> PathBuf {
        self.folder.join("data").join(Self::BUCKET)
    }
}

impl Drop for Versity {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The program, built if it is not there yet; none: there is no Go.
fn program() -> io::Result<Option<PathBuf>> {
    let folder = repository::target().join("versitygw");
    let program = folder.join("versitygw");
    if program.is_file() {
        return Ok(Some(program));
    }
    std::fs::create_dir_all(&folder)?;
    // Two tests that build it at once get the same file.
    match Command::new("go").args(["install", MODULE]).env("GOBIN", &folder).status() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(status) if status.success() => Ok(Some(program)),
        Ok(status) => Err(io::Error::other(format!("go install {MODULE}: {status}"))),
    }
}
