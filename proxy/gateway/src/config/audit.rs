//! What is noted of who did what, and where it goes.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use fireguard_access::decision::AuditLevel;
use fireguard_state::s3::Bucket;
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::replicas::Replicas;
use super::resolve::Resolver;
use super::units::{Size, Time};
use super::{Problem, defaults, file};

/// Who did what, noted as FHIR AuditEvents. They wait in the database of `[state]` until they have arrived.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Where they go: `upstream:NAME`, a FHIR server of `[upstreams]`; `files:FOLDER`, made if need be; or `bucket:NAME`, a
    /// bucket of `[buckets]`.
    #[schemars(with = "String")]
    pub to: Spanned<String>,
    /// How closely it is looked at; a policy may ask for more.
    #[serde(default)]
    pub level: Level,
    /// What happens to requests while as many events wait as may.
    #[serde(default)]
    pub when_full: WhenFull,
    /// How many events may wait.
    #[serde(default = "waiting")]
    pub waiting: NonZeroU32,
    /// Refer to patients and resources on the FHIR server, so that `AuditEvent?patient=…` finds them. Without it they are
    /// named, and `AuditEvent?entity-name=Patient/1` finds them: a server that keeps references whole refuses events about
    /// what it does not have, and to delete what events refer to.
    #[serde(default)]
    pub references: bool,
    /// How large a file becomes before the next is begun.
    #[serde(default = "file_size")]
    pub file_size: Size,
    /// How long events are gathered for one object of a bucket, which holds 1000 at the most.
    #[serde(default = "gather")]
    pub gather: Time,
}

/// How closely the audit looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// One event for each exchange, and one for each write of a batch or transaction.
    Exchange,
    /// One for each patient concerned.
    #[default]
    Patient,
    /// The same, and each names the resources that were shown or changed.
    Entry,
}

/// What happens to requests that cannot be audited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// They are refused, with 503.
    #[default]
    Refuse,
    /// They pass, and their events are lost; a metric counts them.
    Pass,
}

/// Where events go, resolved.
#[derive(Debug)]
pub struct Auditing {
    /// Where they go.
    pub to: To,
    /// How closely it is looked at.
    pub level: AuditLevel,
    /// What happens while the queue is full.
    pub when_full: WhenFull,
    /// How many events may wait.
    pub waiting: u64,
}

/// Where events go.
#[derive(Debug)]
pub enum To {
    /// To a FHIR server.
    Server {
        /// Its name in the configuration.
        name: String,
        /// How it is reached.
        replicas: Box<Replicas>,
        /// Events refer to resources there.
        references: bool,
    },
    /// Into files.
    Files {
        /// Their folder.
        folder: PathBuf,
        /// How large one becomes, in bytes.
        size: u64,
    },
    /// Into a bucket.
    Bucket {
        /// The bucket.
        bucket: Bucket,
        /// How long they are gathered for one object.
        gather: Duration,
    },
}

impl Resolver<'_> {
    /// Where events go, and what is wrong with that.
    pub(super) fn audit(&mut self, audit: &Audit, file: &file::File) -> Option<Auditing> {
        if self.state(&file.state).is_none() {
            let message = "events wait in a database until they have arrived, and there is none";
            let help = "name a folder for it: directory = \"…\" in [state]";
            self.problems.push(Problem::at(audit.to.span(), message).help(help));
        }
        let level = match audit.level {
            Level::Exchange => AuditLevel::Exchange,
            Level::Patient => AuditLevel::Patient,
            Level::Entry => AuditLevel::Entry,
        };
        let to = match audit.to.get_ref().split_once(':') {
            Some(("upstream", name)) => {
                let Some(upstream) = file.upstreams.get(name) else {
                    let name = Spanned::new(audit.to.span(), name.to_owned());
                    self.unknown("upstream", &name, file.upstreams.keys().map(String::as_str));
                    return None;
                };
                let (name, references) = (name.to_owned(), audit.references);
                To::Server { name, replicas: Box::new(self.replicas(upstream)?), references }
            }
            Some(("files", folder)) if !folder.is_empty() => {
                let folder = self.path(&Spanned::new(audit.to.span(), folder.to_owned()));
                To::Files { folder, size: audit.file_size.0 }
            }
            Some(("bucket", name)) => {
                // One that does not hold together is told of where it stands.
                if !file.buckets.contains_key(name) {
                    let name = Spanned::new(audit.to.span(), name.to_owned());
                    self.unknown("bucket", &name, file.buckets.keys().map(String::as_str));
                }
                To::Bucket { bucket: self.buckets.get(name)?.clone(), gather: audit.gather.0 }
            }
            _ => {
                self.problem(&audit.to, "write \"upstream:NAME\", \"files:FOLDER\" or \"bucket:NAME\"");
                return None;
            }
        };
        Some(Auditing { to, level, when_full: audit.when_full, waiting: audit.waiting.get().into() })
    }
}

