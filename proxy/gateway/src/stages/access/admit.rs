//! Gate 1 for one request of one caller, whole or as an entry of a Bundle.

use std::sync::Arc;

use fireguard_access::audit::Denial;
use fireguard_access::confinement::Granted;
use fireguard_access::decision::{Judge, NOTHING};
use fireguard_access::gate::{self, Refused};
use fireguard_access::obliged;
use fireguard_fhir::interaction::{Interaction, Refusal, Request};
use fireguard_fhir::outcome::IssueCode;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};

use crate::caller::Caller;
use crate::failure::{Failure, Source};
use crate::state::Route;

/// Lets a request through, or not; that of a confined caller is narrowed. Without a judge it passes at once.
///
/// # Errors
/// 403 and others: its caller may not ask for that.
pub(in crate::stages) fn admit(
    caller: &mut Caller,
    request: &mut Arc<Request>,
    route: &Route,
) -> Result<(), Failure> {
    let Some(judge) = &caller.judge else { return Ok(()) };
    let before = caller.granted.as_ref().and_then(|granted| granted.confinement.as_ref());
    let counted = before.is_some_and(|confinement| confinement.counted);
    let mut granted = gate::admit(&**judge, Arc::make_mut(request)).map_err(failure)?;
    if let Some(confinement) = &mut granted.confinement {
        let page = matches!(request.interaction, Interaction::Page(_));
        confinement.proved = page && caller.page_of.is_some_and(|page| page.proved);
        // A plugin that changes a count, which looks like any search by then, leaves it one.
        confinement.counted |= counted && request.interaction.is_search();
        // No link to a next page leaves before the first has proved itself.
        let proves = confinement.narrowed.is_some() && request.interaction.is_search();
        if proves || confinement.proved {
            caller.links = caller.links.as_ref().map(|links| Arc::new(links.proved()));
        }
    }
    if route.plugins.iter().any(|attached| attached.only_obliged) {
        granted.obligations.plugins.extend(obliged::plugins(&**judge, request));
        // What was asked for first obliges still, whatever a plugin has made of it.
        let before = caller.granted.iter().flat_map(|before| &before.obligations.plugins);
        granted.obligations.plugins.extend(before.cloned());
    }
    obliged(&granted, route)?;
    caller.granted = Some(Arc::new(granted));
    Ok(())
}

/// Whether the route can do what policies ask for in return.
///
/// # Errors
/// 403: it has not the plugin.
pub(super) fn obliged(granted: &Granted, route: &Route) -> Result<(), Failure> {
    let has = |name: &String| route.plugins.iter().any(|attached| attached.plugin.name() == name);
    let Some(missing) = granted.obligations.plugins.iter().find(|name| !has(name)) else { return Ok(()) };
    let message = "what a policy asks for in return cannot be done on this route";
    let failure = Failure::new(Source::Policy, StatusCode::FORBIDDEN, IssueCode::Forbidden, message);
    Err(failure.detail(format!("a policy obliges the plugin {missing}, which the route does not have")))
}

/// Judges what the server will search for as it is, without narrowing it: so nothing of it may be hidden from the
/// caller, who learns whether there is such a thing.
///
/// # Errors
/// 403: something may be.
pub(in crate::stages) fn searches_all(judge: Option<&dyn Judge>, search: &Request) -> Result<(), Refusal> {
    judge.map_or(Ok(()), |judge| gate::sees_whole(judge, search))
}

/// With the scope that would be enough (RFC 6750 §3.1).
pub(in crate::stages) fn failure(refused: Refused) -> Failure {
    let denial = match &refused {
        Refused { policies, .. } if !policies.is_empty() => Some(Denial::Forbidden(policies.clone())),
        Refused { scope: Some(_), .. } => Some(Denial::Unscoped),
        Refused { refusal, .. } if refusal.message == NOTHING => Some(Denial::Unpermitted),
        // What cannot be judged nobody has decided of.
        Refused { .. } => None,
    };
    let mut failure = Failure::from(refused.refusal);
    failure.denial = denial.map(Box::new);
    if !refused.policies.is_empty() {
        let list: Vec<&str> = refused.policies.iter().map(|policy| &**policy).collect();
        failure = failure.detail(format!("forbidden by {}", list.join(", ")));
    }
    if let Some(scope) = refused.scope.filter(|scope| plain(scope))
        && let Ok(value) =
            HeaderValue::from_str(&format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""))
    {
        failure.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    failure
}

/// Fit for a quoted string (RFC 6749 §3.3: no quotes, no backslashes).
fn plain(scope: &str) -> bool {
    scope.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\') || byte == b' ')
}
