//! What a newcomer does: the guides' configurations and commands, one after the other, as they stand there. Only
//! addresses differ.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fireguard_test_support::gateway::{self, Gateway};
use fireguard_test_support::hapi::Hapi;
use fireguard_test_support::keycloak::{Error, Keycloak};
use fireguard_test_support::repository;
use serde_json::Value;

use crate::blocks::{blocks, read};
use crate::common::world::{folder, hidden};

const NOTED_WITHIN: Duration = Duration::from_secs(120);

#[tokio::test]
async fn a_newcomer_protects_a_hapi_by_the_guide() {
    if !has_tools() {
        return;
    }
    let keycloak = match Keycloak::shared().await {
        Ok(keycloak) => keycloak,
        Err(Error::Install(missing)) => return println!("skipped: {missing}"),
        Err(error) => panic!("{error}"),
    };
    let hapi = Hapi::shared().await.expect("a HAPI");
    let mut guide = Guide::open("docs/guide/access.md", hapi);
    // The import at Keycloak's start, without the start.
    let import = guide.next("sh");
    assert!(
        import.contains("packaging/keycloak/clinic.json") && import.contains("--import-realm"),
        "{import}"
    );
    let password = import.split('\'').nth(1).unwrap();
    let realm = guide.read_as_here(&read("packaging/keycloak/clinic.json"));
    let realm =
        realm.replace("\"realm\": \"clinic\"", "\"realm\": \"guide\"").replace("${PASSWORD}", password);
    let issuer = keycloak.realm().import("guide", &realm).unwrap();
    guide.replace("http://127.0.0.1:8180/realms/clinic", &issuer);

    guide.configure();
    guide.run_next("");
    let gateway = guide.serve();
    guide.run_next("");
    let tries = guide.next("sh");
    guide.tries(&tries);

    copy(&repository::root().join("policies"), &guide.folder.join("policies"));
    guide.configure();
    guide.run_next("");
    guide.replace("http://127.0.0.1:9088", &gateway.admin_url());
    guide.run_next("");
    guide.tries(&tries);

    let events = guide.next("sh");
    noted(hapi).await;
    let found: Value = serde_json::from_str(&guide.run(&events, "")).unwrap();
    assert_eq!(found["entry"][0]["resource"]["resourceType"], "AuditEvent", "{found}");
    assert_eq!(guide.next("sh"), "", "nothing is left out");
}

#[tokio::test]
async fn a_newcomer_puts_users_into_a_file_by_the_guide() {
    if !has_tools() {
        return;
    }
    let hapi = Hapi::shared().await.expect("a HAPI");
    let mut guide = Guide::open("docs/guide/users.md", hapi);
    fs::write(guide.folder.join("key"), "b1946ac92492d2347c6235b4d2611184").unwrap();
    guide.replace("env:FIREGUARD_KEY", "file:key");
    guide.configure();
    let add = guide.next("sh");
    let (add, run) = add.split_once("fireguard run").unwrap();
    assert_eq!(run.trim(), "");
    // Nobody sits at a terminal.
    let add = add.replacen("user add ", "user add --password-stdin ", 1);
    let listed = guide.run(&add, "a long enough sentence\n");
    assert!(listed.contains("ann roles nurse fhir_user Practitioner/7 scopes user/*.rs"), "{listed}");
    let _gateway = guide.start();
    let tries = guide.next("sh");
    guide.tries(&tries);
}

/// A page, read from its top.
struct Guide {
    blocks: std::vec::IntoIter<crate::blocks::Block>,
    replaced: Vec<(String, String)>,
    listen: String,
    folder: PathBuf,
}

impl Guide {
    fn open(page: &str, hapi: &Hapi) -> Self {
        let folder = folder(page.rsplit('/').next().unwrap());
        let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let replaced = [("127.0.0.1:8080", hidden(hapi.base_url())), ("127.0.0.1:8088", &listen)];
        let replaced = replaced.map(|(from, to)| (from.to_owned(), to.to_owned())).to_vec();
        Self { blocks: blocks(&read(page)).into_iter(), replaced, listen, folder }
    }

