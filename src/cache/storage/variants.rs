//! The list of a URI's variants, which lies under the URI's own key and says by which fields they are told apart. It is
//! bounded: a variant beyond that takes the place of the one that is of least use, and that gives its bytes back.
//!
//! How often a variant is used is known from the set that it lies in. As in eviction, a new variant begins with no uses, so that
//! rarely requested variants evict each other; and where the evicted one had some uses, those of the others count as old.

use std::rc::Rc;

use super::Storage;
use super::journal_view::JournalView;
use crate::cache::host::Host;
use crate::cache::waiters::Waiters;
use crate::invalidation::Verdict;
use crate::outcome::NotStored;
use crate::store::Fingerprint;
use crate::store::memory::Entry;
use crate::store::record::{Content, Record, Variants};
use crate::store::set::SetSnapshot;
use crate::store::{Lease, Place, StoreHost, Writer, eviction, flights};
use crate::time::{Monotonic, Now};
use crate::turn::Turn;

/// The most variants whose uses are looked up to find one that makes room. Beyond it the others stay.
const LOOKS_MAX: usize = 32;
/// The most variants that are still to be listed. Beyond it a variant stays off the list of its URL: `variants_max` does
/// not count it, and where there is no list, nobody finds it.
const UNLISTED_MAX: usize = 64;
/// How often a variant is tried to be listed, tick by tick. Beyond it the variant stays off the list likewise.
const UNLISTED_TRIES: u8 = 40;

/// A variant that has to be on the list of its URI.
#[derive(Clone)]
pub(super) struct Listing {
    /// Where the list lies.
    pub(super) primary: Place,
    /// Under which fingerprint the variant lies.
    pub(super) home: Fingerprint,
    /// By which fields variants are told apart.
    pub(super) nominated: Vec<String>,
    /// The canonical URI.
    pub(super) uri: Vec<u8>,
    /// The stamp of the variant, and when it was asked for.
    pub(super) order: (u64, Monotonic),
    /// Until when it is worth keeping.
    pub(super) until: u32,
    /// The most that may be on the list.
    pub(super) variants_max: u32,
}

/// A list as it is to be written, and the variants that were evicted from it.
pub(super) struct List {
    entry: Rc<Entry>,
    evicted: Vec<Fingerprint>,
    until: u32,
}

/// What is known of a variant on a full list.
struct Known {
    at: usize,
    fingerprint: Fingerprint,
    /// Whether it is stored at all.
    is_stored: bool,
    is_fetched: bool,
    uses: u8,
}

impl Listing {
    /// Whether a list is good as it is: the variant is on it, and for long enough, and no more are than may be.
    fn is_on(&self, known: &[(u64, u32)], now: Now) -> bool {
        let secs = u32::try_from(now.wall.secs()).unwrap_or(u32::MAX);
        let enough = secs.saturating_add(self.until.saturating_sub(secs) / 2);
        let is_on = known.iter().any(|(known, until)| *known == self.home.0 && *until >= enough);
        is_on && known.len() <= self.variants_max as usize
    }

    /// Whether a newer response has said otherwise by which fields variants are told apart.
    fn is_outdated(&self, there: &Record) -> bool {
        let agrees = matches!(&there.content, Content::Variants(v) if v.nominated == self.nominated);
        !agrees && there.order() > self.order
    }

    /// The list that this makes of what is there; none where that is good as it is.
    fn after(
        &self,
        turn: Turn<'_, impl StoreHost>,
        writer: &mut Writer,
        journal: &JournalView,
        there: Option<Record>,
    ) -> Option<List> {
        let there = there.map(Entry::new);
        let verdict = there.as_ref().map(|there| journal.verdict(there));
        let (mut known, order) =
            match there.as_ref().map(|there| (&there.record.content, there.record.order())) {
                Some((Content::Variants(there), order)) if there.nominated == self.nominated => {
                    // Where the list is gone, so is what was on it.
                    let known = if verdict == Some(Verdict::Hard) { Vec::new() } else { there.known.clone() };
                    (known, order)
                }
                Some(_) | None => (Vec::new(), Default::default()),
            };
        if verdict == Some(Verdict::Valid) && self.is_on(&known, turn.now) {
            return None;
        }
        known.retain(|(known, until)| u64::from(*until) > turn.now.wall.secs() && *known != self.home.0);
        known.push((self.home.0, self.until));
        let evicted = self.evicted(turn, writer, &mut known);
        let variants = Variants { nominated: self.nominated.clone(), uri: self.uri.clone(), known };
        // A list that is not as new as it was would be judged by what has been said before it was written.
        let order = self.order.max(order);
        let entry = writer.entry(&self.primary, order, Content::Variants(variants));
        Some(List { entry, evicted, until: self.until })
    }

    /// Takes off a list what is beyond its bound: what is not stored any more, then what is of least use, the oldest
    /// first.
    fn evicted(
        &self,
        turn: Turn<'_, impl StoreHost>,
        writer: &Writer,
        known: &mut Vec<(u64, u32)>,
    ) -> Vec<Fingerprint> {
        let excess = known.len().saturating_sub(self.variants_max as usize);
        if excess == 0 {
            return Vec::new();
        }
        // Of a long list not always the same ones.
        let start = flights::mixed(self.home.0) as usize % known.len();
        let places = (start..known.len()).chain(0..start);
        let others = places.filter_map(|at| Some((at, Fingerprint(known.get(at)?.0))));
        let others = others.filter(|(_, fingerprint)| *fingerprint != self.home);
        let mut looked: Vec<Known> = others
            .take(LOOKS_MAX)
            .map(|(at, fingerprint)| known_use(turn, writer, at, fingerprint))
            .collect();
        looked.sort_unstable_by_key(|one| (one.is_stored, one.is_fetched, one.uses, one.at));
        let stays = looked.split_off(excess.min(looked.len()));
        let least = looked.iter().map(|one| one.uses).max().unwrap_or(0);
        age(turn.host, writer, &stays, stays.iter().map(|one| one.uses).min().unwrap_or(0).min(least));
        let leaves: Vec<Fingerprint> = looked.into_iter().map(|one| one.fingerprint).collect();
        known.retain(|(fingerprint, _)| !leaves.contains(&Fingerprint(*fingerprint)));
        leaves
    }
}

