//! `No-Vary-Search`: requests whose queries differ only in what makes no difference find the same response.
//!
//! Such a response lies under what of the query counts. What counts is remembered for its path, by a record under a key
//! of its own, and is found out before anything is looked up: but not by a worker that has met no such response, where
//! it has something for the very URL.

use super::{Ask, Cache, Fetch, Host, Place, subject};
use crate::http::search::SearchVariance;
use crate::invalidation::{Subject, Verdict};
use crate::policy::key;
use crate::store::memory::Entry;
use crate::store::record::{Content, Response, Search};
use crate::time::Now;

impl Cache {
    /// Where the responses for the URI of a request lie.
    pub(super) fn base(&mut self, host: &impl Host, ask: &Ask) -> Place {
        let exact = self.place(host, ask.key.primary.clone());
        let is_here = self.memory.get(exact.fingerprint, &exact.key).is_some();
        if is_here && !self.searches || ask.key.has_content() {
            return exact;
        }
        let variance = self.variance(host, ask, is_here);
        if variance.is_none() {
            ask.search.replace(None);
            return exact;
        }
        ask.search.replace(variance);
        self.place(host, ask.base_key())
    }

    /// What the newest response for the path of a request has said; none when the whole query counts.
    fn variance(&mut self, host: &impl Host, ask: &Ask, is_here: bool) -> Option<SearchVariance> {
        let marker = self.place(host, key::search_marker(&ask.request, &ask.options));
        let entry = match self.memory.get(marker.fingerprint, &marker.key) {
            Some(entry) => entry,
            None if is_here => return None,
            None => Entry::new(self.read(host, &marker)?),
        };
        // Purged or not: it says where to look, and what is found there is judged.
        let Content::Search(search) = &entry.record.content else { return None };
        self.searches = true;
        self.memory.insert(marker.fingerprint, &entry);
        let variance = SearchVariance::parse(search.variance.as_bytes());
        (!variance.is_default()).then_some(variance)
    }

    /// Takes note of what a response that has been fetched says about queries. When that puts it under another key than
    /// the one that it was looked for under: where the note lies.
    pub(super) fn search_changes(
        &mut self,
        host: &impl Host,
        fetch: &Fetch,
        response: &Response,
        until: u32,
        now: Now,
    ) -> Option<Place> {
        let ask = &fetch.ask;
        let says = SearchVariance::of(&response.stored.fields).filter(|_| !ask.key.has_content());
        let was = ask.search.replace(says.clone());
        if says.is_none() && was.is_none() {
            return None;
        }
        let marker = self.place(host, key::search_marker(&ask.request, &ask.options));
        let variance = says.as_ref().map(SearchVariance::to_string).unwrap_or_default();
        let search = Search { variance, uri: ask.key.uri.clone() };
        let entry = self.entry(&marker, fetch.stamp, Content::Search(search));
        self.searches = true;
        self.memory.remove(marker.fingerprint);
        self.put(host, &marker, &entry, until, now);
        (was != says).then_some(marker)
    }

    /// The verdict of the journal on an entry as the answer to a request. It may have been stored for another URL that
    /// differs in what makes no difference: then what was said about either counts.
    pub(super) fn verdict_for(&self, entry: &Entry, ask: &Ask) -> Verdict {
        let verdict = self.verdict(entry);
        let stored = subject(&entry.record.content);
        if stored.uri == ask.key.uri || entry.response().is_none() {
            return verdict;
        }
        let asked = Subject { uri: &ask.key.uri, ..stored };
        match (verdict, self.mirror.verdict(&asked, entry.record.stamp)) {
            (Verdict::Soft { at: one }, Verdict::Soft { at: other }) => Verdict::Soft { at: one.min(other) },
            (one, other) => one.max(other),
        }
    }
}
