//! The plugins of a route at work on batches of resources.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fireguard_fhir::interaction::Interaction;
use fireguard_fhir::json;
use fireguard_fhir::outcome::IssueCode;
use fireguard_plugin_host::{Direction, Exchange, Item, OnFailure, Outcome, Plugin, Session};
use http::StatusCode;
use metrics::{counter, histogram};

use crate::exchange::Ready;
use crate::failure::{Failure, Source};

/// One exchange's instances of the route's plugins.
pub(super) struct Chain {
    exchange: Exchange,
    /// What the plugins' plans may call this interaction.
    codes: Vec<&'static str>,
    /// Toward the client: the reverse of the configured order.
    links: Vec<(Plugin, Session)>,
}

impl Chain {
    pub(super) fn new(ready: &Ready) -> Self {
        let exchange = Exchange {
            id: ready.id.as_str().to_owned(),
            route: ready.route.name.to_string(),
            interaction: ready.request.interaction.code().to_owned(),
            extras: Vec::new(),
        };
        let links =
            ready.route.plugins.iter().rev().map(|plugin| (plugin.clone(), plugin.session())).collect();
        Self { exchange, codes: codes(&ready.request.interaction), links }
    }

    /// Runs resources through every plugin that wants them. In the answer a dropped one is `None`; order and
    /// number stay.
    pub(super) async fn run(&mut self, resources: Vec<Bytes>) -> Result<Vec<Option<Bytes>>, Failure> {
        let mut resources: Vec<Option<Bytes>> = resources.into_iter().map(Some).collect();
        for (plugin, session) in &mut self.links {
            let mut places = Vec::new();
            let mut batch = Vec::new();
            for (place, resource) in resources.iter().enumerate() {
                let Some(resource) = resource else { continue };
                let resource_type = json::resource_type_of(resource).unwrap_or(Cow::Borrowed(""));
                if self.codes.iter().any(|code| plugin.wants(code, Direction::ToClient, &resource_type)) {
                    places.push(place);
                    batch.push(resource.clone());
                }
            }
            if batch.is_empty() {
                continue;
            }
            let outcomes = match call(&self.exchange, plugin, session, &batch).await {
                Ok(outcomes) => outcomes,
                Err(failure) if plugin.on_failure() == OnFailure::Pass => {
                    tracing::warn!(request_id = self.exchange.id, plugin = plugin.name(), %failure, "passed by");
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            for (place, outcome) in places.into_iter().zip(outcomes) {
                resources[place] = match outcome {
                    Outcome::Unchanged => continue,
                    Outcome::Changed(bytes) => Some(bytes),
                    Outcome::Dropped => None,
                    Outcome::Refused(refusal) => return Err(refused(plugin, &refusal)),
                };
            }
        }
        Ok(resources)
    }
}

/// What a page pages through its link does not tell for sure: whoever wants any of it gets it.
fn codes(interaction: &Interaction) -> Vec<&'static str> {
    match interaction {
        Interaction::Page(_) => {
            vec![
                "search-type",
                "search-system",
                "history-instance",
                "history-type",
                "history-system",
                "operation",
            ]
        }
        other => vec![other.code()],
    }
}

async fn call(
    exchange: &Exchange,
    plugin: &Plugin,
    session: &mut Session,
    batch: &[Bytes],
) -> Result<Vec<Outcome>, Failure> {
    let since = Instant::now();
    let items: Vec<Item> = batch.iter().cloned().map(Item::from).collect();
    let result = session.process(exchange, Direction::ToClient, &items).await;
    let name = plugin.name().to_owned();
    histogram!("fireguard_plugin_seconds", "plugin" => name.clone()).record(since.elapsed().as_secs_f64());
    let verdict = if result.is_ok() { "answered" } else { "failed" };
    counter!("fireguard_plugin_calls_total", "plugin" => name, "outcome" => verdict).increment(1);
    let verdicts = result
        .map_err(|error| if error.is_busy() { busy(plugin) } else { failed(plugin, &error.to_string()) })?;
    let mut outcomes = Vec::with_capacity(batch.len());
    for (verdict, resource) in verdicts.into_iter().zip(batch) {
        let outcome = verdict.apply(resource).map_err(|error| failed(plugin, &error.to_string()))?;
        if let Outcome::Changed(bytes) = &outcome {
            still_the_same_type(plugin, resource, bytes)?;
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// What a plugin wrote is judged again: one JSON object, of the type it was.
fn still_the_same_type(plugin: &Plugin, before: &[u8], after: &[u8]) -> Result<(), Failure> {
    let same = json::check(after).is_ok() && json::resource_type_of(after) == json::resource_type_of(before);
    if same {
        Ok(())
    } else {
        Err(failed(plugin, "the plugin's resource is not valid JSON of the same type"))
    }
}

fn refused(plugin: &Plugin, refusal: &fireguard_plugin_host::Refusal) -> Failure {
    let code = IssueCode::parse(&refusal.code).unwrap_or(IssueCode::BusinessRule);
    let message = "the answer was refused by a rule of this route";
    Failure::new(Source::Plugin, StatusCode::UNPROCESSABLE_ENTITY, code, message).detail(format!(
        "plugin {}: {}",
        plugin.name(),
        refusal.message
    ))
}

/// Too many exchanges at once for the instances there are.
fn busy(plugin: &Plugin) -> Failure {
    let message = "too many requests are being processed; try again";
    Failure::new(Source::Proxy, StatusCode::SERVICE_UNAVAILABLE, IssueCode::Throttled, message)
        .retry_after(Duration::from_secs(1))
        .detail(format!("plugin {}: no instance is free", plugin.name()))
}

fn failed(plugin: &Plugin, why: &str) -> Failure {
    let message = "the answer could not be processed; nothing of it was sent";
    Failure::new(Source::Plugin, StatusCode::INTERNAL_SERVER_ERROR, IssueCode::Exception, message)
        .detail(format!("plugin {}: {why}", plugin.name()))
}
