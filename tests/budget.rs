//! The bytes of the store: what the workers say is stored is what the sets hold, and it stays within the budget.

use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use larder::cache::{Cache, CacheRequest, Decision, FetchEnd, Identity, Storable};
use larder::config::{Config, Options};
use larder::http::{Fields, RequestHead, ResponseHead};
use larder::outcome::{NotStored, Stored};
use larder::policy::StoredResponse;
use larder::store::cost::{KEY_BYTES, value_bytes};
use larder::store::hosts::HostBucket;
use larder::store::record::Response;
use larder::store::set::SetSnapshot;
use larder::store::{Fingerprint, Seed, SharedData};
use larder::time::{Monotonic, Now, Timestamp};

use crate::chance::Chance;
use crate::world::World;

const ENTRIES_MAX: u32 = 64;

#[test]
fn what_is_said_to_be_stored_is_what_the_sets_hold_and_never_more_than_the_budget() {
    for seed in 0..20 {
        let budget = 2 << 20;
        let world = World::default();
        let mut workers = workers(seed, budget);
        let mut chance = Chance::new(seed);
        let mut now = Now { wall: Timestamp(1_700_000_000_000), mono: Monotonic(0) };
        // Fetches under way: worker and generation.
        let mut flying: Vec<(usize, u64)> = Vec::new();
        for _ in 0..400 {
            let worker = chance.below(workers.len() as u64) as usize;
            match chance.below(8) {
                0 => {
                    let step = Duration::from_millis(50 * (1 + chance.below(60)));
                    now = Now {
                        wall: Timestamp(now.wall.0 + step.as_millis() as u64),
                        mono: now.mono.after(step),
                    };
                    workers.iter_mut().for_each(|worker| worker.tick(world.at(now)));
                }
                1..=3 if !flying.is_empty() => {
                    let (worker, generation) = flying.swap_remove(chance.below(flying.len() as u64) as usize);
                    // Many small ones, and some that lie in chunks.
                    let largest = *chance.pick(&[1_000, 30_000, 300_000, 1_000_000]);
                    let landing = match chance.below(10) {
                        0 => FetchEnd::Abandoned,
                        1 => FetchEnd::Dropped(NotStored::NoStore),
                        _ => FetchEnd::Stored(Box::new(response(chance.below(largest), now))),
                    };
                    workers[worker].end_fetch(world.at(now), generation, landing);
                }
                _ => {
                    let ask = ask(&workers[worker], chance.below(200) as u32, now);
                    if let Decision::Fetch { generation, .. } = workers[worker].lookup(world.at(now), &ask) {
                        flying.push((worker, generation));
                    }
                }
            }
            assert_eq!(world.bytes(), held(&world), "seed {seed}");
            assert_eq!(world.entries(), entries_in(&world, 0..ENTRIES_MAX), "seed {seed}");
            assert!(world.bytes() <= budget, "seed {seed}");
            assert!(real_bytes(&world) <= budget + budget / 8, "seed {seed}: {}", real_bytes(&world));
        }
    }
}

#[test]
fn a_host_takes_no_more_than_its_share_and_makes_room_for_itself() {
    for seed in 0..10 {
        let (share, world) = (100_000, World::default());
        let json = format!(
            r#"{{"store": {{"bytes_max": "4MiB", "entries_max": {ENTRIES_MAX}, "host_bytes_max": {share}}}}}"#
        );
        let config = Rc::new(Config::parse(json.as_bytes()).unwrap());
        let worker = |nonce| Cache::new(Rc::clone(&config), Identity { nonce, seed: Seed(seed, 1) });
        let mut workers: Vec<_> = (1..=2).map(worker).collect();
        let mut chance = Chance::new(seed);
        let now = Now { wall: Timestamp(1_700_000_000_000), mono: Monotonic(0) };
        let hosts = [&b"a.example/"[..], b"b.example/", b"c.example/"];
        let mut missing = 0;
        for _ in 0..300 {
            let worker = &mut workers[chance.below(2) as usize];
            let key = chance.below(200) as u32;
            let ask = ask(worker, key, now);
            let Decision::Fetch { generation, .. } = worker.lookup(world.at(now), &ask) else {
                continue;
            };
            let uri = [hosts[key as usize % 3], &key.to_le_bytes()].concat();
            let landing = FetchEnd::Stored(Box::new(Response { uri, ..response(chance.below(20_000), now) }));
            worker.end_fetch(world.at(now), generation, landing);
            missing += u32::from(ask.home.get().is_none());
            for host in hosts {
                let bucket = HostBucket::of(Seed(seed, 1), host);
                let sets = (0..ENTRIES_MAX).map(|set| SetSnapshot::read(&world, set).value);
                let ways: Vec<_> = sets.flat_map(|set| set.ways).filter(|way| way.host == bucket).collect();
                assert_eq!(
                    bucket.bytes(&world),
                    ways.iter().map(|way| way.bytes).sum::<u64>(),
                    "seed {seed}"
                );
                assert!(bucket.bytes(&world) <= share, "seed {seed}");
            }
        }
        assert_eq!(missing, 0, "seed {seed}: each found room, since there are others of its host to evict");
        let all: u64 = hosts.map(|host| HostBucket::of(Seed(seed, 1), host).bytes(&world)).iter().sum();
        assert!(all > 2 * share, "seed {seed}: {all}, and more fits beside each other");
    }
}

