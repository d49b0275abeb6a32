//! Learning how keys reach their origins, from what the router has made of requests ([`Recipe`]).

use super::dispatch::as_anyone;
use super::{Ask, Cache, Host, Place, Recipe};
use crate::metrics::Counter;
use crate::policy::key;
use crate::store::record::Content;
use crate::store::set::SetSnapshot;
use crate::store::{Fingerprint, TRIES};

impl Cache {
    /// The stream of this request is being logged: now it is known what the router made of it.
    pub fn learn_route(&mut self, host: &impl Host, ask: &Ask) {
        let Some(fingerprint) = ask.home.get() else { return };
        if let Some(recipe) = route_of(host, ask) {
            self.keep_recipe(host, fingerprint, &recipe);
        }
    }

    /// Keeps how a key reaches its origin. Most keys go the same few ways, so their ways in the set only name one.
    pub(super) fn keep_recipe(&mut self, host: &impl Host, fingerprint: Fingerprint, recipe: &Recipe) {
        let route = self.kept(host, recipe);
        for _ in 0..TRIES {
            let set = SetSnapshot::read(host, self.set_of(fingerprint));
            let Some(way) = set.value.way_of(fingerprint) else { return };
            let Some(value) = set.value.routed(way, route) else { return };
            if set.replace(host, &value) {
                return;
            }
            host.count(Counter::Conflict);
        }
    }

    /// The number of a recipe, under which it is kept from now on.
    pub(super) fn kept(&mut self, host: &impl Host, recipe: &Recipe) -> u32 {
        let route = recipe.route(self.seed(host));
        if self.route_kept != route {
            recipe.keep(host, route);
            self.route_kept = route;
        }
        route
    }

    /// Whether a request would be told apart from no other by what the root does not send: else what the root fetches
    /// on its behalf would belong under another key.
    pub(super) fn is_anyones(&mut self, host: &impl Host, ask: &Ask, place: &Place) -> bool {
        let sent = as_anyone(&ask.request);
        if key::primary(&sent, &ask.options) != ask.key {
            return false;
        }
        let base = ask.base_key();
        if place.key == *base {
            return true;
        }
        let primary = self.place(host, base.to_vec());
        match self.stored(host, &primary).as_ref().map(|entry| &entry.record.content) {
            Some(Content::Variants(variants)) => key::variant(&base, &variants.nominated, &sent) == place.key,
            Some(Content::Response(_) | Content::Search(_)) | None => false,
        }
    }
}

/// What the router has made of a request whose stream is being logged.
pub(super) fn route_of(host: &impl Host, ask: &Ask) -> Option<Recipe> {
    let (sent, cluster) = host.routed(ask.stream)?;
    Recipe::learned(&ask.forwarded(), &sent, cluster, || host.peer())
}
