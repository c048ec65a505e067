//! What is known of a background server: `target/hapi/run/NAME.json`.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fireguard_test_support::hapi::{DetachedPostgres, command_line, directory, terminate};
use serde_json::{Value, json};

use super::Start;
use crate::error::Error;

const LEAVE_WITHIN: Duration = Duration::from_secs(10);

/// A server that was started in the background, and may have ended since.
#[derive(Debug)]
pub(super) struct State {
    pub(super) start: Start,
    pub(super) base: String,
    pub(super) pid: u32,
}

impl State {
    /// Reads the state of the server of this name.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn load(name: &str) -> Result<Self, Error> {
        let text = fs::read_to_string(path(name, "json"))
            .map_err(|_| Error::Usage(format!("there is no HAPI called `{name}`")))?;
        let state = serde_json::from_str(&text).ok().and_then(|json| Self::from_json(name, &json));
        state.ok_or_else(|| Error::Usage(format!("{} is damaged: remove it", path(name, "json").display())))
    }

    /// Every server that was not stopped, by name.
    ///
    /// # Errors
    /// A file is damaged.
    pub(super) fn all() -> Result<Vec<Self>, Error> {
        let files = fs::read_dir(directory().join("run")).into_iter().flatten().flatten();
        let mut names: Vec<_> = files
            .filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".json")?.to_owned()))
            .collect();
        names.sort();
        names.iter().map(|name| Self::load(name)).collect()
    }

    /// Writes the state down.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn save(&self) -> Result<(), Error> {
        let path = path(&self.start.name, "json");
        fs::write(&path, format!("{:#}\n", self.to_json())).map_err(Error::io(path.display().to_string()))
    }

    /// Whether the process is there and is ours: ids are given again.
    pub(super) fn is_running(&self) -> bool {
        let work = format!(" work={} ", Self::work_of(&self.start.name).display());
        command_line(self.pid).is_some_and(|line| format!("{} ", line.trim_end()).contains(&work))
    }

    /// Asks the server to leave, insists after ten seconds, then its PostgreSQL, and forgets it.
    ///
    /// # Errors
    /// Its state cannot be removed.
    pub(super) fn stop(&self) -> Result<(), Error> {
        let asked = Instant::now();
        let mut force = false;
        while self.is_running() {
            terminate(self.pid, force);
            force = asked.elapsed() > LEAVE_WITHIN;
            #[expect(clippy::disallowed_methods, reason = "a command that does nothing else meanwhile")]
            std::thread::sleep(Duration::from_millis(100));
        }
        Self::database_of(&self.start.name).stop();
        fs::remove_file(path(&self.start.name, "json")).map_err(Error::io("forgetting the server"))
    }

    /// The log file.
    pub(super) fn log(&self) -> PathBuf {
        Self::log_of(&self.start.name)
    }

    /// The log file of a server of this name.
    pub(super) fn log_of(name: &str) -> PathBuf {
        path(name, "log")
    }

    /// The PostgreSQL of a server of this name, if it has one.
    pub(super) fn database_of(name: &str) -> DetachedPostgres {
        DetachedPostgres::at(path(name, "postgres"), path(name, "postgres.log"))
    }

    /// The working folder of a server of this name.
    pub(super) fn work_of(name: &str) -> PathBuf {
        directory().join("run").join(name)
    }

    fn to_json(&self) -> Value {
        let pairs = |pairs: &[(String, String)]| -> Value {
            pairs.iter().map(|(name, value)| json!([name, value])).collect()
        };
        json!({
            "base": self.base,
            "pid": self.pid,
            "port": self.start.port,
            "storage": pairs(&self.start.storage),
            "set": pairs(&self.start.set),
            "heap": self.start.heap,
            "full_jit": self.start.full_jit,
            "postgres": self.start.postgres,
            "no_fsync": self.start.no_fsync,
        })
    }

    fn from_json(name: &str, json: &Value) -> Option<Self> {
        let pairs = |key: &str| -> Option<Vec<(String, String)>> {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            json[key].as_array()?.iter().map(|pair| Some((text(&pair[0])?, text(&pair[1])?))).collect()
        };
        Some(Self {
            start: Start {
                name: name.to_owned(),
                port: json["port"].as_u64()?.try_into().ok()?,
                storage: pairs("storage")?,
                set: pairs("set")?,
                heap: json["heap"].as_str()?.to_owned(),
                full_jit: json["full_jit"].as_bool()?,
                // States from before there was PostgreSQL do not mention it.
                postgres: json["postgres"].as_bool().unwrap_or_default(),
                no_fsync: json["no_fsync"].as_bool().unwrap_or_default(),
            },
            base: json["base"].as_str()?.to_owned(),
            pid: json["pid"].as_u64()?.try_into().ok()?,
        })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Start { name, heap, full_jit, storage, set, .. } = &self.start;
        let state = if self.is_running() { "running" } else { "gone" };
        write!(f, "{name}\t{}\t{state}\tpid {}\theap {heap}", self.base, self.pid)?;
        if *full_jit {
            f.write_str("\tfull JIT")?;
        }
        if self.start.postgres {
            match Self::database_of(name).pid() {
                Some(pid) => write!(f, "\tPostgreSQL pid {pid}")?,
                None => f.write_str("\tPostgreSQL gone")?,
            }
            f.write_str(if self.start.no_fsync { " without fsync" } else { "" })?;
        }
        for (name, value) in storage {
            write!(f, "\tstorage.{name}={value}")?;
        }
        set.iter().try_for_each(|(name, value)| write!(f, "\t{name}={value}"))
    }
}

fn path(name: &str, kind: &str) -> PathBuf {
    directory().join(format!("run/{name}.{kind}"))
}

#[cfg(test)]
mod tests {
    use fireguard_test_support::hapi::port_of;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let start = Start {
            name: "bench".into(),
            port: 0,
            storage: vec![pair("tagStorageMode", "INLINE")],
            set: vec![pair("page.max", "500"), pair("base", "apache")],
            heap: "1g".into(),
            full_jit: true,
            postgres: true,
            no_fsync: false,
        };
        let state = State { start, base: "http://127.0.0.1:4711/fhir".into(), pid: 4_194_305 };
        let read = State::from_json("bench", &state.to_json()).unwrap();
        assert_eq!((&read.start, &read.base, read.pid), (&state.start, &state.base, state.pid));
        assert_eq!(port_of(&read.base), 4711);
        assert!(!read.is_running());
        assert!(State::from_json("bench", &json!({"base": 1})).is_none());
    }
}
