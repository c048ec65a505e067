//! What asks and what answers in a benchmark, on one thread.

mod answer;
mod clients;
mod responder;

pub(super) use clients::{Clients, Load, Round, Target};
pub(super) use responder::Responder;
