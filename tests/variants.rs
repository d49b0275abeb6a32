//! The variants of one URL, which are bounded: which of them stay.

use std::rc::Rc;
use std::time::Duration;

use larder::cache::{Cache, CacheRequest, Decision, FetchEnd, Identity};
use larder::config::Config;
use larder::http::{Fields, RequestHead};
use larder::policy::key;
use larder::store::record::Response;
use larder::store::set::SetSnapshot;
use larder::store::{Seed, SharedData};
use larder::time::{Monotonic, Now, Timestamp};

use crate::budget::response;
use crate::chance::Chance;
use crate::world::World;

struct Stage {
    world: World,
    workers: Vec<Cache>,
    now: Now,
}

impl Stage {
    fn new(workers: u32, variants_max: u32) -> Stage {
        let json = format!(r#"{{"variants_max": {variants_max}, "store": {{"entries_max": 4096}}}}"#);
        let config = Rc::new(Config::parse(json.as_bytes()).unwrap());
        let worker = |nonce| Cache::new(Rc::clone(&config), Identity { nonce, seed: Seed(1, 1) });
        let now = Now { wall: Timestamp(1_700_000_000_000), mono: Monotonic(0) };
        Stage { world: World::default(), workers: (1..=workers).map(worker).collect(), now }
    }

    fn ask(&self, worker: usize, variant: u64) -> Rc<CacheRequest> {
        let lines = [(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/p")];
        let mut fields = Fields::from_iter(lines);
        fields.push("x-variant", variant.to_string());
        let request = RequestHead { fields, has_body: false };
        let config = self.workers[worker].config();
        let options = config.rules.for_request(&request);
        let key = key::primary(&request, &options);
        Rc::new(CacheRequest::new(1, Rc::clone(config), options, request, key, self.now))
    }

    /// Begins a request; the fetch that it leads, or none when it is a hit.
    fn begin(&mut self, worker: usize, variant: u64) -> Option<u64> {
        let ask = self.ask(worker, variant);
        match self.workers[worker].lookup(self.world.at(self.now), &ask) {
            Decision::Fetch { generation, .. } => Some(generation),
            Decision::Serve { .. } => None,
            other => panic!("{other:?}"),
        }
    }

    fn end_fetch(&mut self, worker: usize, generation: u64) {
        let mut response = response(500, self.now);
        response.stored.vary = vec!["x-variant".into()];
        let landing = FetchEnd::Stored(Box::new(Response { uri: b"h/p".to_vec(), ..response }));
        self.workers[worker].end_fetch(self.world.at(self.now), generation, landing);
    }

    /// A request from beginning to end; whether it was a hit.
    fn request(&mut self, worker: usize, variant: u64) -> bool {
        let fetch = self.begin(worker, variant);
        if let Some(generation) = fetch {
            self.end_fetch(worker, generation);
        }
        fetch.is_none()
    }

    fn tick(&mut self) {
        let step = Duration::from_millis(50);
        self.now = Now { wall: self.now.wall.after(step), mono: self.now.mono.after(step) };
        self.workers.iter_mut().for_each(|worker| worker.tick(self.world.at(self.now)));
    }

    /// The records that are stored, the list of variants among them.
    fn stored(&self) -> u64 {
        let stored: u64 = (0..4096 / 16).map(|set| SetSnapshot::read(&self.world, set).value.entries()).sum();
        assert_eq!(stored, self.world.entries());
        stored
    }
}

#[test]
fn what_is_in_demand_stays_among_many_that_are_not() {
    for seed in 0..2 {
        let (mut stage, mut chance) = (Stage::new(2, 16), Chance::new(seed));
        // Sixteen that were in demand once, and are not any more.
        for variant in 0..16 {
            (0..10).for_each(|_| {
                stage.request(0, variant);
            });
            stage.tick();
        }
        let (mut hits, mut asked) = ([0; 4], [0; 4]);
        for step in 0..3_000 {
            let worker = chance.below(2) as usize;
            // Four popular ones, each in every tenth request, among a thousand odd ones.
            let popular = chance.below(10);
            if popular < 4 {
                let hit = stage.request(worker, 100 + popular);
                if step >= 500 {
                    asked[popular as usize] += 1;
                    hits[popular as usize] += u32::from(hit);
                }
            } else {
                stage.request(worker, 1_000 + chance.below(1_000));
            }
            if step % 20 == 0 {
                stage.tick();
            }
        }
        for (hits, asked) in hits.iter().zip(asked) {
            assert!(hits * 100 >= asked * 97, "seed {seed}: {hits} of {asked}");
        }
        assert!(stage.stored() <= 17, "seed {seed}: {}", stage.stored());
    }
}

#[test]
fn variants_that_land_at_once_are_bounded_as_well() {
    for seed in 0..6 {
        let (mut stage, mut chance) = (Stage::new(3, 4), Chance::new(seed));
        let mut flying: Vec<(usize, u64)> = Vec::new();
        for _ in 0..400 {
            if chance.below(2) == 0 && !flying.is_empty() {
                let (worker, generation) = flying.swap_remove(chance.below(flying.len() as u64) as usize);
                stage.end_fetch(worker, generation);
            } else {
                let worker = chance.below(3) as usize;
                let ask = stage.ask(worker, chance.below(40));
                let decision = stage.workers[worker].lookup(stage.world.at(stage.now), &ask);
                if let Decision::Fetch { generation, .. } = decision {
                    flying.push((worker, generation));
                }
            }
            if chance.below(10) == 0 {
                stage.tick();
            }
        }
        for (worker, generation) in flying {
            stage.end_fetch(worker, generation);
        }
        (0..60).for_each(|_| stage.tick());
        assert!(stage.stored() <= 5, "seed {seed}: {}", stage.stored());
    }
}

#[test]
fn a_smaller_bound_is_kept_from_the_next_variant_on() {
    let mut stage = Stage::new(1, 200);
    (0..200).for_each(|variant| {
        stage.request(0, variant);
    });
    assert_eq!(stage.stored(), 201);
    let config = Rc::new(Config::parse(br#"{"variants_max": 5, "store": {"entries_max": 4096}}"#).unwrap());
    stage.workers[0].configure(config);
    (1_000..1_010).for_each(|variant| {
        stage.request(0, variant);
    });
    assert_eq!(stage.stored(), 6);
}
