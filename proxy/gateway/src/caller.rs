//! Who asks, and what is decided of it.

use std::sync::Arc;

use fireguard_access::authentication::certificate::Certificate;
use fireguard_access::confinement::{Confinement, Granted};
use fireguard_access::decision::{Action, Judge};
use fireguard_access::principal::Principal;
use fireguard_fhir::interaction::{Id, Request};

use crate::authentication::Authentication;
use crate::holder::Holder;
use crate::pages::ForCaller;
use crate::state::Route;

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
    /// Seals what leads the caller, and nobody else, to pages, jobs and files; none: whatever seals for anyone.
    pub links: Option<Arc<ForCaller>>,
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
    /// The same with another request, which is judged for itself.
    pub fn asking(&self, route: &Route, request: &Request, page_of: Option<PageOf>) -> Self {
        let known = route.decisions.as_ref().zip(self.principal.as_ref());
        let judge = known.map(|(decisions, principal)| decisions.judge(Arc::clone(principal), request));
        let (principal, certificate) = (self.principal.clone(), self.certificate.clone());
        Self { principal, judge, certificate, page_of, ..Self::default() }
    }

    /// Whether the route has to know its callers, and does not know this one.
    pub fn is_unknown_on(&self, route: &Route) -> bool {
        self.principal.is_none() && matches!(route.authentication, Authentication::Ways(_))
    }

    /// How its exchange is confined; none: no resource has to be looked at.
    pub fn confined(&self) -> Option<Confined> {
        let judge = self.judge.as_ref()?;
        let free = self.granted.as_ref().is_some_and(|granted| granted.confinement.is_none());
        (!free).then(|| Confined { judge: Arc::clone(judge), granted: self.granted.clone() })
    }
}

impl Confined {
    /// By this judge, so far.
    pub fn new(judge: Arc<dyn Judge>, granted: Granted) -> Self {
        Self { judge, granted: Some(Arc::new(granted)) }
    }

    /// How far the exchange goes.
    pub fn confinement(&self) -> &Confinement {
        /// Nobody has asked gate 1: everything is looked at, as if it were read.
        static UNASKED: Confinement =
            Confinement { shown: Action::Read, narrowed: None, proved: false, counted: false };
        self.granted.as_ref().and_then(|granted| granted.confinement.as_ref()).unwrap_or(&UNASKED)
    }
}
