//! Plugins that policies ask for: `@obligation("plugin:…")`.

use std::collections::BTreeSet;
use std::sync::Arc;

use fireguard_access::policy;
use toml::Spanned;

use super::Problem;
use super::file::{self, OnFailure};
use super::policies::Mode;
use super::resolve::Resolver;

impl Resolver<'_> {
    /// The plugins of a route that run only where a policy asks for them, by index. One that nobody could ever ask for, or
    /// that an exchange could go on without, is a slip.
    pub(super) fn only_obliged(
        &mut self,
        route: &file::Route,
        file: &file::File,
        names: &[&str],
        policies: Option<&Arc<policy::Policies>>,
    ) -> BTreeSet<usize> {
        let mode = route.policies.as_ref().map(|mode| *mode.get_ref());
        let asked = policies.map(|policies| policies.plugins()).unwrap_or_default();
        let mut obliged = BTreeSet::new();
        for name in &route.only_obliged {
            let known = names.iter().position(|known| known == name.get_ref());
            let Some(index) = known.filter(|_| has(route, name.get_ref())) else {
                self.unknown(
                    "plugin of this route",
                    name,
                    route.plugins.iter().map(|own| own.get_ref().as_str()),
                );
                continue;
            };
            let wrong = match mode {
                Some(Mode::AuditOnly) => Some((
                    "on a route where policies are on trial nobody is obliged to anything".to_owned(),
                    "take it out of `only_obliged` as long as the trial lasts",
                )),
                Some(Mode::None) => Some(nobody(name.get_ref())),
                _ if policies.is_some() && !asked.contains_key(name.get_ref().as_str()) => {
                    Some(nobody(name.get_ref()))
                }
                None if file.policies.is_none() => Some(nobody(name.get_ref())),
                _ => None,
            };
            if let Some((message, help)) = wrong {
                self.problems.push(Problem::at(name.span(), message).help(help));
            }
            obliged.insert(index);
        }
        if !matches!(mode, Some(Mode::None)) {
            self.none_is_passed_by(route, file, &asked);
        }
        obliged
    }

    fn none_is_passed_by(
        &mut self,
        route: &file::Route,
        file: &file::File,
        asked: &std::collections::BTreeMap<&str, &str>,
    ) {
        for name in &route.plugins {
            let passes = file.plugins.get(name.get_ref()).is_some_and(|p| p.on_failure == OnFailure::Pass);
            if let (true, Some(policy)) = (passes, asked.get(name.get_ref().as_str())) {
                let message = format!(
                    "the policy {policy} asks for the plugin {}, and exchanges go on where that fails",
                    name.get_ref()
                );
                let help =
                    "leave on_failure = \"pass\" out of the plugin, or the obligation out of the policy";
                self.problems.push(Problem::at(name.span(), message).help(help));
            }
        }
    }
}

fn has(route: &file::Route, name: &str) -> bool {
    route.plugins.iter().any(|own: &Spanned<String>| own.get_ref() == name)
}

fn nobody(name: &str) -> (String, &'static str) {
    let message = format!("no policy asks for the plugin {name}: it would never run");
    (message, "write @obligation(\"plugin:…\") on a permit, or take it out of `only_obliged`")
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    const HEAD: &str = "[upstreams.hapi]\nurl = \"http://127.0.0.1:1/fhir\"\n\
                        [issuers.id]\nurl = \"https://id.example\"\naudience = [\"a\"]\n\
                        [routes.fhir]\npath = \"/fhir\"\nupstream = \"hapi\"\nauthentication = [\"id\"]\n\
                        plugins = [\"deid\"]\n";

    fn wrong(policy: &str, route: &str, plugin: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("policies")).unwrap();
        std::fs::write(folder.path().join("policies/a.cedar"), policy).unwrap();
        std::fs::write(folder.path().join("deid.wasm"), "").unwrap();
        let text = format!(
            "{HEAD}{route}[policies]\nfolder = \"policies\"\n[plugins.deid]\ncomponent = \"deid.wasm\"\n{plugin}"
        );
        match Config::parse(&text, &folder.path().join("fireguard.toml")) {
            Ok(config) => {
                assert_eq!(config.routes[0].only_obliged.len(), usize::from(route.contains("only_obliged")));
                String::new()
            }
            Err(report) => format!("{report:?}"),
        }
    }

    #[test]
    fn a_plugin_waits_only_for_what_can_come() {
        let plain = "@id(\"a\")\npermit(principal, action, resource);\n";
        let asks = "@id(\"a\") @obligation(\"plugin:deid\")\npermit(principal, action, resource);\n";
        let only = "only_obliged = [\"deid\"]\n";
        for (policy, route, plugin, says) in [
            (asks, "", "", ""),
            (asks, only, "", ""),
            (plain, only, "", "no policy asks for the plugin deid"),
            (asks, "only_obliged = [\"did\"]\n", "", "did"),
            (asks, &format!("policies = \"audit-only\"\n{only}"), "", "on trial"),
            (asks, &format!("policies = \"none\"\n{only}"), "", "no policy asks"),
            (asks, "", "on_failure = \"pass\"\n", "the policy a asks for the plugin deid"),
            (asks, only, "on_failure = \"pass\"\n", "exchanges go on"),
            (plain, "", "on_failure = \"pass\"\n", ""),
            (asks, only, "on_failure = \"retry\"\n", ""),
        ] {
            let wrong = wrong(policy, route, plugin);
            assert_eq!(wrong.is_empty(), says.is_empty(), "{policy}{route}{plugin}: {wrong}");
            assert!(wrong.contains(says), "{policy}{route}{plugin}: {wrong}");
        }
    }
}
