//! One client connection: PROXY header, TLS, HTTP.

use std::convert::Infallible;
use std::future::ready;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use fireguard_traffic::hygiene::Ambiguity;
use futures_util::future::Either;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

use super::framing::Watched;
use super::lent::Lent;
use super::live::Live;
use super::patience::Patient;
use super::refused::Step;
use super::standing::Standing;
use super::{Peer, proxy_protocol, tls};
use crate::pipeline;

/// Serves one connection to its end. What goes wrong here is the client's.
pub(super) async fn serve(
    stream: TcpStream,
    address: IpAddr,
    live: Arc<Live>,
    core: usize,
    stop: watch::Receiver<bool>,
) {
    let settings = live.settings();
    // Without it small answers wait for the client's acknowledgements.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let address = address.to_canonical();
    let Some(place) = settings.admission.enter(settings.places) else {
        return settings.refused.note(Step::Full, address, &"closed unheard");
    };
    let mut patience = settings.patience;
    if place.over().is_some() {
        patience.idle = patience.head;
    }
    let lent = Arc::new(Lent::default());
    let mut stream = Patient::new(stream, patience, Arc::clone(&lent));
    let mut peer = Peer { address, tls: settings.tls.is_some(), certificate: None };
    if settings.proxy_protocol && settings.trusted.contains(peer.address) {
        match proxy_protocol::read(&mut stream).await {
            Ok(Some(client)) => peer.address = client.to_canonical(),
            Ok(None) => {}
            Err(error) => return settings.refused.note(Step::ProxyHeader, peer.address, &error),
        }
    }
    // A balancer that does not say for whom it connects speaks for many.
    let place = match settings.trusted.contains(peer.address) {
        true => place,
        false => match place.of(peer.address, settings.places) {
            Some(place) => place,
            None => return settings.refused.note(Step::Client, peer.address, &"closed unheard"),
        },
    };
    if let Some(step) = place.over() {
        settings.refused.note(step, peer.address, &"at the limit of connections");
    }
    let mut serving = Serving { live, core, over: place.over().is_some(), lent, standing: None };
    match &settings.tls {
        None => http(stream, peer, &settings.builder, serving, stop).await,
        Some(acceptor) => match acceptor.tls.accept(stream).await {
            Ok(stream) => {
                peer.certificate = tls::certificate(stream.get_ref().1);
                serving.standing = Some(Standing::of(stream.get_ref().1, acceptor.clients.as_ref()));
                // What was agreed on is spoken, and nothing else (RFC 9113 §3.2).
                let builder = match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => settings.builder.clone().http2_only(),
                    _ => settings.builder.clone().http1_only(),
                };
                http(stream, peer, &builder, serving, stop).await;
            }
            Err(error) => settings.refused.note(Step::Tls, peer.address, &error),
        },
    }
}

/// What answers a connection's requests.
struct Serving {
    live: Arc<Live>,
    core: usize,
    /// It is one connection too many.
    over: bool,
    lent: Arc<Lent>,
    /// What the client has shown of itself; none: it could not.
    standing: Option<Standing>,
}

async fn http<S>(
    stream: S,
    peer: Peer,
    builder: &Builder<TokioExecutor>,
    Serving { live, core, over, lent, standing }: Serving,
    mut stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let lends = Arc::clone(&lent);
    let refused = Arc::new(Notify::new());
    let told = Arc::clone(&refused);
    let (stream, two_ways) = Watched::new(stream);
    let service = service_fn(move |mut request: Request<Incoming>| {
        if two_ways.is(lends.begun()) {
            request.extensions_mut().insert(Ambiguity::Length);
        }
        let running = lends.begin(&request);
        let stands = standing.as_ref().is_none_or(|standing| standing.holds(live.verifier().as_ref()));
        let answer = match (over, stands) {
            (true, _) => Either::Left(ready(Ok(pipeline::too_many_connections(&request)))),
            (false, false) => Either::Left(ready(Ok(pipeline::certificate_refused(&request)))),
            (false, true) => Either::Right(live.pipeline(core).answer(peer.clone(), request)),
        };
        let told = (over || !stands).then(|| Arc::clone(&told));
        async move {
            let answer: Result<_, Infallible> = answer.await;
            told.inspect(|told| told.notify_one());
            answer.map(|answer| running.answer(answer))
        }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut ending = false;
    let ended = loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => break ended,
            () = stopping(&mut stop, &lent), if !ending => {}
            () = lent.rests(), if !ending => {}
            () = refused.notified(), if !ending => {}
        }
        ending = true;
        connection.as_mut().graceful_shutdown();
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

/// How long a connection that was just accepted may take to send its first request when this process stops.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// Returns when the connection is to end because the process stops. Who has connected in the moment before has not
/// been told anything: its first request is answered.
async fn stopping(stop: &mut watch::Receiver<bool>, lent: &Lent) {
    let _ = stop.wait_for(|stopping| *stopping).await;
    let until = Instant::now() + FIRST_REQUEST;
    while lent.begun() == 0 && Instant::now() < until {
        sleep(Duration::from_millis(5)).await;
    }
}
