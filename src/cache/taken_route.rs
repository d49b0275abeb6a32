//! Whether what is stored came by the route that a request takes. Where routes match on more than host, path and method (a
//! canary by a header field), two requests with one key may go to different places, and what one of them brought is not
//! for the other.
//!
//! The route of a request costs a question to Envoy, so not every hit asks it. A response whose own request had a field that
//! nobody has heard of, by which canaries are chosen as a rule, is compared each time. Any other is compared when
//! a worker serves it first, when the origin is to be asked, and now and then; once that has shown two routes for one key,
//! each time for a while.

use core::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

use super::fetches::{Fetch, Fetcher};
use super::{Ask, Cache, Host, StreamId};
use crate::config::{Options, subset};
use crate::http::RequestHead;
use crate::policy::plain::is_unheard_of;
use crate::store::memory::Entry;
use crate::store::record::{Response, TakenRoute};
use crate::time::Now;
use crate::turn::Turn;

/// One in so many hits is compared in any case.
const COMPARED: u32 = 32;
/// So long after two routes were found for one key each hit is.
const DIFFER_FOR: Duration = Duration::from_secs(600);

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
fn destination_of(host: &impl Host, stream: StreamId) -> u32 {
    let metadata = host.metadata(stream);
    number(&[host.cluster(stream).unwrap_or_default().as_bytes(), b"\0", subset(&metadata)].concat())
}

fn number(text: &[u8]) -> u32 {
    xxh3_64(text) as u32
}

impl Fetch {
    /// The route by which its response came. What the root sends has no field that nobody has heard of.
    pub(super) fn taken_route(&self, host: &impl Host) -> Option<TakenRoute> {
        let taken = self.ask.taken_route(host)?;
        Some(match self.by {
            Fetcher::Stream => taken,
            Fetcher::Root(_) => TakenRoute { destination: None, ..taken },
        })
    }
}

impl Cache {
    /// Whether a fresh response may be served without a look at the route that it came by: nearly all are.
    #[inline]
    pub(super) fn takes_route_for_granted(
        &self,
        entry: &Entry,
        response: &Response,
        ask: &Ask,
        now: Now,
    ) -> bool {
        let by_chance = (ask.stream ^ entry.record.generation as u32).is_multiple_of(COMPARED);
        match response.route {
            None => true,
            Some(TakenRoute { destination: Some(_), .. }) => false,
            Some(_) => entry.was_compared.get() && !by_chance && !self.routes_differ(now),
        }
    }

    /// Whether what is stored came by another route than this request takes.
    pub(super) fn came_another_way(
        &self,
        turn: Turn<'_, impl Host>,
        entry: &Entry,
        response: &Response,
        ask: &Ask,
    ) -> bool {
        let Some((route, name)) = response.route.zip(ask.route_name(turn.host)) else { return false };
        entry.was_compared.set(true);
        if route.name != name {
            self.two_routes(turn);
            return true;
        }
        route.destination.is_some_and(|destination| destination != destination_of(turn.host, ask.stream))
    }

    /// Whether two routes were found for one key lately.
    fn routes_differ(&self, now: Now) -> bool {
        self.routes_differ.get().is_some_and(|found| now.mono.since(found) < DIFFER_FOR)
    }

    fn two_routes(&self, turn: Turn<'_, impl Host>) {
        if !self.routes_differ(turn.now) {
            turn.host.warn(
                "larder: requests for one URL took different routes, so each is answered by its own. Name what the routes \
                 match on in key.headers, or give them a key.partition.",
            );
        }
        self.routes_differ.set(Some(turn.now.mono));
    }
}
