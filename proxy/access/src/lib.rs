//! Who may do what: what a route lets through.

#![forbid(unsafe_code)]

pub mod surface;
