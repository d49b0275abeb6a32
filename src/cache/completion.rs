//! How fetches end: what is stored, what is remembered, who is woken (protocol §1.6 and §1.7).

use core::time::Duration;
use std::rc::Rc;

use super::call_route::CallRoute;
use super::fetches::{Fetch, Fetcher};
use super::{Cache, Effect, Host};
use crate::outcome::metrics::Counter;
use crate::outcome::{NotStored, Stored};
use crate::store::flights::{self, FlightEnd, HIT_FOR_MISS_MAX};
use crate::store::memory::Entry;
use crate::store::record::{Record, Response};
use crate::store::set::{SetSnapshot, Way};
use crate::store::{TRIES, wake};
use crate::time::Now;
use crate::turn::Turn;

/// How long clients fetch a key with their own requests after the root's was refused.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// How a fetch ended.
#[derive(Debug)]
pub enum FetchEnd {
    /// With a response that is stored.
    Stored(Box<Response>),
    /// With a response that is not stored.
    NotStored(NotStored),
    /// The same, and what was stored before is dropped.
    Dropped(NotStored),
    /// Without anything; waiters compete again to lead.
    Abandoned,
    /// The origin has refused the root's request. A client's own may have what that lacked, so for a while clients fetch
    /// the key themselves; waiters compete again to lead.
    Refused,
}

impl Cache {
    /// Ends a fetch. Returns the entry, when there is one, and whether it is stored.
    pub fn end_fetch(
        &mut self,
        turn: Turn<'_, impl Host>,
        generation: u64,
        end: FetchEnd,
    ) -> Option<(Rc<Entry>, Stored)> {
        let fetch = self.fetches.end(generation)?;
        self.waiters.wake(fetch.lease.place.fingerprint);
        match end {
            FetchEnd::Stored(response) => {
                Some(self.storage.store(turn, &mut self.waiters, &fetch, *response))
            }
            // Waiters ask for it as well, and one of them may be the use that admits it (`min_uses`).
            FetchEnd::NotStored(NotStored::Admission) => {
                turn.host.count(Counter::FetchNotStored(NotStored::Admission));
                self.storage.writer.finish(
                    turn.host,
                    &fetch.lease,
                    FlightEnd { counted: true, ..FlightEnd::default() },
                    0,
                );
                None
            }
            FetchEnd::NotStored(reason) => {
                self.end_not_stored(turn, &fetch, None, reason);
                None
            }
            // What a late end erases must still be its own way: another flight may have written there since the lease ran
            // out.
            FetchEnd::Dropped(reason) => {
                self.storage.drop_copy(fetch.lease.place.fingerprint);
                let empty = match self.storage.writer.owns_way(turn, &fetch.lease) {
                    true => Record::erase(turn.host, fetch.lease.slot, fetch.lease.before),
                    false => Way::default(),
                };
                self.end_not_stored(turn, &fetch, Some(empty), reason);
                None
            }
            FetchEnd::Abandoned => {
                self.storage.writer.finish(turn.host, &fetch.lease, FlightEnd::default(), 0);
                None
            }
            FetchEnd::Refused => {
                let inline_until = Some(turn.now.mono.after(REFUSED_FOR));
                self.storage.writer.finish(
                    turn.host,
                    &fetch.lease,
                    FlightEnd { inline_until, ..FlightEnd::default() },
                    0,
                );
                None
            }
        }
    }

    fn end_not_stored(
        &self,
        turn: Turn<'_, impl Host>,
        fetch: &Fetch,
        record: Option<Way>,
        reason: NotStored,
    ) {
        turn.host.count(Counter::FetchNotStored(reason));
        let lease = &fetch.lease;
        // What one client was told keeps nothing that is stored from being refreshed on behalf of the next.
        let is_for_client = !fetch.is_refresh && record.is_none() && !reason.is_failure();
        let again = is_for_client && fetch.validated.is_some();
        // The root has to take in a whole body to find that out.
        let is_costly = matches!(reason, NotStored::TooLarge | NotStored::Framing | NotStored::HostQuota)
            && !fetch.is_streamed();
        let until = match reason {
            _ if reason.is_failure() => {
                flights::failed_until(lease.place.fingerprint, lease.generation, turn.now.mono)
            }
            _ if again => turn.now.mono,
            _ if is_costly => turn.now.mono.after(HIT_FOR_MISS_MAX),
            _ => flights::hit_for_miss_until(turn.now.mono),
        };
        let hit_for_miss = Some((reason, until));
        self.storage.writer.finish(
            turn.host,
            lease,
            FlightEnd { record, hit_for_miss, again, ..FlightEnd::default() },
            0,
        );
    }

    /// The client of an inline fetch has left, unless the root has taken that over already. If others wait, the root fetches
    /// instead, under the same flight, where its calls go through the route table; elsewhere the next waiter leads.
    pub fn leader_left(&mut self, turn: Turn<'_, impl Host>, generation: u64) {
        let Some(fetch) = self.fetches.get(generation).filter(|fetch| fetch.is_streamed()) else { return };
        let (place, ask) = (fetch.lease.place.clone(), Rc::clone(&fetch.ask));
        let route = self.routes.of_takeover(turn, &mut self.storage, &ask, &place);
        self.waiters.wake(place.fingerprint);
        for _ in 0..TRIES {
            let set = SetSnapshot::read(turn.host, place.set);
            let Some(flight) = set.value.flight(generation) else { break };
            let waited_for = flight.waiters != 0 || self.waiters.are_at(place.fingerprint);
            if let (true, Some(route)) = (waited_for, &route)
                && !set.value.route_of(place.fingerprint).is_inline(turn.now.mono)
            {
                let cluster = ask.routed_to(turn.host);
                self.take_over(generation, route.clone(), cluster, turn.now);
                return;
            }
            let Some(ended) = flights::ended(&set.value, generation, FlightEnd::default()) else { break };
            // By compare-and-set: a worker may have registered meanwhile, and has to be woken (I3, M13).
            if set.replace(turn.host, &ended.set) {
                wake(turn.host, place.fingerprint, ended.waiters);
                break;
            }
            turn.host.count(Counter::Conflict);
        }
        self.fetches.end(generation);
    }

    /// Turns an inline fetch into one of the root, which asks anew: with a new stamp.
    fn take_over(&mut self, generation: u64, route: CallRoute, cluster: Option<String>, now: Now) {
        let head = self.storage.journal.head();
        let Some(fetch) = self.fetches.get_mut(generation) else { return };
        let deadline = now.mono.after(fetch.ask.config.collapse.fetch_timeout);
        fetch.cluster = cluster;
        fetch.stamp = head;
        fetch.started = now;
        fetch.deadline = deadline;
        fetch.by = Fetcher::Root(route);
        // What was to be validated was judged under the old stamp (M28).
        fetch.validated = None;
        self.effects.push_back(Effect::Dispatch(generation));
    }
}
