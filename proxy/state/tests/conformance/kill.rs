//! A process that is killed in the middle of its work has kept what it has answered for.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use fireguard_state::{Embedded, Entry, KeyValue, Queue, Quota, Task};

/// Tells the child where to write.
const FOLDER: &str = "FIREGUARD_STATE_KILL_TEST";

/// The child: appends and sets side by side, and says each number once it has been answered.
#[test]
fn writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = Embedded::open(folder.as_ref()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let lines = (0..8u32).map(|line| {
            let store = store.clone();
            async move {
                for n in 0u32.. {
                    let name = format!("{line}-{n}");
                    let task = Task { content: name.clone().into_bytes(), after: Duration::ZERO };
                    store.append("q", vec![task]).await.unwrap();
                    let entry = Entry { key: name.clone(), value: vec![7; 100], stays: None };
                    let quota = Quota { entries: u64::MAX >> 1, bytes: u64::MAX >> 1 };
                    store.set("n", vec![entry], quota).await.unwrap();
                    writeln!(std::io::stdout(), "kept {name}").unwrap();
                }
            }
        });
        let local = tokio::task::LocalSet::new();
        let tasks: Vec<_> = lines.map(|line| local.spawn_local(line)).collect();
        local.await;
        drop(tasks);
    });
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::writes_until_it_is_killed", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let kept = |line: String| line.split_once("kept ").map(|(_, name)| name.to_owned());
        let mut names: HashSet<String> = lines.by_ref().filter_map(kept).take(200).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before it died, but for a line that was cut.
        let mut rest: Vec<String> = lines.filter_map(kept).collect();
        rest.pop();
        names.extend(rest);
        let store = Embedded::open(folder.path()).unwrap();
        let keys: Vec<String> = names.iter().cloned().collect();
        let values = store.get("n", keys).await.unwrap();
        assert!(values.iter().all(|value| value.as_deref() == Some(&[7; 100])));
        let leased = store.lease("q", u32::MAX, Duration::from_secs(60)).await.unwrap();
        let queued: HashSet<_> =
            leased.into_iter().map(|leased| String::from_utf8(leased.content).unwrap()).collect();
        assert!(names.len() >= 200 && names.is_subset(&queued), "{} of {}", queued.len(), names.len());
    }
}
