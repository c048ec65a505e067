//! What decisions cost: scopes and a hundred policies.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};

use bytes::Bytes;
use fireguard_access::decision::{Access, Action, Judge, Permission, Resource};
use fireguard_access::policy::describe::{self, Caller};
use fireguard_access::policy::{Decisions, Policies};
use fireguard_access::principal::Principal;
use fireguard_access::resource::Found;
use fireguard_fhir::ResourceType;
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
        bench.answer(&payload::record(30 << 10))?,
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

    /// All that gate 3 asks of resources: whose they are, and whether they may be seen.
    fn answer(&self, resources: &[Bytes]) -> Result<Row, Error> {
        let rounds = rounds(|| {
            let judge = self.judge();
            resources.iter().all(|resource| {
                Found::of(resource).is_ok_and(|found| {
                    let all = std::iter::once(&found.outer).chain(&found.within);
                    all.into_iter().all(|one| allowed(&judge.resource(&Action::Search, one)))
                })
            })
        })?;
        let name = format!("{} resources, 30 KiB, read and judged, us", resources.len());
        Ok(Row::alone(name, rounds, Some(Goal::AtMost(150.0))))
    }
}

fn failed(why: String) -> Error {
    Error::Usage(format!("the benchmark measures nonsense: {why}"))
}

/// The medians of rounds, in microseconds.
fn rounds(mut work: impl FnMut() -> bool) -> Result<Vec<f64>, Error> {
    let mut medians = Vec::new();
    for _ in 0..ROUNDS {
        let mut times = Vec::with_capacity(DECISIONS);
        for _ in 0..DECISIONS {
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
