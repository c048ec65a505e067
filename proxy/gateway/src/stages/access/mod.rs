//! What a caller may do, at gate 1 and before a write.

mod admit;

pub(super) use admit::{admit, searches_all};
