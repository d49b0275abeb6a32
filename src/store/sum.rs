//! A number in shared data that all workers add to. It may be less than nothing for a moment: who takes away what another
//! has added may be the first to say so.

use core::cell::Cell;

use super::{SharedData, update};

/// What it is; nothing where nobody has added to it.
pub fn read(data: &impl SharedData, key: &str) -> i64 {
    data.get(key).map_or(0, |found| number(&found.bytes))
}

/// Adds to it; what it is then, or none when others were always faster.
pub fn add(data: &impl SharedData, key: &str, delta: i64) -> Option<i64> {
    update(data, key, |found| number(found).saturating_add(delta).to_le_bytes().to_vec())
        .map(|sum| number(&sum))
}

/// Sets it; what it was before, or none when others were always faster.
pub fn replace(data: &impl SharedData, key: &str, value: i64) -> Option<i64> {
    let before = Cell::new(0);
    let set = |found: &[u8]| {
        before.set(number(found));
        value.to_le_bytes().to_vec()
    };
    update(data, key, set).map(|_| before.get())
}

fn number(bytes: &[u8]) -> i64 {
    bytes.try_into().map_or(0, i64::from_le_bytes)
}
