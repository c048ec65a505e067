//! The HTTP machinery: header hygiene, upstream connections, retry, rate limits.
