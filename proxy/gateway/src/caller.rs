//! Who asks, and what is decided of it.

use std::sync::Arc;

use fireguard_access::decision::Judge;
use fireguard_access::principal::Principal;

/// Who asks on a route. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// None: the route is open to anyone.
    pub principal: Option<Arc<Principal>>,
    /// Decides what the caller may do; none: whatever the route lets through.
    pub judge: Option<Arc<dyn Judge>>,
}
