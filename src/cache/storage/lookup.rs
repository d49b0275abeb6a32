//! The storage half of a lookup: worker memory (L1), then shared data (L2). What to do on a miss is decided above, in
//! `src/cache/miss.rs`.

use core::ops::ControlFlow;
use std::rc::Rc;

use super::Storage;
use super::judge::Judged;
use crate::cache::host::Host;
use crate::cache::request::{CacheRequest, Decision};
use crate::invalidation::Verdict;
use crate::outcome::{ForwardReason, NotStored};
use crate::store::memory::Entry;
use crate::store::record::{Record, Slot};
use crate::store::set::SetSnapshot;
use crate::store::{Fingerprint, Place};
use crate::turn::Turn;

/// The best stored response for a request, as far as it was looked for.
#[derive(Default)]
pub(in crate::cache) struct Best {
    pub(in crate::cache) entry: Option<Rc<Entry>>,
    /// Why it may not simply be served.
    pub(in crate::cache) reason: Option<ForwardReason>,
}

impl Best {
    pub(in crate::cache) fn is_nothing(&self) -> bool {
        self.entry.is_none() && self.reason.is_none()
    }

    /// What was stored has been hard purged, and its room was given back.
    fn note_purged(&mut self) {
        if self.entry.is_none() {
            self.reason.get_or_insert(ForwardReason::Purged);
        }
    }

    /// Whether the key is known to be cacheable: something is, or was, stored under it.
    pub(in crate::cache) fn is_known(&self) -> bool {
        self.entry.is_some() || self.reason == Some(ForwardReason::Purged)
    }
}

/// What one level of the lookup (primary key, variant) looks for.
pub(in crate::cache) struct Look<'a> {
    pub(in crate::cache) key: &'a [u8],
    pub(in crate::cache) fingerprint: Fingerprint,
    /// Why nothing can be used, where there is nothing.
    pub(in crate::cache) missing: ForwardReason,
    /// The fields by which the variant is selected; none at the first level.
    pub(in crate::cache) nominated: &'a [String],
}

/// What one level of the lookup came to.
pub(in crate::cache) enum Level {
    Decided(Decision),
    /// The responses of this URI are selected by these fields.
    Nominated(Rc<Entry>),
}

/// A miss: a request for which no stored response can simply be served, and why.
#[derive(Clone, Copy)]
pub(in crate::cache) struct Miss<'a> {
    pub(in crate::cache) ask: &'a Rc<CacheRequest>,
    pub(in crate::cache) place: &'a Place,
    pub(in crate::cache) best: &'a Best,
    pub(in crate::cache) reason: ForwardReason,
}

impl Miss<'_> {
    /// To the origin, without a flight.
    pub(in crate::cache) fn pass(&self) -> Decision {
        Decision::pass(self.ask, self.reason, self.best.entry.clone())
    }

    /// To the origin beside any flight, for this reason; what it brings may be for others.
    pub(in crate::cache) fn forward(&self, why: NotStored) -> Decision {
        Decision::Forward { reason: self.reason, why, shares: true, fallback: self.best.entry.clone() }
    }
}

impl Storage {
    /// Looks in worker memory (L1), where a hit needs nothing else. On a miss `best` is the best copy there is.
    pub(in crate::cache) fn look_here(
        &mut self,
        turn: Turn<'_, impl Host>,
        ask: &CacheRequest,
        look: &Look<'_>,
        best: &mut Best,
    ) -> Option<Level> {
        if let Some(entry) = self.memory.get(look.fingerprint, look.key) {
            match self.judge(turn, &entry, ask) {
                Judged::Nominated => return Some(Level::Nominated(entry)),
                Judged::Usable { reuse, refresh: false } => {
                    return Some(Level::Decided(Decision::Serve { entry, reuse }));
                }
                Judged::Usable { .. } => best.entry = Some(entry),
                Judged::Unusable(reason) => *best = Best { entry: Some(entry), reason: Some(reason) },
                Judged::OfAnother(reason) => best.reason = Some(reason),
                Judged::Purged => {
                    self.memory.remove(look.fingerprint);
                    // A 304 would bring back what a hard purge has removed (I1, M18).
                    best.entry = None;
                    best.reason = Some(ForwardReason::Purged);
                }
            }
        }
        let (place, entry, reuse) = self.chosen_from_more(turn, ask, look.nominated)?;
        if !self.memory.holds(place.fingerprint) {
            self.memory.insert(place.fingerprint, &entry);
        }
        Some(Level::Decided(Decision::Serve { entry, reuse }))
    }

    /// Looks in shared data (L2), after worker memory. Unless that decides the level: what may be served stale for now, but
    /// has to be refreshed.
    pub(in crate::cache) fn look_in_set(
        &mut self,
        turn: Turn<'_, impl Host>,
        ask: &CacheRequest,
        place: &Place,
        set: &SetSnapshot,
        best: &mut Best,
    ) -> ControlFlow<Level, Option<Decision>> {
        match set.value.way_of(place.fingerprint) {
            Some(_) if set.value.is_purged(place.fingerprint) => best.note_purged(),
            Some(way) => self.read_second_tier(turn.host, Slot { set: place.set, way }, place, best),
            None => {}
        }
        let Some(entry) = best.entry.clone() else { return ControlFlow::Continue(None) };
        match self.judge(turn, &entry, ask) {
            Judged::Nominated => {
                self.memory.insert(place.fingerprint, &entry);
                use_once(turn.host, set, place);
                return ControlFlow::Break(Level::Nominated(entry));
            }
            Judged::Usable { reuse, refresh } => {
                self.memory.insert(place.fingerprint, &entry);
                let serve = Decision::Serve { entry, reuse };
                if !refresh {
                    use_once(turn.host, set, place);
                    return ControlFlow::Break(Level::Decided(serve));
                }
                best.reason = Some(ForwardReason::Stale);
                return ControlFlow::Continue(Some(serve));
            }
            Judged::Unusable(reason) => best.reason = Some(reason),
            Judged::OfAnother(reason) => *best = Best { entry: None, reason: Some(reason) },
            // Nothing to validate, as above (M18).
            Judged::Purged => *best = Best { entry: None, reason: Some(ForwardReason::Purged) },
        }
        ControlFlow::Continue(None)
    }

    /// Replaces the best entry by the record in shared data, if that is there, newer, and not gone.
    fn read_second_tier(&mut self, host: &impl Host, slot: Slot, place: &Place, best: &mut Best) {
        let Some(record) = Record::read(host, slot, &place.key) else { return };
        if best
            .entry
            .as_ref()
            .is_some_and(|e| e.record.order() > record.order() || e.record.generation == record.generation)
        {
            return;
        }
        let entry = Entry::new(record);
        if self.journal.verdict(&entry) == Verdict::Hard {
            best.reason.get_or_insert(ForwardReason::Purged);
        } else {
            *best = Best { entry: Some(entry), reason: None };
        }
    }
}

/// Tells a set that the record of a key was of use: this worker has its own copy from now on, and tells the set of
/// further uses now and then ([`crate::store::Writer::report_uses`]).
fn use_once(host: &impl Host, set: &SetSnapshot, place: &Place) {
    let way = set.value.way_of(place.fingerprint);
    if let Some(value) = way.and_then(|way| set.value.used(way, 1)) {
        // Whoever was faster has more to say.
        let _ = set.replace(host, &value);
    }
}
