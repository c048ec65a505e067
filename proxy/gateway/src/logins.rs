//! Logging in with a password: how often one may try, and how many passwords are checked at once.

use std::sync::Arc;
use std::time::Duration;

use fireguard_access::authentication::sessions::{Issued, Sessions};
use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::rate::{Attempts, Key};
use http::StatusCode;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::failure::{Failure, Source};

/// Passwords that are checked at once: each takes a core for some 20 ms, and 19 MiB.
const AT_ONCE: usize = 2;
/// How long a login waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lets users log in. What was tried outlives a reload.
pub struct Logins {
    sessions: Arc<Sessions>,
    tries: Arc<Tries>,
}

/// What was tried lately, and what is tried now.
pub struct Tries {
    attempts: Attempts,
    turns: Arc<Semaphore>,
}

impl Default for Tries {
    fn default() -> Self {
        Self { attempts: Attempts::new(), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Logins {
    /// For the users of these sessions.
    pub fn new(sessions: Arc<Sessions>, tries: Arc<Tries>) -> Self {
        Self { sessions, tries }
    }

    /// Who has logged in.
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// Takes one try into account, by the name and by where it comes from.
    ///
    /// # Errors
    /// There were too many: how long to wait.
    pub fn may_try(&self, name: &str, client: &Key) -> Result<(), Duration> {
        let tried = self.tries.attempts.take(name, client);
        tried.inspect_err(|_| counted("throttled"))
    }

    /// A token for the user, if this is the password. The password is checked beside the cores, a few at once.
    ///
    /// # Errors
    /// There are too many others.
    pub async fn log_in(&self, name: String, password: Vec<u8>) -> Result<Option<Issued>, Failure> {
        let password = Zeroizing::new(password);
        let Ok(Ok(turn)) = timeout(PATIENCE, Arc::clone(&self.tries.turns).acquire_owned()).await else {
            counted("busy");
            return Err(busy());
        };
        let sessions = Arc::clone(&self.sessions);
        let checked = tokio::task::spawn_blocking(move || {
            // Held also if nobody waits any more.
            let _turn = turn;
            let user = sessions.users().log_in(&name, &password)?;
            Some(sessions.issue(user))
        });
        let issued = checked.await.map_err(|_| internal())?;
        counted(if issued.is_some() { "accepted" } else { "refused" });
        issued.transpose().map_err(|_| internal())
    }
}

/// The outcome of a login, in metrics.
fn counted(outcome: &'static str) {
    metrics::counter!("fireguard_logins_total", "outcome" => outcome).increment(1);
}

fn busy() -> Failure {
    let message = "too many log in at once";
    Failure::new(Source::Proxy, StatusCode::SERVICE_UNAVAILABLE, IssueCode::Throttled, message)
        .retry_after(PATIENCE)
}

fn internal() -> Failure {
    Failure::new(Source::Proxy, StatusCode::INTERNAL_SERVER_ERROR, IssueCode::Exception, "internal error")
        .detail("no token can be made")
}
