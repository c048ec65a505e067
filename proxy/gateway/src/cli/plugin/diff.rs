//! Two texts, line by line.

use std::fmt::Write as _;
use std::io::IsTerminal;

use similar::{ChangeTag, TextDiff};

/// Lines around a change that are shown with it.
const CONTEXT: usize = 3;

/// The lines that differ, with some around them: `-` only in `old`, `+` only in `new`.
pub(super) fn diff(old: &str, new: &str) -> String {
    let colours = std::io::stdout().is_terminal();
    let paint = |code: &str, line: &str| {
        if colours { format!("\u{1b}[{code}m{line}\u{1b}[0m") } else { line.to_owned() }
    };
    let mut text = String::new();
    let compared = TextDiff::from_lines(old, new);
    for (at, group) in compared.grouped_ops(CONTEXT).iter().enumerate() {
        if at > 0 {
            text.push_str("    …\n");
        }
        for change in group.iter().flat_map(|op| compared.iter_changes(op)) {
            let line = change.value().trim_end_matches('\n');
            let line = match change.tag() {
                ChangeTag::Equal => format!("      {line}"),
                ChangeTag::Delete => paint("31", &format!("    - {line}")),
                ChangeTag::Insert => paint("32", &format!("    + {line}")),
            };
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_that_differ_are_marked() {
        assert_eq!(super::diff("a\nb\nc\n", "a\nB\nc\n"), "      a\n    - b\n    + B\n      c\n");
        assert_eq!(super::diff("a\n", "a\n"), "");
    }
}
