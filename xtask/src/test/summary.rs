//! Adding up what the test binaries of the workspace print.

use std::fmt;

/// How many tests passed, failed, and were skipped.
///
/// Skipped are tests marked as ignored, and tests that passed after printing a line `skipped: reason`
/// because what they need is not on this machine.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
    /// Skipped in the present test binary, whose result line will count them among the passed.
    unsettled: u64,
    place: Place,
}

/// Where in the output of a test binary we are.
#[derive(Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Running,
    /// In the captured output of passing tests; of this one; that has said it skipped or has not.
    Successes { test: String, skipped: bool },
}

impl Summary {
    /// Takes a line; returns what is to be shown of it. The output of tests that passed is not.
    pub(super) fn read(&mut self, line: &str) -> Option<String> {
        if let Some((passed, failed, ignored)) = result(line) {
            self.place = Place::Running;
            self.passed += passed.saturating_sub(self.unsettled);
            self.failed += failed;
            self.skipped += ignored + self.unsettled;
            self.unsettled = 0;
            return Some(line.to_owned());
        }
        match (&mut self.place, line) {
            (place, "successes:") => *place = Place::Successes { test: String::new(), skipped: false },
            (place, "failures:") => {
                *place = Place::Running;
                return Some(line.to_owned());
            }
            (Place::Running, _) => return Some(line.to_owned()),
            (Place::Successes { test, skipped }, _) => {
                if let Some(name) = line.strip_prefix("---- ").and_then(|l| l.strip_suffix(" stdout ----")) {
                    name.clone_into(test);
                    *skipped = false;
                } else if line.starts_with("| ") {
                    // A table that a test prints is what it was run for.
                    return Some(line.to_owned());
                } else if line.starts_with("skipped:") && !*skipped {
                    *skipped = true;
                    self.unsettled += 1;
                    return Some(format!("{test} {line}"));
                }
            }
        }
        None
    }

    /// The final figures. A run that ended badly without a failed test did not compile or crashed, and
    /// one without any test has tested nothing: neither may look like a success.
    pub(super) fn given(mut self, ended_well: bool) -> Self {
        let nothing_ran = self.passed + self.skipped == 0;
        if self.failed == 0 && (!ended_well || nothing_ran) {
            self.failed = 1;
        }
        self
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Passed, failed and ignored in `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
fn result(line: &str) -> Option<(u64, u64, u64)> {
    let counts = line.strip_prefix("test result: ")?;
    let count = |word: &str| {
        let before = counts.split(word).next()?;
        before.rsplit(' ').next()?.parse().ok()
    };
    Some((count(" passed")?, count(" failed")?, count(" ignored")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 4 tests
test a ... ok
test b ... ok
test c ... FAILED
test d ... ignored

successes:

---- a stdout ----
skipped: ../shared is not here
skipped: nor is the other
---- b stdout ----
all is well

successes:
    a
    b

failures:

---- c stdout ----
thread 'c' panicked

failures:
    c

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn skipped_tests_are_not_counted_as_passed() {
        let mut summary = Summary::default();
        let shown: Vec<_> = OUTPUT.lines().filter_map(|line| summary.read(line)).collect();
        assert_eq!(summary.to_string(), "6 passed, 1 failed, 2 skipped");
        assert!(shown.iter().any(|line| line == "a skipped: ../shared is not here"));
        assert!(shown.iter().any(|line| line == "thread 'c' panicked"));
        assert!(!shown.iter().any(|line| line.contains("all is well")));
    }

    #[test]
    fn a_bad_end_or_no_test_is_a_failure() {
        for (ended_well, read, text) in [
            (true, "", "0 passed, 1 failed, 0 skipped"),
            (false, "test result: ok. 5 passed; 0 failed; 0 ignored;", "5 passed, 1 failed, 0 skipped"),
            (true, "test result: ok. 5 passed; 0 failed; 0 ignored;", "5 passed, 0 failed, 0 skipped"),
        ] {
            let mut summary = Summary::default();
            summary.read(read);
            assert_eq!(summary.given(ended_well).to_string(), text);
        }
    }
}
