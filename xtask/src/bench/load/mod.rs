//! What asks and what answers in a benchmark, on one thread.

mod answer;
mod ask;
mod clients;
mod responder;

pub(super) use ask::{Load, Target};
pub(super) use clients::{Clients, Round};
pub(super) use responder::Responder;
