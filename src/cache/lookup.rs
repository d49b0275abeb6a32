//! The lookup, which decides about every request (protocol §1.5): here from this worker's own copies or shared data, and in
//! [`super::miss`] where nothing stored simply answers.

use std::borrow::Cow;
use std::rc::Rc;

use super::miss::Miss;
use super::{Ask, Cache, Decision, Host, Waited};
use crate::invalidation::Verdict;
use crate::mutants::{Mutant, mutated};
use crate::outcome::metrics::Counter;
use crate::outcome::{Bypass, ForwardReason, NotStored};
use crate::policy::Invalidated;
use crate::policy::ahead::is_due;
use crate::policy::plain::may_provoke;
use crate::policy::reuse::{Reuse, reuse};
use crate::store::flights::mixed;
use crate::store::memory::Entry;
use crate::store::record::{Content, Record, Response, Slot};
use crate::store::set::SetSnapshot;
use crate::store::{Fingerprint, Place, TRIES};
use crate::time::Now;
use crate::turn::Turn;

/// The best stored response for a request, as far as it was looked for.
#[derive(Default)]
pub(super) struct Best {
    pub(super) entry: Option<Rc<Entry>>,
    /// Why it may not simply be served.
    pub(super) reason: Option<ForwardReason>,
}

impl Best {
    pub(super) fn is_nothing(&self) -> bool {
        self.entry.is_none() && self.reason.is_none()
    }

    /// What was stored has been hard purged, and its room was given back.
    fn note_purged(&mut self) {
        if self.entry.is_none() {
            self.reason.get_or_insert(ForwardReason::Purged);
        }
    }

    /// Whether the key is known to be cacheable: something is, or was, stored under it.
    pub(super) fn is_known(&self) -> bool {
        self.entry.is_some() || self.reason == Some(ForwardReason::Purged)
    }
}

/// What one level of the lookup (primary key, variant) looks for.
struct Look<'a> {
    key: &'a [u8],
    fingerprint: Fingerprint,
    /// Why nothing can be used, where there is nothing.
    missing: ForwardReason,
    /// The fields by which the variant is selected; none at the first level.
    nominated: &'a [String],
}

/// What one level of the lookup came to.
enum Level {
    Decided(Decision),
    /// The responses of this URI are selected by these fields.
    Nominated(Rc<Entry>),
}

impl Cache {
    /// Decides about a request. `newcomer` says that it has not waited yet.
    pub fn lookup(&mut self, turn: Turn<'_, impl Host>, ask: &Rc<Ask>, newcomer: bool) -> Decision {
        let unavailable = ForwardReason::Bypass(Bypass::Unavailable);
        if !self.sync(turn.host) {
            return pass(ask, unavailable, None);
        }
        ask.decided.set(self.journal.decided(turn.now));
        let (base, fingerprint) = self.base(turn.host, ask);
        let look = Look { key: &base, fingerprint, missing: ForwardReason::UriMiss, nominated: &[] };
        let nominated = match self.level(turn, ask, &look, newcomer) {
            Level::Decided(decision) => return decision,
            Level::Nominated(nominated) => nominated,
        };
        let Content::Variants(variants) = &nominated.record.content else {
            return pass(ask, unavailable, None);
        };
        let nominated = &variants.nominated;
        let variant = ask.variant_key(nominated);
        let (fingerprint, missing) =
            (self.writer.seed(turn.host).fingerprint(&variant), ForwardReason::VaryMiss);
        let look = Look { key: &variant, fingerprint, missing, nominated };
        match self.level(turn, ask, &look, newcomer) {
            Level::Decided(decision) => decision,
            Level::Nominated(_) => pass(ask, unavailable, None),
        }
    }

    /// Where the responses for the URI of a request lie.
    pub(super) fn primary(&mut self, host: &impl Host, ask: &Ask) -> Place {
        let (base, fingerprint) = self.base(host, ask);
        self.writer.place_of(fingerprint, base.into_owned())
    }

