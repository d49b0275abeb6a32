//! Larder: an HTTP cache for Envoy, shipped as one WebAssembly module.

pub mod admin;
pub mod collapse;
pub mod config;
pub mod http;
pub mod invalidation;
pub mod metrics;
pub mod outcome;
pub mod policy;
pub mod store;
pub mod time;