fn waiting() -> NonZeroU32 {
    NonZeroU32::new(defaults::AUDIT_WAITING).unwrap_or(NonZeroU32::MIN)
}

fn gather() -> Time {
    Time(defaults::AUDIT_GATHER)
}

fn file_size() -> Size {
    Size(defaults::AUDIT_FILE)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    const REST: &str = "[upstreams.hapi]\nurl = \"http://127.0.0.1:8080/fhir\"\n[routes.fhir]\npath = \"/fhir\"\n\
                        upstream = \"hapi\"\nauthentication = \"none\"\n";

    fn parse(audit: &str) -> Result<Config, String> {
        Config::parse(&format!("{audit}\n{REST}"), Path::new("/etc/fireguard.toml"))
            .map_err(|report| report.text())
    }

    #[test]
    fn where_it_goes_is_a_server_or_a_folder() {
        let state = "[state]\ndirectory = \"state\"\n[audit]\n";
        let config = parse(&format!("{state}to = \"upstream:hapi\"")).unwrap();
        let auditing = config.audit.unwrap();
        assert!(matches!(auditing.to, To::Server { name, .. } if name == "hapi"));
        assert_eq!((auditing.level, auditing.when_full), (AuditLevel::Patient, WhenFull::Refuse));
        assert!(config.routes[0].audit);
        let config = parse(&format!("{state}to = \"files:audit\"\nwhen_full = \"pass\"")).unwrap();
        let files = Path::new("/etc/audit");
        assert!(matches!(config.audit.unwrap().to, To::Files { folder, .. } if folder == files));
        let bucket = "[buckets.b]\nbucket = \"abc\"\nendpoint = \"http://127.0.0.1:1\"\n";
        let config = parse(&format!("{bucket}{state}to = \"bucket:b\"\ngather = \"1s\"")).unwrap();
        let expected = |gather| gather == Duration::from_secs(1);
        assert!(matches!(config.audit.unwrap().to, To::Bucket { gather, .. } if expected(gather)));
        assert!(!parse("").unwrap().routes[0].audit);
    }

    #[test]
    fn what_cannot_be_is_told() {
        let state = "[state]\ndirectory = \"state\"\n";
        for (audit, expected) in [
            ("[audit]\nto = \"files:audit\"".to_owned(), "there is none"),
            (format!("{state}[audit]\nto = \"upstream:happi\""), "did you mean \"hapi\"?"),
            (
                format!(
                    "{state}[buckets.aws]\nbucket = \"abc\"\nregion = \"x\"\n[audit]\nto = \"bucket:awz\""
                ),
                "did you mean \"aws\"?",
            ),
            (format!("{state}[audit]\nto = \"bucket:b\""), "there is no bucket named \"b\""),
            (format!("{state}[audit]\nto = \"files:\""), "upstream:NAME"),
            (format!("{state}[audit]\nto = \"hapi\""), "upstream:NAME"),
            (format!("{state}[audit]\nto = \"files:a\"\nlevel = \"all\""), "unknown variant"),
        ] {
            let problem = parse(&audit).unwrap_err();
            assert!(problem.contains(expected), "{audit}: {problem}");
        }
    }
}
