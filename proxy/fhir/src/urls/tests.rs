use proptest::prelude::*;

use super::*;
use crate::json::unescape;

fn rewrite(text: &str, scope: Scope, size: usize) -> String {
    let from = vec![Base::parse("http://hapi:8080/fhir").unwrap()];
    let to = Base::parse("https://public.example/r4").unwrap();
    let mut rewriter = UrlRewriter::new(Arc::new(Rewrite::new(from, to)), scope);
    let mut out = Vec::new();
    for chunk in text.as_bytes().chunks(size) {
        rewriter.feed(chunk, &mut out).unwrap_or_else(|e| panic!("{e}: {text}"));
    }
    rewriter.finish().unwrap();
    String::from_utf8(out).unwrap()
}

const OURS: &str = "http://hapi:8080/fhir";

#[test]
fn addresses_change_and_names_stay() {
    let changed = [
        r#"{"resourceType":"Bundle","link":[{"relation":"next","url":"@?_getpages=1&x=2"}]}"#,
        r#"{"entry":[{"fullUrl":"@/Patient/1","resource":{"id":"1"}}]}"#,
        r#"{"entry":[{"link":[{"url":"@/Patient/1"}],"request":{"url":"@/Patient"}}]}"#,
        r#"{"entry":[{"response":{"location":"@/Patient/1/_history/1"}}]}"#,
        r#"{"subject":{"reference":"@/Patient/1"},"contained":[{"subject":{"reference":"@/Patient/1"}}]}"#,
        r#"{"content":[{"attachment":{"url":"@/Binary/1"}}],"photo":[{"url":"@/Binary/2"}]}"#,
        r#"{"extension":[{"url":"http://x","valueUrl":"@/Binary/1"},{"valueReference":{"reference":"@/P/1"}}]}"#,
        r#"{"resourceType":"CapabilityStatement","implementation":{"url":"@"}}"#,
        r#"{"subject" : { "reference" : "http:\/\/hapi:8080\/fhir\/Patient\/1" } }"#,
        r#"{"request":"@/$export","output":[{"type":"Patient","url":"@/Binary/9"}]}"#,
    ];
    for text in changed {
        let text = text.replace('@', OURS);
        let plain = text.replace(r"\/", "/");
        let expected = plain.replace(OURS, "https://public.example/r4");
        for size in [1, 2, 3, 7, 64, 4096] {
            assert_eq!(rewrite(&text, Scope::Elements, size), expected, "{text}");
        }
    }
    let stays = [
        r#"{"resourceType":"ValueSet","url":"@/ValueSet/x"}"#,
        r#"{"entry":[{"resource":{"url":"@/ValueSet/x"}}]}"#,
        r#"{"extension":[{"url":"@/StructureDefinition/x","valueUri":"@/y"}]}"#,
        r#"{"identifier":[{"system":"@/sid","value":"@/1"}],"meta":{"profile":["@/StructureDefinition/x"]}}"#,
        r#"{"channel":{"endpoint":"@/hook"}}"#,
        r#"{"subject":{"reference":"http://hapi:8080/fhir2/Patient/1"}}"#,
        r#"{"subject":{"reference":"Patient/1"}, "text":{"div":"<a>@/Patient/1</a>"}}"#,
    ];
    for text in stays {
        let text = text.replace('@', OURS);
        assert_eq!(rewrite(&text, Scope::Elements, 5), text);
    }
}

#[test]
fn a_capability_statement_shows_no_address_of_the_server() {
    let text = r#"{"url":"@/metadata","rest":[{"operation":[{"definition":"@/OperationDefinition/x"}]}]}"#
        .replace('@', OURS);
    assert!(!rewrite(&text, Scope::Everything, 9).contains("hapi"));
}

