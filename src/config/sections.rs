//! The sections that belong to the whole plugin and to no rule: store, collapse, `Cache-Status`, rates.

use core::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::field::{count, duration, size};
use super::text::keywords;

/// The bounds of the store.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(default, deny_unknown_fields, expecting = "an object")]
pub struct StoreConfig {
    /// The most bytes in shared data, all workers together.
    #[serde(deserialize_with = "size::<{ 1 << 20 }, { 64 << 30 }, _, _>")]
    pub bytes_max: u64,
    /// The largest body of a response that is stored.
    #[serde(deserialize_with = "size::<1, { 64 << 20 }, _, _>")]
    pub object_bytes_max: u64,
    /// The most stored responses.
    #[serde(deserialize_with = "count::<64, { 1 << 24 }, _, _>")]
    pub entries_max: u32,
    /// The most bytes of copies in each worker's own memory (L1); 0 turns them off.
    #[serde(deserialize_with = "size::<0, { 512 << 20 }, _, _>")]
    pub worker_bytes_max: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        StoreConfig {
            bytes_max: 256 << 20,
            object_bytes_max: 1 << 20,
            entries_max: 65_536,
            worker_bytes_max: 64 << 20,
        }
    }
}

/// How requests for the same key become one fetch.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(default, deny_unknown_fields, expecting = "an object")]
pub struct CollapseConfig {
    /// Whether they do; rules may say otherwise.
    pub enabled: bool,
    /// How long a flight outlives the last sign of its leader.
    #[serde(deserialize_with = "duration::<300, 60_000, _>")]
    pub lease: Duration,
    /// How long a follower waits before it goes to the origin by itself.
    #[serde(deserialize_with = "duration::<900, 600_000, _>")]
    pub wait_max: Duration,
    /// The timeout of a dispatched fetch.
    #[serde(deserialize_with = "duration::<100, 600_000, _>")]
    pub fetch_timeout: Duration,
    /// Who fetches.
    pub fetch: Fetch,
    /// The cluster that dispatched fetches go to; the one that the route has chosen when none is given.
    #[serde(deserialize_with = "cluster")]
    pub cluster: Option<String>,
    /// The most requests that wait on one worker.
    #[serde(deserialize_with = "count::<1, 1_000_000, _, _>")]
    pub waiters_max: u32,
    /// The most refreshes under way on one worker.
    #[serde(deserialize_with = "count::<1, 10_000, _, _>")]
    pub refresh_concurrency_max: u32,
}

/// Who fetches a response that is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fetch {
    /// A key that is known to be cacheable is dispatched, all others go inline.
    Auto,
    /// Always the leader's own request, on Envoy's path.
    Inline,
    /// Always a call of the worker's own.
    Dispatched,
}

keywords! {
    Fetch, "a way to fetch":
    "auto" => Fetch::Auto,
    "inline" => Fetch::Inline,
    "dispatched" => Fetch::Dispatched
}

impl Default for CollapseConfig {
    fn default() -> Self {
        CollapseConfig {
            enabled: true,
            lease: Duration::from_secs(2),
            wait_max: Duration::from_secs(10),
            fetch_timeout: Duration::from_secs(30),
            fetch: Fetch::Auto,
            cluster: None,
            waiters_max: 4_096,
            refresh_concurrency_max: 32,
        }
    }
}

fn cluster<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Option::<String>::deserialize(deserializer)? {
        Some(name) if name.is_empty() => {
            Err(D::Error::custom("\"\" is no cluster; expected the name of one"))
        }
        cluster => Ok(cluster),
    }
}

/// The response header field `Cache-Status` (RFC 9211).
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(default, deny_unknown_fields, expecting = "an object")]
pub struct CacheStatusHeader {
    /// Whether responses carry it.
    pub enabled: bool,
}

impl Default for CacheStatusHeader {
    fn default() -> Self {
        CacheStatusHeader { enabled: true }
    }
}

/// A rate: a bucket that so much fits into, and that fills so fast.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(default, deny_unknown_fields, expecting = "an object")]
pub struct Rate {
    /// How much may be taken in a minute.
    #[serde(deserialize_with = "count::<1, 1_000_000, _, _>")]
    pub per_minute: u32,
    /// How much may be taken at once.
    #[serde(deserialize_with = "count::<1, 1_000_000, _, _>")]
    pub burst: u32,
}

impl Default for Rate {
    fn default() -> Self {
        Rate { per_minute: 6_000, burst: 1_000 }
    }
}
