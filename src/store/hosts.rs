//! What the responses of each host take together, where that is limited, and in which sets some of them lie: a value for
//! each of a fixed number of buckets, which hosts fall into by a keyed hash, so that nobody outside can aim one host at
//! another's.
//!
//! It follows the sets: whoever changes one says here what that has changed. A worker that dies in between leaves a
//! number wrong by one response.

use super::set::SetValue;
use super::{Seed, SharedData, shared_key, update};
use crate::http::uri;

/// How many buckets hosts are counted in. Beyond it hosts share one, and with it `store.host_bytes_max`.
const BUCKETS: u64 = 4096;
/// How many sets of a bucket of hosts are remembered: with the number of bytes they fill a block of 64 bytes. Beyond it the
/// oldest is forgotten.
const SETS_KNOWN: usize = 12;

/// Where a host is counted; zero where it is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HostBucket(pub u16);

impl HostBucket {
    /// The bucket of the host of a canonical URI.
    #[must_use]
    pub fn of(seed: Seed, uri: &[u8]) -> HostBucket {
        HostBucket((seed.fingerprint(uri::authority(uri)).0 % BUCKETS) as u16 + 1)
    }

    /// The bytes that are stored of its hosts.
    #[must_use]
    pub fn bytes(self, data: &impl SharedData) -> u64 {
        u64::try_from(self.share(data).bytes).unwrap_or(0)
    }

    /// The sets that last took something of its hosts and still have some, the newest last. A hint.
    #[must_use]
    pub fn sets(self, data: &impl SharedData) -> Vec<u32> {
        self.share(data).sets
    }

    fn share(self, data: &impl SharedData) -> Share {
        data.get(&self.key()).map_or_else(Share::default, |found| Share::decode(&found.bytes))
    }

    fn is_some(self) -> bool {
        self.0 != 0
    }

    fn key(self) -> String {
        shared_key("h", &[self.0.into()])
    }
}

/// What is stored of a bucket's hosts.
#[derive(PartialEq, Debug, Default)]
struct Share {
    /// Less than nothing for a moment, when who takes away is the first to say so.
    bytes: i64,
    sets: Vec<u32>,
}

impl Share {
    /// After a change in a set, which has something of the hosts now or has not.
    fn changed(mut self, delta: i64, set: u32, remains: bool) -> Share {
        self.bytes = self.bytes.saturating_add(delta);
        self.sets.retain(|known| *known != set);
        if remains {
            self.sets.push(set);
        }
        let excess = self.sets.len().saturating_sub(SETS_KNOWN);
        self.sets.drain(..excess);
        self
    }

    fn encode(&self) -> Vec<u8> {
        let sets = self.sets.iter().flat_map(|set| set.to_le_bytes());
        self.bytes.to_le_bytes().into_iter().chain(sets).collect()
    }

    fn decode(bytes: &[u8]) -> Share {
        let Some((total, sets)) = bytes.split_first_chunk() else { return Share::default() };
        let (sets, _) = sets.as_chunks();
        let sets = sets.iter().take(SETS_KNOWN).map(|set| u32::from_le_bytes(*set));
        Share { bytes: i64::from_le_bytes(*total), sets: sets.collect() }
    }
}

/// Says what has changed for hosts with a set.
pub(super) fn tell(data: &impl SharedData, set: u32, before: &SetValue, after: &SetValue) {
    let change = |bucket: HostBucket, delta: i64| {
        if bucket.is_some() && delta != 0 {
            let remains = after.ways.iter().any(|way| way.host == bucket);
            // What cannot be written is lost, like what a dying worker does not say.
            let _ = update(data, &bucket.key(), |found| {
                Share::decode(found).changed(delta, set, remains).encode()
            });
        }
    };
    for (before, after) in before.ways.iter().zip(&after.ways) {
        if before.host == after.host {
            change(after.host, after.bytes as i64 - before.bytes as i64);
        } else {
            change(before.host, -(before.bytes as i64));
            change(after.host, after.bytes as i64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_host_has_the_bytes_of_its_ways() {
        let (data, seed) = (Memory::default(), Seed(1, 2));
        let (one, other) = (HostBucket::of(seed, b"one.example/a"), HostBucket::of(seed, b"other.example/"));
        assert_eq!(HostBucket::of(seed, b"one.example/b/c?d"), one);
        assert_ne!((one, one.0), (other, 0));
        let set = |ways: &[(HostBucket, u64)]| {
            let mut set = SetValue::default();
            for (way, (host, bytes)) in set.ways.iter_mut().zip(ways) {
                (way.host, way.bytes) = (*host, *bytes);
            }
            set
        };
        let steps = [
            (set(&[(one, 700), (one, 50), (HostBucket::default(), 9)]), 750, 0),
            (set(&[(other, 20), (one, 60), (one, 9)]), 69, 20),
            (set(&[(HostBucket::default(), 20), (one, 60)]), 60, 0),
            (SetValue::default(), 0, 0),
        ];
        let mut before = SetValue::default();
        for (after, of_one, of_other) in steps {
            tell(&data, 3, &before, &after);
            assert_eq!((one.bytes(&data), other.bytes(&data)), (of_one, of_other));
            let in_set = |bytes| if bytes == 0 { Vec::new() } else { vec![3] };
            assert_eq!((one.sets(&data), other.sets(&data)), (in_set(of_one), in_set(of_other)));
            before = after;
        }
    }

    #[test]
    fn the_sets_that_took_something_last_are_known() {
        let (data, one) = (Memory::default(), HostBucket(1));
        let (empty, mut used) = (SetValue::default(), SetValue::default());
        (used.ways[0].host, used.ways[0].bytes) = (one, 7);
        (0..20).for_each(|set| tell(&data, set, &empty, &used));
        assert_eq!(one.sets(&data), (8..20).collect::<Vec<_>>());
        tell(&data, 9, &used, &empty);
        let mut more = used;
        more.ways[0].bytes = 8;
        tell(&data, 10, &used, &more);
        assert_eq!(one.sets(&data), [8, 11, 12, 13, 14, 15, 16, 17, 18, 19, 10]);
        assert_eq!(one.bytes(&data), 19 * 7 + 1);
        assert_eq!(Share::decode(b"short"), Share::default());
    }
}
