//! Who may do what: the caller, what is decided of it, and what a route lets through.

#![forbid(unsafe_code)]

pub mod accesses;
pub mod audit;
pub mod authentication;
pub mod confinement;
pub mod decision;
pub mod elements;
pub mod gate;
pub mod matching;
pub mod obliged;
pub mod policy;
pub mod principal;
pub mod resource;
pub mod shared_types;
pub mod sieve;
pub mod subscription;
pub mod surface;
