//! The scenarios' second stand: a real Envoy with two workers, a scripted origin and raw clients, all on loopback.
//!
//! `make e2e` builds the module, gets Envoy and runs these; by hand, `LARDER_ENVOY` names the binary.
#![allow(clippy::disallowed_methods, reason = "here time is real, and only the stand asks for it")]

/// Names of a scenario's own.
mod alias;
/// A real etcd, and what lies between it and its clients.
mod etcd;
/// Clients by the hundred.
mod load;
/// An origin that does what the scenario says.
mod origin;
/// An Envoy process with its configuration, statistics and log.
mod process;
/// `Stand` on them.
mod real_envoy;
/// HTTP/1.1 as it is on the wire.
mod wire;

/// What the access log tells.
mod access_log;
/// The admin route on a listener of its own.
mod admin_listener;
/// The emulated host beside it.
mod agreement;
/// The admin route behind mutual TLS.
mod client_names;
/// Official clients of other caches.
mod clients;
/// Five hundred clients at once.
mod crowds;
/// VMs that die while they lead.
mod deaths;
/// Envoy's own filters, before Larder and behind it.
mod filters;
/// Envoys that share their invalidations through etcd.
mod fleet;
/// Messages that no filter likes.
mod hostile;
/// A module that cannot be loaded.
mod loading;
/// What Envoy does to replies that it takes for its own.
mod local_replies;
/// Envoy as meshes configure it.
mod mesh;
mod old_clients;
/// An origin that is gone for a while.
mod outage;
/// What pages show.
mod pages;
/// Purges raced against all that goes on.
mod purge_chaos;
/// Configuration pushes.
mod reload;
/// How fetches reach their origin.
mod route_table;
/// What routes add and say.
mod routes;
/// A soft purge of all that is in demand.
mod soft_purge;
/// What must hold for the other tests to mean anything.
mod stand_itself;

/// The scenarios of both stands.
mod scenarios {
    crate::scenarios::on_both_stands!(crate::e2e::play);
}

pub use real_envoy::RealEnvoy;

use crate::stand::Stand;

/// Plays one scenario on a real Envoy, then checks that no VM died and no request hangs.
pub fn play(scenario: impl FnOnce(&mut dyn Stand)) {
    let mut envoy = RealEnvoy::borrow();
    scenario(&mut envoy);
    envoy.check();
    envoy.give_back();
}
