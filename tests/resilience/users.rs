//! Users of a file: how they log in, and whose links to pages, jobs and files are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fireguard_test_support::gateway::{self, Gateway};
use fireguard_test_support::standin::{Answer, StandIn};
use serde_json::Value;
use tempfile::TempDir;

use crate::http::{Ask, Reply};
use crate::rig::WELL;

const PASSWORD: &str = "a long enough sentence";

struct Site {
    standin: StandIn,
    gateway: Gateway,
    folder: TempDir,
}

impl Site {
    /// With `ann` and `bob`, who may do everything.
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("users.toml");
        for name in ["ann", "bob"] {
            let (done, text) = user(&file, &["add", name, "--scopes", "system/*.cruds"], PASSWORD);
            assert!(done, "{text}");
        }
        let standin = StandIn::start().await.unwrap();
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 2\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [users]\nfile = {file:?}\n\
             [upstreams.hapi]\nurl = \"{}\"\n\
             [routes.fhir]\npath = \"/fhir\"\nupstream = \"hapi\"\nauthentication = [\"users\"]\n\
             operations = [\"$export\", \"$export-poll-status\"]\n\
             hapi = {{ check_versions = false, check_transactions = false }}\n\
             [routes.open]\npath = \"/open\"\nupstream = \"hapi\"\nauthentication = \"none\"\n",
            standin.base_url(),
        );
        let gateway = tokio::task::spawn_blocking(move || Gateway::start(&config).unwrap()).await.unwrap();
        Self { standin, gateway, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("users.toml")
    }

    async fn send(&self, ask: Ask) -> Reply {
        ask.send(self.gateway.listen()).await
    }

    async fn log_in(&self, name: &str, password: &str) -> Reply {
        let body = serde_json::json!({ "username": name, "password": password }).to_string();
        self.send(Ask::new("POST", "/login").header("Content-Type", "application/json").body(body)).await
    }

    async fn token(&self, name: &str) -> String {
        let reply = self.log_in(name, PASSWORD).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }

    async fn get(&self, token: &str, target: &str) -> Reply {
        self.send(Ask::get(target).header("Authorization", &format!("Bearer {token}"))).await
    }

    async fn reload(&self) {
        let admin = self.gateway.admin_url();
        let reply = Ask::new("POST", "/reload").send(admin.trim_start_matches("http://")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// The path of a URL of ours.
    fn target(&self, url: &str) -> String {
        let base = format!("http://{}", self.gateway.listen());
        url.strip_prefix(&base).unwrap_or_else(|| panic!("{url} is not ours")).to_owned()
    }
}

/// `fireguard user …`, and what it says.
fn user(file: &Path, arguments: &[&str], password: &str) -> (bool, String) {
    let mut command = Command::new(gateway::binary().unwrap());
    command.arg("user").args(arguments).arg("--file").arg(file);
    if arguments[0] == "add" {
        command.arg("--password-stdin");
    }
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may have ended before it wants to know.
    let _ = std::io::Write::write_all(&mut stdin, format!("{password}\n").as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn the_command_keeps_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("users.toml");
    fs::write(&file, "# The ward's.\n").unwrap();
    let run = |arguments: &[&str]| user(&file, arguments, PASSWORD);
    assert!(run(&["add", "ann", "--role", "nurse", "--role", "clerk", "--patient", "p1"]).0);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read_to_string(&file).unwrap();
    assert!(before.contains("# The ward's.\n") && !before.contains(PASSWORD), "{before}");
    assert_eq!(run(&["list"]), (true, "ann roles clerk,nurse patient p1\n".to_owned()));
    // Another password, and nothing else.
    assert!(run(&["add", "ann"]).0);
    assert_ne!(fs::read_to_string(&file).unwrap(), before);
    assert_eq!(run(&["list"]), (true, "ann roles clerk,nurse patient p1\n".to_owned()));
    for (arguments, password, expected) in [
        (&["add", "a b"][..], PASSWORD, "a name has 1 to 64"),
        (&["add", "bob"], "too short", "15 characters at least"),
        (&["add", "bob", "--fhir-user", "Organization/1"], PASSWORD, "fhir_user is"),
        (&["add", "bob", "--scopes", "user/Tea.rs"], PASSWORD, "is not one of SMART"),
        (&["remove", "bob"], PASSWORD, "there is no user bob"),
    ] {
        let kept = fs::read_to_string(&file).unwrap();
        let (done, text) = user(&file, arguments, password);
        assert!(!done && text.contains(expected), "{arguments:?}: {text}");
        assert_eq!(fs::read_to_string(&file).unwrap(), kept, "{arguments:?}");
    }
    assert!(run(&["remove", "ann"]).0);
    assert_eq!(run(&["list"]), (true, String::new()));
}

#[tokio::test]
async fn who_logs_in_is_let_in() {
    let site = Site::start().await;
    site.standin.always("GET", "/fhir/Patient/well", Answer::json(200, WELL));
    let reply = site.log_in("ann", PASSWORD).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    assert_eq!(reply.header("cache-control"), Some("private, no-store"));
    let answer = reply.json();
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&"Bearer".into(), &900.into()));
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(site.get(token, "/fhir/Patient/well").await.status, 200);
    let form = format!("username=ann&password={}", PASSWORD.replace(' ', "+"));
    assert_eq!(site.send(Ask::form("/login", &form)).await.status, 200);

    for (token, status) in [("", 400), ("x", 401), (&token[..token.len() - 2], 401)] {
        let reply = site.get(token, "/fhir/Patient/well").await;
        assert_eq!(reply.status, status, "{token:?}: {}", reply.text());
        assert!(reply.header("www-authenticate").is_some());
    }
    let nobody = site.send(Ask::get("/fhir/Patient/well")).await;
    nobody.assert_outcome(401, "login", "without a token");
    let seen = site.standin.requests_to("GET", "/fhir/Patient/well");
    assert!(seen.iter().all(|request| request.header("authorization").is_none()), "it is not sent on");

    let wrong = site.log_in("ann", "not the sentence").await;
    let unknown = site.log_in("nobody", PASSWORD).await;
    let words = |reply: &Reply| reply.diagnostics().split(" (request").next().unwrap().to_owned();
    assert_eq!((wrong.status, words(&wrong)), (unknown.status, words(&unknown)));
    wrong.assert_outcome(401, "login", "a wrong password");
    site.send(Ask::get("/login")).await.assert_outcome(405, "not-supported", "GET");
    site.send(Ask::json("POST", "/login", "{}")).await.assert_outcome(400, "invalid", "no credentials");

    // What changes in the file counts from the next reload on.
    assert!(user(&site.file(), &["remove", "ann"], "").0);
    site.reload().await;
    assert_eq!(site.get(token, "/fhir/Patient/well").await.status, 401);
    let log = site.gateway.logged("\"status\":405").await;
    assert!(!log.contains(PASSWORD) && !log.contains(token), "a secret is in the log");
}

