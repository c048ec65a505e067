//! What is decided of one version of a resource, stored or about to be: whether it may be, and what of it is kept back.

use std::cell::LazyCell;
use std::collections::BTreeSet;

use bytes::Bytes;
use fireguard_access::decision::{Action, Allowed, Bound, Permission, Resource};
use fireguard_access::matching;
use fireguard_access::resource::Found;
use fireguard_fhir::ResourceType;
use fireguard_fhir::json::Tree;
use fireguard_fhir::parameters::Parameters;
use fireguard_fhir::references::ConditionalReferences;

use super::merge::{Kept, is_marked};
use super::settle::{Settler, forbidden, invalid};
use super::stored::Present;
use super::{not_whole, searches_all};
use crate::failure::Failure;
use crate::stages::words;

impl<N> Settler<N> {
    /// What somebody wants to be stored.
    pub(super) fn version(&self, ty: ResourceType, body: &[u8]) -> Result<Found, Failure> {
        let found = Found::of(body).map_err(|error| invalid(format!("the resource: {error}")))?;
        if found.outer.resource_type != ty {
            return Err(invalid("the body must be a resource of the type that the URL names"));
        }
        if found.all().any(is_marked) {
            return Err(not_whole().into());
        }
        Ok(found)
    }

    pub(super) fn may_become(&self, action: &Action, new: &Resource, text: &[u8]) -> Result<(), Failure> {
        let message = "what you send may not be stored in your name";
        self.allowed(action, new, text).map(|_| ()).ok_or_else(|| forbidden(message))
    }

    /// A patch can make a conditional reference out of any text, and the server would look for what it describes.
    pub(super) fn may_look_up(&self, new: &[u8]) -> Result<(), Failure> {
        for found in ConditionalReferences::default().feed(new).map_err(|error| invalid(error.to_string()))? {
            searches_all(Some(&*self.judge), &found.parse()?)?;
        }
        Ok(())
    }

    /// A resource that may not be seen is not there; one that may be seen may still not be changed.
    pub(super) fn may_change(&self, action: &Action, stored: &Present) -> Result<Allowed, Failure> {
        let (resource, text) = (&stored.found.outer, &stored.bytes);
        let seen = self.allowed(&Action::Read, resource, text);
        match (self.allowed(action, resource, text), seen) {
            (Some(_), Some(seen)) => Ok(seen),
            (Some(allowed), None) => Ok(allowed),
            (None, Some(_)) => Err(forbidden("this resource may not be changed by you")),
            (None, None) => Err(words::not_found()),
        }
    }

    /// The new version with what its writer does not see of the stored one, or may not take off.
    pub(super) fn kept(&self, stored: &Present, new: &Found, body: &[u8]) -> Result<Option<Bytes>, Failure> {
        let old = &stored.found.outer;
        let seen = self.allowed(&Action::Read, old, &stored.bytes);
        let hidden = seen.as_ref().map(|seen| self.hidden(old, seen)).unwrap_or_default();
        let mut labels: BTreeSet<&String> = old.labels.difference(&new.outer.labels).collect();
        if !labels.is_empty() && self.allowed(&Action::Relabel, old, &stored.bytes).is_some() {
            labels.clear();
        }
        let elements = hidden.iter().map(String::as_str).collect();
        let merged = Kept { labels, elements }.put_back(&stored.bytes, body);
        Ok(merged.map_err(|error| invalid(format!("the resource: {error}")))?.map(Bytes::from))
    }

    /// The elements of a resource that are not shown.
    pub(super) fn hidden(&self, resource: &Resource, seen: &Allowed) -> BTreeSet<String> {
        let of = |element: &String| {
            let (ty, name) = element.split_once('.')?;
            (ty == "*" || ty == resource.resource_type.as_str()).then(|| name.to_owned())
        };
        seen.obligations.drop.iter().filter_map(of).collect()
    }

    /// `text`: the whole resource, which is compared with what a scope names.
    pub(super) fn allowed(&self, action: &Action, resource: &Resource, text: &[u8]) -> Option<Allowed> {
        let Permission::Allowed(allowed) = self.judge.resource(action, resource) else { return None };
        let tree = LazyCell::new(|| Tree::parse(text).ok());
        let found = |constraint: &Parameters| {
            constraint.is_empty()
                || tree.as_ref().is_some_and(|tree| matching::finds(resource.resource_type, constraint, tree))
        };
        let within = |bound: &Bound| bound.reaches(resource) && found(&bound.constraint);
        allowed.bounds.iter().any(within).then_some(allowed)
    }
}
