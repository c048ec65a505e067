//! One scope for resources: `patient/Observation.rs?category=vital-signs`, or of version 1 `patient/Observation.read`.

use std::fmt;
use std::str::FromStr;

use crate::ResourceType;
use crate::parameters::Parameters;
use crate::r4::search_parameter;

/// A scope for resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceScope {
    /// In whose name.
    pub context: Context,
    /// To which type; none: to every type (`*`).
    pub resource_type: Option<ResourceType>,
    /// Only to what a search with these parameters finds.
    pub constraint: Parameters,
    permissions: u8,
}

/// In whose name somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Context {
    /// `patient/`: the patient in context, and only its data.
    Patient,
    /// `user/`: a user, and what it may see.
    User,
    /// `system/`: a program that nobody sits at.
    System,
}

/// What a scope permits, by the letter of version 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// `c`
    Create,
    /// `r`: read, version read, history of one.
    Read,
    /// `u`: update, patch.
    Update,
    /// `d`
    Delete,
    /// `s`: search, history of a type or of all.
    Search,
}

/// Why a word grants nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Another beginning.
    #[error("a scope for resources begins with patient/, user/ or system/")]
    Context,
    /// No R4 type.
    #[error("what it is for is neither a resource type of R4 nor *")]
    ResourceType,
    /// Other permissions, or in another order.
    #[error("what it permits is `read`, `write`, `*`, or some of `cruds` in this order, each once")]
    Permissions,
    /// Parameters where there may be none, none after the question mark, or not written as parameters are.
    #[error("its parameters are not written as those of a search")]
    Parameters,
    /// A parameter that selects nothing of this type, or has a modifier or a chain.
    #[error("a parameter is none that R4 defines for the type, or has a modifier")]
    Parameter,
}

/// In the order in which they are written.
const LETTERS: [(char, Permission); 5] = [
    ('c', Permission::Create),
    ('r', Permission::Read),
    ('u', Permission::Update),
    ('d', Permission::Delete),
    ('s', Permission::Search),
];

/// Those of `_id` and the like that select by what a resource has. The others shape the answer (`_count`), or search by
/// ways of their own (`_filter`, `_query`, `_text`), which nothing can be held against.
const COMMON: [&str; 6] = ["_id", "_lastUpdated", "_profile", "_security", "_source", "_tag"];

impl ResourceScope {
    /// Whether it permits this, to the types that it is for.
    pub fn permits(&self, permission: Permission) -> bool {
        self.permissions & permission.bit() != 0
    }

    /// Whether it is for this type; none: for every type.
    pub fn covers(&self, resource_type: Option<ResourceType>) -> bool {
        self.resource_type.is_none() || self.resource_type == resource_type
    }
}

impl Permission {
    /// The letter of version 2.
    pub fn letter(self) -> char {
        LETTERS[self as usize].0
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Context {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::User => "user",
            Self::System => "system",
        }
    }
}

impl FromStr for ResourceScope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let (context, rest) = text.split_once('/').ok_or(ScopeError::Context)?;
        let context = [Context::Patient, Context::User, Context::System]
            .into_iter()
            .find(|known| known.as_str() == context)
            .ok_or(ScopeError::Context)?;
        let (resource_type, rest) = rest.split_once('.').ok_or(ScopeError::Permissions)?;
        let resource_type = match resource_type {
            "*" => None,
            name => Some(ResourceType::parse(name).ok_or(ScopeError::ResourceType)?),
        };
        let (permissions, query) = match rest.split_once('?') {
            None => (version_1(rest).or_else(|| version_2(rest)), None),
            // Version 1 knows no parameters.
            Some((permissions, query)) => (version_2(permissions), Some(query)),
        };
        let permissions = permissions.ok_or(ScopeError::Permissions)?;
        let constraint = query.map(|query| constraint(resource_type, query)).transpose()?.unwrap_or_default();
        Ok(Self { context, resource_type, constraint, permissions })
    }
}

impl fmt::Display for ResourceScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.", self.context.as_str(), self.resource_type.map_or("*", ResourceType::as_str))?;
        for (letter, _) in LETTERS.into_iter().filter(|(_, permission)| self.permits(*permission)) {
            write!(f, "{letter}")?;
        }
        if self.constraint.is_empty() { Ok(()) } else { write!(f, "?{}", self.constraint.serialise()) }
    }
}

fn version_1(text: &str) -> Option<u8> {
    use Permission::{Create, Delete, Read, Search, Update};
    let permissions: &[Permission] = match text {
        "read" => &[Read, Search],
        "write" => &[Create, Update, Delete],
        "*" => &[Create, Read, Update, Delete, Search],
        _ => return None,
    };
    Some(permissions.iter().fold(0, |bits, permission| bits | permission.bit()))
}

fn version_2(text: &str) -> Option<u8> {
    let mut rest = text;
    let mut bits = 0;
    for (letter, permission) in LETTERS {
        if let Some(after) = rest.strip_prefix(letter) {
            (rest, bits) = (after, bits | permission.bit());
        }
    }
    (rest.is_empty() && bits != 0).then_some(bits)
}

