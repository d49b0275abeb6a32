//! The only place where it is decided what becomes of a request (protocol: `consider`).

use std::rc::Rc;

use super::{Ask, Cache, Decision, Effect, Fetch, Fetcher, Host, Lease, Place, Recipe};
use crate::collapse::{self, Seat};
use crate::config::Fetch as FetchMode;
use crate::invalidation::Verdict;
use crate::metrics::Counter;
use crate::outcome::{Bypass, ForwardReason, NotStored};
use crate::policy::Invalidated;
use crate::policy::reuse::{Reuse, reuse, usable_on_error};
use crate::store::TRIES;
use crate::store::memory::Entry;
use crate::store::record::{Content, Record, Response, Slot};
use crate::store::set::{SetSnapshot, SetValue};
use crate::time::Now;

/// The best stored response for a request, as far as it was looked for.
#[derive(Default)]
struct Best {
    entry: Option<Rc<Entry>>,
    /// Why it may not simply be served.
    reason: Option<ForwardReason>,
}

impl Best {
    /// Whether the key is known to be cacheable: something is, or was, stored under it.
    fn is_known(&self) -> bool {
        self.entry.is_some() || self.reason == Some(ForwardReason::Purged)
    }
}

/// What one level of the lookup (primary key, variant) came to.
enum Level {
    Decided(Decision),
    /// The responses of this URI are selected by these fields.
    Nominated(Rc<Entry>),
}

impl Cache {
    /// Decides about a request. `newcomer` says that it has not waited yet.
    pub fn consider(&mut self, host: &impl Host, ask: &Rc<Ask>, newcomer: bool, now: Now) -> Decision {
        let unavailable = ForwardReason::Bypass(Bypass::Unavailable);
        if !self.sync(host) {
            return alone(ask, unavailable, newcomer, None);
        }
        let primary = self.place(host, ask.key.primary.clone());
        let nominated = match self.level(host, ask, primary, false, newcomer, now) {
            Level::Decided(decision) => return decision,
            Level::Nominated(nominated) => nominated,
        };
        let Content::Variants(variants) = &nominated.record.content else {
            return alone(ask, unavailable, newcomer, None);
        };
        let variant = self.place(host, ask.variant_key(&variants.nominated));
        match self.level(host, ask, variant, true, newcomer, now) {
            Level::Decided(decision) => decision,
            Level::Nominated(_) => alone(ask, unavailable, newcomer, None),
        }
    }

    fn level(
        &mut self,
        host: &impl Host,
        ask: &Rc<Ask>,
        place: Place,
        is_variant: bool,
        newcomer: bool,
        now: Now,
    ) -> Level {
        let missing = if is_variant { ForwardReason::VaryMiss } else { ForwardReason::UriMiss };
        let mut best = Best::default();
        if let Some(entry) = self.memory.get(place.fingerprint, &place.key) {
            match self.judge(&entry, ask, now) {
                Judged::Nominated => return Level::Nominated(entry),
                Judged::Usable(found) if !wants_refresh(&found) => {
                    return Level::Decided(serve(ask, entry, found));
                }
                Judged::Usable(_) => best.entry = Some(entry),
                Judged::Unusable(reason) => best = Best { entry: Some(entry), reason: Some(reason) },
                Judged::Gone => {
                    self.memory.remove(place.fingerprint);
                    best.reason = Some(ForwardReason::Purged);
                }
            }
        }
        // Only new requests join a group without looking at shared data: a woken one that did so could go round
        // for as long as an overtaken fetch of this worker runs, with the answer already there.
        let servable = best.entry.is_some() && best.reason.is_none();
        if newcomer && !servable && self.joins_locally(ask, &place, &best) {
            return Level::Decided(self.park(host, ask, &place, best.reason.unwrap_or(missing), now));
        }
        for _ in 0..TRIES {
            let set = SetSnapshot::read(host, place.set);
            if let Some(way) = set.value.way_of(place.fingerprint) {
                let slot = Slot { set: place.set, way };
                self.read_second_tier(host, slot, &place, &mut best);
            }
            let judged = best.entry.clone().map(|entry| (self.judge(&entry, ask, now), entry));
            let serving = match judged {
                Some((Judged::Nominated, entry)) => {
                    self.memory.insert(place.fingerprint, &entry);
                    return Level::Nominated(entry);
                }
                Some((Judged::Usable(found), entry)) => {
                    self.memory.insert(place.fingerprint, &entry);
                    let done = !wants_refresh(&found);
                    let serve = serve(ask, entry, found);
                    if done {
                        return Level::Decided(serve);
                    }
                    best.reason = Some(ForwardReason::Stale);
                    Some(serve)
                }
                Some((Judged::Unusable(reason), _)) => {
                    best.reason = Some(reason);
                    None
                }
                Some((Judged::Gone, _)) => {
                    best = Best { entry: None, reason: Some(ForwardReason::Purged) };
                    None
                }
                None => None,
            };
            let reason = best.reason.unwrap_or(missing);
            if let Some(decision) = self.claim(host, ask, &place, &set, &best, serving, reason, newcomer, now)
            {
                return Level::Decided(decision);
            }
            host.count(Counter::Conflict);
        }
        Level::Decided(alone(ask, ForwardReason::Bypass(Bypass::Unavailable), newcomer, best.entry))
    }

