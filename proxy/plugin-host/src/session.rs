//! One exchange's dealings with one plugin.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::contract::{Direction, Exchange};
use crate::error::CallError;
use crate::instance::Instance;
use crate::plugin::Loaded;
use crate::verdict::Verdict;

/// An exchange with a plugin: an instance of its own, made at the first call and gone with the session, so
/// that nothing of one patient or client survives in a guest.
pub struct Session {
    plugin: Arc<Loaded>,
    instance: Option<Instance>,
    stats: Stats,
}

/// What a session has cost so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Calls of [`Session::process`] that reached the plugin, or would have.
    pub calls: u64,
    /// How many of them failed.
    pub failures: u64,
    /// How many instances were made.
    pub instantiations: u64,
    /// Time in calls, with waiting and instantiation.
    pub wall: Duration,
    /// Bytes of resources handed to the plugin.
    pub bytes_in: u64,
    /// Bytes of edits and replacements that it answered.
    pub bytes_out: u64,
}

impl Session {
    pub(crate) fn new(plugin: Arc<Loaded>) -> Session {
        Session { plugin, instance: None, stats: Stats::default() }
    }

    /// Asks the plugin what becomes of `resources`; answers one verdict for each, in the same order, and
    /// each fit for its resource. Without resources the plugin is not asked.
    ///
    /// Must be polled within a tokio runtime with its timer enabled. The call yields at least every
    /// [`TICK`](crate::TICK) of computing. If it is dropped before it has answered, the instance goes with
    /// it.
    ///
    /// # Errors
    /// [`CallError`]. The session stays usable: its next call makes a fresh instance.
    pub async fn process(
        &mut self,
        exchange: &Exchange,
        direction: Direction,
        resources: &[Bytes],
    ) -> Result<Vec<Verdict>, CallError> {
        if resources.is_empty() {
            return Ok(Vec::new());
        }
        let started = Instant::now();
        self.stats.calls += 1;
        self.stats.bytes_in += resources.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
        let answer = self.ask(exchange, direction, resources).await;
        self.stats.wall += started.elapsed();
        match &answer {
            Ok(verdicts) => {
                self.stats.bytes_out += verdicts.iter().map(|verdict| verdict.size() as u64).sum::<u64>();
            }
            Err(_) => self.stats.failures += 1,
        }
        answer
    }

    /// What the session has cost so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    async fn ask(
        &mut self,
        exchange: &Exchange,
        direction: Direction,
        resources: &[Bytes],
    ) -> Result<Vec<Verdict>, CallError> {
        // Taken out for the call: whatever ends it early also drops the instance.
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => {
                self.stats.instantiations += 1;
                let (instance, configured) = Instance::start(&self.plugin).await?;
                configured.map_err(|_| CallError::Settings)?;
                instance
            }
        };
        let verdicts = instance.process(exchange, direction, resources).await?;
        if verdicts.len() != resources.len() {
            return Err(CallError::WrongCount { resources: resources.len(), given: verdicts.len() });
        }
        let verdicts: Vec<Verdict> = verdicts.into_iter().map(Verdict::from).collect();
        for (resource, (verdict, bytes)) in verdicts.iter().zip(resources).enumerate() {
            verdict.check(bytes.len()).map_err(|fault| CallError::BadVerdict { resource, fault })?;
        }
        self.instance = Some(instance);
        Ok(verdicts)
    }
}
