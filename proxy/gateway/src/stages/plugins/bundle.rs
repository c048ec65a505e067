//! An answer that is a Bundle: split, run through the plugins in batches, joined again as it streams.

use std::sync::Arc;

use bytes::Bytes;
use fireguard_fhir::base::Base;
use fireguard_fhir::bundle::join::Joiner;
use fireguard_fhir::bundle::split::{SplitError, Splitter};
use fireguard_fhir::bundle::{Entry, Piece};
use fireguard_fhir::interaction::{self, Head, Interaction};
use fireguard_fhir::json;

use super::chain::{Chain, Fate, Part};
use crate::config::defaults;
use crate::failure::Failure;
use crate::replicas::Group;
use crate::transform::Transform;

/// See the module's text.
pub(super) struct BundleAnswer {
    chain: Chain,
    splitter: Splitter,
    /// Taken at the end.
    joiner: Option<Joiner>,
    /// What the client uses, and what the server may have built its links from: the same, or its own.
    base: Base,
    group: Arc<Group>,
    /// What the client asked for, in its own words; it takes the place of the server's.
    self_url: Option<String>,
    batch: Vec<(Entry, Bytes)>,
    batch_bytes: usize,
}

impl BundleAnswer {
    pub(super) fn new(
        chain: Chain,
        base: Base,
        group: Arc<Group>,
        self_url: Option<String>,
        limit: usize,
    ) -> Self {
        let joiner = Some(Joiner::new(base.to_string()));
        let splitter = Splitter::new(limit);
        Self { chain, splitter, joiner, base, group, self_url, batch: Vec::new(), batch_bytes: 0 }
    }

    async fn piece(&mut self, piece: Piece, out: &mut Vec<u8>) -> Result<(), Failure> {
        let Some(joiner) = &mut self.joiner else { return Ok(()) };
        match piece {
            Piece::Type(kind) => joiner.kind(kind),
            Piece::Link { relation, url } => {
                let bases = &self.group.configured.bases;
                if let Some(url) = link(&relation, &url, &self.base, bases, self.self_url.as_deref())? {
                    joiner.link(relation, url);
                }
            }
            Piece::Entry(mut entry) => {
                // The server's remarks about the search may quote what was asked and found.
                let remark = entry.search_mode.as_deref() == Some("outcome");
                if let (Some(resource), false) = (entry.resource.take(), remark) {
                    self.batch_bytes += resource.len();
                    self.batch.push((entry, resource.into()));
                    if self.batch_bytes >= defaults::PLUGIN_BATCH {
                        self.flush(out).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        let (entries, resources): (Vec<_>, Vec<_>) = self.batch.drain(..).unzip();
        self.batch_bytes = 0;
        let parts: Vec<Part> = resources.into_iter().map(|content| Part { content, code: None }).collect();
        let fates = self.chain.run(&parts).await?;
        let Some(joiner) = &mut self.joiner else { return Ok(()) };
        for ((entry, part), fate) in entries.iter().zip(parts).zip(fates) {
            let resource = match fate {
                Fate::Kept => part.content,
                Fate::Changed(content) => content,
                Fate::Dropped | Fate::Refused(_) => continue,
            };
            let resource_type = json::resource_type_of(&resource).unwrap_or_default();
            let id = json::member(&resource, "id").and_then(|id| id.string());
            joiner.entry(out, entry, (&resource_type, id.as_deref()), &resource);
        }
        Ok(())
    }
}

impl Transform for BundleAnswer {
    async fn feed(&mut self, chunk: Bytes, out: &mut Vec<u8>) -> Result<(), Failure> {
        for piece in self.splitter.feed(&chunk).map_err(not_split)? {
            self.piece(piece, out).await?;
        }
        if self.batch.is_empty() { Ok(()) } else { self.flush(out).await }
    }

    async fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.splitter.finish().map_err(not_split)?;
        if let Some(joiner) = self.joiner.take() {
            joiner.finish(out);
        }
        Ok(())
    }
}

/// The link as the client may see it. Pages are addressed by the server's page token alone; whatever else
/// the server put into a link may hold values the client must not learn.
fn link(
    relation: &str,
    url: &str,
    base: &Base,
    upstream: &[Base],
    self_url: Option<&str>,
) -> Result<Option<String>, Failure> {
    match relation {
        "self" => Ok(self_url.map(str::to_owned)),
        "next" | "previous" | "prev" | "first" | "last" => {
            // HAPI builds links from the host it is asked by, or, set up so, from what we forward.
            let mut bases = upstream.iter().chain([base]);
            let page = bases.find_map(|base| base.strip(url)).and_then(|rest| {
                let (path, query) = rest.split_once('?')?;
                let request =
                    interaction::parse(&Head { method: "GET", path, query: Some(query), ..Head::default() });
                // HAPI's token for a search; for a history the client's own question with an offset.
                request.ok().filter(|r| match r.interaction {
                    Interaction::HistoryInstance { .. }
                    | Interaction::HistoryType { .. }
                    | Interaction::HistorySystem => true,
                    _ => matches!(r.interaction, Interaction::Page(_)),
                })
            });
            // Without its link a page would look like the last one.
            let page = page.ok_or_else(|| {
                Failure::upstream(
                    "the FHIR server's answer cannot be paged",
                    format!("{relation} link not understood"),
                )
            })?;
            // As the server has it: the stage that turns its URLs into the client's seals it.
            Ok(upstream.first().map(|base| format!("{base}{}", page.target().path_and_query)))
        }
        _ => Ok(None),
    }
}

pub(super) fn not_split(error: SplitError) -> Failure {
    Failure::upstream("the FHIR server's answer is not a Bundle that can be read", error.to_string())
}
