//! Checks a stream and keeps nothing of it.

use super::{Error, Interest, Scanner, Sink};

/// A strict checker: grammar, UTF-8, depth, duplicate members.
pub struct Checker(Scanner<()>);

struct Nobody;

impl Default for Checker {
    fn default() -> Self {
        Self(Scanner::new((), true))
    }
}

impl Checker {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// The first fault.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), Error> {
        self.0.feed(chunk, &mut Nobody)
    }

    /// Says that the document is over.
    ///
    /// # Errors
    /// It was not complete.
    pub fn finish(&self) -> Result<(), Error> {
        self.0.finish()
    }
}

impl Sink for Nobody {
    type State = ();

    fn member(&mut self, (): (), _: &[u8]) {}
    fn element(&mut self, (): ()) {}
    fn interest(&self, (): ()) -> Interest {
        Interest::None
    }
    fn copy(&mut self, _: &[u8]) {}
    fn text(&mut self, (): (), _: &[u8], _: bool) {}
    fn begin(&mut self, (): ()) {}
    fn end(&mut self, (): ()) {}
}
