//! Fireguard: a FHIR reverse proxy that protects a HAPI FHIR server and runs sandboxed plugins.
//!
//! The binary is a thin shell around [`cli`]. Start reading at `pipeline.rs`.

#![forbid(unsafe_code)]

pub mod access_log;
pub mod admin;
pub mod audit;
pub mod authentication;
pub mod caller;
pub mod capabilities;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod exchange;
pub mod face;
pub mod facts;
pub mod failure;
mod fhir_server;
pub mod files;
pub mod grants;
pub mod holder;
pub mod logging;
pub mod logins;
pub mod metadata;
pub mod meters;
pub mod objects;
pub mod pages;
pub mod pipeline;
pub mod plugins;
pub mod reload;
pub mod replicas;
pub mod requests;
pub mod server;
pub mod service;
pub mod stage;
pub mod stages;
pub mod state;
pub mod traces;
pub mod transform;
pub mod upstreams;
pub mod values;
pub mod work;
pub mod written;