#[tokio::test]
async fn guessing_is_slow() {
    let site = Site::start().await;
    let mut replies = Vec::new();
    for _ in 0..7 {
        replies.push(site.log_in("ann", "not the sentence at all").await);
    }
    let statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429]);
    assert!(replies[6].header("retry-after").is_some());
    let right = site.log_in("ann", PASSWORD).await;
    right.assert_outcome(429, "throttled", "the right one, too late");
    assert_eq!(site.log_in("bob", PASSWORD).await.status, 200, "others are not kept out");
}

#[tokio::test]
async fn a_link_to_a_page_is_its_holder_s() {
    let site = Site::start().await;
    let base = site.standin.base_url();
    let next = format!("{base}?_getpages=abc&_getpagesoffset=2&_count=2&_bundletype=searchset");
    let bundle = format!(
        r#"{{"resourceType":"Bundle","type":"searchset","link":[{{"relation":"next","url":"{next}"}}]}}"#
    );
    site.standin.always("GET", "/fhir/Patient", Answer::json(200, bundle));
    site.standin.always(
        "GET",
        "/fhir/",
        Answer::json(200, r#"{"resourceType":"Bundle","type":"searchset"}"#),
    );
    let (ann, bob) = (site.token("ann").await, site.token("bob").await);
    let link = |reply: &Reply| {
        assert_eq!(reply.status, 200, "{}", reply.text());
        site.target(reply.json()["link"][0]["url"].as_str().unwrap())
    };
    let page = link(&site.get(&ann, "/fhir/Patient").await);
    let open = link(&site.send(Ask::get("/open/Patient")).await);
    // A new token of the same caller.
    let again = site.token("ann").await;
    for (case, token, target, status) in [
        ("her own", Some(&ann), &page, 200),
        ("with another token", Some(&again), &page, 200),
        ("another's", Some(&bob), &page, 400),
        ("nobody's", None, &page, 401),
        ("of an open route", Some(&ann), &open.replace("/open", "/fhir"), 400),
        ("hers on an open route", None, &page.replace("/fhir", "/open"), 400),
        ("the open one", None, &open, 200),
    ] {
        let ask = Ask::get(target);
        let ask = match token {
            Some(token) => ask.header("Authorization", &format!("Bearer {token}")),
            None => ask,
        };
        let reply = site.send(ask).await;
        assert_eq!(reply.status, status, "{case}: {}", reply.text());
    }
    let raw = "/fhir?_getpages=abc&_getpagesoffset=0&_count=50&_bundletype=searchset";
    assert_eq!(site.get(&ann, raw).await.status, 400);
    let entry = r#"{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET",
        "url":"?_getpages=abc&_getpagesoffset=0"}}]}"#;
    let batch = Ask::json("POST", "/fhir", entry).header("Authorization", &format!("Bearer {ann}"));
    let batch = site.send(batch).await;
    assert!(batch.text().contains("pages are not carried out in a Bundle"), "{}", batch.text());
    assert_eq!(site.standin.requests_to("GET", "/fhir/").len(), 3, "no other page was asked for");
}

