//! Hit-for-miss in this worker: keys whose responses are not stored, remembered for a while beside what the set says: so
//! that what is never stored passes by without a look at shared data.

use core::time::Duration;
use hashbrown::HashMap;

use crate::outcome::NotStored;
use crate::store::Fingerprint;
use crate::time::Monotonic;

/// How long a worker takes its own word for it: as long it may not know that there is something to share by now.
const REMEMBERED_FOR: Duration = Duration::from_millis(100);
/// The most keys that are remembered whose responses are not stored (hit-for-miss). Beyond it all are forgotten, and shared data
/// are asked instead.
const KEYS_MAX: usize = 4096;

/// What this worker remembers of such keys.
#[derive(Default)]
pub(super) struct HitForMiss {
    known: HashMap<Fingerprint, (NotStored, Monotonic)>,
}

impl HitForMiss {
    /// Why the responses to a key are not stored, where that is known.
    pub(super) fn reason(&self, fingerprint: Fingerprint, now: Monotonic) -> Option<NotStored> {
        let (reason, until) = self.known.get(&fingerprint)?;
        (now < *until).then_some(*reason)
    }

    /// Remembers why the responses to a key are not stored.
    pub(super) fn remember(&mut self, fingerprint: Fingerprint, reason: NotStored, now: Monotonic) {
        if self.known.len() >= KEYS_MAX {
            self.known.clear();
        }
        self.known.insert(fingerprint, (reason, now.after(REMEMBERED_FOR)));
    }

    /// Something has been stored under a key, or so it is said.
    pub(super) fn forget(&mut self, fingerprint: Fingerprint) {
        self.known.remove(&fingerprint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_key_is_remembered_for_a_while_and_only_so_many_are() {
        let (mut memory, now) = (HitForMiss::default(), Monotonic(5));
        for key in 1..=KEYS_MAX as u64 {
            memory.remember(Fingerprint(key), NotStored::NoStore, now);
        }
        let at = |memory: &HitForMiss, after| memory.reason(Fingerprint(7), now.after(after));
        assert_eq!(at(&memory, Duration::from_millis(99)), Some(NotStored::NoStore));
        assert_eq!(at(&memory, REMEMBERED_FOR), None);
        memory.remember(Fingerprint(u64::MAX), NotStored::Private, now);
        assert_eq!(at(&memory, Duration::ZERO), None);
        assert_eq!(memory.known.len(), 1);
        memory.remember(Fingerprint(7), NotStored::Private, now);
        memory.forget(Fingerprint(7));
        assert_eq!(at(&memory, Duration::ZERO), None);
    }
}
