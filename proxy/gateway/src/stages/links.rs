//! Lets a link lead its holder only: to a page, a job, a job's file.

use std::sync::Arc;

use fireguard_fhir::interaction::{FILE, Id, Interaction, JOB, Request, is_job_status};
use fireguard_fhir::outcome::IssueCode;
use http::StatusCode;

use crate::exchange::Asked;
use crate::failure::Failure;
use crate::holder::Holder;
use crate::pages::{Leads, foreign};
use crate::stage::Check;
use crate::state::Route;

/// The stage. Another caller's page is 400, as one of another route; another's job or file is 404, as one that is not
/// there. On a route that is open to anyone, jobs have the names that the server gave them.
pub struct Links;

impl Check<Asked> for Links {
    type Out = Asked;

    fn check(&self, mut exchange: Asked) -> Result<Asked, Failure> {
        let Some(principal) = exchange.caller.principal.clone() else {
            return match exchange.caller.page_of {
                Some(page) if page.holder != Holder::ANYONE => Err(foreign().into()),
                _ => Ok(exchange),
            };
        };
        if exchange.caller.page_of.is_some_and(|page| page.holder != Holder::of(&principal)) {
            return Err(foreign().into());
        }
        if let Interaction::Operation { name, .. } = &exchange.request.interaction
            && is_job_status(name.as_str())
        {
            let request = Arc::make_mut(&mut exchange.request);
            exchange.caller.file =
                unseal(request, &exchange.route, Holder::of(&principal)).ok_or_else(no_job)?;
        }
        exchange.caller.links = Some(Arc::new(exchange.route.pages.of(principal)));
        Ok(exchange)
    }
}

/// Puts the server's id of the job in its place; or takes a file's out, which is asked for in another way. None: the
/// request names none that is the caller's.
fn unseal(request: &mut Request, route: &Route, holder: Holder) -> Option<Option<Id>> {
    let (jobs, files) = (request.parameters.take(JOB), request.parameters.take(FILE));
    let (leads, token) = match (&jobs[..], &files[..]) {
        ([job], []) => (Leads::ToJob, job),
        ([], [file]) => (Leads::ToFile, file),
        _ => return None,
    };
    let (sealed_for, id) = route.pages.open(leads, token).ok()?;
    if sealed_for != holder {
        return None;
    }
    if leads == Leads::ToJob {
        request.parameters.push(JOB, id);
        return Some(None);
    }
    // What a file holds is answered, and not that it is a Binary.
    request.binary_raw = true;
    Id::parse(&id).map(Some)
}

fn no_job() -> Failure {
    Failure::client(StatusCode::NOT_FOUND, IssueCode::NotFound, "there is no such job, or it is over")
}
