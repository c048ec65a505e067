//! The HTTP machinery of the proxy: header hygiene, upstream connections, retry, rate limits.

#![forbid(unsafe_code)]

pub mod body;
pub mod breaker;
pub mod concurrency;
pub mod cors;
pub mod decode;
pub mod forwarded;
pub mod hygiene;
pub mod rate;
pub mod replay;
pub mod retry;
pub mod upstream;
