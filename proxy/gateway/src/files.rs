//! How many files and connections this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Besides connections of clients: connections to servers, bodies in temporary files, the process's own.
const OTHERS: u64 = 1000;

/// Raises the soft limit to the hard one: the soft one is made for programs with `select`, and everyone who serves
/// raises it. Says so, and also if it is too low for so many connections.
pub fn raise(connections: u32) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let files = match raised {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            current
        }
    };
    // None is as many as there are.
    let enough = files.is_none_or(|files| files >= u64::from(connections) + OTHERS);
    tracing::info!(files, before = current, "open files");
    if !enough {
        let help = "raise the hard limit (LimitNOFILE=, ulimit -Hn) or lower limits.connections";
        tracing::warn!(files, connections, help, "fewer open files than connections may need");
    }
}
