//! Storing what was not fetched for others: parts of a representation, answers to POST, what a HEAD has told.

use super::{Cache, Host};
use crate::invalidation::{Tag, Verdict};
use crate::policy::expires;
use crate::policy::partial::combine;
use crate::store::memory::Entry;
use crate::store::record::{Content, Response};
use crate::time::Now;

impl Cache {
    /// The journal's head as it is now, for a response that was asked for after everything in it; none when the
    /// journal cannot be read.
    pub fn newest_stamp(&mut self, host: &impl Host) -> Option<u64> {
        self.sync(host).then(|| self.mirror.head())
    }

    /// Stores a response under the key of its URI, beside any flight. A part is combined with what is there
    /// (RFC 9111 §3.4). What selects by `Vary` is left to the fetches that others wait for.
    pub fn keep(&mut self, host: &impl Host, key: &[u8], stamp: u64, response: Response, now: Now) {
        if !response.stored.vary.is_empty() || !self.sync(host) {
            return;
        }
        let place = self.place(host, key.to_vec());
        let there = self.read(host, &place).map(Entry::new);
        let there = there.filter(|entry| self.verdict(entry) != Verdict::Hard);
        let old = there.as_ref().and_then(|entry| Some((entry.response()?, entry.record.stamp)));
        let (response, stamp) = match old {
            Some((old, old_stamp)) if response.stored.range.is_some() => match combined(old, &response) {
                // The older part is still subject to what was invalidated since it was asked for.
                Some(whole) => (whole, stamp.min(old_stamp)),
                None => (response, stamp),
            },
            _ => (response, stamp),
        };
        let until = u32::try_from(expires(&response.stored).secs()).unwrap_or(u32::MAX);
        let entry = self.entry(&place, stamp, Content::Response(Box::new(response)));
        self.memory.remove(place.fingerprint);
        self.put(host, &place, &entry, until, now);
    }
}

/// Two parts of one representation as one response, with the tags of both.
fn combined(old: &Response, new: &Response) -> Option<Response> {
    let (stored, body) = combine((&old.stored, &old.body), (&new.stored, &new.body))?;
    let mut tags = new.tags.clone();
    let more: Vec<Tag> = old.tags.iter().filter(|tag| !tags.contains(tag)).cloned().collect();
    tags.extend(more);
    Some(Response { stored, uri: new.uri.clone(), tags, body })
}