    /// What to do where there is nothing that simply answers the request; none when the set changed meanwhile.
    #[expect(clippy::too_many_arguments, reason = "one step of one procedure")]
    fn claim(
        &mut self,
        host: &impl Host,
        ask: &Rc<Ask>,
        place: &Place,
        set: &SetSnapshot,
        best: &Best,
        serving: Option<Decision>,
        reason: ForwardReason,
        newcomer: bool,
        now: Now,
    ) -> Option<Decision> {
        let may_wait = ask.options.collapse && ask.whole && reason != ForwardReason::Request;
        if serving.is_none() && ask.only_if_cached {
            return Some(Decision::NotCached);
        }
        if serving.is_none() && !ask.whole {
            return Some(alone(ask, reason, newcomer, best.entry.clone()));
        }
        let fetches = &self.fetches;
        let seat = collapse::seat(&set.value, place.fingerprint, self.worker, now.mono, |g| {
            fetches.contains_key(&g)
        });
        match (seat, serving) {
            // Somebody refreshes it, or it was tried a moment ago.
            (Seat::Wait | Seat::Register | Seat::NotShared(_) | Seat::Full, Some(serve)) => Some(serve),
            (Seat::NotShared(why), None) => Some(self.after_failure(ask, why, reason, best, newcomer, now)),
            (Seat::Full, None) => Some(alone(ask, reason, newcomer, best.entry.clone())),
            (Seat::Wait | Seat::Register, None) if !may_wait => {
                Some(alone(ask, reason, newcomer, best.entry.clone()))
            }
            (Seat::Wait, None) => Some(self.park(host, ask, place, reason, now)),
            (Seat::Register, None) => {
                let me = self.worker?;
                let value = collapse::registered(&set.value, place.fingerprint, me);
                set.replace(host, &value).then(|| self.park(host, ask, place, reason, now))
            }
            (Seat::Lead, serving) => {
                let new = self.new_flight(place.fingerprint, now);
                let Some((value, flight)) = collapse::led(&set.value, new, now.mono, now.wall) else {
                    return Some(serving.unwrap_or_else(|| alone(ask, reason, newcomer, best.entry.clone())));
                };
                if !set.replace(host, &value) {
                    return None;
                }
                let by = match self.recipe_for(host, ask, place, &set.value, best, serving.is_some()) {
                    Some(recipe) => Fetcher::Root(recipe),
                    None => Fetcher::Stream,
                };
                let is_dispatched = matches!(by, Fetcher::Root(_));
                let fetch = Fetch {
                    lease: Lease {
                        place: place.clone(),
                        slot: Slot { set: place.set, way: flight.way },
                        generation: flight.generation,
                        until: flight.until,
                    },
                    stamp: self.mirror.head(),
                    deadline: now.mono.after(self.config.collapse.fetch_timeout),
                    validated: best.entry.clone(),
                    ask: Rc::clone(ask),
                    started: now,
                    by,
                };
                self.fetches.insert(flight.generation, fetch);
                if is_dispatched {
                    self.effects.push_back(Effect::Dispatch(flight.generation));
                    return Some(serving.unwrap_or_else(|| self.park(host, ask, place, reason, now)));
                }
                Some(Decision::Fetch { generation: flight.generation, reason, waited: !newcomer })
            }
        }
    }

