//! Looking at what is stored, for the admin route. No other request comes here: a survey
//! reads many slots, so each has a bound and says whether it came to its end.

use core::time::Duration;
use std::rc::Rc;

use super::storage::{Storage, invalidated};
use super::{Cache, CacheRequest, Host, LearnedRoute};
use crate::breaker::Breakers;
use crate::invalidation::{
    CALLBACK_WORK_MAX, Invalidation, Subject, TICK_WORK_MAX, VERDICT_WORK_MAX, Verdict, Work,
};
use crate::outcome::{ForwardReason, NotStored};
use crate::policy::reuse::{Reuse, reuse};
use crate::store::Place;
use crate::store::flights::{backoff_until, failures};
use crate::store::journal::Covering;
use crate::store::memory::Entry;
use crate::store::record::{Content, Record, Response, Slot};
use crate::store::set::{FlightState, KeyRoute, SetSnapshot, WAYS};
use crate::turn::Turn;

/// The most sets that one survey reads. Beyond it the survey ends, and says where the next one begins.
const SETS_MAX: u32 = 8192;
/// The most bytes of records that one survey reads where nobody says less. Beyond it the survey ends likewise.
const BYTES_MAX: u64 = 8 << 20;

/// A stored response as it lies in its slot; where its body is large it is left out.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The record.
    pub entry: Rc<Entry>,
    /// The bytes that it takes.
    pub bytes: u64,
    /// What the journal says about it.
    pub verdict: Verdict,
}

/// What a survey may do. Of work it may take one verdict more than it is given.
#[derive(Debug)]
pub struct Survey {
    /// The most stored responses that it finds.
    pub found_max: usize,
    /// The most that it looks at.
    pub looked_max: u64,
    /// The most bytes of records that it reads, give or take one record.
    pub bytes_max: u64,
    /// The matching that it may do.
    pub work: Work,
    /// The most of it for one stored response.
    pub look_work_max: u64,
}

impl Survey {
    /// The same with what one tick may do.
    #[must_use]
    pub const fn of_a_tick(found_max: usize, looked_max: u64) -> Survey {
        let may = Survey::of(found_max, looked_max);
        Survey { work: Work::of(TICK_WORK_MAX), look_work_max: TICK_WORK_MAX, ..may }
    }

    /// A survey that finds so many, looks at so many and does what one command may do.
    #[must_use]
    pub const fn of(found_max: usize, looked_max: u64) -> Survey {
        Survey {
            found_max,
            looked_max,
            bytes_max: BYTES_MAX,
            work: Work::of(CALLBACK_WORK_MAX),
            look_work_max: VERDICT_WORK_MAX,
        }
    }
}

/// What a survey came to.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The stored responses that were wanted, in the order of their slots.
    pub seen: Vec<Seen>,
    /// How many stored responses were looked at.
    pub looked_at: u64,
    /// Where to go on; none when the survey came to its end.
    pub next: Option<u64>,
}

/// What a request would find.
#[derive(Clone, Debug)]
pub struct Found {
    /// The key that it comes to.
    pub key: Vec<u8>,
    /// The stored response that fits it.
    pub seen: Option<Seen>,
    /// Why it would go to the origin, if it would.
    pub forward: Option<ForwardReason>,
    /// Why the last response to it was not stored, while that is remembered.
    pub not_stored: Option<NotStored>,
    /// Whether it is being fetched.
    pub fetching: bool,
    /// How often its fetch has failed in a row, as far as that is remembered.
    pub failures: u8,
    /// For how long it is not fetched again while something stored answers.
    pub backoff: Duration,
    /// The cluster that it comes from, where that is known, and whether that is taken to be down.
    pub cluster: Option<(String, bool)>,
    /// Where it is not known: the clusters that are taken to be down.
    pub down: Vec<String>,
    /// For how long clients fetch it with their own requests, because the origin has refused the root's.
    pub refused_for: Duration,
}

impl Seen {
    /// The response.
    #[must_use]
    pub fn response(&self) -> Option<&Response> {
        self.entry.response()
    }
}

/// The cache as the admin route looks at it, with the journal as it is now.
pub struct Inspection<'a, H> {
    storage: &'a mut Storage,
    turn: Turn<'a, H>,
    /// Whether the journal could be read.
    is_current: bool,
}

impl Cache {
    /// What is stored, what the journal says, what a request would find. Nothing is done about any of it.
    pub fn inspect<'a, H: Host>(&'a mut self, turn: Turn<'a, H>) -> Inspection<'a, H> {
        let is_current = self.sync(turn.host);
        Inspection { storage: &mut self.storage, turn, is_current }
    }
}

