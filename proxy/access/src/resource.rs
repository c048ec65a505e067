//! What a judge must know of a resource, read from its bytes in one walk: its type and id, whose it is, its labels.

use std::borrow::Cow;
use std::collections::BTreeSet;

use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::Id;
use fireguard_fhir::json::{self, Key, Kind, Step, Value, Visitor};

use crate::decision::Resource;

mod paths;

/// A resource and those that are in it, at any depth: contained ones, entries of a Bundle, parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The resource itself.
    pub outer: Resource,
    /// Those within, in the order in which they begin.
    pub within: Vec<Resource>,
}

/// An entry of a Bundle, as far as it must be known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundEntry {
    /// What it holds: its resource, and what is in that; or the outcome of a response.
    pub resource: Option<Found>,
    /// Why it is in a searchset (`search.mode`).
    pub mode: Option<String>,
}

/// Nobody can say what it is: so nobody may see it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// It is not JSON as it should be.
    #[error("it is not valid JSON: {0}")]
    Json(#[from] json::Error),
    /// The type is missing or unknown, or stands where none belongs.
    #[error("its type is not known")]
    Type,
    /// The id is none.
    #[error("its id is not valid")]
    Id,
}

impl Found {
    /// Reads a whole resource.
    ///
    /// # Errors
    /// It cannot be understood.
    pub fn of(resource: &[u8]) -> Result<Self, Unclear> {
        let mut reader = Reader { owners: vec![Owner::default()], ..Reader::default() };
        json::rewrite(resource, Place { owner: 0, path: paths::ROOT }, &mut reader)?;
        Self::read(reader)?.ok_or(Unclear::Type)
    }

    /// Of what a reader has found; none: no resource.
    fn read(reader: Reader) -> Result<Option<Self>, Unclear> {
        if let Some(unclear) = reader.unclear {
            return Err(unclear);
        }
        let mut resources: Vec<Resource> = Vec::with_capacity(reader.owners.len());
        for owner in reader.owners {
            let container = owner.container.and_then(|container| resources.get(container));
            let resource = owner.finish(container)?;
            resources.push(resource);
        }
        let mut resources = resources.into_iter();
        Ok(resources.next().map(|outer| Self { outer, within: resources.collect() }))
    }

    /// All of them, the outer one first.
    pub fn all(&self) -> impl Iterator<Item = &Resource> {
        std::iter::once(&self.outer).chain(&self.within)
    }
}

impl FoundEntry {
    /// Reads an entry of a Bundle.
    ///
    /// # Errors
    /// It cannot be understood.
    pub fn of(entry: &[u8]) -> Result<Self, Unclear> {
        let mut reader = Reader::default();
        json::rewrite(entry, Place { owner: NOBODY, path: paths::NO_PATH }, &mut reader)?;
        let mode = reader.mode.take();
        Ok(Self { resource: Found::read(reader)?, mode })
    }
}

/// Outside of every resource.
const NOBODY: usize = usize::MAX;

/// A place in the text: in which resource, and on which path that leads to patients.
#[derive(Debug, Clone, Copy)]
struct Place {
    owner: usize,
    path: u16,
}

/// A resource as it is being read.
#[derive(Debug, Default)]
struct Owner {
    resource_type: Option<ResourceType>,
    id: Option<Id>,
    /// References to patients, and by which path.
    patients: Vec<(u16, Id)>,
    /// Paths by which it refers to somebody whom nobody can name.
    unnamed: Vec<u16>,
    labels: BTreeSet<String>,
    tags: BTreeSet<String>,
    /// The resource that contains it.
    container: Option<usize>,
}

#[derive(Debug, Default)]
struct Reader {
    owners: Vec<Owner>,
    /// `mode`, outside of every resource.
    mode: Option<String>,
    unclear: Option<Unclear>,
}

impl Owner {
    fn finish(self, container: Option<&Resource>) -> Result<Resource, Unclear> {
        let resource_type = self.resource_type.ok_or(Unclear::Type)?;
        let counts = |path: u16| paths::counts(resource_type, path);
        let mut patients: BTreeSet<Id> =
            self.patients.into_iter().filter(|(path, _)| counts(*path)).map(|(_, id)| id).collect();
        let mut unnamed = self.unnamed.into_iter().any(counts);
        if let Some(container) = container {
            // Its id is good within the other one only, and whose that one is it is too, unless it says otherwise.
            if patients.is_empty() && !unnamed {
                patients.clone_from(&container.patients);
                unnamed = container.unnamed;
            }
        } else if resource_type == ResourceType::Patient {
            // A patient is its own; that another one is linked to it makes it nobody else's.
            patients = self.id.iter().cloned().collect();
            unnamed = self.id.is_none();
        }
        let Self { id, labels, tags, .. } = self;
        Ok(Resource { resource_type, id, patients, unnamed, labels, tags })
    }
}

