//! Which writes an answer acknowledges.

use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use fireguard_fhir::ResourceType;
use fireguard_fhir::base::Base;
use fireguard_fhir::bundle::places;
use fireguard_fhir::bundle::requests::Requests;
use fireguard_fhir::bundle::responses::EntryResponse;
use fireguard_fhir::interaction::{Id, Interaction};
use fireguard_plugin_host::{Event, Exchange};
use http_body_util::BodyExt;
use uuid::Uuid;

use super::super::chain::exchange;
use crate::exchange::{Ready, Upload};

/// A request that writes.
pub(super) struct Writes {
    exchange: Exchange,
    base: Base,
    /// The largest resource that is kept, in bytes.
    resource: usize,
}

/// What is known of one write from its request.
pub(super) struct Known<'a> {
    /// None: the request was too large to be kept.
    pub(super) interaction: Option<&'a Interaction>,
    /// What was sent.
    pub(super) content: Option<Bytes>,
}

/// What was sent, if it was kept: a resource that is not over the limit, or a Bundle.
pub(super) async fn sent(upload: Upload, bundle: bool, resource: usize) -> Option<Bytes> {
    let mut body = upload.look().ok()?;
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        whole.extend_from_slice(frame.ok()?.data_ref()?);
        if !bundle && whole.len() > resource {
            return None;
        }
    }
    Some(whole.freeze())
}

impl Writes {
    pub(super) fn of(ready: &Ready, resource: usize) -> Self {
        let exchange = exchange(ready, ready.request.interaction.code());
        Self { exchange, base: ready.face.base.clone(), resource }
    }

    /// The writes of a batch or transaction, by what was sent and what was answered.
    pub(super) fn events(&mut self, sent: Option<&Bytes>, responses: &[EntryResponse]) -> Vec<Event> {
        let entries = sent.and_then(|sent| self.entries(sent)).filter(|found| found.len() == responses.len());
        let entries = entries.unwrap_or_else(|| responses.iter().map(|_| (None, None)).collect());
        let event = |((interaction, content), response): ((Option<Interaction>, _), _)| {
            self.event(Known { interaction: interaction.as_ref(), content }, response)
        };
        entries.into_iter().zip(responses).filter_map(event).collect()
    }

    fn entries(&mut self, sent: &Bytes) -> Option<Vec<(Option<Interaction>, Option<Bytes>)>> {
        let places = places::entries(sent).ok()?;
        let mut reader = Requests::default();
        let requests = reader.feed(sent).ok()?;
        // Only the body tells which of the two it was.
        let bundle = Interaction::Bundle { kind: reader.kind().ok() };
        bundle.code().clone_into(&mut self.exchange.interaction);
        let content = |place: &places::EntryPlace| {
            let resource = place.resource.clone().filter(|resource| resource.len() <= self.resource)?;
            Some(sent.slice(resource))
        };
        let interaction = |url: &str| self.base.strip(url).map_or(url.to_owned(), str::to_owned);
        let requests = requests.iter().map(|entry| entry.parse(&interaction(entry.url())).ok());
        let interactions = requests.map(|request| request.map(|request| request.interaction));
        Some(interactions.zip(places.iter().map(content)).collect())
    }

    /// The write that one answer acknowledges, if it does, and says of which resource.
    pub(super) fn event(&self, known: Known<'_>, response: &EntryResponse) -> Option<Event> {
        let Known { interaction, content } = known;
        let status = response.status.filter(|status| (200..300).contains(status) && *status != 202)?;
        let located = response.location.as_deref().and_then(Located::of);
        let code = match interaction {
            // Without its request only what lies somewhere now is known to have been written.
            None => located.as_ref().map(|_| if status == 201 { "create" } else { "update" })?,
            // What its condition has found was not written.
            Some(Interaction::Create { .. } | Interaction::ConditionalCreate { .. }) if status != 201 => {
                return None;
            }
            Some(interaction) if !interaction.is_safe() => interaction.code(),
            Some(_) => return None,
        };
        if !["create", "update", "patch", "delete"].contains(&code) {
            return None;
        }
        let named =
            interaction.and_then(|i| Some((i.resource_type()?.as_str(), i.id()?.as_str().to_owned())));
        let of_answer = located.as_ref().map(|found| (found.resource_type, found.id.clone()));
        let (resource_type, resource_id) = named.or(of_answer)?;
        let version = located.and_then(|found| found.version);
        let version =
            version.or_else(|| response.etag.as_deref().and_then(Id::from_etag).map(|id| id.to_string()));
        Some(Event {
            id: Uuid::now_v7().to_string(),
            exchange: self.exchange.clone(),
            interaction: code.to_owned(),
            resource_type: resource_type.to_owned(),
            resource_id,
            version_id: version,
            time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            content: content.filter(|_| matches!(code, "create" | "update")),
            extras: Vec::new(),
        })
    }
}

