//! Gate 1: does the route let this interaction through, and may its caller ask for it?

use std::num::NonZeroU32;

use fireguard_fhir::interaction::{BodyKind, Refusal, Request};
use fireguard_fhir::outcome::IssueCode;
use fireguard_fhir::parameters::Parameters;

use super::access;
use crate::exchange::{Asked, Exchange};
use crate::failure::Failure;
use crate::stage::Check;
use crate::state::{Route, Shared};

/// The stage. Refusals are 403, or 400 for search parameters that are too many or not on the route's list.
pub struct Gate(Rules);

/// What a request is judged by, whole or as an entry of a Bundle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    parameters: NonZeroU32,
}

impl Gate {
    /// With the limits of the configuration.
    pub fn new(shared: &Shared) -> Self {
        Self(Rules::new(shared))
    }
}

impl Check<Asked> for Gate {
    type Out = Asked;

    fn check(&self, mut exchange: Asked) -> Result<Asked, Failure> {
        self.0.judge(&exchange.route, &exchange.request)?;
        // What a form asks for is known when it has been read.
        if exchange.request.body != BodyKind::Form {
            let Exchange { caller, request, route, .. } = &mut *exchange;
            access::admit(caller, request, route)?;
        }
        Ok(exchange)
    }
}

impl Rules {
    /// Those of the configuration.
    pub(super) fn new(shared: &Shared) -> Self {
        Self { parameters: shared.limits.request_parameters }
    }

    /// Lets a request through on this route, or not.
    pub(super) fn judge(&self, route: &Route, request: &Request) -> Result<(), Refusal> {
        let condition = request.preconditions.if_none_exist.as_ref().map_or(0, Parameters::len);
        if (request.parameters.len() + condition) as u64 > u64::from(self.parameters.get()) {
            let message = format!("there are more than {} parameters", self.parameters);
            return Err(Refusal::new(400, IssueCode::TooCostly, message));
        }
        route.surface.judge(request)
    }
}
