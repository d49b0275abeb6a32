//! What is hard purged gives its room back, within ticks and a bit at a time.

use std::rc::Rc;
use std::time::Duration;

use larder::cache::{Cache, Decision, FetchEnd, Identity};
use larder::invalidation::{Invalidation, Mode, Selector, Source, Tag};
use larder::outcome::ForwardReason;
use larder::store::record::Response;
use larder::store::set::SetSnapshot;
use larder::store::{Seed, SharedData};
use larder::time::{Monotonic, Now, Timestamp};

use crate::budget::{ask, config, response};
use crate::world::World;

const NOW: Now = Now { wall: Timestamp(1_700_000_000_000), mono: Monotonic(0) };

struct Stage {
    world: World,
    workers: Vec<Cache>,
    now: Now,
    sets: u32,
}

impl Stage {
    fn new(workers: u32, entries_max: u32) -> Stage {
        let config = config(256 << 20, entries_max);
        let worker = |nonce: u32| {
            let nonce = nonce.wrapping_mul(2_654_435_761);
            Cache::new(Rc::clone(&config), Identity { nonce, seed: Seed(1, 1) })
        };
        let workers = (1..=workers).map(worker).collect();
        Stage { world: World::default(), workers, now: NOW, sets: entries_max / 16 }
    }

    /// Stores something of this many bytes, tagged so that one purge covers the even keys.
    fn store(&mut self, key: u32, bytes: u64) {
        let worker = key as usize % self.workers.len();
        let worker = &mut self.workers[worker];
        let ask = ask(worker, key, self.now);
        let Decision::Fetch { generation, .. } = worker.lookup(self.world.at(self.now), &ask) else {
            panic!("{key}")
        };
        let tags = vec![Tag::new(if key.is_multiple_of(2) { "even" } else { "odd" }).unwrap()];
        let landing = FetchEnd::Stored(Box::new(Response { tags, ..response(bytes, self.now) }));
        worker.end_fetch(self.world.at(self.now), generation, landing);
    }

    fn purge(&mut self, selector: Selector, mode: Mode) {
        let source = Source::Admin { token: "ops".into() };
        let invalidation = Invalidation { mode, selector, issued_at: self.now.wall, source, reason: None };
        self.workers[0].invalidate(&self.world, &invalidation).unwrap();
    }

    fn tick(&mut self) {
        let step = Duration::from_millis(50);
        self.now = Now { wall: self.now.wall.after(step), mono: self.now.mono.after(step) };
        self.workers.iter_mut().for_each(|worker| worker.tick(self.world.at(self.now)));
    }

    /// Ticks until so many records are left; how many ticks that took.
    fn tick_down_to(&mut self, entries: u64) -> usize {
        (0..5_000)
            .find(|_| {
                let there = self.world.entries() <= entries;
                if !there {
                    self.tick();
                }
                there
            })
            .unwrap_or_else(|| panic!("{} are left", self.world.entries()))
    }

    /// What the sets say they hold: records and bytes.
    fn held(&self) -> (u64, u64) {
        let sets = || (0..self.sets).map(|set| SetSnapshot::read(&self.world, set).value);
        (sets().map(|set| set.entries()).sum(), sets().map(|set| set.bytes()).sum())
    }

    fn why_not(&mut self, key: u32) -> Option<ForwardReason> {
        let ask = ask(&self.workers[0], key, self.now);
        self.workers[0].inspect(self.world.at(self.now)).find(&ask).unwrap().forward
    }
}

fn tagged(tag: &str) -> Selector {
    Selector::Tags(vec![Tag::new(tag).unwrap()])
}

#[test]
fn what_was_stored_of_thirty_thousand_pages_is_given_back_within_seconds() {
    let mut stage = Stage::new(2, 65_536);
    (0..30_000).for_each(|key| stage.store(key, 700));
    let (entries, bytes) = (stage.world.entries(), stage.world.bytes());
    stage.purge(Selector::All, Mode::Hard);
    let ticks = stage.tick_down_to(0);
    let keys = stage.world.bytes();
    println!(
        "{entries} records, {bytes} bytes: gone after {ticks} ticks of two workers; {keys} bytes of keys are left"
    );
    assert!(entries > 29_900 && ticks < 120, "{entries} records in {ticks} ticks");
    assert_eq!((stage.world.entries(), stage.world.bytes()), stage.held());
    // A key of shared data stays for as long as Envoy runs.
    assert!(stage.world.bytes() < bytes / 6, "{}", stage.world.bytes());
    assert_eq!(stage.why_not(7), Some(ForwardReason::Purged), "and it is still known why");
    assert_eq!(stage.why_not(40_000), Some(ForwardReason::UriMiss));
}

