//! Bundles as streams: split into resources, joined again (R4 bundle.html).
//!
//! The join *rebuilds* the envelope: it writes only the elements listed in [`join`], made from values it
//! knows. Whatever else the server put around the resources (`id`, `meta`, `total`, entry links, signatures)
//! has been seen by no plugin and is left out.

pub mod envelope;
pub mod join;
pub mod parts;
pub mod places;
pub mod requests;
pub mod responses;
pub mod split;

/// An entry's own elements and its resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// The resource, as it was written. A deleted version in a history has none.
    pub resource: Option<Vec<u8>>,
    /// `search.mode`: `match`, `include` or `outcome`.
    pub search_mode: Option<String>,
    /// `request.method` of a history entry.
    pub method: Option<String>,
    /// `response.status` of a history entry.
    pub status: Option<String>,
}

/// What a Bundle comes apart into, in the order it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// `Bundle.type`.
    Type(String),
    /// One of `Bundle.link`.
    Link {
        /// `self`, `next`, …
        relation: String,
        /// As the server wrote it.
        url: String,
    },
    /// One of `Bundle.entry`.
    Entry(Entry),
}

#[cfg(test)]
mod tests;
