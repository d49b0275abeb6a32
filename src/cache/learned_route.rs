//! What the route table made of a request, learned from a fetch on Envoy's own path. Calls of the root do not pass the
//! route table; where there is no cluster that leads them there (`collapse.cluster`), a refresh may go by what was learned,
//! as long as that is certain to be the route still.

use core::time::Duration;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::http::{Facts, Fields, RequestHead, facts};
use crate::store::{Seed, SharedData, shared_key};
use crate::time::{Monotonic, Now, Timestamp};

/// How long a route that was learned is taken to be as it was: a change of it that its name and its cluster do not show
/// takes effect by then.
const LEARNED_FOR: Duration = Duration::from_secs(60);
/// How long it stays unsaid that a learned route was met again, where nothing was purged meanwhile.
const SAID_EVERY: Duration = Duration::from_secs(5);
/// The most fields that a learned route removes. Beyond it the route is not learned, and without `collapse.cluster`
/// clients' own requests refresh what came by it.
const REMOVED_MAX: usize = 64;

/// The route that Envoy has chosen for a request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Route {
    /// The cluster, chosen among several where the route has weights.
    pub cluster: String,
    /// The name of the virtual host.
    pub virtual_host: Vec<u8>,
    /// The name of the route; empty where it has none.
    pub name: Vec<u8>,
    /// Its metadata, serialised.
    pub metadata: Vec<u8>,
}

impl Route {
    /// A number that another route has only by chance.
    fn number(&self, seed: Seed) -> u64 {
        let parts = [self.cluster.as_bytes(), &self.virtual_host, &self.name, &self.metadata];
        seed.fingerprint(&postcard::to_allocvec(&parts).unwrap_or_default()).0
    }
}

/// How a request for a key reached its origin: where it was sent, and how the route rewrote it. A route, or a filter
/// behind the cache, that adds or changes a field is not learned: nobody can tell whether what it adds belongs to the route
/// for good, to this one request, or is a credential.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LearnedRoute {
    /// The cluster that was chosen.
    pub cluster: String,
    /// The number of the route that it was learned from.
    of: u64,
    /// What `:path` begins with, and what it was rewritten to, where it was.
    path: Option<(Vec<u8>, Vec<u8>)>,
    /// `:authority`, where it was rewritten.
    authority: Option<Vec<u8>>,
    /// Names of fields that were removed.
    removed: Vec<Vec<u8>>,
}

impl LearnedRoute {
    /// What a route made of a request, from the request as it came to the route and as it was sent; none when that cannot
    /// be done again for another request.
    #[must_use]
    pub fn learned(route: Route, seed: Seed, came: &RequestHead, sent: &Fields) -> Option<LearnedRoute> {
        let rewritten =
            |name: &str| sent.get(name).filter(|v| came.fields.get(name) != Some(*v)).map(<[u8]>::to_vec);
        let is_new = |(name, value): (&[u8], &[u8])| {
            !is_of_one_request(name) && !came.fields.get_all(name).any(|came| came == value)
        };
        if sent.iter().any(is_new) || rewritten(":method").is_some() || !sent.contains(":path") {
            return None;
        }
        let gone = |name: &&[u8]| !sent.contains(*name) && !is_of_one_request(name);
        let removed: Vec<_> =
            came.fields.iter().map(|(name, _)| name).filter(gone).map(<[u8]>::to_vec).collect();
        (removed.len() <= REMOVED_MAX).then(|| LearnedRoute {
            of: route.number(seed),
            cluster: route.cluster,
            path: rewritten(":path").map(|sent| difference(came.path(), &sent)),
            authority: rewritten(":authority"),
            removed,
        })
    }

    /// Whether it was learned from this very route.
    #[must_use]
    pub fn is_of(&self, route: &Route, seed: Seed) -> bool {
        self.of == route.number(seed)
    }

    /// A request as the route would have sent it; none when its path is not one for this route.
    #[must_use]
    pub fn applied(&self, request: &RequestHead) -> Option<Fields> {
        let mut fields = request.fields.clone();
        fields.retain(|name, _| !self.removed.iter().any(|n| n == name));
        if let Some((from, to)) = &self.path {
            fields.set(":path", [to, request.path().strip_prefix(from.as_slice())?].concat());
        }
        if let Some(authority) = &self.authority {
            fields.set(":authority", authority);
        }
        Some(fields)
    }

    /// The number that ways name it by ([`crate::store::set::KeyRoute::Learned`]): a keyed hash, so that nobody outside
    /// can make two alike.
    #[must_use]
    pub fn number(&self, seed: Seed) -> u32 {
        let bytes = postcard::to_allocvec(self).unwrap_or_default();
        (seed.fingerprint(&bytes).0 as u32 >> 1).max(1)
    }

