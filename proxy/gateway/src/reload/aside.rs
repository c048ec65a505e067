//! Work that must not take the processor from requests.

use std::io;

use tokio::sync::oneshot;

/// How much the priority is lowered (`nice(2)`).
const NICE: i32 = 10;

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum NotAside {
    /// There is no thread or runtime.
    #[error("no thread can be started for it")]
    Start(#[from] io::Error),
    /// It ended by a fault of its own.
    #[error("it ended by a fault of its own")]
    Fault,
}

/// Runs `work` to its end on a thread of low priority with a runtime of its own, also if nobody waits for it.
/// Threads that it starts inherit the priority, those of the compiler among them.
///
/// # Errors
/// It was not done.
pub async fn aside<T, F, W>(work: F) -> Result<T, NotAside>
where
    T: Send + 'static,
    F: FnOnce() -> W + Send + 'static,
    W: Future<Output = T>,
{
    let (done, result) = oneshot::channel();
    let run = move || {
        // Without the right to it the work is done all the same.
        let _ = rustix::process::nice(NICE);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let result = runtime.map(|runtime| runtime.block_on(work())).map_err(NotAside::Start);
        let _ = done.send(result);
    };
    std::thread::Builder::new().name("loader".into()).spawn(run)?;
    result.await.map_err(|_| NotAside::Fault)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_priority_of_the_caller_stays() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        assert_eq!(aside(async move || niceness()).await.unwrap(), (before + NICE).min(19));
        assert_eq!(niceness(), before);
    }

    #[tokio::test]
    async fn a_fault_is_told() {
        let panics = async || -> () { panic!("on purpose") };
        assert!(matches!(aside(panics).await, Err(NotAside::Fault)));
    }
}
