//! Two threads against one: what instances cost the whole process, page faults and locks among it.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fireguard_plugin_host::{Engine, Instances, Plugin, PluginSpec, Reuse};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::{built, failed, process, runtime};
use crate::bench::payload;
use crate::bench::row::{Goal, Row};
use crate::error::Error;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(300);

/// Of 1.5 KB a call, in fresh instances and in used ones.
pub(super) fn rows(engine: &Engine) -> Result<Vec<Row>, Error> {
    let kinds = [
        ("a fresh instance each", Instances::PerExchange, 1.4),
        ("instances used again", Instances::Reuse(Reuse { uses: u32::MAX, ..Reuse::default() }), 1.6),
    ];
    let mut rows = Vec::new();
    for (name, instances, goal) in kinds {
        let spec =
            PluginSpec { instances, ..PluginSpec::new("streaming", built("fireguard_streaming_guest")) };
        let plugin = runtime()?.block_on(Plugin::load(engine, spec)).map_err(failed)?;
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push((calls(&plugin, 2)?, calls(&plugin, 1)?));
        }
        let name = format!("two threads, {name}, 1.5 KB, calls/s");
        rows.push(Row::beside(name, "one thread", &rounds, Some(Goal::RatioAtLeast(goal))));
    }
    Ok(rows)
}

/// Exchanges with one call each, a second, on so many cores.
fn calls(plugin: &Plugin, threads: usize) -> Result<f64, Error> {
    let (start, stop, done) = (Barrier::new(threads + 1), AtomicBool::new(false), AtomicU64::new(0));
    let work = |core: usize| -> Result<(), Error> {
        pin(core)?;
        let (runtime, resource) = (runtime()?, [payload::patient(1)]);
        start.wait();
        let mut many = 0;
        while !stop.load(Ordering::Relaxed) {
            runtime.block_on(async {
                for _ in 0..50 {
                    process(&mut plugin.session(), &resource).await?;
                    many += 1;
                }
                Ok::<_, Error>(())
            })?;
        }
        done.fetch_add(many, Ordering::Relaxed);
        Ok(())
    };
    let clock = runtime()?;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|core| scope.spawn(move || work(core))).collect();
        start.wait();
        let began = Instant::now();
        clock.block_on(async { tokio::time::sleep(ROUND).await });
        stop.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.join().map_err(|_| failed("a thread panicked"))??;
        }
        Ok(done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
    })
}

/// The benchmark runs on one core; its threads need one each.
fn pin(core: usize) -> Result<(), Error> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).map_err(|error| Error::io("taking a core")(error.into()))?;
    let held = sched_getaffinity(None).map_err(|error| Error::io("asking for the core")(error.into()))?;
    if held.is_set(core) { Ok(()) } else { Err(failed("there is no second core")) }
}
