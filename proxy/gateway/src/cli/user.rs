//! `fireguard user`: keeps the file of users.

use std::io::{BufRead, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use fireguard_access::authentication::password::Kept;
use fireguard_access::authentication::users::{LONGEST_PASSWORD, Users, fhir_user, is_name, patient};
use toml_edit::{Array, DocumentMut, Item, Table, value};
use zeroize::Zeroizing;

use super::{ConfigFile, Failed, report, say};

/// The shortest password that is taken (NIST SP 800-63B-4 §3.1.1.2 asks for 15 where nothing else is asked).
const SHORTEST_PASSWORD: usize = 15;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Add a user, or change the password and what is said here of one that is there.
    Add(Box<Add>),
    /// Remove a user.
    Remove(Named),
    /// List the users, without their passwords.
    List(At),
}

#[derive(clap::Args)]
pub(super) struct At {
    #[command(flatten)]
    config: ConfigFile,
    /// The file of users, if not `[users] file` of the configuration.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(super) struct Named {
    /// The name that the user logs in by.
    name: String,
    #[command(flatten)]
    at: At,
}

#[derive(clap::Args)]
pub(super) struct Add {
    #[command(flatten)]
    user: Named,
    /// A role; may be given several times.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// The organisation that the user belongs to.
    #[arg(long)]
    tenant: Option<String>,
    /// The resource that stands for the user: Practitioner/7
    #[arg(long, value_name = "TYPE/ID")]
    fhir_user: Option<String>,
    /// The id of the patient whose data the user sees.
    #[arg(long, value_name = "ID")]
    patient: Option<String>,
    /// What the user is granted, in SMART's words: "user/*.rs". Without it policies alone decide.
    #[arg(long)]
    scopes: Option<String>,
    /// Read the password from the first line of the standard input.
    #[arg(long)]
    password_stdin: bool,
}

/// Does it.
pub(super) fn run(command: &Command) -> Result<(), Failed> {
    match command {
        Command::Add(add) => self::add(add),
        Command::Remove(Named { name, at }) => remove(name, at),
        Command::List(at) => list(at),
    }
}

fn add(add: &Add) -> Result<(), Failed> {
    let Named { name, at } = &add.user;
    if !is_name(name) {
        return Err(miette::miette!("a name has 1 to 64 letters, digits, and `.`, `_`, `-`, `@`"));
    }
    let wrong = |message: String| miette::miette!("{message}");
    add.fhir_user.as_deref().map(fhir_user).transpose().map_err(wrong)?;
    add.patient.as_deref().map(patient).transpose().map_err(wrong)?;
    let path = at.path()?;
    let mut file = read(&path)?;
    let password = password(add.password_stdin)?;
    let kept = Kept::of(password.as_bytes()).map_err(|error| report(&error))?;
    let users = file.entry("users").or_insert_with(|| {
        let mut users = Table::new();
        users.set_implicit(true);
        Item::Table(users)
    });
    let users = users.as_table_mut().ok_or_else(|| miette::miette!("`users` is no table"))?;
    let known = users.contains_key(name);
    let user = users.entry(name).or_insert_with(|| Item::Table(Table::new()));
    let user = user.as_table_like_mut().ok_or_else(|| miette::miette!("the user {name} is no table"))?;
    user.insert("password", value(kept.as_str()));
    if !add.roles.is_empty() {
        user.insert("roles", value(add.roles.iter().collect::<Array>()));
    }
    let given = [
        ("tenant", &add.tenant),
        ("fhir_user", &add.fhir_user),
        ("patient", &add.patient),
        ("scopes", &add.scopes),
    ];
    for (key, text) in given {
        if let Some(text) = text {
            user.insert(key, value(text));
        }
    }
    write(&path, &file)?;
    let done = if known { "changed" } else { "added" };
    say(&format!("{done} {name} in {}; a reload takes it", path.display()));
    Ok(())
}

fn remove(name: &str, at: &At) -> Result<(), Failed> {
    let path = at.path()?;
    let mut file = read(&path)?;
    let users = file.get_mut("users").and_then(Item::as_table_like_mut);
    if users.and_then(|users| users.remove(name)).is_none() {
        return Err(miette::miette!("there is no user {name} in {}", path.display()));
    }
    write(&path, &file)?;
    say(&format!("removed {name} from {}; a reload ends the tokens", path.display()));
    Ok(())
}

