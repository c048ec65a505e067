//! What decisions cost: scopes and a hundred policies; and what it costs to look at what is shown.

mod token;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};

use fireguard_access::decision::{Access, Action, Judge, Permission, Resource};
use fireguard_access::policy::describe::{self, Caller};
use fireguard_access::policy::{Decisions, Policies};
use fireguard_access::principal::Principal;
use fireguard_access::resource::{FoundEntry, Unclear};
use fireguard_access::sieve::{Judges, Sieve, SieveError};
use fireguard_fhir::ResourceType;
use fireguard_fhir::bundle::envelope::Envelope;
use fireguard_fhir::interaction::{Id, Request};

use super::payload;
use super::row::{Goal, Row, median};
use crate::error::Error;

const ROUNDS: usize = 15;
const DECISIONS: usize = 2000;
/// As many policies as the goal is for.
const POLICIES: usize = 100;

/// Measures everything; some seconds.
pub(super) fn run() -> Result<Vec<Row>, Error> {
    let policies = Policies::of_texts(vec![("bench.cedar".into(), text())], None)
        .map_err(|faults| failed(format!("{faults:?}")))?;
    let decisions = Decisions::by_policies(Arc::new(policies));
    let caller = Caller {
        roles: ["clinician".to_owned()].into(),
        scopes: Some("user/*.rs launch openid".into()),
        ..Caller::default()
    };
    let principal = Arc::new(caller.principal().map_err(failed)?);
    let request = describe::request("GET /Observation?code=1&_count=20").map_err(failed)?;
    let bench = Bench { decisions, principal, request };
    Ok(vec![
        bench.first_request()?,
        bench.first_resource()?,
        bench.same_kind()?,
        bench.answer("gate 3 on a searchset of 30 KiB, us", 30 << 10, Some(Goal::AtMost(150.0)))?,
        bench.answer("gate 3 on a searchset of 1 MiB, us", 1 << 20, None)?,
        reading("of it reading, on 30 KiB, us", 30 << 10)?,
        reading("of it reading, on 1 MiB, us", 1 << 20)?,
        token::known()?,
    ])
}

struct Bench {
    decisions: Decisions,
    principal: Arc<Principal>,
    request: Request,
}

impl Bench {
    fn judge(&self) -> Arc<dyn Judge> {
        self.decisions.judge_at(Arc::clone(&self.principal), &self.request, UNIX_EPOCH)
    }

    /// A request of a caller of whom nothing is remembered.
    fn first_request(&self) -> Result<Row, Error> {
        let access =
            Access { action: Action::Search, resource_type: Some(ResourceType::Observation), id: None };
        let rounds = rounds(|| allowed(&self.judge().request(&access)))?;
        Ok(Row::alone(format!("request, {POLICIES} policies, p50, us"), rounds, Some(Goal::AtMost(20.0))))
    }

    /// A resource of a kind that has not been met.
    fn first_resource(&self) -> Result<Row, Error> {
        let resource = observation("1");
        let rounds = rounds(|| allowed(&self.judge().resource(&Action::Search, &resource)))?;
        let name = format!("first resource of a kind, {POLICIES} policies, p50, us");
        Ok(Row::alone(name, rounds, Some(Goal::AtMost(20.0))))
    }

    /// One like another before.
    fn same_kind(&self) -> Result<Row, Error> {
        let (judge, mut count) = (self.judge(), 0_u32);
        let resources: Vec<_> = (0..100).map(|n| observation(&format!("o{n}"))).collect();
        let rounds = rounds(|| {
            for resource in &resources {
                count += u32::from(allowed(&judge.resource(&Action::Search, resource)));
            }
            count > 0
        })?;
        let rounds = rounds.into_iter().map(|us| us * 1000.0 / resources.len() as f64).collect();
        Ok(Row::alone("further resource of a kind, ns", rounds, Some(Goal::AtMost(1000.0))))
    }

    /// Gate 3 as the gateway does it: an answer that came at once, entry by entry.
    fn answer(&self, name: &str, size: usize, goal: Option<Goal>) -> Result<Row, Error> {
        let bundle = searchset(size);
        let rounds = rounds_of(DECISIONS * (30 << 10) / size, || {
            let judge = self.judge();
            shown(Sees(Some(&*judge)), &bundle)
        })?;
        Ok(Row::alone(name, rounds, goal))
    }
}

