//! Storing what was not fetched for others: parts of a representation, answers to POST, what a HEAD has told.

use std::rc::Rc;

use super::assess::{BodyLimit, body_limit, told_by_head};
use super::{Ask, Cache, Host, assessed};
use crate::http::ResponseHead;
use crate::http::search::SearchVariance;
use crate::invalidation::{Tag, Verdict};
use crate::outcome::NotStored;
use crate::policy::expires;
use crate::policy::partial::{combine, completing};
use crate::store::Fingerprint;
use crate::store::memory::Entry;
use crate::store::record::{Content, Response};
use crate::time::{Monotonic, Now};
use crate::turn::Turn;

impl Cache {
    /// The journal's head as it is now, if nothing between this stamp and now covers the response; none when something
    /// does, or the journal cannot be read.
    pub fn outlived(&mut self, host: &impl Host, response: &Response, stamp: u64) -> Option<u64> {
        let is_valid = self.sync(host) && self.journal.is_valid(&response.subject(), stamp);
        is_valid.then(|| self.journal.head())
    }

    /// Stores a response with its stamp, and when it was asked for, under the key of its URI, beside any flight, unless
    /// something newer is there. A part is combined with what is there (RFC 9111 §3.4), as long as both together are not too large. What selects by `Vary` or
    /// `No-Vary-Search` is left to the fetches that others wait for. Returns where it lies.
    ///
    /// # Errors
    /// Why it is not stored.
    pub fn keep(
        &mut self,
        turn: Turn<'_, impl Host>,
        key: &[u8],
        (stamp, asked): (u64, Monotonic),
        response: Response,
        limit: BodyLimit,
    ) -> Result<Fingerprint, NotStored> {
        let selects =
            !response.stored.vary.is_empty() || SearchVariance::of(&response.stored.fields).is_some();
        if selects || !self.sync(turn.host) {
            return Err(NotStored::NoFlight);
        }
        let place = self.writer.place(turn.host, key.to_vec());
        let there = place.read(turn.host).map(Entry::new);
        let there = there.filter(|entry| self.journal.verdict(entry) != Verdict::Hard);
        let old = there.as_ref().and_then(|entry| Some((entry.response()?, entry.record.order())));
        let (response, order) = match old {
            Some((old, there)) if response.stored.range.is_some() => match combined(old, &response, limit) {
                // The older part is still subject to what was invalidated since it was asked for; nothing of the newer
                // one is lost.
                Some(whole) => (whole, (stamp.min(there.0), asked.max(there.1))),
                None => (response, (stamp, asked)),
            },
            _ => (response, (stamp, asked)),
        };
        let until = u32::try_from(expires(&response.stored).secs()).unwrap_or(u32::MAX);
        let entry = self.writer.entry(&place, order, Content::Response(Box::new(response)));
        self.memory.remove(place.fingerprint);
        self.put(turn, &place, &entry, until).map(|()| place.fingerprint)
    }

    /// The answer to a HEAD has come, which was sent when this was stored for a GET: it brings that up to date, or shows that
    /// it is stale (RFC 9111 §4.3.5), on all workers.
    ///
    /// What has been stored since was asked for later, so it stays: an answer that took its time is no news.
    pub fn head_answered(
        &mut self,
        turn: Turn<'_, impl Host>,
        ask: &Ask,
        old: &Entry,
        response: &ResponseHead,
    ) {
        let Some(there) = old.response().filter(|_| ask.request.method() == b"HEAD") else { return };
        let Some(updated) = told_by_head(turn, ask, there, response).filter(|_| self.sync(turn.host)) else {
            return;
        };
        let place = self.writer.place(turn.host, old.record.key.clone());
        let until = u32::try_from(expires(&updated.stored).secs()).unwrap_or(u32::MAX);
        // The body is still subject to what was invalidated since it was asked for.
        let order = (old.record.stamp, ask.decided.get().at.mono.max(old.record.asked));
        let entry = self.writer.entry(&place, order, Content::Response(Box::new(updated)));
        self.memory.remove(place.fingerprint);
        let generation = old.record.generation;
        let written = self.writer.put_made(turn, &place, until, |_, there| {
            let is_old = there.is_some_and(|there| there.generation == generation);
            if is_old { Ok(Some(Rc::clone(&entry))) } else { Err(NotStored::Superseded) }
        });
        if self.has_put(&place, written).is_ok() {
            self.tell(turn, place.fingerprint);
        }
    }

    /// What a stored part and the rest of it, for which a fetch has asked, make together; none when they do not belong
    /// together, or leave something out.
    pub(super) fn completed(
        &mut self,
        generation: u64,
        head: &ResponseHead,
        body: Vec<u8>,
        now: Now,
    ) -> Option<Response> {
        let fetch = self.fetches.get_mut(generation)?;
        let part = fetch.validated.clone()?;
        let old = part.response()?;
        let mut request = fetch.request().into_owned();
        for (name, value) in completing(&old.stored) {
            request.fields.push(name, value);
        }
        let times = (fetch.started.wall, now.wall);
        let rest = assessed(&fetch.ask.config, &request, head, old.uri.clone(), times).ok()?;
        let limit = body_limit(&fetch.ask.config, &request, head);
        let whole = combined(old, &Response { body: body.into(), ..rest }, limit)?;
        // The older part is still subject to what was invalidated since it was asked for.
        fetch.stamp = fetch.stamp.min(part.record.stamp);
        whole.stored.range.is_none().then_some(whole)
    }
}

/// Two parts of one representation as one response, with the tags of both, if that is not too large.
fn combined(old: &Response, new: &Response, limit: BodyLimit) -> Option<Response> {
    let (stored, body) = combine((&old.stored, &old.body), (&new.stored, &new.body), limit.bytes_max)?;
    let mut tags = new.tags.clone();
    let more: Vec<Tag> = old.tags.iter().filter(|tag| !tags.contains(tag)).cloned().collect();
    tags.extend(more);
    Some(Response { stored, uri: new.uri.clone(), tags, route: new.route, body: body.into() })
}
