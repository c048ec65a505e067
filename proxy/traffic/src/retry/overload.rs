//! How HAPI says that it has no database connection left: neither 429 nor 503, but a 500 with one of two texts.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// This much of an answer is looked at.
pub const LOOK: usize = 8 << 10;

/// Of Spring and of the connection pool. Thrown before a transaction begins; but HAPI runs the reads of a Bundle after
/// its commit, and one of them may say so of writes that are stored (decision 0009).
static TEXTS: LazyLock<[Finder<'static>; 2]> = LazyLock::new(|| {
    [
        Finder::new("CannotCreateTransactionException: Could not open JPA EntityManager"),
        Finder::new("Connection is not available, request timed out after"),
    ]
});

/// Whether the body of a 500 says so.
pub fn says_overloaded(body: &[u8]) -> bool {
    let looked_at = &body[..body.len().min(LOOK)];
    TEXTS.iter().any(|text| text.find(looked_at).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_texts_count() {
        for (text, expected) in [
            (
                "HAPI-0389: Failed to call access method: org.springframework.transaction.CannotCreateTransactionException: \
                 Could not open JPA EntityManager for transaction",
                true,
            ),
            ("HikariPool-1 - Connection is not available, request timed out after 1002ms (total=5)", true),
            ("HAPI-0389: Failed to call access method: java.lang.NullPointerException", false),
            ("the connection is not available", false),
            ("", false),
        ] {
            assert_eq!(says_overloaded(text.as_bytes()), expected, "{text}");
        }
    }
}
