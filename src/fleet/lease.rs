//! Which worker of the process watches the log and ships to it.
//!
//! For economy only: two that do both at once break nothing (R02 of the fleet's model), since what is applied lies in the
//! journal and what has been shipped is what has come back.

use core::time::Duration;

use crate::store::codec::Reader;
use crate::store::{Cas, SharedData};
use crate::time::Monotonic;

const KEY: &str = "fleet/lease";
/// How often its holder says that it lives.
const BEAT: Duration = Duration::from_millis(250);
/// After how long without that another worker takes it.
const EXPIRY: Duration = Duration::from_millis(1_000);

/// This worker's view of the lease.
#[derive(Debug, Default)]
pub struct Lease {
    is_held: bool,
    /// When it was last looked at.
    looked: Option<Monotonic>,
}

impl Lease {
    /// Whether this worker holds it now; takes it, or keeps it, where that is due. `nonce` names the worker.
    pub fn hold(&mut self, data: &impl SharedData, nonce: u32, now: Monotonic) -> bool {
        if self.looked.is_some_and(|looked| now.since(looked) < BEAT) {
            return self.is_held;
        }
        self.looked = Some(now);
        let found = data.get(KEY);
        let (owner, beat) = found.as_ref().and_then(|found| decode(&found.bytes)).unwrap_or_default();
        let is_ours = owner == nonce;
        let is_free = owner == 0 || now.since(beat) >= EXPIRY;
        let expected = found.map_or(Cas::Absent, |found| found.cas);
        self.is_held = (is_ours || is_free) && data.compare_and_set(KEY, &encode(nonce, now), expected);
        self.is_held
    }

    /// Whether it is held, as far as this worker knows.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        self.is_held
    }

    /// Gives it up, so that another worker takes it at once.
    pub fn release(&mut self, data: &impl SharedData, nonce: u32) {
        self.looked = None;
        if !core::mem::take(&mut self.is_held) {
            return;
        }
        if let Some(found) = data.get(KEY)
            && decode(&found.bytes).is_some_and(|(owner, _)| owner == nonce)
        {
            data.compare_and_set(KEY, &encode(0, Monotonic(0)), found.cas);
        }
    }
}

/// The worker that holds the lease, and when it last said so.
#[must_use]
pub fn holder(data: &impl SharedData) -> Option<(u32, Monotonic)> {
    let found = data.get(KEY)?;
    decode(&found.bytes).filter(|(owner, _)| *owner != 0)
}

fn encode(owner: u32, beat: Monotonic) -> Vec<u8> {
    [&owner.to_le_bytes()[..], &beat.0.to_le_bytes()].concat()
}

fn decode(bytes: &[u8]) -> Option<(u32, Monotonic)> {
    let mut reader = Reader::new(bytes);
    Some((reader.u32()?, Monotonic(reader.u64()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn one_holds_it_until_it_is_silent_for_a_second() {
        let data = Memory::default();
        let (mut a, mut b) = (Lease::default(), Lease::default());
        assert!(a.hold(&data, 1, Monotonic(1_000)));
        assert!(!b.hold(&data, 2, Monotonic(1_010)));
        for now in (1_050..3_000).step_by(50) {
            assert!(a.hold(&data, 1, Monotonic(now)));
            assert!(!b.hold(&data, 2, Monotonic(now + 10)));
        }
        // It dies, or sleeps.
        assert!(!b.hold(&data, 2, Monotonic(3_500)));
        assert!(b.hold(&data, 2, Monotonic(4_000)));
        assert!(!a.hold(&data, 1, Monotonic(4_010)));
        assert_eq!(holder(&data), Some((2, Monotonic(4_000))));
    }

    #[test]
    fn one_that_is_given_up_is_taken_at_once() {
        let data = Memory::default();
        let (mut a, mut b) = (Lease::default(), Lease::default());
        assert!(a.hold(&data, 1, Monotonic(1_000)));
        assert!(!b.hold(&data, 2, Monotonic(1_000)));
        a.release(&data, 1);
        assert_eq!((a.is_held(), holder(&data)), (false, None));
        assert!(b.hold(&data, 2, Monotonic(1_300)));
        a.release(&data, 1);
        assert!(b.hold(&data, 2, Monotonic(1_600)), "what is another's is not given up");
    }
}
