//! A miss: the request leads a fetch, waits for one, is served stale, or passes.

use std::rc::Rc;

use super::fetches::{Fetch, Fetcher, Held};
use super::origin_health::Asking;
use super::sent::as_refresh;
use super::storage::Miss;
use super::{Cache, Decision, Effect, Host, Waited};
use crate::outcome::metrics::Counter;
use crate::outcome::{ForwardReason, NotStored};
use crate::policy::plain::is_suspicious;
use crate::policy::reuse::Reuse;
use crate::store::Lease;
use crate::store::flights::{self, Acquired};
use crate::store::set::SetSnapshot;
use crate::time::Now;
use crate::turn::Turn;

impl Cache {
    /// What to do on a miss. `serving` may be served stale for now, but has to be refreshed. None when the set changed
    /// meanwhile.
    pub(super) fn on_miss(
        &mut self,
        turn: Turn<'_, impl Host>,
        miss: &Miss<'_>,
        set: &SetSnapshot,
        serving: Option<Decision>,
    ) -> Option<Decision> {
        let ask = miss.ask;
        let backs_off = flights::backs_off(&set.value, miss.place.fingerprint, turn.now.mono);
        let serving = serving
            .or_else(|| backs_off.then(|| self.storage.stale_if_error(miss, turn.now)).flatten())
            .or_else(|| self.stale_if_down(turn, miss));
        if let Some(serve) = serving {
            return match self.acquire(turn, miss, set) {
                Acquired::Lead if !backs_off && self.may_refresh(miss, turn.now) => {
                    self.lead(turn, miss, set, Some(serve))
                }
                // Somebody refreshes it, or it was tried a moment ago.
                Acquired::Lead
                | Acquired::Wait
                | Acquired::Register
                | Acquired::HitForMiss(_)
                | Acquired::Full => Some(serve),
            };
        }
        if ask.whole().is_err() || ask.only_if_cached() {
            return Some(miss.pass());
        }
        if !ask.finds_room(&self.in_flight) {
            return Some(Decision::no_room(ask));
        }
        let may_wait = ask.options.collapse && miss.reason != ForwardReason::Request || self.leads(miss, set);
        match self.acquire(turn, miss, set) {
            Acquired::Lead => self.lead(turn, miss, set, None),
            Acquired::HitForMiss(why) => {
                if miss.best.is_nothing() && !why.is_failure() {
                    self.storage.remember_hit_for_miss(miss.place.fingerprint, why, turn.now.mono);
                }
                Some(self.after_failure(miss, why, turn.now))
            }
            Acquired::Wait if may_wait => Some(self.join(turn, miss)),
            Acquired::Register if may_wait => {
                // Written before it waits: the end of the flight wakes only the workers in the set's value (I3, M02, M14).
                let value =
                    flights::registered(&set.value, miss.place.fingerprint, self.storage.writer.worker()?);
                set.replace(turn.host, &value).then(|| self.join(turn, miss))
            }
            Acquired::Full => Some(miss.forward(NotStored::NoFlight)),
            Acquired::Wait | Acquired::Register => Some(miss.pass()),
        }
    }

    fn acquire(&self, turn: Turn<'_, impl Host>, miss: &Miss<'_>, set: &SetSnapshot) -> Acquired {
        let is_fetching = |generation| self.fetches.get(generation).is_some();
        // Who leads waits for its own fetch, whatever became of the one before.
        let holds = |reason| miss.ask.is_affected_by(turn.host, reason) && !self.leads(miss, set);
        flights::acquire(
            &set.value,
            miss.place.fingerprint,
            self.storage.writer.worker(),
            turn.now.mono,
            is_fetching,
            holds,
        )
    }

    /// Whether the fetch under way is made on behalf of this very request.
    fn leads(&self, miss: &Miss<'_>, set: &SetSnapshot) -> bool {
        let flight = set.value.flight_of(miss.place.fingerprint);
        let fetch = flight.and_then(|flight| self.fetches.get(flight.generation));
        fetch.is_some_and(|fetch| Rc::ptr_eq(&fetch.ask, miss.ask))
    }

    fn join(&mut self, turn: Turn<'_, impl Host>, miss: &Miss<'_>) -> Decision {
        let waited = Waited { reason: miss.reason, leads: false };
        self.waiters.park(turn, &self.config.collapse, miss.ask, miss.place, waited)
    }

