//! How often gate 3 allocates: so often for an entry, however many there are.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::sync::Arc;

use allocation_counter::measure;
use fireguard_access::decision::{Action, Judge, Permission};
use fireguard_access::policy::Decisions;
use fireguard_access::policy::describe::{self, Caller};
use fireguard_access::resource::{FoundEntry, Unclear};
use fireguard_access::sieve::{Judges, Sieve, SieveError};
use fireguard_fhir::bundle::envelope::Envelope;

/// For an entry that is whole in the bytes at hand: what is found in it, and what is decided of it.
const AT_ONCE: u64 = 16;
/// For one of several pieces, which is put together first.
const IN_PIECES: u64 = 32;

struct Sees(Arc<dyn Judge>);

impl Judges for Sees {
    fn envelope(&self, _: &Envelope) -> Result<(), SieveError> {
        Ok(())
    }

    fn total(&self) -> bool {
        false
    }

    fn show<'e>(&self, entry: &'e [u8], found: Result<FoundEntry, Unclear>) -> Option<Cow<'e, [u8]>> {
        let found = found.ok()?.resource?;
        let seen = |resource| matches!(self.0.resource(&Action::Search, resource), Permission::Allowed(_));
        found.all().all(seen).then_some(entry.into())
    }
}

/// A searchset of so many Observations of 1 KB.
fn searchset(entries: usize) -> Vec<u8> {
    let coding = r#"{"system":"http://loinc.org","code":"8480-6","display":"Systolic Blood Pressure"}"#;
    let component =
        format!(r#"{{"code":{{"coding":[{coding}]}},"valueQuantity":{{"value":120.50,"unit":"mm[Hg]"}}}}"#);
    let components = [component.as_str(); 4].join(",");
    let entries: Vec<String> = (0..entries)
        .map(|n| {
            format!(
                r#"{{"fullUrl":"http://hapi:8080/fhir/Observation/{n}","resource":{{"resourceType":"Observation","id":"{n}","meta":{{"versionId":"1"}},"status":"final","code":{{"coding":[{coding}]}},"subject":{{"reference":"Patient/p"}},"encounter":{{"reference":"Encounter/{n}"}},"component":[{components}]}},"search":{{"mode":"match"}}}}"#
            )
        })
        .collect();
    format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{}]}}"#, entries.join(",")).into_bytes()
}

#[test]
fn a_bundle_of_a_megabyte_allocates_so_often_for_each_entry() {
    let caller =
        Caller { scopes: Some("patient/*.rs".into()), patient: Some("p".into()), ..Caller::default() };
    let principal = Arc::new(caller.principal().unwrap());
    let request = describe::request("GET /Observation").unwrap();
    let judge = Decisions::by_scopes().judge(principal, &request);
    let entries = 1200;
    let bundle = searchset(entries);
    assert!(bundle.len() > 1 << 20, "{}", bundle.len());
    for (size, most) in [(bundle.len(), AT_ONCE), (64 << 10, AT_ONCE), (1000, IN_PIECES)] {
        let mut shown = Vec::with_capacity(bundle.len());
        let info = measure(|| {
            let mut sieve = Sieve::new(Sees(Arc::clone(&judge)), 16 << 20);
            bundle.chunks(size).for_each(|piece| sieve.feed(piece, &mut shown).unwrap());
            sieve.finish(&mut shown).unwrap();
        });
        assert!(shown == bundle, "something was hidden");
        let each = info.count_total / entries as u64;
        println!("in pieces of {size}: {each} allocations an entry, {} bytes at the most", info.bytes_max);
        assert!(each <= most, "{each} for each entry, in pieces of {size}");
        // It holds no more than an entry and what is around them.
        assert!(info.bytes_max < 64 << 10, "{} bytes", info.bytes_max);
    }
}
