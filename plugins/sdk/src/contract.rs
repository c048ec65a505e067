//! What host and plugin say to each other (`wit/plugin.wit`), in plain Rust.

use fireguard_fhir::json::{self, Rewrite};

use crate::Host;

/// A plugin that changes or filters resources.
pub trait Plugin: Sized {
    /// Takes the settings and says what the plugin wants to see. Called once for each instance, and an
    /// instance may serve one exchange only: be quick.
    ///
    /// # Errors
    /// Everything that is wrong with the settings and files, not just the first of it.
    fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>>;

    /// One verdict for each resource, in the same order. Each resource is one JSON object as it was sent.
    fn process(
        &mut self,
        host: &dyn Host,
        exchange: &Exchange,
        direction: Direction,
        resources: &[Vec<u8>],
    ) -> Vec<Verdict>;
}

/// Which way a body travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the caller to the FHIR server: what is about to be written.
    ToServer,
    /// From the FHIR server to the caller: what is about to be read.
    ToClient,
}

/// The request that a call belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The request id, as it stands in logs and in `X-Request-Id`.
    pub id: String,
    /// The name of the route in the configuration.
    pub route: String,
    /// The FHIR interaction code: `read`, `search-type`, `transaction`, …
    pub interaction: String,
}

/// What the configuration gives to a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The settings as a JSON text, `{}` when there are none.
    pub json: String,
    /// The files that the configuration names for this plugin.
    pub files: Vec<File>,
}

/// A file that the configuration names for a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The name the plugin knows it by: the key under `[plugins.<name>.files]`.
    pub name: String,
    /// The path as the operator wrote it, for messages.
    pub path: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// Something wrong with the settings or with a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problem {
    /// The name of the file it is in; none: the settings.
    pub file: Option<String>,
    /// The line in that file, counted from one; zero when there is none to give.
    pub line: u32,
    /// The column in that line, counted from one in characters; zero when there is none to give.
    pub column: u32,
    /// A JSON Pointer (RFC 6901) into the settings or the file; empty: the whole.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// What the plugin wants to see. The host calls it for nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// FHIR interaction codes; empty: every interaction that carries resources.
    pub interactions: Vec<String>,
    /// Resource types; empty: every type.
    pub resource_types: Vec<String>,
    /// Directions; empty: the plugin sees no resources.
    pub directions: Vec<Direction>,
    /// Capabilities without which the plugin cannot work, `pseudonym` for instance: not granted, it is not
    /// loaded.
    pub needs: Vec<String>,
}

/// What becomes of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It passes as it is.
    Keep,
    /// It passes with these edits, sorted by `start` and without overlap.
    Edits(Vec<Edit>),
    /// These bytes take its place.
    Replace(Vec<u8>),
    /// It is left out of the Bundle; a single resource is answered as if it did not exist.
    Drop,
    /// The whole exchange is refused.
    Refuse(Refusal),
}

/// Replaces the bytes from `start` up to, not including, `end` with `text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The first byte that goes.
    pub start: u32,
    /// The first byte after that stays.
    pub end: u32,
    /// What takes their place.
    pub text: Vec<u8>,
}

/// Why a plugin refuses. The text goes to logs and perhaps to the caller: it must not quote the resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// A code of <http://hl7.org/fhir/issue-type>, `business-rule` for instance.
    pub code: String,
    /// One sentence for people.
    pub message: String,
}

impl Problem {
    /// A problem with the settings as a whole.
    #[must_use]
    pub fn of_settings(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }
}

impl Plan {
    /// Every resource of every interaction that travels in these directions.
    #[must_use]
    pub fn new(directions: impl IntoIterator<Item = Direction>) -> Self {
        Self { directions: directions.into_iter().collect(), ..Self::default() }
    }

    /// Of these types only.
    #[must_use]
    pub fn of_types<'a>(mut self, types: impl IntoIterator<Item = &'a str>) -> Self {
        self.resource_types = types.into_iter().map(str::to_owned).collect();
        self
    }

    /// With these capabilities, or not at all.
    #[must_use]
    pub fn needing<'a>(mut self, capabilities: impl IntoIterator<Item = &'a str>) -> Self {
        self.needs = capabilities.into_iter().map(str::to_owned).collect();
        self
    }
}

impl Verdict {
    /// What a rewriter's outcome comes to: keep when nothing changes, replace when something does, and a
    /// refusal (`structure`) when the resource is not valid JSON.
    #[must_use]
    pub fn of_rewrite(resource: &[u8], outcome: Result<Rewrite, json::Error>) -> Self {
        match outcome {
            Ok(rewrite) if rewrite.is_unchanged() => Self::Keep,
            Ok(rewrite) => Self::Replace(rewrite.apply(resource)),
            Err(error) => Self::refuse("structure", format!("a resource is {error}")),
        }
    }

    /// A refusal with a code of <http://hl7.org/fhir/issue-type>.
    #[must_use]
    pub fn refuse(code: &str, message: impl Into<String>) -> Self {
        Self::Refuse(Refusal { code: code.to_owned(), message: message.into() })
    }
}

#[cfg(test)]
mod tests {
    use fireguard_fhir::json::Step;

    use super::*;

    #[test]
    fn a_refusal_does_not_quote_the_resource() {
        let verdict = Verdict::of_rewrite(
            b"{\"family\":Chalmers}",
            json::transform(b"{\"family\":Chalmers}", |_, _, _| Step::Keep),
        );
        let Verdict::Refuse(refusal) = verdict else { panic!("{verdict:?}") };
        assert_eq!(refusal.code, "structure");
        assert_eq!(refusal.message, "a resource is not valid JSON (at byte 10)");
    }
}
