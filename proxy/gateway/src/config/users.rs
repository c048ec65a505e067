//! Users in a file, as they are configured.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::resolve::Resolver;
use super::units::{Secret, SecretSource, Time};
use super::{Problem, defaults};

/// Users in a file, for sites without an identity provider. They log in by `POST /login`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsersFile {
    /// The file, which `fireguard user add` writes.
    #[schemars(with = "String")]
    pub file: Spanned<String>,
    /// A secret that the key of their tokens is made of: `file:PATH` or `env:NAME`, the same on every node. Without it
    /// chance is one, and tokens end with the process.
    #[schemars(with = "Option<SecretSource>")]
    pub key: Option<Spanned<SecretSource>>,
    /// How long a token is good.
    #[serde(default = "lifetime")]
    #[schemars(with = "Time")]
    pub lifetime: Spanned<Time>,
}

/// Users, their file read.
pub struct Users {
    /// Who may log in.
    pub users: fireguard_access::authentication::users::Users,
    /// What the key of their tokens is made of; none: chance.
    pub key: Option<Secret>,
    /// How long a token is good.
    pub lifetime: Duration,
}

fn lifetime() -> Spanned<Time> {
    Spanned::new(0..0, Time(defaults::USER_TOKEN))
}

impl Users {
    /// The first user who is granted nothing: policies alone decide what it may do.
    pub(super) fn without_scopes(&self) -> Option<&str> {
        self.users.all().find(|user| user.scopes.is_none()).map(|user| &*user.name)
    }
}

impl Resolver<'_> {
    /// The users of a file.
    pub(super) fn users(&mut self, written: Option<&UsersFile>) -> Option<Users> {
        let written = written?;
        let key = match &written.key {
            None => None,
            Some(source) => {
                let key = self.secret(source)?;
                if let Err(weak) = fireguard_plugin_host::Secret::new(key.expose().to_vec()).check() {
                    self.problems.push(Problem::at(source.span(), weak.to_string()));
                }
                Some(key)
            }
        };
        let lifetime = written.lifetime.get_ref().0;
        if lifetime < Duration::from_secs(1) || lifetime > defaults::LONGEST_USER_TOKEN {
            let message = "a token of a user is good for a second to a day";
            let help = "it cannot be taken back but by a change of the file: minutes are enough";
            self.problems.push(Problem::at(written.lifetime.span(), message).help(help));
        }
        let path = self.path(&written.file);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("cannot read {}: {error}", path.display());
                let help = "write the first user with `fireguard user add NAME`";
                self.problems.push(Problem::at(written.file.span(), message).help(help));
                return None;
            }
        };
        match fireguard_access::authentication::users::Users::parse(&text) {
            Ok(users) => Some(Users { users, key, lifetime }),
            Err(error) => {
                self.problem(&written.file, format!("{}: {error}", path.display()));
                None
            }
        }
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.users)
    }
}
