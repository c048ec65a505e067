//! One exchange's dealings with one plugin.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::capability::fhir_client::{FhirClient, Lent};
use crate::contract::{Action, Direction, Event, Exchange, Head, Item, Message, MessageProblem, Settled};
use crate::error::CallError;
use crate::host::one_line;
use crate::instance::Instance;
use crate::plugin::Loaded;
use crate::pool::Pool;
use crate::spec::OnFailure;
use crate::verdict::Verdict;

/// Bytes of a message problem's texts that are kept.
const PROBLEM_BYTES: usize = 1024;

/// What one message becomes: resources, or nothing and why.
pub type Ingested = Result<Vec<Bytes>, MessageProblem>;

/// An exchange with a plugin: an instance of its own, made at the first call and gone with the session, so
/// that nothing of one patient or client survives in a guest. Where the plugin's instances are used again
/// ([`Instances::Reuse`](crate::Instances::Reuse)), it may be one that served others before.
///
/// Its calls must be polled within a tokio runtime with its timer enabled. They yield at least every
/// [`TICK`](crate::TICK) of computing. If one is dropped before it has answered, the instance goes with it. After an
/// error the session stays usable: its next call makes a fresh instance. With [`OnFailure::Retry`] a failed call is
/// made once more before it is an error.
pub struct Session {
    plugin: Arc<Loaded>,
    instance: Option<Instance>,
    /// What the exchange lends to whichever instance works for it.
    lent: Option<Lent>,
    stats: Stats,
}

/// What a session has cost so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Calls that reached the plugin, or would have.
    pub calls: u64,
    /// How many of them failed; a call that succeeded at its second attempt counts once.
    pub failures: u64,
    /// How many instances were made.
    pub instantiations: u64,
    /// How old the instance is that answered last, if it is still there.
    pub instance_age: Duration,
    /// Time in calls, with waiting and instantiation.
    pub wall: Duration,
    /// Bytes of content handed to the plugin: resources, messages, values of a request.
    pub bytes_in: u64,
    /// Bytes of content that it answered.
    pub bytes_out: u64,
}

impl Session {
    pub(crate) fn new(plugin: Arc<Loaded>) -> Session {
        Session { plugin, instance: None, lent: None, stats: Stats::default() }
    }

    /// Lets the plugin ask the FHIR server, if it is granted that. Without a client its questions are answered that it
    /// is not available.
    pub fn lend(&mut self, client: Arc<dyn FhirClient>) {
        self.lent = Some(Lent::new(client));
    }

