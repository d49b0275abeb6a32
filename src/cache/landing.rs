//! How fetches end: what is stored, what is remembered, who is woken.

use core::time::Duration;
use std::rc::Rc;

use super::dispatch::as_anyone;
use super::{Ask, Cache, Effect, Fetch, Fetcher, Host, Lease, Place, Recipe};
use crate::collapse::{self, Left};
use crate::config::{Config, Options, TagsConfig};
use crate::deviation::{Deviation, deviates};
use crate::http::{RequestHead, ResponseHead};
use crate::invalidation::{Tag, Verdict, tags_of};
use crate::metrics::Counter;
use crate::outcome::{NotStored, Stored};
use crate::policy::reuse::expires;
use crate::policy::storing::storable;
use crate::policy::validation::{self, Unfreshened};
use crate::policy::{StoredResponse, key};
use crate::store::memory::Entry;
use crate::store::record::{Content, Record, Response, Slot, Variants};
use crate::store::set::{Flight, LARGE_WAYS, SetSnapshot, SetValue, Way};
use crate::store::{Fingerprint, TRIES, workers};
use crate::time::{Monotonic, Now, Timestamp};

/// How long nobody waits for a key whose response was of no use to others.
const NOT_SHARED_FOR: Duration = Duration::from_secs(10);
/// How long nobody waits for a key whose responses have to be validated each time.
const VALIDATED_FOR: Duration = Duration::from_secs(1);

/// What a 304 says of the stored response that was to be validated (RFC 9111 §4.3.4).
#[derive(Debug)]
pub enum Confirmation {
    /// It is confirmed: this is it, brought up to date.
    Updated(Box<Response>),
    /// It is confirmed for this one request, and stays as it is.
    Kept(Box<Response>, NotStored),
    /// It is confirmed for this one request, and may not be stored any longer.
    Dropped(Box<Response>, NotStored),
    /// The 304 is not about it.
    OfAnother,
}

/// How a fetch ended.
#[derive(Debug)]
pub enum Landing {
    /// With a response that is stored.
    Stored(Box<Response>),
    /// With a response that is of no use to others.
    NotStored(NotStored),
    /// The same, and what was stored is none either any more.
    Dropped(NotStored),
    /// Without anything; whoever waits competes again.
    Abandoned,
}

impl Cache {
    /// What the response to a fetch may be stored as, from its head; its body is still empty.
    ///
    /// # Errors
    /// Why it may not be stored.
    pub fn assess(
        &self,
        host: &impl Host,
        generation: u64,
        response: &ResponseHead,
        now: Now,
    ) -> Result<Response, NotStored> {
        let fetch = self.fetches.get(&generation).ok_or(NotStored::NoFlight)?;
        let (config, uri) = (&fetch.ask.config, fetch.ask.uri());
        let request = &fetch.request();
        let options = options_for(config, request, response);
        let times = (fetch.started.wall, now.wall);
        let assessed = assessed_by(config, &options, request, response, uri, times)?;
        self.is_admitted(host, &fetch.lease.place, options.min_uses)
            .then_some(assessed)
            .ok_or(NotStored::Admission)
    }

    /// Whether a key has been asked for often enough, this time included. What is stored already has been.
    fn is_admitted(&self, host: &impl Host, place: &Place, min_uses: u8) -> bool {
        if min_uses <= 1 {
            return true;
        }
        let set = SetSnapshot::read(host, place.set).value;
        set.way_of(place.fingerprint).is_some() || set.uses_of(place.fingerprint) + 1 >= min_uses
    }

