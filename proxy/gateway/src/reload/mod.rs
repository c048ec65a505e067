//! Changes the configuration while it is served: all of it or nothing.
//!
//! Everything that can fail or take long happens aside, on a thread of low priority: reading, checking, compiling
//! plugins, asking servers that are new for their version. Only then one pointer is swapped.

mod aside;
mod changes;
mod fixed;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::timeout;

pub use self::aside::{NotAside, aside};
use self::changes::Changes;
use self::fixed::Fixed;
use crate::config::{self, Config, Report};
use crate::logging::{Level, with_causes};
use crate::plugins::LoadFailure;
use crate::server::{Live, TlsError};
use crate::service;
use crate::state::Route;
use crate::upstreams::{self, Unknown, WrongVersion};

/// How long servers may take to say their version before others go on; after that they are asked while serving.
pub const ASKING: Duration = Duration::from_secs(2);

/// Reads the configuration again and serves it. Cheap to clone.
#[derive(Clone)]
pub struct Reloader(Arc<Inner>);

/// What can be changed while it is served.
pub struct Parts {
    /// The configuration and what was made of it.
    pub live: Arc<Live>,
    /// The servers whose version is not known.
    pub unknown: Unknown,
    /// What is logged.
    pub level: Level,
}

/// The configuration as it was read.
pub struct Served {
    text: String,
    fixed: Fixed,
}

struct Inner {
    path: PathBuf,
    parts: Parts,
    /// Where servers are asked that say nothing in time.
    runtime: Handle,
    /// Held while it is replaced.
    served: Mutex<Served>,
}

/// A new configuration is served.
#[derive(Debug)]
pub struct Reloaded {
    /// What differs from the one before, by the names of settings.
    pub changes: String,
    /// The plugins that were loaded anew.
    pub plugins: String,
}

/// Why everything stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum NotReloaded {
    /// The file is wrong, or differs in what cannot be changed.
    #[error("{}", .0.one_line())]
    Config(Report),
    /// A plugin cannot be loaded, or a key not be made.
    #[error(transparent)]
    Load(#[from] LoadFailure),
    /// The certificate or its key is not usable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A server that is new speaks another version.
    #[error(transparent)]
    Version(#[from] WrongVersion),
    /// It did not come to its end.
    #[error(transparent)]
    Aside(#[from] NotAside),
}

impl Served {
    /// `text` was in the file; `config` is what it says.
    pub fn new(text: String, config: &Config) -> Self {
        Self { text, fixed: Fixed::of(config) }
    }
}

impl NotReloaded {
    /// For people, with the lines of the file that it is about.
    pub fn text(&self) -> String {
        match self {
            Self::Config(report) => report.text(),
            other => format!("{}\n", with_causes(other)),
        }
    }
}

impl Reloader {
    /// For the file at `path`. Servers that are new and say nothing are asked on this `runtime`.
    pub fn new(path: &Path, served: Served, parts: Parts, runtime: &Handle) -> Self {
        let (path, runtime, served) = (path.to_owned(), runtime.clone(), Mutex::new(served));
        Self(Arc::new(Inner { path, parts, runtime, served }))
    }

    /// Reads the configuration again and serves it, or leaves everything as it is. Says so in log and metrics,
    /// also if nobody waits for it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn reload(&self) -> Result<Reloaded, NotReloaded> {
        let this = Arc::clone(&self.0);
        let load = async move || {
            let begin = Instant::now();
            service::reloading();
            let loaded = this.load().await;
            service::ready();
            note(&loaded, begin.elapsed());
            loaded
        };
        aside(load).await?
    }
}

impl Inner {
    async fn load(&self) -> Result<Reloaded, NotReloaded> {
        let mut served = self.served.lock().await;
        let text = Config::read(&self.path).map_err(NotReloaded::Config)?;
        let config = Config::parse(&text, &self.path).map_err(NotReloaded::Config)?;
        let fixed = Fixed::of(&config);
        let problems = fixed.differs(&served.fixed, &text);
        if !problems.is_empty() {
            return Err(NotReloaded::Config(Report::new(&self.path, &text, problems)));
        }
        let Parts { live, unknown, level } = &self.parts;
        let before = live.shared();
        let mut changes = Changes::between(&served.text, &text);
        changes.files(before.server.tls.as_ref(), config.server.tls.as_ref());
        for route in &config.routes {
            let same = |known: &&Arc<Route>| known.upstream_name == route.upstream_name;
            if before.routes.iter().find(same).is_some_and(|b| b.group.configured.tls != route.replicas.tls) {
                changes.name(format!("upstreams.{}.tls", route.upstream_name));
            }
        }
        let decided = |route: &config::Route| {
            let known = before.routes.iter().find(|known| *known.name == *route.name);
            known.is_none_or(|known| known.decisions.as_deref() == route.decisions.as_ref())
        };
        if !config.routes.iter().all(decided) {
            changes.name("policies".to_owned());
        }
        let new_level = config.log.level;
        let after = Arc::new(before.succeed(config).await?);
        let newcomers = Unknown::newcomers(&before, &after);
        let asked = timeout(ASKING, upstreams::require_r4(&after, &newcomers)).await;
        if let Ok(Err(wrong)) = asked {
            return Err(wrong.into());
        }
        live.replace(Arc::clone(&after))?;
        after.tend(&self.runtime);
        level.set(new_level);
        unknown.succeed(&after, &newcomers);
        let plugins = after.fresh_plugins().join(", ");
        if asked.is_err() {
            let (asking, unknown) = (upstreams::require_r4(&after, unknown), unknown.clone());
            self.runtime.spawn(async move { upstreams::keep_asking(asking, &unknown).await });
        }
        *served = Served { text, fixed };
        Ok(Reloaded { changes: changes.to_string(), plugins })
    }
}

fn note(loaded: &Result<Reloaded, NotReloaded>, took: Duration) {
    // Before the line, so that who has read the line finds it counted.
    let outcome = if loaded.is_ok() { "applied" } else { "refused" };
    metrics::counter!("fireguard_reloads_total", "outcome" => outcome).increment(1);
    let milliseconds = took.as_millis() as u64;
    match loaded {
        Ok(Reloaded { changes, plugins }) => tracing::info!(changes, plugins, milliseconds, "reloaded"),
        Err(error) => {
            let reason = with_causes(error);
            tracing::error!(reason, milliseconds, "not reloaded: everything stays as it was");
        }
    }
}
