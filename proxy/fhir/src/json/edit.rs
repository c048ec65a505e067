//! The outcome of rewriting: which bytes of the text give way to which.

/// A change to a text: the bytes from `start` up to, not including, `end` give way to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edit {
    start: u32,
    end: u32,
    from: u32,
    to: u32,
}

/// All changes to one text, in order and without overlap. What no edit covers keeps its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewrite {
    edits: Vec<Edit>,
    text: Vec<u8>,
}

/// The end of an object or array, where an item can be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    at: usize,
    follows: bool,
}

/// Takes items to append at a [`Slot`].
#[derive(Debug)]
pub struct Appender<'r> {
    appended: &'r mut Vec<Edit>,
    text: &'r mut Vec<u8>,
}

impl Edit {
    pub(super) fn new(start: usize, end: usize, from: usize, to: usize) -> Self {
        Self { start: start as u32, end: end as u32, from: from as u32, to: to as u32 }
    }

    pub(super) fn extend(&mut self, end: usize) {
        self.end = end as u32;
    }
}

impl Rewrite {
    pub(super) fn new(mut edits: Vec<Edit>, text: Vec<u8>, appended: Vec<Edit>) -> Self {
        if !appended.is_empty() {
            edits.extend(appended);
            // Stable: an item appended where a dropped one ended comes after it.
            edits.sort_by_key(|edit| edit.start);
        }
        Self { edits, text }
    }

    /// Nothing changes.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.edits.is_empty()
    }

    /// The changes as `(start, end, replacement)`, in order and without overlap.
    pub fn edits(&self) -> impl ExactSizeIterator<Item = (usize, usize, &[u8])> {
        self.edits.iter().map(|edit| (edit.start as usize, edit.end as usize, self.text_of(edit)))
    }

    /// Everything the visitor appended to `out`, at the offsets it had there: a place holder written then
    /// can be filled now. The length of a replacement is settled.
    pub fn replacements_mut(&mut self) -> &mut [u8] {
        &mut self.text
    }

    /// The changed text. `original` is the text that was rewritten.
    #[must_use]
    pub fn apply(&self, original: &[u8]) -> Vec<u8> {
        let change = |edit: &Edit| (edit.to - edit.from) as usize;
        let (added, removed) = self.edits.iter().fold((0, 0), |(added, removed), edit| {
            (added + change(edit), removed + (edit.end - edit.start) as usize)
        });
        let mut result = Vec::with_capacity((original.len() + added).saturating_sub(removed));
        let mut copied = 0;
        for edit in &self.edits {
            let start = (edit.start as usize).max(copied);
            result.extend_from_slice(&original[copied..start]);
            result.extend_from_slice(self.text_of(edit));
            copied = (edit.end as usize).max(copied);
        }
        result.extend_from_slice(&original[copied..]);
        result
    }

    fn text_of(&self, edit: &Edit) -> &[u8] {
        &self.text[edit.from as usize..edit.to as usize]
    }
}

impl Slot {
    pub(super) fn new(at: usize, follows: bool) -> Self {
        Self { at, follows }
    }

    /// No item is left in the container: unless one is appended, it goes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.follows
    }
}

impl<'r> Appender<'r> {
    pub(super) fn new(appended: &'r mut Vec<Edit>, text: &'r mut Vec<u8>) -> Self {
        Self { appended, text }
    }

    /// Appends what `write` writes: an element, or a member with its name; several of them with commas
    /// between. Use a slot once. A slot remembered from before must be in a container that stays.
    pub fn append(&mut self, slot: Slot, write: impl FnOnce(&mut Vec<u8>)) {
        let from = self.text.len();
        if slot.follows {
            self.text.push(b',');
        }
        write(self.text);
        self.appended.push(Edit::new(slot.at, slot.at, from, self.text.len()));
    }
}
