//! What the service manager is told (`sd_notify(3)`). Where there is none, nobody.

use std::time::Duration;

use sd_notify::NotifyState;

/// Clients are served.
pub fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// The configuration is read again; [`ready`] says that it is over, however it ended.
pub fn reloading() {
    // Without a clock there is no reload for the manager; it goes on all the same.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// Another process is the service from now on.
pub fn succeeded_by(pid: u32) {
    tell(&[NotifyState::MainPid(pid), NotifyState::Ready]);
}

/// Running requests may end.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says in time that this process works, as long as `works` says so; never returns. Where nobody wants to know, it
/// only waits.
pub async fn watch(works: impl Fn() -> bool) {
    let Some(patience) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let mut turns = tokio::time::interval((patience / 2).max(Duration::from_millis(1)));
    loop {
        turns.tick().await;
        if works() {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}
