//! Whether what is stored came by the route that a request takes. Where routes match on more than host, path and method (a
//! canary by a header field), two requests with one key may go to different places, and what one of them brought is not
//! for the other.
//!
//! The route of a request costs a question to Envoy, so not every hit asks it. A response whose own request had a field that
//! nobody has heard of, by which canaries are chosen as a rule, is compared each time. Any other is compared when
//! a worker serves it first, when the origin is to be asked, and now and then; once that has shown two routes for one key,
//! each time for a while.

use core::cell::Cell;
use core::time::Duration;

use crate::cache::host::Host;
use crate::cache::request::CacheRequest;
use crate::cache::taken_route::destination_of;
use crate::store::memory::Entry;
use crate::store::record::{Response, TakenRoute};
use crate::time::{Monotonic, Now};
use crate::turn::Turn;

/// One in so many hits is compared in any case.
const COMPARED: u32 = 32;
/// So long after two routes were found for one key each hit is.
const DIFFER_FOR: Duration = Duration::from_secs(600);

/// What this worker has found of routes that differ.
#[derive(Default)]
pub(super) struct RouteCheck {
    /// When two routes were found for one key, last.
    differ: Cell<Option<Monotonic>>,
}

impl RouteCheck {
    /// Whether a fresh response may be served without a look at the route that it came by: nearly all are.
    #[inline]
    pub(super) fn is_spared(&self, entry: &Entry, response: &Response, ask: &CacheRequest, now: Now) -> bool {
        let by_chance = (ask.stream ^ entry.record.generation as u32).is_multiple_of(COMPARED);
        match response.route {
            None => true,
            Some(TakenRoute { destination: Some(_), .. }) => false,
            Some(_) => entry.was_compared.get() && !by_chance && !self.differ_lately(now),
        }
    }

    /// Whether what is stored came by another route than this request takes.
    pub(super) fn took_another_route(
        &self,
        turn: Turn<'_, impl Host>,
        entry: &Entry,
        response: &Response,
        ask: &CacheRequest,
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
    fn differ_lately(&self, now: Now) -> bool {
        self.differ.get().is_some_and(|found| now.mono.since(found) < DIFFER_FOR)
    }

    fn two_routes(&self, turn: Turn<'_, impl Host>) {
        if !self.differ_lately(turn.now) {
            turn.host.warn(
                "larder: requests for one URL took different routes, so each is answered by its own. Name what the routes \
                 match on in key.headers, or give them a key.partition.",
            );
        }
        self.differ.set(Some(turn.now.mono));
    }
}
