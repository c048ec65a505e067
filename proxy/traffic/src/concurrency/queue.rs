//! Who waits, in two lines.

use std::collections::VecDeque;

use tokio::sync::oneshot::Sender;

use super::Permit;
use crate::rate::Class;

/// Of so many turns one goes to the second line, so that nobody waits for ever.
const SHARE: u32 = 8;

/// Reads by id go first; somebody waits for each of them at a screen.
#[derive(Default)]
pub(super) struct Queue {
    first: VecDeque<(Class, Sender<Permit>)>,
    second: VecDeque<(Class, Sender<Permit>)>,
    turns: u32,
}

impl Queue {
    pub(super) fn push(&mut self, class: Class, waker: Sender<Permit>) {
        let line = if class == Class::Read { &mut self.first } else { &mut self.second };
        line.push_back((class, waker));
    }

    /// The next that still waits.
    pub(super) fn pop(&mut self) -> Option<(Class, Sender<Permit>)> {
        self.turns = (self.turns + 1) % SHARE;
        let (one, other) = if self.turns == 0 {
            (&mut self.second, &mut self.first)
        } else {
            (&mut self.first, &mut self.second)
        };
        let next = |line: &mut VecDeque<(Class, Sender<Permit>)>| {
            std::iter::from_fn(|| line.pop_front()).find(|(_, waker)| !waker.is_closed())
        };
        next(one).or_else(|| next(other))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.second.is_empty()
    }

    /// How many wait. Those that gave up are forgotten first.
    pub(super) fn len(&mut self) -> usize {
        for line in [&mut self.first, &mut self.second] {
            while line.front().is_some_and(|(_, waker)| waker.is_closed()) {
                line.pop_front();
            }
        }
        self.first.len() + self.second.len()
    }
}