    /// Takes the flight, and fetches. None when somebody else was faster.
    fn lead(
        &mut self,
        turn: Turn<'_, impl Host>,
        miss: &Miss<'_>,
        set: &SetSnapshot,
        serving: Option<Decision>,
    ) -> Option<Decision> {
        let Miss { ask, place, best, reason } = *miss;
        let route = self.routes.of_fetch(turn, &mut self.storage, miss, &set.value, serving.is_some());
        // A call of the root needs no client, but a client that waits for it needs a place.
        let route = route.filter(|_| {
            serving.is_some() || self.waiters.have_room_for(place.fingerprint, &self.config.collapse)
        });
        let is_ahead = matches!(serving, Some(Decision::Serve { reuse: Reuse::Fresh { .. }, .. }));
        if is_ahead && route.is_none() {
            return serving;
        }
        let mut timeout = ask.config.collapse.fetch_timeout;
        if serving.is_some() {
            match self.asking(turn, ask) {
                Asking::Yes => {}
                Asking::Probe => timeout = timeout.min(self.config.breaker.probe_interval),
                Asking::No => return serving,
            }
        }
        let Some(held) = Held::take(&self.in_flight, place, best.entry.as_ref()) else {
            return Some(serving.unwrap_or_else(|| Decision::no_room(ask)));
        };
        let new = self.storage.writer.new_flight(place.fingerprint, turn.now);
        let Some((value, flight)) = flights::led(&set.value, new, turn.now.mono, turn.now.wall) else {
            return Some(serving.unwrap_or_else(|| miss.pass()));
        };
        // The only lock there is: of all who found the flight free on this very value, one leads.
        if !set.replace(turn.host, &value) {
            return None;
        }
        if is_ahead {
            turn.host.count(Counter::RefreshedAhead);
        }
        let is_dispatched = route.is_some();
        // Now, as requests that find its response will be compared then: a filter behind the cache may choose another.
        let _ = ask.taken_route(turn.host);
        // Its own stream may be gone when the call comes back.
        let cluster = route.as_ref().and_then(|_| ask.routed_to(turn.host));
        let fetch = Fetch {
            lease: Lease::of(place.clone(), flight, &set.value),
            // The head of the mirror that has just judged what is stored, and not the journal's end: a purge in between would count
            // as known to this fetch, although what it validates was judged without it (I1, M33). And now, not when the response
            // comes: a purge meanwhile covers it (M34).
            stamp: self.storage.journal.head(),
            timeout,
            deadline: turn.now.mono.after(timeout),
            cluster,
            validated: best.entry.clone(),
            ask: Rc::clone(ask),
            started: turn.now,
            progress: None,
            is_refresh: is_dispatched && serving.is_some(),
            replaces_fresh: is_ahead || reason == ForwardReason::Request && best.entry.is_some(),
            before: flight.unshared,
            by: route.map_or(Fetcher::Stream, Fetcher::Root),
            _held: Some(held),
        };
        self.fetches.begin(fetch);
        if !is_dispatched {
            return Some(Decision::Fetch { generation: flight.generation, reason });
        }
        self.effects.push_back(Effect::Dispatch(flight.generation));
        let waited = Waited { reason, leads: true };
        Some(serving.unwrap_or_else(|| self.waiters.park(turn, &self.config.collapse, ask, place, waited)))
    }

    /// Whether a request whose answer is served stale may lead a refresh. What is odd may make the origin fail: that is
    /// left to the next who asks.
    fn may_refresh(&self, miss: &Miss<'_>, now: Now) -> bool {
        let Miss { ask, place, .. } = miss;
        ask.whole().is_ok()
            && !ask.only_if_cached()
            && !self.refreshes_enough(now)
            && !is_suspicious(&as_refresh(&ask.request, &ask.options, &place.key))
            && ask.finds_room(&self.in_flight)
    }

    /// Whether as many refreshes run as may.
    fn refreshes_enough(&self, now: Now) -> bool {
        let most = self.config.collapse.refresh_concurrency_max as usize;
        self.fetches.refreshes(self.config.collapse.lease, now.mono) >= most
    }

    /// The response to a fetch of this key has just not been stored: each request goes to the origin by itself
    /// (hit-for-miss), or is served stale after a failure.
    fn after_failure(&self, miss: &Miss<'_>, why: NotStored, now: Now) -> Decision {
        if let (true, Some(entry)) = (why.is_failure(), &miss.best.entry)
            && let Some(reuse) = self.storage.on_error(entry, miss.ask, now)
        {
            return Decision::Serve { entry: Rc::clone(entry), reuse };
        }
        miss.forward(why)
    }
}
