//! The only place where it is decided what becomes of a request (protocol: `consider`).

use std::borrow::Cow;
use std::rc::Rc;

use super::trouble::{Asking, known_recipe};
use super::{Ask, Cache, Decision, Effect, Fetch, Fetcher, Host, Lease, Place, Recipe, Waited};
use crate::collapse::{self, Seat, mixed};
use crate::config::Fetch as FetchMode;
use crate::deviation::{Deviation, deviates};
use crate::invalidation::Verdict;
use crate::metrics::Counter;
use crate::outcome::{Bypass, ForwardReason, NotStored};
use crate::policy::Invalidated;
use crate::policy::ahead::is_due;
use crate::policy::reuse::{Reuse, Trouble, reuse};
use crate::policy::storing::is_odd;
use crate::store::memory::Entry;
use crate::store::record::{Content, Record, Response, Slot};
use crate::store::set::{SetSnapshot, SetValue};
use crate::store::{Fingerprint, TRIES};
use crate::time::Now;

/// The best stored response for a request, as far as it was looked for.
#[derive(Default)]
pub(super) struct Best {
    pub(super) entry: Option<Rc<Entry>>,
    /// Why it may not simply be served.
    reason: Option<ForwardReason>,
}

/// A request that nothing simply answers, and why.
#[derive(Clone, Copy)]
pub(super) struct Need<'a> {
    pub(super) ask: &'a Rc<Ask>,
    pub(super) place: &'a Place,
    pub(super) best: &'a Best,
    pub(super) reason: ForwardReason,
}

impl Need<'_> {
    fn alone(&self) -> Decision {
        alone(self.ask, self.reason, self.best.entry.clone())
    }
}

