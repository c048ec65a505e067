//! What one caller may see.

use std::collections::BTreeSet;
use std::sync::Arc;

use fireguard_access::confinement::Granted;
use fireguard_access::decision::{Access, Action, Judge, Permission, Resource};
use fireguard_access::elements;
use fireguard_access::resource::Found;
use fireguard_fhir::ResourceType;
use fireguard_fhir::base::Base;
use fireguard_fhir::interaction::Interaction;

use crate::caller::Confined;
use crate::exchange::Ready;

/// Judges what is about to be shown.
pub(in crate::stages) struct Sight {
    confined: Confined,
    /// What the server may have built its links from.
    bases: Arc<[Base]>,
    /// The largest resource, in bytes.
    pub(super) limit: usize,
    /// Every match of a narrowed search may be seen: how many there are is no secret.
    pub(super) countable: bool,
    /// What carries answers of operations is not what is shown.
    operation: bool,
}

/// Elements that are not shown, of something that is.
pub(super) type Hidden = BTreeSet<String>;

impl Sight {
    /// Of the caller of this exchange; none: it is not confined.
    pub(in crate::stages) fn of(ready: &Ready, limit: usize) -> Option<Self> {
        let confined = ready.caller.confined()?;
        let bases = ready.route.group.configured.bases.iter().chain([&ready.face.base]).cloned().collect();
        Some(Self::new(confined, &ready.request.interaction, bases, limit))
    }

    /// The same of an entry, of which this judge decides, and of which so much is granted.
    pub(super) fn of_entry(
        &self,
        judge: Arc<dyn Judge>,
        granted: Granted,
        interaction: &Interaction,
    ) -> Self {
        Self::new(Confined::new(judge, granted), interaction, Arc::clone(&self.bases), self.limit)
    }

    fn new(confined: Confined, interaction: &Interaction, bases: Arc<[Base]>, limit: usize) -> Self {
        let countable = confined.confinement().narrowed.as_ref().is_some_and(|narrowed| {
            let resource_type = Some(narrowed.resource_type);
            let access = Access { action: Action::Search, resource_type, id: None };
            matches!(confined.judge.request(&access), Permission::Allowed(allowed) if !allowed.each)
        });
        let operation = !matches!(
            interaction.code(),
            "read" | "vread" | "search-type" | "search-system" | "search" | "history"
        );
        Self { confined, bases, limit, countable, operation }
    }

    /// Whether only how much is found is asked for.
    pub(super) fn counts(&self) -> bool {
        self.confined.confinement().counted
    }

    /// Whether the answer must prove that the search was narrowed.
    pub(super) fn asks_for_proof(&self) -> bool {
        self.confined.confinement().narrowed.is_some()
    }

    /// Whether the link `self` of an answer proves it.
    pub(super) fn is_proved_by(&self, link: &str) -> bool {
        let Some(narrowed) = &self.confined.confinement().narrowed else { return true };
        let Some(below) = self.bases.iter().find_map(|base| base.strip(link)) else { return false };
        let (path, query) = match below.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (below, None),
        };
        narrowed.is_proved_by(path, query)
    }

    /// Whether a resource may be shown with all that is in it, and without which elements. `matched`: it is what was
    /// searched for. None: it is withheld.
    pub(super) fn shows(&self, found: &Found, matched: bool) -> Option<Hidden> {
        let mut hidden = Hidden::new();
        for (place, resource) in found.all().enumerate() {
            if self.carries(resource, place == 0) {
                continue;
            }
            let confinement = self.confined.confinement();
            let allowed = confinement.shows(&*self.confined.judge, resource, matched && place == 0)?;
            hidden.extend(allowed.obligations.drop);
        }
        Some(hidden)
    }

    /// The same of a Binary, which belongs to whom its `securityContext` belongs.
    pub(super) fn shows_as(&self, resource: &Resource) -> bool {
        let confinement = self.confined.confinement();
        confinement.shows(&*self.confined.judge, resource, false).is_some()
    }

    /// What only carries others. Of a search or a read it is what was asked for.
    fn carries(&self, resource: &Resource, outer: bool) -> bool {
        match resource.resource_type {
            ResourceType::OperationOutcome | ResourceType::Parameters => self.operation || !outer,
            ResourceType::Bundle => self.operation && outer,
            _ => false,
        }
    }
}

/// The text without what is hidden of the resources in it. None: it stays.
///
/// # Errors
/// It is not valid JSON: it is withheld.
pub(super) fn hide(text: &[u8], hidden: &Hidden) -> Result<Option<Vec<u8>>, Withheld> {
    elements::without(text, hidden).map_err(|_| Withheld)
}

/// It is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Withheld;
