//! SMART App Launch: scopes.

/// What was granted by a token: the scopes for resources among its `scope`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes {}
