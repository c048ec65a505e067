//! What callers may do.

use std::path::PathBuf;
use std::sync::Arc;

use fireguard_access::policy::{self, Decisions};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::issuers::{Authentication, Way};
use super::resolve::{Known, Resolver};
use super::users::Users;
use super::{Problem, file};

/// What callers may do, within the scopes that they were granted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policies {
    /// The folder of the policies: every `*.cedar` in it.
    #[schemars(with = "String")]
    pub folder: Spanned<String>,
    /// The system of the tags that say to which organisation a resource belongs: `resource.tenant` in policies.
    pub tenant_tag: Option<String>,
}

/// Whether policies decide on a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// What they do not permit is refused.
    Enforce,
    /// Nothing is refused. What would have been is noted, in log and metrics: to try policies out.
    AuditOnly,
    /// They do not. What the scopes of a token allow is allowed.
    None,
}

impl Resolver<'_> {
    /// The policies; none: there are none, or something is wrong with them.
    pub(super) fn policies(&mut self, written: Option<&Policies>) -> Option<Arc<policy::Policies>> {
        let written = written?;
        let folder: PathBuf = self.path(&written.folder);
        match policy::Policies::load(&folder, written.tenant_tag.clone()) {
            Ok(policies) => Some(Arc::new(policies)),
            Err(faults) => {
                self.problems.extend(faults.into_iter().map(|mut fault| {
                    let help = fault.help.take();
                    let at = folder.join(&fault.file);
                    fault.file = at.display().to_string();
                    Problem { message: fault.to_string(), span: None, help }
                }));
                None
            }
        }
    }

    /// What is decided of callers on a route; none: nothing is, and all is allowed that the route lets through.
    pub(super) fn decisions(
        &mut self,
        name: &str,
        route: &file::Route,
        file: &file::File,
        authentication: &Authentication,
        known: &Known,
    ) -> Option<Decisions> {
        let mut wrong = |message: String, help: &str| {
            let span = route.policies.as_ref().map_or_else(|| route.authentication.span(), Spanned::span);
            self.problems.push(Problem::at(span, message).help(help));
        };
        let written = route.policies.as_ref().map(|mode| *mode.get_ref());
        let Authentication::Ways(ways) = authentication else {
            if written.is_some_and(|mode| mode != Mode::None) {
                let help = "say who may come in, or leave `policies` out of this route";
                wrong("policies decide of callers, and this route lets in anyone".into(), help);
            }
            return None;
        };
        let mode = written.unwrap_or(if file.policies.is_some() { Mode::Enforce } else { Mode::None });
        if mode == Mode::None {
            let smart = |way: &Way| way.issuer().is_some_and(|issuer| issuer.smart);
            if !ways.iter().all(|way| smart(way) || scoped(way, file)) {
                let help = "add [policies] with folder = \"policies\", or grant SMART scopes to everybody who comes in";
                wrong("nothing decides what some of the callers of this route may do".into(), help);
            }
            let logs_in = ways.iter().any(|way| matches!(way, Way::Users));
            if let Some(user) = known.users.as_ref().filter(|_| logs_in).and_then(Users::without_scopes) {
                let message = format!(
                    "the user {user} has no scopes and this route no policies: it could do nothing here"
                );
                let help = "grant each user SMART scopes (`fireguard user add NAME --scopes \"user/*.rs\"`), or add [policies] with folder = \"policies\"";
                wrong(message, help);
            }
            return Some(Decisions::by_scopes());
        }
        if file.policies.is_none() {
            let help = "add [policies] with folder = \"policies\"";
            wrong("there are no policies".into(), help);
        }
        let policies = known.policies.as_ref()?;
        for (plugin, policy) in policies.plugins() {
            if !route.plugins.iter().any(|own| own.get_ref() == plugin) {
                let message = format!(
                    "the policy {policy} asks for the plugin {plugin}, which this route does not have"
                );
                wrong(message, "add it to `plugins` of the route, or take the obligation out of the policy");
            }
        }
        let decisions = Decisions::by_policies(Arc::clone(policies));
        Some(if mode == Mode::AuditOnly { decisions.audit_only(name) } else { decisions })
    }
}

