//! Several replicas of one FHIR server.
//!
//! A host with several addresses counts as several replicas. Each request goes to the one that works on least; one
//! that cannot be connected to is left out, and another is asked at once, because nothing was sent. [`Replicas`] is
//! what all cores know together, [`Balanced`] one core's own connections to them.

mod balanced;
mod choice;
mod counted;
mod health;
mod replica;
mod resolve;
mod standing;
mod tend;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::select_ok;
use http::HeaderValue;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{PoolSettings, Tls};

pub use balanced::Balanced;
pub use counted::Counted;
pub use health::HealthCheck;
pub use replica::{Replica, Seen};
pub use resolve::{Resolve, Resolving, SystemResolver};
pub use standing::{Rules, Standing};

/// What one server is made of, and how it is dealt with.
#[derive(Clone)]
pub struct ReplicaSettings {
    /// Its name in logs.
    pub name: Arc<str>,
    /// Where it is: one at least.
    pub endpoints: Vec<Endpoint>,
    /// Speak TLS.
    pub tls: Option<Tls>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long the server may stay silent inside a body.
    pub body_idle_timeout: Duration,
    /// How long an unused connection is kept.
    pub keep_idle: Duration,
    /// How many unused connections to one replica are kept on each core.
    pub max_idle: usize,
    /// How often host names are looked up.
    pub resolve_interval: Duration,
    /// How health is checked.
    pub health: HealthCheck,
    /// How much it takes to be left out.
    pub rules: Rules,
    /// What it wants to know of us.
    pub credentials: Option<Arc<dyn Credentials>>,
}

/// One place of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// What it is called in `Host`.
    pub authority: HeaderValue,
}

/// Says who we are to a server. Asked for each request, so an answer must be at hand: what is fetched or renewed is
/// fetched and renewed elsewhere.
pub trait Credentials: Send + Sync + 'static {
    /// The value of `Authorization`, marked as sensitive; none: there is nothing to say now.
    fn authorization(&self) -> Option<HeaderValue>;
}

/// See the module's text. One for each server, shared by all cores.
pub struct Replicas {
    settings: ReplicaSettings,
    resolver: Arc<dyn Resolve>,
    now: ArcSwap<Vec<Placed>>,
    /// Held while it is decided whether one is left out.
    leaving: Mutex<()>,
    /// Rings when names should be looked up soon.
    look: Arc<Notify>,
    /// Rings when health should be checked now.
    check: Arc<Notify>,
}

/// A replica and the endpoint that led to it.
#[derive(Clone)]
struct Placed {
    endpoint: usize,
    replica: Arc<Replica>,
}

impl Replicas {
    /// One replica for each endpoint, believed to be well; [`Replicas::tend`] finds out more. Those of `before` that
    /// are reached in the same way are kept, with all that is known of them: pass it only if nothing but endpoints,
    /// health and rules differ.
    pub fn new(settings: ReplicaSettings, resolver: Arc<dyn Resolve>, before: Option<&Self>) -> Arc<Self> {
        let mut placed = Vec::new();
        let known = |at: &Endpoint| before.map(|before| before.at(at)).unwrap_or_default();
        let alone = settings.endpoints.iter().all(|at| known(at).is_empty());
        for (endpoint, at) in settings.endpoints.iter().enumerate() {
            let known = known(at);
            if known.is_empty() {
                // Among others that are known to work, a new one has to show that it does.
                let literal = at.host.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, at.port));
                let replica = settings.replica(at, literal.into_iter().collect(), 1, alone);
                placed.push(Placed { endpoint, replica: Arc::new(replica) });
            }
            placed.extend(known.into_iter().map(|replica| Placed { endpoint, replica }));
        }
        let now = ArcSwap::from_pointee(placed);
        let (leaving, look, check) = (Mutex::default(), Arc::default(), Arc::default());
        Arc::new(Self { settings, resolver, now, leaving, look, check })
    }

    /// The server's name in logs.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// How they look now.
    pub fn seen(&self) -> Vec<Seen> {
        self.now.load().iter().map(|placed| placed.replica.seen()).collect()
    }

    /// The replicas of now.
    pub fn all(&self) -> Vec<Arc<Replica>> {
        self.now.load().iter().map(|placed| Arc::clone(&placed.replica)).collect()
    }

    /// Whether one of them accepts connections within this time; the last reason if none does.
    ///
    /// # Errors
    /// As the connections say.
    pub async fn reach(&self, patience: Duration) -> Result<(), String> {
        let all = self.all();
        let tries = all.iter().map(|replica| Box::pin(replica.pool.reach(patience)));
        select_ok(tries).await.map(drop)
    }

    /// Those of an endpoint like this one.
    fn at(&self, endpoint: &Endpoint) -> Vec<Arc<Replica>> {
        let Some(index) = self.settings.endpoints.iter().position(|known| known == endpoint) else {
            return Vec::new();
        };
        let now = self.now.load();
        let here = now.iter().filter(|placed| placed.endpoint == index);
        here.map(|placed| Arc::clone(&placed.replica)).collect()
    }

    /// A request to it failed, and how: it is left out if that is enough and enough others are in. Connections that
    /// cannot be made take out all but the last. Faults in answers take out half at the most: what they have in common
    /// is likely behind them all.
    fn failed(&self, replica: &Replica, unreachable: bool) {
        if !replica.failed(unreachable, self.settings.rules) {
            return;
        }
        let now = Instant::now();
        let _deciding = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        let all = self.now.load();
        let is_in = |placed: &&Placed| placed.replica.standing(now).is_in();
        let others = all.iter().filter(|other| !std::ptr::eq(&*other.replica, replica)).filter(is_in).count();
        let needed = if unreachable { 1 } else { all.len().div_ceil(2) };
        if others >= needed && replica.standing(now).is_in() {
            replica.eject(&self.settings.name, unreachable);
        }
        if unreachable {
            // It may have moved.
            self.look.notify_one();
        }
    }
}

