//! What the router makes of a request, learned from a fetch on Envoy's own path and replayed by the root's calls,
//! which bypass the route table.

use serde::{Deserialize, Serialize};

use crate::http::{Fields, Peer, RequestHead};
use crate::store::{Seed, SharedData, shared_key};

/// The most fields that a recipe sets or removes; a route that does more is not learned.
const FIELDS_MAX: usize = 64;

/// How a request for a key goes to its origin: the difference that the router made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Recipe {
    /// The cluster that was chosen.
    pub cluster: String,
    /// What `:path` begins with, and what it was rewritten to, where it was.
    path: Option<(Vec<u8>, Vec<u8>)>,
    /// `:authority`, where it was rewritten.
    authority: Option<Vec<u8>>,
    /// Field lines that were added or replaced.
    set: Vec<(Vec<u8>, Vec<u8>)>,
    /// Names of fields that were removed.
    removed: Vec<Vec<u8>>,
}

impl Recipe {
    /// A recipe that only names a cluster.
    #[must_use]
    pub fn to_cluster(cluster: String) -> Recipe {
        Recipe { cluster, path: None, authority: None, set: Vec::new(), removed: Vec::new() }
    }

    /// What the router made of a request, from the request as it came in, as it was sent, and the cluster that it
    /// was sent to; none when that cannot be replayed.
    #[must_use]
    pub fn learned(
        came: &RequestHead,
        sent: &Fields,
        cluster: String,
        peer: impl FnOnce() -> Peer,
    ) -> Option<Recipe> {
        let rewritten =
            |name: &str| sent.get(name).filter(|v| came.fields.get(name) != Some(*v)).map(<[u8]>::to_vec);
        let client = came.fields.get("x-forwarded-for").and_then(last_address);
        let is_learned = |(name, value): &(&[u8], &[u8])| {
            !came.fields.get_all(*name).any(|came| came == *value)
                && is_of_the_route(name)
                && !client.is_some_and(|a| holds(value, a))
        };
        let mut set: Vec<_> = sent.iter().filter(is_learned).map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
        // Where nobody wrote `X-Forwarded-For`, the client is at the other end of the connection.
        if !set.is_empty()
            && let Some(client) = peer().ip()
        {
            set.retain(|(_, value)| !holds(value, client.to_string().as_bytes()));
        }
        let gone = |name: &&[u8]| !sent.contains(*name) && is_of_the_route(name);
        let removed: Vec<_> =
            came.fields.iter().map(|(name, _)| name).filter(gone).map(<[u8]>::to_vec).collect();
        (set.len() + removed.len() <= FIELDS_MAX && sent.contains(":path")).then(|| Recipe {
            cluster,
            path: rewritten(":path").map(|sent| difference(came.path(), &sent)),
            authority: rewritten(":authority"),
            set,
            removed,
        })
    }

    /// The request as the router would have sent it; none when its path is not one for this recipe.
    #[must_use]
    pub fn replayed(&self, request: &RequestHead) -> Option<Fields> {
        let is_set = |name: &[u8]| self.set.iter().any(|(n, _)| n == name);
        let mut fields = request.fields.clone();
        fields.retain(|name, _| !is_set(name) && !self.removed.iter().any(|n| n == name));
        for (name, value) in &self.set {
            fields.push(name, value);
        }
        if let Some((from, to)) = &self.path {
            fields.set(":path", [to, request.path().strip_prefix(from.as_slice())?].concat());
        }
        if let Some(authority) = &self.authority {
            fields.set(":authority", authority);
        }
        Some(fields)
    }

    /// The number that ways name it by: a keyed hash, so that nobody outside can make two alike. Never zero.
    #[must_use]
    pub fn route(&self, seed: Seed) -> u32 {
        let bytes = postcard::to_allocvec(self).unwrap_or_default();
        (seed.fingerprint(&bytes).0 as u32).max(1)
    }

    /// The recipe of this number, if it is still known.
    pub fn read(data: &impl SharedData, route: u32) -> Option<Recipe> {
        let found = data.get(&recipe_key(route)).filter(|_| route != 0)?;
        let (whose, recipe): (u32, Recipe) = postcard::from_bytes(&found.bytes).ok()?;
        (whose == route).then_some(recipe)
    }

    /// Keeps the recipe under its number, unless it is there. A plain write: a recipe names itself, so in the worst
    /// case one is unknown until the next fetch on Envoy's own path.
    pub fn keep(&self, data: &impl SharedData, route: u32) {
        if Recipe::read(data, route).is_none()
            && let Ok(bytes) = postcard::to_allocvec(&(route, self))
        {
            data.set(&recipe_key(route), &bytes);
        }
    }
}

/// How many recipes are kept.
const RECIPES: u32 = 1024;

fn recipe_key(route: u32) -> String {
    shared_key("p", &[route % RECIPES])
}

/// What a path begins with and what it was rewritten to, without the end that both have in common: so that a route has
/// one recipe for all its paths.
fn difference(came: &[u8], sent: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let common = came.iter().rev().zip(sent.iter().rev()).take_while(|(a, b)| a == b).count();
    let without = |path: &[u8]| path.get(..path.len() - common).unwrap_or_default().to_vec();
    (without(came), without(sent))
}