impl Best {
    fn is_nothing(&self) -> bool {
        self.entry.is_none() && self.reason.is_none()
    }

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
            return alone(ask, unavailable, None);
        }
        ask.stamp.set(self.mirror.head());
        let (base, fingerprint) = self.base(host, ask);
        let missing = ForwardReason::UriMiss;
        let nominated = match self.level(host, ask, &base, fingerprint, missing, newcomer, now) {
            Level::Decided(decision) => return decision,
            Level::Nominated(nominated) => nominated,
        };
        let Content::Variants(variants) = &nominated.record.content else {
            return alone(ask, unavailable, None);
        };
        let variant = ask.variant_key(&variants.nominated);
        let (fingerprint, missing) = (self.seed(host).fingerprint(&variant), ForwardReason::VaryMiss);
        match self.level(host, ask, &variant, fingerprint, missing, newcomer, now) {
            Level::Decided(decision) => decision,
            Level::Nominated(_) => alone(ask, unavailable, None),
        }
    }

    /// Where the responses for the URI of a request lie.
    pub(super) fn primary(&mut self, host: &impl Host, ask: &Ask) -> Place {
        let (base, fingerprint) = self.base(host, ask);
        self.place_of(fingerprint, base.into_owned())
    }

    /// The key that the responses for the URI of a request lie under, and its fingerprint.
    fn base<'a>(&mut self, host: &impl Host, ask: &'a Ask) -> (Cow<'a, [u8]>, Fingerprint) {
        let fingerprint = self.seed(host).fingerprint(&ask.key);
        self.look_up_search(host, ask, fingerprint);
        match ask.base_key() {
            Cow::Owned(base) => {
                let fingerprint = self.seed(host).fingerprint(&base);
                (Cow::Owned(base), fingerprint)
            }
            borrowed => (borrowed, fingerprint),
        }
    }

    /// One level of the lookup. What this worker remembers usually suffices; then nothing else is touched.
    #[expect(clippy::too_many_arguments, reason = "what is looked for, and for whom")]
    fn level(
        &mut self,
        host: &impl Host,
        ask: &Rc<Ask>,
        key: &[u8],
        fingerprint: Fingerprint,
        missing: ForwardReason,
        newcomer: bool,
        now: Now,
    ) -> Level {
        let mut best = Best::default();
        if let Some(entry) = self.memory.get(fingerprint, key) {
            match self.judge(&entry, ask, now) {
                Judged::Nominated => return Level::Nominated(entry),
                Judged::Usable { reuse, refresh: false } => {
                    return Level::Decided(Decision::Serve { entry, reuse });
                }
                Judged::Usable { .. } => best.entry = Some(entry),
                Judged::Unusable(reason) => best = Best { entry: Some(entry), reason: Some(reason) },
                Judged::Gone => {
                    self.memory.remove(fingerprint);
                    best.entry = deviates(Deviation::ValidatesWhatIsGone).then_some(entry);
                    best.reason = Some(ForwardReason::Purged);
                }
            }
        }
        if best.is_nothing()
            && let Some(why) = self.unshared.reason(fingerprint, now.mono).filter(|why| holds_for(*why, ask))
            && ask.whole().is_ok()
            && !ask.only_if_cached()
        {
            return Level::Decided(Decision::Forward { reason: missing, why, fallback: None });
        }
        let place = self.place_of(fingerprint, key.to_vec());
        // Only new requests join a group without looking at shared data: a woken one that did so could go round
        // for as long as an overtaken fetch of this worker runs, with the answer already there.
        let servable = best.entry.is_some() && best.reason.is_none();
        if newcomer && !servable && self.joins_locally(ask, &place, &best) {
            return Level::Decided(self.park(
                host,
                ask,
                &place,
                Waited { reason: best.reason.unwrap_or(missing), leads: false },
                now,
            ));
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
                    use_once(host, &set, &place);
                    return Level::Nominated(entry);
                }
                Some((Judged::Usable { reuse, refresh }, entry)) => {
                    self.memory.insert(place.fingerprint, &entry);
                    let serve = Decision::Serve { entry, reuse };
                    if !refresh {
                        use_once(host, &set, &place);
                        return Level::Decided(serve);
                    }
                    best.reason = Some(ForwardReason::Stale);
                    Some(serve)
                }
                Some((Judged::Unusable(reason), _)) => {
                    best.reason = Some(reason);
                    None
                }
                Some((Judged::Gone, entry)) => {
                    let entry = deviates(Deviation::ValidatesWhatIsGone).then_some(entry);
                    best = Best { entry, reason: Some(ForwardReason::Purged) };
                    None
                }
                None => None,
            };
            let need = Need { ask, place: &place, best: &best, reason: best.reason.unwrap_or(missing) };
            if let Some(decision) = self.claim(host, &need, &set, serving, now) {
                return Level::Decided(decision);
            }
            host.count(Counter::Conflict);
        }
        Level::Decided(alone(ask, ForwardReason::Bypass(Bypass::Unavailable), best.entry))
    }

    /// What to do where nothing simply answers the request: `serving` may be served for now, but has to be
    /// refreshed. None when the set changed meanwhile.
    fn claim(
        &mut self,
        host: &impl Host,
        need: &Need<'_>,
        set: &SetSnapshot,
        serving: Option<Decision>,
        now: Now,
    ) -> Option<Decision> {
        let ask = need.ask;
        let rests = collapse::rests(&set.value, need.place.fingerprint, now.mono);
        let serving = serving
            .or_else(|| rests.then(|| self.makes_do(need, now)).flatten())
            .or_else(|| self.outage(host, need, &set.value, now));
        if let Some(serve) = serving {
            let may_refresh =
                ask.whole().is_ok() && !ask.only_if_cached() && !rests && !self.refreshes_enough();
            return match self.seat(need, set, now) {
                Seat::Lead if may_refresh => self.lead(host, need, set, Some(serve), now),
                // Somebody refreshes it, or it was tried a moment ago.
                Seat::Lead | Seat::Wait | Seat::Register | Seat::NotShared(_) | Seat::Full => Some(serve),
            };
        }
        if ask.whole().is_err() || ask.only_if_cached() {
            return Some(need.alone());
        }
        let may_wait = ask.options.collapse && need.reason != ForwardReason::Request || self.leads(need, set);
        match self.seat(need, set, now) {
            Seat::Lead => self.lead(host, need, set, None, now),
            Seat::NotShared(why) => {
                if need.best.is_nothing() && !why.is_failure() {
                    self.unshared.remember(need.place.fingerprint, why, now.mono);
                }
                Some(self.after_failure(need, why, now))
            }
            Seat::Wait if may_wait => Some(self.join(host, need, now)),
            Seat::Register
                if may_wait && ask.waited.get().is_some() && deviates(Deviation::WaitsUnregistered) =>
            {
                Some(self.join(host, need, now))
            }
            Seat::Register if may_wait => {
                let value = collapse::registered(&set.value, need.place.fingerprint, self.worker?);
                let set = set.again_if(Deviation::RegistersBlindly, host);
                set.replace(host, &value).then(|| self.join(host, need, now))
            }
            Seat::Full | Seat::Wait | Seat::Register => Some(need.alone()),
        }
    }

    fn seat(&self, need: &Need<'_>, set: &SetSnapshot, now: Now) -> Seat {
        let is_fetching = |generation| self.fetches.contains_key(&generation);
        let holds = |reason| holds_for(reason, need.ask);
        collapse::seat(&set.value, need.place.fingerprint, self.worker, now.mono, is_fetching, holds)
    }

    /// Whether the fetch under way is made on behalf of this very request.
    fn leads(&self, need: &Need<'_>, set: &SetSnapshot) -> bool {
        let flight = set.value.flight_of(need.place.fingerprint);
        let fetch = flight.and_then(|flight| self.fetches.get(&flight.generation));
        fetch.is_some_and(|fetch| Rc::ptr_eq(&fetch.ask, need.ask))
    }

    fn join(&mut self, host: &impl Host, need: &Need<'_>, now: Now) -> Decision {
        self.park(host, need.ask, need.place, Waited { reason: need.reason, leads: false }, now)
    }

    /// Takes the flight, and fetches. None when somebody else was faster.
    fn lead(
        &mut self,
        host: &impl Host,
        need: &Need<'_>,
        set: &SetSnapshot,
        serving: Option<Decision>,
        now: Now,
    ) -> Option<Decision> {
        let Need { ask, place, best, reason } = *need;
        let (recipe, cluster) = self.recipe_for(host, need, &set.value, serving.is_some());
        // A call of the root needs no client, but a client that waits for it needs a place.
        let recipe = recipe.filter(|_| serving.is_some() || self.has_room_for(place));
        let is_ahead = matches!(serving, Some(Decision::Serve { reuse: Reuse::Fresh { .. }, .. }));
        if is_ahead && recipe.is_none() {
            return serving;
        }
        let mut timeout = self.config.collapse.fetch_timeout;
        if serving.is_some() {
            match self.asking(host, cluster.as_ref(), now) {
                Asking::Yes => {}
                Asking::Probe => timeout = timeout.min(self.config.breaker.probe_interval),
                Asking::No => return serving,
            }
        }
        let new = self.new_flight(place.fingerprint, now);
        let Some((value, flight)) = collapse::led(&set.value, new, now.mono, now.wall) else {
            return Some(serving.unwrap_or_else(|| need.alone()));
        };
        if !set.replace(host, &value) {
            return None;
        }
        if is_ahead {
            host.count(Counter::RefreshedAhead);
        }
        let is_dispatched = recipe.is_some();
        let fetch = Fetch {
            lease: Lease::of(place.clone(), flight, &set.value),
            stamp: self.mirror.head(),
            timeout,
            deadline: now.mono.after(timeout),
            cluster,
            validated: best.entry.clone(),
            ask: Rc::clone(ask),
            started: now,
            is_refresh: is_dispatched && serving.is_some(),
            replaces_fresh: is_ahead || reason == ForwardReason::Request && best.entry.is_some(),
            by: recipe.map_or(Fetcher::Stream, Fetcher::Root),
        };
        self.fetches.insert(flight.generation, fetch);
        if !is_dispatched {
            return Some(Decision::Fetch { generation: flight.generation, reason });
        }
        self.effects.push_back(Effect::Dispatch(flight.generation));
        let waited = Waited { reason, leads: true };
        Some(serving.unwrap_or_else(|| self.park(host, ask, place, waited, now)))
    }

    /// Whether as many refreshes run as may, so that a purge of much that is in demand is not a stampede.
    fn refreshes_enough(&self) -> bool {
        let running = self.fetches.values().filter(|fetch| fetch.is_refresh).count();
        running >= self.config.collapse.refresh_concurrency_max as usize
    }

    /// How the root fetches what this request asks for; none when the request itself has to go. And which cluster
    /// answers, where that is known.
    ///
    /// The root fetches what is known to be cacheable, as it then belongs to no client; on behalf of a request that
    /// carries credentials only while something stored is served meanwhile, because it sends none.
    fn recipe_for(
        &mut self,
        host: &impl Host,
        need: &Need<'_>,
        set: &SetValue,
        is_refresh: bool,
    ) -> (Option<Recipe>, Option<String>) {
        let (ask, config) = (need.ask, Rc::clone(&self.config));
        let collapse = &config.collapse;
        let is_anonymous =
            || !["authorization", "cookie"].iter().any(|name| ask.request.fields.contains(name));
        let by_root = match collapse.fetch {
            FetchMode::Inline => false,
            _ if is_refresh => true,
            FetchMode::Auto => need.best.is_known() && ask.options.collapse && is_anonymous(),
            FetchMode::Dispatched => ask.options.collapse && is_anonymous(),
        };
        if !by_root {
            return (None, None);
        }
        let known = known_recipe(host, need, set);
        let cluster = known.as_ref().map(|known| known.cluster.clone());
        if !self.is_anyones(host, ask, need.place) {
            return (None, cluster);
        }
        match &collapse.cluster {
            Some(own) => (Some(Recipe::to_cluster(own.clone())), cluster.or_else(|| Some(own.clone()))),
            None => (known, cluster),
        }
    }

    /// A fetch of this key has just been of no use to others: everyone goes alone, or makes do with what there is.
    fn after_failure(&self, need: &Need<'_>, why: NotStored, now: Now) -> Decision {
        if let (true, Some(entry)) = (why.is_failure(), &need.best.entry)
            && let Some(reuse) = self.on_error(entry, need.ask, now)
        {
            return Decision::Serve { entry: Rc::clone(entry), reuse };
        }
        Decision::Forward { reason: need.reason, why, fallback: need.best.entry.clone() }
    }

    /// What may be served instead of asking an origin that fails; nothing to a client that wants it to be asked.
    fn makes_do(&self, need: &Need<'_>, now: Now) -> Option<Decision> {
        let entry = need.best.entry.as_ref().filter(|_| need.reason != ForwardReason::Request)?;
        let reuse = self.on_error(entry, need.ask, now)?;
        Some(Decision::Serve { entry: Rc::clone(entry), reuse })
    }

    /// Whether an entry may be served because the origin fails: in a window of its own (RFC 5861 §4), or where it may
    /// be served while it is refreshed.
    pub fn on_error(&self, entry: &Entry, ask: &Ask, now: Now) -> Option<Reuse> {
        self.in_trouble(Trouble::Failed, entry, ask, now).or_else(|| {
            let invalidated = invalidated(self.verdict_for(entry, ask))?;
            let stored = &entry.response()?.stored;
            let meanwhile = reuse(stored, &ask.request, &ask.options, invalidated, now.wall);
            wants_refresh(&meanwhile).then_some(meanwhile)
        })
    }

    /// What answers a request although the origin does not.
    pub(super) fn stale_for(&mut self, host: &impl Host, ask: &Ask, now: Now) -> Option<Decision> {
        if !self.sync(host) {
            return None;
        }
        let primary = self.primary(host, ask);
        let at_primary = self.stored(host, &primary)?;
        let entry = match &at_primary.record.content {
            Content::Response(_) => at_primary,
            Content::Variants(variants) => {
                let variant = self.place(host, ask.variant_key(&variants.nominated));
                self.stored(host, &variant)?
            }
            Content::Search(_) => return None,
        };
        let reuse = self.on_error(&entry, ask, now)?;
        Some(Decision::Serve { entry, reuse })
    }

    fn joins_locally(&self, ask: &Ask, place: &Place, best: &Best) -> bool {
        ask.options.collapse
            && ask.whole().is_ok()
            && !ask.only_if_cached()
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
        let verdict = self.verdict_for(entry, ask);
        match (&entry.record.content, invalidated(verdict)) {
            (_, None) => Judged::Gone,
            (Content::Variants(_), Some(_)) => Judged::Nominated,
            // Nobody looks for a response where such a record lies.
            (Content::Search(_), Some(_)) => Judged::Gone,
            (Content::Response(response), Some(invalidated)) => {
                usable(response, ask, invalidated, entry.record.generation, now)
            }
        }
    }
}

