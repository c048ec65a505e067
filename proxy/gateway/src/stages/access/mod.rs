//! What a caller may do, at gate 1 and before a write.

mod admit;
mod bundle;
mod merge;
mod settle;
mod stored;
pub mod writes;

pub(super) use admit::{admit, searches_all};
