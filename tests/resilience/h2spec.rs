//! HTTP/2 as its conformance suite sees it.

use std::fs;
use std::process::Command;

use fireguard_test_support::install;
use fireguard_test_support::standin::Answer;

use crate::rig::{Change, Rig, WELL};

const PATH: &str = "/fhir/Patient/1";

#[tokio::test]
async fn encrypted() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("certificate.pem"), made.cert.pem()).unwrap();
    fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let server = format!(
        "[server.tls]\ncertificate = \"{0}/certificate.pem\"\nkey = \"file:{0}/key.pem\"",
        folder.path().display()
    );
    let rig = Rig::with(Change { server, ..Change::default() }).await;
    let Some(failed) = failures(&rig, &["--tls", "--insecure"]).await else { return };
    assert_eq!(failed, Vec::<String>::new());
}

/// The port speaks HTTP/1.1 as well: what is no preface is a request line that cannot be read, and gets a 400
/// before the connection ends. h2spec wants it ended without a word.
#[tokio::test]
async fn plain() {
    let rig = Rig::start().await;
    let Some(failed) = failures(&rig, &[]).await else { return };
    assert_eq!(failed, ["2: Sends invalid connection preface"]);
}

/// h2spec's POSTs have no media type: they are answered before their body has come, as RFC 9113 §8.1 allows. Whether
/// what follows arrives on a stream that is over is a matter of time.
const EARLY: [&str; 3] = [
    "1: Sends a second HEADERS frame without the END_STREAM flag",
    "1: Sends a HEADERS frame with the \"content-length\" header field which does not equal the DATA frame payload length",
    "2: Sends a HEADERS frame with the \"content-length\" header field which does not equal the sum of the multiple DATA frames payload length",
];

/// The cases that fail; none: there is no Go here to build the suite with.
async fn failures(rig: &Rig, flags: &[&str]) -> Option<Vec<String>> {
    rig.standin.always("GET", PATH, Answer::json(200, WELL));
    rig.standin.always("POST", PATH, Answer::json(200, WELL));
    let port = rig.gateway.listen().rsplit(':').next().unwrap().to_owned();
    let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    let output = tokio::task::spawn_blocking(move || {
        let h2spec = match install::h2spec(&|step| println!("{step}")) {
            Ok(h2spec) => h2spec,
            Err(error @ install::Error::Missing { .. }) => {
                println!("h2spec skipped: {error}");
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        let mut command = Command::new(h2spec);
        // A loaded machine may take its time.
        command.args(["--host", "127.0.0.1", "--port", &port, "--path", PATH, "--timeout", "10"]);
        Some(command.args(flags).output().unwrap())
    });
    let text = String::from_utf8(output.await.unwrap()?.stdout).unwrap();
    let summary =
        text.lines().rev().find(|line| line.contains(" tests, ")).unwrap_or_else(|| panic!("{text}"));
    let ran: usize = summary.split(' ').next().unwrap().parse().unwrap();
    assert!(ran >= 140 && summary.contains(" 0 skipped"), "{summary}");
    let failed = text.split("Failures:").nth(1).unwrap_or_default().lines().filter(|line| line.contains('×'));
    let failed = failed.map(|line| line.trim().trim_start_matches('×').trim());
    Some(failed.filter(|case| !EARLY.contains(case)).map(str::to_owned).collect())
}
