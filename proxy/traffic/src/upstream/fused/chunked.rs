//! The chunked transfer coding (RFC 9112 §7.1), read strictly: lines end with CR LF, nothing else.

use std::ops::Range;

/// Extensions and trailers of one body may take so many bytes together; they are dropped.
pub const MAX_OVERHEAD: usize = 16 << 10;

/// Takes the framing away, in any cuts.
#[derive(Debug, Clone)]
pub struct Chunked {
    state: State,
    overhead: usize,
}

/// What one call made of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Where the payload is now: chunks are moved together.
    pub payload: Range<usize>,
    /// How many bytes were taken. All, unless the body ended.
    pub consumed: usize,
}

/// What is wrong with chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// No hexadecimal number where a chunk begins.
    #[error("a chunk of the answer has no size")]
    Size,
    /// More than 16 digits.
    #[error("the size of a chunk is out of range")]
    TooLarge,
    /// A control character in an extension or a trailer, or a line that does not end with CR LF.
    #[error("a line between the chunks of the answer is malformed")]
    Line,
    /// Something else than CR LF after a chunk's bytes.
    #[error("a chunk of the answer does not end where it should")]
    End,
    /// Extensions or trailers without end.
    #[error("the chunks of the answer carry too many extensions or trailers")]
    Overhead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size { size: u64, digits: u32 },
    AfterSize { size: u64 },
    Extension { size: u64 },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    LastLf,
    Over,
}

const NEXT_CHUNK: State = State::Size { size: 0, digits: 0 };

impl Default for Chunked {
    fn default() -> Self {
        Self { state: NEXT_CHUNK, overhead: 0 }
    }
}

impl Chunked {
    /// Whether the body has ended.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Decodes in place.
    ///
    /// # Errors
    /// The bytes are not chunks. The decoder must not be used any more.
    pub fn decode(&mut self, bytes: &mut [u8]) -> Result<Decoded, ChunkError> {
        let mut payload = 0..0;
        let mut at = 0;
        while at < bytes.len() && !self.is_over() {
            let State::Data { left } = self.state else {
                self.state = self.step(bytes[at])?;
                at += 1;
                continue;
            };
            let there = bytes.len() - at;
            let take = usize::try_from(left).map_or(there, |left| left.min(there));
            if payload.is_empty() {
                payload = at..at + take;
            } else {
                bytes.copy_within(at..at + take, payload.end);
                payload.end += take;
            }
            at += take;
            let left = left - take as u64;
            self.state = if left == 0 { State::DataCr } else { State::Data { left } };
        }
        Ok(Decoded { payload, consumed: at })
    }

