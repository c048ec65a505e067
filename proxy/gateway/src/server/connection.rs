//! One client connection: PROXY header, TLS, HTTP.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::lent::Lent;
use super::live::Live;
use super::patience::Patient;
use super::refused::Step;
use super::{Peer, proxy_protocol};

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
    let lent = Arc::new(Lent::default());
    let mut stream = Patient::new(stream, settings.patience, Arc::clone(&lent));
    let mut peer = Peer { address: address.to_canonical(), tls: settings.tls.is_some() };
    if settings.proxy_protocol && settings.trusted.contains(peer.address) {
        match proxy_protocol::read(&mut stream).await {
            Ok(Some(client)) => peer.address = client.to_canonical(),
            Ok(None) => {}
            Err(error) => return settings.refused.note(Step::ProxyHeader, peer.address, &error),
        }
    }
    match &settings.tls {
        None => http(stream, peer, &settings.builder, (live, core), lent, stop).await,
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => {
                // What was agreed on is spoken, and nothing else (RFC 9113 §3.2).
                let builder = match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => settings.builder.clone().http2_only(),
                    _ => settings.builder.clone().http1_only(),
                };
                http(stream, peer, &builder, (live, core), lent, stop).await;
            }
            Err(error) => settings.refused.note(Step::Tls, peer.address, &error),
        },
    }
}

async fn http<S>(
    stream: S,
    peer: Peer,
    builder: &Builder<TokioExecutor>,
    (live, core): (Arc<Live>, usize),
    lent: Arc<Lent>,
    mut stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let lends = Arc::clone(&lent);
    let service = service_fn(move |request| {
        let running = lends.begin(&request);
        let answer = live.pipeline(core).answer(peer, request);
        async move { answer.await.map(|answer| running.answer(answer)) }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut ending = false;
    let ended = loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => break ended,
            () = stopping(&mut stop, &lent), if !ending => {}
            () = lent.rests(), if !ending => {}
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
