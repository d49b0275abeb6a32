//! How a fetch reaches its origin: with the client's own request, which Envoy routes, or by a call of the root.
//!
//! Routes decide. A call goes through the whole route table where `collapse.cluster` leads it there. Elsewhere only what
//! nobody waits for, a refresh, may go by what was learned of a route ([`LearnedRoute`]), and only while the request that
//! asks for the refresh has that very route, nothing was purged, and no fetch by it has failed: whatever a client waits for
//! takes Envoy's own path, as without a cache.

use super::assess::body_limit_by;
use super::call_route::CallRoute;
use super::host::Host;
use super::learned_route::{LearnedRoute, Route};
use super::request::CacheRequest;
use super::sent::{Call, anonymised, own_fields};
use super::storage::{Miss, Storage};
use super::table_cluster::TableClusters;
use super::taken_route::may_steer;
use crate::config::{Config, Fetch as FetchMode};
use crate::invalidation::Verdict;
use crate::outcome::metrics::Counter;
use crate::policy::key;
use crate::policy::partial::may_be_completed;
use crate::store::memory::Entry;
use crate::store::record::Content;
use crate::store::set::{KeyRoute, SetSnapshot, SetValue};
use crate::store::{Fingerprint, Place, TRIES};
use crate::time::{Monotonic, Timestamp};
use crate::turn::Turn;

/// What this worker knows of the ways to origins.
pub struct Routes {
    /// The number of the learned route that this worker has met last since its last tick, and at which head.
    met: (u32, u64),
    tables: TableClusters,
}

impl Routes {
    /// What a worker knows that has tried nothing yet.
    pub(super) fn of(config: &Config) -> Routes {
        Routes { met: (0, 0), tables: TableClusters::of(config) }
    }

    /// Another configuration is in force.
    pub(super) fn configure(&mut self, config: &Config) {
        self.tables.configure(config);
    }

    /// Hears what other workers have found. What was met before may be kept anew.
    pub(super) fn tick(&mut self, host: &impl Host) {
        self.tables.hear(host);
        self.met = (0, 0);
    }

