//! Names of objects.

/// The longest name, in bytes.
const LONGEST: usize = 512;
/// The longest segment: what file systems take.
const LONGEST_SEGMENT: usize = 255;

/// Whether this names an object: segments of letters, digits, `.`, `-`, `_` and `=`, separated by `/`. None begins with
/// a dot: so there is no `..`, and room for the files that are being written.
pub fn is_object_name(text: &str) -> bool {
    text.len() <= LONGEST && text.split('/').all(is_segment)
}

/// Whether names can begin so.
pub(super) fn is_prefix(text: &str) -> bool {
    let (folder, last) = text.rsplit_once('/').map_or((None, text), |(folder, last)| (Some(folder), last));
    text.len() <= LONGEST && folder.is_none_or(is_object_name) && (last.is_empty() || is_segment(last))
}

fn is_segment(segment: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_=".contains(&byte);
    (1..=LONGEST_SEGMENT).contains(&segment.len()) && !segment.starts_with('.') && segment.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_cannot_lead_elsewhere() {
        let long = "a/".repeat(255);
        for (name, name_too, prefix_too) in [
            ("a", true, true),
            ("year=2026/month=01/part-0.ndjson", true, true),
            ("A_b.C-9", true, true),
            (&format!("{long}ab"), true, true),
            (&format!("{long}abc"), false, false),
            (&"a".repeat(255), true, true),
            (&"a".repeat(256), false, false),
            ("a/", false, true),
            ("", false, true),
            ("/", false, false),
            ("/a", false, false),
            ("a//b", false, false),
            (".", false, false),
            ("..", false, false),
            ("a/../b", false, false),
            ("a/..", false, false),
            (".hidden", false, false),
            ("a/.b", false, false),
            ("a\\b", false, false),
            ("a b", false, false),
            ("a\0", false, false),
            ("ä", false, false),
            ("a:b", false, false),
            ("a%2fb", false, false),
        ] {
            assert_eq!((is_object_name(name), is_prefix(name)), (name_too, prefix_too), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_name_stays_below_its_folder(text in "[a.=/ \\\\-]{0,12}") {
            if is_object_name(&text) {
                let path = std::path::Path::new(&text);
                prop_assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))));
                prop_assert!((0..=text.len()).all(|end| is_prefix(&text[..end]) || text[..end].ends_with("/.")));
            }
        }
    }
}
