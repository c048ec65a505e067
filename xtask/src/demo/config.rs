//! The demo's configuration: the same HAPI behind two routes.

use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use fireguard_test_support::repository;

use crate::error::Error;

/// Makes a key for this demo and writes the configuration's text.
///
/// # Errors
/// The key cannot be written.
pub(super) fn write(folder: &Path, upstream: &str) -> Result<String, Error> {
    key(&folder.join("pseudonym.key"))?;
    let root = repository::root();
    Ok(include_str!("fireguard.toml")
        .replace("{upstream}", upstream)
        .replace("{component}", &repository::target().join("plugins/deid.wasm").display().to_string())
        .replace("{rules}", &root.join("policies/deid/research.json").display().to_string()))
}

/// A key of 32 random bytes, readable by its owner only; kept from one demo to the next.
fn key(path: &Path) -> Result<(), Error> {
    let mut file = match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(Error::io("writing the demo's key")(error)),
    };
    let mut bytes = [0_u8; 32];
    let random = fs::File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes));
    random.map_err(Error::io("reading /dev/urandom"))?;
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(Error::io("writing the demo's key"))
}
