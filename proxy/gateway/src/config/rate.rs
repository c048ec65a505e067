//! How often one client may ask: as it is written, and what it means.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::ops::Range;

use fireguard_traffic::rate::{Class, Quota, Quotas};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use toml::Spanned;

use super::Problem;

/// How often one client may ask. Classes of requests share it, but for those with a limit of their own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Requests a second on the long run, of all classes without a limit of their own: `100`, or `0.5` for one in
    /// two seconds.
    pub per_second: Option<Frequency>,
    /// Requests at once.
    pub burst: Option<NonZeroU32>,
    /// Resources by their id.
    #[schemars(with = "Option<ClassRate>")]
    read: Option<Spanned<ClassRate>>,
    /// Searches and histories, each page for itself.
    #[schemars(with = "Option<ClassRate>")]
    search: Option<Spanned<ClassRate>>,
    /// Create, update, patch and delete.
    #[schemars(with = "Option<ClassRate>")]
    write: Option<Spanned<ClassRate>>,
    /// Batches and transactions, counted by their entries. An entry also counts for its own class, if that has a limit
    /// of its own.
    #[schemars(with = "Option<ClassRate>")]
    batch: Option<Spanned<ClassRate>>,
    /// Operations.
    #[schemars(with = "Option<ClassRate>")]
    operation: Option<Spanned<ClassRate>>,
    /// The start of an export or import.
    #[schemars(with = "Option<ClassRate>")]
    bulk: Option<Spanned<ClassRate>>,
}

/// The limit of one class.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ClassRate {
    /// Requests a second on the long run; as the route's unless given.
    per_second: Option<Frequency>,
    /// Requests at once; as the route's unless given.
    burst: Option<NonZeroU32>,
}

/// Requests a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frequency(f64);

/// How many leading bits of an IPv6 address name a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6Prefix(pub u8);

impl Rate {
    /// What it means; it is written at `span`.
    pub(super) fn quotas(&self, span: Range<usize>) -> Result<Quotas, Problem> {
        let quota = |per_second: Option<Frequency>, burst: Option<NonZeroU32>| {
            Some(Quota { per_second: per_second?.0, burst: burst? })
        };
        let shared = quota(self.per_second, self.burst);
        if shared.is_none() && (self.per_second.is_some() || self.burst.is_some()) {
            return Err(Problem::at(span, "a rate has both per_second and burst").help(EXAMPLE));
        }
        let mut quotas = Quotas { shared, ..Quotas::default() };
        for (class, own) in Class::ALL.iter().filter_map(|class| Some((*class, self.of(*class)?))) {
            let rate = own.get_ref();
            let (per_second, burst) = (rate.per_second.or(self.per_second), rate.burst.or(self.burst));
            let quota = quota(per_second, burst).ok_or_else(|| {
                let message = "a rate has both per_second and burst, its own or the route's";
                Problem::at(own.span(), message).help(EXAMPLE)
            })?;
            quotas.own.insert(class, quota);
        }
        if quotas == Quotas::default() {
            return Err(Problem::at(span, "this rate limits nothing").help(EXAMPLE));
        }
        Ok(quotas)
    }

    fn of(&self, class: Class) -> Option<&Spanned<ClassRate>> {
        let own = match class {
            Class::Read => &self.read,
            Class::Search => &self.search,
            Class::Write => &self.write,
            Class::Batch => &self.batch,
            Class::Operation => &self.operation,
            Class::Bulk => &self.bulk,
        };
        own.as_ref()
    }
}

const EXAMPLE: &str = "write per_second = 100 and burst = 200";

impl<'de> Deserialize<'de> for Frequency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = match toml::Value::deserialize(deserializer)? {
            toml::Value::Integer(number) => Some(number as f64),
            toml::Value::Float(number) => Some(number),
            _ => None,
        };
        // Once in a day and a million a second: what is beyond is a slip.
        let number = number.filter(|number| (1e-5..=1e6).contains(number));
        number.map(Self).ok_or_else(|| {
            D::Error::custom("a rate is a number over 0: 100, or 0.5 for one request in two seconds")
        })
    }
}

impl<'de> Deserialize<'de> for Ipv6Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bits = toml::Value::deserialize(deserializer)?.as_integer().and_then(|bits| bits.try_into().ok());
        bits.filter(|bits| (1..=128).contains(bits))
            .map(Self)
            .ok_or_else(|| D::Error::custom("the network of an IPv6 client has 1 to 128 bits: 64"))
    }
}

impl JsonSchema for Frequency {
    fn schema_name() -> Cow<'static, str> {
        "Frequency".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0.000_01, "maximum": 1_000_000 })
    }
}

impl JsonSchema for Ipv6Prefix {
    fn schema_name() -> Cow<'static, str> {
        "Ipv6Prefix".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": 128 })
    }
}
