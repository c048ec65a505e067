//! When an issuer is asked for its keys again.

use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Between two attempts while there is nothing to go by.
const FIRST: Duration = Duration::from_secs(5);
/// Between two attempts because a token names a key that is not known: anybody can send such tokens.
const UNKNOWN_KEY: Duration = Duration::from_secs(60);
/// Between two attempts because what is known has got old.
const OLD: Duration = Duration::from_secs(60);

/// Why keys are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// There are none.
    Missing,
    /// None of them is the one that a token names.
    UnknownKey,
    /// They are older than is good.
    Old,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Turn {
    /// Ask. Who asks drops the sender when it has the answer.
    Ask(watch::Sender<()>, watch::Receiver<()>),
    /// Somebody asks already: wait.
    Wait(watch::Receiver<()>),
    /// It was not long ago that somebody did.
    TooEarly,
}

/// Who asks, and when it was.
#[derive(Debug, Default)]
pub(super) struct Refresh {
    asking: Option<watch::Receiver<()>>,
    last: Option<Instant>,
    for_unknown_key: Option<Instant>,
}

impl Refresh {
    /// Whose turn it is.
    pub(super) fn turn(&mut self, reason: Reason, now: Instant) -> Turn {
        // It is closed when the answer is there, or nobody is left who would get one.
        if let Some(asking) = self.asking.as_ref().filter(|asking| asking.has_changed().is_ok()) {
            return Turn::Wait(asking.clone());
        }
        let (last, pause) = match reason {
            Reason::Missing => (self.last, FIRST),
            Reason::UnknownKey => (self.for_unknown_key, UNKNOWN_KEY),
            Reason::Old => (self.last, OLD),
        };
        if last.is_some_and(|last| now.saturating_duration_since(last) < pause) {
            return Turn::TooEarly;
        }
        self.last = Some(now);
        if reason == Reason::UnknownKey {
            self.for_unknown_key = Some(now);
        }
        let (sender, asking) = watch::channel(());
        self.asking = Some(asking.clone());
        Turn::Ask(sender, asking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_asks_and_the_others_wait_or_go() {
        let mut refresh = Refresh::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let Turn::Ask(sender, _asking) = refresh.turn(Reason::Missing, start) else {
            panic!("the first asks")
        };
        assert!(matches!(refresh.turn(Reason::UnknownKey, start), Turn::Wait(_)));
        drop(sender);
        for (reason, seconds, asks) in [
            (Reason::Missing, 4, false),
            (Reason::Missing, 5, true),
            // The first time at once: keys may be changed right after they were read.
            (Reason::UnknownKey, 6, true),
            (Reason::UnknownKey, 7, false),
            (Reason::UnknownKey, 65, false),
            (Reason::Old, 65, false),
            (Reason::UnknownKey, 66, true),
            (Reason::Old, 125, false),
            (Reason::Old, 126, true),
        ] {
            let turn = refresh.turn(reason, after(seconds));
            assert_eq!(matches!(turn, Turn::Ask(..)), asks, "{reason:?} after {seconds} s");
        }
    }
}
