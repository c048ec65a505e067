//! Who asks, and what is decided of it.

use std::sync::Arc;

use fireguard_access::authentication::certificate::Certificate;
use fireguard_access::confinement::{Confinement, Granted};
use fireguard_access::decision::{Action, Judge};
use fireguard_access::principal::Principal;
use fireguard_fhir::interaction::Id;

use crate::holder::Holder;

/// Who asks on a route. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// None: the route is open to anyone.
    pub principal: Option<Arc<Principal>>,
    /// Decides what the caller may do; none: whatever the route lets through.
    pub judge: Option<Arc<dyn Judge>>,
    /// What gate 1 lets through; none: it has not been asked, or there is no judge.
    pub granted: Option<Arc<Granted>>,
    /// The certificate that the client has shown on its connection, whoever it says it is.
    pub certificate: Option<Arc<Certificate>>,
    /// The page that is asked for; none: none is.
    pub page_of: Option<PageOf>,
    /// The Binary that is the file of the caller's own job, if that is asked for. The job was judged when it began.
    pub file: Option<Id>,
}

/// A page that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageOf {
    /// Whom its link was made for.
    pub holder: Holder,
    /// The search was narrowed for its holder, and has proved it.
    pub proved: bool,
}

/// Who decides of each resource, and how far an exchange goes.
#[derive(Debug, Clone)]
pub struct Confined {
    /// Decides.
    pub judge: Arc<dyn Judge>,
    granted: Option<Arc<Granted>>,
}

impl Caller {
    /// How its exchange is confined; none: no resource has to be looked at.
    pub fn confined(&self) -> Option<Confined> {
        let judge = self.judge.as_ref()?;
        let free = self.granted.as_ref().is_some_and(|granted| granted.confinement.is_none());
        (!free).then(|| Confined { judge: Arc::clone(judge), granted: self.granted.clone() })
    }
}

impl Confined {
    /// How far the exchange goes.
    pub fn confinement(&self) -> &Confinement {
        /// Nobody has asked gate 1: everything is looked at, as if it were read.
        static UNASKED: Confinement = Confinement { shown: Action::Read, narrowed: None, proved: false };
        self.granted.as_ref().and_then(|granted| granted.confinement.as_ref()).unwrap_or(&UNASKED)
    }
}
