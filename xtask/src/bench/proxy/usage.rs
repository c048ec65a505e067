//! What processes have used, as the kernel tells it.

use std::fs;
use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Linux tells all processes' times in hundredths of a second.
const TICKS: f64 = 100.0;

/// Processor time in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Usage {
    /// All of it.
    pub(super) total: f64,
    /// What of it was the kernel's, in steps of a hundredth.
    pub(super) kernel: f64,
}

impl std::ops::Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { total: self.total - before.total, kernel: self.kernel - before.kernel }
    }
}

/// The processor time of a process's threads so far, to the nanosecond. Threads that have ended do not count.
///
/// # Errors
/// There is no such process.
pub(super) fn of(pid: u32) -> Result<Usage, Error> {
    let mut nanoseconds = 0;
    for task in entries(&PathBuf::from(format!("/proc/{pid}/task")))? {
        // A thread may end at any time.
        let text = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        nanoseconds += text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
    }
    let kernel = Stat::of(pid).map_or(0.0, |stat| stat.kernel / TICKS);
    Ok(Usage { total: nanoseconds as f64 / 1e9, kernel })
}

/// The processor time of a process with all that it started, ended ones too, in hundredths of a second.
///
/// # Errors
/// The processes cannot be listed.
pub(super) fn of_tree(root: u32) -> Result<Usage, Error> {
    let all = all()?;
    let tree = tree(&all, root);
    let sum = |part: fn(&Stat) -> f64| tree.iter().map(|stat| part(stat)).sum::<f64>() / TICKS;
    Ok(Usage { total: sum(|stat| stat.user + stat.kernel + stat.ended), kernel: sum(|stat| stat.kernel) })
}

/// The first of this process's descendants whose program has this name.
///
/// # Errors
/// There is none.
pub(super) fn descendant(name: &str) -> Result<u32, Error> {
    let all = all()?;
    let found = tree(&all, std::process::id()).iter().find(|stat| stat.name == name).map(|stat| stat.pid);
    found.ok_or_else(|| Error::Usage(format!("no {name} runs below the benchmark")))
}

/// The memory that a process has for itself, and its part of what it shares, in megabytes.
///
/// # Errors
/// There is no such process.
pub(super) fn memory(pid: u32) -> Result<f64, Error> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(Error::io(path.clone()))?;
    let kilobytes =
        text.lines().find_map(|line| line.strip_prefix("Pss:")?.split_whitespace().next()?.parse().ok());
    let missing = || Error::io(path)(IoError::new(ErrorKind::InvalidData, "no Pss"));
    kilobytes.map(|kilobytes: f64| kilobytes * 1024.0 / 1e6).ok_or_else(missing)
}

/// A line of `/proc/<pid>/stat`; times in ticks.
#[derive(Debug, Clone, PartialEq)]
struct Stat {
    pid: u32,
    parent: u32,
    name: String,
    user: f64,
    kernel: f64,
    /// Of children that have ended and were waited for.
    ended: f64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The program's name stands in brackets and may hold any character.
    fn parse(line: &str) -> Option<Self> {
        let (pid, rest) = line.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |place: usize| fields.get(place)?.parse::<f64>().ok();
        Some(Self {
            pid: pid.parse().ok()?,
            parent: fields.get(1)?.parse().ok()?,
            name: name.to_owned(),
            user: number(11)?,
            kernel: number(12)?,
            ended: number(13)? + number(14)?,
        })
    }
}

fn all() -> Result<Vec<Stat>, Error> {
    let pid = |path: PathBuf| path.file_name()?.to_str()?.parse().ok();
    Ok(entries(Path::new("/proc"))?.into_iter().filter_map(pid).filter_map(Stat::of).collect())
}

/// A process and all below it.
fn tree(all: &[Stat], root: u32) -> Vec<&Stat> {
    let mut tree: Vec<&Stat> = all.iter().filter(|stat| stat.pid == root).collect();
    let mut place = 0;
    while let Some(parent) = tree.get(place).map(|stat| stat.pid) {
        tree.extend(all.iter().filter(|stat| stat.parent == parent && stat.pid != parent));
        place += 1;
    }
    tree
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(folder).map_err(Error::io(folder.display().to_string()))?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_whatever_the_program_is_called() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 50 60 70 80 20 0 9 0 1 2 3";
        let stat = Stat::parse(line).unwrap();
        let expected =
            Stat { pid: 42, parent: 7, name: "a) b (c".into(), user: 50.0, kernel: 60.0, ended: 150.0 };
        assert_eq!(stat, expected);
        assert_eq!(Stat::parse("42 (a S 7"), None);
    }

    #[test]
    fn a_tree_holds_grandchildren() {
        let stat =
            |pid, parent| Stat { pid, parent, name: String::new(), user: 0.0, kernel: 0.0, ended: 0.0 };
        let all = [stat(1, 0), stat(5, 3), stat(2, 1), stat(3, 2), stat(4, 1)];
        let pids: Vec<u32> = tree(&all, 2).iter().map(|stat| stat.pid).collect();
        assert_eq!(pids, [2, 3, 5]);
    }

    #[test]
    fn this_process_uses_something() {
        let pid = std::process::id();
        assert!(of(pid).unwrap().total > 0.0);
        assert!(memory(pid).unwrap() > 0.1);
        assert!(of_tree(pid).unwrap().total >= 0.0);
    }
}
