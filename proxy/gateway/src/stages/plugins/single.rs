//! An answer that is one resource.

use bytes::Bytes;
use fireguard_fhir::outcome::IssueCode;
use http::StatusCode;

use super::chain::{Chain, Fate, Part};
use crate::failure::{Failure, Source};
use crate::transform::Transform;

/// Collects the resource, up to the limit, and runs it through the plugins.
pub(super) struct SingleAnswer {
    chain: Chain,
    limit: usize,
    resource: Vec<u8>,
}

impl SingleAnswer {
    pub(super) fn new(chain: Chain, limit: usize) -> Self {
        Self { chain, limit, resource: Vec::new() }
    }
}

impl Transform for SingleAnswer {
    async fn feed(&mut self, chunk: Bytes, _: &mut Vec<u8>) -> Result<(), Failure> {
        self.resource.extend_from_slice(&chunk);
        if self.resource.len() > self.limit {
            let detail = format!("a resource is larger than {} bytes", self.limit);
            return Err(Failure::upstream("the answer holds a resource over the limit", detail));
        }
        Ok(())
    }

    async fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        if self.resource.is_empty() {
            return Ok(());
        }
        if fireguard_fhir::json::check(&self.resource).is_err() {
            return Err(Failure::upstream("the FHIR server's answer is not valid JSON", "single resource"));
        }
        let part = Part { content: std::mem::take(&mut self.resource).into(), code: None };
        match self.chain.run(std::slice::from_ref(&part)).await?.pop() {
            Some(Fate::Kept) => out.extend_from_slice(&part.content),
            Some(Fate::Changed(content)) => out.extend_from_slice(&content),
            Some(Fate::Dropped | Fate::Refused(_)) | None => {
                let message = "there is no such resource";
                let failure =
                    Failure::new(Source::Plugin, StatusCode::NOT_FOUND, IssueCode::NotFound, message);
                return Err(failure.detail("a plugin dropped the resource"));
            }
        }
        Ok(())
    }
}
