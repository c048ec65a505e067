//! The plugins of a route, phase by phase.
//!
//! What a plugin changes is judged again, in each phase: a head like a request of the caller, a resource like the one
//! it was. On a route whose plugins see answers nothing of the server's reaches the client unless a plugin saw it or
//! it is rebuilt here: other headers are dropped, error texts replaced, Bundle envelopes written anew.

mod bundle;
mod chain;
mod head;
mod judge;
mod link;
pub(crate) mod meters;
mod rebuilt;
pub mod request;
mod responses;
pub(super) mod shape;
mod single;
pub mod to_client;
pub mod to_server;
pub mod written;
