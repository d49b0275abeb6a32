//! What may be seen in shared data at any time: a fixed set of keys, bounded values, sets that make sense.

use std::time::Duration;

use larder::outcome::metrics::Gauge;
use larder::store::set::{SetSnapshot, SetValue, WAYS};
use larder::store::{Cas, Fingerprint, SCHEMA, SharedData, Versioned};
use larder::time::Monotonic;

use crate::host::World;

/// Shared data, only to be looked at.
struct Glass<'a>(&'a World);

impl SharedData for Glass<'_> {
    fn get(&self, key: &str) -> Option<Versioned> {
        self.0.shared(key).map(|bytes| Versioned { bytes, cas: Cas::At(1) })
    }
    fn set(&self, _: &str, _: &[u8]) {}
    fn compare_and_set(&self, _: &str, _: &[u8], _: Cas) -> bool {
        false
    }
    fn epoch(&self) -> u64 {
        0
    }
    fn advance_epoch(&self) {}
    fn wake(&self, _: u8, _: Fingerprint) {}
    fn add_bytes(&self, _: i64) -> u64 {
        0
    }
    fn bytes(&self) -> u64 {
        0
    }
    fn add_entries(&self, _: i64) {}
    fn entries(&self) -> u64 {
        0
    }
}

/// Sets that hold entries when at most so many entries are kept.
pub fn sets(entries_max: u32) -> u32 {
    entries_max.div_ceil(WAYS as u32)
}

/// The sets that were ever written.
fn written(world: &World) -> Vec<(u32, SetValue)> {
    let prefix = format!("{SCHEMA}/s/").into_bytes();
    let keys: Vec<Vec<u8>> = world.look(|h| {
        let sets = h.shared.values.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
        sets.map(|(key, _)| key.clone()).collect()
    });
    let numbers = keys.iter().filter_map(|key| std::str::from_utf8(&key[prefix.len()..]).ok()?.parse().ok());
    numbers.map(|number| (number, SetSnapshot::read(&Glass(world), number).value)).collect()
}

/// No key twice among ways or flights, no way reserved twice, no lease beyond what leases last.
pub fn check_sets(world: &World, lease: Duration) -> Result<(), String> {
    let now = Monotonic(world.now() / 1_000_000);
    for (number, set) in written(world) {
        let wrong = |what: &str| Err(format!("{what} in set {number}: {set:?}"));
        let ways = set.ways.iter().map(|w| w.fingerprint).filter(|f| f.is_some());
        if has_twins(ways) {
            return wrong("a key has two ways");
        }
        if has_twins(set.flights.iter().map(|f| f.fingerprint).filter(|f| f.is_some())) {
            return wrong("a key has two flights");
        }
        if has_twins(set.flights.iter().filter(|f| f.is_live(now)).map(|f| f.way)) {
            return wrong("a way is reserved twice");
        }
        if set.flights.iter().any(|f| f.is_live(now) && f.until > now.after(lease)) {
            return wrong("a lease longer than leases are");
        }
    }
    Ok(())
}

/// When nothing happens any more nobody holds a lease.
pub fn check_idle(world: &World) -> Result<(), String> {
    let now = Monotonic(world.now() / 1_000_000);
    for (number, set) in written(world) {
        if let Some(flight) = set.flights.iter().find(|f| f.is_live(now)) {
            return Err(format!("a lease is left in set {number}: {flight:?}"));
        }
    }
    Ok(())
}

/// When nothing happens any more the workers agree with the sets on how much is stored.
pub fn check_sums(world: &World) -> Result<(), String> {
    let sets = written(world);
    let bytes: u64 = sets.iter().map(|(_, set)| set.bytes()).sum();
    let entries: u64 = sets.iter().map(|(_, set)| set.entries()).sum();
    for (sum, held) in [("bytes", bytes), ("entries", entries)] {
        let said = world
            .shared(&format!("{SCHEMA}/{sum}"))
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u64::from_le_bytes);
        if said != held {
            return Err(format!("{said} {sum} are said to be stored, and the sets hold {held}"));
        }
    }
    Ok(())
}

/// All keys are among those that the configuration allows.
pub fn check_keys(world: &World, sets: u32) -> Result<(), String> {
    for (key, size) in world.shared_sizes() {
        if !is_known(&key, sets) {
            return Err(format!("a key that nobody foresaw: {key} with {size} bytes"));
        }
    }
    Ok(())
}

fn is_known(key: &str, sets: u32) -> bool {
    let parts: Vec<&str> = key.split('/').collect();
    let below = |text: &str, end: u64| text.parse::<u64>().is_ok_and(|n| n < end);
    match parts[..] {
        ["workers" | "seed" | "epoch" | "searches"] => true,
        ["shown", gauge] => Gauge::ALL.iter().any(|known| known.name() == gauge),
        [SCHEMA, "breakers" | "bytes" | "entries" | "sets"] => true,
        ["j", n] => below(n, 256),
        [SCHEMA, "s", set] => below(set, sets.into()),
        [SCHEMA, "p", n] => below(n, 1024),
        [SCHEMA, "h", n] => below(n, 4097),
        [SCHEMA, "r", set, way] => below(set, sets.into()) && below(way, WAYS as u64),
        [SCHEMA, "c", set, way, n] => below(set, sets.into()) && below(way, WAYS as u64) && below(n, 8),
        _ => false,
    }
}

fn has_twins<T: PartialEq>(items: impl Iterator<Item = T>) -> bool {
    let items: Vec<T> = items.collect();
    items.iter().enumerate().any(|(n, item)| items[..n].contains(item))
}
