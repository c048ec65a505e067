//! Who gets a request: the one that works on least, of those that are in.

use std::sync::Arc;

use tokio::time::Instant;

use super::replica::Replica;
use super::standing::Standing;

/// How good a candidate is; of the best kind that is there, the least burdened is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    In,
    /// This core has no connection to it yet, or it is still spared.
    Spared,
    /// Left out; asked only if nobody else is there.
    Out,
}

/// The place of the one to ask; none: all have been `tried`. `connected` says whether there are connections to it.
pub(super) fn choose(
    replicas: &[Arc<Replica>],
    connected: impl Fn(usize) -> bool,
    tried: &[Arc<Replica>],
) -> Option<usize> {
    if let ([_], []) = (replicas, tried) {
        return Some(0);
    }
    let now = Instant::now();
    let mut best: Option<(Tier, usize, usize)> = None;
    // Of equals not always the first.
    let begin = fastrand::usize(..replicas.len().max(1));
    for at in (begin..replicas.len()).chain(0..begin) {
        let replica = &replicas[at];
        if tried.iter().any(|tried| Arc::ptr_eq(tried, replica)) {
            continue;
        }
        let tier = match replica.standing(now) {
            Standing::Serving if connected(at) => Tier::In,
            Standing::Warming(share) if connected(at) && fastrand::f32() < share => Tier::In,
            Standing::Serving | Standing::Warming(_) => Tier::Spared,
            Standing::Ejected | Standing::Unhealthy => Tier::Out,
        };
        let burden = replica.burden();
        if best.is_none_or(|(best, least, _)| (tier, burden) < (best, least)) {
            best = Some((tier, burden, at));
        }
    }
    best.map(|(.., at)| at)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{replica, unchecked};
    use super::*;

    /// How often each is chosen of a thousand times.
    fn shares(replicas: &[Arc<Replica>]) -> Vec<usize> {
        let mut shares = vec![0; replicas.len()];
        for _ in 0..1000 {
            shares[choose(replicas, |_| true, &[]).unwrap()] += 1;
        }
        shares
    }

    #[test]
    fn the_least_burdened_is_chosen_and_equals_alike() {
        let replicas = [replica("a"), replica("b"), replica("c")];
        assert!(shares(&replicas).iter().all(|share| (200..500).contains(share)));
        let busy = [replicas[0].begin(), replicas[0].begin(), replicas[2].begin()];
        assert_eq!(shares(&replicas), [0, 1000, 0]);
        let more = [replicas[1].begin(), replicas[1].begin()];
        assert_eq!(shares(&replicas), [0, 0, 1000]);
        drop((busy, more));
        assert!(replicas.iter().all(|replica| replica.in_flight() == 0));
    }

    #[test]
    fn one_that_failed_last_is_asked_less() {
        let rules = super::super::tests::RULES;
        let replicas = [replica("a"), replica("b")];
        assert!(!replicas[0].failed(false, rules));
        assert_eq!(shares(&replicas), [0, 1000]);
        let _busy = [replicas[1].begin(), replicas[1].begin()];
        assert_eq!(shares(&replicas), [1000, 0]);
    }

    #[test]
    fn those_left_out_are_asked_only_if_nobody_else_is_there() {
        let replicas = [replica("a"), unchecked("b"), unchecked("c")];
        let _busy: Vec<_> = (0..100).map(|_| replicas[0].begin()).collect();
        assert_eq!(shares(&replicas), [1000, 0, 0]);
        let left = choose(&replicas, |_| true, &replicas[..1]);
        assert!(matches!(left, Some(1 | 2)));
        assert_eq!(choose(&replicas, |_| true, &replicas), None);
    }

    #[test]
    fn those_without_connections_come_after_the_others() {
        let replicas = [replica("a"), replica("b")];
        let _busy: Vec<_> = (0..10).map(|_| replicas[0].begin()).collect();
        assert_eq!(choose(&replicas, |at| at == 0, &[]), Some(0));
        assert_eq!(choose(&replicas, |_| false, &[]), Some(1));
    }

    #[test]
    fn one_that_comes_back_gets_its_share_only() {
        let rules = super::super::tests::RULES;
        let replicas = [replica("a"), unchecked("b")];
        replicas[1].checked("hapi", Ok(()), rules);
        let shares = shares(&replicas);
        assert!((20..150).contains(&shares[1]), "{shares:?}: about half of a tenth");
    }
}