/// Whether everybody who comes in this way has scopes. Users of a file have them one by one.
fn scoped(way: &Way, file: &file::File) -> bool {
    match way {
        Way::Issuer(_) => false,
        Way::Users => true,
        Way::Certificates => file.certificates.values().all(|client| client.get_ref().scopes.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use fireguard_access::authentication::password::Kept;

    use crate::config::Config;

    const HEAD: &str = "[upstreams.hapi]\nurl = \"http://127.0.0.1:1/fhir\"\n\
                        [issuers.id]\nurl = \"https://id.example\"\naudience = [\"a\"]\n\
                        [issuers.plain]\nurl = \"https://plain.example\"\naudience = [\"a\"]\nscopes = \"none\"\n\
                        [routes.fhir]\npath = \"/fhir\"\nupstream = \"hapi\"\n";
    const POLICY: &str = "@id(\"a\")\npermit(principal, action, resource);\n";

    fn wrong(policy: &str, rest: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("policies")).unwrap();
        std::fs::write(folder.path().join("policies/a.cedar"), policy).unwrap();
        let kept = Kept::of(b"a long enough sentence").unwrap();
        let user =
            |name: &str, more: &str| format!("[users.{name}]\npassword = \"{}\"\n{more}", kept.as_str());
        let scoped = user("ann", "scopes = \"user/*.rs\"\n");
        std::fs::write(folder.path().join("scoped.toml"), &scoped).unwrap();
        std::fs::write(folder.path().join("users.toml"), scoped + &user("bob", "")).unwrap();
        let text = format!("{HEAD}{rest}");
        match Config::parse(&text, &folder.path().join("fireguard.toml")) {
            Ok(_) => String::new(),
            Err(report) => format!("{:?}", miette::Report::new(report)).replace('\n', " "),
        }
    }

    #[test]
    fn on_every_route_with_callers_something_decides() {
        let policies = "[policies]\nfolder = \"policies\"\n";
        let plugin = "@id(\"a\") @obligation(\"plugin:deid\")\npermit(principal, action, resource);\n";
        let slip = "@id(\"a\")\npermit(principal, action == Action::\"raed\", resource);\n";
        for (policy, route, policies, says) in [
            (POLICY, "authentication = \"none\"\n", "", ""),
            (POLICY, "authentication = \"none\"\n", policies, ""),
            (POLICY, "authentication = \"none\"\npolicies = \"enforce\"\n", policies, "lets in anyone"),
            (POLICY, "authentication = [\"id\"]\n", "", ""),
            (POLICY, "authentication = [\"id\"]\n", policies, ""),
            (POLICY, "authentication = [\"id\"]\npolicies = \"none\"\n", policies, ""),
            (POLICY, "authentication = [\"id\"]\npolicies = \"audit-only\"\n", policies, ""),
            (POLICY, "authentication = [\"id\"]\npolicies = \"enforce\"\n", "", "there are no policies"),
            (POLICY, "authentication = [\"id\", \"plain\"]\n", "", "nothing decides"),
            (POLICY, "authentication = [\"plain\"]\npolicies = \"none\"\n", policies, "nothing decides"),
            (POLICY, "authentication = [\"plain\"]\n", policies, ""),
            (
                POLICY,
                "authentication = [\"users\"]\n",
                "[users]\nfile = \"users.toml\"\n",
                "the user bob has no scopes",
            ),
            (POLICY, "authentication = [\"id\"]\n", "[users]\nfile = \"users.toml\"\n", ""),
            (
                POLICY,
                "authentication = [\"users\", \"id\"]\npolicies = \"none\"\n",
                "[users]\nfile = \"users.toml\"\n[policies]\nfolder = \"policies\"\n",
                "help: grant each user SMART scopes",
            ),
            (
                POLICY,
                "authentication = [\"users\"]\n",
                "[users]\nfile = \"users.toml\"\n[policies]\nfolder = \"policies\"\n",
                "",
            ),
            (POLICY, "authentication = [\"users\"]\n", "[users]\nfile = \"scoped.toml\"\n", ""),
            (POLICY, "authentication = [\"id\"]\npolicies = \"off\"\n", policies, "off"),
            (plugin, "authentication = [\"id\"]\n", policies, "asks for the plugin deid"),
            (slip, "authentication = [\"id\"]\n", policies, "a.cedar:2:29"),
            (
                POLICY,
                "authentication = [\"id\"]\n",
                "[policies]\nfolder = \"nowhere\"\n",
                "cannot read the folder",
            ),
        ] {
            let wrong = wrong(policy, &format!("{route}{policies}"));
            assert_eq!(wrong.is_empty(), says.is_empty(), "{route}{policies}: {wrong}");
            assert!(wrong.contains(says), "{route}{policies}: {wrong}");
        }
    }
}
