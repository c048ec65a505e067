//! Users in a file, for sites without an identity provider.
//!
//! Who logs in gets a short-lived token ([`sessions`](super::sessions)); what a user may do is read from the file at
//! each request, so that a change of the file counts as soon as it is loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::Id;
use fireguard_fhir::smart::Scopes;
use serde::Deserialize;

use super::granted::scopes;
use super::password::{Kept, PasswordError};

/// The longest name of a user, and the longest password, in bytes.
pub const LONGEST_NAME: usize = 64;
/// See [`LONGEST_NAME`].
pub const LONGEST_PASSWORD: usize = 1024;

/// The users of a file.
#[derive(Debug, Clone)]
pub struct Users {
    users: BTreeMap<String, User>,
    /// What the password of somebody who is not there is compared with, so that it takes as long.
    nobody: Kept,
}

/// A user.
#[derive(Debug, Clone)]
pub struct User {
    /// The name it logs in by.
    pub name: Arc<str>,
    /// Its password, as it is kept.
    pub password: Kept,
    /// Its roles.
    pub roles: BTreeSet<String>,
    /// The organisation it belongs to.
    pub tenant: Option<String>,
    /// The resource that stands for it.
    pub fhir_user: Option<(ResourceType, Id)>,
    /// The patient whose data it sees.
    pub patient: Option<Id>,
    /// What it is granted; none: policies alone decide.
    pub scopes: Option<Scopes>,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    users: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    password: String,
    #[serde(default)]
    roles: BTreeSet<String>,
    tenant: Option<String>,
    fhir_user: Option<String>,
    patient: Option<String>,
    scopes: Option<String>,
}

/// What is wrong with the file. Passwords are not repeated.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// It is no such TOML; the line, from 1.
    #[error("line {line}: {message}")]
    Syntax {
        /// The line.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// A value of a user.
    #[error("user {name}: {message}")]
    User {
        /// The user's name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// No password can be made to compare others with.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

impl Users {
    /// Reads a file of users.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, UsersError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let before = error.span().map_or("", |span| text.get(..span.start).unwrap_or(text));
            let message = error.message().lines().next().unwrap_or_default().to_owned();
            UsersError::Syntax { line: before.matches('\n').count() + 1, message }
        })?;
        let users = file.users.into_iter().map(|(name, entry)| {
            let user = entry.user(&name).map_err(|message| UsersError::User {
                name: name.chars().take(LONGEST_NAME).collect(),
                message,
            })?;
            Ok((name, user))
        });
        Ok(Self { users: users.collect::<Result<_, UsersError>>()?, nobody: Kept::of(b"nobody")? })
    }

    /// The user of this name.
    pub fn get(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    /// The user, if this is its password. Takes as long for a user that is not there; 19 MiB and some 20 ms.
    pub fn log_in(&self, name: &str, password: &[u8]) -> Option<&User> {
        let user = self.get(name);
        let is = user.map_or(&self.nobody, |user| &user.password).is(password);
        user.filter(|_| is)
    }
}

impl Entry {
    fn user(self, name: &str) -> Result<User, String> {
        if !is_name(name) {
            return Err(format!("a name has 1 to {LONGEST_NAME} letters, digits, and `.`, `_`, `-`, `@`"));
        }
        Ok(User {
            name: name.into(),
            password: Kept::read(&self.password).map_err(|error| error.to_string())?,
            roles: self.roles,
            tenant: self.tenant,
            fhir_user: self.fhir_user.as_deref().map(fhir_user).transpose()?,
            patient: self.patient.as_deref().map(patient).transpose()?,
            scopes: self.scopes.as_deref().map(scopes).transpose()?,
        })
    }
}

/// Whether somebody may have this name.
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(plain)
}

/// A resource that stands for a user: `Practitioner/7`.
///
/// # Errors
/// It is not one of the types that SMART App Launch has for it, or no id.
pub fn fhir_user(text: &str) -> Result<(ResourceType, Id), String> {
    const TYPES: [&str; 5] = ["Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Person"];
    let parsed = text.split_once('/').filter(|(ty, _)| TYPES.contains(ty));
    let parsed = parsed.and_then(|(ty, id)| Some((ResourceType::parse(ty)?, Id::parse(id)?)));
    parsed.ok_or_else(|| format!("fhir_user is {}, a slash and an id", TYPES.join(", ")))
}

/// The id of a patient, without its type.
///
/// # Errors
/// It is none.
pub fn patient(text: &str) -> Result<Id, String> {
    Id::parse(text).ok_or_else(|| "patient is the id of a Patient, without its type".to_owned())
}

impl fmt::Display for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} users", self.users.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(lines: &str) -> String {
        let password = Kept::of(b"secret").unwrap();
        format!("[users.ann]\npassword = {:?}\n{lines}\n", password.as_str())
    }

    #[test]
    fn users_are_read_with_all_they_have() {
        let text =
            entry("roles = [\"nurse\"]\ntenant = \"ward\"\nfhir_user = \"Practitioner/7\"\npatient = \"p1\"");
        let users = Users::parse(&text).unwrap();
        let ann = users.get("ann").unwrap();
        assert_eq!(ann.roles, BTreeSet::from(["nurse".to_owned()]));
        assert_eq!((ann.tenant.as_deref(), ann.patient.as_ref().map(Id::as_str)), (Some("ward"), Some("p1")));
        assert_eq!(ann.fhir_user.as_ref().unwrap().1.as_str(), "7");
        assert!(ann.scopes.is_none());
        for (name, password, opens) in [
            ("ann", "secret", true),
            ("ann", "wrong", false),
            ("bob", "secret", false),
            ("bob", "nobody", false),
        ] {
            assert_eq!(users.log_in(name, password.as_bytes()).is_some(), opens, "{name} {password}");
        }
        assert_eq!(Users::parse("").unwrap().to_string(), "0 users");
    }

    #[test]
    fn what_is_wrong_is_named_without_passwords() {
        for (text, expected) in [
            (entry("role = \"nurse\""), "line 3: unknown field `role`"),
            (entry("fhir_user = \"Organization/1\""), "user ann: fhir_user is Patient"),
            (entry("fhir_user = \"Practitioner\""), "user ann: fhir_user is Patient"),
            (entry("patient = \"Patient/1\""), "user ann: patient is the id"),
            ("[users.ann]\npassword = \"hunter2\"\n".to_owned(), "user ann: the password is not kept as"),
            ("[users.ann]\nroles = []\n".to_owned(), "line 1: missing field `password`"),
            ("[users.\"a b\"]\npassword = \"\"\n".to_owned(), "user a b: a name has"),
            ("[users.ann\n".to_owned(), "line 1: "),
        ] {
            let error = Users::parse(&text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
            assert!(!error.contains("hunter2") && !error.contains("argon2id$"), "{error}");
        }
    }
}