impl Reader {
    fn value(&mut self, place: Place, key: &Key<'_>, value: &Value<'_>) -> Step<Place> {
        let Some(owner) = self.owners.get_mut(place.owner) else { return self.outside(place, key, value) };
        if place.path == paths::ROOT {
            match key.name().as_ref() {
                "resourceType" => {
                    let named = value.string().and_then(|name| ResourceType::parse(&name));
                    if named.is_none() {
                        self.unclear.get_or_insert(Unclear::Type);
                    }
                    owner.resource_type = named;
                    return Step::Keep;
                }
                "id" => {
                    owner.id = value.string().and_then(|id| Id::parse(&id));
                    if owner.id.is_none() {
                        self.unclear.get_or_insert(Unclear::Id);
                    }
                    return Step::Keep;
                }
                _ => {}
            }
        }
        if value.kind() == Kind::String {
            if key.is("reference") {
                self.reference(place, value);
            }
            return Step::Keep;
        }
        if key.is("resourceType") && place.path != paths::ROOT {
            self.unclear.get_or_insert(Unclear::Type);
        }
        match value.kind() {
            Kind::Object if (key.is("resource") || key.is("outcome")) && is_resource(value) => {
                self.begin(None)
            }
            Kind::Object | Kind::Array => {
                let path = paths::below(place.path, key);
                self.logical(Place { path, ..place }, value);
                Step::Enter(Place { path, ..place })
            }
            _ => Step::Keep,
        }
    }

    /// A member of an entry, around its resource.
    fn outside(&mut self, place: Place, key: &Key<'_>, value: &Value<'_>) -> Step<Place> {
        match value.kind() {
            Kind::Object if (key.is("resource") || key.is("outcome")) && is_resource(value) => {
                self.begin(None)
            }
            // That would be one that nobody judges.
            _ if key.is("resource") || key.is("resourceType") => {
                self.unclear.get_or_insert(Unclear::Type);
                Step::Keep
            }
            Kind::Object | Kind::Array => Step::Enter(place),
            Kind::String if key.is("mode") => {
                self.mode = value.string().map(Cow::into_owned);
                Step::Keep
            }
            _ => Step::Keep,
        }
    }

    /// A resource within begins.
    fn begin(&mut self, container: Option<usize>) -> Step<Place> {
        self.owners.push(Owner { container, ..Owner::default() });
        Step::Enter(Place { owner: self.owners.len() - 1, path: paths::ROOT })
    }

    fn reference(&mut self, place: Place, value: &Value<'_>) {
        let Some(owner) = self.owners.get_mut(place.owner) else { return };
        match value.string().as_deref().map(target) {
            Some(Target::Patient(id)) => owner.patients.push((place.path, id)),
            Some(Target::Other) => {}
            Some(Target::Within) if owner.container.is_some() => {}
            Some(Target::Within | Target::Unnamed) | None => owner.unnamed.push(place.path),
        }
    }

    /// A reference by an identifier alone, which may mean a patient.
    fn logical(&mut self, place: Place, value: &Value<'_>) {
        if !paths::ends(place.path) || value.kind() != Kind::Object {
            return;
        }
        let Some(owner) = self.owners.get_mut(place.owner) else { return };
        let other =
            value.member("type").and_then(|named| named.string()).is_some_and(|named| named != "Patient");
        if !other && value.member("reference").is_none() && value.member("identifier").is_some() {
            owner.unnamed.push(place.path);
        }
    }

    fn coding(&mut self, place: Place, value: &Value<'_>) {
        let text = |name| value.member(name).and_then(|text| text.string()).unwrap_or_default();
        let (system, code): (Cow<'_, str>, Cow<'_, str>) = (text("system"), text("code"));
        let Some(owner) = self.owners.get_mut(place.owner) else { return };
        let codings = if place.path == paths::LABELS { &mut owner.labels } else { &mut owner.tags };
        codings.insert(format!("{system}|{code}"));
    }
}

impl Visitor for Reader {
    type State = Place;

    fn member(&mut self, within: Place, key: &Key<'_>, value: &Value<'_>, _: &mut Vec<u8>) -> Step<Place> {
        self.value(within, key, value)
    }

    fn element(&mut self, within: Place, _: usize, value: &Value<'_>, _: &mut Vec<u8>) -> Step<Place> {
        match value.kind() {
            Kind::Object if within.path == paths::CONTAINED => self.begin(Some(within.owner)),
            Kind::Object if matches!(within.path, paths::LABELS | paths::TAGS) => {
                self.coding(within, value);
                Step::Keep
            }
            Kind::Object | Kind::Array => {
                self.logical(within, value);
                Step::Enter(within)
            }
            _ => Step::Keep,
        }
    }
}

/// Only a resource has a type of that name.
fn is_resource(value: &Value<'_>) -> bool {
    value.member("resourceType").is_some()
}

/// Whom a reference means.
enum Target {
    Patient(Id),
    /// Something of another type.
    Other,
    /// One that is contained in the same resource, or contains it.
    Within,
    /// That cannot be told from here: somewhere else, or not a reference at all.
    Unnamed,
}

/// `Patient/1`, `Patient/1/_history/2`, and the same below a base.
fn target(text: &str) -> Target {
    if text.starts_with('#') {
        return Target::Within;
    }
    let relative = !text.contains(':') && !text.starts_with(['/', '?']);
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let mut parts: Vec<&str> = path.split('/').collect();
    if parts.len() >= 4 && parts[parts.len() - 2] == "_history" {
        parts.truncate(parts.len() - 2);
    }
    let [.., resource_type, id] = parts[..] else { return Target::Unnamed };
    match (ResourceType::parse(resource_type), Id::parse(id)) {
        (Some(ResourceType::Patient), Some(id)) if relative && parts.len() == 2 => Target::Patient(id),
        (Some(ResourceType::Patient), _) | (None, _) | (_, None) => Target::Unnamed,
        (Some(_), Some(_)) => Target::Other,
    }
}

#[cfg(test)]
mod tests;
