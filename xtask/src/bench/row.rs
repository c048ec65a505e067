//! Rows of results, and the arithmetic behind them.

use serde_json::{Value, json};

use crate::progress::print;

/// One figure. The unit stands in the name.
#[derive(Debug)]
pub(super) struct Row {
    name: String,
    ours: f64,
    peer: Option<f64>,
    /// The median of the rounds' own ratios, which is steadier than the ratio of the medians.
    ratio: Option<f64>,
    goal: Option<Goal>,
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
}

impl Row {
    /// A figure without a peer; the median of its rounds.
    pub(super) fn alone(name: impl Into<String>, ours: Vec<f64>, goal: Option<Goal>) -> Self {
        Self { name: name.into(), ours: median(ours), peer: None, ratio: None, goal }
    }

    /// A figure and its peer's, measured in turns.
    pub(super) fn beside(name: impl Into<String>, rounds: &[(f64, f64)], goal: Option<Goal>) -> Self {
        Self {
            name: name.into(),
            ours: median(rounds.iter().map(|(ours, _)| *ours).collect()),
            peer: Some(median(rounds.iter().map(|(_, peer)| *peer).collect())),
            ratio: Some(median(rounds.iter().map(|(ours, peer)| ours / peer).collect())),
            goal,
        }
    }

    fn holds(&self) -> Option<bool> {
        match self.goal? {
            Goal::AtLeast(goal) => Some(self.ours >= goal),
            Goal::AtMost(goal) => Some(self.ours <= goal),
            Goal::RatioAtMost(goal) => self.ratio.map(|ratio| ratio <= goal),
        }
    }

    fn json(&self) -> Value {
        let goal = self.goal.map(|goal| goal.to_string());
        json!({
            "name": self.name,
            "ours": round(self.ours),
            "peer": self.peer.map(round),
            "ratio": self.ratio.map(round),
            "goal": goal,
            "holds": self.holds(),
        })
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(goal) => write!(f, ">= {goal}"),
            Self::AtMost(goal) => write!(f, "<= {goal}"),
            Self::RatioAtMost(goal) => write!(f, "ratio <= {goal}"),
        }
    }
}

/// Prints a table, or with `json` an object a row.
pub(super) fn print_all(rows: &[Row], json: bool) {
    if json {
        return rows.iter().for_each(|row| print(&row.json().to_string()));
    }
    print(&format!("{:<62} {:>9} {:>9} {:>7} {:>15} {:>6}", "", "ours", "peer", "ratio", "goal", "holds"));
    for row in rows {
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| round(value).to_string());
        let goal = row.goal.map_or_else(String::new, |goal| goal.to_string());
        let holds = match row.holds() {
            None => "",
            Some(true) => "yes",
            Some(false) => "NO",
        };
        print(&format!(
            "{:<62} {:>9} {:>9} {:>7} {goal:>15} {holds:>6}",
            row.name,
            number(Some(row.ours)),
            number(row.peer),
            number(row.ratio)
        ));
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Two decimals are more than any of this repeats.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_judge_themselves() {
        let row = |goal| Row::beside("x", &[(2.0, 4.0), (3.0, 3.0), (1.0, 4.0)], Some(goal));
        for (goal, holds) in [
            (Goal::AtLeast(2.0), true),
            (Goal::AtLeast(2.1), false),
            (Goal::AtMost(1.9), false),
            (Goal::RatioAtMost(0.5), true),
            (Goal::RatioAtMost(0.4), false),
        ] {
            assert_eq!(row(goal).holds(), Some(holds), "{goal}");
        }
        let expected =
            json!({"name": "x", "ours": 2.0, "peer": 4.0, "ratio": 0.5, "goal": ">= 2", "holds": true});
        assert_eq!(row(Goal::AtLeast(2.0)).json(), expected);
        assert_eq!(Row::alone("y", vec![1.0], None).json()["holds"], Value::Null);
    }
}
