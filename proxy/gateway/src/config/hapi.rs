//! What HAPI does otherwise than FHIR says, as it is written in a route.

use schemars::JsonSchema;
use serde::Deserialize;

/// Where HAPI does otherwise than FHIR says, and this route puts it right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hapi {
    /// Searches ask for fresh results: HAPI would answer with those of the last minute, also after a write.
    pub fresh_searches: bool,
    /// Deletes and updates keep `If-Match` and `If-None-Match: *`: the version is read before, and what does not
    /// match is 412.
    pub check_versions: bool,
    /// Transactions with two entries of one condition are refused, and an answer with fewer entries than were asked
    /// for is an error.
    pub check_transactions: bool,
}

impl Default for Hapi {
    fn default() -> Self {
        Self { fresh_searches: true, check_versions: true, check_transactions: true }
    }
}
