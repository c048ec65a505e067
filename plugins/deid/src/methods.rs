//! What the methods do to single values.

pub(crate) mod date;
pub(crate) mod reference;
pub(crate) mod sampled_data;
pub(crate) mod zip_code;

/// Whether an age, as JSON writes the number, is more than 89 (45 CFR 164.514(b)(2)(i)(C)). What is no
/// number counts as more.
pub(crate) fn is_over_89(number: &[u8]) -> bool {
    let number = std::str::from_utf8(number).ok().and_then(|text| text.parse::<f64>().ok());
    number.is_none_or(|age| age > 89.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_over_89() {
        for (number, over) in [
            ("89", false),
            ("89.0", false),
            ("8.9e1", false),
            ("89.01", true),
            ("9E1", true),
            ("-3", false),
            ("x", true),
        ] {
            assert_eq!(is_over_89(number.as_bytes()), over, "{number}");
        }
    }
}
