//! The way of a plugin's request: that of a client's in `pipeline.rs`, but for what concerns its connection, and without
//! the plugins.

use std::collections::HashMap;
use std::sync::Arc;

use fireguard_traffic::body::Body;
use fireguard_traffic::upstream::Balanced;
use http::Response;
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;

use crate::exchange::Asked;
use crate::failure::Failure;
use crate::stage::{check, layer};
use crate::stages::access::writes;
use crate::stages::{
    answers, batch, body, breaker, concurrency, forward, gate, hapi, links, metadata, own_writes, rate,
    retry, rewrite, vet,
};
use crate::state::Shared;

/// What the pipeline of one core is to these requests.
pub(super) type Stack = BoxCloneSyncService<Asked, Response<Body>, Failure>;

/// Builds it, with the core's connections to the servers, by their names.
pub(super) fn build(shared: &Arc<Shared>, connections: HashMap<String, Balanced>) -> Stack {
    let stack = ServiceBuilder::new()
        .layer(check(links::Links))
        .layer(layer(rate::Rate::new(shared)))
        .layer(check(gate::Gate::new(shared)))
        .layer(layer(body::MakeBody::new(shared)))
        .layer(layer(own_writes::OwnWrites::new(shared)))
        .layer(layer(metadata::Metadata))
        .layer(layer(rewrite::Rewrite))
        .layer(layer(answers::Answers::new(shared)))
        .layer(layer(writes::Writes::new(shared)))
        .layer(layer(hapi::Hapi::new(shared)))
        .layer(layer(vet::Vet))
        .layer(layer(batch::Batch::new(shared)))
        .layer(layer(retry::Retry::new(shared)))
        .layer(layer(breaker::Breaker))
        .layer(layer(concurrency::Concurrency::new(shared)))
        .service(forward::Forward::new(shared, connections));
    Stack::new(stack)
}
