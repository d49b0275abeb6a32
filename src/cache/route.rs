//! How a fetch reaches its origin: with the client's own request, which Envoy routes, or by a call of the root.
//!
//! Routes decide. A call goes through the whole route table where `collapse.cluster` leads it there. Elsewhere only what
//! nobody waits for, a refresh, may go by what was learned of a route ([`LearnedRoute`]), and only while the request that
//! asks for the refresh has that very route, nothing was purged, and no fetch by it has failed: whatever a client waits for
//! takes Envoy's own path, as without a cache.

use super::assess::body_limit_by;
use super::dispatch::anonymised;
use super::miss::Miss;
use super::taken_route::may_steer;
use super::{Ask, Cache, Host, LearnedRoute};
use crate::config::{Config, Fetch as FetchMode};
use crate::http::{Fields, RequestHead};
use crate::invalidation::Verdict;
use crate::outcome::metrics::Counter;
use crate::policy::key;
use crate::policy::partial::may_be_completed;
use crate::store::memory::Entry;
use crate::store::record::Content;
use crate::store::set::{KeyRoute, SetSnapshot, SetValue};
use crate::store::{Fingerprint, Place, TRIES};
use crate::time::{Now, Timestamp};
use crate::turn::Turn;

/// How a call of the root reaches the origin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum CallRoute {
    /// Through the route table, to which this cluster leads.
    Table(String),
    /// By what was learned of the route.
    Learned(LearnedRoute),
}

impl CallRoute {
    pub(super) fn cluster(&self) -> &str {
        match self {
            CallRoute::Table(cluster) => cluster,
            CallRoute::Learned(route) => &route.cluster,
        }
    }

    /// A request as it is sent; none when it is not one for this route.
    pub(super) fn applied(&self, request: &RequestHead) -> Option<Fields> {
        match self {
            CallRoute::Table(_) => Some(request.fields.clone()),
            CallRoute::Learned(route) => route.applied(request),
        }
    }
}

impl Cache {
    /// The stream of this request is being logged: now it is known what the router made of it.
    pub fn learn_route(&mut self, turn: Turn<'_, impl Host>, ask: &Ask) {
        let Some(fingerprint) = ask.home.get().filter(|_| ask.config.collapse.cluster.is_none()) else {
            return;
        };
        let Some((route, sent)) = turn.host.route(ask.stream).zip(turn.host.sent(ask.stream)) else { return };
        let seed = self.writer.seed(turn.host);
        let key_route = match LearnedRoute::learned(route, seed, &ask.forwarded(), &sent) {
            Some(learned) => {
                let number = learned.number(seed);
                let met = (number, self.journal.head());
                if self.route_met != met {
                    learned.keep(turn.host, number, met.1, turn.now);
                    self.route_met = met;
                }
                KeyRoute::Learned(number)
            }
            None => KeyRoute::Unknown,
        };
        self.keep_route(turn, fingerprint, key_route);
    }

    fn keep_route(&self, turn: Turn<'_, impl Host>, fingerprint: Fingerprint, route: KeyRoute) {
        for _ in 0..TRIES {
            let set = SetSnapshot::read(turn.host, self.writer.set_of(fingerprint));
            let Some(way) = set.value.way_of(fingerprint) else { return };
            let Some(value) = set.value.routed(way, route, turn.now.mono) else { return };
            if set.replace(turn.host, &value) {
                return;
            }
            turn.host.count(Counter::Conflict);
        }
    }

    /// How the root fetches what this request asks for; none when the request itself has to go.
    ///
    /// The root fetches what is known to be cacheable, as it then belongs to no client; on behalf of a request that
    /// carries credentials only while something stored is served meanwhile, because it sends none.
    pub(super) fn call_route(
        &mut self,
        turn: Turn<'_, impl Host>,
        miss: &Miss<'_>,
        set: &SetValue,
        is_refresh: bool,
    ) -> Option<CallRoute> {
        let ask = miss.ask;
        let is_anonymous = || !ask.request.fields.contains("cookie") && !ask.has_credentials(turn.host);
        // What steers is not sent by a refresh. Elsewhere the route that it leads to has to be known.
        let is_client_independent =
            || ask.options.collapse && is_anonymous() && !may_steer(&ask.request, &ask.options);
        let by_root = match ask.config.collapse.fetch {
            FetchMode::Inline => false,
            _ if is_refresh => true,
            FetchMode::Auto => miss.best.is_known() && is_client_independent(),
            FetchMode::Dispatched => is_client_independent(),
        };
        let key_route = set.route_of(miss.place.fingerprint);
        if !by_root || ask.was_refused.get() || key_route.is_inline(turn.now.mono) || is_hopeless(miss) {
            return None;
        }
        let route = match (ask.config.collapse.cluster.is_some(), key_route) {
            (true, _) => CallRoute::Table(self.table_cluster(ask, turn.now)?.to_owned()),
            (false, KeyRoute::Learned(number)) if is_refresh => {
                CallRoute::Learned(self.certain_route(turn, miss, number)?)
            }
            (false, _) => return None,
        };
        self.is_client_independent(turn.host, ask, miss.place).then_some(route)
    }

