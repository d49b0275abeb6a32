//! The sections that belong to the whole plugin and to no rule: store, collapse, `Cache-Status`, rates.

use core::time::Duration;

use super::text::{keywords, text};
use super::units::{count, duration_within, show_duration, show_size, size_within};
use crate::json::{At, Json, Object, Read, boolean};
use crate::store::cost::{KEY_BYTES, SET_BYTES};
use crate::store::record::CHUNK_BYTES;
use crate::store::set::{ENTRIES_LIMIT, LARGE_WAYS, WAYS};

/// What copies and requests under way may take of a VM's memory, which is 1 GiB in Envoy. The rest is for the journal,
/// for streams as such, and for what a callback needs for a moment.
const VM_BYTES: u64 = 768 << 20;

/// The bounds of the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreConfig {
    /// The most bytes in shared data, all workers together.
    pub bytes_max: u64,
    /// The largest body of a response that is stored.
    pub object_bytes_max: u64,
    /// The most stored responses.
    pub entries_max: u32,
    /// The most bytes in shared data of the responses of one host, where these are limited.
    pub host_bytes_max: Option<u64>,
    /// The most bytes of copies in each worker's own memory (L1); 0 turns them off.
    pub worker_bytes_max: u64,
    /// The most bytes of requests and responses under way in each worker's own memory.
    pub in_flight_bytes_max: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        StoreConfig {
            bytes_max: 256 << 20,
            object_bytes_max: 1 << 20,
            entries_max: 65_536,
            host_bytes_max: None,
            worker_bytes_max: 64 << 20,
            in_flight_bytes_max: 256 << 20,
        }
    }
}

impl StoreConfig {
    pub(super) fn read(&mut self, object: &mut Object<'_>) -> Read<()> {
        object.field("bytes_max", &mut self.bytes_max, |at| size_within(at, 1 << 20, 64 << 30))?;
        object.field("object_bytes_max", &mut self.object_bytes_max, |at| size_within(at, 1, 64 << 20))?;
        object.field("entries_max", &mut self.entries_max, |at| count(at, 64, ENTRIES_LIMIT))?;
        object.field("host_bytes_max", &mut self.host_bytes_max, |at| {
            at.or_null(|at| size_within(at, 64 << 10, 64 << 30))
        })?;
        object.field("worker_bytes_max", &mut self.worker_bytes_max, |at| size_within(at, 0, 512 << 20))?;
        object.field("in_flight_bytes_max", &mut self.in_flight_bytes_max, |at| {
            size_within(at, 64 << 10, 512 << 20)
        })?;
        if self.worker_bytes_max + self.in_flight_bytes_max > VM_BYTES {
            let (copies, all) = (show_size(self.worker_bytes_max), show_size(VM_BYTES));
            let message = format!(
                "with store.worker_bytes_max, which is {copies}, it is more than {all}: the VM would not have the memory"
            );
            return Err(object.error("in_flight_bytes_max", message));
        }
        if self.object_bytes_max > self.bytes_max {
            let (body, all) = (show_size(self.object_bytes_max), show_size(self.bytes_max));
            let message = format!("{body} is more than store.bytes_max, which is {all}");
            return Err(object.error("object_bytes_max", message));
        }
        let (fixed, most) = (self.fixed_bytes(), self.bytes_max / 8);
        if fixed > most {
            let (fixed, most) = (show_size(fixed), show_size(most));
            let message = format!(
                "a directory for so many entries, and keys for such bodies, take up to {fixed}, which is more than an \
                 eighth of it ({most}): raise it, or lower store.entries_max or store.object_bytes_max"
            );
            return Err(object.error("bytes_max", message));
        }
        Ok(())
    }

    /// What stays whatever is stored: the sets, and the keys of chunks once each way for large bodies has held a
    /// largest one, and emptied one more.
    fn fixed_bytes(&self) -> u64 {
        let chunks = match self.object_bytes_max.div_ceil(CHUNK_BYTES as u64) {
            0 | 1 => 0,
            chunks => chunks + 1,
        };
        let sets = u64::from(self.entries_max).div_ceil(WAYS as u64);
        sets * (SET_BYTES + LARGE_WAYS as u64 * chunks * KEY_BYTES)
    }
}

