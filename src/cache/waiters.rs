//! The requests of this worker that wait for a fetch: in groups, one for each flight, and in all no more than may.

use core::time::Duration;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::host::{Host, StreamId};
use super::request::{CacheRequest, Decision, Waited};
use crate::config::CollapseConfig;
use crate::outcome::ForwardReason;
use crate::outcome::metrics::Counter;
use crate::store::{Fingerprint, Place};
use crate::time::Monotonic;
use crate::turn::Turn;

/// All waiters of this worker.
#[derive(Default)]
pub(super) struct Waiters {
    /// Ordered, so that the same events always have the same consequences.
    groups: BTreeMap<Fingerprint, Group>,
    streams: HashMap<StreamId, Fingerprint>,
    /// Groups to be considered anew from the next callback that may.
    woken: Vec<Fingerprint>,
}

/// The waiters for one flight.
#[derive(Default)]
struct Group {
    asks: Vec<Rc<CacheRequest>>,
    visited: Monotonic,
}

impl Waiters {
    /// Makes a request a waiter for the flight of a place; it goes to the origin by itself when there are too many waiters
    /// already, for that or in all.
    pub(super) fn park(
        &mut self,
        turn: Turn<'_, impl Host>,
        limits: &CollapseConfig,
        ask: &Rc<CacheRequest>,
        place: &Place,
        waited: Waited,
    ) -> Decision {
        if !self.have_room_for(place.fingerprint, limits) {
            return Decision::not_shared();
        }
        self.add(ask, place.fingerprint, turn.now.mono);
        let before = ask.waited.get();
        if before.is_none() || waited.leads {
            ask.waited.set(Some(waited));
        }
        if before.is_none() {
            turn.host.count(Counter::Waited);
        }
        Decision::Wait
    }

    /// One more waits at a fingerprint.
    fn add(&mut self, ask: &Rc<CacheRequest>, fingerprint: Fingerprint, now: Monotonic) {
        let group = self.groups.entry(fingerprint).or_default();
        if group.asks.is_empty() {
            group.visited = now;
        }
        group.asks.push(Rc::clone(ask));
        self.streams.insert(ask.stream, fingerprint);
    }

    /// Whether one more may wait at a fingerprint.
    pub(super) fn have_room_for(&self, fingerprint: Fingerprint, limits: &CollapseConfig) -> bool {
        let for_the_same = self.groups.get(&fingerprint).map_or(0, |group| group.asks.len());
        self.streams.len() < limits.waiters_max as usize && for_the_same < limits.key_waiters_max as usize
    }

    /// A client has left.
    pub(super) fn remove(&mut self, stream: StreamId) {
        let Some(fingerprint) = self.streams.remove(&stream) else { return };
        if let Some(group) = self.groups.get_mut(&fingerprint) {
            group.asks.retain(|ask| ask.stream != stream);
            if group.asks.is_empty() {
                self.groups.remove(&fingerprint);
            }
        }
    }

    /// Whether anybody waits at a fingerprint.
    pub(super) fn are_at(&self, fingerprint: Fingerprint) -> bool {
        self.groups.contains_key(&fingerprint)
    }

    /// Whether anybody waits there who does not lead.
    pub(super) fn follow_at(&self, fingerprint: Fingerprint) -> bool {
        let follows = |ask: &Rc<CacheRequest>| ask.waited.get().is_some_and(|waited| !waited.leads);
        self.groups.get(&fingerprint).is_some_and(|group| group.asks.iter().any(follows))
    }

    /// Why a request that still waits for a fetch on its own behalf does so.
    pub(super) fn leader(&self, ask: &CacheRequest) -> Option<ForwardReason> {
        let waited = ask.waited.get().filter(|waited| waited.leads)?;
        self.include(ask.stream).then_some(waited.reason)
    }

    /// Whether the request of a stream waits.
    fn include(&self, stream: StreamId) -> bool {
        self.streams.contains_key(&stream)
    }

    /// How many they are.
    pub(super) fn count(&self) -> usize {
        self.streams.len()
    }

    /// The waiters at a fingerprint have to be looked up again. Where there are none, no callback of the root is asked for.
    pub(super) fn wake(&mut self, fingerprint: Fingerprint) {
        if self.are_at(fingerprint) {
            self.woken.push(fingerprint);
        }
    }

    /// Whether nobody has been woken and not been considered since.
    pub(super) fn are_settled(&self) -> bool {
        self.woken.is_empty()
    }

    /// Where somebody has been woken.
    pub(super) fn take_woken(&mut self) -> Vec<Fingerprint> {
        core::mem::take(&mut self.woken)
    }

    /// Where nobody has looked for so long whether the flight has landed.
    pub(super) fn not_visited_for(&self, time: Duration, now: Monotonic) -> Vec<Fingerprint> {
        let groups = self.groups.iter().filter(|(_, group)| now.since(group.visited) >= time);
        groups.map(|(fingerprint, _)| *fingerprint).collect()
    }

    /// Takes out those who wait at a fingerprint, in the order in which they came.
    pub(super) fn take(&mut self, fingerprint: Fingerprint) -> Vec<Rc<CacheRequest>> {
        let asks = self.groups.remove(&fingerprint).unwrap_or_default().asks;
        for ask in &asks {
            self.streams.remove(&ask.stream);
        }
        asks
    }

    /// Takes out those who have waited for as long as anybody may.
    pub(super) fn take_overdue(&mut self, now: Monotonic) -> Vec<Rc<CacheRequest>> {
        let mut overdue = Vec::new();
        self.groups.retain(|_, group| {
            let (late, waiting) =
                core::mem::take(&mut group.asks).into_iter().partition(|ask| ask.deadline() <= now);
            group.asks = waiting;
            overdue.extend::<Vec<_>>(late);
            !group.asks.is_empty()
        });
        for ask in &overdue {
            self.streams.remove(&ask.stream);
        }
        overdue
    }
}
