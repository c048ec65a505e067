//! The acts. `configure` and `process` read the settings' members `configure` and `act`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::exports::fireguard::plugin::resources::{Edit, Item, Verdict};
use crate::exports::fireguard::plugin::setup::{File, Interest, Plan, Problem};
use crate::fireguard::plugin::log::{self, Level};
use crate::fireguard::plugin::types::{Direction, Exchange, Refusal};
use crate::fireguard::plugin::{key_value, pseudonym};

/// What a guest says that must never be seen in an error of the host.
const MARKER: &str = "guest-text-7391";

/// The resource that no act is played on.
const CALM: &[u8] = b"{\"calm\":true}";

pub(crate) fn configure(settings: &Value, files: &[File]) -> Result<Plan, Vec<Problem>> {
    if text(settings, "act") == "bad-settings" {
        let (pointer, message) = ("/act".to_owned(), "is bad-settings".to_owned());
        return Err(vec![Problem { file: None, line: 0, column: 0, pointer, message }]);
    }
    match text(settings, "configure") {
        "loop" => spin(),
        "panic" => panic!("{MARKER}"),
        "sleep" => std::thread::sleep(Duration::from_secs(3600)),
        "problems" => return Err(problems(settings, files)),
        "ask" => drop(pseudonym::tokens("", &[])),
        "print" => eprintln!("{MARKER}"),
        "no-settings" if *settings != Value::Object(Default::default()) => panic!("not empty"),
        _ => {}
    }
    let names = |key: &str| -> Vec<String> {
        match &settings[key] {
            Value::Array(names) => names.iter().map(|name| name.as_str().unwrap().to_owned()).collect(),
            _ => Vec::new(),
        }
    };
    let directions = match text(settings, "direction") {
        "to-client" => vec![Direction::ToClient],
        "to-server" => vec![Direction::ToServer],
        "none" => vec![],
        _ => vec![Direction::ToServer, Direction::ToClient],
    };
    // Without a list, resources only.
    let mut phases = names("phases");
    if phases.is_empty() {
        phases.push("resources".to_owned());
    }
    let interest = |phase: String| Interest {
        interactions: names("interactions"),
        resource_types: names("types"),
        directions: if phase == "resources" { directions.clone() } else { Vec::new() },
        phase,
        extras: Vec::new(),
    };
    let interests = phases.into_iter().map(interest).collect();
    Ok(Plan { interests, needs: names("needs"), extras: Vec::new() })
}

/// One problem for each file, one for the settings, and as many as `many` says.
fn problems(settings: &Value, files: &[File]) -> Vec<Problem> {
    let problem = |file: Option<&str>, line, column, pointer: &str, message: String| Problem {
        file: file.map(str::to_owned),
        line,
        column,
        pointer: pointer.to_owned(),
        message,
    };
    let mut all = vec![problem(None, 0, 0, "/configure", "is \"problems\"\nand that is one".to_owned())];
    for file in files {
        all.push(problem(
            Some(&file.name),
            3,
            7,
            "",
            format!("{} bytes at {}", file.content.len(), file.path),
        ));
    }
    let many = settings["many"].as_u64().unwrap_or(0);
    all.extend((0..many).map(|n| problem(None, 0, 0, "", format!("{n} {}", "x".repeat(5000)))));
    all
}

