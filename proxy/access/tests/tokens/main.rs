//! Tokens of an issuer that answers as a test wants: what is let in, what is not, and how often the issuer is asked.

#![expect(clippy::unwrap_used, reason = "that is how a test fails")]

mod asking;
mod issuer;
mod rubbish;
mod who;
