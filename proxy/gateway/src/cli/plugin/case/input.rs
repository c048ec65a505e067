//! What goes in.

use std::path::Path;

use bytes::Bytes;
use fireguard_plugin_host::{Event, Exchange, Field, Head, Item, Message};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{About, json, text};
use crate::cli::Failed;

/// What a plugin is called with.
pub(in crate::cli::plugin) enum Input {
    /// Nothing: it is only configured.
    None,
    /// `input.json`: a resource, an array of them, or a Bundle, of which the entries are handed over.
    Resources(Vec<Item>),
    /// `request.json`
    Request(Head),
    /// `written.json`
    Written(Vec<Event>),
    /// `ingest.json`
    Ingest(Vec<Message>),
}

/// A list of names and values, as people write it: `[["_count", "10"]]`.
type Pairs = Vec<(String, String)>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Request {
    interaction: Option<String>,
    resource_type: Option<String>,
    id: Option<String>,
    version_id: Option<String>,
    operation: Option<String>,
    #[serde(default)]
    parameters: Pairs,
    #[serde(default)]
    headers: Pairs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Write {
    interaction: String,
    resource_type: String,
    id: String,
    version_id: Option<String>,
    content: Option<Box<RawValue>>,
    #[serde(default = "first")]
    attempt: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Received {
    #[serde(default = "source")]
    source: String,
    #[serde(default)]
    position: u64,
    /// JSON, or a text that is the message.
    content: Box<RawValue>,
    content_type: Option<String>,
}

#[derive(Deserialize)]
struct Bundle {
    #[serde(default)]
    entry: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    resource: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Typed {
    #[serde(rename = "resourceType")]
    resource_type: Option<String>,
}

impl Input {
    pub(super) fn read(folder: &Path, about: &About) -> Result<Self, Failed> {
        let mut found = Vec::new();
        for name in ["input.json", "request.json", "written.json", "ingest.json"] {
            if let Some(text) = text(&folder.join(name))? {
                found.push((name, text));
            }
        }
        match found.as_slice() {
            [] => Ok(Self::None),
            [(name, text)] => Self::parse(name, &folder.join(name), text, about),
            [(one, _), (other, _), ..] => {
                Err(miette::miette!("{} has {one} and {other}: a case has one of them", folder.display()))
            }
        }
    }

    fn parse(name: &str, path: &Path, text: &str, about: &About) -> Result<Self, Failed> {
        Ok(match name {
            "request.json" => Self::Request(head(json(path, text)?)),
            "written.json" => {
                let writes = list(text);
                let events = json::<Vec<Write>>(path, &writes)?.into_iter().enumerate();
                Self::Written(events.map(|(at, write)| event(at, write, about)).collect())
            }
            "ingest.json" => {
                let received = list(text);
                Self::Ingest(json::<Vec<Received>>(path, &received)?.into_iter().map(message).collect())
            }
            _ => Self::Resources(
                resources(text).map_err(|error| miette::miette!("{}: {error}", path.display()))?,
            ),
        })
    }
}

/// The resources of a text: the one it is, those of an array, those in the entries of a Bundle. Every byte of them is
/// as it stands there.
///
/// # Errors
/// It is no JSON, or something else.
pub(in crate::cli::plugin) fn resources(text: &str) -> Result<Vec<Item>, serde_json::Error> {
    if text.trim_start().starts_with('[') {
        return Ok(serde_json::from_str::<Vec<Box<RawValue>>>(text)?.iter().map(|raw| item(raw)).collect());
    }
    if serde_json::from_str::<Typed>(text)?.resource_type.as_deref() == Some("Bundle") {
        let bundle: Bundle = serde_json::from_str(text)?;
        return Ok(bundle.entry.iter().filter_map(|entry| entry.resource.as_deref()).map(item).collect());
    }
    Ok(vec![Item::new(text.trim().to_owned())])
}

/// The interaction that a request names, and what it asks for.
///
/// # Errors
/// It is not as `request.json` is to be.
pub(in crate::cli::plugin) fn request(text: &str) -> Result<(Option<String>, Head), serde_json::Error> {
    let mut request: Request = serde_json::from_str(text)?;
    Ok((request.interaction.take(), head(request)))
}

/// What an exchange of a case says of itself.
pub(super) fn exchange(about: &About, interaction: Option<&str>) -> Exchange {
    Exchange {
        id: "test".to_owned(),
        route: about.route.clone(),
        interaction: interaction.unwrap_or(&about.interaction).to_owned(),
        extras: Vec::new(),
    }
}

impl super::Case {
    /// The exchange that the case is a part of.
    ///
    /// # Errors
    /// `request.json` cannot be read again.
    pub(super) fn exchange(&self) -> Result<Exchange, Failed> {
        let path = self.folder.join("request.json");
        let of_request = text(&path)?.map(|text| json::<Request>(&path, &text)).transpose()?;
        let interaction = of_request.and_then(|request| request.interaction);
        Ok(exchange(&self.about, interaction.as_deref()))
    }
}

/// One object counts as a list of one.
fn list(text: &str) -> String {
    if text.trim_start().starts_with('{') { format!("[{text}]") } else { text.to_owned() }
}

fn item(raw: &RawValue) -> Item {
    Item::new(raw.get().to_owned())
}

fn head(request: Request) -> Head {
    let Request { interaction: _, resource_type, id, version_id, operation, parameters, headers } = request;
    let (parameters, headers) = (fields(parameters), fields(headers));
    Head { resource_type, id, version_id, operation, parameters, headers, extras: Vec::new() }
}

fn event(at: usize, write: Write, about: &About) -> Event {
    let Write { interaction, resource_type, id, version_id, content, attempt } = write;
    Event {
        id: format!("event-{}", at + 1),
        exchange: exchange(about, Some(&interaction)),
        interaction,
        resource_type,
        resource_id: id,
        version_id,
        time: "2026-01-01T00:00:00.000Z".to_owned(),
        content: content.map(|raw| Bytes::from(raw.get().to_owned())),
        extras: fields(vec![("attempt".to_owned(), attempt.to_string())]),
    }
}

fn message(received: Received) -> Message {
    let Received { source, position, content, content_type } = received;
    let text = serde_json::from_str::<String>(content.get()).unwrap_or_else(|_| content.get().to_owned());
    let extras = content_type.map(|value| vec![("content-type".to_owned(), value)]).unwrap_or_default();
    Message { source, position, content: text.into(), extras: fields(extras) }
}

fn fields(pairs: Pairs) -> Vec<Field> {
    pairs.into_iter().map(|(name, value)| Field { name, value }).collect()
}

fn first() -> u32 {
    1
}

fn source() -> String {
    "test".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_keep_their_bytes() {
        let cases: [(&str, &[&str]); 4] = [
            (
                " {\"resourceType\":\"Patient\", \"x\": 1.50}\n",
                &["{\"resourceType\":\"Patient\", \"x\": 1.50}"],
            ),
            ("[{\"a\": 1.0},\n {}]", &["{\"a\": 1.0}", "{}"]),
            (
                r#"{"resourceType":"Bundle","entry":[{"resource":{"b":2.0}},{"fullUrl":"x"}]}"#,
                &["{\"b\":2.0}"],
            ),
            ("[]", &[]),
        ];
        for (text, expected) in cases {
            let items = resources(text).unwrap();
            let found: Vec<&[u8]> = items.iter().map(|item| &item.content[..]).collect();
            assert_eq!(found, expected.iter().map(|text| text.as_bytes()).collect::<Vec<_>>(), "{text}");
        }
        assert!(resources("{").is_err());
    }
}
