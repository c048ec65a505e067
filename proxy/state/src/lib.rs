//! What Fireguard keeps durably: values of plugins ([`KeyValue`]), queues of work ([`Queue`]), and objects in buckets
//! ([`s3`]).
//!
//! One small trait for each use, so that another database can follow; [`Embedded`] is both, on SQLite in a directory
//! of this process. What a call has answered for has reached the disk, and survives the process and the machine's
//! power. No call blocks the thread that awaits it.

#![forbid(unsafe_code)]

mod clock;
pub mod embedded;
mod error;
mod key_value;
mod queue;
pub mod s3;

use std::future::Future;
use std::pin::Pin;

pub use clock::Clock;
pub use embedded::Embedded;
pub use error::StateError;
pub use key_value::{Entry, KeyValue, Quota};
pub use queue::{Leased, Queue, Settlement, Standing, Task};

/// What is answered once the database has.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StateError>> + Send + 'a>>;
