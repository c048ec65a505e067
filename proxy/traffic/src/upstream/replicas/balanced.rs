//! One core's own connections to all replicas of a server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use http::{Request, Response, StatusCode, header};
use tokio::time::Instant;

use super::choice::choose;
use super::counted::Counted;
use super::replica::Replica;
use super::{Placed, Replicas};
use crate::body::Outgoing;
use crate::upstream::{Connections, SendError, Upstream};

/// How many connections are made to a replica before it is sent anything.
const FIRST_CONNECTIONS: usize = 2;

/// See the module's text. Cheap to clone; use one on each core.
#[derive(Clone)]
pub struct Balanced {
    replicas: Arc<Replicas>,
    view: Arc<ArcSwap<View>>,
    /// Held while the view is renewed.
    renewing: Arc<Mutex<()>>,
}

/// The replicas as this core has last seen them, and its connections to each.
struct View {
    of: Arc<Vec<Placed>>,
    replicas: Vec<Arc<Replica>>,
    connections: Vec<Own>,
}

#[derive(Clone)]
struct Own {
    connections: Connections,
    /// The first of them have been made.
    made: Arc<AtomicBool>,
}

impl Balanced {
    /// No connections yet. Those of `before` to replicas that stay are taken over.
    pub fn new(replicas: &Arc<Replicas>, before: Option<&Self>) -> Self {
        let before = before.map(|before| before.view.load_full());
        let view = View::new(replicas.now.load_full(), before.as_deref());
        Self {
            replicas: Arc::clone(replicas),
            view: Arc::new(ArcSwap::from_pointee(view)),
            renewing: Arc::default(),
        }
    }

    /// Whether these are connections to the same replicas as those of `other`.
    pub fn leads_to(&self, other: &Arc<Replicas>) -> bool {
        Arc::ptr_eq(&self.replicas, other)
    }

    /// Makes the first connections to replicas that are new, or come back, before they get requests; where there is one
    /// replica only, nothing is gained by it. To be called again and again, on the core's own runtime.
    pub async fn prepare(&self) {
        let view = self.view();
        let now = Instant::now();
        for (replica, own) in view.replicas.iter().zip(&view.connections).filter(|_| view.replicas.len() > 1)
        {
            if !replica.standing(now).is_in() {
                own.made.store(false, Ordering::Relaxed);
            } else if !own.made.load(Ordering::Relaxed) {
                // If it cannot be connected to, it is no candidate, and requests need not find out.
                match own.connections.prepare(FIRST_CONNECTIONS).await {
                    Ok(()) => own.made.store(true, Ordering::Relaxed),
                    Err(_) => self.replicas.failed(replica, true),
                }
            }
        }
    }

    fn view(&self) -> Arc<View> {
        let view = self.view.load();
        if Arc::ptr_eq(&view.of, &self.replicas.now.load()) {
            return Arc::clone(&view);
        }
        drop(view);
        let _renewing = self.renewing.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, before) = (self.replicas.now.load_full(), self.view.load_full());
        if Arc::ptr_eq(&before.of, &now) {
            return before;
        }
        let view = Arc::new(View::new(now, Some(&before)));
        self.view.store(Arc::clone(&view));
        view
    }

    /// What this answer, or that there is none, says of the replica.
    fn learn(&self, replica: &Replica, answer: Result<StatusCode, &SendError>) {
        if !answer.is_err_and(SendError::is_before_sending) {
            replica.sent();
        }
        match answer {
            Ok(status) if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => {
                self.replicas.failed(replica, false);
            }
            Ok(_) => replica.succeeded(),
            Err(SendError::Connect(_) | SendError::ConnectTimeout) => self.replicas.failed(replica, true),
            // It may just have closed a connection at rest.
            Err(SendError::Broken { reused: true, .. }) => {}
            Err(SendError::Broken { reused: false, .. }) => self.replicas.failed(replica, false),
        }
    }

    /// What every request to this replica says.
    fn complete(&self, head: &mut Request<()>, replica: &Replica) {
        head.headers_mut().insert(header::HOST, replica.authority.clone());
        let credentials = self.replicas.settings.credentials.as_deref();
        if let Some(value) = credentials.and_then(|credentials| credentials.authorization()) {
            head.headers_mut().insert(header::AUTHORIZATION, value);
        }
    }
}

impl Upstream for Balanced {
    type Body = Counted<<Connections as Upstream>::Body>;

    /// Sets `Host`, and `Authorization` where there are credentials. Where no connection could be made, another replica
    /// is asked at once: nothing was sent.
    async fn send(
        &self,
        head: &mut Request<()>,
        mut body: Outgoing,
    ) -> Result<Response<Self::Body>, SendError> {
        let mut tried: Vec<Arc<Replica>> = Vec::new();
        let mut unreachable = None;
        loop {
            let view = self.view();
            let made = |at: usize| view.connections[at].made.load(Ordering::Relaxed);
            // Before the first have been made on this core, all are alike.
            let any = (0..view.replicas.len()).any(made);
            let Some(at) = choose(&view.replicas, |at| !any || made(at), &tried) else {
                return Err(unreachable.unwrap_or(SendError::ConnectTimeout));
            };
            let (replica, connections) = (&view.replicas[at], &view.connections[at].connections);
            self.complete(head, replica);
            let in_flight = replica.begin();
            match connections.try_send(head, body).await {
                Ok(response) => {
                    self.learn(replica, Ok(response.status()));
                    return Ok(response.map(|body| Counted::new(body, in_flight)));
                }
                Err(unsuccessful) => {
                    self.learn(replica, Err(&unsuccessful.error));
                    let Some(unsent) = unsuccessful.unsent else { return Err(unsuccessful.error) };
                    body = unsent;
                    tried.push(Arc::clone(replica));
                    unreachable = Some(unsuccessful.error);
                }
            }
        }
    }
}

impl View {
    fn new(of: Arc<Vec<Placed>>, before: Option<&Self>) -> Self {
        let replicas: Vec<_> = of.iter().map(|placed| Arc::clone(&placed.replica)).collect();
        let own = |replica: &Arc<Replica>| {
            let known = before.and_then(|before| {
                let at = before.replicas.iter().position(|known| Arc::ptr_eq(known, replica))?;
                before.connections.get(at).cloned()
            });
            known.unwrap_or_else(|| Own {
                connections: Connections::new(replica.pool.clone()),
                made: Arc::default(),
            })
        };
        let connections = replicas.iter().map(own).collect();
        Self { of, replicas, connections }
    }
}
