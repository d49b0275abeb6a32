//! Where a response is stored: under its URI or, with `No-Vary-Search`, under what of that counts; with `Vary`, under its
//! variant, which the record under the URI then leads to.

use core::time::Duration;
use std::rc::Rc;

use super::{Cache, Fetch, Fetcher, Host, Place, Recipe};
use crate::collapse::Left;
use crate::invalidation::Verdict;
use crate::metrics::Counter;
use crate::outcome::NotStored;
use crate::policy::{expires, key};
use crate::store::memory::Entry;
use crate::store::record::{Content, Record, Response, Variants};
use crate::store::workers;
use crate::time::{Monotonic, Now};

/// How long nobody waits for a key whose responses have to be validated each time.
const VALIDATED_FOR: Duration = Duration::from_secs(1);

/// Where a response belongs.
struct Filing {
    /// Where the responses of its URI are looked for.
    primary: Place,
    /// Where it lies itself.
    home: Place,
    directory: Directory,
    /// Where it is noted that it does not belong where it was looked for.
    moved: Option<Place>,
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

impl Cache {
    /// Stores the response of a fetch where it belongs, and ends the flight.
    pub(super) fn store(
        &mut self,
        host: &impl Host,
        fetch: &Fetch,
        response: Response,
        now: Now,
    ) -> Rc<Entry> {
        let until = u32::try_from(expires(&response.stored).secs()).unwrap_or(u32::MAX);
        let filing = self.filing(host, fetch, &response, until, now);
        // Each use of what has no lifetime has to be validated: whoever waited for it shall not wait in turn.
        let reusable = !response.stored.no_cache
            && (!response.stored.lifetime.is_zero() || !response.stored.stale_while_revalidate.is_zero());
        let not_shared = (!reusable).then(|| (NotStored::NoFreshness, now.mono.after(VALIDATED_FOR)));
        let entry = self.entry(&filing.home, fetch.stamp, Content::Response(Box::new(response)));
        if filing.directory == Directory::Full {
            self.end_not_stored(host, &fetch.lease, None, NotStored::Limits, now);
            return entry;
        }
        let stored = self.file(host, fetch, &filing, &entry, (until, not_shared), now);
        host.count(stored.map_or_else(Counter::NotStored, |()| Counter::Stored));
        let stored = stored.is_ok();
        self.tell_others(host, fetch, &filing, now);
        let home = filing.home.fingerprint;
        fetch.ask.home.set(stored.then_some(home));
        if stored {
            self.memory.update(home, &entry);
        } else {
            self.memory.insert(home, &entry);
        }
        if let (Some(recipe), true) = (self.learned(fetch), stored) {
            // It may be the first under the key of a variant.
            self.keep_recipe(host, home, recipe);
        }
        entry
    }

    fn filing(
        &mut self,
        host: &impl Host,
        fetch: &Fetch,
        response: &Response,
        until: u32,
        now: Now,
    ) -> Filing {
        let nominated = &response.stored.vary;
        let moved = self.search_changes(host, fetch, response, until, now);
        let base = fetch.ask.base_key();
        let primary = self.place(host, base.to_vec());
        if nominated.is_empty() {
            return Filing { home: primary.clone(), primary, directory: Directory::Right, moved };
        }
        let home = self.place(host, key::variant(&base, nominated, &fetch.request()));
        let directory = self.directory(host, fetch, (&primary, &home), nominated, until, now);
        Filing { primary, home, directory, moved }
    }

    /// Writes the record, and the one that leads to it, and ends the flight; why the record is not stored, if it is not.
    fn file(
        &mut self,
        host: &impl Host,
        fetch: &Fetch,
        filing: &Filing,
        entry: &Rc<Entry>,
        (until, not_shared): (u32, Option<(NotStored, Monotonic)>),
        now: Now,
    ) -> Result<(), NotStored> {
        let (leased, mut lease) = (fetch.lease.place.fingerprint, fetch.lease.clone());
        // Published with the record: whoever it wakes may have to refresh it at once.
        if let Some(recipe) = self.learned(fetch) {
            lease.route = self.kept(host, recipe);
        }
        let at_home = filing.home.fingerprint == leased;
        let stored = if at_home {
            self.publish(host, &lease, entry, until, not_shared, now)
        } else {
            self.put(host, &filing.home, entry, until, now)
        };
        // What is published under the lease ends the flight as well.
        let mut has_ended = at_home && stored.is_ok();
        if let Directory::Write(variants) = &filing.directory {
            let directory = self.entry(&filing.primary, fetch.stamp, Content::Variants(variants.clone()));
            if filing.primary.fingerprint == leased {
                has_ended |= self.publish(host, &lease, &directory, until, not_shared, now).is_ok();
            } else {
                // Somebody else has written one, or is about to.
                let _ = self.put(host, &filing.primary, &directory, until, now);
            }
        }
        if !has_ended {
            // What answered the request under its former key is not to be found there any more.
            let record = (filing.moved.is_some() && self.owns_way(host, &fetch.lease, now)).then(|| {
                self.memory.remove(leased);
                Record::erase(host, fetch.lease.slot, fetch.lease.before)
            });
            self.finish(host, &fetch.lease, Left { record, ..Left::default() }, 0);
        }
        stored
    }

    /// Tells other workers that their copies may not be the newest: "a cache MUST use the most recently stored response"
    /// (§4).
    fn tell_others(&self, host: &impl Host, fetch: &Fetch, filing: &Filing, now: Now) {
        if !fetch.replaces_fresh && filing.moved.is_none() {
            return;
        }
        for worker in workers::present(host, now.mono).into_iter().filter(|w| self.worker != Some(*w)) {
            host.wake(worker, filing.home.fingerprint);
            if let Some(marker) = &filing.moved {
                host.wake(worker, fetch.lease.place.fingerprint);
                host.wake(worker, marker.fingerprint);
            }
        }
    }

    /// The recipe of a fetch, where it was learned.
    fn learned<'a>(&self, fetch: &'a Fetch) -> Option<&'a Recipe> {
        match (&fetch.by, &self.config.collapse.cluster) {
            (Fetcher::Root(recipe), None) => Some(recipe),
            _ => None,
        }
    }

    /// What has to become of the record under the URI's own key that says by which fields responses are selected.
    fn directory(
        &self,
        host: &impl Host,
        fetch: &Fetch,
        (primary, home): (&Place, &Place),
        nominated: &[String],
        until: u32,
        now: Now,
    ) -> Directory {
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
        Directory::Write(Variants { nominated: nominated.to_vec(), uri: fetch.ask.uri(), known })
    }
}
