//! What a stand-in was told to answer, and what it was sent.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::{Answer, Received};

/// Shared by the connections of one stand-in.
#[derive(Debug, Default)]
pub(super) struct Script {
    rules: Mutex<Vec<Rule>>,
    received: Mutex<Vec<Received>>,
    /// Counts changes of `received`.
    changes: watch::Sender<u64>,
    connections: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
}

#[derive(Debug)]
struct Rule {
    method: String,
    path: String,
    queue: VecDeque<Answer>,
    standing: Option<Answer>,
}

impl Script {
    pub(super) fn set(&self, method: &str, path: &str, answer: Answer) {
        self.rule(method, path, |rule| rule.standing = Some(answer));
    }

    pub(super) fn queue(&self, method: &str, path: &str, answers: impl IntoIterator<Item = Answer>) {
        self.rule(method, path, |rule| rule.queue.extend(answers));
    }

    /// The answer to this request: the next in a queue, otherwise the latest standing one, otherwise 404.
    pub(super) fn pick(&self, method: &str, path: &str) -> Answer {
        let mut rules = lock(&self.rules);
        let fitting = |rule: &Rule| fits(&rule.method, &rule.path, method, path);
        let queued =
            rules.iter_mut().rev().filter(|rule| fitting(rule)).find_map(|rule| rule.queue.pop_front());
        queued
            .or_else(|| {
                rules.iter().rev().filter(|rule| fitting(rule)).find_map(|rule| rule.standing.clone())
            })
            .unwrap_or_else(|| Answer::outcome(404, "not-found"))
    }

    /// Writes a request down and returns its place.
    pub(super) fn record(&self, request: Received) -> usize {
        let mut received = lock(&self.received);
        received.push(request);
        let place = received.len() - 1;
        drop(received);
        self.changes.send_modify(|changes| *changes += 1);
        place
    }

    /// Changes what was written down.
    pub(super) fn amend(&self, place: usize, change: impl FnOnce(&mut Received)) {
        if let Some(request) = lock(&self.received).get_mut(place) {
            change(request);
        }
        self.changes.send_modify(|changes| *changes += 1);
    }

    pub(super) fn requests(&self) -> Vec<Received> {
        lock(&self.received).clone()
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Counts a connection and returns its number, from one.
    pub(super) fn connect(&self) -> usize {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Counts a request as being served until the guard is dropped.
    pub(super) fn enter(&self) -> InFlight<'_> {
        let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_in_flight.fetch_max(now, Ordering::SeqCst);
        InFlight { script: self }
    }

    pub(super) fn most_in_flight(&self) -> usize {
        self.most_in_flight.load(Ordering::SeqCst)
    }

    fn rule(&self, method: &str, path: &str, change: impl FnOnce(&mut Rule)) {
        let mut rules = lock(&self.rules);
        let found = rules.iter().position(|rule| rule.method == method && rule.path == path);
        let mut rule = match found {
            Some(place) => rules.remove(place),
            None => Rule {
                method: method.to_owned(),
                path: path.to_owned(),
                queue: VecDeque::new(),
                standing: None,
            },
        };
        change(&mut rule);
        // Last: the latest rule wins.
        rules.push(rule);
    }
}

/// See [`Script::enter`].
#[derive(Debug)]
pub(super) struct InFlight<'a> {
    script: &'a Script,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.script.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether a rule for a method (`*` is any) and a path (`…*` is a prefix) fits a request.
pub(super) fn fits(rule_method: &str, rule_path: &str, method: &str, path: &str) -> bool {
    let method_fits = rule_method == "*" || rule_method == method;
    method_fits
        && match rule_path.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => path == rule_path,
        }
}

/// A test that panicked while it held the lock has failed already; the others may go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
