//! The stages of the pipeline, one concern each. Their order stands in `pipeline.rs`.

pub mod access;
pub mod answers;
pub mod audit;
pub mod authenticate;
pub mod batch;
pub mod body;
pub mod breaker;
pub mod compress;
pub mod concurrency;
pub mod cors;
pub mod enter;
pub mod forward;
pub mod gate;
pub mod hapi;
pub mod links;
pub mod login;
pub mod metadata;
pub mod observe;
pub mod own_writes;
pub mod plugins;
pub mod rate;
pub mod rescue;
pub mod retry;
pub mod rewrite;
pub mod route;
pub mod vet;
mod words;
