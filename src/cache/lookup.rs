//! The lookup, which decides about every request (protocol §1.5): a hit from worker memory or shared data
//! (`src/cache/storage`), or a miss ([`super::miss`]).

use core::ops::ControlFlow;
use std::rc::Rc;

use super::storage::{Best, Level, Look, Miss};
use super::{Cache, CacheRequest, Decision, Host, Waited};
use crate::outcome::metrics::Counter;
use crate::outcome::{Bypass, ForwardReason};
use crate::store::record::Content;
use crate::store::set::SetSnapshot;
use crate::store::{Place, TRIES};
use crate::turn::Turn;

/// Whether a request is looked up for the first time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Attempt {
    First,
    AfterWaiting,
}

impl Cache {
    /// Decides about a request that has just come.
    pub fn lookup(&mut self, turn: Turn<'_, impl Host>, ask: &Rc<CacheRequest>) -> Decision {
        self.attempt(turn, ask, Attempt::First)
    }

    /// Decides anew about a request that has waited.
    pub(super) fn lookup_again(&mut self, turn: Turn<'_, impl Host>, ask: &Rc<CacheRequest>) -> Decision {
        self.attempt(turn, ask, Attempt::AfterWaiting)
    }

    fn attempt(&mut self, turn: Turn<'_, impl Host>, ask: &Rc<CacheRequest>, attempt: Attempt) -> Decision {
        let unavailable = ForwardReason::Bypass(Bypass::Unavailable);
        if !self.sync(turn.host) {
            return Decision::pass(ask, unavailable, None);
        }
        ask.decided.set(self.storage.decided(turn.now));
        let (base, fingerprint) = self.storage.base(turn.host, ask);
        let look = Look { key: &base, fingerprint, missing: ForwardReason::UriMiss, nominated: &[] };
        let nominated = match self.level(turn, ask, &look, attempt) {
            Level::Decided(decision) => return decision,
            Level::Nominated(nominated) => nominated,
        };
        let Content::Variants(variants) = &nominated.record.content else {
            return Decision::pass(ask, unavailable, None);
        };
        let nominated = &variants.nominated;
        let variant = ask.variant_key(nominated);
        let (fingerprint, missing) =
            (self.storage.writer.seed(turn.host).fingerprint(&variant), ForwardReason::VaryMiss);
        let look = Look { key: &variant, fingerprint, missing, nominated };
        match self.level(turn, ask, &look, attempt) {
            Level::Decided(decision) => decision,
            Level::Nominated(_) => Decision::pass(ask, unavailable, None),
        }
    }

    /// One level of the lookup. A hit in worker memory touches nothing else.
    fn level(
        &mut self,
        turn: Turn<'_, impl Host>,
        ask: &Rc<CacheRequest>,
        look: &Look<'_>,
        attempt: Attempt,
    ) -> Level {
        let mut best = Best::default();
        if let Some(level) = self.storage.look_here(turn, ask, look, &mut best) {
            return level;
        }
        let (fingerprint, missing) = (look.fingerprint, look.missing);
        if best.is_nothing()
            && let Some(why) = self
                .storage
                .hit_for_miss(fingerprint, turn.now.mono)
                .filter(|why| ask.is_affected_by(turn.host, *why))
            && ask.whole().is_ok()
            && !ask.only_if_cached()
        {
            let shares = true;
            return Level::Decided(Decision::Forward { reason: missing, why, shares, fallback: None });
        }
        let place = self.storage.writer.place_of(fingerprint, look.key.to_vec());
        // Only new requests join a group without looking at shared data: a woken one that did so could go round
        // for as long as an overtaken fetch of this worker runs, with the answer already there.
        let servable = best.entry.is_some() && best.reason.is_none();
        if attempt == Attempt::First && !servable && self.joins_locally(ask, &place, &best) {
            let waited = Waited { reason: best.reason.unwrap_or(missing), leads: false };
            return Level::Decided(self.waiters.park(turn, &self.config.collapse, ask, &place, waited));
        }
        for _ in 0..TRIES {
            let set = SetSnapshot::read(turn.host, place.set);
            let serving = match self.storage.look_in_set(turn, ask, &place, &set, &mut best) {
                ControlFlow::Break(level) => return level,
                ControlFlow::Continue(serving) => serving,
            };
            let miss = Miss { ask, place: &place, best: &best, reason: best.reason.unwrap_or(missing) };
            if let Some(decision) = self.on_miss(turn, &miss, &set, serving) {
                return Level::Decided(decision);
            }
            turn.host.count(Counter::Conflict);
        }
        Level::Decided(Decision::pass(ask, ForwardReason::Bypass(Bypass::Unavailable), best.entry))
    }

    /// Whether other waiters are in this worker already. The leader of a call of the root waits as well, even where no other
    /// request should.
    fn joins_locally(&self, ask: &CacheRequest, place: &Place, best: &Best) -> bool {
        ask.options.collapse
            && ask.whole().is_ok()
            && !ask.only_if_cached()
            && best.reason != Some(ForwardReason::Request)
            && self.waiters.follow_at(place.fingerprint)
            && ask.finds_room(&self.in_flight)
    }
}
