//! Why nobody came in.

use std::time::Duration;

/// A token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// It is not good. Why is for metrics and the log: who sent it is told no more than that.
    Invalid(Why),
    /// Whether it is good cannot be found out now.
    Unavailable {
        /// When to come back.
        retry_after: Duration,
    },
}

/// Why a token is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// It is neither a JWT nor one that an issuer can be asked about.
    Malformed,
    /// It is longer than any that is meant seriously.
    TooLong,
    /// Its header asks for what we do not know (`crit`).
    Critical,
    /// It is a JWT of another kind: an ID token, a refresh token.
    Kind,
    /// No algorithm of the list, or none that its key is for.
    Algorithm,
    /// Its key is none of the issuer's.
    Key,
    /// The signature is not of this key.
    Signature,
    /// Nobody on this route believes its issuer.
    Issuer,
    /// It is meant for somebody else.
    Audience,
    /// It belongs to a client that may not come in.
    Client,
    /// Its time is over, or it does not say when that is.
    Expired,
    /// Its time has not come.
    Early,
    /// It does not say whom it is about.
    Subject,
    /// It is bound to a certificate that its connection does not show, or to what nobody here can check (`cnf`).
    Confirmation,
    /// Its issuer says so: it was revoked, or never given.
    Inactive,
}

impl Why {
    /// The label of metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLong => "too-long",
            Self::Critical => "critical",
            Self::Kind => "kind",
            Self::Algorithm => "algorithm",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Client => "client",
            Self::Expired => "expired",
            Self::Early => "early",
            Self::Subject => "subject",
            Self::Confirmation => "confirmation",
            Self::Inactive => "inactive",
        }
    }
}

impl From<Why> for Rejection {
    fn from(why: Why) -> Self {
        Self::Invalid(why)
    }
}