/// How requests for the same key become one fetch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CollapseConfig {
    /// Whether they do; rules may say otherwise.
    pub enabled: bool,
    /// How long a flight outlives the last sign of its leader.
    pub lease: Duration,
    /// How long a follower waits before it goes to the origin by itself.
    pub wait_max: Duration,
    /// The timeout of a dispatched fetch.
    pub fetch_timeout: Duration,
    /// Who fetches.
    pub fetch: Fetch,
    /// The cluster that leads dispatched fetches to the route table; without it only refreshes are dispatched.
    pub cluster: Option<String>,
    /// The most requests that wait on one worker.
    pub waiters_max: u32,
    /// The most of them that wait for the same key.
    pub key_waiters_max: u32,
    /// The most refreshes under way on one worker.
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
            key_waiters_max: 1_024,
            refresh_concurrency_max: 32,
        }
    }
}

impl CollapseConfig {
    pub(super) fn read(&mut self, object: &mut Object<'_>) -> Read<()> {
        object.field("enabled", &mut self.enabled, boolean)?;
        object.field("lease", &mut self.lease, |at| duration_within(at, 300, 60_000))?;
        object.field("wait_max", &mut self.wait_max, |at| duration_within(at, 900, 600_000))?;
        object.field("fetch_timeout", &mut self.fetch_timeout, |at| duration_within(at, 100, 600_000))?;
        object.field("fetch", &mut self.fetch, text)?;
        object.field("cluster", &mut self.cluster, |at| at.or_null(cluster))?;
        object.field("waiters_max", &mut self.waiters_max, |at| count(at, 1, 1_000_000))?;
        object.field("key_waiters_max", &mut self.key_waiters_max, |at| count(at, 1, 1_000_000))?;
        object
            .field("refresh_concurrency_max", &mut self.refresh_concurrency_max, |at| count(at, 1, 10_000))?;
        // A follower must outlive a leader that died, and the next one that dies.
        if self.lease.saturating_mul(3) > self.wait_max {
            let (lease, wait) = (show_duration(self.lease), show_duration(self.wait_max));
            let message = format!("{wait} is less than three times collapse.lease, which is {lease}");
            return Err(object.error("wait_max", message));
        }
        Ok(())
    }
}

fn cluster(at: &At<'_>) -> Read<String> {
    match at.value {
        Json::Text(name) if !name.is_empty() => Ok(name.clone()),
        _ => Err(at.wrong("a cluster", "the name of one, or null")),
    }
}

/// When the circuit breaker of a cluster opens, and how it closes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BreakerConfig {
    /// Whether there are any.
    pub enabled: bool,
    /// How many failures in a row open it.
    pub failures: u32,
    /// Within what time.
    pub window: Duration,
    /// How often, while it is open, a request looks whether the origin is back; how long that may take, too.
    pub probe_interval: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        let (window, probe_interval) = (Duration::from_secs(10), Duration::from_secs(5));
        BreakerConfig { enabled: true, failures: 5, window, probe_interval }
    }
}

impl BreakerConfig {
    pub(super) fn read(&mut self, object: &mut Object<'_>) -> Read<()> {
        object.field("enabled", &mut self.enabled, boolean)?;
        object.field("failures", &mut self.failures, |at| count(at, 1, 1_000))?;
        object.field("window", &mut self.window, |at| duration_within(at, 1_000, 600_000))?;
        object.field("probe_interval", &mut self.probe_interval, |at| duration_within(at, 100, 600_000))
    }
}

/// The response header field `Cache-Status` (RFC 9211).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CacheStatusHeader {
    /// Whether responses carry it.
    pub enabled: bool,
}

impl Default for CacheStatusHeader {
    fn default() -> Self {
        CacheStatusHeader { enabled: true }
    }
}

impl CacheStatusHeader {
    pub(super) fn read(&mut self, object: &mut Object<'_>) -> Read<()> {
        object.field("enabled", &mut self.enabled, boolean)
    }
}

/// A rate: a bucket that so much fits into, and that fills so fast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// How much may be taken in a minute.
    pub per_minute: u32,
    /// How much may be taken at once.
    pub burst: u32,
}

impl Default for Rate {
    fn default() -> Self {
        Rate { per_minute: 6_000, burst: 1_000 }
    }
}

impl Rate {
    pub(super) fn read(&mut self, object: &mut Object<'_>) -> Read<()> {
        object.field("per_minute", &mut self.per_minute, |at| count(at, 1, 1_000_000))?;
        object.field("burst", &mut self.burst, |at| count(at, 1, 1_000_000))
    }
}
