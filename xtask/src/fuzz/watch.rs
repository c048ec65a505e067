//! What libFuzzer tells while it runs.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

use crate::progress::Progress;

/// How often it is told how far a run has come.
const EVERY: Duration = Duration::from_secs(10);
/// So many of its last lines are kept, for a run that fails otherwise.
const LAST: usize = 40;

/// How one target ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    /// So many inputs were tried.
    pub(super) inputs: u64,
    /// So many edges of the code were reached.
    pub(super) edges: u64,
    /// The path of an input that the target fails with.
    pub(super) input: Option<String>,
    /// Its last lines.
    pub(super) last: VecDeque<String>,
}

/// Reads its lines to their end, and tells now and then how far it has come.
pub(super) fn watch(lines: impl Read, target: &str, progress: &Progress) -> Run {
    let (mut run, mut told) = (Run::default(), Instant::now());
    for line in BufReader::new(lines).lines().map_while(Result::ok) {
        run.read(&line);
        if told.elapsed() >= EVERY {
            told = Instant::now();
            progress.step(&format!("{target}: {} inputs, {} edges", run.inputs, run.edges));
        }
    }
    run
}

impl Run {
    fn read(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if let Some(inputs) = first.strip_prefix('#').and_then(|digits| digits.parse().ok()) {
            self.inputs = self.inputs.max(inputs);
            if let Some(edges) = words.skip_while(|word| *word != "cov:").nth(1) {
                self.edges = edges.parse().unwrap_or(self.edges);
            }
        } else if first == "stat::number_of_executed_units:" {
            self.inputs = words.next().and_then(|digits| digits.parse().ok()).unwrap_or(self.inputs);
        } else if let Some((_, path)) = line.split_once("Test unit written to ") {
            self.input = Some(path.trim().to_owned());
        }
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_told_by_its_lines() {
        let good = "INFO: seed corpus: files: 9\n#2\tINITED cov: 100 ft: 101 corp: 1/1b\n\
                    #4096\tpulse  cov: 120 ft: 130\n#5000\tDONE   cov: 121 ft: 131\n\
                    stat::number_of_executed_units: 5001\n";
        let run = watch(good.as_bytes(), "x", &Progress::begin());
        assert_eq!((run.inputs, run.edges, run.input), (5001, 121, None));
        let bad = "#7\tNEW    cov: 9 ft: 9\nartifact_prefix='/a/'; Test unit written to /a/crash-0123\n";
        let run = watch(bad.as_bytes(), "x", &Progress::begin());
        assert_eq!((run.inputs, run.edges, run.input.as_deref()), (7, 9, Some("/a/crash-0123")));
    }
}
