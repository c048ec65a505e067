use proptest::prelude::*;

use super::*;

/// Writes down what it is told, so that runs over different cuts can be compared.
#[derive(Default, Debug, PartialEq, Clone)]
struct Diary {
    copied: Vec<u8>,
    events: Vec<String>,
}

/// The last member name's first byte is the state; texts below `t…` and extents below `x…` are of interest.
impl Sink for Diary {
    type State = u8;
    fn member(&mut self, _: u8, key: &[u8]) -> u8 {
        key.first().copied().unwrap_or(b'-')
    }
    fn element(&mut self, parent: u8) -> u8 {
        parent
    }
    fn interest(&self, state: u8) -> Interest {
        match state {
            b't' => Interest::Text,
            b'x' => Interest::Extent,
            _ => Interest::None,
        }
    }
    fn copy(&mut self, bytes: &[u8]) {
        self.copied.extend_from_slice(bytes);
    }
    fn text(&mut self, _: u8, raw: &[u8], complete: bool) {
        self.events.push(format!("text {complete} {} at {}", raw.len(), self.copied.len()));
        self.copied.extend_from_slice(raw);
    }
    fn begin(&mut self, _: u8) {
        self.events.push(format!("begin {}", self.copied.len()));
    }
    fn end(&mut self, _: u8) {
        self.events.push(format!("end {}", self.copied.len()));
    }
}

fn run<'a>(cuts: impl Iterator<Item = &'a [u8]>) -> Result<Diary, ErrorKind> {
    let mut diary = Diary::default();
    let mut scanner = Scanner::new(b'-', true);
    for cut in cuts {
        scanner.feed(cut, &mut diary).map_err(|e| e.kind)?;
    }
    scanner.finish().map_err(|e| e.kind)?;
    Ok(diary)
}

fn at_every_cut(text: &[u8]) -> Result<Diary, ErrorKind> {
    let whole = run([text].into_iter());
    for cut in 0..=text.len() {
        let (a, b) = text.split_at(cut);
        assert_eq!(run([a, b].into_iter()), whole, "cut at {cut}");
    }
    assert_eq!(run(text.chunks(1)), whole, "byte by byte");
    whole
}

#[test]
fn every_cut_gives_the_same() {
    let text =
        r#" {"t1":"a\"\u00e9é","x1":{"x2":[1,-0.5e+3,{"t":"in"}],"n":null},"t2":["p",{"q":true}],"":"ü"} "#;
    let diary = at_every_cut(text.as_bytes()).unwrap();
    assert_eq!(diary.copied, text.as_bytes());
    assert_eq!(diary.events.iter().filter(|e| e.starts_with("text")).count(), 3, "{:?}", diary.events);
    assert_eq!(diary.events.iter().filter(|e| e.starts_with("begin")).count(), 3, "{:?}", diary.events);
}

#[test]
fn long_texts_are_handed_on_in_parts() {
    for length in [MAX_TEXT - 1, MAX_TEXT, MAX_TEXT + 1, 3 * MAX_TEXT] {
        let text = format!("{{\"t\":\"{}\",\"u\":1}}", "y".repeat(length));
        for size in [1, 1000, MAX_TEXT, usize::MAX] {
            let diary = run(text.as_bytes().chunks(size)).unwrap();
            assert_eq!(diary.copied, text.as_bytes());
            assert_eq!(diary.events.len(), 1);
        }
    }
}