    /// What a 304 to a fetch says of the stored response that was to be validated.
    #[must_use]
    pub fn confirmation(&self, generation: u64, response: &ResponseHead, now: Now) -> Confirmation {
        let fetch = self.fetches.get(&generation);
        let old = fetch.and_then(|fetch| fetch.validated.as_deref()).and_then(Entry::response);
        let (Some(fetch), Some(old)) = (fetch, old) else { return Confirmation::OfAnother };
        let request = &*fetch.request();
        let content_type = old.stored.fields.get("content-type").unwrap_or_default();
        let options = fetch.ask.config.rules.for_response(request, old.stored.status, content_type);
        // Tags of old and new: a purge of either must find it.
        let more = old.tags.iter().map(Tag::as_str).chain(options.tags.iter().map(String::as_str));
        let tags = tags(&fetch.ask.config.tags, response, more);
        let updated =
            |stored, tags| Box::new(Response { body: old.body.clone(), ..response_of(fetch, stored, tags) });
        let started = fetch.started.wall;
        match (validation::freshened(&old.stored, request, response, &options, started, now.wall), tags) {
            (Ok(stored), Ok(tags)) => Confirmation::Updated(updated(stored, tags)),
            (Ok(once), Err(why)) => Confirmation::Dropped(updated(once, Vec::new()), why),
            (Err(Unfreshened::Drop { once, why }), _) => {
                Confirmation::Dropped(updated(*once, Vec::new()), why)
            }
            (Err(Unfreshened::Keep { once, why }), _) => Confirmation::Kept(updated(*once, Vec::new()), why),
            (Err(Unfreshened::Refetch), _) => Confirmation::OfAnother,
        }
    }

    /// The stored response that a 304 to a request of its own confirms, for that request alone.
    #[must_use]
    pub fn confirmed_once(
        &self,
        ask: &Ask,
        old: &Entry,
        response: &ResponseHead,
        now: Now,
    ) -> Option<Rc<Entry>> {
        let stored = &old.response()?.stored;
        let (request, arrived) = (&ask.request, ask.arrived.wall);
        let once = match validation::freshened(stored, request, response, &ask.options, arrived, now.wall) {
            Ok(once) => once,
            Err(Unfreshened::Drop { once, .. } | Unfreshened::Keep { once, .. }) => *once,
            Err(Unfreshened::Refetch) => stored.clone(),
        };
        let response = Box::new(Response { stored: once, ..old.response()?.clone() });
        Some(old.with(response))
    }

    /// Ends a fetch whose stored response was confirmed, as far as it was. Returns what answers the request that
    /// asked, and why it is not stored if it is not.
    pub fn land_confirmed(
        &mut self,
        host: &impl Host,
        generation: u64,
        confirmation: Confirmation,
        now: Now,
    ) -> (Option<Rc<Entry>>, Stored) {
        let old = self.validated(generation);
        let (response, landing, why) = match confirmation {
            Confirmation::Updated(response) => {
                host.count(Counter::Revalidated);
                return (self.land(host, generation, Landing::Stored(response), now), Stored::Yes);
            }
            Confirmation::Kept(response, why) => (Some(response), Landing::NotStored(why), why),
            Confirmation::Dropped(response, why) => (Some(response), Landing::Dropped(why), why),
            Confirmation::OfAnother => (None, Landing::Dropped(NotStored::Status), NotStored::Status),
        };
        self.land(host, generation, landing, now);
        let once = response.zip(old.clone()).map(|(response, old)| old.with(response));
        (once.or(old), Stored::No(why))
    }

    /// The stored response that the fetch could be answered with if the origin fails.
    #[must_use]
    pub fn validated(&self, generation: u64) -> Option<Rc<Entry>> {
        self.fetches.get(&generation)?.validated.clone()
    }

    /// Ends a fetch. Returns the entry, when there is one.
    pub fn land(
        &mut self,
        host: &impl Host,
        generation: u64,
        landing: Landing,
        now: Now,
    ) -> Option<Rc<Entry>> {
        let fetch = self.fetches.remove(&generation)?;
        self.wake_here(fetch.lease.place.fingerprint);
        match landing {
            Landing::Stored(response) => Some(self.store(host, &fetch, *response, now)),
            // Whoever waits asks for it as well, and may be the one it takes.
            Landing::NotStored(NotStored::Admission) => {
                host.count(Counter::NotStored(NotStored::Admission));
                self.finish(host, &fetch.lease, Left { counted: true, ..Left::default() }, 0);
                None
            }
            Landing::NotStored(reason) => {
                self.end_not_stored(host, &fetch.lease, None, reason, now);
                None
            }
            Landing::Dropped(reason) => {
                self.memory.remove(fetch.lease.place.fingerprint);
                let empty = match self.owns_way(host, &fetch.lease, now) {
                    true => Record::erase(host, fetch.lease.slot, fetch.lease.before),
                    false => Way::default(),
                };
                self.end_not_stored(host, &fetch.lease, Some(empty), reason, now);
                None
            }
            Landing::Abandoned => {
                self.finish(host, &fetch.lease, Left::default(), 0);
                None
            }
        }
    }

