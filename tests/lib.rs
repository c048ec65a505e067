//! Suites live in sibling folders; this crate only names them.
