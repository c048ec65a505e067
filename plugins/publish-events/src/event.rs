//! What is told of a write, whose it is, and when it is tried again.

use fireguard_sdk::{Event, json};
use serde::Serialize;

/// The first pause, and the longest.
const FIRST_PAUSE: u32 = 1_000;
const LONGEST_PAUSE: u32 = 300_000;

/// An event as others get it.
#[derive(Serialize)]
struct Told<'a> {
    /// The same for every repetition.
    id: &'a str,
    action: &'a str,
    #[serde(rename = "type")]
    resource_type: &'a str,
    #[serde(rename = "resourceId")]
    resource_id: &'a str,
    version: Option<&'a str>,
    time: &'a str,
    source: &'a str,
}

/// The event in JSON.
///
/// # Errors
/// It cannot be written; texts and nothing else always can.
pub(crate) fn told(event: &Event, source: &str) -> Result<Vec<u8>, String> {
    let told = Told {
        id: &event.id,
        action: &event.interaction,
        resource_type: &event.resource_type,
        resource_id: &event.resource_id,
        version: event.version_id.as_deref(),
        time: &event.time,
        source,
    };
    serde_json::to_vec(&told).map_err(|error| error.to_string())
}

/// What keeps the order of events: the patient, where the content names one, or else the resource.
pub(crate) fn order(event: &Event) -> String {
    if event.resource_type == "Patient" {
        return format!("Patient/{}", event.resource_id);
    }
    let patient = event.content.as_deref().and_then(|content| {
        ["subject", "patient"].into_iter().find_map(|element| {
            let reference = json::member(content, element)?.member("reference")?.string()?.into_owned();
            reference.starts_with("Patient/").then_some(reference)
        })
    });
    patient.unwrap_or_else(|| format!("{}/{}", event.resource_type, event.resource_id))
}

/// Milliseconds until it is tried again: twice as many each time, up to five minutes.
pub(crate) fn patience(event: &Event) -> u32 {
    let attempt = event.extras.iter().find(|field| field.name == "attempt");
    let attempt: u32 = attempt.and_then(|field| field.value.parse().ok()).unwrap_or(1);
    let doubled = 2u32.checked_pow(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fireguard_sdk::Field;

    fn event(resource_type: &str, content: Option<&str>) -> Event {
        Event {
            resource_type: resource_type.to_owned(),
            resource_id: "7".to_owned(),
            content: content.map(|content| content.as_bytes().to_vec()),
            ..Event::default()
        }
    }

    #[test]
    fn the_order_is_the_patient_s() {
        let cases = [
            ("Patient", None, "Patient/7"),
            ("Observation", Some(r#"{"subject":{"reference":"Patient/1"}}"#), "Patient/1"),
            ("Observation", Some(r#"{"subject":{"reference":"Group/1"}}"#), "Observation/7"),
            ("Claim", Some(r#"{"patient":{"reference":"Patient/2"}}"#), "Patient/2"),
            ("Observation", None, "Observation/7"),
            ("Basic", Some("no json"), "Basic/7"),
        ];
        for (resource_type, content, expected) in cases {
            assert_eq!(order(&event(resource_type, content)), expected);
        }
    }

    #[test]
    fn pauses_grow_and_end() {
        let pause = |attempt: &str| {
            let extras = vec![Field::new("attempt", attempt)];
            patience(&Event { extras, ..Event::default() })
        };
        assert_eq!([pause("1"), pause("2"), pause("5")], [1_000, 2_000, 16_000]);
        assert_eq!([pause("20"), pause("4000"), pause("?")], [300_000, 300_000, 1_000]);
    }
}
