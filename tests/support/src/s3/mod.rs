//! An S3 server in this process, which misbehaves on purpose and remembers what was put; and a real one as a process of
//! its own ([`versity`]).
//!
//! Behind it is s3s-fs: signatures, conditions and listings are those of an independent implementation, objects are
//! files in a folder.

mod fault;
pub mod versity;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use fault::Script;
pub use fault::{Fault, Put};

use crate::repository;

/// Tells apart the servers of one process.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// A running server with one bucket. Dropping it frees its port and removes its folder.
#[derive(Debug)]
pub struct S3 {
    address: SocketAddr,
    folder: PathBuf,
    bucket: String,
    access_key: String,
    secret_key: String,
    script: Arc<Script>,
    accepting: JoinHandle<()>,
}

impl S3 {
    /// Listens on a free port of the loopback interface, with an empty bucket of this name and keys made by chance.
    ///
    /// # Errors
    /// No port can be opened, or the folder not be made.
    pub async fn start(bucket: &str) -> io::Result<Self> {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = repository::target().join(format!("s3/{}-{number}", std::process::id()));
        std::fs::create_dir_all(folder.join(bucket))?;
        let key = |length| std::iter::repeat_with(fastrand::alphanumeric).take(length).collect::<String>();
        let (access_key, secret_key) = (key(20), key(40));
        let files = FileSystem::new(&folder).map_err(|error| io::Error::other(format!("{error:?}")))?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(&access_key, secret_key.as_str()));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let script = Arc::new(Script::default());
        let accepting = tokio::spawn(accept(listener, service.build(), Arc::clone(&script)));
        Ok(Self { address, folder, bucket: bucket.to_owned(), access_key, secret_key, script, accepting })
    }

    /// Where it listens, as `endpoint` is written.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The name of the key that it knows, and the key.
    pub fn keys(&self) -> (&str, &str) {
        (&self.access_key, &self.secret_key)
    }

    /// The table `[buckets.<name>]` for it; the keys stand in files of this folder.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn table(&self, name: &str, folder: &Path) -> io::Result<String> {
        table(name, folder, &self.endpoint(), &self.bucket, self.keys())
    }

    /// Faults for the next requests, each for one.
    pub fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.script.queue(faults);
    }

    /// From now on every request meets this fault, once nothing is queued; none: it is served.
    pub fn always(&self, fault: Option<Fault>) {
        self.script.always(fault);
    }

    /// Every PUT of an object that has arrived, in order.
    pub fn puts(&self) -> Vec<Put> {
        self.script.puts()
    }

    /// How many requests have arrived.
    pub fn requests(&self) -> usize {
        self.script.requests()
    }

    /// What is in the bucket, by key.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn objects(&self) -> io::Result<BTreeMap<String, Vec<u8>>> {
        let root = self.folder.join(&self.bucket);
        let (mut found, mut open) = (BTreeMap::new(), vec![root.clone()]);
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    open.push(path);
                } else if let Ok(key) = path.strip_prefix(&root) {
                    found.insert(key.to_string_lossy().into_owned(), std::fs::read(&path)?);
                }
            }
        }
        Ok(found)
    }

    /// Takes the bucket away, or brings it back: s3s-fs would make one.
    pub fn bucket_is_there(&self, there: bool) {
        self.always((!there).then_some(Fault::Answer(404, "NoSuchBucket")));
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.accepting.abort();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The table `[buckets.<name>]` for a server; the keys are written to files of this folder.
pub(crate) fn table(
    name: &str,
    folder: &Path,
    endpoint: &str,
    bucket: &str,
    keys: (&str, &str),
) -> io::Result<String> {
    std::fs::create_dir_all(folder)?;
    let (access, secret) = (folder.join(format!("{name}-access")), folder.join(format!("{name}-secret")));
    std::fs::write(&access, keys.0)?;
    std::fs::write(&secret, keys.1)?;
    Ok(format!(
        "[buckets.{name}]\nbucket = {bucket:?}\nendpoint = {endpoint:?}\naccess_key = \"file:{}\"\n\
         secret_key = \"file:{}\"\n",
        access.display(),
        secret.display(),
    ))
}

async fn accept(listener: TcpListener, service: S3Service, script: Arc<Script>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (service, script) = (service.clone(), Arc::clone(&script));
        tokio::spawn(async move {
            let serve = service_fn(|request: hyper::Request<Incoming>| {
                fault::serve(Arc::clone(&script), service.clone(), request)
            });
            // A client that goes away ends its connection.
            let _ =
                auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), serve).await;
        });
    }
}
