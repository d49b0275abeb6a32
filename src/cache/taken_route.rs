//! The route that a request takes, as what is stored by it is compared with the routes of requests that find it.

use xxhash_rust::xxh3::xxh3_64;

use super::host::{Host, StreamId};
use crate::config::{Options, subset};
use crate::http::RequestHead;
use crate::policy::plain::is_unheard_of;
use crate::store::record::TakenRoute;

/// Whether routes may match on a field of a request that nobody has heard of and that is not part of the key.
pub(super) fn may_steer(request: &RequestHead, options: &Options) -> bool {
    request.fields.iter().any(|(name, _)| is_unheard_of(name, options))
}

/// The route of the request of a stream. Of a request that may steer it counts as well where that leads, since routes need no
/// names; not of others, as a route with weights sends them to one cluster or another.
pub fn taken_route(
    host: &impl Host,
    stream: StreamId,
    request: &RequestHead,
    options: &Options,
) -> TakenRoute {
    let destination = || destination_of(host, stream);
    TakenRoute { name: name_of(host, stream), destination: may_steer(request, options).then(destination) }
}

/// The name of a route, as a number.
pub(super) fn name_of(host: &impl Host, stream: StreamId) -> u32 {
    number(&host.route_name(stream))
}

/// Where a route leads: its cluster, and the endpoints of it that filters have chosen. A route that answers by itself leads
/// nowhere.
pub(super) fn destination_of(host: &impl Host, stream: StreamId) -> u32 {
    let metadata = host.metadata(stream);
    number(&[host.cluster(stream).unwrap_or_default().as_bytes(), b"\0", subset(&metadata)].concat())
}

fn number(text: &[u8]) -> u32 {
    xxh3_64(text) as u32
}
