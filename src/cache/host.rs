//! What the cache needs of the world.

use super::learned_route::Route;
use crate::http::{Fields, Peer};
use crate::outcome::metrics::Metrics;
use crate::store::SharedData;

/// The host's number of a stream, unique in its worker.
pub type StreamId = u32;

/// What the cache needs of the world.
pub trait Host: SharedData + Metrics {
    /// The header section of a stream's request as the router sent it. Known at the end of a stream, while it is being
    /// logged.
    fn sent(&self, stream: StreamId) -> Option<Fields>;
    /// The route that was chosen for the request of a stream; none where that leads to no cluster, or the stream is gone.
    fn route(&self, stream: StreamId) -> Option<Route>;
    /// The name of the route that was chosen for the request of a stream; empty where it has none.
    fn route_name(&self, stream: StreamId) -> Vec<u8>;
    /// Whether the response to the request of a stream comes from the cluster, and not from Envoy or one of its filters.
    fn is_from_upstream(&self, stream: StreamId) -> bool;
    /// The cluster of that route.
    fn cluster(&self, stream: StreamId) -> Option<String>;
    /// The dynamic metadata that filters have left with the request of a stream, as a serialised
    /// `envoy.config.core.v3.Metadata`; empty when there is none.
    fn metadata(&self, stream: StreamId) -> Vec<u8>;
    /// The routes that this worker has met lately whose rule for the cache is wrong, each with what is wrong with it.
    fn wrong_routes(&self) -> Vec<(String, String)> {
        Vec::new()
    }
    /// How Envoy's configuration calls this Envoy (`node.id`).
    fn node(&self) -> Option<String> {
        None
    }
    /// Tells the worker that ships to the fleet's log that there is something to ship. A hint.
    fn wake_fleet(&self) {}
    /// Who is on the other end of the connection of the stream that the host is asking about.
    fn peer(&self) -> Peer;
}
