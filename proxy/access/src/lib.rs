//! Who may do what: the caller, what is decided of it, and what a route lets through.

#![forbid(unsafe_code)]

pub mod audit;
pub mod authentication;
pub mod confinement;
pub mod decision;
pub mod principal;
pub mod resource;
pub mod surface;
