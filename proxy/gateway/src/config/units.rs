//! Times, sizes and secrets as they are written in the configuration.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _};
use zeroize::Zeroizing;

/// A time such as `"500ms"`, `"30s"`, `"5m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Duration);

/// A size such as `"64KiB"`, `"16MiB"`, or a bare number of bytes as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// Where a secret is: `env:NAME` or `file:PATH`. Never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file; a line break at its end does not belong to the secret.
    File(String),
}

/// A secret that was read; wiped when dropped, never shown.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl SecretSource {
    /// Reads the secret.
    ///
    /// # Errors
    /// What is missing, never what was found.
    pub fn read(&self) -> Result<Secret, String> {
        let bytes = match self {
            Self::Env(name) => std::env::var(name)
                .map_err(|_| format!("the environment variable {name} is not set"))?
                .into_bytes(),
            Self::File(path) => {
                let mut bytes = std::fs::read(path).map_err(|e| format!("cannot read {path}: {e}"))?;
                while bytes.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
                    bytes.pop();
                }
                bytes
            }
        };
        Ok(Secret(Zeroizing::new(bytes)))
    }
}

impl From<Zeroizing<Vec<u8>>> for Secret {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
}

impl Secret {
    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let time = text(deserializer)?.and_then(|text| humantime::parse_duration(&text).ok());
        time.map(Self)
            .ok_or_else(|| D::Error::custom("a time is a number and a unit: \"500ms\", \"30s\", \"5m\""))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer)?.as_deref().and_then(parse_size).map(Self).ok_or_else(|| {
            D::Error::custom("a size is a number and a unit: \"512B\", \"64KiB\", \"16MiB\", \"1GiB\"")
        })
    }
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = text(deserializer)?;
        match text.as_deref().and_then(|text| text.split_once(':')) {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.to_owned())),
            // The text may be the secret itself: it is not repeated.
            _ => Err(D::Error::custom("a secret is not written here: say \"env:NAME\" or \"file:PATH\"")),
        }
    }
}

/// The value if it is a text: what else it is need not be said, and of a secret must not.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => Ok(Some(text)),
        _ => Ok(None),
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

macro_rules! text_schema {
    ($type:ty, $name:literal, $pattern:literal) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}
text_schema!(Time, "Time", r"^\s*\d+\s*[a-zA-Z]+");
text_schema!(Size, "Size", r"^\d+ ?(B|KiB|MiB|GiB)?$");
text_schema!(SecretSource, "Secret", "^(env|file):.+$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("0", 0), ("512B", 512), ("64KiB", 65_536), ("16 MiB", 16 << 20), ("1GiB", 1 << 30)]
        {
            assert_eq!(parse_size(text), Some(bytes));
        }
        for text in ["", "MiB", "1MB", "-1", "1.5GiB", "99999999999999999999", "18446744073709551615GiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let file = std::env::temp_dir().join(format!("fireguard-secret-{}", std::process::id()));
        std::fs::write(&file, "s3cr3t\r\n").unwrap();
        let secret = SecretSource::File(file.to_string_lossy().into()).read().unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(secret.expose(), b"s3cr3t");
        assert_eq!(format!("{secret:?}"), "Secret");
    }
}