    /// Those who wait here for a flight have to be considered anew. Where nobody does, no callback of the root is
    /// asked for.
    fn wake_here(&mut self, fingerprint: Fingerprint) {
        if self.parked.contains_key(&fingerprint) {
            self.due.push(fingerprint);
        }
    }

    fn end_not_stored(
        &self,
        host: &impl Host,
        lease: &Lease,
        record: Option<Way>,
        reason: NotStored,
        now: Now,
    ) {
        host.count(Counter::NotStored(reason));
        let until = if reason.is_failure() {
            collapse::failed_until(lease.place.fingerprint, lease.generation, now.mono)
        } else {
            now.mono.after(NOT_SHARED_FOR)
        };
        let not_shared = Some((reason, until));
        self.finish(host, lease, Left { record, not_shared, ..Left::default() }, 0);
    }

    /// The client of an inline fetch has left. If others wait, the root fetches instead, under the same flight.
    pub fn leader_left(&mut self, host: &impl Host, generation: u64, now: Now) {
        let Some(fetch) = self.fetches.get(&generation) else { return };
        let (place, ask) = (fetch.lease.place.clone(), Rc::clone(&fetch.ask));
        let own = self.config.collapse.cluster.clone().map(Recipe::to_cluster);
        let recipe = own.or_else(|| route_of(host, &ask)).filter(|_| self.is_anyones(host, &ask, &place));
        self.wake_here(place.fingerprint);
        for _ in 0..TRIES {
            let set = SetSnapshot::read(host, place.set);
            let Some(flight) = set.value.flight(generation) else { break };
            let waited_for = flight.waiters != 0 || self.parked.contains_key(&place.fingerprint);
            if let (true, Some(recipe)) = (waited_for, &recipe) {
                self.take_over(generation, recipe.clone(), now);
                return;
            }
            let Some(landed) = collapse::landed(&set.value, generation, Left::default()) else { break };
            let set = set.again_if(Deviation::LeavesBlindly, host);
            if set.replace(host, &landed.set) {
                self.wake(host, place.fingerprint, landed.waiters);
                break;
            }
            host.count(Counter::Conflict);
        }
        self.fetches.remove(&generation);
    }

    /// The stream of this request is being logged: now it is known what the router made of it.
    pub fn learn_route(&mut self, host: &impl Host, ask: &Ask) {
        let Some(fingerprint) = ask.home.get() else { return };
        if let Some(recipe) = route_of(host, ask) {
            self.keep_recipe(host, fingerprint, &recipe);
        }
    }

    /// Keeps how a key reaches its origin. Most keys go the same few ways, so their ways in the set only name one.
    fn keep_recipe(&mut self, host: &impl Host, fingerprint: Fingerprint, recipe: &Recipe) {
        let route = self.kept(host, recipe);
        for _ in 0..TRIES {
            let set = SetSnapshot::read(host, self.set_of(fingerprint));
            let Some(way) = set.value.way_of(fingerprint) else { return };
            let Some(value) = set.value.routed(way, route) else { return };
            if set.replace(host, &value) {
                return;
            }
            host.count(Counter::Conflict);
        }
    }

    /// The number of a recipe, under which it is kept from now on.
    fn kept(&mut self, host: &impl Host, recipe: &Recipe) -> u32 {
        let route = recipe.route(self.seed(host));
        if self.route_kept != route {
            recipe.keep(host, route);
            self.route_kept = route;
        }
        route
    }

