//! Rows of results, and the arithmetic behind them.

use serde_json::{Value, json};

use super::machine::Machine;
use crate::progress::print;

/// How far an interval may reach below a goal that it is to hold: what a quiet machine's noise moves it.
const TOLERANCE: f64 = 0.02;

/// One figure. The unit stands in the name.
#[derive(Debug)]
pub(super) struct Row {
    name: String,
    ours: f64,
    peer: Option<Peer>,
    goal: Option<Goal>,
    /// The part of ours that the kernel used.
    kernel: Option<f64>,
}

/// What ours is compared with.
#[derive(Debug)]
struct Peer {
    name: &'static str,
    value: f64,
    /// The median of the rounds' own ratios, which is steadier than the ratio of the medians.
    ratio: f64,
    /// Where the true median lies in 95 of 100 cases; none: the rounds are too few.
    interval: Option<(f64, f64)>,
}

/// What a figure should be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal {
    /// Ours is at least this.
    AtLeast(f64),
    /// Ours is at most this.
    AtMost(f64),
    /// Ours divided by the peer's is at most this.
    RatioAtMost(f64),
    /// Ours divided by the peer's is at least this; told by the interval, but for [`TOLERANCE`].
    RatioAtLeast(f64),
    /// Ours is no more than the peer's: their ratio's interval holds 1, and its median is not over 1 by more than
    /// [`TOLERANCE`].
    NoMore,
}

impl Row {
    /// A figure without a peer; the median of its rounds.
    pub(super) fn alone(name: impl Into<String>, ours: Vec<f64>, goal: Option<Goal>) -> Self {
        Self { name: name.into(), ours: median(ours), peer: None, goal, kernel: None }
    }

    /// A figure and its peer's, measured in turns.
    pub(super) fn beside(
        name: impl Into<String>,
        peer: &'static str,
        rounds: &[(f64, f64)],
        goal: Option<Goal>,
    ) -> Self {
        let ratios: Vec<f64> = rounds.iter().map(|(ours, peer)| ours / peer).collect();
        let interval = interval(&ratios);
        let value = median(rounds.iter().map(|(_, peer)| *peer).collect());
        let peer = Peer { name: peer, value, ratio: median(ratios), interval };
        let ours = rounds.iter().map(|(ours, _)| *ours).collect();
        Self { peer: Some(peer), ..Self::alone(name, ours, goal) }
    }

    /// Tells what of ours was the kernel's: the median of the rounds.
    pub(super) fn kernel(mut self, rounds: Vec<f64>) -> Self {
        self.kernel = Some(median(rounds));
        self
    }

    fn holds(&self) -> Option<bool> {
        match (self.goal?, &self.peer) {
            (Goal::AtLeast(goal), _) => Some(self.ours >= goal),
            (Goal::AtMost(goal), _) => Some(self.ours <= goal),
            (Goal::RatioAtMost(goal), peer) => peer.as_ref().map(|peer| peer.ratio <= goal),
            (Goal::RatioAtLeast(goal), peer) => {
                let (low, _) = peer.as_ref()?.interval?;
                Some(low >= goal - TOLERANCE)
            }
            (Goal::NoMore, peer) => {
                let peer = peer.as_ref()?;
                let (low, _) = peer.interval?;
                Some(low <= 1.0 && peer.ratio <= 1.0 + TOLERANCE)
            }
        }
    }

    fn json(&self, machine: &Machine) -> Value {
        let peer = self.peer.as_ref();
        let interval = peer.and_then(|peer| peer.interval);
        json!({
            "name": self.name,
            "ours": round(self.ours),
            "kernel": self.kernel.map(round),
            "against": peer.map(|peer| peer.name),
            "peer": peer.map(|peer| round(peer.value)),
            "ratio": peer.map(|peer| round(peer.ratio)),
            "interval": interval.map(|(low, high)| [round(low), round(high)]),
            "goal": self.goal.map(|goal| goal.to_string()),
            "holds": self.holds(),
            "date": machine.date,
            "machine": machine.name,
        })
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(goal) => write!(f, ">= {goal}"),
            Self::AtMost(goal) => write!(f, "<= {goal}"),
            Self::RatioAtMost(goal) => write!(f, "ratio <= {goal}"),
            Self::RatioAtLeast(goal) => write!(f, "ratio >= {goal}"),
            Self::NoMore => f.write_str("no more"),
        }
    }
}

