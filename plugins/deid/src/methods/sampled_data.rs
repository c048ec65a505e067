//! `SampledData.data`, the one string that stays as a measurement.

/// Whether a text has the form that R4 gives it: numbers, `E`, `U` and `L`, with one space between.
pub(crate) fn is_valid(text: &str) -> bool {
    text.split(' ').all(|item| matches!(item, "E" | "U" | "L") || is_number(item))
}

/// `-12.5`, `.5`, `3`
fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or(("", text));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !fraction.is_empty() && digits(fraction) && digits(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_only() {
        for (text, valid) in [
            ("2041 2043 -12.5 .5 E U L", true),
            ("0", true),
            ("", false),
            ("1  2", false),
            (" 1", false),
            ("1.", false),
            ("--1", false),
            ("1.2.3", false),
            ("1 EU", false),
            ("1 2 Miller", false),
            ("1,2", false),
            ("１", false),
        ] {
            assert_eq!(is_valid(text), valid, "{text}");
        }
    }
}