/// Whether the router's treatment of a field says something about the route. Not: pseudo-header fields, the
/// conditions and other fields that the cache itself changes, what carries one client's identity, and what names
/// one request.
fn is_of_the_route(name: &[u8]) -> bool {
    const NOT: &[&[u8]] = &[
        b"authorization",
        b"cookie",
        b"proxy-authorization",
        b"forwarded",
        b"x-forwarded-for",
        b"x-real-ip",
        b"x-request-id",
        b"x-client-trace-id",
        b"traceparent",
        b"tracestate",
        b"baggage",
        b"b3",
        b"if-none-match",
        b"if-modified-since",
        b"if-match",
        b"if-unmodified-since",
        b"if-range",
        b"range",
        b"cache-control",
        b"pragma",
        b"content-length",
        b"transfer-encoding",
        b"connection",
        b"te",
        b"expect",
    ];
    !name.starts_with(b":")
        && !name.starts_with(b"x-envoy-")
        && !name.starts_with(b"x-b3-")
        && !name.starts_with(b"x-datadog-")
        && !NOT.contains(&name)
}

/// The address of the client as Envoy appended it.
fn last_address(forwarded_for: &[u8]) -> Option<&[u8]> {
    forwarded_for.rsplit(|b| *b == b',').next().map(<[u8]>::trim_ascii).filter(|a| !a.is_empty())
}

fn holds(value: &[u8], part: &[u8]) -> bool {
    value.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn request(lines: &[(&str, &str)]) -> RequestHead {
        RequestHead { fields: lines.iter().copied().collect(), has_body: false }
    }

    fn first() -> RequestHead {
        request(&[
            (":method", "GET"),
            (":authority", "shop.example"),
            (":path", "/shop/a?b=1"),
            ("accept", "text/html"),
            ("cookie", "one"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-drop", "1"),
        ])
    }

    fn sent() -> Fields {
        Fields::from_iter([
            (":method", "GET"),
            (":authority", "origin.internal"),
            (":path", "/a?b=1"),
            ("accept", "text/html"),
            ("cookie", "one"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-route", "1"),
            ("x-client", "ip=192.0.2.7"),
            ("x-envoy-original-path", "/shop/a?b=1"),
        ])
    }

    #[test]
    fn without_a_forwarded_for_the_client_is_at_the_other_end_of_the_connection() {
        let without = |fields: &Fields| fields.kept(0, |name, _| name != b"x-forwarded-for");
        let came = RequestHead { fields: without(&first().fields), has_body: false };
        let peer = || Peer { address: "192.0.2.7:4711".into(), ..Peer::default() };
        let recipe = Recipe::learned(&came, &without(&sent()), "blue".into(), peer).unwrap();
        assert_eq!(recipe.set, [(b"x-route".to_vec(), b"1".to_vec())]);
    }

    #[test]
    fn the_next_request_is_sent_as_the_router_sent_the_first() {
        let recipe = Recipe::learned(&first(), &sent(), "blue".into(), Peer::default).unwrap();
        let next = request(&[
            (":method", "GET"),
            (":authority", "shop.example"),
            (":path", "/shop/a?b=1"),
            ("accept", "text/plain"),
            ("x-drop", "2"),
        ]);
        let mut want = Fields::from_iter([(":method", "GET"), ("accept", "text/plain"), ("x-route", "1")]);
        want.push(":path", "/a?b=1");
        want.push(":authority", "origin.internal");
        assert_eq!(recipe.replayed(&next), Some(want));
        assert_eq!(recipe.cluster, "blue");
    }

    #[test]
    fn a_route_has_one_recipe_for_all_its_paths() {
        let routed = |came: &str, sent: &str| {
            let path = |path: &str| Fields::from_iter([(":method", "GET"), (":path", path)]);
            let came = RequestHead { fields: path(came), has_body: false };
            let recipe = Recipe::learned(&came, &path(sent), "blue".into(), Peer::default).unwrap();
            assert_eq!(recipe.replayed(&came).unwrap().get(":path"), Some(sent.as_bytes()));
            recipe
        };
        let recipe = routed("/shop/a?b=1", "/a?b=1");
        assert_eq!(routed("/shop/shop", "/shop"), recipe);
        assert_ne!(routed("/a", "/v1/a"), recipe);
        assert_eq!(recipe.replayed(&request(&[(":path", "/other")])), None, "it is not of this route");
    }

    #[test]
    fn a_recipe_is_known_by_its_number_only() {
        let data = Memory::default();
        let recipe = Recipe::learned(&first(), &sent(), "blue".into(), Peer::default).unwrap();
        let route = recipe.route(Seed(1, 2));
        recipe.keep(&data, route);
        assert_eq!(Recipe::read(&data, route), Some(recipe.clone()));
        assert_eq!(Recipe::read(&data, route.wrapping_add(RECIPES)), None, "the same place, another number");
        assert_ne!(recipe.route(Seed(1, 3)), route);
        assert_eq!(Recipe::read(&data, 0), None);
    }
}
