//! The facts about the real host that Larder relies on, shown on the emulated one with a small filter.
//! Section numbers are those of `docs/envoy-facts.md`.

mod calls;
mod endings;
mod fleet;
mod grpc;
mod lifecycle;
mod messages;
mod replies;
mod shared;
mod stand;

use std::time::Duration;

use super::{World, grpc::OF_THE_SDK, stream::ClientState, toy::toy};
use crate::stand::Exchange;

/// Two workers with the toy, which accepts this configuration. What `allow_on_headers_stop_iteration` is by default.
fn world(configuration: &str) -> World {
    let mut world = World::with(toy, 7, 2);
    world.settings(|s| s.body_while_headers_held = false);
    world.look(|h| h.grpc.exports = OF_THE_SDK);
    world.configure_all(configuration).expect("the toy accepts it");
    world
}

/// What the toy of the worker that logged last has seen, without the name of the path.
fn seen(world: &World, path: &str) -> Vec<String> {
    let text = String::from_utf8(world.shared("seen").unwrap_or_default()).expect("the toy writes text");
    text.lines().filter_map(|line| line.strip_prefix(&format!("{path} "))).map(str::to_owned).collect()
}

/// Whether the client of an exchange still waits after a while.
fn hangs(world: &mut World, exchange: Exchange) -> bool {
    world.pass(Duration::from_secs(2));
    world.client(exchange) == ClientState::Open
}