    /// What was learned of a route, if it is certain that the request that asks for a refresh has that very route, as it
    /// was. It is not where it was met before a purge: somebody may have changed the route first, to take a page down.
    fn certain_route(
        &mut self,
        turn: Turn<'_, impl Host>,
        miss: &Miss<'_>,
        number: u32,
    ) -> Option<LearnedRoute> {
        let entry = miss.best.entry.as_ref()?;
        let purged_at = match self.verdict_for(entry, miss.ask) {
            Verdict::Valid => None,
            Verdict::Soft { at } => Some(at),
            Verdict::Revalidate | Verdict::Hard => return None,
        };
        let (learned, met) = self.learned_of(turn, miss.ask, number)?;
        purged_at.is_none_or(|at| at < met).then_some(learned)
    }

    /// What was learned of the route that a request has just taken, if that is known to be the very one.
    pub(super) fn own_route(
        &mut self,
        turn: Turn<'_, impl Host>,
        ask: &Ask,
        key: &[u8],
    ) -> Option<LearnedRoute> {
        let place = self.writer.place(turn.host, key.to_vec());
        let KeyRoute::Learned(number) =
            SetSnapshot::read(turn.host, place.set).value.route_of(place.fingerprint)
        else {
            return None;
        };
        self.learned_of(turn, ask, number).map(|(learned, _)| learned)
    }

    /// What was learned of a route under this number, and since when, if it is the route of this request.
    fn learned_of(
        &mut self,
        turn: Turn<'_, impl Host>,
        ask: &Ask,
        number: u32,
    ) -> Option<(LearnedRoute, Timestamp)> {
        let route = self.route_of(turn.host, ask)?;
        let (learned, met) = LearnedRoute::read(turn.host, number, turn.now.mono)?;
        learned.is_of(&route, self.writer.seed(turn.host)).then_some((learned, met))
    }

    /// The route of a request that a client waits for; none where it leads to no cluster, or no client asks.
    pub(super) fn route_of(&self, host: &impl Host, ask: &Ask) -> Option<super::Route> {
        if ask.is_nobodys { None } else { host.route(ask.stream) }
    }

    /// Whether a request would be told apart from no other by what the root does not send: else what the root fetches
    /// on its behalf would belong under another key.
    pub(super) fn is_client_independent(&mut self, host: &impl Host, ask: &Ask, place: &Place) -> bool {
        // What a filter tells the origin of who that is may stand in a field that we take for any other.
        if ask.is_authenticated(host) {
            return false;
        }
        // What is not UTF-8 cannot be said in a call.
        let is_sayable =
            |(name, value): (&[u8], &[u8])| !name.starts_with(b":") || str::from_utf8(value).is_ok();
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
        let primary = self.writer.place(host, base.to_vec());
        match self.stored(host, &primary).as_ref().map(|entry| &entry.record.content) {
            Some(Content::Variants(variants)) => {
                key::variant(&base, &variants.nominated, &sent, &ask.options) == place.key
            }
            Some(Content::Response(_) | Content::Search(_)) | None => false,
        }
    }

    /// The cluster that leads to the route table of the listener that a request has come through, unless Envoy was found
    /// to lack it. Other listeners may have other routes, and other filters before their origins.
    pub(super) fn table_cluster<'a>(&self, ask: &'a Ask, now: Now) -> Option<&'a str> {
        self.table_clusters.usable(&ask.config, now.mono)
    }

    /// The cluster for fetches of the root that a configuration names, if Envoy was found to lack it.
    #[must_use]
    pub fn lacked_cluster<'a>(&self, config: &'a Config) -> Option<&'a str> {
        self.table_clusters.lacked(config)
    }
}

/// Whether only a part is stored, of something that is too large to be stored whole: the root would take it in for
/// nothing, while a client's own request streams.
fn is_hopeless(miss: &Miss<'_>) -> bool {
    let part = miss.best.entry.as_deref().and_then(Entry::response);
    let limit = body_limit_by(&miss.ask.config, &miss.ask.options);
    part.is_some_and(|part| !may_be_completed(&part.stored, limit.bytes_max))
}
