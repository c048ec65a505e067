//! `fireguard policy …`: what somebody needs who writes policies.

mod explain;
mod recorded;
mod test;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fireguard_access::policy::{Policies, schema};

use super::{Failed, say};

/// Write and try policies.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Try the cases of a folder of policies: CASES in `cases/*.toml`, what is to be decided, and by which policies.
    Test(test::Arguments),
    /// Say what is decided of a request, at every gate, and by which policies.
    Explain(Box<explain::Arguments>),
    /// Print what policies can speak of, as a Cedar schema for editors.
    Schema,
}

#[derive(clap::Args)]
struct Folder {
    /// The folder of the policies.
    #[arg(default_value = "policies")]
    folder: PathBuf,
    /// The system of the tags that say to which organisation a resource belongs, as in the configuration.
    #[arg(long, value_name = "SYSTEM")]
    tenant_tag: Option<String>,
}

pub(super) fn run(command: &Command) -> Result<(), Failed> {
    match command {
        Command::Test(arguments) => test::test(arguments),
        Command::Explain(arguments) => explain::explain(arguments),
        Command::Schema => {
            say(schema::TEXT.trim_end());
            Ok(())
        }
    }
}

/// The policies of a folder, or all that is wrong with them.
fn load(folder: &Path, tenant_tag: Option<&String>) -> Result<Arc<Policies>, Failed> {
    Policies::load(folder, tenant_tag.cloned()).map(Arc::new).map_err(|faults| {
        let lines: Vec<_> = faults.iter().map(|fault| format!("{}/{fault}", folder.display())).collect();
        miette::miette!("{}", lines.join("\n"))
    })
}
