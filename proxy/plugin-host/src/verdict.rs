//! What a plugin decided about a resource, checked and applied by the host.

use std::fmt;

use bytes::Bytes;

use crate::contract::{Refusal, resources as wire};
use crate::host::one_line;

/// Bytes of a refusal's texts that are kept.
const REFUSAL_CODE: usize = 64;
const REFUSAL_MESSAGE: usize = 1024;

/// What becomes of one resource. Its `Debug` form shows sizes, never bytes.
#[derive(Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It passes as it is.
    Keep,
    /// It passes with these edits.
    Edits(Vec<Edit>),
    /// These bytes take its place.
    Replace(Bytes),
    /// It is left out of the Bundle; a single resource is answered as if it did not exist.
    Drop,
    /// The whole exchange is refused. The texts are cut and cleaned for one line of a log.
    Refuse(Refusal),
}

/// Replaces the bytes from `start` up to, not including, `end` with `text`.
#[derive(Clone, PartialEq, Eq)]
pub struct Edit {
    /// Offset in bytes of the first byte replaced.
    pub start: u32,
    /// Offset in bytes after the last byte replaced; `start` to insert only.
    pub end: u32,
    /// What takes their place.
    pub text: Bytes,
}

/// A resource after its verdict.
#[derive(Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The resource passes with the bytes it had.
    Unchanged,
    /// It passes with these bytes. They are the plugin's: parse them before trusting them.
    Changed(Bytes),
    /// It is left out.
    Dropped,
    /// The exchange is refused.
    Refused(Refusal),
}

/// A verdict that fits no resource of that length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadVerdict {
    /// An edit ends after the resource does.
    #[error("edit {edit} ends after the resource")]
    OutOfRange {
        /// Which edit of the verdict, counted from zero.
        edit: usize,
    },
    /// An edit ends before it starts.
    #[error("edit {edit} ends before it starts")]
    Reversed {
        /// Which edit of the verdict, counted from zero.
        edit: usize,
    },
    /// An edit starts before the one ahead of it ends.
    #[error("edit {edit} overlaps the one before it, or stands out of order")]
    Unordered {
        /// Which edit of the verdict, counted from zero.
        edit: usize,
    },
}

impl Verdict {
    /// Carries the verdict out on the resource that it was given for.
    ///
    /// # Errors
    /// [`BadVerdict`] when the edits are out of range, unsorted or overlap. What
    /// [`Session::process`](crate::Session::process) returned has been checked against its resource.
    pub fn apply(self, resource: &Bytes) -> Result<Outcome, BadVerdict> {
        self.check(resource.len())?;
        Ok(match self {
            Verdict::Keep => Outcome::Unchanged,
            Verdict::Edits(edits) if edits.is_empty() => Outcome::Unchanged,
            Verdict::Edits(edits) => Outcome::Changed(splice(resource, &edits)),
            Verdict::Replace(bytes) => Outcome::Changed(bytes),
            Verdict::Drop => Outcome::Dropped,
            Verdict::Refuse(refusal) => Outcome::Refused(refusal),
        })
    }

    /// Checks the edits against a resource of `len` bytes.
    pub(crate) fn check(&self, len: usize) -> Result<(), BadVerdict> {
        let Verdict::Edits(edits) = self else { return Ok(()) };
        let mut done = 0;
        for (edit, Edit { start, end, .. }) in edits.iter().enumerate() {
            if end < start {
                return Err(BadVerdict::Reversed { edit });
            }
            if *end as usize > len {
                return Err(BadVerdict::OutOfRange { edit });
            }
            if *start < done {
                return Err(BadVerdict::Unordered { edit });
            }
            done = *end;
        }
        Ok(())
    }

    /// How many bytes of the plugin it carries.
    pub(crate) fn size(&self) -> usize {
        match self {
            Verdict::Edits(edits) => edits.iter().map(|edit| edit.text.len()).sum(),
            Verdict::Replace(bytes) => bytes.len(),
            Verdict::Keep | Verdict::Drop | Verdict::Refuse(_) => 0,
        }
    }
}

/// The edits must have passed [`Verdict::check`].
fn splice(resource: &Bytes, edits: &[Edit]) -> Bytes {
    let added: usize = edits.iter().map(|edit| edit.text.len()).sum();
    let mut out = Vec::with_capacity(resource.len() + added);
    let mut done = 0;
    for Edit { start, end, text } in edits {
        out.extend_from_slice(&resource[done..*start as usize]);
        out.extend_from_slice(text);
        done = *end as usize;
    }
    out.extend_from_slice(&resource[done..]);
    out.into()
}

/// A refusal whose texts are fit for one line of a log.
pub(crate) fn cleaned(refusal: Refusal) -> Refusal {
    Refusal {
        code: one_line(&refusal.code, REFUSAL_CODE),
        message: one_line(&refusal.message, REFUSAL_MESSAGE),
        ..refusal
    }
}