fn constraint(resource_type: Option<ResourceType>, query: &str) -> Result<Parameters, ScopeError> {
    let parameters = Parameters::parse(query.as_bytes()).map_err(|_| ScopeError::Parameters)?;
    if parameters.is_empty() {
        return Err(ScopeError::Parameters);
    }
    let selects = |name: &str| match resource_type {
        _ if name.starts_with('_') => COMMON.contains(&name),
        Some(ty) => search_parameter(ty, name).is_some(),
        None => false,
    };
    // An empty value is ignored by servers: it would bound nothing.
    let sound = parameters.iter().all(|(name, value)| selects(name) && !value.trim().is_empty());
    if sound { Ok(parameters) } else { Err(ScopeError::Parameter) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scopes_grant_what_they_say() {
        for (text, letters) in [
            ("patient/Observation.read", "rs"),
            ("patient/Observation.write", "cud"),
            ("user/Observation.*", "cruds"),
            ("system/*.*", "cruds"),
            ("patient/Observation.rs", "rs"),
            ("user/Patient.c", "c"),
            ("user/Patient.cruds", "cruds"),
            ("user/Patient.us", "us"),
            ("patient/*.rs", "rs"),
        ] {
            let scope: ResourceScope = text.parse().unwrap();
            for (letter, permission) in LETTERS {
                assert_eq!(scope.permits(permission), letters.contains(letter), "{text} {letter}");
                assert_eq!(permission.letter(), letter);
            }
            assert!(scope.constraint.is_empty());
            assert_eq!(scope.covers(None), text.contains("/*"), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_grants_nothing() {
        use ScopeError as E;
        for (text, error) in [
            ("", E::Context),
            ("openid", E::Context),
            ("patients/Observation.rs", E::Context),
            ("PATIENT/Observation.rs", E::Context),
            ("/Observation.rs", E::Context),
            ("patient/Observation", E::Permissions),
            ("patient/Observation.", E::Permissions),
            ("patient/Observation.sr", E::Permissions),
            ("patient/Observation.rr", E::Permissions),
            ("patient/Observation.rsx", E::Permissions),
            ("patient/Observation.READ", E::Permissions),
            ("patient/Observation.reads", E::Permissions),
            ("patient/Observation.read.rs", E::Permissions),
            ("patient/Observation.**", E::Permissions),
            ("patient/observation.rs", E::ResourceType),
            ("patient/Observations.rs", E::ResourceType),
            ("patient/.rs", E::ResourceType),
            ("patient/Obs*.rs", E::ResourceType),
            ("patient/Patient/1.rs", E::ResourceType),
            ("patient/Observation.read?category=x", E::Permissions),
            ("patient/Observation.*?category=x", E::Permissions),
            ("patient/Observation.rs?", E::Parameters),
            ("patient/Observation.rs?&", E::Parameters),
            ("patient/Observation.rs?category=%zz", E::Parameters),
            ("patient/Observation.rs?category", E::Parameter),
            ("patient/Observation.rs?category=", E::Parameter),
            ("patient/Observation.rs?category=%20", E::Parameter),
            ("patient/Observation.rs?gender=x", E::Parameter),
            ("patient/Observation.rs?category:not=x", E::Parameter),
            ("patient/Observation.rs?category:in=x", E::Parameter),
            ("patient/Observation.rs?subject.name=x", E::Parameter),
            ("patient/Observation.rs?_has:Observation:subject:code=x", E::Parameter),
            ("patient/Observation.rs?_count=1", E::Parameter),
            ("patient/Observation.rs?_include=*", E::Parameter),
            ("patient/Observation.rs?_filter=x", E::Parameter),
            ("patient/Observation.rs?_text=x", E::Parameter),
            ("patient/Observation.rs?category=x&_elements=code", E::Parameter),
            ("patient/*.rs?code=x", E::Parameter),
        ] {
            assert_eq!(text.parse::<ResourceScope>(), Err(error), "{text}");
        }
    }

    #[test]
    fn parameters_bound() {
        let text = "patient/Observation.rs?category=http://t/c%7Cvital-signs,laboratory&_tag=a";
        let scope: ResourceScope = text.parse().unwrap();
        let constraint: Vec<_> = scope.constraint.iter().collect();
        assert_eq!(constraint, [("category", "http://t/c|vital-signs,laboratory"), ("_tag", "a")]);
        let everywhere: ResourceScope = "system/*.rs?_security=http://l%7CN".parse().unwrap();
        assert_eq!(everywhere.constraint.get("_security"), Some("http://l|N"));
    }

    proptest! {
        #[test]
        fn letters_count_in_order_only(letters in "[cruds]{0,6}") {
            let mut expected = letters.chars().collect::<Vec<_>>();
            expected.sort_by_key(|letter| "cruds".find(*letter));
            expected.dedup();
            let in_order = !letters.is_empty() && expected.iter().collect::<String>() == letters;
            let scope = format!("user/Patient.{letters}").parse::<ResourceScope>();
            prop_assert_eq!(scope.is_ok(), in_order);
        }

        #[test]
        fn what_is_written_is_read_again(
            context in "patient|user|system",
            ty in "Patient|Observation|\\*",
            letters in "c?r?u?d?s?|read|write|\\*",
            tag in proptest::option::of("\\PC{1,12}"),
        ) {
            let mut text = format!("{context}/{ty}.{letters}");
            if let Some(tag) = tag {
                let mut parameters = Parameters::default();
                parameters.push("_tag", tag);
                text = format!("{text}?{}", parameters.serialise());
            }
            if let Ok(scope) = text.parse::<ResourceScope>() {
                prop_assert_eq!(scope.to_string().parse(), Ok(scope));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = text.parse::<ResourceScope>();
            let _ = format!("patient/{text}").parse::<ResourceScope>();
            let _ = format!("patient/Observation.{text}").parse::<ResourceScope>();
            let _ = format!("patient/Observation.rs?{text}").parse::<ResourceScope>();
        }
    }
}
