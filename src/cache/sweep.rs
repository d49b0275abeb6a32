//! Waiting and waking: groups of parked requests, hints, and the sweep that makes up for every hint that is lost
//! (protocol §1.7).

use core::time::Duration;
use std::rc::Rc;

use super::{Ask, Cache, Decision, Effect, Fetcher, Host, Landing, Place, StreamId, Waited};
use crate::deviation::{Deviation, deviates};
use crate::invalidation::{Invalidation, Mode, Origin, Selector};
use crate::outcome::metrics::Counter;
use crate::outcome::{Bypass, ForwardReason, NotStored};
use crate::store::Fingerprint;
use crate::store::flights;
use crate::store::set::SetSnapshot;
use crate::time::Now;
use crate::turn::Turn;

/// How often a group looks by itself whether its flight has landed.
const SWEEP: Duration = Duration::from_millis(100);
/// How far the wall clock may fall behind from one tick to the next without being set back.
const CLOCK_SLACK: Duration = Duration::from_secs(1);

impl Cache {
    /// Lets a request wait for the flight of a place; to the origin with it when too many wait already, for that or
    /// in all.
    pub(super) fn park(
        &mut self,
        turn: Turn<'_, impl Host>,
        ask: &Rc<Ask>,
        place: &Place,
        waited: Waited,
    ) -> Decision {
        if !self.has_room_for(place) {
            let reason = ForwardReason::Bypass(Bypass::NotShared);
            return Decision::Forward { reason, why: NotStored::NoFlight, shares: false, fallback: None };
        }
        let group = self.parked.entry(place.fingerprint).or_default();
        if group.asks.is_empty() {
            group.visited = turn.now.mono;
        }
        group.asks.push(Rc::clone(ask));
        self.parked_streams.insert(ask.stream, place.fingerprint);
        let before = ask.waited.get();
        if before.is_none() || waited.leads {
            ask.waited.set(Some(waited));
        }
        if before.is_none() {
            turn.host.count(Counter::Waited);
        }
        Decision::Wait
    }

    /// Whether one more request may wait here.
    pub(super) fn has_room_for(&self, place: &Place) -> bool {
        let collapse = &self.config.collapse;
        let for_the_same = self.parked.get(&place.fingerprint).map_or(0, |group| group.asks.len());
        self.parked_streams.len() < collapse.waiters_max as usize
            && for_the_same < collapse.key_waiters_max as usize
    }

    /// A waiting client has left.
    pub fn leave(&mut self, stream: StreamId) {
        let Some(fingerprint) = self.parked_streams.remove(&stream) else { return };
        if let Some(group) = self.parked.get_mut(&fingerprint) {
            group.asks.retain(|ask| ask.stream != stream);
            if group.asks.is_empty() {
                self.parked.remove(&fingerprint);
            }
        }
    }

    /// Something happened at a fingerprint, or so it is said: what this worker has of it may not be the newest.
    pub fn hint(&mut self, turn: Turn<'_, impl Host>, fingerprint: Fingerprint) {
        // Who waits has no copy that is fresh.
        if !self.parked.contains_key(&fingerprint) {
            self.memory.remove(fingerprint);
        }
        self.unshared.forget(fingerprint);
        self.visit(turn, fingerprint);
    }

    /// Considers the groups whose flights have landed in this worker. Not from within the response callbacks of a
    /// stream, where the host does not allow replies to others.
    pub fn settle(&mut self, turn: Turn<'_, impl Host>) {
        for fingerprint in core::mem::take(&mut self.due) {
            self.visit(turn, fingerprint);
        }
    }

    /// What is due by time: leases are renewed, waits and lost calls come to their deadlines, groups are looked
    /// after whether anybody woke them or not, and the journal's head is checked even if its epoch stands still.
    pub fn tick(&mut self, turn: Turn<'_, impl Host>) {
        if deviates(Deviation::NeverSweeps) {
            return self.release_overdue(turn);
        }
        self.mirror.distrust();
        self.watch_the_clock(turn);
        self.hear_of_trouble(turn.host);
        self.hear_of_cluster(turn.host);
        self.renew_leases(turn);
        self.give_up_lost_calls(turn);
        self.settle(turn);
        self.release_overdue(turn);
        self.report_uses(turn.host);
        self.route_met = (0, 0);
        self.shrink(turn);
        self.reclaim(turn);
        self.list_the_unlisted(turn);
        let due = |visited| turn.now.mono.since(visited) >= SWEEP;
        let groups: Vec<Fingerprint> =
            self.parked.iter().filter(|(_, group)| due(group.visited)).map(|(f, _)| *f).collect();
        for fingerprint in groups {
            self.visit(turn, fingerprint);
        }
    }

