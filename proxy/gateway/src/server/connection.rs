//! One client connection: PROXY header, TLS, HTTP.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::refused::Step;
use super::{Peer, Settings, proxy_protocol};
use crate::pipeline::Pipeline;
use crate::state::Shared;

/// Serves one connection to its end. What goes wrong here is the client's.
pub(super) async fn serve(
    mut stream: TcpStream,
    address: IpAddr,
    settings: Arc<Settings>,
    shared: Arc<Shared>,
    pipeline: Pipeline,
    watcher: Watcher,
) {
    // Without it small answers wait for the client's acknowledgements.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut peer = Peer { address: address.to_canonical(), tls: settings.tls.is_some() };
    if shared.server.proxy_protocol && shared.server.trusted.contains(peer.address) {
        match timeout(settings.head_timeout, proxy_protocol::read(&mut stream)).await {
            Ok(Ok(Some(client))) => peer.address = client.to_canonical(),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => return settings.refused.note(Step::ProxyHeader, peer.address, &error),
            Err(error) => return settings.refused.note(Step::ProxyHeader, peer.address, &error),
        }
    }
    match &settings.tls {
        None => http(stream, peer, &settings, pipeline, watcher).await,
        Some(acceptor) => match timeout(settings.head_timeout, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => http(stream, peer, &settings, pipeline, watcher).await,
            Ok(Err(error)) => settings.refused.note(Step::Tls, peer.address, &error),
            Err(error) => settings.refused.note(Step::Tls, peer.address, &error),
        },
    }
}

async fn http<S>(stream: S, peer: Peer, settings: &Settings, pipeline: Pipeline, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let spoke = Arc::new(AtomicBool::new(false));
    let speaks = Arc::clone(&spoke);
    let service = service_fn(move |request| {
        speaks.store(true, Ordering::Relaxed);
        pipeline.clone().answer(peer, request)
    });
    let connection = settings.builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(watcher.watch(connection));
    // hyper's clock starts with the first bytes of a request: who sends none, or only the start of an HTTP/2
    // preface, would stay for ever.
    let ended = match timeout(settings.head_timeout, connection.as_mut()).await {
        Ok(ended) => ended,
        Err(_) if spoke.load(Ordering::Relaxed) => connection.await,
        Err(_) => return tracing::debug!("nothing was asked in time"),
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}
