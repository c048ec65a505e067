//! The plugins of a route at work on resources, one after another.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use fireguard_fhir::interaction::Interaction;
use fireguard_fhir::json;
use fireguard_fhir::outcome::IssueCode;
use fireguard_plugin_host::{Direction, Exchange, Field, Item, Outcome, Refusal, Verdict};
use http::StatusCode;

use super::judge::{self, Judge, Refused};
use super::link::{Fault, Link};
use super::meters;
use crate::exchange::Ready;
use crate::failure::{Failure, Source};
use crate::plugins::Attached;
use crate::state::Route;

/// Plugins on one way of one exchange.
pub(super) struct Chain {
    exchange: Exchange,
    direction: Direction,
    /// What the plugins' plans may call this interaction.
    codes: Vec<&'static str>,
    links: Vec<Link>,
    route: Arc<Route>,
    judge: Judge,
    /// What a failure says was not done.
    nothing: &'static str,
}

/// A resource on its way.
#[derive(Clone)]
pub(super) struct Part {
    /// Its bytes.
    pub(super) content: Bytes,
    /// What its entry of a batch or transaction asks for.
    pub(super) code: Option<&'static str>,
}

/// What has become of it.
pub(super) enum Fate {
    /// It passes as it is.
    Kept,
    /// It passes with these bytes.
    Changed(Bytes),
    /// It is left out.
    Dropped,
    /// Its request is refused.
    Refused(Refused),
}

impl Chain {
    /// Toward the server, in the configured order.
    pub(super) fn to_server(ready: &Ready, code: &'static str, judge: Judge) -> Self {
        let links = ready.plugins().map(|attached| Link::new(attached, ready)).collect();
        let nothing = "the request could not be processed; nothing was sent to the FHIR server";
        let (exchange, route) = (exchange(ready, code), Arc::clone(&ready.route));
        Self { exchange, direction: Direction::ToServer, codes: vec![code], links, route, judge, nothing }
    }

    /// Toward the client: the reverse of the configured order. Only plugins that stand before the `until`th see it.
    pub(super) fn to_client(ready: &Ready, until: usize, judge: Judge) -> Self {
        let interaction = &ready.request.interaction;
        let links = ready.route.plugins.iter().take(until).rev().filter(|attached| ready.runs(attached));
        let links = links.map(|attached| Link::new(attached, ready)).collect();
        let nothing = if interaction.is_safe() {
            "the answer could not be processed; nothing of it was sent"
        } else {
            "the request was carried out, but its answer could not be processed; nothing of it was sent"
        };
        let (exchange, route) = (exchange(ready, interaction.code()), Arc::clone(&ready.route));
        Self {
            exchange,
            direction: Direction::ToClient,
            codes: codes(interaction),
            links,
            route,
            judge,
            nothing,
        }
    }

    /// Runs resources through every plugin that wants them; order and number stay.
    pub(super) async fn run(&mut self, parts: &[Part]) -> Result<Vec<Fate>, Failure> {
        let mut fates: Vec<Fate> = parts.iter().map(|_| Fate::Kept).collect();
        for number in 0..self.links.len() {
            self.step(number, parts, &mut fates).await?;
        }
        Ok(fates)
    }

