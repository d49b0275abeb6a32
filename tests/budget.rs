//! The bytes of the store: what the workers say is stored is what the sets hold, and it stays within the budget.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use larder::cache::{Ask, Cache, Decision, Host, Identity, Landing, StreamId};
use larder::config::{Config, Options};
use larder::http::{Fields, Peer, RequestHead};
use larder::metrics::{Counter, Metrics};
use larder::policy::StoredResponse;
use larder::store::record::{KEY_BYTES, Response};
use larder::store::set::SetSnapshot;
use larder::store::{Cas, Fingerprint, Memory, Seed, SharedData, Versioned};
use larder::time::{Monotonic, Now, Timestamp};

use crate::chance::Chance;

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
                    workers.iter_mut().for_each(|worker| worker.tick(&world, now));
                }
                1..=3 if !flying.is_empty() => {
                    let (worker, generation) = flying.swap_remove(chance.below(flying.len() as u64) as usize);
                    // Many small ones, and some that lie in chunks.
                    let largest = *chance.pick(&[1_000, 30_000, 300_000, 1_000_000]);
                    let landing = match chance.below(10) {
                        0 => Landing::Abandoned,
                        1 => Landing::Dropped(larder::outcome::NotStored::NoStore),
                        _ => Landing::Stored(Box::new(response(chance.below(largest), now))),
                    };
                    workers[worker].land(&world, generation, landing, now);
                }
                _ => {
                    let ask = ask(&workers[worker], chance.below(200) as u32, now);
                    if let Decision::Fetch { generation, .. } =
                        workers[worker].consider(&world, &ask, true, now)
                    {
                        flying.push((worker, generation));
                    }
                }
            }
            assert_eq!(world.bytes(), world.held(), "seed {seed}");
            assert!(world.bytes() <= budget, "seed {seed}");
            assert!(world.real_bytes() <= budget + budget / 8, "seed {seed}: {}", world.real_bytes());
        }
    }
}

fn workers(seed: u64, budget: u64) -> Vec<Cache> {
    let json = format!(
        r#"{{"store": {{"bytes_max": "{budget}", "entries_max": {ENTRIES_MAX}, "object_bytes_max": "1MiB"}}}}"#
    );
    let config = Rc::new(Config::parse(json.as_bytes()).unwrap());
    let worker = |nonce| Cache::new(Rc::clone(&config), Identity { nonce, seed: Seed(seed, 1) });
    (1..=3).map(worker).collect()
}

fn response(body: u64, now: Now) -> Response {
    let lifetime = Duration::from_secs(60);
    let stored =
        StoredResponse { status: 200, response_time: now.wall, lifetime, ..StoredResponse::default() };
    Response { stored, uri: b"h/p".to_vec(), tags: Vec::new(), body: vec![b'x'; body as usize] }
}

fn ask(worker: &Cache, key: u32, now: Now) -> Rc<Ask> {
    let request = RequestHead { fields: Fields::from_iter([(":method", "GET")]), has_body: false };
    let (config, key) = (Rc::clone(worker.config()), key.to_le_bytes().to_vec());
    Rc::new(Ask::new(1, config, Rc::<Options>::default(), request, key, now))
}

/// Shared data in memory, which knows its keys.
#[derive(Default)]
struct World {
    memory: Memory,
    keys: RefCell<BTreeSet<String>>,
}

impl World {
    /// The bytes that the sets say they hold.
    fn held(&self) -> u64 {
        (0..ENTRIES_MAX).map(|set| SetSnapshot::read(self, set).value.bytes()).sum()
    }

    /// The bytes of all values and keys.
    fn real_bytes(&self) -> u64 {
        let keys = self.keys.borrow();
        let value = |key: &String| self.memory.get(key).map_or(0, |found| found.bytes.len() as u64);
        keys.iter().map(|key| KEY_BYTES + value(key)).sum()
    }
}

impl SharedData for World {
    fn get(&self, key: &str) -> Option<Versioned> {
        self.memory.get(key)
    }

    fn set(&self, key: &str, value: &[u8]) {
        self.keys.borrow_mut().insert(key.into());
        self.memory.set(key, value);
    }

    fn compare_and_set(&self, key: &str, value: &[u8], expected: Cas) -> bool {
        self.keys.borrow_mut().insert(key.into());
        self.memory.compare_and_set(key, value, expected)
    }

    fn epoch(&self) -> u64 {
        self.memory.epoch()
    }

    fn advance_epoch(&self) {
        self.memory.advance_epoch();
    }

    fn wake(&self, worker: u8, fingerprint: Fingerprint) {
        self.memory.wake(worker, fingerprint);
    }

    fn add_bytes(&self, delta: i64) -> u64 {
        self.memory.add_bytes(delta)
    }

    fn bytes(&self) -> u64 {
        self.memory.bytes()
    }
}

impl Metrics for World {
    fn count(&self, _: Counter) {}

    fn show_breakers(&self, _: u64) {}

    fn values(&self) -> Vec<(String, u64)> {
        Vec::new()
    }
}

impl Host for World {
    fn routed(&self, _: StreamId) -> Option<(Fields, String)> {
        None
    }

    fn cluster(&self, _: u32) -> Option<String> {
        None
    }

    fn peer(&self) -> Peer {
        Peer::default()
    }
}
