//! Waking waiters: hints, and the sweep on each tick that makes up for every hint that is lost (protocol §1.7).

use core::time::Duration;

use super::{Cache, Decision, Effect, FetchEnd, Host, StreamId};
use crate::outcome::NotStored;
use crate::outcome::metrics::Counter;
use crate::store::Fingerprint;
use crate::store::flights;
use crate::store::set::SetSnapshot;
use crate::turn::Turn;

/// How often a group looks by itself whether its flight has landed.
const SWEEP: Duration = Duration::from_millis(100);

impl Cache {
    /// A waiting client has left.
    pub fn leave(&mut self, stream: StreamId) {
        self.waiters.remove(stream);
    }

    /// Something happened at a fingerprint, or so it is said: what this worker has of it may not be the newest.
    pub fn hint(&mut self, turn: Turn<'_, impl Host>, fingerprint: Fingerprint) {
        // Who waits has no copy that is fresh.
        if !self.waiters.are_at(fingerprint) {
            self.storage.drop_copy(fingerprint);
        }
        self.storage.forget_hit_for_miss(fingerprint);
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
        self.storage.journal.distrust();
        self.watch_the_clock(turn);
        self.health.hear(turn.host);
        self.routes.tick(turn.host);
        self.renew_leases(turn);
        self.give_up_lost_calls(turn);
        self.settle(turn);
        self.release_overdue(turn);
        self.storage.report_uses(turn.host);
        self.storage.writer.shrink(turn);
        if let Some(work) = self.storage.reclaiming_work()
            && self.sync(turn.host)
        {
            self.storage.reclaim(turn, work);
        }
        self.storage.list_the_unlisted(turn, &mut self.waiters);
        // Every hint may be lost, and a leader's VM may die without one: this is what nobody waits longer than (I3, M16, M17, M20).
        for fingerprint in self.waiters.not_visited_for(SWEEP, turn.now.mono) {
            self.visit(turn, fingerprint);
        }
    }

    fn watch_the_clock(&mut self, turn: Turn<'_, impl Host>) {
        if let Some(everything) = self.storage.journal.watch_the_clock(turn)
            && self.invalidate(turn.host, &everything).is_ok()
        {
            self.storage.journal.clock_is_told();
        }
    }

    /// Decides anew about everyone who waits at a fingerprint.
    fn visit(&mut self, turn: Turn<'_, impl Host>, fingerprint: Fingerprint) {
        for ask in self.waiters.take(fingerprint) {
            match self.lookup_again(turn, &ask) {
                Decision::Wait => {}
                decision => self.effects.push_back(Effect::Decided(ask, decision)),
            }
        }
    }

    /// Waiters whose time is up are served stale (`stale-if-error`) where that may be, or go to the origin by themselves.
    fn release_overdue(&mut self, turn: Turn<'_, impl Host>) {
        for ask in self.waiters.take_overdue(turn.now.mono) {
            let is_current = self.sync(turn.host);
            let stale = is_current.then(|| self.storage.stale_for_waiter(turn, &ask)).flatten();
            self.effects.push_back(Effect::Decided(ask, stale.unwrap_or_else(Decision::not_shared)));
        }
    }

    /// Renews the leases of what is fetched, but of no response that has begun and of which nothing has come for as long as
    /// a lease: its origin stalls, or its client does not read. Whoever waits for that waits no longer than if its client
    /// had left. (An origin that thinks before it answers is another matter.)
    fn renew_leases(&mut self, turn: Turn<'_, impl Host>) {
        let lease = self.config.collapse.lease;
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
