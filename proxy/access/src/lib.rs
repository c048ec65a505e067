//! Who may do what: the caller, and what a route lets through.
