//! What the responses of one host may take, where that is limited: a response that would bring its host beyond takes the
//! place of others of that host.

use super::hosts::HostBucket;
use super::set::SetSnapshot;
use super::writer::{Lease, Writer};
use super::{SharedData, StoreHost, eviction};
use crate::turn::Turn;

/// The most responses of a host that make room for one. Beyond it that one is not stored (`host-quota`).
const EVICTIONS_MAX: u32 = 16;
/// The sets that the hand comes to in search of a response of the host. Beyond it only sets that are known to have some of
/// the host are looked at.
const SETS_PER_EVICTION: u32 = 32;

impl Writer {
    /// Where the bytes of a response with this URI are counted; nowhere where hosts are not limited.
    pub(super) fn host_of(&mut self, data: &impl SharedData, uri: &[u8]) -> HostBucket {
        match self.limits.host_bytes_max {
            Some(_) => HostBucket::of(self.seed(data), uri),
            None => HostBucket::default(),
        }
    }

    /// Makes room for so many bytes within what a host may take; whether there is.
    pub(super) fn fits_host(
        &mut self,
        turn: Turn<'_, impl StoreHost>,
        lease: &Lease,
        bucket: HostBucket,
        bytes: u64,
    ) -> bool {
        let Some(most) = self.limits.host_bytes_max else { return true };
        for _ in 0..EVICTIONS_MAX {
            let set = SetSnapshot::read(turn.host, lease.place.set);
            let own = set.value.ways.get(usize::from(lease.slot.way)).filter(|way| way.host == bucket);
            let freed = own.map_or(0, |way| way.bytes);
            if bucket.bytes(turn.host).saturating_add(bytes) <= most.saturating_add(freed) {
                return true;
            }
            if !self.evict_of(turn, &set, bucket) {
                return false;
            }
        }
        false
    }

    /// Evicts a response of a host: from this set, from one that the hand comes to, or from where the host is known to
    /// have some; whether there was one.
    fn evict_of(&mut self, turn: Turn<'_, impl StoreHost>, set: &SetSnapshot, bucket: HostBucket) -> bool {
        let of_host = |set: &SetSnapshot| {
            eviction::victim_among(&set.value, |way| way.host == bucket, turn.now.mono, turn.now.wall)
        };
        if let Some((way, _)) = of_host(set) {
            return self.empty(turn, set, way);
        }
        // The hand finds old ones as well as new ones, but none at all where there are few.
        let mut places: Vec<u32> = (0..SETS_PER_EVICTION).map(|_| self.next_in_hand()).collect();
        places.extend(bucket.sets(turn.host));
        for place in places {
            let set = SetSnapshot::read(turn.host, place);
            if let Some((way, _)) = of_host(&set) {
                return self.empty(turn, &set, way);
            }
        }
        false
    }
}