pub(crate) fn process(
    settings: &Value,
    exchange: &Exchange,
    direction: Direction,
    items: Vec<Item>,
) -> Vec<Verdict> {
    let facts = items.iter().map(|item| item.extras.len()).sum::<usize>();
    let resources: Vec<Vec<u8>> = items.into_iter().map(|item| item.content).collect();
    let each = |verdict: Verdict| vec![verdict; resources.len()];
    let replace = |text: String| each(Verdict::Replace(text.into_bytes()));
    if resources[0] == CALM {
        return each(Verdict::Keep);
    }
    match text(settings, "act") {
        "replace" => resources
            .into_iter()
            .map(|mut resource| {
                resource.make_ascii_uppercase();
                Verdict::Replace(resource)
            })
            .collect(),
        // Two edits: the first byte out, the last byte doubled.
        "edits" => resources
            .iter()
            .map(|resource| {
                let end = resource.len() as u32;
                Verdict::Edits(vec![edit(0, 1, ""), edit(end, end, &char::from(resource[0]).to_string())])
            })
            .collect(),
        // Puts the text before the last byte: another member.
        "append" => resources
            .iter()
            .map(|resource| {
                let last = resource.len() as u32 - 1;
                Verdict::Edits(vec![edit(last, last, text(settings, "text"))])
            })
            .collect(),
        // Refuses those that hold the text.
        "refuse-if" => resources
            .iter()
            .map(|resource| {
                let wanted = text(settings, "text").as_bytes();
                match resource.windows(wanted.len()).any(|window| window == wanted) {
                    true => Verdict::Refuse(Refusal {
                        outcome: settings["outcome"].as_str().map(|outcome| outcome.as_bytes().to_vec()),
                        ..refusal("forbidden")
                    }),
                    false => Verdict::Keep,
                }
            })
            .collect(),
        "say" => replace(text(settings, "text").to_owned()),
        "drop" => each(Verdict::Drop),
        "refuse" => each(Verdict::Refuse(refusal("business-rule"))),
        // Says what it was given, and how often it has been called before.
        "echo" => {
            let direction = match direction {
                Direction::ToServer => "to-server",
                Direction::ToClient => "to-client",
            };
            let Exchange { id, route, interaction, extras } = exchange;
            let extras = extras.len() + facts;
            replace(format!("{id} {route} {interaction} {extras} {direction} {}", count()))
        }
        "too-few" => Vec::new(),
        "too-many" => vec![Verdict::Keep; resources.len() + 1],
        "out-of-range" => each(Verdict::Edits(vec![edit(0, u32::MAX, "")])),
        "reversed" => each(Verdict::Edits(vec![edit(2, 1, "")])),
        "overlap" => each(Verdict::Edits(vec![edit(0, 2, ""), edit(1, 3, "")])),
        "panic" => panic!("{MARKER}"),
        "exit" => std::process::exit(7),
        "loop" => spin(),
        // Nearly no code of its own between the host calls that take the time.
        "loop-in-host" => loop {
            let _ = black_box(pseudonym::tokens("", &vec![String::new(); 60_000]));
        },
        "sleep" => {
            std::thread::sleep(Duration::from_secs(3600));
            each(Verdict::Keep)
        }
        "bomb" => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(vec![1; 1 << 20]);
                black_box(&hoard);
            }
        }
        "recursion" => {
            black_box(descend(u64::MAX, &[0; 64]));
            each(Verdict::Keep)
        }
        // The acts of the conformance suite that others of these are not.
        "network" => replace(listed(&surroundings(), &["name", "tcp", "tcp listener", "udp"])),
        "file" => replace(listed(
            &surroundings(),
            &["directory", "/etc/passwd", "relative file", "root", "written", "input"],
        )),
        "environment" => replace(listed(&surroundings(), &["environment", "arguments"])),
        "key-value" => {
            let asked = key_value::get(&["secret".to_owned()]);
            replace(format!("[\"{}\"]", asked.map_or_else(|error| error.code, |_| "answered".to_owned())))
        }
        "remember" => {
            let seen = if count() == 0 { "[]" } else { "[\"a patient\"]" };
            replace(seen.to_owned())
        }
        "giant-strings" => {
            log::write(Level::Info, &"x".repeat(8 << 20));
            same_bytes_many_times();
            each(Verdict::Keep)
        }
        // A text that is none.
        "malformed" => {
            // SAFETY: it is never read as one here.
            let code = unsafe { String::from_utf8_unchecked(vec![0xff, 0xfe]) };
            each(Verdict::Refuse(refusal(&code)))
        }
        "wrong-count" => Vec::new(),
        // As many verdicts as fit into the guest's memory, each larger in the host than in the guest.
        "huge-list" => vec![Verdict::Keep; 2_500_000],
        "huge-bytes" => replace("x".repeat(20 << 20)),
        "huge-arguments" => {
            same_bytes_many_times();
            each(Verdict::Keep)
        }
        "log" => {
            let many = settings["lines"].as_u64().unwrap_or(0);
            for n in 0..many {
                log::write(Level::Info, &format!("line {n}"));
            }
            log::write(Level::Warn, &format!("forged\n{}", "y".repeat(5000)));
            each(Verdict::Keep)
        }
        "tokens" => replace(format!("{:?}", pseudonym::tokens(text(settings, "domain"), &values(settings)))),
        "offsets" => replace(format!("{:?}", pseudonym::date_offsets(&values(settings)))),
        "ask" => replace(crate::capabilities::ask(settings)),
        "surroundings" => replace(surroundings()),
        // A seed, two clocks, and output far over what the host keeps.
        "allowed" => {
            let seeded: std::collections::HashMap<u8, u8> = [(1, 2)].into();
            let now = std::time::SystemTime::now();
            let year = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 31_556_952 + 1970;
            let before = Instant::now();
            for _ in 0..1000 {
                eprintln!("{MARKER} {}", "z".repeat(100));
            }
            replace(format!("{} {} {}", seeded[&1], year >= 2026, Instant::now() >= before))
        }
        _ => each(Verdict::Keep),
    }
}

