//! A number in shared data that all workers add to. It may be less than nothing for a moment: who takes away what another
//! has added may be the first to say so.

use super::{Cas, SharedData, TRIES, update};

/// What it is; nothing where nobody has added to it.
pub fn read(data: &impl SharedData, key: &str) -> i64 {
    data.get(key).map_or(0, |found| number(&found.bytes))
}

/// Adds to it; what it is then, or none when others were always faster.
pub fn add(data: &impl SharedData, key: &str, delta: i64) -> Option<i64> {
    update(data, key, |found| number(found).saturating_add(delta).to_le_bytes().to_vec())
        .map(|sum| number(&sum))
}

/// Sets it, and moves by as much, with `add`, what mirrors it in another place; neither where others were always faster.
///
/// This VM may die between any two of these steps. So the mirror is raised before it is said that it was, and lowered
/// after: then it is too high at worst. Lower than what is said here, the next change would bring it below zero.
pub fn mirror(data: &impl SharedData, key: &str, value: i64, add: impl Fn(i64)) {
    for _ in 0..TRIES {
        let found = data.get(key);
        let by = value.saturating_sub(found.as_ref().map_or(0, |found| number(&found.bytes)));
        if by > 0 {
            add(by);
        }
        let expected = found.map_or(Cas::Absent, |found| found.cas);
        if by == 0 || data.compare_and_set(key, &value.to_le_bytes(), expected) {
            if by < 0 {
                add(by);
            }
            return;
        }
        if by > 0 {
            add(-by);
        }
    }
}

fn number(bytes: &[u8]) -> i64 {
    bytes.try_into().map_or(0, i64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;

    use super::*;
    use crate::store::Memory;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_mirror_is_raised_before_and_lowered_after() {
        let (data, moves) = (Memory::default(), RefCell::new(Vec::new()));
        let set = |value| {
            mirror(&data, "sum", value, |by| moves.borrow_mut().push((by, read(&data, "sum"))));
        };
        [5, 5, 2, 0, 7].into_iter().for_each(set);
        assert_eq!(*moves.borrow(), [(5, 0), (-3, 2), (-2, 0), (7, 0)]);
    }

    #[test]
    fn what_is_not_set_is_not_mirrored() {
        let (data, sum) = (Memory::default(), RefCell::new(0));
        // Somebody else writes in between each time.
        let add = |by| {
            *sum.borrow_mut() += by;
            data.set("sum", &(-1_i64).to_le_bytes());
        };
        mirror(&data, "sum", 5, add);
        assert_eq!((*sum.borrow(), read(&data, "sum")), (0, -1));
    }
}
