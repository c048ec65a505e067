//! What a plugin wrote or decided is judged again, and what it refuses is put into words.

use bytes::Bytes;
use fireguard_fhir::interaction::Refusal;
use fireguard_fhir::json;
use fireguard_fhir::json::scan::Checker;
use fireguard_fhir::outcome::IssueCode;
use fireguard_plugin_host::{self as host, CallError, Direction, Field, Plugin};
use http::StatusCode;
use std::time::Duration;

use super::link::Fault;
use crate::failure::{Failure, Source};
use crate::stages::body;
use crate::stages::gate::Rules;
use crate::state::{Route, Shared};

/// An outcome of a plugin is passed on up to so many bytes.
const OUTCOME: usize = 64 << 10;

/// How changed resources are judged.
#[derive(Clone, Copy)]
pub(super) struct Judge {
    /// The largest resource, in bytes.
    pub(super) limit: usize,
    /// What requests and conditional references are judged by.
    pub(super) rules: Rules,
}

impl Judge {
    /// With the limits of the configuration.
    pub(super) fn new(shared: &Shared) -> Self {
        let limit = usize::try_from(shared.limits.resource.0).unwrap_or(usize::MAX);
        Self { limit, rules: Rules::new(shared) }
    }

    /// A resource must be sound JSON and of the type it was; toward the server it keeps its id as well, unless the
    /// plugin may change it, and asks for nothing that the route would not let a caller ask for.
    ///
    /// # Errors
    /// It is not so.
    pub(super) fn resource(
        &self,
        route: &Route,
        direction: Direction,
        retarget: bool,
        before: &[u8],
        after: &[u8],
    ) -> Result<(), Fault> {
        if after.len() > self.limit {
            return Err(Fault::Answer("the plugin's resource is larger than any may be"));
        }
        let mut checker = Checker::default();
        let sound = checker.feed(after).and_then(|()| checker.finish()).and_then(|()| json::check(after));
        let resource_type = json::resource_type_of(after);
        if sound.is_err() || resource_type.is_none() || resource_type != json::resource_type_of(before) {
            return Err(Fault::Answer("the plugin's resource is not valid JSON of the same type"));
        }
        if direction == Direction::ToClient {
            return Ok(());
        }
        if !retarget && id(before) != id(after) {
            return Err(Fault::Answer(
                "the plugin's resource has another id, and it is not granted `retarget`",
            ));
        }
        body::judge_references(after, self.rules, route).map_err(|_| {
            Fault::Answer("the plugin's resource refers to what this route does not let through")
        })
    }
}

/// What is refused for the sake of plugins, for the caller whose own request it is.
#[derive(Clone)]
pub(super) struct Refused {
    /// Status, code and sentence.
    pub(super) refusal: Refusal,
    /// A plugin's own OperationOutcome.
    pub(super) outcome: Option<Bytes>,
    /// The plugin that refuses; none: it could not see what it must.
    by: Option<String>,
}

impl Refused {
    /// In our words: no plugin was asked.
    pub(super) fn unasked(refusal: Refusal) -> Self {
        Self { refusal, outcome: None, by: None }
    }

    /// In the plugin's words.
    pub(super) fn by(plugin: &Plugin, refusal: host::Refusal) -> Self {
        let status = status(&refusal.extras);
        let code = IssueCode::parse(&refusal.code).unwrap_or(IssueCode::BusinessRule);
        let outcome = refusal.outcome.filter(|outcome| is_outcome(outcome));
        let refusal = Refusal::new(status, code, refusal.message);
        Self { refusal, outcome: outcome.map(Bytes::from), by: Some(plugin.name().to_owned()) }
    }

    /// As the failure of the whole request.
    pub(super) fn failure(self) -> Failure {
        let Self { refusal, outcome, by } = self;
        let Some(plugin) = by else { return refusal.into() };
        let detail = format!("plugin {plugin}: refused: {}", refusal.code.as_str());
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
        Failure::new(Source::Plugin, status, refusal.code, refusal.message).detail(detail).outcome(outcome)
    }
}

/// A plugin failed, and its exchange with it. `nothing` says what was not done for that.
pub(super) fn failed(plugin: &Plugin, fault: &Fault, nothing: &'static str) -> Failure {
    if matches!(fault, Fault::Call(CallError::Busy)) {
        let message = "too many requests are being processed; try again";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        return Failure::new(Source::Proxy, status, IssueCode::Throttled, message)
            .retry_after(Duration::from_secs(1))
            .detail(format!("plugin {}: no instance is free", plugin.name()));
    }
    Failure::new(Source::Plugin, StatusCode::INTERNAL_SERVER_ERROR, IssueCode::Exception, nothing)
        .detail(format!("plugin {}: {fault}", plugin.name()))
}

/// The status that a refusal asks for.
fn status(extras: &[Field]) -> u16 {
    let given = extras.iter().find(|field| field.name == "status").and_then(|field| field.value.parse().ok());
    given.filter(|status| (400..600).contains(status)).unwrap_or(422)
}

fn id(resource: &[u8]) -> Option<&[u8]> {
    json::member(resource, "id").and_then(|id| id.whole())
}

fn is_outcome(bytes: &[u8]) -> bool {
    bytes.len() <= OUTCOME
        && json::check(bytes).is_ok()
        && json::resource_type_of(bytes).as_deref() == Some("OperationOutcome")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_status_it_asks_for_if_that_is_an_error() {
        for (given, expected) in
            [("403", 403), ("200", 422), ("600", 422), ("x", 422), ("", 422), ("599", 599), ("-1", 422)]
        {
            let extras = [Field { name: "status".into(), value: given.into() }];
            assert_eq!(status(&extras), expected, "{given}");
        }
        assert_eq!(status(&[]), 422);
    }

    #[test]
    fn an_outcome_is_one() {
        for (text, expected) in [
            (r#"{"resourceType":"OperationOutcome","issue":[]}"#, true),
            (r#"{"resourceType":"Patient"}"#, false),
            ("{", false),
        ] {
            assert_eq!(is_outcome(text.as_bytes()), expected, "{text}");
        }
    }
}