    /// Whether a request would be told apart from no other by what the root does not send: else what the root fetches
    /// on its behalf would belong under another key.
    pub(super) fn is_anyones(&mut self, host: &impl Host, ask: &Ask, place: &Place) -> bool {
        let sent = as_anyone(&ask.request);
        if key::primary(&sent, &ask.options) != ask.key {
            return false;
        }
        let base = ask.base_key();
        if place.key == *base {
            return true;
        }
        let primary = self.place(host, base.to_vec());
        match self.stored(host, &primary).as_ref().map(|entry| &entry.record.content) {
            Some(Content::Variants(variants)) => key::variant(&base, &variants.nominated, &sent) == place.key,
            Some(Content::Response(_) | Content::Search(_)) | None => false,
        }
    }

    /// Turns an inline fetch into one of the root, which asks anew: with a new stamp.
    fn take_over(&mut self, generation: u64, recipe: Recipe, now: Now) {
        let head = self.mirror.head();
        let deadline = now.mono.after(self.config.collapse.fetch_timeout);
        let Some(fetch) = self.fetches.get_mut(&generation) else { return };
        fetch.cluster = Some(recipe.cluster.clone());
        fetch.stamp = head;
        fetch.started = now;
        fetch.deadline = deadline;
        fetch.by = Fetcher::Root(recipe);
        // What was to be validated was judged under the old stamp.
        fetch.validated = None;
        self.effects.push_back(Effect::Dispatch(generation));
    }

    /// Stores a response where it belongs: under its URI or, with `No-Vary-Search`, under what of that counts; with
    /// `Vary`, under its variant.
    fn store(&mut self, host: &impl Host, fetch: &Fetch, response: Response, now: Now) -> Rc<Entry> {
        let ask = Rc::clone(&fetch.ask);
        let until = u32::try_from(expires(&response.stored).secs()).unwrap_or(u32::MAX);
        let nominated = response.stored.vary.clone();
        let moved = self.search_changes(host, fetch, &response, until, now);
        let base = ask.base_key();
        let primary = self.place(host, base.to_vec());
        let home = if nominated.is_empty() {
            primary.clone()
        } else {
            self.place(host, key::variant(&base, &nominated, &fetch.request()))
        };
        let directory = self.directory(host, &primary, &home, nominated, until, fetch, now);
        // Each use of what has no lifetime has to be validated: whoever waited for it shall not wait in turn.
        let reusable = !response.stored.no_cache
            && (!response.stored.lifetime.is_zero() || !response.stored.stale_while_revalidate.is_zero());
        let not_shared = (!reusable).then(|| (NotStored::NoFreshness, now.mono.after(VALIDATED_FOR)));
        let entry = self.entry(&home, fetch.stamp, Content::Response(Box::new(response)));
        if directory == Directory::Full {
            self.end_not_stored(host, &fetch.lease, None, NotStored::Limits, now);
            return entry;
        }
        // Published with the record: whoever it wakes may have to refresh it at once.
        let mut lease = fetch.lease.clone();
        if let (Fetcher::Root(recipe), None) = (&fetch.by, &self.config.collapse.cluster) {
            lease.route = self.kept(host, recipe);
        }
        let at_home = home.fingerprint == fetch.lease.place.fingerprint;
        let stored = if at_home {
            self.publish(host, &lease, &entry, until, not_shared, now)
        } else {
            self.put(host, &home, &entry, until, now)
        };
        // What is published under the lease ends the flight as well.
        let mut has_ended = at_home && stored;
        if let Directory::Write(variants) = directory {
            let directory = self.entry(&primary, fetch.stamp, Content::Variants(variants));
            if primary.fingerprint == fetch.lease.place.fingerprint {
                has_ended |= self.publish(host, &lease, &directory, until, not_shared, now);
            } else {
                self.put(host, &primary, &directory, until, now);
            }
        }
        if !has_ended {
            // What answered the request under its former key is not to be found there any more.
            let record = (moved.is_some() && self.owns_way(host, &fetch.lease, now)).then(|| {
                self.memory.remove(fetch.lease.place.fingerprint);
                Record::erase(host, fetch.lease.slot, fetch.lease.before)
            });
            self.finish(host, &fetch.lease, Left { record, ..Left::default() }, 0);
        }
        host.count(if stored { Counter::Stored } else { Counter::NotStored(NotStored::NoFlight) });
        if fetch.replaces_fresh || moved.is_some() {
            // §4: "a cache MUST use the most recently stored response".
            let others = workers::present(host, now.mono).into_iter().filter(|w| self.worker != Some(*w));
            others.for_each(|worker| {
                host.wake(worker, home.fingerprint);
                if let Some(marker) = &moved {
                    host.wake(worker, fetch.lease.place.fingerprint);
                    host.wake(worker, marker.fingerprint);
                }
            });
        }
        ask.home.set(stored.then_some(home.fingerprint));
        if stored {
            self.memory.update(home.fingerprint, &entry);
        } else {
            self.memory.insert(home.fingerprint, &entry);
        }
        if let (Fetcher::Root(recipe), None, true) = (&fetch.by, &self.config.collapse.cluster, stored) {
            // It may be the first under the key of a variant.
            self.keep_recipe(host, home.fingerprint, recipe);
        }
        entry
    }

