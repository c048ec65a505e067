//! Rewriting by dotted paths: the rewriter for those who want no state.

use super::rewrite::{Key, Step, Value, Visitor, rewrite};
use super::{Error, Rewrite};

/// Rewrites `text` by a closure that sees the dotted path of each value, `name.family` for instance.
///
/// Elements of an array have the array's path: the closure is asked about the array first, then, if it
/// enters it, about each element. A dot in a member's name shows as `\.` and a backslash as `\\`, so that
/// no two places share a path by accident.
///
/// ```
/// use fireguard_fhir::json::{Step, transform, write_string};
///
/// let patient = br#"{"id": "1", "name": [{"use": "usual", "family": "Chalmers"}], "birthDate": "1974-12-25"}"#;
/// let rewrite = transform(patient, |path, value, out| match path {
///     "name" => Step::Enter(()),
///     "name.family" => Step::Drop,
///     "birthDate" => {
///         let date = value.string().unwrap_or_default();
///         write_string(out, date.get(..4).unwrap_or_default());
///         Step::Replace
///     }
///     _ => Step::Keep,
/// })?;
/// assert_eq!(rewrite.apply(patient), br#"{"id": "1", "name": [{"use": "usual"}], "birthDate": "1974"}"#);
/// # Ok::<(), fireguard_fhir::json::Error>(())
/// ```
///
/// # Errors
/// What is wrong with `text`.
pub fn transform<F>(text: &[u8], decide: F) -> Result<Rewrite, Error>
where
    F: FnMut(&str, &Value<'_>, &mut Vec<u8>) -> Step<()>,
{
    rewrite(text, None, &mut Paths { path: String::new(), decide })
}

struct Paths<F> {
    path: String,
    decide: F,
}

impl<F> Paths<F>
where
    F: FnMut(&str, &Value<'_>, &mut Vec<u8>) -> Step<()>,
{
    fn ask(&mut self, value: &Value<'_>, out: &mut Vec<u8>) -> Step<Option<usize>> {
        match (self.decide)(&self.path, value, out) {
            Step::Keep => Step::Keep,
            Step::Enter(()) => Step::Enter(Some(self.path.len())),
            Step::EnterOrBlank(()) => Step::EnterOrBlank(Some(self.path.len())),
            Step::Drop => Step::Drop,
            Step::Blank => Step::Blank,
            Step::Replace => Step::Replace,
        }
    }
}

impl<F> Visitor for Paths<F>
where
    F: FnMut(&str, &Value<'_>, &mut Vec<u8>) -> Step<()>,
{
    /// The length of the path that leads to the container; none for the root.
    type State = Option<usize>;

    fn member(
        &mut self,
        within: Option<usize>,
        key: &Key<'_>,
        value: &Value<'_>,
        out: &mut Vec<u8>,
    ) -> Step<Option<usize>> {
        self.path.truncate(within.unwrap_or(0));
        if within.is_some() {
            self.path.push('.');
        }
        let name = key.name();
        if name.contains(['.', '\\']) {
            self.path.push_str(&name.replace('\\', "\\\\").replace('.', "\\."));
        } else {
            self.path.push_str(&name);
        }
        self.ask(value, out)
    }

    fn element(
        &mut self,
        within: Option<usize>,
        _: usize,
        value: &Value<'_>,
        out: &mut Vec<u8>,
    ) -> Step<Option<usize>> {
        self.path.truncate(within.unwrap_or(0));
        self.ask(value, out)
    }
}