    fn step(&mut self, byte: u8) -> Result<State, ChunkError> {
        Ok(match (self.state, byte) {
            (State::Size { digits: 16, .. }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                return Err(ChunkError::TooLarge);
            }
            (State::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (State::Size { digits: 0, .. }, _) => return Err(ChunkError::Size),
            (State::Size { size, .. } | State::AfterSize { size }, b' ' | b'\t') => {
                self.spend()?;
                State::AfterSize { size }
            }
            (State::Size { size, .. } | State::AfterSize { size }, b';') => State::Extension { size },
            (State::Size { size, .. } | State::AfterSize { size } | State::Extension { size }, b'\r') => {
                State::SizeLf { size }
            }
            (State::Size { .. } | State::AfterSize { .. }, _) => return Err(ChunkError::Size),
            (State::Extension { size }, _) if is_text(byte) => {
                self.spend()?;
                State::Extension { size }
            }
            (State::SizeLf { size: 0 }, b'\n') => State::TrailerStart,
            (State::SizeLf { size }, b'\n') => State::Data { left: size },
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => NEXT_CHUNK,
            (State::DataCr | State::DataLf, _) => return Err(ChunkError::End),
            (State::TrailerStart, b'\r') => State::LastLf,
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerStart | State::Trailer, _) if is_text(byte) => {
                self.spend()?;
                State::Trailer
            }
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::LastLf, b'\n') => State::Over,
            // Bytes of a chunk and what comes after the end do not pass here.
            (state @ (State::Data { .. } | State::Over), _) => state,
            _ => return Err(ChunkError::Line),
        })
    }

    fn spend(&mut self) -> Result<(), ChunkError> {
        self.overhead += 1;
        if self.overhead > MAX_OVERHEAD { Err(ChunkError::Overhead) } else { Ok(()) }
    }
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The payload, and how many bytes were taken; fed in pieces of `size`.
    fn decode(wire: &[u8], size: usize) -> Result<(Vec<u8>, usize, bool), ChunkError> {
        let mut chunked = Chunked::default();
        let (mut payload, mut consumed) = (Vec::new(), 0);
        for piece in wire.chunks(size) {
            let mut piece = piece.to_vec();
            let decoded = chunked.decode(&mut piece)?;
            payload.extend_from_slice(&piece[decoded.payload]);
            consumed += decoded.consumed;
        }
        Ok((payload, consumed, chunked.is_over()))
    }

    /// RFC 9112 §7.1 as plainly as it can be put: over a whole body only.
    fn reference(wire: &[u8]) -> Option<(Vec<u8>, usize)> {
        let mut at = 0;
        let line = |at: &mut usize| {
            let rest = &wire[*at..];
            let length = rest.windows(2).position(|pair| pair == b"\r\n")?;
            *at += length + 2;
            rest[..length].iter().all(|byte| is_text(*byte)).then(|| &rest[..length])
        };
        let mut payload = Vec::new();
        loop {
            let size = line(&mut at)?;
            let size = size.split(|byte| *byte == b';').next()?;
            let size = std::str::from_utf8(size).ok()?.trim_end_matches([' ', '\t']);
            if size.is_empty() || size.len() > 16 || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return None;
            }
            let size = usize::from_str_radix(size, 16).ok()?;
            if size == 0 {
                break;
            }
            let end = at.checked_add(size)?;
            payload.extend_from_slice(wire.get(at..end)?);
            at = end;
            if !line(&mut at)?.is_empty() {
                return None;
            }
        }
        while !line(&mut at)?.is_empty() {}
        Some((payload, at))
    }

    #[test]
    fn what_is_wrong_is_refused_at_every_cut() {
        let long = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(MAX_OVERHEAD + 1));
        let trailers = format!("0\r\n{}\r\n", "a: b\r\n".repeat(MAX_OVERHEAD / 4 + 1));
        for (wire, expected) in [
            ("\r\n", ChunkError::Size),
            ("x\r\n", ChunkError::Size),
            ("-1\r\n", ChunkError::Size),
            ("+1\r\n", ChunkError::Size),
            ("0x1\r\n", ChunkError::Size),
            (" 1\r\n", ChunkError::Size),
            ("1 1\r\n", ChunkError::Size),
            ("1\na\r\n", ChunkError::Size),
            ("1;a\nb\r\n", ChunkError::Line),
            ("1;a\0\r\n", ChunkError::Line),
            ("1\rx", ChunkError::Line),
            ("1\r\r\n", ChunkError::Line),
            ("00000000000000001\r\n", ChunkError::TooLarge),
            ("1\r\nab", ChunkError::End),
            ("1\r\na\n", ChunkError::End),
            ("1\r\na\r\r", ChunkError::End),
            ("0\r\na\n", ChunkError::Line),
            ("0\r\n\rx", ChunkError::Line),
            ("0\r\na: b\rx", ChunkError::Line),
            (&long, ChunkError::Overhead),
            (&trailers, ChunkError::Overhead),
        ] {
            for size in 1..=wire.len().min(64) {
                let start = &wire[..wire.len().min(40)];
                assert_eq!(decode(wire.as_bytes(), size), Err(expected), "{start:?} by {size}");
            }
        }
    }

    #[test]
    fn what_is_right_is_read_at_every_cut() {
        for (wire, payload, rest) in [
            ("0\r\n\r\n", "", 0),
            ("000\r\n\r\n", "", 0),
            ("3\r\nabc\r\n0\r\n\r\n", "abc", 0),
            ("3\r\nabc\r\n2\r\nde\r\n00A\r\n0123456789\r\n0\r\n\r\n", "abcde0123456789", 0),
            ("3;a=b;c=\"d e\"\r\nabc\r\n0;x\r\n\r\n", "abc", 0),
            ("3 \t ;a\r\nabc\r\n0 \r\n\r\n", "abc", 0),
            ("1\r\na\r\n0\r\nX-Trailer: 1\r\nContent-Length: 5\r\n\r\n", "a", 0),
            ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", 0),
            ("1\r\na\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n", "a", 17),
        ] {
            for size in 1..=wire.len() {
                let expected = (payload.as_bytes().to_vec(), wire.len() - rest, true);
                assert_eq!(decode(wire.as_bytes(), size), Ok(expected), "{wire:?} by {size}");
            }
        }
    }

    proptest! {
        #[test]
        fn as_the_reference_reads_it(
            chunks in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..300), "(;[ -~]{0,9})?"), 0..6),
            trailers in prop::collection::vec("[a-z]{1,5}: ?[ -~]{0,9}", 0..3),
            spoil in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
            size in 1_usize..400,
        ) {
            let mut wire = Vec::new();
            for (chunk, extension) in &chunks {
                wire.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n");
            for trailer in &trailers {
                wire.extend_from_slice(format!("{trailer}\r\n").as_bytes());
            }
            wire.extend_from_slice(b"\r\n");
            if let Some((at, byte)) = spoil {
                let at = at.index(wire.len());
                wire[at] = byte;
            }
            let decoded = decode(&wire, size).ok().filter(|(_, _, over)| *over);
            let decoded = decoded.map(|(payload, consumed, _)| (payload, consumed));
            prop_assert_eq!(&decoded, &reference(&wire));
            if spoil.is_none() {
                let payload = chunks.into_iter().flat_map(|(chunk, _)| chunk).collect();
                prop_assert_eq!(decoded, Some((payload, wire.len())));
            }
        }
    }
}