    pub(super) fn entry(&mut self, place: &Place, stamp: u64, content: Content) -> Rc<Entry> {
        let generation = self.next_generation();
        Entry::new(Record { key: place.key.clone(), generation, stamp, content })
    }

    /// What has to become of the record under the URI's own key that says by which fields responses are selected.
    #[expect(clippy::too_many_arguments, reason = "all that a variant is made of")]
    fn directory(
        &self,
        host: &impl Host,
        primary: &Place,
        home: &Place,
        nominated: Vec<String>,
        until: u32,
        fetch: &Fetch,
        now: Now,
    ) -> Directory {
        if nominated.is_empty() {
            return Directory::Right;
        }
        let there = self.read(host, primary).map(Entry::new);
        let valid = there.as_ref().is_some_and(|entry| self.verdict(entry) == Verdict::Valid);
        let mut known = match there.map(|entry| entry.record.content.clone()) {
            Some(Content::Variants(there)) if there.nominated == nominated => there.known,
            _ => Vec::new(),
        };
        known.retain(|(_, until)| u64::from(*until) > now.wall.secs());
        if known.iter().any(|(fingerprint, _)| *fingerprint == home.fingerprint.0) {
            if valid {
                return Directory::Right;
            }
        } else if known.len() >= fetch.ask.options.variants_max as usize {
            return Directory::Full;
        } else {
            known.push((home.fingerprint.0, until));
        }
        Directory::Write(Variants { nominated, uri: fetch.ask.uri(), known })
    }

    /// What is stored in this place, as far as this worker knows.
    pub(super) fn stored(&self, host: &impl Host, place: &Place) -> Option<Rc<Entry>> {
        let own = self.memory.get(place.fingerprint, &place.key);
        own.or_else(|| self.read(host, place).map(Entry::new))
    }

    pub(super) fn read(&self, host: &impl Host, place: &Place) -> Option<Record> {
        let set = SetSnapshot::read(host, place.set);
        let way = set.value.way_of(place.fingerprint)?;
        Record::read(host, Slot { set: place.set, way }, &place.key)
    }

    /// Whether the way that the lease reserves may be written: when it has run out, somebody else may own it.
    fn owns_way(&self, host: &impl Host, lease: &Lease, now: Now) -> bool {
        let set = || SetSnapshot::read(host, lease.place.set).value;
        now.mono < lease.until || collapse::owns_way(&set(), lease.generation, now.mono)
    }

