//! How an event is kept.

use std::borrow::Cow;

use bytes::Bytes;
use fireguard_plugin_host::{Event, Exchange};
use serde::{Deserialize, Serialize};

/// All of an event but what was written: one line of JSON. What was written follows as it was sent.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    id: Cow<'a, str>,
    request: Cow<'a, str>,
    route: Cow<'a, str>,
    code: Cow<'a, str>,
    interaction: Cow<'a, str>,
    resource_type: Cow<'a, str>,
    resource_id: Cow<'a, str>,
    version_id: Option<Cow<'a, str>>,
    time: Cow<'a, str>,
    content: bool,
}

/// Why what was kept is no event.
#[derive(Debug, thiserror::Error)]
#[error("it is not one of this version")]
pub(super) struct NoEvent;

pub(super) fn encode(event: &Event) -> Vec<u8> {
    let line = Line {
        id: Cow::Borrowed(&event.id),
        request: Cow::Borrowed(&event.exchange.id),
        route: Cow::Borrowed(&event.exchange.route),
        code: Cow::Borrowed(&event.exchange.interaction),
        interaction: Cow::Borrowed(&event.interaction),
        resource_type: Cow::Borrowed(&event.resource_type),
        resource_id: Cow::Borrowed(&event.resource_id),
        version_id: event.version_id.as_deref().map(Cow::Borrowed),
        time: Cow::Borrowed(&event.time),
        content: event.content.is_some(),
    };
    let mut kept = serde_json::to_vec(&line).unwrap_or_default();
    kept.push(b'\n');
    kept.extend_from_slice(event.content.as_deref().unwrap_or_default());
    kept
}

pub(super) fn decode(kept: Vec<u8>) -> Result<Event, NoEvent> {
    let kept = Bytes::from(kept);
    let end = kept.iter().position(|byte| *byte == b'\n').ok_or(NoEvent)?;
    let line: Line<'_> = serde_json::from_slice(&kept[..end]).map_err(|_| NoEvent)?;
    Ok(Event {
        id: line.id.into_owned(),
        exchange: Exchange {
            id: line.request.into_owned(),
            route: line.route.into_owned(),
            interaction: line.code.into_owned(),
            extras: Vec::new(),
        },
        interaction: line.interaction.into_owned(),
        resource_type: line.resource_type.into_owned(),
        resource_id: line.resource_id.into_owned(),
        version_id: line.version_id.map(Cow::into_owned),
        time: line.time.into_owned(),
        content: line.content.then(|| kept.slice(end + 1..)),
        extras: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_comes_back_as_it_was() {
        let contents: [Option<&[u8]>; 4] =
            [None, Some(b""), Some(b"{\"a\":\n1}\n\n"), Some(&[0, 255, b'\n'])];
        for (content, version_id) in contents.into_iter().zip([None, Some("1"), Some("a-b"), None]) {
            let event = Event {
                id: "018f".into(),
                exchange: Exchange {
                    id: "r-1".into(),
                    route: "a \"b\"\n".into(),
                    interaction: "batch".into(),
                    extras: Vec::new(),
                },
                interaction: "create".into(),
                resource_type: "Patient".into(),
                resource_id: "1".into(),
                version_id: version_id.map(str::to_owned),
                time: "2026-01-01T00:00:00.000Z".into(),
                content: content.map(Bytes::from_static),
                extras: Vec::new(),
            };
            assert!(decode(encode(&event)).ok() == Some(event), "{content:?}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for kept in ["", "\n", "{}\n", "{}", "[1]\nx"] {
            assert!(decode(kept.as_bytes().to_vec()).is_err(), "{kept:?}");
        }
    }
}