/// Few records in many sets, so that none of the host's are in the set of the next or near the hand.
#[test]
fn a_host_makes_room_for_itself_wherever_its_responses_lie() {
    for seed in 0..10 {
        let json = r#"{"store": {"entries_max": 65536, "host_bytes_max": 100000}}"#;
        let config = Rc::new(Config::parse(json.as_bytes()).unwrap());
        let (world, seed) = (World::default(), Seed(seed, 1));
        let mut worker = Cache::new(config, Identity { nonce: 1, seed });
        let now = Now { wall: Timestamp(1_700_000_000_000), mono: Monotonic(0) };
        let bucket = HostBucket::of(seed, b"h/p");
        for key in 0..200 {
            let home = store(&mut worker, &world, key, now);
            assert!(home.is_some(), "{seed:?}, {key}: {} bytes of others", bucket.bytes(&world));
            assert!(bucket.bytes(&world) <= 100_000, "{seed:?}, {key}");
        }
        assert!(bucket.bytes(&world) > 80_000, "{seed:?}: no more is evicted than has to be");
    }
}

#[test]
fn what_finds_no_room_is_not_stored_for_that_reason() {
    let (world, now) = (World::default(), Now { wall: Timestamp(1_700_000_000_000), mono: Monotonic(0) });
    let mut worker = Cache::new(config(4 << 20, 4096), Identity { nonce: 1, seed: Seed(1, 1) });
    for key in 0..1_800 {
        let ask = ask(&worker, key, now);
        let Decision::Fetch { generation, .. } = worker.lookup(world.at(now), &ask) else { panic!() };
        worker.end_fetch(world.at(now), generation, FetchEnd::Stored(Box::new(response(1_900, now))));
    }
    assert_eq!(world.not_stored(), None);
    let ask = ask(&worker, 10_000, now);
    let Decision::Fetch { generation, .. } = worker.lookup(world.at(now), &ask) else { panic!() };
    worker.end_fetch(world.at(now), generation, FetchEnd::Stored(Box::new(response(1 << 20, now))));
    assert_eq!((world.not_stored(), ask.home.get()), (Some(NotStored::NoRoom), None));
}

#[test]
fn what_is_older_than_what_is_there_is_superseded() {
    let (world, now) = (World::default(), Now { wall: Timestamp(1_700_000_000_000), mono: Monotonic(0) });
    let mut worker = Cache::new(config(8 << 20, 1024), Identity { nonce: 1, seed: Seed(1, 1) });
    let ask = ask(&worker, 1, now);
    let mut stored = |order| {
        let asked_by = (&ask.request, &*ask.options);
        let head = ResponseHead { status: 200, ..ResponseHead::default() };
        let storable = Storable::under_its_uri(&ask.config, asked_by, order, response(0, now), &head);
        worker.body_complete(world.at(now), None, storable.unwrap(), vec![b'x'; 900])
    };
    assert_eq!(stored((7, now.mono)), Stored::Yes);
    assert_eq!(stored((6, now.mono)), Stored::No(NotStored::Superseded));
}

#[test]
fn what_lies_beyond_a_smaller_number_of_entries_gives_way() {
    let world = World::default();
    let now = Now { wall: Timestamp(1_700_000_000_000), mono: Monotonic(0) };
    let mut worker = Cache::new(config(2 << 20, 1024), Identity { nonce: 1, seed: Seed(1, 1) });
    for key in 0..1000 {
        store(&mut worker, &world, key, now);
    }
    worker.configure(config(2 << 20, 64));
    for key in 1000..2000 {
        store(&mut worker, &world, key, now);
    }
    assert!(entries_in(&world, 0..4) > 40, "as many as there is room for");
}

