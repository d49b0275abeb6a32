//! Waiting and waking: groups of parked requests, hints, and the sweep that makes up for every hint that is lost
//! (protocol §1.7).

use core::time::Duration;
use std::rc::Rc;

use super::fetches::Fetcher;
use super::{Ask, Cache, Decision, Effect, FetchEnd, Host, StreamId, Waited};
use crate::mutants::{Mutant, mutated};
use crate::outcome::metrics::Counter;
use crate::outcome::{Bypass, ForwardReason, NotStored};
use crate::store::flights;
use crate::store::set::SetSnapshot;
use crate::store::{Fingerprint, Place};
use crate::time::Now;
use crate::turn::Turn;

/// How often a group looks by itself whether its flight has landed.
const SWEEP: Duration = Duration::from_millis(100);

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
        if !self.waiters.have_room_for(place.fingerprint, &self.config.collapse) {
            let reason = ForwardReason::Bypass(Bypass::NotShared);
            return Decision::Forward { reason, why: NotStored::NoFlight, shares: false, fallback: None };
        }
        self.waiters.add(ask, place.fingerprint, turn.now.mono);
        let before = ask.waited.get();
        if before.is_none() || waited.leads {
            ask.waited.set(Some(waited));
        }
        if before.is_none() {
            turn.host.count(Counter::Waited);
        }
        Decision::Wait
    }

    /// A waiting client has left.
    pub fn leave(&mut self, stream: StreamId) {
        self.waiters.remove(stream);
    }

    /// Something happened at a fingerprint, or so it is said: what this worker has of it may not be the newest.
    pub fn hint(&mut self, turn: Turn<'_, impl Host>, fingerprint: Fingerprint) {
        // Who waits has no copy that is fresh.
        if !self.waiters.are_at(fingerprint) {
            self.memory.remove(fingerprint);
        }
        self.hit_for_miss.forget(fingerprint);
        self.visit(turn, fingerprint);
    }

    /// Considers the groups whose flights have landed in this worker. Not from within the response callbacks of a
    /// stream, where the host does not allow replies to others.
    pub fn settle(&mut self, turn: Turn<'_, impl Host>) {
        for fingerprint in self.waiters.take_woken() {
            self.visit(turn, fingerprint);
        }
    }

    /// What is due by time: leases are renewed, waits and lost calls come to their deadlines, groups are looked
    /// after whether anybody woke them or not, and the journal's head is checked even if its epoch stands still.
    pub fn tick(&mut self, turn: Turn<'_, impl Host>) {
        if mutated(Mutant::NeverSweeps) {
            return self.release_overdue(turn);
        }
        self.journal.distrust();
        self.watch_the_clock(turn);
        self.health.hear(turn.host);
        self.table_clusters.hear(turn.host);
        self.renew_leases(turn);
        self.give_up_lost_calls(turn);
        self.settle(turn);
        self.release_overdue(turn);
        self.writer.report_uses(turn.host, &mut self.memory);
        self.route_met = (0, 0);
        self.writer.shrink(turn);
        self.reclaim(turn);
        self.list_the_unlisted(turn);
        // Every hint may be lost, and a leader's VM may die without one: this is what nobody waits longer than (I3, M16, M17, M20).
        for fingerprint in self.waiters.not_visited_for(SWEEP, turn.now.mono) {
            self.visit(turn, fingerprint);
        }
    }

    fn watch_the_clock(&mut self, turn: Turn<'_, impl Host>) {
        if let Some(everything) = self.journal.watch_the_clock(turn)
            && self.invalidate(turn.host, &everything).is_ok()
        {
            self.journal.clock_is_told();
        }
    }

    /// Decides anew about everyone who waits at a fingerprint.
    fn visit(&mut self, turn: Turn<'_, impl Host>, fingerprint: Fingerprint) {
        for ask in self.waiters.take(fingerprint) {
            match self.lookup(turn, &ask, false) {
                Decision::Wait => {}
                decision => self.effects.push_back(Effect::Decided(ask, decision)),
            }
        }
    }

    /// Who has waited for as long as anybody may makes do with what is stored, or goes to the origin.
    fn release_overdue(&mut self, turn: Turn<'_, impl Host>) {
        for ask in self.waiters.take_overdue(turn.now.mono) {
            let decision = self.stale_for_waiter(turn, &ask).unwrap_or(Decision::Forward {
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
        for fetch in self.fetches.iter_mut() {
            let left = fetch.lease.until.since(turn.now.mono);
            if left > lease * 2 / 3 {
                continue;
            }
            let (place, generation) = (&fetch.lease.place, fetch.lease.generation);
            let set = SetSnapshot::read(turn.host, place.set);
            let others_wait = || set.value.flight(generation).is_some_and(|flight| flight.waiters != 0);
            if fetch.stalls(lease, turn.now) && (self.waiters.are_at(place.fingerprint) || others_wait()) {
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
        if let Some(fetch) = self.fetches.get_mut(generation) {
            fetch.progress = Some(now.mono);
        }
    }

    /// Whether the fetch is still that of a client's stream: one that stalled may have been taken from it.
    #[must_use]
    pub fn is_streamed(&self, generation: u64) -> bool {
        self.fetches.get(generation).is_some_and(|fetch| fetch.by == Fetcher::Stream)
    }

    /// Calls of the root that never came back, for instance because their root has been replaced.
    fn give_up_lost_calls(&mut self, turn: Turn<'_, impl Host>) {
        for generation in self.fetches.overdue_calls(turn.now.mono) {
            // What is still to be dispatched, for instance because the tick is late, is not lost.
            if self.effects.iter().any(|effect| matches!(effect, Effect::Dispatch(own) if *own == generation))
            {
                continue;
            }
            turn.host.count(Counter::DispatchFailed);
            self.end_fetch(turn, generation, FetchEnd::NotStored(NotStored::Error));
        }
    }
}