/// What a hostile guest would look for. One line for each thing, `none` or what was found.
fn surroundings() -> String {
    let found = |name: &str, found: Option<String>| format!("{name}: {}\n", found.unwrap_or("none".into()));
    let read = |path: &str| std::fs::read(path).ok().map(|bytes| bytes.len().to_string());
    let dir = |path: &str| std::fs::read_dir(path).ok().map(|dir| dir.count().to_string());
    let connect = |to: &str| std::net::TcpStream::connect(to).ok().map(|_| "connected".to_owned());
    let mut input = String::new();
    let _ = std::io::Read::read_to_string(&mut std::io::stdin(), &mut input);
    [
        found("environment", std::env::vars().next().map(|(name, _)| name)),
        found("arguments", std::env::args().next()),
        found("directory", std::env::current_dir().ok().and_then(|dir| dir_entry(&dir))),
        found("/etc/passwd", read("/etc/passwd")),
        found("relative file", read("Cargo.toml")),
        found("root", dir("/")),
        found("written", std::fs::write("/tmp/fireguard-guest", "x").ok().map(|()| "yes".to_owned())),
        found("input", Some(input).filter(|input| !input.is_empty())),
        found(
            "name",
            std::net::ToSocketAddrs::to_socket_addrs("localhost:80")
                .ok()
                .and_then(|mut a| a.next())
                .map(|a| a.to_string()),
        ),
        found("tcp", connect("127.0.0.1:1")),
        found("tcp listener", std::net::TcpListener::bind("127.0.0.1:0").ok().map(|_| "bound".to_owned())),
        found("udp", std::net::UdpSocket::bind("127.0.0.1:0").ok().map(|_| "bound".to_owned())),
    ]
    .concat()
}

/// What was found of `names`, as a JSON list.
fn listed(surroundings: &str, names: &[&str]) -> String {
    let lines = surroundings.lines().filter_map(|line| line.split_once(": "));
    let found = lines.filter(|(name, found)| names.contains(name) && *found != "none");
    format!("{:?}", found.map(|(name, _)| name).collect::<Vec<_>>())
}

/// Hands over a thousand strings of eight megabytes that all lie in the same place.
fn same_bytes_many_times() {
    let mut text = "x".repeat(8 << 20);
    let mut alias = || {
        // SAFETY: the copies are only read, while `text` lives, and are forgotten below.
        unsafe { String::from_raw_parts(text.as_mut_ptr(), text.len(), text.capacity()) }
    };
    let copies: Vec<String> = std::iter::repeat_with(&mut alias).take(1000).collect();
    let _ = pseudonym::tokens("", &copies);
    copies.into_iter().for_each(std::mem::forget);
}

fn dir_entry(dir: &std::path::Path) -> Option<String> {
    std::fs::read_dir(dir).ok().map(|entries| entries.count().to_string())
}

fn spin() -> ! {
    let mut n = 0u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

fn descend(depth: u64, below: &[u8; 64]) -> u64 {
    if black_box(depth) == 0 {
        return u64::from(below[0]);
    }
    let mut frame = *below;
    frame[0] = frame[0].wrapping_add(1);
    descend(depth - 1, black_box(&frame)) + u64::from(black_box(frame)[1])
}

pub(crate) fn count() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static CALLS: AtomicU32 = AtomicU32::new(0);
    CALLS.fetch_add(1, Ordering::Relaxed)
}

pub(crate) fn refusal(code: &str) -> Refusal {
    Refusal { code: code.to_owned(), message: "no".to_owned(), outcome: None, extras: Vec::new() }
}

fn edit(start: u32, end: u32, text: &str) -> Edit {
    Edit { start, end, text: text.as_bytes().to_vec() }
}

pub(crate) fn text<'a>(settings: &'a Value, key: &str) -> &'a str {
    settings[key].as_str().unwrap_or_default()
}

/// The settings' `values`, repeated `times`.
fn values(settings: &Value) -> Vec<String> {
    let once: Vec<String> =
        settings["values"].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect();
    let times = settings["times"].as_u64().unwrap_or(1) as usize;
    vec![once; times].concat()
}
