//! Takes out of an answer what has to differ between two servers, two clients, two moments.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// The headers of HAPI's answers that reach a client, but for `Content-Length`: one side may chunk.
pub(crate) const ANSWER_HEADERS: [&str; 14] = [
    "accept-patch",
    "allow",
    "content-disposition",
    "content-location",
    "content-type",
    "etag",
    "expires",
    "last-modified",
    "link",
    "location",
    "preference-applied",
    "retry-after",
    "warning",
    "x-progress",
];

/// Of one side: its base URL and its mark become fixed words, its ids numbers in the order in which they are seen.
pub(crate) struct Normaliser {
    base: String,
    me: String,
    ids: BTreeMap<String, usize>,
}

impl Normaliser {
    pub(crate) fn new(base: &str, me: &str) -> Self {
        Self { base: base.to_owned(), me: me.to_owned(), ids: BTreeMap::new() }
    }

    /// A header's value.
    pub(crate) fn header(&mut self, name: &str, value: &str) -> String {
        match name {
            "last-modified" => "[time]".to_owned(),
            "content-type" => value.to_ascii_lowercase().replace(' ', ""),
            _ => self.text(value),
        }
    }

    /// A body: JSON is laid out one member a line, in its order; anything else stays.
    pub(crate) fn body(&mut self, body: &[u8]) -> String {
        match serde_json::from_slice::<Value>(body) {
            Ok(mut json) => {
                sort_included(&mut json);
                self.json(&mut json);
                serde_json::to_string_pretty(&json).unwrap()
            }
            Err(_) => String::from_utf8_lossy(body).into_owned(),
        }
    }

    fn json(&mut self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                // `meta.source` holds the id of the request that wrote it.
                if let Some(meta) = members.get_mut("meta").and_then(Value::as_object_mut) {
                    meta.shift_remove("source");
                }
                // A CapabilityStatement tells of the operations that the route lets through.
                if ["interaction", "mode", "profile"].iter().any(|name| members.contains_key(*name)) {
                    members.shift_remove("operation");
                }
                // And of XML only where the route speaks it.
                if members.contains_key("fhirVersion") {
                    for name in ["format", "patchFormat"] {
                        if let Some(formats) = members.get_mut(name).and_then(Value::as_array_mut) {
                            formats.retain(|format| !format.as_str().is_some_and(|it| it.contains("xml")));
                        }
                    }
                }
                let link = members.contains_key("relation");
                for (name, value) in members {
                    match (name.as_str(), &value) {
                        ("lastUpdated" | "lastModified" | "timestamp" | "date", Value::String(_)) => {
                            *value = "[time]".into();
                        }
                        // Written anew from the parsed parameters: the same ones, encoded otherwise.
                        ("url", Value::String(url)) if link => {
                            let url = percent_decode_str(url).decode_utf8_lossy().into_owned();
                            // Only JSON is asked for, whatever the client wrote.
                            let url = url.replace("_format=json&", "");
                            *value = match url.split_once('?') {
                                // Sealed on one side.
                                Some((base, page))
                                    if page.starts_with("_getpages=") || page.starts_with("_page=") =>
                                {
                                    self.text(&format!("{base}?[page]")).into()
                                }
                                _ => self.text(&url).into(),
                            };
                        }
                        ("diagnostics", Value::String(words)) => *value = self.words(words).into(),
                        ("id", Value::String(id)) if is_number(id) => {
                            let id = id.clone();
                            *value = self.id(&id).into();
                        }
                        _ => self.json(value),
                    }
                }
            }
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.json(element)),
            Value::String(text) => *text = self.text(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// What an outcome says. Fireguard says in words of its own what quotes conditions or stored resources.
    fn words(&mut self, words: &str) -> String {
        const QUOTING: [&str; 8] = [
            "HAPI-0958",
            "HAPI-0962",
            "HAPI-0973",
            "HAPI-0988",
            "HAPI-1091",
            "HAPI-1092",
            "HAPI-2008",
            "HAPI-2207",
        ];
        if words.starts_with("Unable to delete ")
            || words == "it cannot be deleted: other resources refer to it"
        {
            return "[referred to]".to_owned();
        }
        QUOTING
            .iter()
            .find(|code| words.contains(**code))
            .map_or_else(|| self.text(words), |code| (*code).to_owned())
    }

    /// The base, the mark, UUIDs, and the numbers that HAPI gives for ids after a type's name.
    fn text(&mut self, text: &str) -> String {
        let text = text.replace(&self.base, "[base]").replace(&self.me, "[me]");
        // HAPI ends with a time, or with one path or another that leads to the reference.
        let ends = ["Resource was deleted at ", " not found, specified in path: ", ". Took "];
        let text = ends.iter().find_map(|end| Some(&text[..text.find(end)? + end.len()])).unwrap_or(&text);
        let mut out = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let word: usize =
                rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(rest.len());
            if word == 0 {
                out.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            }
            let (now, later) = rest.split_at(word);
            rest = later;
            if is_uuid(now) {
                out.push_str("[uuid]");
            } else if is_number(now) && (after_type(&out) || out.ends_with("resource \"")) {
                let id = self.id(now);
                out.push_str(&id);
            } else {
                out.push_str(now);
            }
        }
        out
    }

    fn id(&mut self, id: &str) -> String {
        let next = self.ids.len() + 1;
        format!("#{}", self.ids.entry(id.to_owned()).or_insert(next))
    }
}

