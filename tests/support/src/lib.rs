//! Harnesses for tests: real HAPI, a fault-injecting FHIR stand-in, demo data.
//!
//! Everything that is built or written lands under the workspace's `target/` folder.
#![forbid(unsafe_code)]

pub mod data;
pub mod gateway;
pub mod guest;
pub mod hapi;
pub mod install;
#[cfg(feature = "async")]
pub mod issuer;
#[cfg(feature = "async")]
pub mod keycloak;
pub mod plugins;
pub mod repository;
#[cfg(feature = "async")]
pub mod s3;
#[cfg(feature = "async")]
pub mod standin;