#[tokio::test]
async fn a_job_and_its_files_are_its_holder_s() {
    let site = Site::start().await;
    let base = site.standin.base_url();
    let status = format!("{base}/$export-poll-status?_jobId=7d1e-raw");
    let begun = Answer::status(202).header("Content-Location", &status);
    site.standin.always("GET", "/fhir/$export", begun);
    let manifest = format!(
        r#"{{"transactionTime":"2026-01-01T00:00:00Z","request":"{base}/$export","requiresAccessToken":true,
            "output":[{{"type":"Patient","url":"{base}/Binary/rawfile"}}],"error":[]}}"#
    );
    let manifest = Answer::json(200, manifest);
    site.standin.always("GET", "/fhir/$export-poll-status", manifest);
    site.standin.always("DELETE", "/fhir/$export-poll-status", Answer::status(202));
    let file =
        Answer::status(200).header("Content-Type", "application/fhir+ndjson").body(format!("{WELL}\n"));
    site.standin.always("GET", "/fhir/Binary/rawfile", file);
    let (ann, bob) = (site.token("ann").await, site.token("bob").await);

    let ask = |token: &str| {
        Ask::get("/fhir/$export")
            .header("Prefer", "respond-async")
            .header("Authorization", &format!("Bearer {token}"))
    };
    let begun = site.send(ask(&ann)).await;
    assert_eq!(begun.status, 202, "{}", begun.text());
    let job = site.target(begun.header("content-location").unwrap());
    assert!(!job.contains("raw") && job.starts_with("/fhir/$export-poll-status?_jobId="), "{job}");

    let done = site.get(&ann, &job).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let done: Value = done.json();
    assert_eq!(done["requiresAccessToken"], true);
    let file = site.target(done["output"][0]["url"].as_str().unwrap());
    assert!(!file.contains("raw") && !done.to_string().contains(&base), "{done}");
    let asked = site.standin.requests_to("GET", "/fhir/$export-poll-status");
    assert!(asked[0].target.ends_with("?_jobId=7d1e-raw"), "{}", asked[0].target);

    let accept = |accept: &str| {
        Ask::get(&file).header("Accept", accept).header("Authorization", &format!("Bearer {ann}"))
    };
    for kind in ["application/fhir+ndjson", "*/*", "application/fhir+json"] {
        let got = site.send(accept(kind)).await;
        assert_eq!((got.status, got.text()), (200, format!("{WELL}\n")), "{kind}");
        assert_eq!(got.header("content-type"), Some("application/fhir+ndjson"), "{kind}");
    }
    let fetched = site.standin.requests_to("GET", "/fhir/Binary/rawfile");
    assert!(fetched.iter().all(|request| request.header("accept") == Some("application/fhir+ndjson")));

    for (case, token, target) in [
        ("another's job", &bob, job.as_str()),
        ("another's file", &bob, &file),
        ("a raw job", &ann, "/fhir/$export-poll-status?_jobId=7d1e-raw"),
        ("a raw file", &ann, "/fhir/$export-poll-status?_file=rawfile"),
        ("no job", &ann, "/fhir/$export-poll-status"),
        ("both", &ann, &format!("{job}&{}", file.split_once('?').unwrap().1)),
        ("a file as a job", &ann, &file.replace("_file", "_jobId")),
        ("a job as a file", &ann, &job.replace("_jobId", "_file")),
    ] {
        site.get(token, target).await.assert_outcome(404, "not-found", case);
    }
    let delete = |token: &str| Ask::new("DELETE", &job).header("Authorization", &format!("Bearer {token}"));
    site.send(delete(&bob)).await.assert_outcome(404, "not-found", "another cancels");
    assert!(site.standin.requests_to("DELETE", "*").is_empty());
    assert_eq!(site.send(delete(&ann)).await.status, 202);
}