    /// The learned route of this number, if it is still known and was met lately, and when that was.
    pub fn read(data: &impl SharedData, number: u32, now: Monotonic) -> Option<(LearnedRoute, Timestamp)> {
        let kept = kept(data, number)?;
        (now.since(kept.met.mono) <= LEARNED_FOR).then_some((kept.route, kept.met.wall))
    }

    /// Keeps what was met just now, at this head of the journal, under its number. A plain write: it names itself, so in
    /// the worst case one is unknown until the next fetch on Envoy's own path.
    pub fn save(&self, data: &impl SharedData, number: u32, head: u64, now: Now) {
        let is_recent = |kept: &Kept| now.mono.since(kept.met.mono) <= SAID_EVERY && kept.head == head;
        if kept(data, number).is_some_and(|kept| is_recent(&kept)) {
            return;
        }
        if let Ok(bytes) = postcard::to_allocvec(&Kept { number, met: now, head, route: self.clone() }) {
            data.set(&place_of(number), &[checksum(&bytes).as_slice(), &bytes].concat());
        }
    }

    /// Forgets what is kept under a number, because a fetch that went by it has failed.
    pub fn forget(data: &impl SharedData, number: u32) {
        data.set(&place_of(number), &[]);
    }
}

/// How many learned routes are kept. Beyond it one takes the place of another, which is learned again when it is met.
const LEARNED_ROUTES: u32 = 1024;

fn place_of(number: u32) -> String {
    shared_key("p", &[number % LEARNED_ROUTES])
}

/// A learned route in shared data.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Its number: places are fewer than numbers.
    number: u32,
    /// When it was met last.
    met: Now,
    /// The journal's head at that time.
    head: u64,
    route: LearnedRoute,
}

fn kept(data: &impl SharedData, number: u32) -> Option<Kept> {
    let found = data.get(&place_of(number))?;
    let (seal, bytes) = found.bytes.split_first_chunk()?;
    let is_whole = *seal == checksum(bytes);
    postcard::from_bytes(bytes).ok().filter(|kept: &Kept| is_whole && kept.number == number)
}

/// With a damaged name of a host or a cluster a fetch would go where no route leads.
fn checksum(bytes: &[u8]) -> [u8; 8] {
    xxh3_64(bytes).to_le_bytes()
}

/// What a path begins with and what it was rewritten to, without the end that both have in common: so that a route is
/// learned once for all its paths.
fn difference(came: &[u8], sent: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let common = came.iter().rev().zip(sent.iter().rev()).take_while(|(a, b)| a == b).count();
    let without = |path: &[u8]| path.get(..path.len() - common).unwrap_or_default().to_vec();
    (without(came), without(sent))
}