/// What a location names: `…/Patient/1/_history/2`, or without a version.
struct Located {
    resource_type: &'static str,
    id: String,
    version: Option<String>,
}

impl Located {
    fn of(location: &str) -> Option<Self> {
        let path = location.split(['?', '#']).next().unwrap_or_default();
        let (instance, version) = match path.split_once("/_history/") {
            Some((instance, version)) => (instance, Some(version)),
            None => (path, None),
        };
        let mut segments = instance.rsplit('/');
        let id = segments.next().and_then(Id::parse)?;
        let resource_type = segments.next().and_then(ResourceType::parse)?;
        let version = version.and_then(Id::parse).map(|version| version.to_string());
        Some(Self { resource_type: resource_type.as_str(), id: id.to_string(), version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writes() -> Writes {
        let exchange = Exchange {
            id: "r".into(),
            route: "fhir".into(),
            interaction: "transaction".into(),
            extras: Vec::new(),
        };
        Writes { exchange, base: Base::parse("http://client/fhir").unwrap(), resource: 1000 }
    }

    #[test]
    fn locations_name_resources() {
        for (location, expected) in [
            ("http://h/fhir/Patient/1/_history/2", Some(("Patient", "1", Some("2")))),
            ("Patient/1", Some(("Patient", "1", None))),
            ("/fhir/Patient/a-b.c/_history/x y", Some(("Patient", "a-b.c", None))),
            ("http://h/fhir/patient/1", None),
            ("Patient", None),
            ("", None),
        ] {
            let found = Located::of(location);
            let found = found.as_ref().map(|l| (l.resource_type, l.id.as_str(), l.version.as_deref()));
            assert_eq!(found, expected, "{location}");
        }
    }

    #[test]
    fn every_entry_that_was_written_is_an_event() {
        let sent = Bytes::from_static(
            br#"{"resourceType":"Bundle","type":"transaction","entry":[
            {"resource":{"resourceType":"Patient","n":1},"request":{"method":"POST","url":"Patient"}},
            {"resource":{"resourceType":"Patient","n":2},"request":{"method":"POST","url":"Patient","ifNoneExist":"identifier=x"}},
            {"resource":{"resourceType":"Patient","id":"3"},"request":{"method":"PUT","url":"Patient/3"}},
            {"request":{"method":"DELETE","url":"Observation/4"}},
            {"request":{"method":"GET","url":"Patient/5"}},
            {"resource":{"resourceType":"Patient","n":6},"request":{"method":"POST","url":"Patient"}}]}"#,
        );
        let response = |status, location: &str| EntryResponse {
            status: Some(status),
            location: Some(location.to_owned()).filter(|location| !location.is_empty()),
            etag: None,
        };
        let responses = [
            response(201, "Patient/1/_history/1"),
            response(200, "Patient/2/_history/1"),
            response(200, "Patient/3/_history/7"),
            response(204, ""),
            response(200, ""),
            response(422, ""),
        ];
        let events =
            Writes { exchange: Exchange { interaction: "batch".into(), ..writes().exchange }, ..writes() }
                .events(Some(&sent), &responses);
        assert!(events.iter().all(|event| event.exchange.interaction == "transaction"));
        let told: Vec<_> = events
            .iter()
            .map(|e| (&*e.interaction, &*e.resource_type, &*e.resource_id, e.version_id.as_deref()))
            .collect();
        let expected = [
            ("create", "Patient", "1", Some("1")),
            ("update", "Patient", "3", Some("7")),
            ("delete", "Observation", "4", None),
        ];
        assert_eq!(told, expected);
        assert_eq!(events[0].content.as_deref(), Some(&br#"{"resourceType":"Patient","n":1}"#[..]));
        assert!(events[2].content.is_none());
        // Of what was too large to be kept only what lies somewhere is known.
        let told: Vec<_> = writes().events(None, &responses).iter().map(|e| e.resource_id.clone()).collect();
        assert_eq!(told, ["1", "2", "3"]);
    }
}