    /// The key that the responses for the URI of a request lie under, and its fingerprint.
    fn base<'a>(&mut self, host: &impl Host, ask: &'a Ask) -> (Cow<'a, [u8]>, Fingerprint) {
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

    /// One level of the lookup. What this worker remembers usually suffices; then nothing else is touched.
    fn level(&mut self, turn: Turn<'_, impl Host>, ask: &Rc<Ask>, look: &Look<'_>, newcomer: bool) -> Level {
        let Look { key, fingerprint, missing, nominated } = *look;
        let mut best = Best::default();
        if let Some(entry) = self.memory.get(fingerprint, key) {
            match self.judge(turn, &entry, ask) {
                Judged::Nominated => return Level::Nominated(entry),
                Judged::Usable { reuse, refresh: false } => {
                    return Level::Decided(Decision::Serve { entry, reuse });
                }
                Judged::Usable { .. } => best.entry = Some(entry),
                Judged::Unusable(reason) => best = Best { entry: Some(entry), reason: Some(reason) },
                Judged::OfAnother(reason) => best.reason = Some(reason),
                Judged::Gone => {
                    self.memory.remove(fingerprint);
                    best.entry = mutated(Mutant::ValidatesWhatIsGone).then_some(entry);
                    best.reason = Some(ForwardReason::Purged);
                }
            }
        }
        if let Some((place, entry, reuse)) = self.chosen_from_more(turn, ask, nominated) {
            if !self.memory.holds(place.fingerprint) {
                self.memory.insert(place.fingerprint, &entry);
            }
            return Level::Decided(Decision::Serve { entry, reuse });
        }
        if best.is_nothing()
            && let Some(why) = self
                .hit_for_miss
                .reason(fingerprint, turn.now.mono)
                .filter(|why| applies_to(turn.host, *why, ask))
            && ask.whole().is_ok()
            && !ask.only_if_cached()
        {
            let shares = true;
            return Level::Decided(Decision::Forward { reason: missing, why, shares, fallback: None });
        }
        let place = self.writer.place_of(fingerprint, key.to_vec());
        // Only new requests join a group without looking at shared data: a woken one that did so could go round
        // for as long as an overtaken fetch of this worker runs, with the answer already there.
        let servable = best.entry.is_some() && best.reason.is_none();
        if newcomer && !servable && self.joins_locally(ask, &place, &best) {
            return Level::Decided(self.park(
                turn,
                ask,
                &place,
                Waited { reason: best.reason.unwrap_or(missing), leads: false },
            ));
        }
        for _ in 0..TRIES {
            let set = SetSnapshot::read(turn.host, place.set);
            match set.value.way_of(place.fingerprint) {
                Some(_) if set.value.is_purged(place.fingerprint) => best.note_purged(),
                Some(way) => {
                    self.read_second_tier(turn.host, Slot { set: place.set, way }, &place, &mut best)
                }
                None => {}
            }
            let judged = best.entry.clone().map(|entry| (self.judge(turn, &entry, ask), entry));
            let serving = match judged {
                Some((Judged::Nominated, entry)) => {
                    self.memory.insert(place.fingerprint, &entry);
                    use_once(turn.host, &set, &place);
                    return Level::Nominated(entry);
                }
                Some((Judged::Usable { reuse, refresh }, entry)) => {
                    self.memory.insert(place.fingerprint, &entry);
                    let serve = Decision::Serve { entry, reuse };
                    if !refresh {
                        use_once(turn.host, &set, &place);
                        return Level::Decided(serve);
                    }
                    best.reason = Some(ForwardReason::Stale);
                    Some(serve)
                }
                Some((Judged::Unusable(reason), _)) => {
                    best.reason = Some(reason);
                    None
                }
                Some((Judged::OfAnother(reason), _)) => {
                    best = Best { entry: None, reason: Some(reason) };
                    None
                }
                Some((Judged::Gone, entry)) => {
                    let entry = mutated(Mutant::ValidatesWhatIsGone).then_some(entry);
                    best = Best { entry, reason: Some(ForwardReason::Purged) };
                    None
                }
                None => None,
            };
            let miss = Miss { ask, place: &place, best: &best, reason: best.reason.unwrap_or(missing) };
            if let Some(decision) = self.on_miss(turn, &miss, &set, serving) {
                return Level::Decided(decision);
            }
            turn.host.count(Counter::Conflict);
        }
        Level::Decided(pass(ask, ForwardReason::Bypass(Bypass::Unavailable), best.entry))
    }

    /// Whether others wait here already. Who leads by the root waits as well, even where nobody else should.
    fn joins_locally(&self, ask: &Ask, place: &Place, best: &Best) -> bool {
        ask.options.collapse
            && ask.whole().is_ok()
            && !ask.only_if_cached()
            && best.reason != Some(ForwardReason::Request)
            && self.waiters.follow_at(place.fingerprint)
            && ask.finds_room(&self.in_flight)
    }

    /// Replaces the best entry by the record in shared data, if that is there, newer, and not gone.
    fn read_second_tier(&mut self, host: &impl Host, slot: Slot, place: &Place, best: &mut Best) {
        let Some(record) = Record::read(host, slot, &place.key) else { return };
        if best
            .entry
            .as_ref()
            .is_some_and(|e| e.record.order() > record.order() || e.record.generation == record.generation)
        {
            return;
        }
        let entry = Entry::new(record);
        if self.journal.verdict(&entry) == Verdict::Hard {
            best.reason.get_or_insert(ForwardReason::Purged);
        } else {
            *best = Best { entry: Some(entry), reason: None };
        }
    }

    pub(super) fn judge(&self, turn: Turn<'_, impl Host>, entry: &Entry, ask: &Ask) -> Judged {
        let verdict = self.verdict_for(entry, ask);
        match (&entry.record.content, invalidated(verdict)) {
            (_, None) => Judged::Gone,
            (Content::Variants(_), Some(_)) => Judged::Nominated,
            // Nobody looks for a response where such a record lies.
            (Content::Search(_), Some(_)) => Judged::Gone,
            (Content::Response(response), Some(invalidated)) => {
                let judged = usable(response, ask, invalidated, entry.record.generation, turn.now);
                let is_hit = matches!(judged, Judged::Usable { reuse: Reuse::Fresh { .. }, refresh: false });
                if is_hit && self.takes_route_for_granted(entry, response, ask, turn.now) {
                    judged
                } else if self.came_another_way(turn, entry, response, ask) {
                    Judged::OfAnother(ForwardReason::RouteMiss)
                } else {
                    judged
                }
            }
        }
    }
}

