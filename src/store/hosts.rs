//! What the responses of each host take together, where that is limited: one number for each of a fixed set of buckets,
//! which hosts fall into by a keyed hash, so that nobody outside can aim one host at another's.
//!
//! It follows the sets: whoever changes one says here what that has changed. A worker that dies in between leaves a
//! number wrong by one response.

use super::set::{SetValue, Way};
use super::{Seed, SharedData, shared_key, sum};

/// How many buckets there are.
const BUCKETS: u64 = 4096;

/// Where a host is counted; zero where it is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HostBucket(pub u16);

impl HostBucket {
    /// The bucket of the host of a canonical URI.
    #[must_use]
    pub fn of(seed: Seed, uri: &[u8]) -> HostBucket {
        let host = uri.split(|b| *b == b'/').next().unwrap_or_default();
        HostBucket((seed.fingerprint(host).0 % BUCKETS) as u16 + 1)
    }

    /// The bytes that are stored of its hosts.
    #[must_use]
    pub fn bytes(self, data: &impl SharedData) -> u64 {
        u64::try_from(sum::read(data, &self.key())).unwrap_or(0)
    }

    fn is_some(self) -> bool {
        self.0 != 0
    }

    fn key(self) -> String {
        shared_key("h", &[self.0.into()])
    }
}

/// Says what has changed for hosts with a set.
pub(super) fn tell(data: &impl SharedData, before: &SetValue, after: &SetValue) {
    for (before, after) in before.ways.iter().zip(&after.ways) {
        if before.host == after.host {
            add(data, after, after.bytes as i64 - before.bytes as i64);
        } else {
            add(data, before, -(before.bytes as i64));
            add(data, after, after.bytes as i64);
        }
    }
}

fn add(data: &impl SharedData, way: &Way, delta: i64) {
    if way.host.is_some() && delta != 0 {
        // What cannot be added is lost, like what a dying worker does not say.
        let _ = sum::add(data, &way.host.key(), delta);
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
            tell(&data, &before, &after);
            assert_eq!((one.bytes(&data), other.bytes(&data)), (of_one, of_other));
            before = after;
        }
    }
}