#[test]
fn faults_are_found_at_every_cut() {
    use ErrorKind::{DuplicateKey, Encoding, Syntax, TooDeep, Trailing, Truncated};
    let deep = format!("{}1{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    assert!(at_every_cut(deep.as_bytes()).is_ok());
    let too_deep = format!("[{deep}]");
    let long_key = format!("{{\"{}\":1}}", "k".repeat(MAX_KEY + 1));
    for (text, kind) in [
        ("", Truncated),
        (" ", Truncated),
        ("{", Truncated),
        (r#"{"a":1"#, Truncated),
        (r#"{"a":tru"#, Truncated),
        (r#""abc"#, Truncated),
        ("-", Truncated),
        ("1.", Truncated),
        ("{} {}", Trailing),
        ("1 2", Trailing),
        (r#"{"a":1,}"#, Syntax),
        (r#"{"a" 1}"#, Syntax),
        (r#"{a:1}"#, Syntax),
        ("[1,]", Syntax),
        ("[,1]", Syntax),
        ("[1 2]", Syntax),
        ("[1}", Syntax),
        (r#"{"a":1]"#, Syntax),
        ("01", Trailing),
        ("[01]", Syntax),
        ("[1.e1]", Syntax),
        ("[+1]", Syntax),
        ("[.5]", Syntax),
        ("nul1", Syntax),
        ("NaN", Syntax),
        ("'a'", Syntax),
        (r#""\x""#, Syntax),
        (r#""\u12g4""#, Syntax),
        ("\"a\nb\"", Syntax),
        ("// c\n{}", Syntax),
        ("\u{feff}{}", Syntax),
        (r#"{"a":1,"a":2}"#, DuplicateKey),
        (r#"{"name":1,"na\u006de":2}"#, DuplicateKey),
        (r#"[{"a":1},{"a":1,"b":{"a":1},"b":0}]"#, DuplicateKey),
        (r#"{"\ud800":1}"#, Encoding),
        (r#""\ud800""#, Encoding),
        (r#""\uDBFF.""#, Encoding),
        (r#""\udc00""#, Encoding),
        (r#""\ud800\ud800""#, Encoding),
        (r#""\ud83d\n""#, Encoding),
        (r#""\ud83d\u0041""#, Encoding),
        (r#""\ud83d\ude0""#, Syntax),
        (r#"{"t":"\ude00\ud83d"}"#, Encoding),
        (&too_deep, TooDeep),
        (&long_key, ErrorKind::TooLong),
        ("[1e1000]", ErrorKind::TooLong),
        ("1E-0001", ErrorKind::TooLong),
    ] {
        assert_eq!(at_every_cut(text.as_bytes()).unwrap_err(), kind, "{text}");
    }
    assert_eq!(at_every_cut(b"\"\xc3\"").unwrap_err(), Encoding);
    assert_eq!(at_every_cut(b"\"\xe2\x82").unwrap_err(), Truncated);
}

#[test]
fn what_the_server_stored_passes() {
    let text = br#"["\ud83d\ude00\uD83D\uDE00","\u0000\uffff"]"#;
    assert_eq!(at_every_cut(text).unwrap().copied, text);
    let mut diary = Diary::default();
    let mut lenient = Scanner::new(b'-', false);
    lenient.feed(br#"["\ud800","\udc00x"]"#, &mut diary).unwrap();
    lenient.finish().unwrap();
}

#[test]
fn an_object_may_not_have_endless_members() {
    let members: Vec<_> = (0..=MAX_MEMBERS).map(|n| format!("\"m{n}\":0")).collect();
    let text = format!("{{{}}}", members.join(","));
    assert_eq!(run([text.as_bytes()].into_iter()).unwrap_err(), ErrorKind::TooLong);
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "\\PC{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            proptest::collection::btree_map("[tx]?\\PC{0,3}", inner, 0..5)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn copies_every_document_whole(value in json(), pretty: bool, size in 1usize..9) {
        let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
        let diary = run(text.chunks(size)).unwrap();
        prop_assert_eq!(&diary.copied, &text);
        prop_assert_eq!(diary, run([text.as_slice()].into_iter()).unwrap());
    }

    #[test]
    fn accepts_what_serde_json_accepts(text in r#"[\[\]{}:, \n"\\a0-9.eE+\-tfn]{0,10}|(true|null|\{"a":|\}|\[|\]|,|1|"b")*"#) {
        let ours = run([text.as_bytes()].into_iter());
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        match ours {
            Ok(_) => prop_assert!(theirs.is_ok(), "{text}"),
            Err(ErrorKind::DuplicateKey | ErrorKind::TooLong) => {}
            Err(_) => prop_assert!(theirs.is_err(), "{text}"),
        }
    }

    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64), size in 1usize..9) {
        let _ = run(bytes.chunks(size));
    }
}
