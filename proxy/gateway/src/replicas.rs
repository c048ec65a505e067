//! The replicas of a FHIR server as all cores know them, and how they outlive a change of the configuration.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fireguard_fhir::base::Base;
use fireguard_traffic::upstream::replicas::{Endpoint, ReplicaSettings, Standing, SystemResolver};
use fireguard_traffic::upstream::{self, Replicas, Tls};
use http::HeaderValue;
use metrics::{counter, gauge};
use tokio::runtime::Handle;

use crate::config::file::Limits;
use crate::config::{self, ServerTls, defaults};
use crate::credentials::Credentials;
use crate::state::Shared;

/// The replicas of one server, and what they were made of.
pub struct Group {
    /// Who is asked.
    pub replicas: Arc<Replicas>,
    /// As it is configured.
    pub configured: config::Replicas,
    /// Who we are to it; none: nobody in particular.
    pub credentials: Option<Arc<Credentials>>,
    timeouts: (Duration, Duration),
    tended: AtomicBool,
}

impl Group {
    /// The replicas of the server a route leads to.
    pub fn new(route: &config::Route, limits: &Limits, before: Option<&Arc<Self>>) -> Arc<Self> {
        Self::of(&route.upstream_name, route.replicas.clone(), limits, before)
    }

    /// The replicas of the server of this name. Those of `before` are kept, with all that is known of them and the
    /// connections to them, unless how they are connected to has changed.
    pub fn of(
        name: &str,
        configured: config::Replicas,
        limits: &Limits,
        before: Option<&Arc<Self>>,
    ) -> Arc<Self> {
        let timeouts = (limits.connect.0, limits.body_idle.0);
        if let Some(before) = before.filter(|b| b.configured == configured && b.timeouts == timeouts) {
            return Arc::clone(before);
        }
        let alike = before.filter(|b| b.configured.tls == configured.tls && b.timeouts == timeouts);
        // With the sessions it has.
        let tls = alike.map_or(&configured.tls, |before| &before.configured.tls);
        let known = before.and_then(|before| before.credentials.clone());
        let credentials = configured.credentials.as_ref().map(|configured| {
            let same = known.filter(|known| known.are(configured));
            same.unwrap_or_else(|| Credentials::new(configured.clone()))
        });
        let settings = ReplicaSettings {
            name: name.into(),
            endpoints: configured.bases.iter().filter_map(endpoint).collect(),
            tls: tls.as_ref().map(|tls| tls.tls.clone()),
            connect_timeout: timeouts.0,
            body_idle_timeout: timeouts.1,
            keep_idle: defaults::KEEP_IDLE,
            max_idle: defaults::MAX_IDLE,
            resolve_interval: configured.resolve_interval,
            health: configured.health.clone(),
            rules: configured.rules,
            credentials: credentials.clone().map(|known| known as Arc<dyn upstream::Credentials>),
        };
        let before = alike.map(|before| &*before.replicas);
        let replicas = Replicas::new(settings, Arc::new(SystemResolver), before);
        Arc::new(Self { replicas, configured, credentials, timeouts, tended: AtomicBool::new(false) })
    }

    /// What to say of us; waits for a token where there is none yet.
    ///
    /// # Errors
    /// There is none, and why.
    pub async fn authorization(&self) -> Result<Option<HeaderValue>, String> {
        match &self.credentials {
            None => Ok(None),
            Some(credentials) => credentials.ready().await.map(Some).map_err(|error| error.to_string()),
        }
    }

    /// The longest value of `Host` that one of them is sent, in bytes.
    pub fn longest_host(&self) -> usize {
        self.configured.bases.iter().map(|base| base.authority().len()).max().unwrap_or_default()
    }

    /// What TLS needs, if it is spoken.
    pub fn tls(&self) -> Option<&Tls> {
        self.configured.tls.as_ref().map(|tls| &tls.tls)
    }

    /// Has them looked after on this runtime, until nobody needs them any more.
    pub fn tend(&self, runtime: &Handle) {
        if !self.tended.swap(true, Ordering::Relaxed) {
            let bases: Vec<_> = self.configured.bases.iter().map(ToString::to_string).collect();
            let (upstream, replicas) = (self.replicas.name(), bases.join(", "));
            let tls = self.configured.tls.as_ref().map(ServerTls::summary);
            tracing::info!(upstream, replicas, tls, "a FHIR server");
            if let Some(credentials) = &self.credentials {
                runtime.spawn(credentials.tend());
            }
            runtime.spawn(self.replicas.tend());
        }
    }
}

/// What is told of each replica when somebody asks for metrics. Counting is the replicas' own work, so that requests have
/// none of it.
#[derive(Default)]
pub struct Meters(Mutex<BTreeMap<(String, String), u64>>);

impl Meters {
    /// Brings the metrics up to date. A replica that is gone is told of as one that is in no state.
    pub fn update(&self, shared: &Shared) {
        let groups: BTreeMap<_, _> =
            shared.routes.iter().map(|route| (&route.upstream_name, &route.group)).collect();
        let mut before = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = BTreeMap::new();
        for (upstream, group) in groups {
            for seen in group.replicas.seen() {
                let labels = [("upstream", upstream.clone()), ("replica", seen.label.clone())];
                let key = (upstream.clone(), seen.label.clone());
                let counted = before.remove(&key).unwrap_or_default();
                // One that was away is another, and has begun anew.
                let more = seen.requests.checked_sub(counted).unwrap_or(seen.requests);
                counter!("fireguard_replica_requests_total", &labels).increment(more);
                gauge!("fireguard_replica_in_flight", &labels).set(seen.in_flight as f64);
                state(upstream, &seen.label, Some(seen.standing));
                now.insert(key, seen.requests);
            }
        }
        for (upstream, replica) in before.keys() {
            let labels = [("upstream", upstream.clone()), ("replica", replica.clone())];
            gauge!("fireguard_replica_in_flight", &labels).set(0.0);
            state(upstream, replica, None);
        }
        *before = now;
    }
}

fn state(upstream: &str, replica: &str, standing: Option<Standing>) {
    for word in Standing::WORDS {
        let is = standing.is_some_and(|standing| standing.as_str() == word);
        gauge!("fireguard_replica_state", "upstream" => upstream.to_owned(), "replica" => replica.to_owned(),
            "state" => word)
        .set(f64::from(u8::from(is)));
    }
}

fn endpoint(base: &Base) -> Option<Endpoint> {
    Some(Endpoint {
        host: base.host().trim_matches(['[', ']']).to_owned(),
        port: base.port(),
        authority: HeaderValue::from_str(base.authority()).ok()?,
    })
}