#[test]
fn only_hard_purged_responses_are_freed_and_the_search_ends() {
    let mut stage = Stage::new(2, 1024);
    (0..400).for_each(|key| stage.store(key, 700));
    let (entries, _) = stage.held();
    stage.purge(tagged("odd"), Mode::Soft);
    stage.purge(tagged("odd"), Mode::Revalidate);
    (0..40).for_each(|_| stage.tick());
    assert_eq!(stage.held().0, entries, "what may be validated is kept");
    stage.purge(tagged("even"), Mode::Hard);
    (0..40).for_each(|_| stage.tick());
    let even = (0..400).step_by(2).filter(|key| stage.why_not(*key) != Some(ForwardReason::Purged)).count();
    assert_eq!(even, 0);
    assert_eq!(stage.held().0, entries / 2);
    let reads = stage.world.reads();
    stage.tick();
    assert!(stage.world.reads() - reads < 20, "{}", stage.world.reads() - reads);
}

#[test]
fn a_tick_looks_at_so_much_and_no_more() {
    let mut stage = Stage::new(1, 65_536);
    (0..4_000).for_each(|key| stage.store(key, 700));
    (4_000..4_100).for_each(|key| stage.store(key, 200_000));
    stage.purge(tagged("odd"), Mode::Hard);
    let (mut reads_max, mut bytes_max) = (0, 0);
    for _ in 0..200 {
        let (reads, bytes) = (stage.world.reads(), stage.world.bytes_read());
        stage.tick();
        reads_max = reads_max.max(stage.world.reads() - reads);
        bytes_max = bytes_max.max(stage.world.bytes_read() - bytes);
    }
    assert!(reads_max < 1_300, "{reads_max} reads");
    assert!(bytes_max < 3 << 20, "{bytes_max} bytes");
}

#[test]
fn copies_in_the_worker_go_as_well() {
    let mut stage = Stage::new(2, 1024);
    for key in 0..300 {
        stage.store(key, 700);
        for worker in &mut stage.workers {
            for _ in 0..2 {
                let ask = ask(worker, key, stage.now);
                worker.lookup(stage.world.at(stage.now), &ask);
            }
        }
    }
    let before: Vec<u64> = stage.workers.iter().map(|worker| worker.storage().memory_bytes()).collect();
    assert!(before.iter().all(|bytes| *bytes > 100_000), "{before:?}");
    stage.purge(tagged("even"), Mode::Hard);
    (0..10).for_each(|_| stage.tick());
    for (worker, before) in stage.workers.iter().zip(before) {
        let bytes = worker.storage().memory_bytes();
        assert!(bytes <= before / 2 + 1_000, "{bytes} of {before}");
    }
    stage.purge(Selector::All, Mode::Hard);
    (0..10).for_each(|_| stage.tick());
    assert!(stage.workers.iter().all(|worker| worker.storage().memory_bytes() == 0));
}

#[test]
fn reclaim_leaves_keys_with_a_flight_alone() {
    let mut stage = Stage::new(2, 1024);
    (0..10).for_each(|key| stage.store(key, 700));
    stage.purge(Selector::All, Mode::Hard);
    let asked = ask(&stage.workers[0], 3, stage.now);
    let Decision::Fetch { generation, .. } = stage.workers[0].lookup(stage.world.at(stage.now), &asked)
    else {
        panic!("it is purged")
    };
    (0..30).for_each(|_| stage.tick());
    assert_eq!(stage.world.entries(), 1, "its way is taken");
    let landing = FetchEnd::Stored(Box::new(response(500, stage.now)));
    stage.workers[0].end_fetch(stage.world.at(stage.now), generation, landing);
    (0..300).for_each(|_| stage.tick());
    assert_eq!((stage.world.entries(), stage.world.bytes()), stage.held());
    assert_eq!(stage.why_not(3), None, "what was fetched after the purge stays");
}
