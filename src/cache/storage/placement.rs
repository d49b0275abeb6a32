//! Where a response is stored: under its URI or, with `No-Vary-Search`, under what of that counts; with `Vary`, under its
//! variant, which the record under the URI then leads to ([`super::variants`]).

use core::time::Duration;
use std::rc::Rc;

use super::Storage;
use super::variants::Listing;
use crate::cache::fetches::Fetch;
use crate::cache::host::Host;
use crate::cache::waiters::Waiters;
use crate::outcome::metrics::Counter;
use crate::outcome::{NotStored, Stored};
use crate::policy::key::KeyParts;
use crate::policy::{self, StoredResponse, expires, key};
use crate::store::Place;
use crate::store::flights::FlightEnd;
use crate::store::memory::Entry;
use crate::store::record::{Content, Record, Response};
use crate::time::Monotonic;
use crate::turn::Turn;

/// How long nobody waits for a key whose responses have to be validated each time.
const VALIDATED_FOR: Duration = Duration::from_secs(1);

/// Where a response belongs.
struct Placement {
    /// Where it lies itself.
    home: Place,
    /// The list of variants that leads there, where it varies.
    listing: Option<Listing>,
    /// Where it is noted that it does not belong where it was looked for.
    moved: Option<Place>,
}

/// Whether a stored response can answer a request that comes later without being validated first.
pub(in crate::cache) fn is_reusable(stored: &StoredResponse) -> bool {
    !stored.no_cache && (!stored.lifetime.is_zero() || !stored.stale_while_revalidate.is_zero())
}

impl Storage {
    /// Stores the response of a fetch where it belongs, and ends the flight. Returns the entry and whether it is stored.
    pub(in crate::cache) fn store(
        &mut self,
        turn: Turn<'_, impl Host>,
        waiters: &mut Waiters,
        fetch: &Fetch,
        mut response: Response,
    ) -> (Rc<Entry>, Stored) {
        keep_apart(fetch, &mut response);
        let until = u32::try_from(expires(&response.stored).secs()).unwrap_or(u32::MAX);
        let placement = self.placement(turn, waiters, fetch, &response, until);
        // Each use of what has no lifetime has to be validated: whoever waited for it shall not wait in turn.
        let hit_for_miss = (!is_reusable(&response.stored))
            .then(|| (NotStored::Validated, turn.now.mono.after(VALIDATED_FOR)));
        let entry = self.writer.entry(&placement.home, fetch.order(), Content::Response(Box::new(response)));
        let stored = self.write(turn, waiters, fetch, &placement, &entry, (until, hit_for_miss));
        turn.host.count(stored.map_or_else(Counter::FetchNotStored, |()| Counter::Stored));
        let (stored, outcome) = (stored.is_ok(), stored.map_or_else(Stored::No, |()| Stored::Yes));
        if stored {
            self.hit_for_miss.forget(placement.home.fingerprint);
            if let Some(listing) = &placement.listing {
                self.hit_for_miss.forget(listing.primary.fingerprint);
            }
        }
        self.tell_others(turn, fetch, &placement);
        let home = placement.home.fingerprint;
        fetch.ask.home.set(stored.then_some(home));
        if stored {
            self.memory.update(home, &entry);
        } else {
            self.memory.insert(home, &entry);
        }
        (entry, outcome)
    }

    fn placement(
        &mut self,
        turn: Turn<'_, impl Host>,
        waiters: &mut Waiters,
        fetch: &Fetch,
        response: &Response,
        until: u32,
    ) -> Placement {
        let moved = self.search_changes(turn, waiters, fetch, response, until);
        let base = fetch.ask.base_key();
        let primary = self.writer.place(turn.host, base.to_vec());
        let nominated = response.stored.vary.clone();
        if nominated.is_empty() {
            return Placement { home: primary, listing: None, moved };
        }
        let home = self
            .writer
            .place(turn.host, key::variant(&base, &nominated, &fetch.request(), &fetch.ask.options));
        let listing = Listing {
            primary,
            home: home.fingerprint,
            nominated,
            uri: fetch.ask.uri(),
            order: fetch.order(),
            until,
            variants_max: fetch.ask.options.variants_max,
        };
        Placement { home, listing: Some(listing), moved }
    }

    /// Writes the record, and the one that leads to it, and ends the flight; why the record is not stored, if it is not.
    fn write(
        &mut self,
        turn: Turn<'_, impl Host>,
        waiters: &mut Waiters,
        fetch: &Fetch,
        placement: &Placement,
        entry: &Rc<Entry>,
        (until, hit_for_miss): (u32, Option<(NotStored, Monotonic)>),
    ) -> Result<(), NotStored> {
        let (leased, lease) = (fetch.lease.place.fingerprint, &fetch.lease);
        let at_home = placement.home.fingerprint == leased;
        // What is published under the lease ends the flight as well. Whoever waits for it has to find all of it.
        let (stored, has_ended) = match &placement.listing {
            Some(listing) if listing.primary.fingerprint == leased => {
                let stored = self.put(turn, waiters, &placement.home, entry, until);
                let list = self.listed(turn, listing);
                (stored, list.is_some_and(|list| self.publish_list(turn, lease, list, hit_for_miss)))
            }
            Some(listing) => {
                let stored = match self.enlist(turn, waiters, listing) {
                    Ok(()) if at_home => self.publish(turn, lease, entry, until, hit_for_miss),
                    Ok(()) => self.put(turn, waiters, &placement.home, entry, until),
                    Err(why) => Err(why),
                };
                (stored, at_home && stored.is_ok())
            }
            None if at_home => {
                let stored = self.publish(turn, lease, entry, until, hit_for_miss);
                (stored, stored.is_ok())
            }
            None => (self.put(turn, waiters, &placement.home, entry, until), false),
        };
        if !has_ended {
            // What answered the request under its former key is not to be found there any more.
            let record = (placement.moved.is_some() && self.writer.owns_way(turn, &fetch.lease)).then(|| {
                self.memory.remove(leased);
                Record::erase(turn.host, fetch.lease.slot, fetch.lease.before)
            });
            self.writer.finish(turn.host, &fetch.lease, FlightEnd { record, ..FlightEnd::default() }, 0);
        }
        stored
    }

    /// Tells other workers that their copies may not be the newest: "a cache MUST use the most recently stored response"
    /// (RFC 9111 §4).
    fn tell_others(&self, turn: Turn<'_, impl Host>, fetch: &Fetch, placement: &Placement) {
        if !fetch.replaces_fresh && placement.moved.is_none() {
            return;
        }
        self.tell(turn, placement.home.fingerprint);
        if let Some(marker) = &placement.moved {
            self.tell(turn, fetch.lease.place.fingerprint);
            self.tell(turn, marker.fingerprint);
        }
    }
}

/// Where the responses of a URI were found to be selected by what only some of them show, that selects this one too: else
/// the answer to a request without `Origin` would take the place of all that were for one, and the next of those its.
fn keep_apart(fetch: &Fetch, response: &mut Response) {
    let key = &fetch.lease.place.key;
    if *key != *fetch.ask.base_key() {
        let variant = KeyParts::of(key).map(|parts| parts.variant).unwrap_or_default();
        policy::keep_apart(&mut response.stored, variant.into_iter().map(|(name, _)| name));
    }
}
