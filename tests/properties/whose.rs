//! Whose resources are: what is read from their bytes in one walk, and what a whole tree tells.

use proptest::prelude::*;

use crate::fuzz::whose;
use crate::samples::{bundles, ndjson};

/// Texts of strings that say something, some of them with escapes.
const TEXTS: [&str; 20] = [
    "Patient",
    "Observation",
    "Practitioner",
    "Group",
    "Nobody",
    "a",
    "a b",
    "Patient/a",
    "Patient\\/\\u0062",
    "Patient/a/_history/3",
    "http://x/Patient/a",
    "Practitioner/p",
    "#p",
    "urn:uuid:0",
    "Patient/_history/1",
    "Patient/a?x#y",
    "match",
    "",
    "\\ud83d\\ude00",
    "http://x",
];

const NAMES: [&str; 26] = [
    "resourceType",
    "resource",
    "outcome",
    "id",
    "meta",
    "security",
    "tag",
    "system",
    "code",
    "contained",
    "reference",
    "identifier",
    "type",
    "subject",
    "sub\\u006aect",
    "_subject",
    "patient",
    "performer",
    "participant",
    "actor",
    "extension",
    "mode",
    "search",
    "entry",
    "meta.tag",
    "other",
];

/// JSON as it is written: with repeated names, too, and spaces.
fn text() -> impl Strategy<Value = String> {
    let string = prop::sample::select(&TEXTS[..]).prop_map(|text| format!("\"{text}\""));
    let other = prop::sample::select(vec!["null", "true", "-1.20E3", "0", "{}", "[]", "01", "\"\\ud800\""]);
    let leaf = prop_oneof![6 => string, 1 => other.prop_map(str::to_owned)];
    leaf.prop_recursive(6, 60, 6, |inner| {
        let members = prop::collection::vec((prop::sample::select(&NAMES[..]), inner.clone()), 0..6);
        let typed = (prop::sample::select(&TEXTS[..4]), members.clone());
        let written = |members: Vec<(&str, String)>| {
            members.iter().map(|(name, value)| format!(" \"{name}\" :{value}")).collect::<Vec<_>>().join(",")
        };
        prop_oneof![
            3 => members.prop_map(move |members| format!("{{{}}}", written(members))),
            3 => typed.prop_map(move |(ty, members)| {
                let comma = if members.is_empty() { "" } else { "," };
                format!("{{\"resourceType\":\"{ty}\"{comma}{}}}", written(members))
            }),
            2 => prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}\n]", items.join(" , "))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_as_its_tree_is(text in text(), cut in any::<prop::sample::Index>()) {
        whose::agrees(text.as_bytes());
        whose::agrees(&text.as_bytes()[..cut.index(text.len() + 1)]);
    }

    #[test]
    fn what_nests_deep_is_read_as_its_tree_is(depth in 55..70_usize, array: bool) {
        let (open, close) = if array { ("[", "]") } else { ("{\"subject\":", "}") };
        let text = format!("{}\"x\"{}", open.repeat(depth), close.repeat(depth));
        whose::agrees(text.as_bytes());
        whose::agrees(format!("{{\"resource\":{{\"resourceType\":\"Basic\",\"x\":{text}}}}}").as_bytes());
    }
}

#[test]
fn samples_are_read_as_their_trees_are() {
    for sample in bundles() {
        whose::agrees(&sample.bytes);
    }
    for sample in ndjson() {
        sample.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).for_each(whose::agrees);
    }
}
