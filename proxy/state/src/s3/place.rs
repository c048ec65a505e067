//! Where a bucket is, and how it is used.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

/// A bucket of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its name in the configuration, for metrics and messages.
    pub name: String,
    /// The URL of the server; none: AWS.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket's name on the server.
    pub bucket: String,
    /// What the keys of all objects begin with.
    pub prefix: String,
    /// The bucket stands in the path of URLs, not in their host.
    pub path_style: bool,
    /// Who we are; none: as the environment says, a web identity, the container or the machine (the default chain of AWS).
    pub access: Option<Access>,
    /// How objects are encrypted where they are kept.
    pub sse: Sse,
    /// PEM certificates of authorities that are believed besides the machine's.
    pub authorities: Option<Vec<u8>>,
    /// How long one attempt may take, without the body of an answer.
    pub timeout: Duration,
}

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// The name of the key.
    pub key: String,
    /// The key.
    pub secret: Zeroizing<String>,
}

/// How objects are encrypted where they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sse {
    /// As the bucket says.
    Default,
    /// With the server's own keys.
    Aes256,
    /// With a key of its key management: this one, or the bucket's.
    Kms(Option<String>),
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Access")
    }
}