    /// How the root fetches what this request asks for; none when the request itself has to go.
    ///
    /// The root fetches what is known to be cacheable, as it then belongs to no client; on behalf of a request that
    /// carries credentials only while something stored is served meanwhile, because it sends none.
    fn recipe_for(
        &self,
        host: &impl Host,
        ask: &Ask,
        place: &Place,
        set: &SetValue,
        best: &Best,
        serving: bool,
    ) -> Option<Recipe> {
        let collapse = &self.config.collapse;
        let carries_identity =
            || ["authorization", "cookie"].iter().any(|name| ask.request.fields.contains(name));
        let wanted = match collapse.fetch {
            _ if serving => true,
            FetchMode::Inline => false,
            FetchMode::Auto => best.is_known() && ask.options.collapse && !carries_identity(),
            FetchMode::Dispatched => ask.options.collapse && !carries_identity(),
        };
        if !wanted {
            return None;
        }
        if let Some(cluster) = &collapse.cluster {
            return Some(Recipe::to_cluster(cluster.clone()));
        }
        let slot = Slot { set: place.set, way: set.way_of(place.fingerprint)? };
        Recipe::read(host, slot, place.fingerprint)
    }

    /// A fetch of this key has just been of no use to others: everyone goes alone, or makes do with what there is.
    fn after_failure(
        &self,
        ask: &Rc<Ask>,
        why: NotStored,
        reason: ForwardReason,
        best: &Best,
        newcomer: bool,
        now: Now,
    ) -> Decision {
        if let (NotStored::Error, Some(entry)) = (why, &best.entry)
            && let Some(found) = self.on_error(entry, now)
        {
            return serve(ask, Rc::clone(entry), found);
        }
        alone(ask, reason, newcomer, best.entry.clone())
    }

    /// Whether an entry may be served because the origin fails (RFC 5861 §4).
    pub fn on_error(&self, entry: &Rc<Entry>, now: Now) -> Option<Reuse> {
        let Content::Response(response) = &entry.record.content else { return None };
        usable_on_error(&response.stored, invalidated(self.verdict(entry))?, now.wall)
    }

    fn joins_locally(&self, ask: &Ask, place: &Place, best: &Best) -> bool {
        ask.options.collapse
            && ask.whole
            && !ask.only_if_cached
            && best.reason != Some(ForwardReason::Request)
            && self.parked.contains_key(&place.fingerprint)
    }

    /// Replaces the best entry by the record in shared data, if that is there, newer, and not gone.
    fn read_second_tier(&mut self, host: &impl Host, slot: Slot, place: &Place, best: &mut Best) {
        let Some(record) = Record::read(host, slot, &place.key) else { return };
        if best
            .entry
            .as_ref()
            .is_some_and(|e| e.record.stamp > record.stamp || e.record.generation == record.generation)
        {
            return;
        }
        let entry = Entry::new(record);
        if self.verdict(&entry) == Verdict::Hard {
            best.reason.get_or_insert(ForwardReason::Purged);
        } else {
            *best = Best { entry: Some(entry), reason: None };
        }
    }

    fn judge(&self, entry: &Entry, ask: &Ask, now: Now) -> Judged {
        let verdict = self.verdict(entry);
        match (&entry.record.content, invalidated(verdict)) {
            (_, None) => Judged::Gone,
            (Content::Variants(_), Some(_)) => Judged::Nominated,
            (Content::Response(response), Some(invalidated)) => usable(response, ask, invalidated, now),
        }
    }
}

/// What an entry is good for.
enum Judged {
    /// It says which fields select.
    Nominated,
    /// It may be served.
    Usable(Reuse),
    /// It may be validated, at best.
    Unusable(ForwardReason),
    /// It is hard purged.
    Gone,
}

fn usable(response: &Response, ask: &Ask, invalidated: Invalidated, now: Now) -> Judged {
    match reuse(&response.stored, &ask.request, &ask.options, invalidated, now.wall) {
        Reuse::Validate(reason) => Judged::Unusable(reason),
        found => Judged::Usable(found),
    }
}

/// A verdict in the policy's words; none for what is gone.
fn invalidated(verdict: Verdict) -> Option<Invalidated> {
    match verdict {
        Verdict::Valid => Some(Invalidated::No),
        Verdict::Soft { at } => Some(Invalidated::Soft { at }),
        Verdict::Revalidate => Some(Invalidated::Revalidate),
        Verdict::Hard => None,
    }
}

fn serve(ask: &Ask, entry: Rc<Entry>, reuse: Reuse) -> Decision {
    Decision::Serve { entry, reuse, waited: ask.waits.get() }
}

/// Whether somebody has to refresh what is served.
fn wants_refresh(found: &Reuse) -> bool {
    matches!(found, Reuse::Stale { refresh: true, .. })
}

/// To the origin, without a flight.
fn alone(ask: &Ask, reason: ForwardReason, newcomer: bool, fallback: Option<Rc<Entry>>) -> Decision {
    if ask.only_if_cached {
        return Decision::NotCached;
    }
    Decision::Forward { reason, waited: !newcomer, fallback }
}
