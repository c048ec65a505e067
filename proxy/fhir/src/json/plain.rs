//! The two inner loops of JSON text: plain string bytes, and UTF-8 across cuts.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// How many bytes from the start are neither a quote, nor a backslash, nor a control character.
#[inline]
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(eight) = bytes.get(at..at + 8) {
        let mut word = [0; 8];
        word.copy_from_slice(eight);
        let word = u64::from_le_bytes(word);
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        // A byte below the bound borrows into its high bit; the lowest set one is exact.
        let hit = (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let hit = hit & HIGHS;
        if hit != 0 {
            return at + (hit.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at + bytes[at..].iter().take_while(|b| **b >= 0x20 && **b != b'"' && **b != b'\\').count()
}

/// Checks UTF-8 in a stream; keeps the start of a character that a cut went through.
#[derive(Debug, Default)]
pub(crate) struct Utf8 {
    held: [u8; 4],
    len: usize,
}

impl Utf8 {
    /// Takes the next bytes. `Err` carries the offset in `chunk` of the faulty character.
    pub(crate) fn feed(&mut self, chunk: &[u8]) -> Result<(), usize> {
        let mut rest = chunk;
        while self.len > 0 {
            let Some((&byte, tail)) = rest.split_first() else { return Ok(()) };
            self.held[self.len] = byte;
            self.len += 1;
            rest = tail;
            match std::str::from_utf8(&self.held[..self.len]) {
                Ok(_) => self.len = 0,
                Err(e) if e.error_len().is_none() => {}
                Err(_) => return Err(0),
            }
        }
        match std::str::from_utf8(rest) {
            Ok(_) => Ok(()),
            Err(e) if e.error_len().is_none() => {
                let tail = &rest[e.valid_up_to()..];
                self.held[..tail.len()].copy_from_slice(tail);
                self.len = tail.len();
                Ok(())
            }
            Err(e) => Err(chunk.len() - rest.len() + e.valid_up_to()),
        }
    }

    /// No character is cut in two.
    pub(crate) fn is_complete(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn plain_len_equals_the_simple_loop(bytes in proptest::collection::vec(
            prop_oneof![Just(b'"'), Just(b'\\'), Just(0x1f), Just(0x20), Just(0x7f), Just(0x80), Just(0xff), any::<u8>()], 0..64,
        )) {
            let simple = bytes.iter().take_while(|b| **b >= 0x20 && **b != b'"' && **b != b'\\').count();
            prop_assert_eq!(plain_len(&bytes), simple);
        }

        #[test]
        fn utf8_in_cuts_equals_utf8_at_once(bytes in proptest::collection::vec(any::<u8>(), 0..12), text in "\\PC{0,12}", size in 1usize..5) {
            for whole in [bytes.as_slice(), text.as_bytes()] {
                let mut utf8 = Utf8::default();
                let ok = whole.chunks(size).all(|c| utf8.feed(c).is_ok()) && utf8.is_complete();
                prop_assert_eq!(ok, std::str::from_utf8(whole).is_ok());
            }
        }
    }
}