/// Whether a field says nothing of the route, because it belongs to the one request: a pseudo-header field, the conditions
/// and ranges that the cache itself changes, what Envoy says of each request, and its traces.
fn is_of_one_request(name: &[u8]) -> bool {
    const NAMES: &[&[u8]] = &[
        b"connection",
        b"content-length",
        b"expect",
        b"forwarded",
        b"te",
        b"transfer-encoding",
        b"x-forwarded-for",
    ];
    name.starts_with(b":")
        || name.starts_with(b"x-envoy-")
        || facts(name).has(Facts::CONDITION.and(Facts::TRACE))
        || NAMES.contains(&name)
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

    const SEED: Seed = Seed(1, 2);
    const NOW: Now = Now { wall: Timestamp(70_000), mono: Monotonic(7_000) };

    fn came() -> RequestHead {
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

    fn sent(more: &[(&'static str, &'static str)]) -> Fields {
        let lines = [
            (":method", "GET"),
            (":authority", "origin.internal"),
            (":path", "/a?b=1"),
            ("accept", "text/html"),
            ("cookie", "one"),
            ("x-forwarded-for", "192.0.2.7, 192.0.2.8"),
            ("if-none-match", "\"ours\""),
            ("traceparent", "00-1-2-01"),
            ("x-envoy-original-path", "/shop/a?b=1"),
        ];
        lines.iter().chain(more).copied().collect()
    }

    fn blue() -> Route {
        Route { cluster: "blue".into(), virtual_host: b"v".to_vec(), ..Route::default() }
    }

    fn learned(more: &[(&'static str, &'static str)]) -> Option<LearnedRoute> {
        LearnedRoute::learned(blue(), SEED, &came(), &sent(more))
    }

    #[test]
    fn the_next_request_is_sent_as_the_route_sent_the_first() {
        let route = learned(&[]).unwrap();
        let next = request(&[
            (":method", "GET"),
            (":authority", "shop.example"),
            (":path", "/shop/a?b=1"),
            ("accept", "text/plain"),
            ("x-drop", "2"),
        ]);
        let mut want = Fields::from_iter([(":method", "GET"), ("accept", "text/plain")]);
        want.push(":path", "/a?b=1");
        want.push(":authority", "origin.internal");
        let applied = route.applied(&next).unwrap();
        let sorted = |fields: &Fields| {
            let mut lines: Vec<_> = fields.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&applied), sorted(&want));
        assert_eq!(route.cluster, "blue");
    }

    #[test]
    fn a_field_that_somebody_adds_or_changes_cannot_be_learned() {
        for added in [
            ("authorization", "Basic Zm9v"),
            ("cookie", "edge=1"),
            ("proxy-authorization", "x"),
            ("fastly-key", "secret"),
            ("x-sig", "at 12:00"),
            ("x-route", "1"),
            ("accept", "*/*"),
        ] {
            assert_eq!(learned(&[added]), None, "{added:?}");
        }
        assert!(learned(&[("x-request-id", "7"), ("x-envoy-attempt-count", "1")]).is_some());
        let post = |fields: &mut Fields| fields.set(":method", "POST");
        let mut other = sent(&[]);
        post(&mut other);
        assert_eq!(LearnedRoute::learned(blue(), SEED, &came(), &other), None);
    }

    #[test]
    fn a_route_is_learned_once_for_all_its_paths() {
        let routed = |came: &str, sent: &str| {
            let path = |path: &str| Fields::from_iter([(":method", "GET"), (":path", path)]);
            let came = RequestHead { fields: path(came), has_body: false };
            let route = LearnedRoute::learned(blue(), SEED, &came, &path(sent)).unwrap();
            assert_eq!(route.applied(&came).unwrap().get(":path"), Some(sent.as_bytes()));
            route
        };
        let route = routed("/shop/a?b=1", "/a?b=1");
        assert_eq!(routed("/shop/shop", "/shop"), route);
        assert_ne!(routed("/a", "/v1/a"), route);
        assert_eq!(route.applied(&request(&[(":path", "/other")])), None, "it is not of this route");
    }

    #[test]
    fn another_cluster_name_or_metadata_is_another_route() {
        let route = learned(&[]).unwrap();
        assert!(route.is_of(&blue(), SEED));
        for other in [
            Route { cluster: "green".into(), ..blue() },
            Route { name: b"canary".to_vec(), ..blue() },
            Route { virtual_host: b"w".to_vec(), ..blue() },
            Route { metadata: vec![1], ..blue() },
            Route { virtual_host: Vec::new(), name: b"v".to_vec(), ..blue() },
        ] {
            assert!(!route.is_of(&other, SEED), "{other:?}");
        }
    }

    #[test]
    fn a_damaged_route_is_none() {
        let data = Memory::default();
        let route = learned(&[]).unwrap();
        let number = route.number(SEED);
        route.save(&data, number, 1, NOW);
        assert_eq!(LearnedRoute::read(&data, number, NOW.mono), Some((route, NOW.wall)));
        let whole = data.get(&place_of(number)).unwrap().bytes;
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            data.set(&place_of(number), &damaged);
            assert_eq!(LearnedRoute::read(&data, number, NOW.mono), None, "{at}");
        }
    }

    #[test]
    fn a_learned_route_is_known_by_its_number_for_a_minute_after_it_was_met() {
        let data = Memory::default();
        let route = learned(&[]).unwrap();
        let number = route.number(SEED);
        let later = |secs| {
            let by = Duration::from_secs(secs);
            Now { wall: NOW.wall.after(by), mono: NOW.mono.after(by) }
        };
        let read = |number, now: Now| LearnedRoute::read(&data, number, now.mono);
        route.save(&data, number, 0, NOW);
        assert_eq!(read(number, later(60)), Some((route.clone(), NOW.wall)));
        assert_eq!(read(number, later(61)), None, "nobody has met it since");
        assert_eq!(read(number.wrapping_add(LEARNED_ROUTES), NOW), None, "another's");
        route.save(&data, number, 0, later(3));
        assert_eq!(read(number, NOW).unwrap().1, NOW.wall, "it need not be said again so soon");
        route.save(&data, number, 1, later(4));
        assert_eq!(read(number, NOW).unwrap().1, later(4).wall, "but for a purge");
        route.save(&data, number, 1, later(50));
        assert!(read(number, later(110)).is_some());
        LearnedRoute::forget(&data, number);
        assert_eq!(read(number, later(50)), None);
        assert_ne!(route.number(Seed(1, 3)), number);
    }
}