    /// The cluster for fetches of the root that a configuration names, if Envoy was found to lack it.
    #[must_use]
    pub fn lacked_cluster<'a>(&self, config: &'a Config) -> Option<&'a str> {
        self.tables.lacked(config)
    }

    /// Envoy has the cluster of a call, or lacks it. Whether that is news.
    pub(super) fn found(&mut self, host: &impl Host, call: &Call, there: bool, now: Monotonic) -> bool {
        self.tables.found(host, &call.cluster, there, now)
    }

    /// The stream of this request is being logged: now it is known what the router made of it.
    pub(super) fn learn(&mut self, turn: Turn<'_, impl Host>, storage: &mut Storage, ask: &CacheRequest) {
        let Some(fingerprint) = ask.home.get().filter(|_| ask.config.collapse.cluster.is_none()) else {
            return;
        };
        let Some((route, sent)) = turn.host.route(ask.stream).zip(turn.host.sent(ask.stream)) else { return };
        let seed = storage.writer.seed(turn.host);
        let key_route = match LearnedRoute::learned(route, seed, &ask.forwarded(), &sent) {
            Some(learned) => {
                let number = learned.number(seed);
                let met = (number, storage.journal.head());
                if self.met != met {
                    learned.save(turn.host, number, met.1, turn.now);
                    self.met = met;
                }
                KeyRoute::Learned(number)
            }
            None => KeyRoute::Unknown,
        };
        keep_route(turn, storage, fingerprint, key_route);
    }

    /// A fetch by what was learned of a route has failed: perhaps because that is no longer the route.
    pub(super) fn forget(&mut self, host: &impl Host, storage: &mut Storage, route: &CallRoute) {
        if let CallRoute::Learned(route) = route {
            LearnedRoute::forget(host, route.number(storage.writer.seed(host)));
            self.met = (0, 0);
        }
    }

    /// How the root fetches what this request asks for; none when the request itself has to go.
    ///
    /// The root fetches what is known to be cacheable, as it then belongs to no client; on behalf of a request that
    /// carries credentials only while something stored is served meanwhile, because it sends none.
    pub(super) fn of_fetch(
        &self,
        turn: Turn<'_, impl Host>,
        storage: &mut Storage,
        miss: &Miss<'_>,
        set: &SetValue,
        is_refresh: bool,
    ) -> Option<CallRoute> {
        let ask = miss.ask;
        let is_anonymous = || !ask.request.fields.contains("cookie") && !ask.has_credentials(turn.host);
        // What steers is not sent by a refresh. Elsewhere the route that it leads to has to be known.
        let is_for_anybody =
            || ask.options.collapse && is_anonymous() && !may_steer(&ask.request, &ask.options);
        let by_root = match ask.config.collapse.fetch {
            FetchMode::Inline => false,
            _ if is_refresh => true,
            FetchMode::Auto => miss.best.is_known() && is_for_anybody(),
            FetchMode::Dispatched => is_for_anybody(),
        };
        let key_route = set.route_of(miss.place.fingerprint);
        if !by_root
            || ask.was_refused.get()
            || key_route.is_inline(turn.now.mono)
            || is_too_large_to_complete(miss)
        {
            return None;
        }
        let route = match (ask.config.collapse.cluster.is_some(), key_route) {
            (true, _) => self.table(ask, turn.now.mono)?,
            (false, KeyRoute::Learned(number)) if is_refresh => {
                CallRoute::Learned(certain_route(turn, storage, miss, number)?)
            }
            (false, _) => return None,
        };
        is_client_independent(turn.host, storage, ask, miss.place).then_some(route)
    }

    /// The way through the route table by which the root fetches for others what its client has left; none where there is
    /// none, or the client's request is told apart from others.
    pub(super) fn of_takeover(
        &self,
        turn: Turn<'_, impl Host>,
        storage: &mut Storage,
        ask: &CacheRequest,
        place: &Place,
    ) -> Option<CallRoute> {
        let table = self.table(ask, turn.now.mono)?;
        is_client_independent(turn.host, storage, ask, place).then_some(table)
    }

    /// The call that repeats a client's own request, for it alone, after a validation of `old` that has come to nothing:
    /// through the route table, else by what was learned of the very route that its answer came by. None where neither is
    /// to be had, or where it has content, which is gone.
    pub(super) fn call_again(
        &self,
        turn: Turn<'_, impl Host>,
        storage: &mut Storage,
        ask: &CacheRequest,
        old: &Entry,
    ) -> Option<Call> {
        if ask.request.has_body {
            return None;
        }
        let route = match self.table(ask, turn.now.mono) {
            Some(table) => table,
            None if ask.config.collapse.cluster.is_none() => {
                CallRoute::Learned(own_route(turn, storage, ask, &old.record.key)?)
            }
            None => return None,
        };
        let fields = own_fields(&route.applied(&ask.forwarded())?)?;
        turn.host.count(Counter::Dispatched);
        let (cluster, timeout) = (route.cluster().to_owned(), ask.config.collapse.fetch_timeout);
        Some(Call { cluster, fields, timeout })
    }

    /// The way through the route table of the listener that a request has come through, unless Envoy was found to lack the
    /// cluster that leads there. Other listeners may have other routes, and other filters before their origins.
    fn table(&self, ask: &CacheRequest, now: Monotonic) -> Option<CallRoute> {
        self.tables.usable(&ask.config, now).map(|cluster| CallRoute::Table(cluster.to_owned()))
    }
}

fn keep_route(turn: Turn<'_, impl Host>, storage: &Storage, fingerprint: Fingerprint, route: KeyRoute) {
    for _ in 0..TRIES {
        let set = SetSnapshot::read(turn.host, storage.writer.set_of(fingerprint));
        let Some(way) = set.value.way_of(fingerprint) else { return };
        let Some(value) = set.value.routed(way, route, turn.now.mono) else { return };
        if set.replace(turn.host, &value) {
            return;
        }
        turn.host.count(Counter::Conflict);
    }
}

