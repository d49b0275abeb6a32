//! Stored responses and invalidations in proxy-wasm shared data, under a fixed set of keys.
//!
//! Shared data has no delete and no list, so every key comes from a set that configuration bounds (`v` is [`SCHEMA`]):
//!
//! | key | value |
//! |---|---|
//! | `v/s/<set>` | [`set::SetValue`]: the directory ways and the flights of one set, the only lock there is |
//! | `v/r/<set>/<way>` | [`record::Record`]: one stored response, which proves itself by its full key |
//! | `v/c/<set>/<way>/<n>` | a chunk of a body that does not fit the record, which proves itself by its generation |
//! | `v/h/<n>` | the bytes that are stored of a host, where that is limited, and in which sets ([`hosts`]) |
//! | `v/bytes`, `v/entries` | the number of bytes and records stored |
//! | `v/sets` | the most sets that there ever were ([`set`]) |
//! | `v/p/<n>` | what was learned of a route ([`crate::cache::LearnedRoute`]); ways name it |
//! | `v/cluster` | whether Envoy lacks the cluster for fetches of the root ([`crate::cache`]) |
//! | `v/breakers` | the clusters in trouble ([`crate::breaker`]) |
//! | `j/<n>` | a segment of the invalidation journal, outside the schema version |
//! | `namespaces` | the versions of namespaces that the admin route shows ([`crate::admin::Namespaces`]) |
//! | `workers` | [`workers`]: who can be woken; hints only |
//! | `shown/<gauge>` | what the workers of this `vm_id` have added to a gauge, which all `vm_id`s share |
//! | `seed` | the secret that keys fingerprints |
//! | `searches` | there once `No-Vary-Search` was met ([`crate::cache`]) |
//! | `epoch` | the journal's clock, where Envoy's gauges do not count |
//!
//! Readers never fail: what cannot be decoded, or does not belong together, is a miss.

pub mod body;
pub mod budget;
pub mod cost;
pub mod eviction;
pub mod flights;
pub mod hosts;
pub mod journal;
pub mod memory;
mod quota;
pub mod record;
pub mod set;
mod shared;
pub mod sizes;
pub mod sum;
pub mod workers;
mod writer;

pub use shared::{Cas, Memory, SharedData, StoreHost, Versioned};
pub use writer::{Identity, Lease, Limits, Place, Writer, wake};

use core::hash::Hasher;
use siphasher::sip::SipHasher13;

/// The version of all layouts below the prefix; another version's data is never looked at.
pub const SCHEMA: &str = "6";

/// How often a compare-and-set is tried. Beyond it a request goes to the origin, a response is not stored, a command gets a
/// 503, and what would only help is left out.
pub const TRIES: usize = 8;

/// A key of shared data: the version of the layouts, a kind, and numbers. Every request that is not answered from the
/// worker's own memory makes some, so they are made without the machinery of `format!`.
#[must_use]
pub fn shared_key(kind: &str, numbers: &[u32]) -> String {
    let mut key = String::with_capacity(32);
    key.push_str(SCHEMA);
    key.push('/');
    key.push_str(kind);
    for number in numbers {
        key.push('/');
        key.push_str(itoa::Buffer::new().format(*number));
    }
    key
}

/// Replaces the value of a key by what `change` makes of it, of nothing where it is absent; what it is then, or none when
/// others were always faster.
pub(crate) fn update(
    data: &impl SharedData,
    key: &str,
    change: impl Fn(&[u8]) -> Vec<u8>,
) -> Option<Vec<u8>> {
    for _ in 0..TRIES {
        let found = data.get(key);
        let (bytes, cas) = match &found {
            Some(found) => (found.bytes.as_slice(), found.cas),
            None => (&[][..], Cas::Absent),
        };
        let value = change(bytes);
        if value == bytes || data.compare_and_set(key, &value, cas) {
            return Some(value);
        }
    }
    None
}

/// A keyed 64-bit hash of a cache key: where it is looked up. Zero means "nothing", so it is never one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// Whether it is one.
    #[must_use]
    pub fn is_some(self) -> bool {
        self.0 != 0
    }
}

/// The secret that keys fingerprints, the same for all workers, so that nobody outside can aim keys at one set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seed(pub u64, pub u64);

impl Seed {
    /// The seed that all workers share: the first worker's random proposal wins.
    pub fn shared(data: &impl SharedData, proposal: Seed) -> Seed {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&proposal.0.to_le_bytes());
        bytes[8..].copy_from_slice(&proposal.1.to_le_bytes());
        data.compare_and_set("seed", &bytes, Cas::Absent);
        data.get("seed").and_then(|found| Seed::decode(&found.bytes)).unwrap_or(proposal)
    }

    fn decode(bytes: &[u8]) -> Option<Seed> {
        let mut bytes = codec::Reader::new(bytes);
        Some(Seed(bytes.u64()?, bytes.u64()?))
    }

    /// The fingerprint of a cache key.
    #[must_use]
    pub fn fingerprint(self, key: &[u8]) -> Fingerprint {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        hasher.write(key);
        Fingerprint(hasher.finish().max(1))
    }
}

/// Fixed-width integers, little endian.
pub(crate) mod codec {
    /// Reads integers off the front of a slice; `None` past its end.
    pub struct Reader<'a>(&'a [u8]);

    impl<'a> Reader<'a> {
        pub fn new(bytes: &'a [u8]) -> Self {
            Reader(bytes)
        }

        #[inline]
        pub fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
            let (head, rest) = self.0.split_at_checked(len)?;
            self.0 = rest;
            Some(head)
        }

        #[inline]
        pub fn u8(&mut self) -> Option<u8> {
            self.bytes(1)?.first().copied()
        }

        #[inline]
        pub fn u16(&mut self) -> Option<u16> {
            Some(u16::from_le_bytes(self.bytes(2)?.try_into().ok()?))
        }

        #[inline]
        pub fn u32(&mut self) -> Option<u32> {
            Some(u32::from_le_bytes(self.bytes(4)?.try_into().ok()?))
        }

        #[inline]
        pub fn u64(&mut self) -> Option<u64> {
            Some(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?))
        }

        pub fn rest(&self) -> &'a [u8] {
            self.0
        }
    }
}