    /// A wall clock that is set back makes what is stored younger than it is. So everything is validated before its next
    /// use; each worker that notices says so.
    fn watch_the_clock(&mut self, turn: Turn<'_, impl Host>) {
        if let Some(before) = self.ticked.replace(turn.now) {
            let expected = before.wall.after(turn.now.mono.since(before.mono));
            if expected.since(turn.now.wall) > CLOCK_SLACK {
                turn.host.count(Counter::ClockSetBack);
                self.clock_set_back = true;
            }
        }
        if self.clock_set_back {
            let everything = Invalidation {
                mode: Mode::Revalidate,
                selector: Selector::All,
                issued_at: turn.now.wall,
                origin: Origin::Clock,
                reason: None,
            };
            self.clock_set_back = self.invalidate(turn.host, &everything).is_err();
        }
    }

    /// Decides anew about everyone who waits at a fingerprint.
    fn visit(&mut self, turn: Turn<'_, impl Host>, fingerprint: Fingerprint) {
        let Some(group) = self.parked.remove(&fingerprint) else { return };
        for ask in group.asks {
            self.parked_streams.remove(&ask.stream);
            match self.consider(turn, &ask, false) {
                Decision::Wait => {}
                decision => self.effects.push_back(Effect::Decided(ask, decision)),
            }
        }
    }

    /// Who has waited for as long as anybody may makes do with what is stored, or goes to the origin.
    fn release_overdue(&mut self, turn: Turn<'_, impl Host>) {
        let mut overdue = Vec::new();
        self.parked.retain(|_, group| {
            let (late, waiting) =
                core::mem::take(&mut group.asks).into_iter().partition(|ask| ask.deadline() <= turn.now.mono);
            group.asks = waiting;
            overdue.extend::<Vec<_>>(late);
            !group.asks.is_empty()
        });
        for ask in overdue {
            self.parked_streams.remove(&ask.stream);
            let decision = self.stale_for(turn, &ask).unwrap_or(Decision::Forward {
                reason: ForwardReason::Bypass(Bypass::NotShared),
                why: NotStored::NoFlight,
                shares: false,
                fallback: None,
            });
            self.effects.push_back(Effect::Decided(ask, decision));
        }
    }

    /// Renews the leases of what is fetched, but of no response that has begun and of which nothing has come for as long as
    /// a lease: its origin stalls, or its client does not read. Whoever waits for that waits no longer than if its client
    /// had left. (An origin that thinks before it answers is another matter.)
    fn renew_leases(&mut self, turn: Turn<'_, impl Host>) {
        let lease = self.lease();
        let until = turn.now.mono.after(lease);
        let mut stalled = Vec::new();
        for fetch in self.fetches.values_mut() {
            let left = fetch.lease.until.since(turn.now.mono);
            if left > lease * 2 / 3 {
                continue;
            }
            let (place, generation) = (&fetch.lease.place, fetch.lease.generation);
            let set = SetSnapshot::read(turn.host, place.set);
            let others_wait = || set.value.flight(generation).is_some_and(|flight| flight.waiters != 0);
            if fetch.stalls(lease, turn.now)
                && (self.parked.contains_key(&place.fingerprint) || others_wait())
            {
                stalled.push(generation);
                continue;
            }
            let renewed = flights::renewed(&set.value, generation, until, turn.now.mono);
            if renewed.is_some_and(|value| set.replace(turn.host, &value)) {
                fetch.lease.until = until;
            }
        }
        for generation in stalled {
            turn.host.count(Counter::Stalled);
            self.leader_left(turn, generation);
        }
    }

    /// Part of the response to a request on its way to the client has arrived.
    pub fn progressed(&mut self, generation: u64, now: Now) {
        if let Some(fetch) = self.fetches.get_mut(&generation) {
            fetch.progress = Some(now.mono);
        }
    }

    /// Whether the fetch is still that of a client's stream: one that stalled may have been taken from it.
    #[must_use]
    pub fn is_streamed(&self, generation: u64) -> bool {
        self.fetches.get(&generation).is_some_and(|fetch| fetch.by == Fetcher::Stream)
    }

    /// Calls of the root that never came back, for instance because their root has been replaced.
    fn give_up_lost_calls(&mut self, turn: Turn<'_, impl Host>) {
        // What is still to be dispatched, for instance because the tick is late, is not lost.
        let to_come = |fetch: &super::Fetch| {
            let own = fetch.lease.generation;
            self.effects.iter().any(|effect| matches!(effect, Effect::Dispatch(one) if *one == own))
        };
        let lost = |fetch: &super::Fetch| {
            matches!(fetch.by, Fetcher::Root(_)) && fetch.deadline <= turn.now.mono && !to_come(fetch)
        };
        let calls: Vec<u64> = self.fetches.values().filter(|f| lost(f)).map(|f| f.lease.generation).collect();
        for generation in calls {
            turn.host.count(Counter::DispatchFailed);
            self.land(turn, generation, Landing::NotStored(NotStored::Error));
        }
    }
}