    async fn step(&mut self, number: usize, parts: &[Part], fates: &mut [Fate]) -> Result<(), Failure> {
        let Self { exchange, direction, codes, links, route, judge, nothing } = self;
        let link = &mut links[number];
        let (mut places, mut items) = (Vec::new(), Vec::new());
        for (place, (part, fate)) in parts.iter().zip(&*fates).enumerate() {
            let content = match fate {
                Fate::Kept => &part.content,
                Fate::Changed(content) => content,
                Fate::Dropped | Fate::Refused(_) => continue,
            };
            let resource_type = json::resource_type_of(content).unwrap_or(Cow::Borrowed(""));
            let mut codes = codes.iter().copied().chain(part.code);
            if codes.any(|code| link.plugin().wants(code, *direction, &resource_type)) {
                let interaction = part.code.map(|code| field("interaction", code));
                places.push(place);
                items.push(Item { content: content.clone(), extras: interaction.into_iter().collect() });
            }
        }
        if items.is_empty() {
            return Ok(());
        }
        let obeyed = match link.resources(exchange, *direction, &items).await {
            Ok(verdicts) => obey(link, *direction, verdicts, &items, |before, after| {
                judge.resource(route, *direction, link.attached.retarget, before, after)
            }),
            Err(error) => Err(error.into()),
        };
        let obeyed = match obeyed {
            Ok(obeyed) => obeyed,
            Err(fault) if link.passes(exchange, &fault) => return Ok(()),
            Err(fault) => return Err(judge::failed(link.plugin(), &fault, nothing)),
        };
        for (place, outcome) in places.into_iter().zip(obeyed) {
            fates[place] = match outcome {
                Outcome::Unchanged => continue,
                Outcome::Changed(bytes) => Fate::Changed(bytes),
                Outcome::Dropped => Fate::Dropped,
                Outcome::Refused(refusal) if *direction == Direction::ToClient => {
                    return Err(withheld(link, &refusal));
                }
                Outcome::Refused(refusal) => {
                    tracing::info!(
                        request_id = exchange.id,
                        plugin = link.plugin().name(),
                        code = refusal.code,
                        "refused"
                    );
                    Fate::Refused(Refused::by(link.plugin(), refusal))
                }
            };
        }
        Ok(())
    }
}

/// The facts of a request that every call is told.
pub(super) fn exchange(ready: &Ready, code: &str) -> Exchange {
    Exchange {
        id: ready.id.as_str().to_owned(),
        route: ready.route.name.to_string(),
        interaction: code.to_owned(),
        extras: Vec::new(),
    }
}

/// What plans may call an interaction. What a page pages through its link does not tell for sure, nor a Bundle what
/// its entries ask for: whoever wants any of it gets it.
pub(super) fn codes(interaction: &Interaction) -> Vec<&'static str> {
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
        Interaction::Bundle { .. } => {
            vec!["batch", "transaction", "read", "vread", "create", "update", "delete"]
        }
        other => vec![other.code()],
    }
}

/// Whether any of these plugins may want a resource of such a body.
pub(super) fn want<'a>(
    mut plugins: impl Iterator<Item = &'a Attached>,
    interaction: &Interaction,
    direction: Direction,
) -> bool {
    let codes = codes(interaction);
    plugins.any(|attached| codes.iter().any(|code| attached.plugin.wants_direction(code, direction)))
}

/// Carries verdicts out.
fn obey(
    link: &Link,
    direction: Direction,
    verdicts: Vec<Verdict>,
    items: &[Item],
    judge: impl Fn(&[u8], &[u8]) -> Result<(), Fault>,
) -> Result<Vec<Outcome>, Fault> {
    let mut outcomes = Vec::with_capacity(items.len());
    for (verdict, item) in verdicts.into_iter().zip(items) {
        meters::decided(link.plugin().name(), name(&verdict));
        let bad = |_| Fault::Answer("a verdict does not fit its resource");
        let outcome = verdict.apply(&item.content).map_err(bad)?;
        match &outcome {
            Outcome::Changed(after) => judge(&item.content, after)?,
            Outcome::Dropped if direction == Direction::ToServer => {
                return Err(Fault::Answer("the plugin drops what is to be written: it may only refuse it"));
            }
            _ => {}
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

fn name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Keep => "keep",
        Verdict::Edits(_) => "edits",
        Verdict::Replace(_) => "replace",
        Verdict::Drop => "drop",
        Verdict::Refuse(_) => "refuse",
    }
}

/// A plugin refuses an answer of the server: in words of ours, its own may speak of what was in it.
fn withheld(link: &Link, refusal: &Refusal) -> Failure {
    let code = IssueCode::parse(&refusal.code).unwrap_or(IssueCode::BusinessRule);
    let message = "the answer was refused by a rule of this route";
    Failure::new(Source::Plugin, StatusCode::UNPROCESSABLE_ENTITY, code, message).detail(format!(
        "plugin {}: {}",
        link.plugin().name(),
        refusal.message
    ))
}

fn field(name: &str, value: &str) -> Field {
    Field { name: name.to_owned(), value: value.to_owned() }
}