impl From<wire::Verdict> for Verdict {
    fn from(verdict: wire::Verdict) -> Self {
        match verdict {
            wire::Verdict::Keep => Verdict::Keep,
            wire::Verdict::Edits(edits) => Verdict::Edits(
                edits
                    .into_iter()
                    .map(|edit| Edit { start: edit.start, end: edit.end, text: edit.text.into() })
                    .collect(),
            ),
            wire::Verdict::Replace(bytes) => Verdict::Replace(bytes.into()),
            wire::Verdict::Drop => Verdict::Drop,
            wire::Verdict::Refuse(refusal) => Verdict::Refuse(cleaned(refusal)),
        }
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Keep => f.write_str("Keep"),
            Verdict::Edits(edits) => f.debug_tuple("Edits").field(edits).finish(),
            Verdict::Replace(bytes) => write!(f, "Replace({} bytes)", bytes.len()),
            Verdict::Drop => f.write_str("Drop"),
            Verdict::Refuse(refusal) => write!(f, "Refuse({:?})", refusal.code),
        }
    }
}

impl fmt::Debug for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{} by {} bytes", self.start, self.end, self.text.len())
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Unchanged => f.write_str("Unchanged"),
            Outcome::Changed(bytes) => write!(f, "Changed({} bytes)", bytes.len()),
            Outcome::Dropped => f.write_str("Dropped"),
            Outcome::Refused(refusal) => write!(f, "Refused({:?})", refusal.code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edit(start: u32, end: u32, text: &'static str) -> Edit {
        Edit { start, end, text: Bytes::from_static(text.as_bytes()) }
    }

    #[test]
    fn edits_are_spliced_or_refused() {
        let resource = Bytes::from_static(b"0123456789");
        let bad = |edit| Err(edit);
        type Spliced = Result<Option<&'static str>, BadVerdict>;
        let cases: [(&str, Vec<Edit>, Spliced); 10] = [
            ("none", vec![], Ok(None)),
            ("insert at the start", vec![edit(0, 0, "ab")], Ok(Some("ab0123456789"))),
            ("insert at the end", vec![edit(10, 10, "ab")], Ok(Some("0123456789ab"))),
            ("delete", vec![edit(2, 4, "")], Ok(Some("01456789"))),
            ("all", vec![edit(0, 10, "")], Ok(Some(""))),
            ("touching", vec![edit(1, 3, "x"), edit(3, 3, "y"), edit(3, 5, "z")], Ok(Some("0xyz56789"))),
            ("out of range", vec![edit(0, 1, ""), edit(9, 11, "")], bad(BadVerdict::OutOfRange { edit: 1 })),
            ("reversed", vec![edit(4, 3, "")], bad(BadVerdict::Reversed { edit: 0 })),
            ("overlap", vec![edit(1, 5, ""), edit(4, 6, "")], bad(BadVerdict::Unordered { edit: 1 })),
            ("unsorted", vec![edit(5, 6, ""), edit(1, 2, "")], bad(BadVerdict::Unordered { edit: 1 })),
        ];
        for (name, edits, expected) in cases {
            let outcome = Verdict::Edits(edits).apply(&resource);
            let expected = expected.map(|text| match text {
                None => Outcome::Unchanged,
                Some(text) => Outcome::Changed(Bytes::copy_from_slice(text.as_bytes())),
            });
            assert_eq!(outcome, expected, "{name}");
        }
    }

    #[test]
    fn debug_shows_no_bytes() {
        let refusal = Refusal {
            code: "business-rule".into(),
            message: "Doe".into(),
            outcome: Some(b"Doe".to_vec()),
            extras: Vec::new(),
        };
        let verdicts = [
            Verdict::Replace(Bytes::from_static(b"Doe")),
            Verdict::Edits(vec![edit(0, 1, "Doe")]),
            Verdict::Refuse(refusal),
        ];
        for verdict in verdicts {
            assert!(!format!("{verdict:?}").contains("Doe"));
            assert!(!format!("{:?}", verdict.apply(&Bytes::from_static(b"x"))).contains("Doe"));
        }
    }

    #[test]
    fn the_texts_of_a_refusal_are_bounded() {
        let long = Refusal {
            code: "c".repeat(100),
            message: format!("a\nb{}", "m".repeat(5000)),
            outcome: None,
            extras: Vec::new(),
        };
        let Verdict::Refuse(refusal) = Verdict::from(wire::Verdict::Refuse(long)) else { panic!() };
        assert_eq!((refusal.code.len(), refusal.message.len()), (REFUSAL_CODE, REFUSAL_MESSAGE));
        assert!(refusal.message.starts_with("a bm"));
    }

    proptest! {
        /// Every verdict either fails or equals edits done one by one from the back.
        #[test]
        fn splicing_equals_edits_from_the_back(
            resource in proptest::collection::vec(any::<u8>(), 0..40),
            edits in proptest::collection::vec((0u32..44, 0u32..44, proptest::collection::vec(any::<u8>(), 0..4)), 0..4),
        ) {
            let edits: Vec<_> =
                edits.into_iter().map(|(start, end, text)| Edit { start, end, text: text.into() }).collect();
            let mut expected = resource.clone();
            for edit in edits.iter().rev() {
                if edit.start <= edit.end && edit.end as usize <= expected.len() {
                    expected.splice(edit.start as usize..edit.end as usize, edit.text.iter().copied());
                }
            }
            match Verdict::Edits(edits).apply(&resource.clone().into()) {
                Ok(Outcome::Changed(bytes)) => prop_assert_eq!(&bytes[..], &expected[..]),
                Ok(other) => prop_assert_eq!(other, Outcome::Unchanged),
                Err(_) => {}
            }
        }
    }
}