/// The same without a judge.
fn reading(name: &str, size: usize) -> Result<Row, Error> {
    let bundle = searchset(size);
    let rounds = rounds_of(DECISIONS * (30 << 10) / size, || shown(Sees(None), &bundle))?;
    Ok(Row::alone(name, rounds, None))
}

/// Whether the whole Bundle is shown: nothing of it is hidden from this caller.
fn shown(sees: Sees<'_>, bundle: &[u8]) -> bool {
    Sieve::new(sees, 16 << 20).whole(bundle).is_ok_and(|shown| shown.len() == bundle.len())
}

/// A searchset of one patient's resources.
fn searchset(size: usize) -> Vec<u8> {
    let entry = |resource: &bytes::Bytes| {
        let resource = String::from_utf8_lossy(resource);
        format!(
            r#"{{"fullUrl":"http://hapi:8080/fhir/x","resource":{resource},"search":{{"mode":"match"}}}}"#
        )
    };
    let entries: Vec<String> = payload::record(size).iter().map(entry).collect();
    format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{}]}}"#, entries.join(",")).into_bytes()
}

/// Shows what its judge lets be seen; without one, whatever can be read.
struct Sees<'j>(Option<&'j dyn Judge>);

impl Judges for Sees<'_> {
    fn envelope(&self, _: &Envelope) -> Result<(), SieveError> {
        Ok(())
    }

    fn total(&self) -> bool {
        false
    }

    fn show<'e>(&self, entry: &'e [u8], found: Result<FoundEntry, Unclear>) -> Option<Cow<'e, [u8]>> {
        let found = found.ok()?.resource?;
        let seen = |resource| self.0.is_none_or(|judge| allowed(&judge.resource(&Action::Search, resource)));
        found.all().all(seen).then_some(entry.into())
    }
}

fn failed(why: String) -> Error {
    Error::Usage(format!("the benchmark measures nonsense: {why}"))
}

/// The medians of rounds, in microseconds.
fn rounds(work: impl FnMut() -> bool) -> Result<Vec<f64>, Error> {
    rounds_of(DECISIONS, work)
}

fn rounds_of(count: usize, mut work: impl FnMut() -> bool) -> Result<Vec<f64>, Error> {
    let mut medians = Vec::new();
    for _ in 0..ROUNDS {
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let begin = Instant::now();
            let right = black_box(work());
            times.push(begin.elapsed().as_secs_f64() * 1e6);
            if !right {
                return Err(failed("one is wrong".into()));
            }
        }
        medians.push(median(times));
    }
    Ok(medians)
}

fn allowed(permission: &Permission) -> bool {
    matches!(permission, Permission::Allowed(_))
}

fn observation(id: &str) -> Resource {
    Resource {
        resource_type: ResourceType::Observation,
        id: Id::parse(id),
        patients: Id::parse("p").into_iter().collect(),
        unnamed: false,
        labels: BTreeSet::new(),
        tags: BTreeSet::new(),
    }
}

/// Policies for many wards, of which a caller's role is in one; and some that hold for everybody.
fn text() -> String {
    let mut text = String::from(
        "@id(\"clinicians-read\") @obligation(\"audit:patient\")\n\
         permit(principal in Role::\"clinician\", action in Action::\"reads\", resource);\n\
         @id(\"very-restricted\") forbid(principal, action, resource)\n\
         when { resource.labels.contains(\"http://terminology.hl7.org/CodeSystem/v3-Confidentiality|V\") };\n",
    );
    for n in 2..POLICIES {
        let policy = match n % 4 {
            0 => format!(
                "permit(principal in Role::\"ward-{n}\", action in Action::\"reads\", resource in Type::\"Observation\");"
            ),
            1 => format!(
                "permit(principal in Role::\"ward-{n}\", action, resource) when {{ resource.tags.contains(\"https://wards|{n}\") }};"
            ),
            2 => format!(
                "permit(principal, action in Action::\"writes\", resource) when {{ principal.subject == \"user-{n}\" }};"
            ),
            _ => format!(
                "forbid(principal, action, resource in Type::\"Consent\") when {{ context.purposes.contains(\"P{n}\") }};"
            ),
        };
        text.push_str(&format!("@id(\"p{n}\")\n{policy}\n"));
    }
    text
}
