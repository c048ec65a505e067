//! What host and plugin say to each other (`wit/plugin.wit`), in plain Rust: what all phases share.

use crate::{Direction, Field};

/// What every plugin has: settings, and a plan. Besides it implements a trait for each phase it takes part in:
/// [`Request`](crate::Request), [`Resources`](crate::Resources), [`Written`](crate::Written),
/// [`Ingest`](crate::Ingest).
pub trait Plugin: Sized {
    /// Takes the settings and says what the plugin wants to see. Called for each instance, or once for many that
    /// then begin with the memory it left. Where it asks a capability other than the log, or prints, it is called for
    /// each; and an instance may serve one exchange only. Do not seed a random generator here.
    ///
    /// # Errors
    /// Everything that is wrong with the settings and files, not just the first of it.
    fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>>;
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
///
/// ```
/// use fireguard_sdk::{Direction, Interest, Plan};
///
/// let plan = Plan::new([
///     Interest::resources([Direction::ToClient]).of_types(["Patient", "RelatedPerson"]),
///     Interest::request().of_interactions(["search-type"]),
/// ])
/// .needing(["pseudonym"]);
/// assert_eq!(plan.interests[1].phase, "request");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// A call is made when one of them fits.
    pub interests: Vec<Interest>,
    /// Capabilities without which the plugin cannot work, `pseudonym` for instance: not granted, it is not
    /// loaded.
    pub needs: Vec<String>,
}

/// When the host calls one phase.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interest {
    /// `request`, `resources`, `written` or `ingest`.
    pub phase: String,
    /// FHIR interaction codes; empty: every interaction.
    pub interactions: Vec<String>,
    /// Resource types; empty: every type.
    pub resource_types: Vec<String>,
    /// For `resources`: the directions; empty: none.
    pub directions: Vec<Direction>,
}

/// Why a plugin refuses. Where the caller's own request is refused, the caller is told: it must not quote a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// A code of <http://hl7.org/fhir/issue-type>, `business-rule` for instance.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// An OperationOutcome in JSON that says more than the sentence.
    pub outcome: Option<Vec<u8>>,
    /// `status`: the HTTP status, 400 to 599; 422 without it.
    pub extras: Vec<Field>,
}

impl Problem {
    /// A problem with the settings as a whole.
    #[must_use]
    pub fn of_settings(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }
}

impl Plan {
    /// A plan of these interests.
    #[must_use]
    pub fn new(interests: impl IntoIterator<Item = Interest>) -> Self {
        Self { interests: interests.into_iter().collect(), ..Self::default() }
    }

    /// With these capabilities, or not at all.
    #[must_use]
    pub fn needing<'a>(mut self, capabilities: impl IntoIterator<Item = &'a str>) -> Self {
        self.needs = capabilities.into_iter().map(str::to_owned).collect();
        self
    }
}

impl Interest {
    /// Every request.
    #[must_use]
    pub fn request() -> Self {
        Self { phase: "request".to_owned(), ..Self::default() }
    }

    /// Every resource that travels in these directions.
    #[must_use]
    pub fn resources(directions: impl IntoIterator<Item = Direction>) -> Self {
        let directions = directions.into_iter().collect();
        Self { phase: "resources".to_owned(), directions, ..Self::default() }
    }

    /// Every write.
    #[must_use]
    pub fn written() -> Self {
        Self { phase: "written".to_owned(), ..Self::default() }
    }

    /// Every message.
    #[must_use]
    pub fn ingest() -> Self {
        Self { phase: "ingest".to_owned(), ..Self::default() }
    }

    /// Of these resource types only.
    #[must_use]
    pub fn of_types<'a>(mut self, types: impl IntoIterator<Item = &'a str>) -> Self {
        self.resource_types = types.into_iter().map(str::to_owned).collect();
        self
    }

    /// In these FHIR interactions only.
    #[must_use]
    pub fn of_interactions<'a>(mut self, interactions: impl IntoIterator<Item = &'a str>) -> Self {
        self.interactions = interactions.into_iter().map(str::to_owned).collect();
        self
    }
}

impl Refusal {
    /// With a code of <http://hl7.org/fhir/issue-type> and one sentence.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), ..Self::default() }
    }

    /// With an HTTP status other than 422.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.extras.push(Field::new("status", status.to_string()));
        self
    }

    /// With an OperationOutcome in JSON.
    #[must_use]
    pub fn with_outcome(mut self, outcome: impl Into<Vec<u8>>) -> Self {
        self.outcome = Some(outcome.into());
        self
    }
}
