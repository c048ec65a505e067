//! On what and when something was measured.

use std::fs;
use std::process::Command;

/// The machine, and the date.
#[derive(Debug)]
pub(super) struct Machine {
    /// Processor, cores, kernel, what else ran, and what is measured.
    pub(super) name: String,
    /// As `2026-11-21 14:05 UTC`.
    pub(super) date: String,
}

impl Machine {
    /// What is known of this one, where this build is measured; its load is that of the last minute, so ask before
    /// anything is measured.
    pub(super) fn this(build: &str) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        let of = |key: &'static str| cpu.lines().filter(move |line| line.starts_with(key));
        let model = of("model name").next().and_then(|line| line.split(": ").nth(1));
        let (model, cores) = (model.unwrap_or("unknown processor"), of("processor").count());
        let (kernel, load) = (read("/proc/sys/kernel/osrelease"), read("/proc/loadavg"));
        let load = load.split(' ').next().unwrap_or("?");
        let name = format!("{model}, {cores} cores, Linux {}, load before {load}, {build}", kernel.trim());
        let date = Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]).output();
        let date =
            date.map_or_else(|_| String::new(), |date| String::from_utf8_lossy(&date.stdout).into_owned());
        Self { name, date: date.trim().to_owned() }
    }
}
