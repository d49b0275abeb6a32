//! Values in shared data that nobody of ours has written: whatever lies there, it is read as something harmless.

use larder::admin::Namespaces;
use larder::cache::LearnedRoute;
use larder::invalidation::{Invalidation, Mode, Selector, Source, Subject, Verdict};
use larder::store::eviction;
use larder::store::flights::{self, FlightEnd, NewFlight};
use larder::store::journal::{Mirror, Synced};
use larder::store::record::{Record, Slot};
use larder::store::set::SetSnapshot;
use larder::store::{Fingerprint, Memory, SCHEMA, SharedData, workers};
use larder::time::{Monotonic, Timestamp};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

const SLOT: Slot = Slot { set: 0, way: 0 };

fn key(name: &str) -> String {
    format!("{SCHEMA}/{name}")
}

/// The first byte says under which key the rest lies.
pub fn read(bytes: &[u8]) {
    let Some((which, value)) = bytes.split_first() else { return };
    let data = Memory::default();
    match which % 6 {
        0 => set(&data, value),
        1 => record(&data, value),
        2 => journal(&data, value),
        3 => {
            data.set("workers", value);
            let now = Monotonic(1_000_000);
            assert!(workers::present(&data, now).len() <= workers::WORKERS_MAX);
            let held = workers::Held { copies: 7, in_flight: u64::MAX };
            if let Some(place) = workers::claim(&data, 7, held, now) {
                assert_eq!(workers::claim(&data, 7, held, now), Some(place));
            }
        }
        4 => {
            data.set(&key("p/7"), value);
            let _ = LearnedRoute::read(&data, 7, Monotonic(0));
        }
        _ => {
            let table = Namespaces::decode(value);
            assert_eq!(Namespaces::decode(&table.encode()), table);
        }
    }
}

/// A flight that is led in any set can land, and leaves what it says it leaves.
fn set(data: &Memory, value: &[u8]) {
    // The checksum of set 0, so that the rest is looked at.
    let sealed = [&(xxh3_64_with_seed(value, 0) as u32).to_le_bytes(), value].concat();
    data.set(&key("s/0"), &sealed);
    let found = SetSnapshot::read(data, 0);
    let now = Monotonic(1_000_000);
    // Unique for ever, so nobody else's.
    let generation = (1..).find(|generation| found.value.flight(*generation).is_none()).unwrap();
    let new = NewFlight { fingerprint: Fingerprint(7), generation, owner: 1, until: Monotonic(1_002_000) };
    let _ = (found.value.bytes(), eviction::victim(&found.value, now, Timestamp(0)));
    if let Some((led, flight)) = flights::led(&found.value, new, now, Timestamp(0)) {
        assert!(found.replace(data, &led));
        assert_eq!(SetSnapshot::read(data, 0).value.flight(flight.generation), led.flight(flight.generation));
        let landed = flights::ended(&led, flight.generation, FlightEnd::default());
        assert!(landed.is_some_and(|landed| landed.set.flight(flight.generation).is_none()));
    }
}

/// With a checksum that is right, so that the rest is looked at.
fn record(data: &Memory, value: &[u8]) {
    let sealed = [&xxh3_64(value).to_le_bytes(), value].concat();
    for name in ["r/0/0", "c/0/0/0", "c/0/0/1"] {
        data.set(&key(name), &sealed);
    }
    let Some((peeked, _)) = Record::peek(data, SLOT) else { return };
    let Some(read) = Record::read(data, SLOT, &peeked.key) else { return };
    assert_eq!(read.key, peeked.key);
    let other = Slot { set: 0, way: 1 };
    read.encoded().write(data, other, 0);
    assert_eq!(Record::read(data, other, &read.key), Some(read));
}

/// What is appended to any journal that can be read holds for whoever reads it.
fn journal(data: &Memory, value: &[u8]) {
    let (first, content) = value.split_first().unwrap_or((&1, &[]));
    let sealed = [&[2], &xxh3_64(content).to_le_bytes()[..], content].concat();
    data.set(&format!("j/{first}"), if first % 2 == 0 { content } else { &sealed });
    data.set("j/1", &sealed);
    data.advance_epoch();
    let mut mirror = Mirror::new(1000);
    if mirror.sync(data) == Synced::Unavailable {
        return;
    }
    let purge = Invalidation {
        mode: Mode::Hard,
        selector: Selector::Uri(b"h.example/a".to_vec()),
        issued_at: Timestamp(1),
        source: Source::UnsafeMethod,
        reason: None,
    };
    let uri = b"h.example/a";
    let subject = Subject { uri, tags: &[], status: 200, content_type: b"", stored_at: Timestamp(0) };
    let (_, _) = (mirror.tail(data, None, 10), mirror.covering(data, &subject, 0, 10));
    let stamp = mirror.head();
    if let Ok(at) = mirror.append(data, &purge, 1) {
        assert!(at > stamp, "{at} is not after {stamp}");
        for mut reader in [Mirror::new(1000), mirror] {
            if reader.sync(data) != Synced::Unavailable {
                assert_eq!(reader.verdict(&subject, stamp), Verdict::Hard);
            }
        }
    }
}
