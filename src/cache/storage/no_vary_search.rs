//! `No-Vary-Search`: requests whose queries differ only in what makes no difference find the same response.
//!
//! Such a response lies under what of the query counts. What counts is remembered for its path, by a record under a key
//! of its own, and is found out before anything is looked up: but not before a worker has met such a response, and not
//! by a worker that has met none, where it has something for the very URL.

use std::borrow::Cow;

use super::Storage;
use crate::cache::fetches::Fetch;
use crate::cache::host::Host;
use crate::cache::request::CacheRequest;
use crate::cache::waiters::Waiters;
use crate::http::search::SearchVariance;
use crate::policy::key;
use crate::store::memory::Entry;
use crate::store::record::{Content, Response, Search};
use crate::store::{Fingerprint, Place, SharedData};
use crate::turn::Turn;

/// There once a worker has met `No-Vary-Search`.
const SEARCHES_KEY: &str = "searches";

/// Whether this worker knows that any has met `No-Vary-Search`.
#[derive(Default)]
pub(super) struct Searches(bool);

impl Searches {
    /// Whether any worker has met `No-Vary-Search`. To look for an absent key costs next to nothing.
    fn are_met(&mut self, data: &impl SharedData) -> bool {
        self.0 = self.0 || data.get(SEARCHES_KEY).is_some();
        self.0
    }

    /// This worker has.
    fn meet(&mut self, data: &impl SharedData) {
        if !self.are_met(data) {
            data.set(SEARCHES_KEY, &[1]);
            self.0 = true;
        }
    }
}

impl Storage {
    /// Where the responses for the URI of a request lie.
    pub(in crate::cache) fn primary(&mut self, host: &impl Host, ask: &CacheRequest) -> Place {
        let (base, fingerprint) = self.base(host, ask);
        self.writer.place_of(fingerprint, base.into_owned())
    }

    /// The key that the responses for the URI of a request lie under, and its fingerprint.
    pub(in crate::cache) fn base<'a>(
        &mut self,
        host: &impl Host,
        ask: &'a CacheRequest,
    ) -> (Cow<'a, [u8]>, Fingerprint) {
        let fingerprint = self.writer.seed(host).fingerprint(&ask.key);
        self.look_up_search(host, ask, fingerprint);
        match ask.base_key() {
            Cow::Owned(base) => {
                let fingerprint = self.writer.seed(host).fingerprint(&base);
                (Cow::Owned(base), fingerprint)
            }
            borrowed => (borrowed, fingerprint),
        }
    }

    /// Finds out which part of the query of a request selects its response; `fingerprint` is that of its key.
    fn look_up_search(&mut self, host: &impl Host, ask: &CacheRequest, fingerprint: Fingerprint) {
        let is_here = self.memory.holds(fingerprint);
        if is_here && !self.searches.0 || key::has_content(&ask.key) || !self.searches.are_met(host) {
            return;
        }
        let variance = self.variance(host, ask, is_here);
        ask.search.replace(variance);
    }

    /// What the newest response for the path of a request has said; none when the whole query counts.
    fn variance(&mut self, host: &impl Host, ask: &CacheRequest, is_here: bool) -> Option<SearchVariance> {
        let marker = self.writer.place(host, key::search_marker(&ask.request, &ask.options));
        let entry = match self.memory.get(marker.fingerprint, &marker.key) {
            Some(entry) => entry,
            None if is_here => return None,
            None => Entry::new(marker.read(host)?),
        };
        // Purged or not: it says where to look, and what is found there is judged.
        let Content::Search(search) = &entry.record.content else { return None };
        self.memory.insert(marker.fingerprint, &entry);
        let variance = SearchVariance::parse(search.variance.as_bytes());
        (!variance.is_default()).then_some(variance)
    }

    /// Takes note of what a response that has been fetched says about queries. When that puts it under another key than
    /// the one that it was looked for under: where the note lies.
    pub(super) fn search_changes(
        &mut self,
        turn: Turn<'_, impl Host>,
        waiters: &mut Waiters,
        fetch: &Fetch,
        response: &Response,
        until: u32,
    ) -> Option<Place> {
        let ask = &fetch.ask;
        let says = SearchVariance::of(&response.stored.fields).filter(|_| !key::has_content(&ask.key));
        let was = ask.search.replace(says.clone());
        if says.is_none() && was.is_none() {
            return None;
        }
        let marker = self.writer.place(turn.host, key::search_marker(&ask.request, &ask.options));
        let variance = says.as_ref().map(SearchVariance::to_string).unwrap_or_default();
        let search = Search { variance, uri: key::uri(&ask.request, &ask.options) };
        let entry = self.writer.entry(&marker, fetch.order(), Content::Search(search));
        self.searches.meet(turn.host);
        self.memory.remove(marker.fingerprint);
        // Without the note the response is stored all the same, for this very query.
        let _ = self.put(turn, waiters, &marker, &entry, until);
        (was != says).then_some(marker)
    }
}
