//! Who a caller is: tokens of issuers, checked.

mod cache;
pub mod certificate;
mod claims;
mod discovery;
mod fetch;
mod granted;
mod introspection;
mod jwt;
mod keys;
pub mod password;
mod provider;
mod refresh;
mod rejection;
pub mod sessions;
mod settings;
mod tokens;
pub mod users;

pub use discovery::Discovery;
pub use fetch::{Answer, Fetch, Introspect, Question, Task, Unreachable};
pub use provider::Provider;
pub use rejection::{Rejection, Why};
pub use settings::{Algorithm, ClaimPaths, IntrospectionSettings, IssuerSettings};
pub use tokens::Tokens;
