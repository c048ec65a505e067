//! Who a caller is: tokens of issuers, checked.

mod settings;

pub use settings::{Algorithm, ClaimPaths, IntrospectionSettings, IssuerSettings};
