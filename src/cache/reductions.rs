//! How routes count queries, for workers and routes that cannot know: a table in shared data.
//!
//! A route's metadata is read by the request that meets it. A purge meets another route, so what metadata says of
//! queries is written down before the first response is stored by it. The purge appends its record first and reads the
//! table then: what was stored before the record was counted in a way that the table had before.

use crate::config::Reductions;
use crate::store::{Cas, SharedData, TRIES};

/// Where the table lies in shared data.
const TABLE: &str = "reductions";

/// The first byte of the table.
const VERSION: u8 = 1;

/// The most bytes of the table of how routes count queries. Beyond it a purge of a URL with a query covers its path with
/// any query.
const BYTES_MAX: usize = 64 << 10;

/// Writes down how a route counts queries. Whether it stands there: if not, nothing may be stored by it.
#[must_use]
pub fn learn(data: &impl SharedData, reductions: &Reductions) -> bool {
    for _ in 0..TRIES {
        let found = data.get(TABLE);
        let (mut table, cas) = match &found {
            Some(found) => (decode(&found.bytes), found.cas),
            None => (Reductions::default(), Cas::Absent),
        };
        if table.covers(reductions) {
            return true;
        }
        table.merge(reductions);
        let mut bytes = encode(&table);
        if bytes.len() > BYTES_MAX {
            table.give_up();
            bytes = encode(&table);
        }
        if data.compare_and_set(TABLE, &bytes, cas) {
            return true;
        }
    }
    false
}

/// How all routes so far count queries.
#[must_use]
pub fn learned(data: &impl SharedData) -> Reductions {
    data.get(TABLE).map(|found| decode(&found.bytes)).unwrap_or_default()
}

fn encode(table: &Reductions) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend(postcard::to_allocvec(table).unwrap_or_default());
    bytes
}

/// What cannot be read may have said anything.
fn decode(bytes: &[u8]) -> Reductions {
    let read = bytes.split_first().filter(|(version, _)| **version == VERSION);
    read.and_then(|(_, table)| postcard::from_bytes(table).ok()).unwrap_or_else(|| {
        let mut table = Reductions::default();
        table.give_up();
        table
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::QueryKey;
    use crate::store::Memory;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn drop(name: &str) -> Reductions {
        let mut reductions = Reductions::default();
        reductions.add(Some(&QueryKey::Drop(vec![name.into()])), None);
        reductions
    }

    #[test]
    fn what_routes_say_adds_up_and_is_bounded() {
        let data = Memory::default();
        assert!(learned(&data).is_empty());
        assert!(learn(&data, &drop("a")) && learn(&data, &drop("b")) && learn(&data, &drop("a")));
        assert!(learned(&data).covers(&drop("a")) && learned(&data).covers(&drop("b")));
        assert_eq!(learned(&data).keys().map(|keys| keys.len()), Some(2));
        assert!(learn(&data, &drop(&"x".repeat(BYTES_MAX))));
        assert_eq!(learned(&data).keys(), None);
        assert!(encode(&learned(&data)).len() < 16);
        assert_eq!(decode(b"?").keys(), None);
    }
}
