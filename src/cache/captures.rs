//! How many responses that went beside any flight are captured at a time, so that a crowd that goes to the origin does not
//! fill the worker's memory.

use hashbrown::HashMap;
use std::rc::Rc;

use crate::store::Fingerprint;

/// So many responses to one key are captured at a time in a worker, in case that one breaks off or is slow. Beyond it a
/// response passes and is not stored (`no-flight`).
const CAPTURES_MAX: usize = 2;
/// The most keys of which responses are captured. Beyond it a response passes and is not stored (`no-flight`).
const KEYS_MAX: usize = 1024;

/// How many such responses are being captured, by where they belong.
#[derive(Default)]
pub(super) struct Captures(HashMap<Fingerprint, Rc<()>>);

impl Captures {
    /// A place among those of a key, as long as it is held; none when there are as many as may be.
    pub(super) fn take(&mut self, fingerprint: Fingerprint) -> Option<Rc<()>> {
        if self.0.len() >= KEYS_MAX {
            self.0.retain(|_, held| Rc::strong_count(held) > 1);
        }
        if self.0.len() >= KEYS_MAX && !self.0.contains_key(&fingerprint) {
            return None;
        }
        let held = self.0.entry(fingerprint).or_default();
        (Rc::strong_count(held) <= CAPTURES_MAX).then(|| Rc::clone(held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn so_many_responses_to_a_key_are_captured_and_of_so_many_keys() {
        let mut captures = Captures::default();
        let key = Fingerprint(7);
        let held: Vec<_> = (0..CAPTURES_MAX).map(|_| captures.take(key).unwrap()).collect();
        assert!(captures.take(key).is_none());
        drop(held);
        let _held = captures.take(key).unwrap();
        let others: Vec<_> = (100..).map_while(|n| captures.take(Fingerprint(n))).collect();
        assert_eq!(others.len(), KEYS_MAX - 1);
        assert!(captures.take(key).is_some(), "it has a place already");
        drop(others);
        assert!(captures.take(Fingerprint(8)).is_some());
    }
}