/// Prints a table, or with `json` an object a row.
pub(super) fn print_all(rows: &[Row], machine: &Machine, json: bool) {
    if json {
        return rows.iter().for_each(|row| print(&row.json(machine).to_string()));
    }
    print(&format!("{}, {}", machine.date, machine.name));
    print(&format!(
        "{:<59} {:>8} {:>7} {:>8} {:<8} {:>6} {:<14} {:>13} {:<6}",
        "", "ours", "kernel", "peer", "", "ratio", "95 %", "goal", "holds"
    ));
    for row in rows {
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| round(value).to_string());
        let peer = row.peer.as_ref();
        let interval = peer.and_then(|peer| peer.interval);
        let interval =
            interval.map_or_else(String::new, |(low, high)| format!("{} to {}", round(low), round(high)));
        let goal = row.goal.map_or_else(String::new, |goal| goal.to_string());
        let holds = row.holds().map_or("", |holds| if holds { "yes" } else { "MISSED" });
        print(&format!(
            "{:<59} {:>8} {:>7} {:>8} {:<8} {:>6} {interval:<14} {goal:>13} {holds:<6}",
            row.name,
            number(Some(row.ours)),
            number(row.kernel),
            number(peer.map(|peer| peer.value)),
            peer.map_or("", |peer| peer.name),
            number(peer.map(|peer| peer.ratio)),
        ));
    }
}

/// The value in the middle, or halfway between the two there.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { (at(middle.wrapping_sub(1)) + at(middle)) / 2.0 } else { at(middle) }
}

/// The two of these values between which their distribution's median lies in 95 of 100 cases, whatever the
/// distribution: as many values lie below it as of so many thrown coins show heads.
fn interval(values: &[f64]) -> Option<(f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len();
    let mut probability = 0.5_f64.powi(i32::try_from(count).ok()?);
    let (mut below, mut outside) = (0, 0.0);
    while below < count && outside + probability <= 0.025 {
        outside += probability;
        probability *= (count - below) as f64 / (below + 1) as f64;
        below += 1;
    }
    let low = below.checked_sub(1)?;
    Some((*sorted.get(low)?, *sorted.get(count - 1 - low)?))
}

/// Two decimals are more than most of this repeats; small figures keep three digits.
fn round(value: f64) -> f64 {
    let steps = if value.abs() < 0.1 { 10_000.0 } else { 100.0 };
    (value * steps).round() / steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_judge_themselves() {
        let row = |goal| Row::beside("x", "y", &[(2.0, 4.0), (3.0, 3.0), (1.0, 4.0)], Some(goal));
        for (goal, holds) in [
            (Goal::AtLeast(2.0), Some(true)),
            (Goal::AtLeast(2.1), Some(false)),
            (Goal::AtMost(1.9), Some(false)),
            (Goal::RatioAtMost(0.5), Some(true)),
            (Goal::RatioAtMost(0.4), Some(false)),
            // Three rounds have no interval.
            (Goal::RatioAtLeast(0.1), None),
        ] {
            assert_eq!(row(goal).holds(), holds, "{goal}");
        }
        let many = |goal| {
            let rounds: Vec<_> = (0..20).map(|n| (0.9 + f64::from(n) / 100.0, 1.0)).collect();
            Row::beside("x", "y", &rounds, Some(goal)).holds()
        };
        // The sixth of twenty is 0.95.
        assert_eq!(many(Goal::RatioAtLeast(0.96)), Some(true));
        assert_eq!(many(Goal::RatioAtLeast(0.98)), Some(false));
        let around = |one: f64| {
            let rounds: Vec<_> = (0..10).map(|n| (one + f64::from(n) / 100.0, 1.0)).collect();
            Row::beside("x", "y", &rounds, Some(Goal::NoMore)).holds()
        };
        for (one, holds) in [(0.5, true), (0.96, true), (0.98, false), (1.1, false)] {
            assert_eq!(around(one), Some(holds), "{one}");
        }
    }

    #[test]
    fn rows_are_told_as_json() {
        let machine = Machine { name: "m".into(), date: "d".into() };
        let row = Row::beside("x", "y", &[(2.0, 4.0)], Some(Goal::AtLeast(2.0))).kernel(vec![0.7]);
        let expected = json!({
            "name": "x", "ours": 2.0, "kernel": 0.7, "against": "y", "peer": 4.0, "ratio": 0.5, "interval": null,
            "goal": ">= 2", "holds": true, "date": "d", "machine": "m",
        });
        assert_eq!(row.json(&machine), expected);
        assert_eq!(Row::alone("y", vec![1.0], None).json(&machine)["holds"], Value::Null);
    }

    #[test]
    fn intervals_are_those_of_the_tables() {
        // Conover, Practical Nonparametric Statistics: the ranks for the median at 95 %.
        for (count, ranks) in [(5, None), (6, Some((1, 6))), (10, Some((2, 9))), (20, Some((6, 15)))] {
            let values: Vec<f64> = (1..=count).map(f64::from).collect();
            let expected = ranks.map(|(low, high): (i32, i32)| (f64::from(low), f64::from(high)));
            assert_eq!(interval(&values), expected, "{count}");
        }
        assert_eq!(median(vec![3.0, 1.0, 2.0, 10.0]), 2.5);
        assert!(median(vec![]).is_nan());
    }
}