impl ReplicaSettings {
    /// The replica at these addresses of an endpoint that has so many.
    fn replica(&self, at: &Endpoint, addresses: Vec<SocketAddr>, of: usize, believed: bool) -> Replica {
        let mut label = at.authority.to_str().unwrap_or(&at.host).to_owned();
        if let (2.., [address]) = (of, &addresses[..]) {
            label = format!("{label} ({})", address.ip());
        }
        let pool = PoolSettings {
            host: at.host.clone(),
            port: at.port,
            addresses,
            tls: self.tls.clone(),
            connect_timeout: self.connect_timeout,
            body_idle_timeout: self.body_idle_timeout,
            keep_idle: self.keep_idle,
            max_idle: self.max_idle,
        };
        Replica::new(label, at.authority.clone(), pool, believed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const RULES: Rules = Rules { eject_after: 2, unhealthy_after: 2, healthy_after: 2 };

    pub(super) fn endpoint(host: &str) -> Endpoint {
        Endpoint { host: host.to_owned(), port: 80, authority: HeaderValue::from_str(host).unwrap() }
    }

    pub(super) fn settings(hosts: &[&str]) -> ReplicaSettings {
        let second = Duration::from_secs(1);
        ReplicaSettings {
            name: "hapi".into(),
            endpoints: hosts.iter().map(|host| endpoint(host)).collect(),
            tls: None,
            connect_timeout: second,
            body_idle_timeout: second,
            keep_idle: second,
            max_idle: 1,
            resolve_interval: second,
            health: HealthCheck {
                target: "/fhir/Patient/x".parse().unwrap(),
                interval: second,
                timeout: second,
                alone: false,
            },
            rules: RULES,
            credentials: None,
        }
    }

    pub(super) fn replica(host: &str) -> Arc<Replica> {
        Arc::new(settings(&[]).replica(&endpoint(host), Vec::new(), 1, true))
    }

    pub(super) fn unchecked(host: &str) -> Arc<Replica> {
        Arc::new(settings(&[]).replica(&endpoint(host), Vec::new(), 1, false))
    }

    fn four() -> Arc<Replicas> {
        Replicas::new(settings(&["a", "b", "c", "d"]), Arc::new(SystemResolver), None)
    }

    fn words(replicas: &Replicas) -> Vec<&'static str> {
        replicas.seen().iter().map(|seen| seen.standing.as_str()).collect()
    }

    #[test]
    fn all_but_the_last_are_left_out_if_they_cannot_be_reached() {
        let replicas = four();
        for replica in replicas.all() {
            replicas.failed(&replica, true);
        }
        assert_eq!(words(&replicas), ["ejected", "ejected", "ejected", "serving"]);
    }

    #[test]
    fn half_are_left_out_if_their_answers_are_faults() {
        let replicas = four();
        for replica in replicas.all() {
            replicas.failed(&replica, false);
            assert!(replica.standing(Instant::now()).is_in(), "once is nothing");
            replicas.failed(&replica, false);
        }
        assert_eq!(words(&replicas), ["ejected", "ejected", "serving", "serving"]);
        let alone = Replicas::new(settings(&["a"]), Arc::new(SystemResolver), None);
        for _ in 0..10 {
            alone.failed(&alone.all()[0], true);
        }
        assert_eq!(words(&alone), ["serving"]);
    }

    #[test]
    fn what_stays_is_kept_and_what_is_new_must_show_that_it_works() {
        let before = four();
        before.failed(&before.all()[1], true);
        let after = Replicas::new(settings(&["b", "e", "a"]), Arc::new(SystemResolver), Some(&before));
        assert_eq!(words(&after), ["ejected", "unhealthy", "serving"]);
        assert!(Arc::ptr_eq(&after.all()[2], &before.all()[0]));
        let others = Replicas::new(settings(&["x", "y"]), Arc::new(SystemResolver), Some(&before));
        assert_eq!(words(&others), ["serving", "serving"], "nobody else could be asked meanwhile");
    }
}
