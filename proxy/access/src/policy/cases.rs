//! Tables of what policies are to decide: `policies/cases/*.toml`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Deserialize;
use toml::Spanned;

use super::describe::{self, Caller, Described};
use super::{Decisions, Policies};
use crate::decision::{Action, AuditLevel, Obligations, Permission};
use crate::gate;

/// One case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub name: Spanned<String>,
    /// Who asks.
    pub caller: Caller,
    /// For what: `GET /Observation?code=x`.
    pub request: String,
    /// The resource that is read, found or changed; left out: the request alone is decided.
    pub resource: Option<Described>,
    /// When, as `2026-01-31T08:00:00Z`; now, unless given.
    pub time: Option<String>,
    /// What is to be decided.
    pub expect: Expected,
    /// The policies that are to decide it, if the case says.
    pub policies: Option<BTreeSet<String>>,
    /// The obligations that come with it, if the case says.
    pub obligations: Option<BTreeSet<String>>,
}

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// It is let through. With a resource: this one is shown, or may be changed.
    Allow,
    /// The request is let through, and each resource is judged.
    Confine,
    /// It is refused. With a resource: this one is withheld.
    Deny,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The decision.
    pub decision: Expected,
    /// The policies that decided.
    pub policies: BTreeSet<String>,
    /// What comes with it.
    pub obligations: BTreeSet<String>,
    /// Why not, in words.
    pub message: String,
}

/// A case that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The file.
    pub file: String,
    /// The line that names it, from 1.
    pub line: usize,
    /// The case.
    pub name: String,
    /// What was decided; or why it could not be asked for.
    pub said: Result<Said, String>,
    /// What is otherwise than the case says. Empty: it holds.
    pub wrong: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    case: Vec<Case>,
}

/// Tries every case of a folder's `cases/*.toml`, in order.
///
/// # Errors
/// A file cannot be read.
pub fn try_folder(folder: &Path, policies: &Arc<Policies>) -> Result<Vec<Tried>, String> {
    let cases = folder.join("cases");
    let entries =
        std::fs::read_dir(&cases).map_err(|error| format!("cannot read {}: {error}", cases.display()))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<BTreeSet<_>, _>>();
    let paths = paths.map_err(|error| format!("cannot read {}: {error}", cases.display()))?;
    let mut tried = Vec::new();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|kind| kind == "toml")) {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
        let table: Table = toml::from_str(&text).map_err(|error| format!("{shown}: {error}"))?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let line =
            |case: &Case| text.get(..case.name.span().start).unwrap_or(&text).matches('\n').count() + 1;
        tried.extend(table.case.iter().map(|case| case.try_on(&file, line(case), policies)));
    }
    Ok(tried)
}

impl Case {
    fn try_on(&self, file: &str, line: usize, policies: &Arc<Policies>) -> Tried {
        let said = self.ask(policies);
        let mut wrong = Vec::new();
        match &said {
            Err(message) => wrong.push(message.clone()),
            Ok(said) => {
                if said.decision != self.expect {
                    let by: Vec<_> = said.policies.iter().map(String::as_str).collect();
                    let by = if by.is_empty() {
                        "by no policy".to_owned()
                    } else {
                        format!("by {}", by.join(", "))
                    };
                    let why = if said.message.is_empty() { by } else { format!("{}, {by}", said.message) };
                    let (said, expected) = (said.decision.as_str(), self.expect.as_str());
                    wrong.push(format!("{said} instead of {expected}: {why}"));
                }
                let mut differ = |what: &str,
                                  said: &BTreeSet<String>,
                                  expected: &Option<BTreeSet<String>>| {
                    let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
                    if let Some(expected) = expected.as_ref().filter(|expected| *expected != said) {
                        wrong.push(format!("{what}: [{}] instead of [{}]", list(said), list(expected)));
                    }
                };
                differ("policies", &said.policies, &self.policies);
                differ("obligations", &said.obligations, &self.obligations);
            }
        }
        Tried { file: file.to_owned(), line, name: self.name.get_ref().clone(), said, wrong }
    }

    fn ask(&self, policies: &Arc<Policies>) -> Result<Said, String> {
        let principal = Arc::new(self.caller.principal()?);
        let mut request = describe::request(&self.request)?;
        let time = self.time.as_deref().map(humantime::parse_rfc3339).transpose();
        let time = time.map_err(|error| format!("time: {error}"))?.unwrap_or_else(SystemTime::now);
        let judge = Decisions::by_policies(Arc::clone(policies)).judge_at(principal, &request, time);
        let (decision, shown) = match gate::admit(&*judge, &mut request) {
            Err(refused) => return Ok(Said::denied(refused.refusal.message, &refused.policies)),
            Ok(granted) => {
                let shown = granted.confinement.as_ref().map(|confinement| confinement.shown.clone());
                let policies: Vec<_> = granted.policies.iter().cloned().collect();
                (Said::allowed(shown.is_some(), &policies, &granted.obligations), shown)
            }
        };
        let Some(resource) = &self.resource else { return Ok(decision) };
        let resource = resource.resource()?;
        let action = match shown {
            Some(shown) => shown,
            // Whoever is not confined sees everything; policies are asked all the same.
            None => first_action(&request)?,
        };
        Ok(match judge.resource(&action, &resource) {
            Permission::Denied(denied) => Said::denied(denied.message, &denied.policies),
            Permission::Allowed(allowed) => Said::allowed(false, &allowed.policies, &allowed.obligations),
        })
    }
}

impl Said {
    fn allowed(confined: bool, policies: &[Arc<str>], obligations: &Obligations) -> Self {
        let decision = if confined { Expected::Confine } else { Expected::Allow };
        let policies = policies.iter().map(|id| id.to_string()).collect();
        Self { decision, policies, obligations: obligations.words(), message: String::new() }
    }

    fn denied(message: String, policies: &[Arc<str>]) -> Self {
        let policies = policies.iter().map(|id| id.to_string()).collect();
        Self { decision: Expected::Deny, policies, obligations: BTreeSet::new(), message }
    }
}

impl Expected {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Confine => "confine",
            Self::Deny => "deny",
        }
    }
}

impl Obligations {
    /// As they are written in policies.
    pub fn words(&self) -> BTreeSet<String> {
        let audit = self.audit.map(|level| match level {
            AuditLevel::Exchange => "audit:exchange",
            AuditLevel::Patient => "audit:patient",
            AuditLevel::Entry => "audit:entry",
        });
        let plugins = self.plugins.iter().map(|name| format!("plugin:{name}"));
        let drop = self.drop.iter().map(|element| format!("drop:{element}"));
        plugins.chain(drop).chain(audit.map(str::to_owned)).collect()
    }
}

fn first_action(request: &fireguard_fhir::interaction::Request) -> Result<Action, String> {
    let asked = crate::accesses::accesses(request).map_err(|refusal| refusal.message)?;
    let first = asked.accesses.into_iter().next().ok_or("this request is about no resource")?;
    Ok(first.action)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies")
    }

    #[test]
    fn the_policies_that_come_with_it_decide_as_their_cases_say() {
        let policies = Policies::load(&folder(), None).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let tried = try_folder(&folder(), &Arc::new(policies)).unwrap();
        let wrong: Vec<_> = tried.iter().filter(|tried| !tried.wrong.is_empty()).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(tried.len() >= 20, "only {} cases", tried.len());
    }
}