/// Whether what was wrong with another's fetch is wrong with this request's as well. Not, if it was that request's own
/// credentials or oddness: else a stranger could keep a key from being stored for all.
pub(super) fn applies_to(host: &impl Host, reason: NotStored, ask: &Ask) -> bool {
    match reason {
        NotStored::Authorization => ask.has_credentials(host),
        NotStored::Cookie => ask.request.fields.contains("cookie"),
        NotStored::Provoked => may_provoke(&ask.request),
        _ => true,
    }
}

/// Tells a set that the record of a key was of use: this worker has its own copy from now on, and tells the set of
/// further uses now and then ([`crate::store::Writer::report_uses`]).
fn use_once(host: &impl Host, set: &SetSnapshot, place: &Place) {
    let way = set.value.way_of(place.fingerprint);
    if let Some(value) = way.and_then(|way| set.value.used(way, 1)) {
        // Whoever was faster has more to say.
        let _ = set.replace(host, &value);
    }
}

/// What an entry is good for.
pub(super) enum Judged {
    /// It says which fields select.
    Nominated,
    /// It may be served.
    Usable {
        /// Why.
        reuse: Reuse,
        /// Whether it is to be refreshed meanwhile.
        refresh: bool,
    },
    /// It may be validated, at best.
    Unusable(ForwardReason),
    /// It answers other requests for the same URI. Its validators would be taken for those of another response.
    OfAnother(ForwardReason),
    /// It is hard purged.
    Gone,
}

fn usable(response: &Response, ask: &Ask, invalidated: Invalidated, generation: u64, now: Now) -> Judged {
    match reuse(&response.stored, &ask.request, &ask.options, invalidated, now.wall) {
        Reuse::Validate(reason @ ForwardReason::VaryMiss) => Judged::OfAnother(reason),
        Reuse::Validate(reason) => Judged::Unusable(reason),
        stale @ Reuse::Stale { refresh, .. } => Judged::Usable { reuse: stale, refresh },
        fresh @ Reuse::Fresh { ttl, .. } => {
            // The number that this request draws: its own, and the same whenever the same happens.
            let chance = || mixed(generation ^ mixed(now.mono.0 << 32 ^ u64::from(ask.stream)));
            Judged::Usable { reuse: fresh, refresh: is_due(&response.stored, ttl, chance) }
        }
    }
}

/// A verdict in the policy's words; none for what is gone.
pub(super) fn invalidated(verdict: Verdict) -> Option<Invalidated> {
    match verdict {
        Verdict::Valid => Some(Invalidated::No),
        Verdict::Soft { at } => Some(Invalidated::Soft { at }),
        Verdict::Revalidate => Some(Invalidated::Revalidate),
        Verdict::Hard => None,
    }
}

/// Whether somebody has to refresh what is served.
pub(super) fn wants_refresh(found: &Reuse) -> bool {
    matches!(found, Reuse::Stale { refresh: true, .. })
}

/// To the origin, without any trace in the worker's memory, in which there is no room.
pub(super) fn no_room(ask: &Ask) -> Decision {
    pass(ask, ForwardReason::Bypass(Bypass::Memory), None)
}

/// To the origin, without a flight.
pub(super) fn pass(ask: &Ask, reason: ForwardReason, fallback: Option<Rc<Entry>>) -> Decision {
    if ask.only_if_cached() {
        return Decision::NotCached;
    }
    let why = ask.whole().err().unwrap_or(NotStored::NoFlight);
    Decision::Forward { reason, why, shares: false, fallback }
}