    /// Writes a record into the way that the lease reserves, publishes it and ends the flight, at once.
    fn publish(
        &mut self,
        host: &impl Host,
        lease: &Lease,
        entry: &Rc<Entry>,
        until: u32,
        not_shared: Option<(NotStored, Monotonic)>,
        now: Now,
    ) -> bool {
        if !self.owns_way(host, lease, now) {
            return false;
        }
        let encoded = entry.record.encoded();
        let lease = if encoded.is_large() { self.enlarged(host, lease, now) } else { Some(lease.clone()) };
        let Some(lease) = &lease else { return false };
        let bytes = encoded.bytes();
        let more = bytes as i64 - lease.before as i64;
        if !self.take(host, more, now) {
            return false;
        }
        let lands_first = deviates(Deviation::LandsBeforeItWrites);
        if !lands_first {
            encoded.write(host, lease.slot, lease.before);
        }
        let fingerprint = lease.place.fingerprint;
        let record = Some(Way { fingerprint, bytes, expires: until, route: lease.route, ..Way::default() });
        let left = Left { record, not_shared, ..Left::default() };
        let published = self.finish(host, lease, left, more);
        if lands_first {
            encoded.write(host, lease.slot, lease.before);
        }
        if published {
            self.memory.update(fingerprint, entry);
        }
        published
    }

    /// The lease with a way that takes large bodies.
    fn enlarged(&self, host: &impl Host, lease: &Lease, now: Now) -> Option<Lease> {
        if usize::from(lease.slot.way) < LARGE_WAYS {
            return Some(lease.clone());
        }
        for _ in 0..TRIES {
            let set = SetSnapshot::read(host, lease.place.set);
            let (value, way) = collapse::enlarged(&set.value, lease.generation, now.mono, now.wall)?;
            if set.replace(host, &value) {
                let flight = value.flight(lease.generation)?;
                debug_assert_eq!(flight.way, way);
                return Some(Lease {
                    route: lease.route,
                    ..Lease::of(lease.place.clone(), *flight, &set.value)
                });
            }
            host.count(Counter::Conflict);
        }
        None
    }

    /// Stores a record at a place that the fetch has no flight for, under a flight of its own; nothing happens when
    /// that place is being fetched, when something newer is there, or when there is no room.
    pub(super) fn put(
        &mut self,
        host: &impl Host,
        place: &Place,
        entry: &Rc<Entry>,
        until: u32,
        now: Now,
    ) -> bool {
        for _ in 0..TRIES {
            let set = SetSnapshot::read(host, place.set);
            if set.value.flight_of(place.fingerprint).is_some_and(|f| f.is_live(now.mono)) {
                return false;
            }
            let way = set.value.way_of(place.fingerprint);
            let there = way.and_then(|way| Record::read(host, Slot { set: place.set, way }, &place.key));
            let is_older = there.is_some_and(|r| r.stamp > entry.record.stamp);
            if is_older && !deviates(Deviation::OlderReplacesNewer) {
                return false;
            }
            let new = self.new_flight(place.fingerprint, now);
            let Some((value, flight)) = collapse::led(&set.value, new, now.mono, now.wall) else {
                return false;
            };
            if set.replace(host, &value) {
                let lease = Lease::of(place.clone(), flight, &set.value);
                let stored = self.publish(host, &lease, entry, until, None, now);
                if !stored {
                    self.finish(host, &lease, Left::default(), 0);
                }
                return stored;
            }
            host.count(Counter::Conflict);
        }
        false
    }

    /// Ends the flight of a lease and wakes who waited; whether the flight was still there. So many bytes were taken
    /// from the budget for what it leaves.
    pub(super) fn finish(&self, host: &impl Host, lease: &Lease, left: Left, taken: i64) -> bool {
        for _ in 0..TRIES {
            let set = SetSnapshot::read(host, lease.place.set);
            let generation = match set.value.flight_of(lease.place.fingerprint) {
                Some(any) if deviates(Deviation::EndsAnothersFlight) => any.generation,
                Some(_) | None => lease.generation,
            };
            let Some(landed) = collapse::landed(&set.value, generation, left) else { break };
            let set = set.again_if(Deviation::LandsBlindly, host);
            if set.replace(host, &landed.set) {
                let replaced = landed.replaced.fingerprint;
                if left.record.is_some() && replaced.is_some() && replaced != lease.place.fingerprint {
                    host.count(Counter::Evicted);
                }
                adjust(host, landed.set.bytes() as i64 - set.value.bytes() as i64 - taken);
                self.wake(host, lease.place.fingerprint, landed.waiters);
                return true;
            }
            host.count(Counter::Conflict);
        }
        // The lease runs out, and others take over, or they have.
        adjust(host, -taken);
        false
    }