    fn replace(&mut self, from: &str, to: &str) {
        self.replaced.push((from.to_owned(), to.to_owned()));
    }

    fn read_as_here(&self, text: &str) -> String {
        self.replaced.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    /// The next block of this language; empty: there is none.
    fn next(&mut self, language: &str) -> String {
        let block = self.blocks.find(|block| block.language == language);
        self.read_as_here(&block.map(|block| block.text).unwrap_or_default())
    }

    /// Writes the next configuration, and where to listen.
    fn configure(&mut self) {
        let config = self.next("toml");
        let server = format!("[server]\nlisten = \"{}\"\n[admin]\nlisten = \"127.0.0.1:0\"\n", self.listen);
        fs::write(self.folder.join("fireguard.toml"), server + &config).unwrap();
    }

    /// The next block has to be the command that serves it.
    fn serve(&mut self) -> Gateway {
        assert_eq!(self.next("sh"), "fireguard run\n");
        self.start()
    }

    fn start(&self) -> Gateway {
        let config = fs::read_to_string(self.folder.join("fireguard.toml")).unwrap();
        Gateway::start_in(&self.folder, &config).unwrap()
    }

    fn run_next(&mut self, input: &str) -> String {
        let block = self.next("sh");
        self.run(&block, input)
    }

    /// Runs a block to its end; what it prints.
    fn run(&self, block: &str, input: &str) -> String {
        let binaries = gateway::binary().unwrap().parent().unwrap().display().to_string();
        let path = format!("{binaries}:{}", std::env::var("PATH").unwrap());
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", block]).current_dir(&self.folder).env("PATH", path);
        let mut shell =
            shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // What does not read it may have ended.
        let _ = std::io::Write::write_all(&mut shell.stdin.take().unwrap(), input.as_bytes());
        let output = shell.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{block}\n{said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Each answer has the status that is said beside the line that asks for it, and shows Ann what is hers.
    fn tries(&self, block: &str) {
        let said = block.lines().filter(|line| line.contains("curl -sS -i")).map(|line| {
            let (_, comment) = line.split_once("# ").unwrap_or_else(|| panic!("{line}: no status"));
            comment[..3].to_owned()
        });
        let printed = self.run(block, "");
        let answers: Vec<_> = printed.split("HTTP/1.1 ").skip(1).collect();
        let statuses: Vec<_> = answers.iter().map(|answer| answer[..3].to_owned()).collect();
        assert_eq!(statuses, said.collect::<Vec<_>>(), "{printed}");
        for answer in answers.iter().filter(|answer| answer.contains("\"searchset\"")) {
            let ann = block.contains("$ANN");
            assert!(!ann || answer.contains("Patient/ann") && !answer.contains("bob"), "{answer}");
        }
    }
}

/// Waits until HAPI has an event about Ann; each search differs, because HAPI answers an equal one from its memory.
async fn noted(hapi: &Hapi) {
    let since = Instant::now();
    for count in 1_usize.. {
        let url = format!(
            "{}/AuditEvent?entity-name:exact=Patient/ann&_count={}&_total=accurate",
            hapi.base_url(),
            100 + count
        );
        let found: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        if found["total"].as_u64() > Some(0) {
            return;
        }
        assert!(since.elapsed() < NOTED_WITHIN, "no event arrives");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// What the guide asks for.
fn has_tools() -> bool {
    let there = |tool: &str| Command::new(tool).arg("--version").output().is_ok_and(|o| o.status.success());
    let missing: Vec<_> = ["bash", "curl", "jq"].into_iter().filter(|tool| !there(tool)).collect();
    if !missing.is_empty() {
        println!("skipped: the guide needs {}", missing.join(", "));
    }
    missing.is_empty()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
