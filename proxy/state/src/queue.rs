//! Work that is done at least once.

use std::time::Duration;

use crate::Answer;

/// Keeps tasks until they are settled. Who takes one has it for a while; is it not settled by then, it comes again.
pub trait Queue: Send + Sync {
    /// Adds tasks at the end: all of them or none. Answers their numbers, which grow.
    fn append<'a>(&'a self, queue: &'a str, tasks: Vec<Task>) -> Answer<'a, Vec<u64>>;

    /// Takes up to `most` tasks that are due, the oldest first, for this long.
    fn lease<'a>(&'a self, queue: &'a str, most: u32, time: Duration) -> Answer<'a, Vec<Leased>>;

    /// Holds tasks that were taken, by number and attempt, for this long from now. What somebody else has taken meanwhile
    /// stays theirs. Answers how many are still held.
    fn hold<'a>(&'a self, queue: &'a str, held: Vec<(u64, u32)>, time: Duration) -> Answer<'a, usize>;

    /// Says what became of tasks. What somebody else has taken meanwhile stays theirs. Answers how many were settled.
    fn settle<'a>(&'a self, queue: &'a str, settlements: Vec<Settlement>) -> Answer<'a, usize>;

    /// Puts one task into the queue `into`, in the place of tasks that were taken from `queue` (by number and attempt): both
    /// or nothing. It is as old as the oldest of them. Answers whether it did: not where one is somebody else's meanwhile.
    fn fold<'a>(
        &'a self,
        queue: &'a str,
        held: Vec<(u64, u32)>,
        into: &'a str,
        task: Task,
    ) -> Answer<'a, bool>;

    /// How much there is to do.
    fn standing<'a>(&'a self, queue: &'a str) -> Answer<'a, Standing>;
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// What it is, in the words of who will do it.
    pub content: Vec<u8>,
    /// How long it is to wait at first.
    pub after: Duration,
}

/// A task that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// Its number.
    pub id: u64,
    /// How often it was taken, this time included.
    pub attempt: u32,
    /// What it is.
    pub content: Vec<u8>,
}

/// What became of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    /// Its number.
    pub id: u64,
    /// The attempt that this is about, by [`Leased::attempt`].
    pub attempt: u32,
    /// None: it is done. Otherwise it is to come again, after this time.
    pub again: Option<Duration>,
}

/// How much there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Tasks that are not settled.
    pub length: u64,
    /// For how long the oldest of them has been there.
    pub oldest: Option<Duration>,
}
