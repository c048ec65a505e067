//! What confined callers are shown.

use std::borrow::Cow;
use std::collections::BTreeSet;

use fireguard_access::elements;
use fireguard_access::resource::{Found, FoundEntry, Unclear};
use fireguard_access::sieve::{Judges, Sieve, SieveError};
use fireguard_fhir::bundle::envelope::Envelope;
use fireguard_fhir::json;
use serde_json::Value;

use super::whose;

/// Shows what is patient `1`'s, without notes.
struct Own(BTreeSet<String>);

impl Own {
    fn shows(found: &Found) -> bool {
        found.all().all(|resource| resource.patients.iter().any(|patient| patient.as_str() == "1"))
    }
}

impl Judges for Own {
    fn envelope(&self, _: &Envelope) -> Result<(), SieveError> {
        Ok(())
    }

    fn total(&self) -> bool {
        false
    }

    fn show<'e>(&self, entry: &'e [u8], found: Result<FoundEntry, Unclear>) -> Option<Cow<'e, [u8]>> {
        found.ok()?.resource.filter(Own::shows)?;
        Some(elements::without(entry, &self.0).ok()?.map_or(entry.into(), Cow::Owned))
    }
}

/// The first byte says in how large pieces the others come. Whatever comes out is a Bundle in which every entry is the
/// patient's own; and whose a resource is, is read as the whole tree tells it.
pub fn sieve(data: &[u8]) {
    let Some((size, text)) = data.split_first() else { return };
    whose::agrees(text);
    let mut sieve = Sieve::new(Own(["*.note".to_owned()].into()), 64 << 10);
    let mut shown = Vec::new();
    let fed = text.chunks(usize::from(*size).max(1)).try_for_each(|piece| sieve.feed(piece, &mut shown));
    if fed.is_err() || sieve.finish(&mut shown).is_err() {
        return;
    }
    assert_eq!(
        json::resource_type_of(&shown).as_deref(),
        Some("Bundle"),
        "{}",
        String::from_utf8_lossy(&shown)
    );
    // Of two members of one name a reader may take either: there is none among what was judged.
    if json::check(&shown).is_err() {
        return;
    }
    let Ok(bundle) = serde_json::from_slice::<Value>(&shown) else { return };
    for entry in bundle["entry"].as_array().into_iter().flatten() {
        let text = entry.to_string();
        let found = FoundEntry::of(text.as_bytes()).ok().and_then(|entry| entry.resource);
        assert!(found.as_ref().is_some_and(Own::shows), "not the patient's: {text}");
        assert!(entry["resource"].get("note").is_none(), "not to be seen: {text}");
    }
    assert!(bundle.get("total").is_none() && bundle.get("signature").is_none());
}
