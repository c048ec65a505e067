//! What a judge must know of a resource, read from its bytes in one walk: its type and id, whose it is, its labels.

use std::borrow::Cow;
use std::collections::BTreeSet;

use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::Id;
use fireguard_fhir::json::{self, Key, Kind, Value};

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
        // A list of resources is none.
        if !resource.trim_ascii_start().starts_with(b"{") {
            json::check(resource)?;
            return Err(Unclear::Type);
        }
        let mut reader = Reader { owners: vec![Owner::default()], ..Reader::default() };
        json::read(resource, Place { owner: 0, path: paths::ROOT }, &mut reader)?;
        Self::told(reader)?.ok_or(Unclear::Type)
    }

    /// Of what a reader has found; none: no resource.
    fn told(reader: Reader) -> Result<Option<Self>, Unclear> {
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
        json::read(entry, AROUND, &mut reader)?;
        Self::told(reader)
    }

    /// Reads the entry that `text` starts with, and tells how long it is. None: it goes on beyond the text, or is not JSON
    /// as it should be.
    pub fn first(text: &[u8]) -> Option<(Result<Self, Unclear>, usize)> {
        let mut reader = Reader::default();
        let length = json::read_first(text, IN_A_BUNDLE, AROUND, &mut reader).ok()?;
        Some((Self::told(reader), length))
    }

    fn told(mut reader: Reader) -> Result<Self, Unclear> {
        let mode = reader.mode.take();
        Ok(Self { resource: Found::told(reader)?, mode })
    }
}

/// Outside of every resource.
const NOBODY: usize = usize::MAX;

/// The Bundle, and its list of entries.
const IN_A_BUNDLE: usize = 2;

/// In an entry, around its resource.
const AROUND: Place = Place { owner: NOBODY, path: paths::NO_PATH };

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
    fn value(&mut self, place: Place, key: &Key<'_>, value: &Value<'_>) -> Option<Place> {
        let Some(owner) = self.owners.get_mut(place.owner) else { return self.outside(place, key, value) };
        let root = place.path == paths::ROOT;
        match (Word::of(key), value.kind()) {
            (Word::ResourceType, _) if root => {
                let named = value.string().and_then(|name| ResourceType::parse(&name));
                if named.is_none() {
                    self.unclear.get_or_insert(Unclear::Type);
                }
                owner.resource_type = named;
                None
            }
            (Word::Id, _) if root => {
                owner.id = value.string().and_then(|id| Id::parse(&id));
                if owner.id.is_none() {
                    self.unclear.get_or_insert(Unclear::Id);
                }
                None
            }
            (Word::Reference, Kind::String) => {
                self.reference(place, value);
                None
            }
            (_, Kind::String) => None,
            (Word::Resource, Kind::Object) if is_resource(value) => Some(self.begin(None)),
            (word, kind) => {
                if word == Word::ResourceType {
                    self.unclear.get_or_insert(Unclear::Type);
                }
                if !matches!(kind, Kind::Object | Kind::Array) {
                    return None;
                }
                let below = Place { path: paths::below(place.path, key), ..place };
                self.logical(below, value);
                Some(below)
            }
        }
    }

    /// A member of an entry, around its resource.
    fn outside(&mut self, place: Place, key: &Key<'_>, value: &Value<'_>) -> Option<Place> {
        match value.kind() {
            Kind::Object if Word::of(key) == Word::Resource && is_resource(value) => Some(self.begin(None)),
            // That would be one that nobody judges.
            _ if key.is("resource") || key.is("resourceType") => {
                self.unclear.get_or_insert(Unclear::Type);
                None
            }
            Kind::Object | Kind::Array => Some(place),
            Kind::String if key.is("mode") => {
                self.mode = value.string().map(Cow::into_owned);
                None
            }
            _ => None,
        }
    }

    /// A resource within begins.
    fn begin(&mut self, container: Option<usize>) -> Place {
        self.owners.push(Owner { container, ..Owner::default() });
        Place { owner: self.owners.len() - 1, path: paths::ROOT }
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
        // Nearly all have one.
        if value.member("reference").is_some() || value.member("identifier").is_none() {
            return;
        }
        let named = value.member("type").and_then(|named| named.string());
        if named.is_none_or(|named| named == "Patient") {
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

impl json::Reader for Reader {
    type State = Place;

    fn member(&mut self, within: Place, key: &Key<'_>, value: &Value<'_>) -> Option<Place> {
        self.value(within, key, value)
    }

    fn element(&mut self, within: Place, value: &Value<'_>) -> Option<Place> {
        match value.kind() {
            Kind::Object if within.path == paths::CONTAINED => Some(self.begin(Some(within.owner))),
            Kind::Object if matches!(within.path, paths::LABELS | paths::TAGS) => {
                self.coding(within, value);
                None
            }
            Kind::Object | Kind::Array => {
                self.logical(within, value);
                Some(within)
            }
            _ => None,
        }
    }
}

/// The names of members that say something wherever they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    ResourceType,
    Id,
    Reference,
    /// `resource`, and `outcome` in entries: what holds a resource.
    Resource,
    Other,
}

impl Word {
    #[inline]
    fn of(key: &Key<'_>) -> Self {
        match key.plain() {
            Some(name) => Self::named(name),
            None => Self::named(key.name().as_bytes()),
        }
    }

    #[inline]
    fn named(name: &[u8]) -> Self {
        match name {
            b"id" => Self::Id,
            b"reference" => Self::Reference,
            b"resource" | b"outcome" => Self::Resource,
            b"resourceType" => Self::ResourceType,
            _ => Self::Other,
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
    let mut path = text.split(['?', '#']).next().unwrap_or_default();
    if let Some((of, _)) = path.rsplit_once('/')
        && let Some(of) = of.strip_suffix("/_history").filter(|of| of.contains('/'))
    {
        path = of;
    }
    let Some((before, id)) = path.rsplit_once('/') else { return Target::Unnamed };
    let (resource_type, alone) = match before.rsplit_once('/') {
        Some((_, resource_type)) => (resource_type, false),
        None => (before, true),
    };
    match ResourceType::parse(resource_type).filter(|_| Id::is(id)) {
        Some(ResourceType::Patient) if relative && alone => {
            Id::parse(id).map_or(Target::Unnamed, Target::Patient)
        }
        Some(ResourceType::Patient) | None => Target::Unnamed,
        Some(_) => Target::Other,
    }
}

#[cfg(test)]
mod tests;
