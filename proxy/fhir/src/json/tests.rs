//! The rewriter against serde_json.

use std::path::Path;

use proptest::prelude::*;
use serde_json::Value as Tree;

use super::*;

#[test]
fn accepts_what_rfc_8259_allows() {
    for text in [
        "null",
        " true ",
        "-0",
        "0",
        "-0.10",
        "1.40E2",
        "1e+5",
        "1E-5",
        "\"\"",
        "[]",
        "{}",
        "[ ]",
        "{\n}",
        "[1, 2]",
        r#"{"a":{"a":[{"a":1},{"a":1}]},"b":"\u00e9\/\ud83d\ude00é😀"}"#,
        r#""\u0000\b\f\n\r\t\"\\""#,
    ] {
        assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
        assert_eq!(keep(text.as_bytes()), Ok(text.as_bytes().to_vec()), "{text}");
    }
}

#[test]
fn refuses_with_kind_and_place() {
    use ErrorKind::{DuplicateKey, Encoding, Syntax, TooDeep, Trailing, Truncated};
    let deep = "[".repeat(MAX_DEPTH + 1);
    let deep_objects = r#"{"a":"#.repeat(MAX_DEPTH + 1);
    for (text, kind, offset) in [
        ("", Truncated, 0),
        ("  ", Truncated, 2),
        ("\u{feff}{}", Syntax, 0),
        ("{", Truncated, 1),
        ("{}x", Trailing, 2),
        ("{} {}", Trailing, 3),
        ("[1 2]", Syntax, 3),
        ("[1,]", Syntax, 3),
        ("[,1]", Syntax, 1),
        ("[1}", Syntax, 2),
        (r#"{"a":1]"#, Syntax, 6),
        (r#"{"a":1,}"#, Syntax, 7),
        (r#"{"a" 1}"#, Syntax, 5),
        (r#"{a:1}"#, Syntax, 1),
        (r#"{1:1}"#, Syntax, 1),
        ("01", Trailing, 1),
        ("+1", Syntax, 0),
        ("-", Truncated, 1),
        ("-a", Syntax, 1),
        ("1.", Truncated, 2),
        ("1.e5", Syntax, 2),
        (".5", Syntax, 0),
        ("1e", Truncated, 2),
        ("[1e+]", Syntax, 4),
        ("nul", Truncated, 3),
        ("nulL", Syntax, 3),
        ("True", Syntax, 0),
        ("NaN", Syntax, 0),
        ("'a'", Syntax, 0),
        ("\"a", Truncated, 2),
        ("\"a\\", Truncated, 3),
        ("\"a\nb\"", Syntax, 2),
        ("\"\u{1f}\"", Syntax, 1),
        (r#""\x""#, Encoding, 1),
        (r#""ab\u12g4""#, Encoding, 3),
        (r#""\ud800""#, Encoding, 1),
        (r#""\ud800A""#, Encoding, 1),
        (r#""\udc00""#, Encoding, 1),
        ("/**/1", Syntax, 0),
        (r#"{"a":1,"b":2,"a":3}"#, DuplicateKey, 14),
        (r#"{"a":1,"\u0061":3}"#, DuplicateKey, 8),
        (r#"[{"é":1,"\u00e9":3}]"#, DuplicateKey, 10),
        (&deep, TooDeep, MAX_DEPTH as u64),
        (&deep_objects, TooDeep, 5 * MAX_DEPTH as u64),
    ] {
        let expected = Err(Error { kind, offset });
        assert_eq!(check(text.as_bytes()), expected, "{text}");
        assert_eq!(keep(text.as_bytes()).map(|_| ()), expected, "{text}");
    }
    assert_eq!(check(b"\"\xff\""), Err(Error { kind: Encoding, offset: 1 }));
    let limit = "[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH);
    assert_eq!(check(limit.as_bytes()), Ok(()));
}

#[test]
fn finds_a_repeated_name_among_many() {
    for count in [10usize, 64, 65, 66, 1_000] {
        for twin in ["\"n7\":0", r#""\u006e7":0"#] {
            let members: Vec<_> = (0..count).map(|n| format!("\"n{n}\":{n}")).collect();
            let unique = format!("{{{}}}", members.join(","));
            assert_eq!(check(unique.as_bytes()), Ok(()), "{count}");
            let repeated = format!("{{{},{twin}}}", members.join(","));
            let error = check(repeated.as_bytes()).unwrap_err();
            let place = repeated.len() as u64 - twin.len() as u64;
            assert_eq!(error, Error { kind: ErrorKind::DuplicateKey, offset: place }, "{count} {twin}");
        }
    }
}

#[test]
fn drops_with_the_comma_and_without_leaving_empty_containers() {
    for (text, expected) in [
        (r#"{"x":1}"#, "{}"),
        (r#"{ "x" : 1 , "a" : 2 }"#, r#"{ "a" : 2 }"#),
        (r#"{ "a" : 2 , "x" : 1 }"#, r#"{ "a" : 2 }"#),
        (r#"{"x":1,"a":1,"x2":1,"x3":[1],"b":1,"x4":{}}"#, r#"{"a":1,"b":1}"#),
        (r#"{"a":1,"x":1,"x2":1}"#, r#"{"a":1}"#),
        (r#"{"a":{"x":1}}"#, "{}"),
        (r#"{"a":{"x":1},"b":[{"x":1},{"x":1,"x2":2}]}"#, "{}"),
        (r#"{"a":[{"x":1},{"b":1},{"x":1}],"c":0}"#, r#"{"a":[{"b":1}],"c":0}"#),
        (r#"{"a":{},"b":[],"c":[[]]}"#, r#"{"a":{},"b":[],"c":[[]]}"#),
        (r#"{"r":1,"x":2,"r2":{"a":1}}"#, r#"{"r":"new","r2":"new"}"#),
        (r#"{"a":[1,2],"\u0078":2,"y":[{"r":0},{"x":0}]}"#, r#"{"a":[1,2],"y":[{"r":"new"}]}"#),
    ] {
        let rewrite = transform(text.as_bytes(), |path, _, out| {
            let name = path.rsplit('.').next().unwrap_or_default();
            match name.as_bytes().first() {
                Some(b'x') => Step::Drop,
                Some(b'r') => {
                    write_string(out, "new");
                    Step::Replace
                }
                _ => Step::Enter(()),
            }
        })
        .unwrap();
        assert_eq!(String::from_utf8(rewrite.apply(text.as_bytes())).unwrap(), expected, "{text}");
    }
}

#[test]
fn blanks_keep_the_places_of_an_array() {
    for (text, expected) in [
        (r#"{"a":[{"x":1},{"b":2}]}"#, r#"{"a":[null,{"b":2}]}"#),
        (r#"{"a":[null,{"b":2},5]}"#, r#"{"a":[null,{"b":2},null]}"#),
        (r#"{"a":[{"x":1},null,{"x":{}}],"b":1}"#, r#"{"b":1}"#),
        (r#"{"b":1,"a":[{"x":1}]}"#, r#"{"b":1}"#),
    ] {
        let rewrite = transform(text.as_bytes(), |path, value, _| match (path, value.kind()) {
            ("a", Kind::Array) => Step::Enter(()),
            ("a", Kind::Object) => Step::EnterOrBlank(()),
            ("a", _) => Step::Blank,
            ("a.x", _) => Step::Drop,
            _ => Step::Keep,
        })
        .unwrap();
        assert_eq!(String::from_utf8(rewrite.apply(text.as_bytes())).unwrap(), expected, "{text}");
    }
}

#[test]
fn paths_are_unambiguous() {
    let text = br#"{"a.b":1,"a":{"b":2,"c":[{"d":3}]},"a\\":{"b":4},"":{"a":5}}"#;
    let mut paths = Vec::new();
    transform(text, |path, _, _| {
        paths.push(path.to_owned());
        Step::Enter(())
    })
    .unwrap();
    assert_eq!(paths, ["a\\.b", "a", "a.b", "a.c", "a.c", "a.c.d", "a\\\\", "a\\\\.b", "", ".a"]);
}

/// Appends at every container's end, and late at the first one's.
struct Append(Option<Slot>);

impl Visitor for Append {
    type State = bool;

    fn member(&mut self, _: bool, key: &Key<'_>, value: &Value<'_>, _: &mut Vec<u8>) -> Step<bool> {
        if key.name() == "x" { Step::Drop } else { Step::Enter(value.kind() == Kind::Array) }
    }

    fn element(&mut self, _: bool, _: usize, value: &Value<'_>, _: &mut Vec<u8>) -> Step<bool> {
        Step::Enter(value.kind() == Kind::Array)
    }

    fn leave(&mut self, array: bool, end: Slot, append: &mut Appender<'_>) {
        match self.0.take() {
            None => self.0 = Some(end),
            Some(first) => {
                append.append(first, |out| out.extend_from_slice(b"\"late\":0"));
                append.append(end, |out| out.extend_from_slice(if array { b"9" } else { b"\"n\":9" }));
            }
        }
    }
}

#[test]
fn appends_now_and_later() {
    for (text, expected) in [
        (r#"{"a":{"b":1 },"c":2 }"#, r#"{"a":{"b":1,"late":0 },"c":2,"n":9 }"#),
        (r#"{"a":{"b":1,"x":1},"x":2 }"#, r#"{"a":{"b":1,"late":0},"n":9 }"#),
        (r#"[{"b":1}]"#, r#"[{"b":1,"late":0},9]"#),
    ] {
        let rewrite = rewrite(text.as_bytes(), text.starts_with("["), &mut Append(None)).unwrap();
        assert_eq!(String::from_utf8(rewrite.apply(text.as_bytes())).unwrap(), expected, "{text}");
    }
}

#[test]
fn looks_up_members() {
    let text = br#" {"a":[1,{"b":2}], "\u0062":"x\n", "c" : 1.50 , "d":{"e":[]}}  rest"#;
    assert_eq!(member(text, "b").unwrap().string().unwrap(), "x\n");
    assert_eq!(member(text, "b").unwrap().plain_string(), None);
    assert_eq!(member(text, "c").unwrap().raw(), b"1.50");
    assert_eq!(member(text, "d").unwrap().member("e").unwrap().kind(), Kind::Array);
    assert_eq!(member(text, "a").unwrap().whole().unwrap(), br#"[1,{"b":2}]"#);
    assert_eq!(member(text, "c").unwrap().whole().unwrap(), b"1.50");
    assert!(member(text, "e").is_none() && member(b"[]", "e").is_none() && member(b"{\"a\":", "b").is_none());
    assert_eq!(resource_type_of(br#"{"resourceType":"Pat\u0069ent"}"#).as_deref(), Some("Patient"));
    assert_eq!(resource_type_of(br#"{"resourceType":1}"#), None);
}

#[test]
fn samples_stay_byte_identical() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fhir-samples");
    let mut texts = 0;
    for group in ["synthea-2.7-bundles", "synthea-2019-bundles", "synthea-ndjson", "fhir-loader-samples"] {
        let Ok(files) = std::fs::read_dir(folder.join(group)) else {
            println!("skipped: no samples in ../shared");
            return;
        };
        for file in files {
            let path = file.unwrap().path();
            let lines = path.extension().is_some_and(|e| e == "ndjson");
            if !lines && path.extension().is_none_or(|e| e != "json") {
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            let bodies: Vec<&[u8]> =
                if lines { bytes.split(|b| *b == b'\n').collect() } else { vec![&bytes] };
            for body in bodies.into_iter().filter(|body| !body.trim_ascii().is_empty()) {
                let rewrite = transform(body, |_, _, _| Step::Enter(())).unwrap();
                assert!(rewrite.is_unchanged());
                assert!(rewrite.apply(body) == body, "{}", path.display());
                texts += 1;
            }
        }
    }
    assert!(texts > 5_000, "{texts}");
}

fn keep(text: &[u8]) -> Result<Vec<u8>, Error> {
    Ok(transform(text, |_, _, _| Step::Enter(()))?.apply(text))
}

/// JSON texts with any spacing, numbers as people write them, and escapes where none is needed.
fn json() -> impl Strategy<Value = String> {
    let space = || prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\n\t"), 1 => Just("\r\n  ")];
    let string = || {
        proptest::collection::vec(
            prop_oneof![
                8 => "[a-e]{1,9}",
                2 => Just(r"\u0061".to_owned()),
                1 => Just(r#"\"\\\/\n"#.to_owned()),
                1 => Just(r"\ud83d\ude00".to_owned()),
                1 => Just("é😀\u{2028}".to_owned()),
            ],
            0..3,
        )
        .prop_map(|parts| format!("\"{}\"", parts.concat()))
    };
    let scalar = prop_oneof![
        4 => string(),
        2 => "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
        1 => prop_oneof![Just("true"), Just("false"), Just("null")].prop_map(str::to_owned),
    ];
    let value = scalar.prop_recursive(6, 64, 8, move |inner| {
        let element = (space(), inner.clone(), space()).prop_map(|(a, v, b)| format!("{a}{v}{b}"));
        let member = (space(), string(), space(), space(), inner, space());
        let array = (proptest::collection::vec(element, 0..6), space()).prop_map(|(items, s)| {
            if items.is_empty() { format!("[{s}]") } else { format!("[{}]", items.join(",")) }
        });
        let object = (proptest::collection::vec(member, 0..6), space()).prop_map(|(members, s)| {
            let mut names = std::collections::HashSet::new();
            let members: Vec<_> = members
                .into_iter()
                .filter(|(_, name, ..)| names.insert(serde_json::from_str::<String>(name).unwrap()))
                .map(|(a, name, b, c, value, d)| format!("{a}{name}{b}:{c}{value}{d}"))
                .collect();
            if members.is_empty() { format!("{{{s}}}") } else { format!("{{{}}}", members.join(",")) }
        });
        prop_oneof![array, object]
    });
    (space(), value, space()).prop_map(|(a, v, b)| format!("{a}{v}{b}"))
}

/// What becomes of a place: the same for the rewriter and the oracle.
fn verdict(path: &str, seed: u32) -> Step<()> {
    match (Fingerprint::of(path.as_bytes()).hash() ^ seed.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b)
        >> 28
    {
        0..=2 => Step::Drop,
        3 => Step::Replace,
        4 => Step::Keep,
        5 => Step::Blank,
        6..=7 => Step::EnterOrBlank(()),
        _ => Step::Enter(()),
    }
}

/// A tree with what says nothing marked: `Err` for a blank.
type Oracle = Option<Result<Tree, ()>>;

fn oracle(path: &str, value: Tree, seed: u32, root: bool) -> Oracle {
    let step = if root { Step::Enter(()) } else { verdict(path, seed) };
    let emptied = match step {
        _ if root => None,
        Step::EnterOrBlank(()) => Some(Err(())),
        _ => None,
    };
    match (step, value) {
        (Step::Drop, _) => None,
        (Step::Blank, _) => Some(Err(())),
        (Step::Replace, _) => Some(Ok(Tree::from("new"))),
        (Step::Enter(()) | Step::EnterOrBlank(()), Tree::Array(items)) if !items.is_empty() => {
            let items: Vec<_> =
                items.into_iter().filter_map(|item| oracle(path, item, seed, false)).collect();
            let left = root || items.iter().any(Result::is_ok);
            let items = items.into_iter().map(Result::unwrap_or_default).collect();
            if left { Some(Ok(Tree::Array(items))) } else { emptied }
        }
        (Step::Enter(()) | Step::EnterOrBlank(()), Tree::Object(members)) if !members.is_empty() => {
            let members: Vec<_> = members
                .into_iter()
                .filter_map(|(name, item)| {
                    let inner = if root { name.clone() } else { format!("{path}.{name}") };
                    Some((name, oracle(&inner, item, seed, false)?))
                })
                .collect();
            let left = root || members.iter().any(|(_, item)| item.is_ok());
            let members = members.into_iter().map(|(name, item)| (name, item.unwrap_or_default())).collect();
            if left { Some(Ok(Tree::Object(members))) } else { emptied }
        }
        (_, value) => Some(Ok(value)),
    }
}

proptest! {
    #[test]
    fn keeps_every_byte(text in json()) {
        prop_assert_eq!(check(text.as_bytes()), Ok(()));
        prop_assert_eq!(keep(text.as_bytes()).unwrap(), text.as_bytes());
    }

    #[test]
    fn rewrites_as_a_tree_would(text in json(), seed in any::<u32>()) {
        // Backslashes double in paths; the oracle would have to do so level by level.
        prop_assume!(!text.contains(r"\\"));
        let expected = oracle("", serde_json::from_str(&text).unwrap(), seed, true).unwrap().unwrap();
        let rewrite = transform(text.as_bytes(), |path, _, out| {
            out.extend_from_slice(b"\"new\"");
            verdict(path, seed)
        }).unwrap();
        let result = rewrite.apply(text.as_bytes());
        let actual: Tree = serde_json::from_slice(&result).unwrap();
        prop_assert_eq!(actual, expected);
    }

    #[test]
    fn agrees_with_serde_json_on_what_is_valid(
        text in json(), cut in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = text.into_bytes();
        let at = cut.index(bytes.len());
        bytes[at] = byte;
        let ours = check(&bytes);
        let theirs = serde_json::from_slice::<Tree>(&bytes);
        match ours {
            Ok(()) => prop_assert!(theirs.is_ok()),
            Err(Error { kind: ErrorKind::DuplicateKey, .. }) => {}
            Err(_) => prop_assert!(theirs.is_err()),
        }
    }

    #[test]
    fn never_panics(bytes in proptest::collection::vec(prop_oneof![
        any::<u8>(), Just(b'"'), Just(b'\\'), Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b':'), Just(b','),
        Just(b'u'), Just(b'd'), Just(b'8'), Just(b'1'), Just(b'-'), Just(b'.'), Just(b'e'), Just(b' '),
    ], 0..40)) {
        prop_assert_eq!(check(&bytes), keep(&bytes).map(|_| ()));
        let _ = (member(&bytes, "a"), resource_type_of(&bytes));
    }
}
