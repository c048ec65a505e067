//! A PostgreSQL for a HAPI in the background.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};

use super::{Error, command_line, left, settings, setup, start_on_a_free_port};

/// A PostgreSQL that stays when this process ends. What is known of it stands in its data folder.
#[derive(Debug)]
pub struct DetachedPostgres {
    data: PathBuf,
    log: PathBuf,
}

impl DetachedPostgres {
    /// The one with this data folder, whether it runs, does not, or was never there.
    pub fn at(data: PathBuf, log: PathBuf) -> Self {
        Self { data, log }
    }

    /// Starts it, with an empty database if it has none yet, and returns HAPI's settings for it. It must not run.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub fn start(&self, fsync: bool, progress: &dyn Fn(&str)) -> Result<Vec<(String, String)>, Error> {
        let programs = crate::install::postgres(progress)?;
        if !self.data.exists() {
            setup::create(&programs, &self.data, &self.log)?;
        }
        let (_, port) = start_on_a_free_port(&programs, &self.data, &self.log, fsync, false)?;
        Ok(settings(port))
    }

    /// Its process id; none: it does not run.
    pub fn pid(&self) -> Option<u32> {
        let file = fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        let pid = file.lines().next()?.trim().parse().ok()?;
        // After a crash the file stays, and ids are given again.
        let data = format!(" {} ", self.data.display());
        command_line(pid).is_some_and(|line| line.contains(&data)).then_some(pid)
    }

    /// Lets it leave in good order, if it runs.
    pub fn stop(&self) {
        let Some(pid) = self.pid().and_then(|pid| Pid::from_raw(pid.cast_signed())) else { return };
        let _ = kill_process(pid, Signal::INT);
        if !left(|| self.pid().is_none()) {
            let _ = kill_process(pid, Signal::QUIT);
            left(|| self.pid().is_none());
        }
    }

    /// Stops it and removes all it holds.
    ///
    /// # Errors
    /// The files cannot be removed.
    pub fn clear(&self) -> Result<(), Error> {
        self.stop();
        match self.data.exists() {
            true => fs::remove_dir_all(&self.data).map_err(Error::io(self.data.display().to_string())),
            false => Ok(()),
        }
    }
}
