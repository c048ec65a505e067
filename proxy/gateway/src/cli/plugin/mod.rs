//! `fireguard plugin …`: what somebody needs who writes plugins.

mod bench;
mod build;
mod case;
mod diff;
mod inspect;
mod new;
mod project;
mod test;
mod toolchain;
mod trace;
mod watch;

use super::Failed;

/// Write, build and try plugins.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Make a project: code that runs, a case that tests it, all that is needed to build it.
    New(new::Arguments),
    /// Build the component; what is missing of the language's tools is installed.
    Build(build::Arguments),
    /// Play the cases of a project on its component, in the real host.
    Test(test::Arguments),
    /// Say what a component is: phases, imports, size, engine, digest. It is not run.
    Inspect(inspect::Arguments),
    /// Measure how fast a component works on a resource or a Bundle.
    Bench(bench::Arguments),
    /// Show what each plugin of a route makes of a request or of resources, as a diff.
    Trace(trace::Arguments),
}

pub(super) fn run(command: &Command) -> Result<(), Failed> {
    match command {
        Command::New(arguments) => new::new(arguments),
        Command::Build(arguments) => build::build(arguments),
        Command::Test(arguments) => test::test(arguments),
        Command::Inspect(arguments) => inspect::inspect(arguments),
        Command::Bench(arguments) => bench::bench(arguments),
        Command::Trace(arguments) => trace::trace(arguments),
    }
}
