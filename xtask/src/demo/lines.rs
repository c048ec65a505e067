//! The lines of the demo: what to type, and what it shows.

use std::fmt;
use std::process::Command;

use fireguard_test_support::gateway::Gateway;

use crate::progress::print;

/// A line for the shell, what it shows, and what must and must not be in its output.
pub(super) struct Line {
    shows: &'static str,
    command: String,
    has: &'static [&'static str],
    has_not: &'static [&'static str],
}

/// The patient of `tests/data/demo/narrative-and-references.json`.
const PATIENT: &str = "Patient/demo-narrative";

/// All lines, in the order to try them.
pub(super) fn lines(gateway: &Gateway) -> Vec<Line> {
    let (fhir, research) = (format!("{}/fhir", gateway.url()), format!("{}/research", gateway.url()));
    let line = |shows, command: String, has, has_not| Line { shows, command, has, has_not };
    vec![
        line(
            "a patient, as a clinician sees her",
            format!("curl -s {fhir}/{PATIENT}"),
            &["Quorvath", "1947-03-21", "Umberfold"],
            &[],
        ),
        line(
            "the same patient for research: no name, no address, the year of birth only",
            format!("curl -s {research}/{PATIENT}"),
            &["\"resourceType\":\"Patient\"", "\"birthDate\":\"1947\"", "\"gender\":\"female\""],
            &["Quorvath", "Zephyrine", "1947-03-21", "Umberfold", "demo-narrative"],
        ),
        line(
            "a search whose next page leads through Fireguard, not to HAPI",
            format!(
                "curl -s '{fhir}/Observation?_count=2' | grep -o '\"relation\":\"next\",\"url\":\"[^\"]*\"'"
            ),
            &["/fhir", "_page="],
            &[],
        ),
        line(
            "the same for research: every entry de-identified, the page links ours",
            format!("curl -s '{research}/Observation?_count=2' | cut -c1-700"),
            &["\"relation\":\"next\"", "/research", "\"resourceType\":\"Observation\""],
            &["\"total\""],
        ),
        line(
            "a create that comes back with our Location",
            format!(
                "curl -si {fhir}/Basic -H 'Content-Type: application/fhir+json' -d \
                 '{{\"resourceType\":\"Basic\",\"code\":{{\"text\":\"demo\"}}}}' | grep -i -e ^HTTP -e ^location"
            ),
            &["201", "/fhir/Basic/"],
            &[],
        ),
        line(
            "a path that HAPI would take for Patient/demo-narrative, refused",
            format!("curl -s --path-as-is {fhir}//{PATIENT}"),
            &["OperationOutcome", "\"code\":\"invalid\""],
            &["Quorvath"],
        ),
        line(
            "a write on the research route, refused",
            format!("curl -s -X DELETE {research}/{PATIENT}"),
            &["\"code\":\"forbidden\"", "read-only"],
            &[],
        ),
        line(
            "a search by name on the research route, refused: it would tell who is there",
            format!("curl -s '{research}/Patient?family=Quorvath'"),
            &["OperationOutcome", "is not on the list of this route"],
            &["Quorvath"],
        ),
        line(
            "a burst of 80 reads against a limit of 20 a second: some are told to wait",
            format!(
                "for n in $(seq 80); do echo \"{fhir}/{PATIENT}\"; done | \
                 xargs -n 1 -P 8 curl -s -o /dev/null -w '%{{http_code}}\\n' | sort | uniq -c"
            ),
            &["200", "429"],
            &["500", "502"],
        ),
        line(
            "what has been going on, for Prometheus",
            format!("curl -s {}/metrics | grep ^fireguard_requests_total", gateway.admin_url()),
            &["route=\"research\"", "interaction=\"read\"", "status=\"429\""],
            &["Quorvath"],
        ),
    ]
}

impl Line {
    /// Runs the line and compares; says what it found. The server's own address must be in no answer.
    pub(super) fn check(&self, upstream: &str) -> bool {
        let output = Command::new("sh").args(["-c", &self.command]).output();
        let text = match output {
            Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
            Err(error) => format!("the shell does not start: {error}"),
        };
        let server = upstream.trim_start_matches("http://").split('/').next().unwrap_or(upstream);
        let missing: Vec<_> = self.has.iter().filter(|part| !text.contains(**part)).copied().collect();
        let surplus: Vec<_> =
            self.has_not.iter().copied().chain([server]).filter(|part| text.contains(part)).collect();
        let good = missing.is_empty() && surplus.is_empty();
        print(&format!("{} {}", if good { "ok  " } else { "FAIL" }, self.shows));
        if !good {
            let shown: String = text.chars().take(2_000).collect();
            print(&format!(
                "  {}\n  missing {missing:?}, not wanted {surplus:?}, in:\n{shown}",
                self.command
            ));
        }
        good
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}\n{}", self.shows, self.command)
    }
}
