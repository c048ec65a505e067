//! The rules as the rest of the crate sees them: checked, with names of the type table.

use fireguard_sdk::fhir::r4::ResourceType;

/// Everything a configuration says.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// In file order: of several rules that match, the first wins.
    pub list: Vec<Rule>,
    /// The switches of `redact`.
    pub parameters: Parameters,
}

/// One rule: what it selects and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The resources it is for.
    pub scope: Scope,
    /// The nodes it selects there. A rule covers what is below them too.
    pub selection: Selection,
    /// What happens to them.
    pub method: Method,
    /// With [`Method::Keep`]: only these values stay, and others go. Empty: all stay.
    pub only: Vec<Pattern>,
}

/// Values that a rule lets stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// This text.
    Exact(String),
    /// Every text that begins like this.
    Prefix(String),
}

/// The resources a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every resource: written `Resource`, `DomainResource`, or nothing before `nodesByType`.
    Any,
    /// Resources of one type.
    Type(ResourceType),
}

/// The nodes of a resource that a rule selects. Names are those of the definitions (`value`, not
/// `valueQuantity`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// From the resource by these names; the resource itself when there are none.
    Path(Vec<&'static str>),
    /// From every node of this type, at any depth, by these names.
    NodesByType(&'static str, Vec<&'static str>),
    /// Resources of this type inside another resource.
    Nested(ResourceType),
}

/// What happens to a node and to all below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// It stays.
    Keep,
    /// Its values go, or lose their detail where the parameters say so.
    Redact,
    /// Dates move by the patient's offset.
    DateShift,
    /// Values become keyed hashes.
    CryptoHash,
}

/// The switches of `redact`, all off by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters {
    /// Ages up to 89 stay.
    pub partial_ages: bool,
    /// Dates keep their year.
    pub partial_dates: bool,
    /// Postal codes keep their first three characters.
    pub partial_zip_codes: bool,
    /// Areas whose postal codes keep nothing.
    pub restricted_zip_areas: Vec<String>,
}

impl Rules {
    /// Whether some of them work with the host's keys.
    #[must_use]
    pub fn need_keys(&self) -> bool {
        self.list.iter().any(|rule| matches!(rule.method, Method::CryptoHash | Method::DateShift))
    }
}

impl Method {
    /// The methods by the names the file format gives them.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("keep", Self::Keep),
        ("redact", Self::Redact),
        ("dateShift", Self::DateShift),
        ("cryptoHash", Self::CryptoHash),
    ];
}

impl Pattern {
    /// Whether it lets this text stay.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => text == exact,
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
        }
    }
}

impl Rule {
    /// Whether some of what it selects may go.
    #[must_use]
    pub fn takes_away(&self) -> bool {
        self.method == Method::Redact || !self.only.is_empty()
    }

    /// Whether it is for resources of this type.
    #[must_use]
    pub fn is_for(&self, ty: ResourceType) -> bool {
        match self.scope {
            Scope::Any => true,
            Scope::Type(own) => own == ty,
        }
    }
}