/// HAPI has included resources in a set: what order they are in is another one for each search.
fn sort_included(bundle: &mut Value) {
    let Some(entries) = bundle.get_mut("entry").and_then(Value::as_array_mut) else { return };
    let place = |entry: &Value| match entry["search"]["mode"].as_str() {
        Some("include") => entry["fullUrl"].as_str().map(str::to_owned),
        _ => None,
    };
    // Stable, and `None` comes first: matches stay in their order.
    entries.sort_by_key(place);
}

/// Whether a text ends as `Patient/` does.
fn after_type(text: &str) -> bool {
    let Some(before) = text.strip_suffix('/') else { return false };
    let name = before.rsplit(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    name.starts_with(|c: char| c.is_ascii_uppercase())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
}

#[test]
fn only_what_has_to_differ_is_taken_out() {
    let mut normaliser = Normaliser::new("http://h:1/fhir", "zqd-x");
    for (text, expected) in [
        ("http://h:1/fhir/Patient/1000/_history/2", "[base]/Patient/#1/_history/2"),
        ("Observation/1001 and Patient/1000", "Observation/#2 and Patient/#1"),
        ("HAPI-0550 2024-01-02. Took 1,012ms.", "HAPI-0550 2024-01-02. Took "),
        ("urn:uuid:0195cbbc-1111-7222-8333-444444444444", "urn:uuid:[uuid]"),
        ("Patient/zqd-x-a é", "Patient/[me]-a é"),
    ] {
        assert_eq!(normaliser.text(text), expected);
    }
    let body = br#"{"id":"1000","meta":{"versionId":"1","lastUpdated":"x","source":"y"},"v":1.50}"#;
    let expected = "{\n  \"id\": \"#1\",\n  \"meta\": {\n    \"versionId\": \"1\",\n    \"lastUpdated\": \"[time]\"\n  },\n  \"v\": 1.50\n}";
    assert_eq!(normaliser.body(body), expected);
}

#[test]
fn only_included_resources_are_sorted() {
    let entry = |id: &str, mode: &str| serde_json::json!({"fullUrl": id, "search": {"mode": mode}});
    let mut bundle = serde_json::json!({"entry": [
        entry("2", "match"), entry("9", "include"), entry("1", "match"), entry("8", "include"),
    ]});
    sort_included(&mut bundle);
    let order: Vec<_> =
        bundle["entry"].as_array().unwrap().iter().map(|e| e["fullUrl"].as_str().unwrap()).collect();
    assert_eq!(order, ["2", "1", "8", "9"]);
}