impl<H: Host> Inspection<'_, H> {
    /// Where the journal stands for this worker: its head and both floors. None when it cannot be read.
    #[must_use]
    pub fn journal_state(&self) -> Option<(u64, u64, u64)> {
        self.is_current.then(|| self.storage.journal.state())
    }

    /// The newest records of the journal before a position, in ascending order.
    #[must_use]
    pub fn journal_tail(&self, before: Option<u64>, limit: usize) -> Vec<(u64, Invalidation)> {
        self.storage.journal.tail(self.turn.host, before, limit)
    }

    /// The newest records of the journal that cover a stored response.
    #[must_use]
    pub fn covering(&self, seen: &Seen, limit: usize) -> Covering {
        self.storage.journal.covering(self.turn.host, &seen.entry, limit)
    }

    /// Whether the index of the journal takes these without forgetting anything, from callers who may not purge everything.
    #[must_use]
    pub fn journal_has_room_for(&self, invalidations: &[Invalidation]) -> bool {
        !self.is_current || self.storage.journal.has_room_for(invalidations)
    }

    /// Looks at stored responses from a place on, until enough of those that are `wanted` have been found or as many looked
    /// at as may be. `wanted` gets what selectors look at, and the stamp. None when the journal cannot be read.
    pub fn survey(
        &self,
        from: u64,
        may: &Survey,
        wanted: impl Fn(&Subject<'_>, u64, &Work) -> bool,
    ) -> Option<Page> {
        if !self.is_current {
            return None;
        }
        let (ways, slots) = (WAYS as u64, u64::from(self.storage.writer.sets()) * WAYS as u64);
        let mut page = Page::default();
        let mut bytes = 0;
        for number in (0..self.storage.writer.sets()).skip((from / ways) as usize).take(SETS_MAX as usize) {
            let set = SetSnapshot::read(self.turn.host, number).value;
            for (n, way) in set.ways.iter().enumerate() {
                let slot = u64::from(number) * ways + n as u64;
                if slot < from || !way.is_some() || way.is_purged() {
                    continue;
                }
                if page.seen.len() >= may.found_max
                    || page.looked_at >= may.looked_max
                    || bytes >= may.bytes_max
                    || may.work.is_done()
                {
                    page.next = Some(slot);
                    return Some(page);
                }
                bytes += way.bytes;
                let Some(record) = response_in(self.turn.host, Slot { set: number, way: n as u8 }) else {
                    continue;
                };
                page.looked_at += 1;
                let work = Work::of(may.look_work_max);
                if wanted(&record.content.subject(), record.stamp, &work) {
                    page.seen.push(self.judged_within(Entry::new(record), Some(way.bytes), &work));
                }
                may.work.take_for(&work);
            }
        }
        let end = (from / ways + u64::from(SETS_MAX)) * ways;
        page.next = (end < slots).then_some(end);
        Some(page)
    }

    /// The stored responses that a request finds under its URL: the one that there is, or all variants.
    pub fn variants_of(&mut self, ask: &CacheRequest) -> Vec<Seen> {
        let primary = self.storage.primary(self.turn.host, ask);
        let Some(record) = self.record(&primary) else { return Vec::new() };
        match &record.entry.record.content {
            Content::Response(_) => vec![record],
            Content::Variants(variants) => {
                let places = variants.known.iter().map(|(fingerprint, _)| *fingerprint);
                places.filter_map(|fingerprint| self.known(fingerprint)).collect()
            }
            Content::Search(_) => Vec::new(),
        }
    }

    /// What a request would find, without anything being done about it. None when the journal cannot be read.
    pub fn find(&mut self, ask: &CacheRequest) -> Option<Found> {
        if !self.is_current {
            return None;
        }
        let primary = self.storage.primary(self.turn.host, ask);
        let at_primary = self.best(&primary);
        let nominated = match at_primary.as_ref().map(|seen| &seen.entry.record.content) {
            Some(Content::Variants(variants)) => Some(variants.nominated.clone()),
            Some(Content::Response(_) | Content::Search(_)) | None => None,
        };
        let Some(nominated) = nominated else {
            return Some(self.found(ask, primary, at_primary, ForwardReason::UriMiss));
        };
        if at_primary.is_some_and(|seen| seen.verdict == Verdict::Hard) {
            return Some(self.found(ask, primary, None, ForwardReason::Purged));
        }
        let variant = self.storage.writer.place(self.turn.host, ask.variant_key(&nominated));
        let seen = self.best(&variant);
        let found = self.found(ask, variant, seen, ForwardReason::VaryMiss);
        if found.forward.is_some()
            && let Some((place, entry, _)) = self.storage.chosen_from_more(self.turn, ask, &nominated)
        {
            let seen = Some(self.judged(entry, None));
            return Some(self.found(ask, place, seen, ForwardReason::VaryMiss));
        }
        Some(found)
    }

    /// Whether a request comes to a key, by the values that it has for the nominated fields.
    pub fn comes_to(&mut self, ask: &CacheRequest, key: &[u8], nominated: &[String]) -> bool {
        let primary = self.storage.primary(self.turn.host, ask);
        if nominated.is_empty() { primary.key == key } else { ask.variant_key(nominated) == key }
    }

    fn found(&self, ask: &CacheRequest, place: Place, seen: Option<Seen>, missing: ForwardReason) -> Found {
        let turn = self.turn;
        let seen =
            seen.map(|seen| Seen { verdict: self.storage.verdict_for(&seen.entry, ask, turn.now), ..seen });
        let forward = match seen.as_ref().map(|seen| (invalidated(seen.verdict), seen.response())) {
            Some((Some(invalidated), Some(response))) => {
                match reuse(&response.stored, &ask.request, &ask.options, invalidated, turn.now.wall) {
                    Reuse::Validate(reason) => {
                        let because = |seen: &Seen| self.storage.validated_because(reason, &seen.entry, ask);
                        Some(seen.as_ref().map_or(reason, because))
                    }
                    Reuse::Fresh { .. } | Reuse::Stale { .. } => None,
                }
            }
            Some((None, _)) => Some(ForwardReason::Purged),
            Some((Some(_), None)) | None => Some(missing),
        };
        let set = SetSnapshot::read(turn.host, place.set).value;
        let is_purged = seen.is_none() && set.is_purged(place.fingerprint);
        let forward = if is_purged { Some(ForwardReason::Purged) } else { forward };
        let flight = set.flight_of(place.fingerprint);
        let not_stored = flight.and_then(|flight| match flight.state {
            FlightState::NotStored(reason) => Some(reason),
            FlightState::Flying => None,
        });
        let fetching = flight.is_some_and(|flight| flight.is_live(turn.now.mono));
        let failures = flight.map_or(0, failures);
        let backoff = flight.map_or(Duration::ZERO, |flight| backoff_until(flight).since(turn.now.mono));
        let route = set.route_of(place.fingerprint);
        let (learned, refused_for) = match route {
            KeyRoute::Learned(number) => {
                (LearnedRoute::read(turn.host, number, turn.now.mono), Duration::ZERO)
            }
            KeyRoute::Inline { until } => (None, until.since(turn.now.mono)),
            KeyRoute::Unknown => (None, Duration::ZERO),
        };
        let breakers = Breakers::read(turn.host);
        let cluster = learned.map(|(learned, _)| {
            let is_down = breakers.is_open(&learned.cluster);
            (learned.cluster, is_down)
        });
        let open = breakers.troubles().filter(|trouble| cluster.is_none() && trouble.probe_from.is_some());
        let down = open.map(|trouble| trouble.cluster.clone()).collect();
        Found {
            key: place.key,
            seen,
            forward,
            not_stored,
            fetching,
            failures,
            backoff,
            cluster,
            down,
            refused_for,
        }
    }

    /// The worker's own copy, unless shared data has a newer one.
    fn best(&self, place: &Place) -> Option<Seen> {
        let own = self.storage.copy(place).map(|entry| self.judged(entry, None));
        let shared = self.record(place);
        match (own, shared) {
            (Some(own), Some(shared)) if shared.entry.record.order() <= own.entry.record.order() => Some(own),
            (own, shared) => shared.or(own),
        }
    }

    fn record(&self, place: &Place) -> Option<Seen> {
        let set = SetSnapshot::read(self.turn.host, place.set).value;
        let way = set.way_of(place.fingerprint)?;
        let bytes = set.ways.get(usize::from(way)).map_or(0, |way| way.bytes);
        let (record, _) = Record::peek(self.turn.host, Slot { set: place.set, way })?;
        (record.key == place.key).then(|| self.judged(Entry::new(record), Some(bytes)))
    }

    /// The stored response with this fingerprint.
    fn known(&self, fingerprint: u64) -> Option<Seen> {
        let number = (fingerprint % u64::from(self.storage.writer.sets())) as u32;
        let set = SetSnapshot::read(self.turn.host, number).value;
        let (n, way) = (0..).zip(&set.ways).find(|(_, way)| way.fingerprint.0 == fingerprint)?;
        self.seen(Slot { set: number, way: n }, way.bytes)
    }

    /// The stored response in a slot, if it holds one.
    fn seen(&self, slot: Slot, bytes: u64) -> Option<Seen> {
        response_in(self.turn.host, slot).map(|record| self.judged(Entry::new(record), Some(bytes)))
    }

    fn judged(&self, entry: Rc<Entry>, bytes: Option<u64>) -> Seen {
        self.judged_within(entry, bytes, &Work::of_a_verdict())
    }

    /// The same, counting what it takes.
    fn judged_within(&self, entry: Rc<Entry>, bytes: Option<u64>, work: &Work) -> Seen {
        let verdict = self.storage.journal.verdict_within(&entry, work);
        Seen { bytes: bytes.unwrap_or_else(|| entry.bytes()), verdict, entry }
    }
}

/// The record of the response in a slot, if it holds one; without its body where that is large.
fn response_in(host: &impl Host, slot: Slot) -> Option<Record> {
    let (record, _) = Record::peek(host, slot)?;
    matches!(record.content, Content::Response(_)).then_some(record)
}
