use proptest::prelude::*;

use super::scan::{MAX_TAG, Scanner};
use super::*;
use crate::json::scan::{Interest, MAX_TEXT, Sink};

/// Writes what it is told, and asks for every value.
#[derive(Default)]
struct Echo {
    out: Vec<u8>,
    told: Vec<String>,
}

impl Sink for Echo {
    /// How deep it is.
    type State = usize;

    fn member(&mut self, parent: usize, key: &[u8]) -> usize {
        self.told.push(format!("{parent}.{}", String::from_utf8_lossy(key)));
        parent + 1
    }

    fn element(&mut self, parent: usize) -> usize {
        parent
    }

    fn interest(&self, _: usize) -> Interest {
        Interest::Text
    }

    fn copy(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn text(&mut self, _: usize, raw: &[u8], complete: bool) {
        self.told.push(format!("{}{complete}", String::from_utf8_lossy(raw)));
        self.out.extend_from_slice(raw);
    }

    fn begin(&mut self, _: usize) {}
    fn end(&mut self, _: usize) {}

    fn resource(&mut self, _: usize, resource_type: &[u8]) {
        self.told.push(String::from_utf8_lossy(resource_type).into_owned());
    }
}

fn scan(text: &[u8], size: usize, strict: bool) -> Result<Echo, ErrorKind> {
    let (mut scanner, mut echo) = (Scanner::new(0, strict), Echo::default());
    for chunk in text.chunks(size.max(1)) {
        scanner.feed(chunk, &mut echo).map_err(|error| error.kind)?;
    }
    scanner.finish().map_err(|error| error.kind)?;
    Ok(echo)
}

fn at_every_cut(text: &[u8]) -> Result<Echo, ErrorKind> {
    let whole = scan(text, text.len(), true);
    for size in [1, 2, 7, 64] {
        match (&whole, scan(text, size, true)) {
            (Ok(whole), Ok(cut)) => assert_eq!((&whole.out, &whole.told), (&cut.out, &cut.told)),
            (Err(whole), cut) => assert_eq!(Some(*whole), cut.err(), "{}", String::from_utf8_lossy(text)),
            (Ok(_), Err(error)) => panic!("{error:?}: {}", String::from_utf8_lossy(text)),
        }
    }
    whole
}

/// A Patient with this in it.
fn patient(inside: &str) -> String {
    format!("<Patient xmlns=\"{FHIR}\">{inside}</Patient>")
}

fn narrative(inside: &str) -> String {
    patient(&format!("<text><status value=\"generated\"/><div xmlns=\"{XHTML}\">{inside}</div></text>"))
}

#[test]
fn what_is_sound_passes_byte_for_byte() {
    for text in [
        patient(""),
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Patient xmlns='{FHIR}' />\n<!-- end -->\n"),
        format!("<?xml version='1.0'?><!-- a - b --><Patient\n\txmlns = \"{FHIR}\"\r\n/>"),
        patient(
            "<id value=\"1\"/><name><given value='a\"b'/><given value=\"&amp;&#228;&#xe4;&lt;>\"/></name>",
        ),
        patient("<extension url=\"http://x/y\"><valueString value=\"é\"/></extension>"),
        patient("<birthDate id=\"a\" value=\"1970-01-01\"><extension url=\"x\"/></birthDate>"),
        patient(&format!(
            "<contained><Observation xmlns=\"{FHIR}\"><id value=\"o\"/></Observation></contained>"
        )),
        narrative("Text &amp; <b class=\"x\">bold</b><br/><![CDATA[ <a> ]] ]]><p xml:lang=\"de\">]] ></p>"),
        patient("<unknownElement value=\"x\"><!----></unknownElement  >"),
    ] {
        let echo = at_every_cut(text.as_bytes()).unwrap_or_else(|kind| panic!("{kind:?}: {text}"));
        assert_eq!(String::from_utf8(echo.out).unwrap(), text);
    }
}

#[test]
fn the_rest_is_refused_however_it_is_cut() {
    use ErrorKind::{
        Attribute, Dtd, Duplicate, Encoding, Instruction, Namespace, Structure, Syntax, TooDeep, TooLong,
        Trailing, Truncated,
    };
    let deep = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
    let many: String = (0..65).map(|n| format!(" a{n}=\"\"")).collect();
    let long = format!(" a=\"{0}\" b=\"{0}\" c=\"{0}\" d=\"{0}\" e=\"{0}\"", "x".repeat(MAX_TEXT));
    for (text, kind) in [
        (String::new(), Truncated),
        (" ".to_owned(), Truncated),
        ("{}".to_owned(), Syntax),
        ("<Patient/>".to_owned(), Namespace),
        ("<Patient xmlns=\"http://hl7.org/fhir/\"/>".to_owned(), Namespace),
        ("<Patient xmlns=\"http&#58;//hl7.org/fhir\"/>".to_owned(), Namespace),
        (format!("<f:Patient xmlns:f=\"{FHIR}\"/>"), Namespace),
        (format!("<Patient xmlns=\"{FHIR}\" xmlns:x=\"y\"/>"), Namespace),
        (patient("<id xmlns=\"urn:x\" value=\"1\"/>"), Namespace),
        (patient("<x:id value=\"1\"/>"), Namespace),
        (patient("<text><div>x</div></text>"), Namespace),
        (patient(&format!("<text><div xmlns=\"{FHIR}\">x</div></text>")), Namespace),
        (narrative("<p xmlns=\"urn:x\"/>"), Namespace),
        (narrative("<x:p/>"), Namespace),
        (narrative("<p x:href=\"y\"/>"), Namespace),
        (format!("<!DOCTYPE Patient><Patient xmlns=\"{FHIR}\"/>"), Dtd),
        (format!("<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>{}", patient("")), Dtd),
        (patient("<id value=\"&e;\"/>"), Dtd),
        (narrative("&nbsp;"), Dtd),
        (narrative("&averyveryverylongname;"), Dtd),
        (format!("<?xml-stylesheet href=\"x\"?>{}", patient("")), Instruction),
        (format!(" <?xml version=\"1.0\"?>{}", patient("")), Instruction),
        (patient("<?x y?>"), Instruction),
        (format!("<?xml version=\"1.1\"?>{}", patient("")), Syntax),
        (format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?>{}", patient("")), Encoding),
        (format!("<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>{}", patient("")), Encoding),
        (format!("<?xml version=\"1.0\" odd=\"x\"?>{}", patient("")), Syntax),
        (format!("\u{feff}{}", patient("")), Encoding),
        (patient("<id value=\"\u{1}\"/>"), Encoding),
        (patient("<id value=\"\u{fffe}\"/>"), Encoding),
        (patient("<id value=\"&#1;\"/>"), Encoding),
        (patient("<id value=\"&#xd800;\"/>"), Encoding),
        (patient("<id value=\"&#x110000;\"/>"), Encoding),
        (patient("<id value=\"&#;\"/>"), Syntax),
        (patient("<id value=\"&#xg;\"/>"), Syntax),
        (patient("<id value=\"& \"/>"), Syntax),
        (patient("<id value=\"&;\"/>"), Syntax),
        (patient("<id value=\"a<b\"/>"), Syntax),
        (patient("<id value=1/>"), Syntax),
        (patient("<id value/>"), Syntax),
        (patient("<id value=\"1\" value=\"2\"/>"), Syntax),
        (patient("<id value=\"1\"value=\"2\"/>"), Syntax),
        (patient("<id id=\"1\"value=\"2\"/>"), Syntax),
        (patient("<id value=\"1\" / >"), Syntax),
        (patient("< id/>"), Syntax),
        (patient("<>"), Syntax),
        (patient("<é/>"), Syntax),
        (patient("<:id/>"), Syntax),
        (narrative("<a href:=\"x\"/>"), Syntax),
        (narrative("<a x:y:z=\"x\"/>"), Syntax),
        (patient("</id>"), Syntax),
        (patient("<id></ id>"), Syntax),
        (patient("<name></nam>"), Syntax),
        (patient("<!-- -- -->"), Syntax),
        (patient("<!-- x --->"), Syntax),
        (narrative("]]>"), Syntax),
        (patient("text"), Structure),
        (patient("<![CDATA[x]]>"), Structure),
        (patient("&amp;"), Structure),
        (patient("<Observation/>"), Structure),
        (patient("<name><Observation/></name>"), Structure),
        (patient("<contained><Observation/><Observation/></contained>"), Structure),
        (patient("<contained><Observation/><id value=\"1\"/></contained>"), Structure),
        (patient("<contained><id value=\"1\"/><Observation/></contained>"), Structure),
        (patient("<resourceType value=\"Observation\"/>"), Structure),
        (patient("<_id value=\"1\"/>"), Structure),
        (patient(&format!("<div xmlns=\"{XHTML}\"/>")), Structure),
        (patient(&format!("<name><div xmlns=\"{XHTML}\"/></name>")), Structure),
        (patient(&format!("<unknown><text><div xmlns=\"{XHTML}\"/></text></unknown>")), Structure),
        (format!("<patient xmlns=\"{FHIR}\"/>"), Structure),
        (patient("<id VALUE=\"1\"/>"), Attribute),
        (patient("<name url=\"x\"/>"), Attribute),
        (format!("<Patient xmlns=\"{FHIR}\" id=\"1\"/>"), Attribute),
        (patient("<id value=\"1\"/><id value=\"2\"/>"), Duplicate),
        (patient("<name><family value=\"1\"/><given/><family value=\"2\"/></name>"), Duplicate),
        (format!("{}{}", patient(""), patient("")), Trailing),
        (format!("{}x", patient("")), Trailing),
        (patient(&deep(64)), TooDeep),
        (narrative(&deep(254)), TooDeep),
        (narrative(&format!("<p{many}/>")), TooLong),
        (narrative(&format!("<p{long}/>")), TooLong),
        (narrative(&format!("<{}/>", "a".repeat(65))), TooLong),
        (patient("<id value=\"1\""), Syntax),
        (patient("<name>"), Syntax),
        (format!("<Patient xmlns=\"{FHIR}\"><name>"), Truncated),
        (format!("<Patient xmlns=\"{FHIR}\"><!-- "), Truncated),
    ] {
        assert_eq!(at_every_cut(text.as_bytes()).err(), Some(kind), "{}", &text[..text.len().min(200)]);
    }
    for text in
        [patient(&deep(63)), narrative(&deep(253)), narrative(&format!("<p{}/>", &long[..MAX_TAG - 10_000]))]
    {
        let closed = text.replace("x/>", "x\"/>");
        assert!(at_every_cut(closed.as_bytes()).is_ok(), "{}", &closed[..100]);
    }
    assert_eq!(
        at_every_cut(b"<Patient xmlns=\"http://hl7.org/fhir\"><id value=\"\xff\"/>").err(),
        Some(Encoding)
    );
    assert_eq!(
        at_every_cut("<".encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>().as_slice()).err(),
        Some(Encoding)
    );
}

#[test]
fn what_the_server_has_stored_may_say_more() {
    for text in [
        patient("<id value=\"1\"/><id value=\"2\"/>"),
        narrative("<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:x=\"urn:x\"><x:a x:href=\"y\"/></svg>"),
    ] {
        assert_eq!(scan(text.as_bytes(), 7, false).unwrap().out, text.as_bytes());
        assert!(scan(text.as_bytes(), 7, true).is_err());
    }
}

#[test]
fn long_values_stream_and_their_start_is_told() {
    for length in [MAX_TEXT - 1, MAX_TEXT, MAX_TEXT + 1, 5 * MAX_TEXT] {
        let value = "ä&amp;".repeat(length / 7 + 1);
        let value = &value[..length - length % 7];
        let text = patient(&format!("<name id=\"n\" value=\"{value}\"  ><id value='1'/></name>"));
        let echo = at_every_cut(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(echo.out).unwrap(), text);
        let told: Vec<_> = echo.told.iter().map(String::len).collect();
        assert_eq!(told.len(), 7, "{told:?}");
        assert!(told[4] <= MAX_TEXT + 16, "{told:?}");
    }
    for (value, kind) in [("x&e;", ErrorKind::Dtd), ("x<", ErrorKind::Syntax), ("x&am", ErrorKind::Syntax)] {
        for before in [0, MAX_TEXT - 2, 2 * MAX_TEXT] {
            let text = patient(&format!("<name value=\"{}{value}\"/>", "y".repeat(before)));
            assert_eq!(at_every_cut(text.as_bytes()).err(), Some(kind), "{before} {value}");
        }
    }
    let twice = patient(&format!("<name value=\"{}\" value=\"\"/>", "y".repeat(2 * MAX_TEXT)));
    assert_eq!(at_every_cut(twice.as_bytes()).err(), Some(ErrorKind::Syntax));
}

#[test]
fn the_sink_is_told_what_json_would_say() {
    let text = patient(
        "<contained><Observation><code><text value=\"t\"/></code></Observation></contained>\
         <extension url=\"u\"><valueUrl value=\"v\"/></extension>",
    );
    let echo = at_every_cut(text.as_bytes()).unwrap();
    assert_eq!(
        echo.told,
        [
            "Patient",
            "0.contained",
            "Observation",
            "1.code",
            "2.text",
            "ttrue",
            "0.extension",
            "1.url",
            "utrue",
            "1.valueUrl",
            "vtrue"
        ]
    );
}

#[test]
fn texts_and_values() {
    for (raw, text) in [
        ("a", Ok("a")),
        ("&lt;&gt;&amp;&apos;&quot;", Ok("<>&'\"")),
        ("&#228;&#xE4;", Ok("ää")),
        ("a\n\tb\r\nc", Ok("a  b c")),
        ("a&#10;b", Ok("a\nb")),
        ("&nbsp;", Err(ErrorKind::Dtd)),
        ("&", Err(ErrorKind::Syntax)),
        ("&#x0;", Err(ErrorKind::Encoding)),
    ] {
        assert_eq!(unescape(raw.as_bytes()).as_deref(), text.as_ref().copied(), "{raw}");
    }
    for (raw, start, rest) in [
        (&b"abc"[..], "abc", &b""[..]),
        (b"a&amp;b&am", "a&b", b"&am"),
        (b"a\xc3", "a", b"\xc3"),
        (b"a&amp;", "a&", b""),
    ] {
        assert_eq!(unescape_start(raw), (start.into(), rest));
    }
}

/// Pieces of which something like XML is made.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<name>".to_owned()),
        Just("</name>".to_owned()),
        Just("<given value=\"x\"/>".to_owned()),
        Just("<text><div xmlns=\"http://www.w3.org/1999/xhtml\">".to_owned()),
        Just("</div></text>".to_owned()),
        Just("<contained><Patient><id value='1'/></Patient></contained>".to_owned()),
        Just("&amp;".to_owned()),
        Just("&#x41;".to_owned()),
        Just("<!-- - -->".to_owned()),
        Just("<![CDATA[".to_owned()),
        Just("]]>".to_owned()),
        "[<>&;/=\"' a-z!?\\-\\]\\[#x0-9\u{0}-\u{1f}\u{fffe}é]{1,3}",
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| patient(&pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_passes_is_well_formed(text in pieces(), size in 1usize..40) {
        let (whole, cut) = (scan(text.as_bytes(), text.len(), false), scan(text.as_bytes(), size, false));
        prop_assert_eq!(whole.is_ok(), cut.is_ok());
        if let (Ok(whole), Ok(cut)) = (&whole, &cut) {
            prop_assert_eq!(&whole.told, &cut.told);
            prop_assert_eq!(&whole.out, text.as_bytes());
            prop_assert_eq!(&cut.out, text.as_bytes());
            let parsed = roxmltree::Document::parse(&text);
            prop_assert!(parsed.is_ok(), "{:?}: {}", parsed.err(), text);
        }
    }

    #[test]
    fn any_text_is_a_value(text in any::<String>()) {
        let mut raw = Vec::new();
        write_escaped(&mut raw, &text);
        let written = String::from_utf8(raw.clone()).unwrap();
        let document = format!("<a b=\"{written}\">{written}</a>");
        let parsed = roxmltree::Document::parse(&document).unwrap();
        let read = unescape(&raw).unwrap();
        prop_assert_eq!(parsed.root_element().attribute("b"), Some(&*read));
        prop_assert_eq!(parsed.root_element().text().unwrap_or_default(), &*read);
        let has_all = text.chars().all(|c| c >= ' ' && c != '\u{fffe}' && c != '\u{ffff}');
        prop_assert!(!has_all || *read == *text);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), size in 1usize..9) {
        let _ = scan(&bytes, size, true);
    }
}
