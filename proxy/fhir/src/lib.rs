//! FHIR R4 protocol knowledge: interactions, Bundles, outcomes, and JSON and XML over bytes.
//!
//! No I/O and no async: the same code runs in the proxy and, through the SDK, inside plugins.

#![forbid(unsafe_code)]

pub mod base;
pub mod bundle;
pub mod document;
pub mod format;
pub mod interaction;
pub mod json;
pub mod marks;
pub mod operations;
pub mod outcome;
pub mod parameters;
pub mod patch;
pub mod r4;
pub mod references;
pub mod resource_type;
pub mod smart;
pub mod urls;
pub mod xml;

pub use resource_type::ResourceType;