    /// Wakes the workers that waited; this one too, because its streams may not be answered from every callback.
    fn wake(&self, host: &impl Host, fingerprint: Fingerprint, waiters: u64) {
        let mine = self.worker.filter(|_| self.parked.contains_key(&fingerprint));
        let mut left = waiters | mine.map_or(0, |me| 1u64.checked_shl(u32::from(me)).unwrap_or(0));
        while left != 0 {
            host.wake(left.trailing_zeros() as u8, fingerprint);
            left &= left - 1;
        }
    }
}

/// What has to become of the record that says by which fields the responses of a URI are selected.
#[derive(PartialEq, Debug)]
enum Directory {
    /// Nothing: there is none, or it is right.
    Right,
    /// It has to be written.
    Write(Variants),
    /// There are as many variants as may be.
    Full,
}

impl Lease {
    /// The claim of a flight that was led in this set.
    pub(super) fn of(place: Place, flight: Flight, set: &SetValue) -> Lease {
        let slot = Slot { set: place.set, way: flight.way };
        let before = set.ways.get(usize::from(flight.way)).map_or(0, |way| way.bytes);
        Lease { place, slot, generation: flight.generation, until: flight.until, before, route: 0 }
    }
}

/// Corrects the number of bytes that all workers store.
fn adjust(host: &impl Host, bytes: i64) {
    if bytes != 0 {
        host.add_bytes(bytes);
    }
}

/// What the router has made of a request whose stream is being logged.
fn route_of(host: &impl Host, ask: &Ask) -> Option<Recipe> {
    let (sent, cluster) = host.routed(ask.stream)?;
    Recipe::learned(&ask.forwarded(), &sent, cluster, || host.peer())
}

/// The tags of a response: its own and more.
fn tags<'a>(
    limits: &TagsConfig,
    response: &ResponseHead,
    more: impl Iterator<Item = &'a str>,
) -> Result<Vec<Tag>, NotStored> {
    let mut tags = tags_of(&response.fields, &limits.headers, limits.count_max, limits.length_max)
        .map_err(|_| NotStored::Limits)?;
    for tag in more {
        let tag = Tag::new(tag).ok_or(NotStored::Limits)?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    Ok(tags)
}

/// What the response to a request may be stored as, from its head, by the rules for it; its body is still empty.
///
/// # Errors
/// Why it may not be stored.
pub fn assessed(
    config: &Config,
    request: &RequestHead,
    response: &ResponseHead,
    uri: Vec<u8>,
    (request_time, response_time): (Timestamp, Timestamp),
) -> Result<Response, NotStored> {
    let options = options_for(config, request, response);
    assessed_by(config, &options, request, response, uri, (request_time, response_time))
}

fn options_for(config: &Config, request: &RequestHead, response: &ResponseHead) -> Rc<Options> {
    let content_type = response.fields.get("content-type").unwrap_or_default();
    config.rules.for_response(request, response.status, content_type)
}

fn assessed_by(
    config: &Config,
    options: &Options,
    request: &RequestHead,
    response: &ResponseHead,
    uri: Vec<u8>,
    (request_time, response_time): (Timestamp, Timestamp),
) -> Result<Response, NotStored> {
    let stored = storable(request, response, options, request_time, response_time)?;
    let tags = tags(&config.tags, response, options.tags.iter().map(String::as_str))?;
    Ok(untagged(&config.tags, Response { stored, uri, tags, body: Vec::new() }))
}

fn response_of(fetch: &Fetch, stored: StoredResponse, tags: Vec<Tag>) -> Response {
    let response = Response { stored, uri: fetch.ask.uri(), tags, body: Vec::new() };
    untagged(&fetch.ask.config.tags, response)
}

/// The response without the fields that tags came in, where clients shall not see them.
fn untagged(limits: &TagsConfig, mut response: Response) -> Response {
    if limits.strip {
        response.stored.fields.remove_all(&limits.headers);
    }
    response
}