    /// Asks the plugin what becomes of a request.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn request(&mut self, exchange: &Exchange, head: &Head) -> Result<Action, CallError> {
        let started = self.begin(head.parameters.iter().map(|parameter| parameter.value.len()).sum());
        let mut answer = self.try_request(exchange, head).await;
        if self.again(&answer) {
            answer = self.try_request(exchange, head).await;
        }
        self.end(started, answer, Action::size)
    }

    /// Asks the plugin what becomes of `items`; answers one verdict for each, in the same order, and
    /// each fit for its resource. Without resources the plugin is not asked.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn process(
        &mut self,
        exchange: &Exchange,
        direction: Direction,
        items: &[Item],
    ) -> Result<Vec<Verdict>, CallError> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let started = self.begin(items.iter().map(|item| item.content.len()).sum());
        let mut answer = self.try_process(exchange, direction, items).await;
        if self.again(&answer) {
            answer = self.try_process(exchange, direction, items).await;
        }
        self.end(started, answer, |verdicts| verdicts.iter().map(Verdict::size).sum())
    }

    /// Tells the plugin of writes; answers what became of each, in the same order. Without events the plugin is not
    /// asked.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn written(&mut self, events: &[Event]) -> Result<Vec<Settled>, CallError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let content = |event: &Event| event.content.as_ref().map_or(0, Bytes::len);
        let started = self.begin(events.iter().map(content).sum());
        let mut answer = self.try_written(events).await;
        if self.again(&answer) {
            answer = self.try_written(events).await;
        }
        self.end(started, answer, |_| 0)
    }

    /// Asks the plugin what messages become; one answer for each, in the same order. Without messages the plugin is
    /// not asked.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn ingest(
        &mut self,
        exchange: &Exchange,
        messages: &[Message],
    ) -> Result<Vec<Ingested>, CallError> {
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let started = self.begin(messages.iter().map(|message| message.content.len()).sum());
        let mut answer = self.try_ingest(exchange, messages).await;
        if self.again(&answer) {
            answer = self.try_ingest(exchange, messages).await;
        }
        self.end(started, answer, |ingested| ingested.iter().flatten().flatten().map(Bytes::len).sum())
    }

    /// What the session has cost so far.
    pub fn stats(&self) -> Stats {
        let instance_age = self.instance.as_ref().map_or(Duration::ZERO, Instance::age);
        Stats { instance_age, ..self.stats }
    }

    async fn try_request(&mut self, exchange: &Exchange, head: &Head) -> Result<Action, CallError> {
        let mut instance = self.instance().await?;
        let action = instance.request(exchange, head).await?;
        self.keep(instance);
        Ok(action.into())
    }

    async fn try_process(
        &mut self,
        exchange: &Exchange,
        direction: Direction,
        items: &[Item],
    ) -> Result<Vec<Verdict>, CallError> {
        let mut instance = self.instance().await?;
        let verdicts = instance.resources(exchange, direction, items).await?;
        counted(items.len(), verdicts.len())?;
        let verdicts: Vec<Verdict> = verdicts.into_iter().map(Verdict::from).collect();
        for (resource, (verdict, item)) in verdicts.iter().zip(items).enumerate() {
            verdict.check(item.content.len()).map_err(|fault| CallError::BadVerdict { resource, fault })?;
        }
        self.keep(instance);
        Ok(verdicts)
    }

    async fn try_written(&mut self, events: &[Event]) -> Result<Vec<Settled>, CallError> {
        let mut instance = self.instance().await?;
        let settled = instance.written(events).await?;
        counted(events.len(), settled.len())?;
        self.keep(instance);
        Ok(settled)
    }

    async fn try_ingest(
        &mut self,
        exchange: &Exchange,
        messages: &[Message],
    ) -> Result<Vec<Ingested>, CallError> {
        let mut instance = self.instance().await?;
        let (ingested,) = instance.ingest(exchange, messages).await?;
        counted(messages.len(), ingested.len())?;
        self.keep(instance);
        let resources = |resources: Vec<Vec<u8>>| resources.into_iter().map(Bytes::from).collect();
        Ok(ingested.into_iter().map(|one| one.map(resources).map_err(cleaned)).collect())
    }

    /// Taken out for the call: whatever ends it early also drops the instance.
    async fn instance(&mut self) -> Result<Instance, CallError> {
        let mut instance = self.any_instance().await?;
        instance.lend(self.lent.clone());
        Ok(instance)
    }

    async fn any_instance(&mut self) -> Result<Instance, CallError> {
        if let Some(instance) = self.instance.take() {
            return Ok(instance);
        }
        if let Some(instance) = self.plugin.pool.as_ref().and_then(Pool::take) {
            return Ok(instance);
        }
        self.stats.instantiations += 1;
        Instance::fresh(&self.plugin).await
    }

    /// It answered well: the next call goes to it as well.
    fn keep(&mut self, instance: Instance) {
        self.instance = Some(instance);
    }

    fn begin(&mut self, bytes_in: usize) -> Instant {
        self.stats.calls += 1;
        self.stats.bytes_in += bytes_in as u64;
        Instant::now()
    }

    /// Whether a call is to be made once more. One that found no room has waited for it long enough.
    fn again<T>(&self, answer: &Result<T, CallError>) -> bool {
        self.plugin.on_failure == OnFailure::Retry && answer.as_ref().is_err_and(|error| !error.is_busy())
    }

    fn end<T>(
        &mut self,
        started: Instant,
        answer: Result<T, CallError>,
        size: impl Fn(&T) -> usize,
    ) -> Result<T, CallError> {
        self.stats.wall += started.elapsed();
        match &answer {
            Ok(answer) => self.stats.bytes_out += size(answer) as u64,
            Err(_) => self.stats.failures += 1,
        }
        answer
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let (Some(pool), Some(mut instance)) = (&self.plugin.pool, self.instance.take()) {
            instance.lend(None);
            pool.put(instance, &self.plugin);
        }
    }
}

fn counted(asked: usize, given: usize) -> Result<(), CallError> {
    if asked == given { Ok(()) } else { Err(CallError::WrongCount { asked, given }) }
}

fn cleaned(problem: MessageProblem) -> MessageProblem {
    MessageProblem {
        place: one_line(&problem.place, PROBLEM_BYTES),
        message: one_line(&problem.message, PROBLEM_BYTES),
        extras: problem.extras,
    }
}