/// What was learned of a route, if it is certain that the request that asks for a refresh has that very route, as it
/// was. It is not where it was met before a purge: somebody may have changed the route first, to take a page down.
fn certain_route(
    turn: Turn<'_, impl Host>,
    storage: &mut Storage,
    miss: &Miss<'_>,
    number: u32,
) -> Option<LearnedRoute> {
    let entry = miss.best.entry.as_ref()?;
    let purged_at = match storage.verdict_for(entry, miss.ask, turn.now) {
        Verdict::Valid => None,
        Verdict::Soft { at } => Some(at),
        Verdict::Revalidate | Verdict::Hard => return None,
    };
    let (learned, met) = learned_of(turn, storage, miss.ask, number)?;
    purged_at.is_none_or(|at| at < met).then_some(learned)
}

/// What was learned of the route that a request has just taken, if that is known to be the very one.
fn own_route(
    turn: Turn<'_, impl Host>,
    storage: &mut Storage,
    ask: &CacheRequest,
    key: &[u8],
) -> Option<LearnedRoute> {
    let place = storage.writer.place(turn.host, key.to_vec());
    let KeyRoute::Learned(number) = SetSnapshot::read(turn.host, place.set).value.route_of(place.fingerprint)
    else {
        return None;
    };
    learned_of(turn, storage, ask, number).map(|(learned, _)| learned)
}

/// What was learned of a route under this number, and since when, if it is the route of this request.
fn learned_of(
    turn: Turn<'_, impl Host>,
    storage: &mut Storage,
    ask: &CacheRequest,
    number: u32,
) -> Option<(LearnedRoute, Timestamp)> {
    let route = route_of(turn.host, ask)?;
    let (learned, met) = LearnedRoute::read(turn.host, number, turn.now.mono)?;
    learned.is_of(&route, storage.writer.seed(turn.host)).then_some((learned, met))
}

/// The route of a request that a client waits for; none where it leads to no cluster, or no client asks.
fn route_of(host: &impl Host, ask: &CacheRequest) -> Option<Route> {
    if ask.is_nobodys { None } else { host.route(ask.stream) }
}

/// Whether a request would be told apart from no other by what the root does not send: else what the root fetches
/// on its behalf would belong under another key.
fn is_client_independent(host: &impl Host, storage: &mut Storage, ask: &CacheRequest, place: &Place) -> bool {
    // What a filter tells the origin of who that is may stand in a field that we take for any other.
    if ask.is_authenticated(host) {
        return false;
    }
    // What is not UTF-8 cannot be said in a call.
    let is_sayable = |(name, value): (&[u8], &[u8])| !name.starts_with(b":") || str::from_utf8(value).is_ok();
    if !ask.request.fields.iter().all(is_sayable) {
        return false;
    }
    let sent = anonymised(&ask.request, &ask.options);
    if key::primary(&sent, &ask.options) != ask.key {
        return false;
    }
    let base = ask.base_key();
    if place.key == *base {
        return true;
    }
    let primary = storage.writer.place(host, base.to_vec());
    match storage.stored(host, &primary).as_ref().map(|entry| &entry.record.content) {
        Some(Content::Variants(variants)) => {
            key::variant(&base, &variants.nominated, &sent, &ask.options) == place.key
        }
        Some(Content::Response(_) | Content::Search(_)) | None => false,
    }
}

/// Whether only a part is stored, of something that is too large to be stored whole: the root would take it in for
/// nothing, while a client's own request streams.
fn is_too_large_to_complete(miss: &Miss<'_>) -> bool {
    let part = miss.best.entry.as_deref().and_then(Entry::response);
    let limit = body_limit_by(&miss.ask.config, &miss.ask.options);
    part.is_some_and(|part| !may_be_completed(&part.stored, limit.bytes_max))
}
