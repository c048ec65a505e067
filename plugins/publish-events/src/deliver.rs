//! To the endpoint, and into the store.

use fireguard_sdk::{Event, Field, Host, HttpRequest};

use crate::{PublishEvents, event};

impl PublishEvents {
    /// Delivers one event to all that are to have it.
    ///
    /// # Errors
    /// Why somebody does not have it; those that have it get it again.
    pub(crate) fn deliver(&self, host: &dyn Host, event: &Event) -> Result<(), String> {
        let told = event::told(event, &self.source)?;
        if let Some(prefix) = &self.objects {
            let name = name(prefix, event);
            let extras = [Field::new("content-type", "application/json")];
            host.put_object(&name, &told, &extras)
                .map_err(|error| format!("object store: {}", error.code))?;
        }
        if let Some(url) = &self.url {
            let mut request = HttpRequest::post(url.clone(), "application/json", told);
            request.headers.push(Field::new("idempotency-key", event.id.clone()));
            let response = host.send_http(&request).map_err(|error| format!("HTTP: {}", error.code))?;
            if !(200..300).contains(&response.status) {
                return Err(format!("HTTP: status {}", response.status));
            }
        }
        Ok(())
    }
}

/// A repetition writes the same object: `events/2026-01-31/<id>.json`. What an object's name may not have becomes `-`.
fn name(prefix: &str, event: &Event) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || ['.', '-', '_', '='].contains(&c);
    let safe = |text: &str| text.chars().map(|c| if fits(c) { c } else { '-' }).collect::<String>();
    let day = event.time.split('T').next().unwrap_or_default();
    format!("{prefix}{}/{}.json", safe(day), safe(&event.id))
}