#[test]
fn what_lies_beyond_a_smaller_number_of_entries_is_given_up_in_time() {
    let world = World::default();
    let now = Now { wall: Timestamp(1_700_000_000_000), mono: Monotonic(0) };
    let identity = |nonce| Identity { nonce, seed: Seed(1, 1) };
    let mut workers = [1, 2].map(|nonce| Cache::new(config(64 << 20, 1024), identity(nonce)));
    for key in 0..500 {
        store(&mut workers[key as usize % 2], &world, key, now);
    }
    let ask = ask(&workers[0], 500, now);
    let Decision::Fetch { generation, .. } = workers[0].lookup(world.at(now), &ask) else { panic!() };
    let (near, beyond) = (entries_in(&world, 0..8), entries_in(&world, 8..64));
    assert!(beyond > 300);
    for worker in &mut workers {
        worker.configure(config(64 << 20, 256));
        worker.configure(config(64 << 20, 128)); // Two pushes in a row.
        worker.configure(config(64 << 20, 128)); // As when the root before is gone.
    }
    for n in 0..20 {
        workers.iter_mut().for_each(|worker| worker.tick(world.at(now)));
        if n == 10 {
            workers[0].end_fetch(world.at(now), generation, FetchEnd::Stored(Box::new(response(9000, now))));
        }
    }
    assert_eq!(entries_in(&world, 8..64), 0, "and what was being fetched for a place beyond as well");
    assert_eq!(entries_in(&world, 0..8), near, "nothing else");
    assert_eq!((world.bytes(), world.entries()), (held(&world), near));
}

/// As after a push of another version of Larder with another configuration.
#[test]
fn a_new_worker_also_evicts_beyond_a_lowered_entries_max() {
    let world = World::default();
    let now = Now { wall: Timestamp(1_700_000_000_000), mono: Monotonic(0) };
    let [mut before, mut after] = [(1, 1024), (2, 128)].map(|(nonce, entries_max)| {
        Cache::new(config(64 << 20, entries_max), Identity { nonce, seed: Seed(1, 1) })
    });
    for key in 0..200 {
        store(&mut before, &world, key, now);
    }
    let near = entries_in(&world, 0..8);
    assert!(entries_in(&world, 8..64) > 100);
    (0..10).for_each(|_| after.tick(world.at(now)));
    assert_eq!((entries_in(&world, 0..8), entries_in(&world, 8..64)), (near, 0));
}

/// Fetches a key that is not stored; where its response lies then.
pub fn store(worker: &mut Cache, world: &World, key: u32, now: Now) -> Option<Fingerprint> {
    let ask = ask(worker, key, now);
    let Decision::Fetch { generation, .. } = worker.lookup(world.at(now), &ask) else { panic!("{key}") };
    worker.end_fetch(world.at(now), generation, FetchEnd::Stored(Box::new(response(9000, now))));
    ask.home.get()
}

pub fn config(bytes_max: u64, entries_max: u32) -> Rc<Config> {
    let json = format!(
        r#"{{"store": {{"bytes_max": "{bytes_max}", "entries_max": {entries_max}, "object_bytes_max": "1MiB"}}}}"#
    );
    Rc::new(Config::parse(json.as_bytes()).unwrap())
}

fn workers(seed: u64, budget: u64) -> Vec<Cache> {
    let config = config(budget, ENTRIES_MAX);
    let worker = |nonce| Cache::new(Rc::clone(&config), Identity { nonce, seed: Seed(seed, 1) });
    (1..=3).map(worker).collect()
}

pub fn response(body: u64, now: Now) -> Response {
    let lifetime = Duration::from_secs(60);
    let stored =
        StoredResponse { status: 200, response_time: now.wall, lifetime, ..StoredResponse::default() };
    Response {
        stored,
        uri: b"h/p".to_vec(),
        tags: Vec::new(),
        route: None,
        body: vec![b'x'; body as usize].into(),
    }
}

pub fn ask(worker: &Cache, key: u32, now: Now) -> Rc<CacheRequest> {
    let request = RequestHead { fields: Fields::from_iter([(":method", "GET")]), has_body: false };
    let (config, key) = (Rc::clone(worker.config()), key.to_le_bytes().to_vec());
    Rc::new(CacheRequest::new(1, config, Rc::<Options>::default(), request, key, now))
}

/// The bytes that the sets say they hold.
pub fn held(world: &World) -> u64 {
    (0..ENTRIES_MAX).map(|set| SetSnapshot::read(world, set).value.bytes()).sum()
}

/// The records that the sets say they hold.
fn entries_in(world: &World, sets: Range<u32>) -> u64 {
    sets.map(|set| SetSnapshot::read(world, set).value.entries()).sum()
}

/// What all keys and values take.
fn real_bytes(world: &World) -> u64 {
    world.lengths().into_iter().map(|len| KEY_BYTES + value_bytes(len)).sum()
}
