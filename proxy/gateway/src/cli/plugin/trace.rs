//! `fireguard plugin trace`

use std::path::{Path, PathBuf};

use fireguard_plugin_host::{Action, Exchange, Head, Item, Outcome, Plugin};
use serde_json::Value;

use super::case::{Direction, action, outcome, request, resources};
use super::diff::diff;
use crate::cli::{Failed, report, runtime, say};
use crate::config::Config;
use crate::plugins::Plugins;

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["input", "request"]))]
pub(crate) struct Arguments {
    /// A resource, an array of resources, or a Bundle. Make it up, or be sure that you may look at it: it is shown.
    /// Fireguard itself never records what passes through it.
    input: Option<PathBuf>,
    /// A request, as a case has it in request.json: {"interaction": "search-type", "resourceType": "Patient",
    /// "parameters": [["name", "x"]]}
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = "fireguard.toml", env = "FIREGUARD_CONFIG")]
    config: PathBuf,
    /// The route whose plugins are run; without it, the only one that has plugins.
    #[arg(long)]
    route: Option<String>,
    /// Which way the resources travel.
    #[arg(long, default_value = "to-client")]
    direction: Direction,
    /// The FHIR interaction they are part of.
    #[arg(long, default_value = "read")]
    interaction: String,
    /// Plugins need no digests.
    #[arg(long)]
    dev: bool,
}

/// Shows what each plugin of a route makes of one request, and of resources, as a diff. The plugins have what the
/// configuration grants them, but no FHIR server.
pub(super) fn trace(arguments: &Arguments) -> Result<(), Failed> {
    let config = Config::load(&arguments.config)?;
    let (route, indexes) = route(&config, arguments.route.as_deref())?;
    let head = arguments.request.as_deref().map(|path| read(path, request)).transpose()?;
    let items = arguments.input.as_deref().map(|path| read(path, resources)).transpose()?;
    let engine = Plugins::none(None).map_err(|error| report(&error))?.dev(arguments.dev).looked_at();
    runtime()?.block_on(async {
        let plugins = engine.load(&config).await.map_err(|error| report(&error))?;
        let mut chain: Vec<&Plugin> =
            indexes.iter().filter_map(|index| plugins.get(*index)).map(|attached| &attached.plugin).collect();
        let mut tracer = Tracer { exchange: exchange(&route, &arguments.interaction) };
        if let Some((interaction, head)) = head {
            if let Some(interaction) = interaction {
                tracer.exchange.interaction = interaction;
            }
            tracer.request(&chain, head).await?;
        }
        tracer.exchange.interaction.clone_from(&arguments.interaction);
        if let Some(items) = items {
            if matches!(arguments.direction, Direction::ToClient) {
                // As in an exchange: what came last on the way in comes first on the way out.
                chain.reverse();
            }
            tracer.resources(&chain, arguments.direction, items).await?;
        }
        Ok(())
    })
}

/// A route's name, and its plugins' places in the configuration.
fn route(config: &Config, wanted: Option<&str>) -> Result<(String, Vec<usize>), Failed> {
    let with_plugins: Vec<_> = config.routes.iter().filter(|route| !route.plugins.is_empty()).collect();
    let found = match (wanted, with_plugins.as_slice()) {
        (Some(name), _) => config.routes.iter().find(|route| *route.name == *name),
        (None, [only]) => Some(*only),
        (None, _) => None,
    };
    let names = || with_plugins.iter().map(|route| &*route.name).collect::<Vec<_>>().join(", ");
    let found = found.ok_or_else(|| {
        miette::miette!(help = format!("routes with plugins: {}", names()), "name a route with --route")
    })?;
    Ok((found.name.to_string(), found.plugins.clone()))
}

struct Tracer {
    exchange: Exchange,
}

impl Tracer {
    async fn request(&self, chain: &[&Plugin], mut head: Head) -> Result<(), Failed> {
        for plugin in chain {
            let name = plugin.name();
            if !plugin.wants_request(&self.exchange.interaction, head.resource_type.as_deref()) {
                say(&format!("► {name}, request: not asked"));
                continue;
            }
            let before = action(&Action::Change(head.clone()));
            let done =
                plugin.session().request(&self.exchange, &head).await.map_err(|error| report(&error))?;
            say(&format!("► {name}, request: {}", told(&action(&done), &before["change"])));
            match done {
                Action::Forward => {}
                Action::Change(changed) => head = changed,
                Action::Answer(_) | Action::Refuse(_) => return Ok(()),
            }
        }
        Ok(())
    }

    async fn resources(
        &self,
        chain: &[&Plugin],
        direction: Direction,
        items: Vec<Item>,
    ) -> Result<(), Failed> {
        let mut sessions: Vec<_> = chain.iter().map(|plugin| plugin.session()).collect();
        for (number, mut item) in items.into_iter().enumerate() {
            for (plugin, session) in chain.iter().zip(&mut sessions) {
                let name = plugin.name();
                let kind =
                    fireguard_fhir::json::resource_type_of(&item.content).unwrap_or_default().into_owned();
                let place = format!("► {name}, resource {} ({kind})", number + 1);
                if !plugin.wants(&self.exchange.interaction, direction.into(), &kind) {
                    say(&format!("{place}: not asked"));
                    continue;
                }
                let one = std::slice::from_ref(&item);
                let verdicts = session.process(&self.exchange, direction.into(), one).await;
                let verdicts = verdicts.map_err(|error| report(&error))?;
                let Some(verdict) = verdicts.into_iter().next() else { continue };
                let done = verdict.apply(&item.content).map_err(|error| report(&error))?;
                let before = serde_json::from_slice(&item.content).unwrap_or(Value::Null);
                say(&format!("{place}: {}", told(&outcome(&done), &before)));
                match done {
                    Outcome::Unchanged => {}
                    Outcome::Changed(bytes) => item.content = bytes,
                    Outcome::Dropped | Outcome::Refused(_) => break,
                }
            }
        }
        Ok(())
    }
}

/// One word for what was done, and what there is to see of it.
fn told(done: &Value, before: &Value) -> String {
    let Some((word, what)) = done.as_object().and_then(|members| members.iter().next()) else {
        return String::new();
    };
    match word.as_str() {
        "change" => format!("change\n{}", diff(&format!("{before:#}"), &format!("{what:#}"))),
        _ if what.is_boolean() => word.clone(),
        _ => format!("{word}\n{}", diff("", &format!("{what:#}"))),
    }
}

fn exchange(route: &str, interaction: &str) -> Exchange {
    Exchange {
        id: "trace".to_owned(),
        route: route.to_owned(),
        interaction: interaction.to_owned(),
        extras: Vec::new(),
    }
}

fn read<T>(path: &Path, parse: impl Fn(&str) -> Result<T, serde_json::Error>) -> Result<T, Failed> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| miette::miette!("cannot read {}: {error}", path.display()))?;
    parse(&text).map_err(|error| miette::miette!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::told;

    #[test]
    fn what_was_done_is_told_in_a_word_and_a_diff() {
        assert_eq!(told(&json!({"keep": true}), &json!({})), "keep");
        let changed = told(&json!({"change": {"a": 1}}), &json!({"a": 2}));
        assert!(changed.starts_with("change\n") && changed.contains("-   \"a\": 2"), "{changed}");
        assert!(told(&json!({"refuse": {"code": "x"}}), &json!({})).contains("+   \"code\": \"x\""));
    }
}