/// Whether what was wrong with another's fetch is wrong with this request's as well. Not, if it was that request's own
/// credentials or oddness: else a stranger could keep a key from being stored for all.
fn holds_for(reason: NotStored, ask: &Ask) -> bool {
    match reason {
        NotStored::Authorization => ask.request.fields.contains("authorization"),
        NotStored::Cookie => ask.request.fields.contains("cookie"),
        NotStored::Provoked => is_odd(&ask.request),
        _ => true,
    }
}

/// Tells a set that the record of a key was of use: this worker has its own copy from now on, and tells the set of
/// further uses now and then ([`Cache::report_uses`]).
fn use_once(host: &impl Host, set: &SetSnapshot, place: &Place) {
    let way = set.value.way_of(place.fingerprint);
    if let Some(value) = way.and_then(|way| set.value.used(way, 1)) {
        // Whoever was faster has more to say.
        let _ = set.replace(host, &value);
    }
}

/// What an entry is good for.
enum Judged {
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
    /// It is hard purged.
    Gone,
}

fn usable(response: &Response, ask: &Ask, invalidated: Invalidated, generation: u64, now: Now) -> Judged {
    match reuse(&response.stored, &ask.request, &ask.options, invalidated, now.wall) {
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
fn wants_refresh(found: &Reuse) -> bool {
    matches!(found, Reuse::Stale { refresh: true, .. })
}

/// To the origin, without a flight.
fn alone(ask: &Ask, reason: ForwardReason, fallback: Option<Rc<Entry>>) -> Decision {
    if ask.only_if_cached() {
        return Decision::NotCached;
    }
    let why = ask.whole().err().unwrap_or(NotStored::NoFlight);
    Decision::Forward { reason, why, fallback }
}