fn list(at: &At) -> Result<(), Failed> {
    let path = at.path()?;
    let users = Users::parse(&read(&path)?.to_string()).map_err(|error| at_file(&path, &error))?;
    for user in users.all() {
        let mut line = user.name.to_string();
        let mut more = |what: &str, text: Option<String>| {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                line.push_str(&format!(" {what} {text}"));
            }
        };
        more("roles", Some(user.roles.iter().cloned().collect::<Vec<_>>().join(",")));
        more("tenant", user.tenant.clone());
        more("fhir_user", user.fhir_user.as_ref().map(|(ty, id)| format!("{ty}/{id}")));
        more("patient", user.patient.as_ref().map(ToString::to_string));
        let scopes = user.scopes.as_ref().map(|scopes| {
            let scopes: Vec<_> = scopes.resources().iter().map(ToString::to_string).collect();
            scopes.join(" ")
        });
        more("scopes", scopes);
        say(&line);
    }
    Ok(())
}

impl At {
    /// Where the file is. Of the configuration only its name is read: the rest may wait for the first user.
    fn path(&self) -> Result<PathBuf, Failed> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let config = &self.config.config;
        let text = crate::config::Config::read(config)?;
        let table: toml::Table = text.parse().map_err(|error| at_file(config, &error))?;
        let file = table.get("users").and_then(|users| users.get("file")).and_then(toml::Value::as_str);
        let Some(file) = file else {
            return Err(miette::miette!(
                help = "add [users] with file = \"users.toml\", or name the file with --file",
                "{} names no file of users",
                config.display()
            ));
        };
        Ok(config.parent().unwrap_or(Path::new(".")).join(file))
    }
}

/// The file, or an empty one.
fn read(path: &Path) -> Result<DocumentMut, Failed> {
    match std::fs::read_to_string(path) {
        Ok(text) => text.parse().map_err(|error: toml_edit::TomlError| at_file(path, &error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(DocumentMut::new()),
        Err(error) => Err(miette::miette!("cannot read {}: {error}", path.display())),
    }
}

/// Puts the file in its place as a whole, for its owner's eyes only. What could not be read again is not written.
fn write(path: &Path, file: &DocumentMut) -> Result<(), Failed> {
    let text = file.to_string();
    Users::parse(&text).map_err(|error| at_file(path, &error))?;
    let cannot = |error: std::io::Error| miette::miette!("cannot write {}: {error}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(folder).map_err(cannot)?;
    new.as_file().set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(cannot)?;
    new.write_all(text.as_bytes()).and_then(|()| new.as_file().sync_all()).map_err(cannot)?;
    new.persist(path).map_err(|error| cannot(error.error))?;
    // That it has this name now must last, too.
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(cannot)
}

fn password(from_stdin: bool) -> Result<Zeroizing<String>, Failed> {
    let cannot = |error: std::io::Error| miette::miette!("cannot read the password: {error}");
    let password = if from_stdin {
        let mut line = Zeroizing::new(String::new());
        std::io::stdin().lock().read_line(&mut line).map_err(cannot)?;
        Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned())
    } else if std::io::stdin().is_terminal() {
        let first = Zeroizing::new(rpassword::prompt_password("password: ").map_err(cannot)?);
        let again = Zeroizing::new(rpassword::prompt_password("once more: ").map_err(cannot)?);
        if first != again {
            return Err(miette::miette!("these are two passwords"));
        }
        first
    } else {
        return Err(miette::miette!("there is no terminal to ask at: use --password-stdin"));
    };
    match password.chars().count() {
        short if short < SHORTEST_PASSWORD => {
            Err(miette::miette!("a password has {SHORTEST_PASSWORD} characters at least: take a sentence"))
        }
        _ if password.len() > LONGEST_PASSWORD => {
            Err(miette::miette!("a password has {LONGEST_PASSWORD} bytes at most"))
        }
        _ => Ok(password),
    }
}

fn at_file(path: &Path, error: &dyn std::error::Error) -> Failed {
    miette::miette!("{}: {error}", path.display())
}