/// Variants that are stored and on no list yet, and how often it is still tried to put them there.
#[derive(Default)]
pub(super) struct Unlisted(Vec<(Listing, u8)>);

impl Unlisted {
    /// One more, which may be tried so often yet, this time included.
    fn add(&mut self, listing: Listing, tries: u8) {
        if let Some(tries) = tries.checked_sub(1)
            && self.0.len() < UNLISTED_MAX
        {
            self.0.push((listing, tries));
        }
    }

    fn take(&mut self) -> Vec<(Listing, u8)> {
        core::mem::take(&mut self.0)
    }
}

impl Storage {
    /// Sees to it that a variant is on the list of its URI: at once or, where somebody else is writing that, at one of
    /// the next ticks.
    ///
    /// # Errors
    /// Why its response is not to be stored.
    pub(super) fn enlist(
        &mut self,
        turn: Turn<'_, impl Host>,
        waiters: &mut Waiters,
        listing: &Listing,
    ) -> Result<(), NotStored> {
        match self.list(turn, waiters, listing) {
            Err(NotStored::Superseded) => Err(NotStored::Superseded),
            Err(_) => {
                self.unlisted.add(listing.clone(), UNLISTED_TRIES);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Tries again to list what could not be listed when it was stored.
    pub(in crate::cache) fn list_the_unlisted(&mut self, turn: Turn<'_, impl Host>, waiters: &mut Waiters) {
        for (listing, tries) in self.unlisted.take() {
            if matches!(self.list(turn, waiters, &listing), Err(why) if why != NotStored::Superseded) {
                self.unlisted.add(listing, tries);
            }
        }
    }

    /// Sees to it that a variant is on the list of its URI.
    ///
    /// # Errors
    /// Why it is not.
    fn list(
        &mut self,
        turn: Turn<'_, impl Host>,
        waiters: &mut Waiters,
        listing: &Listing,
    ) -> Result<(), NotStored> {
        let mut evicted = Vec::new();
        let journal = &self.journal;
        let put = self.writer.put_made(turn, &listing.primary, listing.until, |writer, there| {
            if there.as_ref().is_some_and(|there| listing.is_outdated(there)) {
                return Err(NotStored::Superseded);
            }
            let list = listing.after(turn, writer, journal, there);
            Ok(list.map(|list| {
                evicted = list.evicted;
                list.entry
            }))
        });
        self.has_put(waiters, &listing.primary, put)?;
        self.evict(turn, &evicted);
        Ok(())
    }

    /// The list with a variant on it, for whoever has the flight of the URI's own key; none when it is there already.
    pub(super) fn listed(&mut self, turn: Turn<'_, impl Host>, listing: &Listing) -> Option<List> {
        let there = listing.primary.read(turn.host);
        listing.after(turn, &mut self.writer, &self.journal, there)
    }

    /// Publishes such a list; whether it was.
    pub(super) fn publish_list(
        &mut self,
        turn: Turn<'_, impl Host>,
        lease: &Lease,
        list: List,
        hit_for_miss: Option<(NotStored, Monotonic)>,
    ) -> bool {
        let published = self.publish(turn, lease, &list.entry, list.until, hit_for_miss).is_ok();
        if published {
            self.evict(turn, &list.evicted);
        }
        published
    }

    /// Evicts variants that are on no list any more.
    fn evict(&mut self, turn: Turn<'_, impl Host>, evicted: &[Fingerprint]) {
        for fingerprint in evicted {
            self.memory.remove(*fingerprint);
            let set = SetSnapshot::read(turn.host, self.writer.set_of(*fingerprint));
            let way = set.value.way_of(*fingerprint);
            // What is being fetched comes back on the list when it has landed.
            if let Some(way) = way.filter(|way| !eviction::is_reserved(&set.value, *way, turn.now.mono)) {
                self.writer.empty(turn, &set, way);
            }
        }
    }
}

fn known_use(turn: Turn<'_, impl StoreHost>, writer: &Writer, at: usize, fingerprint: Fingerprint) -> Known {
    let set = SetSnapshot::read(turn.host, writer.set_of(fingerprint)).value;
    let way = set.ways.iter().find(|way| way.fingerprint == fingerprint && !way.is_purged());
    let is_fetched = set.flight_of(fingerprint).is_some_and(|flight| flight.is_live(turn.now.mono));
    let uses = way.map_or(0, |way| way.uses);
    Known { at, fingerprint, is_stored: way.is_some() || is_fetched, is_fetched, uses }
}

/// Where the least useful one had so many uses, those of the others are as old.
fn age(host: &impl StoreHost, writer: &Writer, others: &[Known], uses: u8) {
    for other in others.iter().filter(|_| uses > 0) {
        let set = SetSnapshot::read(host, writer.set_of(other.fingerprint));
        let way = set.value.way_of(other.fingerprint);
        if let Some(aged) = way.and_then(|way| set.value.aged(way, uses)) {
            // Whoever was faster has something newer to say.
            let _ = set.replace(host, &aged);
        }
    }
}
