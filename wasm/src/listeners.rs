//! The listeners that the streams of a root come through.
//!
//! One plugin configuration is often on several of them, as Istio puts a `WasmPlugin` on both sides of a sidecar: requests
//! that come in and requests that go out then share the root (since Envoy 1.40) and the store, but one URL names two
//! different things. Only a stream says which side it is on.

use core::cell::{Cell, OnceCell};
use std::rc::Rc;

use super::abi;
use super::host::ProxyHost;
use super::routes::Routes;
use larder::config::{Config, Direction};

/// So many streams are asked at first, and one in as many from then on, while no listener has a direction: asking takes
/// about a third of a microsecond, and outside meshes the answer is always the same.
const ASKED: u32 = 64;

/// The configurations of one root, by the direction of the listener.
#[derive(Default)]
pub struct Listeners {
    neither: Rc<Routes>,
    inbound: OnceCell<Rc<Routes>>,
    outbound: OnceCell<Rc<Routes>>,
    streams: Cell<u32>,
    /// Some listener has a direction.
    is_directed: Cell<bool>,
}

impl Listeners {
    /// Listeners of which nothing is known yet, under the configuration of their root.
    pub fn new(config: Rc<Config>) -> Rc<Listeners> {
        Rc::new(Listeners { neither: Routes::new(config), ..Listeners::default() })
    }

    /// The configuration of the root.
    pub fn config(&self) -> &Rc<Config> {
        &self.neither.config
    }

    /// The configuration for the listener and the route of the stream at hand.
    pub fn here(&self, shared: &ProxyHost) -> Rc<Config> {
        match self.direction() {
            None => self.neither.here(shared),
            Some(direction @ Direction::Inbound) => self.side(&self.inbound, direction).here(shared),
            Some(direction @ Direction::Outbound) => self.side(&self.outbound, direction).here(shared),
        }
    }

    fn side<'s>(&self, side: &'s OnceCell<Rc<Routes>>, direction: Direction) -> &'s Rc<Routes> {
        side.get_or_init(|| Routes::new(Rc::new(self.config().facing(direction))))
    }

    fn direction(&self) -> Option<Direction> {
        let number = self.streams.get();
        self.streams.set(number.wrapping_add(1));
        if !self.is_directed.get() && number >= ASKED && !number.is_multiple_of(ASKED) {
            return None;
        }
        let bytes = abi::property("xds\0listener_direction")?;
        // `envoy.config.core.v3.TrafficDirection`.
        let direction = match u64::from_le_bytes(bytes.try_into().ok()?) {
            1 => Direction::Inbound,
            2 => Direction::Outbound,
            _ => return None,
        };
        self.is_directed.set(true);
        Some(direction)
    }
}
