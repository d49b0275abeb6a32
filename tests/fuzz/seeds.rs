//! Inputs from which fuzzing can come to all that is read in shared data: what this version writes.

use core::time::Duration;

use larder::http::Fields;
use larder::invalidation::Tag;
use larder::outcome::NotStored;
use larder::policy::StoredResponse;
use larder::store::flights::{self, FlightEnd, NewFlight};
use larder::store::record::{Content, Record, Response, Slot, Variants};
use larder::store::set::{KeyRoute, SetSnapshot, Way};
use larder::store::{Fingerprint, Memory, SCHEMA, SharedData};
use larder::time::{Monotonic, Timestamp};

fn seeds() -> [(&'static str, Vec<u8>); 3] {
    let stored = StoredResponse {
        status: 200,
        fields: Fields::from_iter([("etag", "\"a\""), ("content-type", "text/plain"), ("x-own", "1")]),
        vary: vec!["accept".to_owned()],
        lifetime: Duration::from_secs(60),
        ..StoredResponse::default()
    };
    let (uri, tags, body) = (b"h/p".to_vec(), vec![Tag::new("a").unwrap()], b"body".to_vec().into());
    let (nominated, known) = (stored.vary.clone(), vec![(7, 1_800_000_000)]);
    let variants = Content::Variants(Variants { nominated, uri: uri.clone(), known });
    let response = Content::Response(Box::new(Response { stored, uri, tags, route: None, body }));
    [("set", set_seed()), ("record", record_seed(response)), ("variants", record_seed(variants))]
}

/// A record, a key that was evicted, a flight, and the memory that another was of no use.
fn set_seed() -> Vec<u8> {
    let data = Memory::default();
    let until = Monotonic(2_000_000);
    let flight = |n| NewFlight { fingerprint: Fingerprint(n), generation: n, owner: 0, until };
    let led = |set, n| flights::led(set, flight(n), Monotonic(1), Timestamp(0)).unwrap().0;
    let found = SetSnapshot::read(&data, 0);
    let mut set = found.value;
    set.ways[0] = Way {
        fingerprint: Fingerprint(7),
        bytes: 1500,
        uses: 3,
        route: KeyRoute::Learned(9).into(),
        ..Way::default()
    };
    set.remember(&Way { fingerprint: Fingerprint(8 << 51), uses: 2, ..Way::default() });
    let end = FlightEnd { hit_for_miss: Some((NotStored::NoStore, until)), ..FlightEnd::default() };
    set = flights::ended(&led(&led(&set, 9), 10), 10, end).unwrap().set;
    assert!(found.replace(&data, &set));
    [&[0], &data.get(&format!("{SCHEMA}/s/0")).unwrap().bytes[4..]].concat()
}

fn record_seed(content: Content) -> Vec<u8> {
    let data = Memory::default();
    let record = Record { key: b"k".to_vec(), generation: 7, stamp: 3, asked: Monotonic(9), content };
    record.encoded().write(&data, Slot { set: 0, way: 0 }, 0);
    [&[1], &data.get(&format!("{SCHEMA}/r/0/0")).unwrap().bytes[8..]].concat()
}

#[test]
fn seeds_are_of_this_version() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/shared_data");
    for (name, bytes) in seeds() {
        let path = folder.join(name);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &bytes).unwrap();
        }
        assert!(
            std::fs::read(&path).unwrap() == bytes,
            "{name} is not: UPDATE=1 cargo test seeds_are_of_this_version"
        );
    }
}