#[test]
fn a_url_longer_than_any_token_changes_at_its_start() {
    for pad in 8100..8250 {
        let tail = ["?x=", &"y".repeat(pad), r"\u00e9", &"z".repeat(500)].concat();
        let text = format!(r#"{{"link":[{{"url":"{OURS}{tail}"}}]}}"#);
        let out = rewrite(&text, Scope::Elements, 512);
        assert!(out.starts_with(r#"{"link":[{"url":"https://public.example/r4?x=yyy"#));
        assert_eq!(
            unescape(out.as_bytes()).unwrap().len(),
            unescape(text.as_bytes()).unwrap().len() + "https://public.example/r4".len() - OURS.len()
        );
    }
}

/// What a caller's body becomes.
fn inward(text: &str, json_patch: bool, size: usize) -> String {
    let relative = Arc::new(Relative::new(Base::parse("https://public.example/r4").unwrap()));
    let mut rewriter = UrlRewriter::toward_server(relative, json_patch);
    let mut out = Vec::new();
    for chunk in text.as_bytes().chunks(size) {
        rewriter.feed(chunk, &mut out).unwrap_or_else(|e| panic!("{e}: {text}"));
    }
    rewriter.finish().unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn what_the_server_says_of_itself_changes() {
    for (text, expected) in [
        // Links of narratives, whatever quotes they have.
        (
            r#"{"text":{"div":"<div><a class='x' href=\"@/Patient/1\">@/Patient/1</a><img src='@/Binary/1'/></div>"}}"#,
            r#"{"text":{"div":"<div><a class='x' href=\"!/Patient/1\">@/Patient/1</a><img src='!/Binary/1'/></div>"}}"#,
        ),
        (
            r#"{"text":{"div":"<a href=\"http:\/\/hapi:8080\/fhir\/Patient?a=1&amp;b=2\">"}}"#,
            r#"{"text":{"div":"<a href=\"!/Patient?a=1&amp;b=2\">"}}"#,
        ),
        (
            r#"{"text":{"div":"<a data-href=\"@/x\" title=\"href=\"> 1 < 2 <a href=\"@2/x\">"}}"#,
            r#"{"text":{"div":"<a data-href=\"@/x\" title=\"href=\"> 1 < 2 <a href=\"@2/x\">"}}"#,
        ),
        // A section's narrative, and one without an end.
        (
            r#"{"section":[{"text":{"div":"<p><a href=\"@/A/1\""}}]}"#,
            r#"{"section":[{"text":{"div":"<p><a href=\"@/A/1\""}}]}"#,
        ),
        // Parameters that are addresses by their name, and those that are names.
        (
            r#"{"parameter":[{"name":"websocket-url","valueUri":"ws://hapi:8080/fhir/ws"},{"name":"x","valueUrl":"@/y"}]}"#,
            r#"{"parameter":[{"name":"websocket-url","valueUri":"wss://public.example/r4/ws"},{"name":"x","valueUrl":"!/y"}]}"#,
        ),
        (
            r#"{"parameter":[{"name":"a-url","valueUri":"@/y"},{"name":"url","valueUri":"@/ValueSet/1"}]}"#,
            r#"{"parameter":[{"name":"a-url","valueUri":"!/y"},{"name":"url","valueUri":"@/ValueSet/1"}]}"#,
        ),
        // Copies inside of queries, encoded and not; other parameters keep their bytes.
        (
            r#"{"link":[{"url":"@/Observation?a=b%2fc&patient=http%3A%2F%2Fhapi%3A8080%2Ffhir%2FPatient%2F1,x"}]}"#,
            r#"{"link":[{"url":"!/Observation?a=b%2fc&patient=!/Patient/1,x"}]}"#,
        ),
        (
            r#"{"link":[{"url":"https://elsewhere/x?y=@/Patient/1\\,2"}]}"#,
            r#"{"link":[{"url":"https://elsewhere/x?y=!/Patient/1%5C,2"}]}"#,
        ),
        // The manifest of an export.
        (
            r#"{"request":"@/$export","deleted":[{"url":"@/Binary/1"}],"error":[{"url":"@/Binary/2"}],"link":[{"relation":"next","url":"@/x"}]}"#,
            r#"{"request":"!/$export","deleted":[{"url":"!/Binary/1"}],"error":[{"url":"!/Binary/2"}],"link":[{"relation":"next","url":"!/x"}]}"#,
        ),
        // Outcomes.
        (
            r#"{"resourceType":"OperationOutcome","text":{"status":"generated","div":"<div>SQL</div>"},"issue":[{"code":"x","details":{"text":"HAPI-2001: Resource @/Patient/1 is not known"},"diagnostics":"insert into HFJ_RES"}]}"#,
            r#"{"resourceType":"OperationOutcome","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">See the issues.</div>"},"issue":[{"code":"x","details":{"text":"HAPI-2001: Resource !/Patient/1 is not known"},"diagnostics":"the FHIR server refused the request or failed; its own words are not shown"}]}"#,
        ),
        (
            r#"{"resourceType":"Bundle","entry":[{"response":{"outcome":{"resourceType":"OperationOutcome","issue":[{"diagnostics":"HAPI-1091: Patient?x=secret"}]}}},{"resource":{"resourceType":"Patient","text":{"div":"<p>sql</p>"},"diagnostics":"sql"}}]}"#,
            r#"{"resourceType":"Bundle","entry":[{"response":{"outcome":{"resourceType":"OperationOutcome","issue":[{"diagnostics":"HAPI-1091: a condition matches no resource"}]}}},{"resource":{"resourceType":"Patient","text":{"div":"<p>sql</p>"},"diagnostics":"sql"}}]}"#,
        ),
    ] {
        let text = text.replace('@', OURS);
        let expected = expected.replace('@', OURS).replace('!', "https://public.example/r4");
        for size in [1, 2, 3, 7, 64, 4096] {
            assert_eq!(rewrite(&text, Scope::Elements, size), expected, "{text}");
        }
    }
}

#[test]
fn a_long_narrative_streams() {
    let filling = "x<p title='y'>".repeat(2000);
    let long_tag = format!("<p title='{}'>", "z".repeat(20_000));
    let text =
        format!(r#"{{"text":{{"div":"{filling}<a href='{OURS}/A/1'>{long_tag}<img src='{OURS}/B/1'>"}}}}"#);
    let expected = text.replace(OURS, "https://public.example/r4");
    for size in [1, 100, 8192, 100_000] {
        assert_eq!(rewrite(&text, Scope::Elements, size), expected, "{size}");
    }
    // What is too long for a look stays, wherever it was cut.
    let inside = format!("<p title='{} <a href=\'{OURS}/A/1\'' href='{OURS}/B/1'>", "z".repeat(9000));
    let query = format!("{OURS}?a={OURS}/Patient/1\\/{}\\/", "y".repeat(9000));
    let text = format!(r#"{{"text":{{"div":"{inside}"}},"reference":"{query}"}}"#).replace(r"\'", "'");
    let expected = rewrite(&text, Scope::Elements, 1 << 20);
    assert!(expected.starts_with(r#"{"text":{"div":"<p title='zz"#) && expected.contains(OURS));
    for size in [1, 100, 8191, 8192, 8193, 8300] {
        assert_eq!(rewrite(&text, Scope::Elements, size), expected, "{size}");
    }
}

#[test]
fn toward_the_server_addresses_become_relative() {
    for (text, expected) in [
        (r#"{"subject":{"reference":"@/Patient/1"}}"#, r#"{"subject":{"reference":"Patient/1"}}"#),
        (
            r#"{"subject":{"reference":"http:\/\/PUBLIC.example/r4\/Patient\/1"}}"#,
            r#"{"subject":{"reference":"Patient/1"}}"#,
        ),
        (
            r#"{"contained":[{"subject":{"reference":"@/Patient/1/_history/2"}}],"content":[{"attachment":{"url":"@/Binary/1"}}]}"#,
            r#"{"contained":[{"subject":{"reference":"Patient/1/_history/2"}}],"content":[{"attachment":{"url":"Binary/1"}}]}"#,
        ),
        (
            r#"{"entry":[{"fullUrl":"@/Patient/1","request":{"url":"@/Patient/1","ifNoneExist":"a=1&general-practitioner=@/Practitioner/1"}}]}"#,
            r#"{"entry":[{"fullUrl":"Patient/1","request":{"url":"Patient/1","ifNoneExist":"a=1&general-practitioner=Practitioner/1"}}]}"#,
        ),
        (
            r#"{"subject":{"reference":"@/Patient?organization=@/Organization/1"},"r":{"reference":"Patient?organization=@/Organization/1"}}"#,
            r#"{"subject":{"reference":"Patient?organization=Organization/1"},"r":{"reference":"Patient?organization=Organization/1"}}"#,
        ),
        (
            r#"{"resourceType":"Subscription","criteria":"Observation?patient=@/Patient/1,@/Patient/2","channel":{"endpoint":"@/hook"}}"#,
            r#"{"resourceType":"Subscription","criteria":"Observation?patient=Patient/1,Patient/2","channel":{"endpoint":"@/hook"}}"#,
        ),
    ] {
        let text = text.replace('@', "https://public.example/r4");
        let expected = expected.replace('@', "https://public.example/r4");
        for size in [1, 5, 4096] {
            assert_eq!(inward(&text, false, size), expected, "{text}");
        }
    }
    let patch = r#"[{"op":"replace","path":"/subject/reference","value":"@/Patient/1"},{"op":"add","path":"/content/0/attachment/url","value":"@/Binary/1"},{"op":"add","path":"/performer/0","value":{"reference":"@/Practitioner/1"}},{"value":"@/Patient/1","op":"test","path":"/subject/reference"},{"op":"add","path":"/url","value":"@/ValueSet/1"},{"op":"add","path":"/extension/0/url","value":"@/StructureDefinition/1"},{"op":"add","path":"/extension/-","value":{"url":"@/StructureDefinition/1","valueReference":{"reference":"@/Patient/1"}}}]"#;
    let expected = patch
        .replacen("@/Patient/1", "Patient/1", 1)
        .replace(r#""value":"@/Binary"#, r#""value":"Binary"#)
        .replace(r#"{"reference":"@/"#, r#"{"reference":""#);
    let full = |text: &str| text.replace('@', "https://public.example/r4");
    for size in [1, 9, 4096] {
        assert_eq!(inward(&full(patch), true, size), full(&expected));
    }
}

#[test]
fn toward_the_server_names_and_other_bytes_stay() {
    for text in [
        r#"{"identifier":[{"system":"@/sid","value":"@/Patient/1"}],"meta":{"profile":["@/StructureDefinition/x"]}}"#,
        r#"{"resourceType":"ValueSet","url":"@/ValueSet/1","extension":[{"url":"@/StructureDefinition/y","valueUri":"@/Patient/1"}]}"#,
        r#"{"subject" : { "reference":"https://public.example/r42/Patient/1" },"v":1.50,"s":"\u00e9\/"}"#,
        r#"{"subject":{"reference":"Patient\/1"},"implementation":{"url":"@"},"x":{"reference":"@/"}}"#,
        r#"{"text":{"div":"<a href=\"@/Patient/1\">"},"resourceType":"OperationOutcome","issue":[{"diagnostics":"SQL"}]}"#,
    ] {
        let text = text.replace('@', "https://public.example/r4");
        assert_eq!(inward(&text, false, 3), text);
    }
}

#[test]
fn values_of_searches_become_relative() {
    let relative = Relative::new(Base::parse("https://public.example/r4").unwrap());
    for (target, query, expected) in [
        ("/Observation", "patient=@/Patient/1", "patient=Patient/1"),
        (
            "/Observation",
            "subject:Patient=@/Patient/1,Patient/2,http://public.example/r4/Patient/3",
            "subject:Patient=Patient/1,Patient/2,Patient/3",
        ),
        (
            "/Observation",
            "subject:Patient.organization=https%3A%2F%2Fpublic.example%3A443%2Fr4%2FOrganization%2F1",
            "subject:Patient.organization=Organization/1",
        ),
        (
            "/Patient",
            "_has:Observation:patient:performer=@/Practitioner/1",
            "_has:Observation:patient:performer=Practitioner/1",
        ),
        // Names: profiles, systems, definitions by their canonical URL.
        (
            "/Patient",
            "_profile=@/Patient/1&identifier=@/sid%7C1",
            "_profile=@/Patient/1&identifier=@/sid%7C1",
        ),
        ("/QuestionnaireResponse", "questionnaire=@/Questionnaire/1", "questionnaire=@/Questionnaire/1"),
        (
            "/Observation",
            "patient=@/Nothing/1&code=@&subject=@2/Patient/1",
            "patient=@/Nothing/1&code=@&subject=@2/Patient/1",
        ),
    ] {
        let at = |text: &str| text.replace('@', "https://public.example/r4");
        let query = at(query);
        let head =
            crate::interaction::Head { query: Some(&query), ..crate::interaction::Head::new("GET", target) };
        let mut request = crate::interaction::parse(&head).unwrap();
        relative.request(&mut request);
        assert_eq!(request.target().path_and_query, format!("{target}?{}", at(expected)));
    }
    assert_eq!(
        relative.query("Patient?organization=https://public.example/r4/Organization/1&a=b%20c").as_deref(),
        Some("Patient?organization=Organization/1&a=b%20c")
    );
}

/// A document of members that matter; `@` stands for a base.
fn document() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        Just("@/Patient/1".to_owned()),
        Just("@/Patient?organization=@/Organization/1,x&a=%2F".to_owned()),
        Just("<p><a href='@/Patient/1'>x</a> <img src=\\\"@2/x\\\"/>".to_owned()),
        Just("HAPI-2001: @ and insert into HFJ_X".to_owned()),
        Just("OperationOutcome".to_owned()),
        "[ -!#-\\[\\]-~\u{e9}\u{1f525}]{0,20}",
        Just("\\u00e9\\/\\n".to_owned()),
    ];
    let key = prop::sample::select(vec![
        "resource",
        "resourceType",
        "entry",
        "url",
        "reference",
        "fullUrl",
        "request",
        "response",
        "location",
        "issue",
        "details",
        "text",
        "div",
        "diagnostics",
        "parameter",
        "name",
        "valueUri",
        "valueUrl",
        "extension",
        "ifNoneExist",
        "path",
        "value",
        "op",
        "outcome",
        "criteria",
        "other",
    ]);
    let leaf = prop_oneof![
        text.prop_map(|text| format!("\"{text}\"")),
        Just("1.50".to_owned()),
        Just("null".to_owned())
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        let members = prop::collection::btree_map(key.clone(), inner.clone(), 0..5);
        prop_oneof![
            members.prop_map(|members| {
                let members: Vec<_> =
                    members.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
                format!("{{{}}}", members.join(" ,"))
            }),
            prop::collection::vec(inner, 0..4).prop_map(|elements| format!("[{}]", elements.join(", "))),
        ]
    })
}

proptest! {
    #[test]
    fn however_a_document_is_cut_it_becomes_the_same(text in document(), size in 1usize..60, patch: bool) {
        let theirs = text.replace('@', OURS);
        prop_assert_eq!(rewrite(&theirs, Scope::Elements, size), rewrite(&theirs, Scope::Elements, 1 << 20));
        let ours = text.replace('@', "https://public.example/r4");
        prop_assert_eq!(inward(&ours, patch, size), inward(&ours, patch, 1 << 20));
        // A look at the whole, where it is enough, says the same.
        let from = vec![Base::parse("http://hapi:8080/fhir").unwrap()];
        let glance = Rewrite::new(from, Base::parse("https://public.example/r4").unwrap());
        let scanned = || rewrite(&theirs, Scope::Elements, 1 << 20).into_bytes();
        match glance.glance(theirs.as_bytes()) {
            Glance::Unclear => {}
            // A narrative is a text; what it has inside matters in XML.
            _ if theirs.contains("\"div\": {") || theirs.contains("\"div\": [") => {}
            Glance::Unchanged => prop_assert_eq!(theirs.as_bytes(), scanned()),
            Glance::Changed(body) => prop_assert_eq!(body, scanned()),
        }
        // Without our base it stays byte for byte.
        prop_assert_eq!(inward(&theirs, patch, size), theirs);
    }
}

/// Seals by what can be seen.
struct Marked;

impl crate::interaction::SealPages for Marked {
    fn seal(&self, query: &str) -> String {
        format!("page{}", query.len())
    }

    fn open(&self, token: &str) -> Result<String, crate::interaction::Refusal> {
        Ok(token.to_owned())
    }

    fn seal_job(&self, id: &str) -> Option<String> {
        Some(format!("job.{id}"))
    }

    fn seal_file(&self, id: &str) -> Option<String> {
        Some(format!("file.{id}"))
    }
}

#[test]
fn jobs_and_their_files_are_named_by_what_was_sealed() {
    let base = |text| Base::parse(text).unwrap();
    let rewrite = Rewrite::new(vec![base("http://hapi:8080/fhir")], base("https://public.example/r4"));
    let sealed = rewrite.sealing(Arc::new(Marked));
    let of_job = sealed.clone().of_job("$export-poll-status");
    let status = "https://public.example/r4/$export-poll-status";
    for (url, plain, job) in [
        (
            "http://hapi:8080/fhir/$export-poll-status?_jobId=a-1",
            Some(format!("{status}?_jobId=job.a-1")),
            Some(format!("{status}?_jobId=job.a-1")),
        ),
        // HAPI may have been told our base.
        (
            "https://public.example/r4/$export-poll-status?x=y&_jobId=a-1",
            Some(format!("{status}?_jobId=job.a-1")),
            Some(format!("{status}?_jobId=job.a-1")),
        ),
        (
            "http://hapi:8080/fhir/Binary/b2",
            Some("https://public.example/r4/Binary/b2".to_owned()),
            Some(format!("{status}?_file=file.b2")),
        ),
        ("https://public.example/r4/Binary/b2", None, Some(format!("{status}?_file=file.b2"))),
        (
            "http://hapi:8080/fhir/Patient/b2",
            Some("https://public.example/r4/Patient/b2".to_owned()),
            Some("https://public.example/r4/Patient/b2".to_owned()),
        ),
        ("http://elsewhere/fhir/Binary/b2", None, None),
    ] {
        assert_eq!(sealed.url(url), plain, "{url}");
        assert_eq!(of_job.url(url), job, "{url}");
    }
}
