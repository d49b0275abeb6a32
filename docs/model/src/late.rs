//! What went beside any flight and can be stored after all (§1.6): when it is complete it takes a flight of its own, for
//! as long as it takes to write, and never the place of something newer.

use crate::landing::{Answer, keep};
use crate::setting::{Mutant, Setting};
use crate::world::{Fetch, Record, Set, Step, Task, World};

impl Setting {
    /// The answer to a request that went beside any flight.
    pub fn come_back_beside(&self, world: &mut World, fetch: &Fetch, answer: Answer) {
        if answer == Answer::NotStorable {
            return;
        }
        world.shared_beside |= 1 << fetch.key;
        if self.deviates(Mutant::NeverStoresLate) {
            return;
        }
        let record = self.brought(world, fetch, answer, fetch.began);
        world.workers[usize::from(fetch.worker)].task = Task {
            step: Step::SyncEpoch,
            late: true,
            key: fetch.key,
            record,
            stores: true,
            tries: self.tries,
            ..Task::default()
        };
    }

    pub fn store_late(&self, world: &mut World, worker: usize) -> &'static str {
        let Task { step, key, way, record, unchanged, .. } = world.workers[worker].task;
        match step {
            Step::LateSet => {
                let set = world.read_set(worker);
                world.workers[worker].task.set = Set::default();
                let is_fetched = set.flight_of(key).is_some_and(|at| world.is_live(&set.flights[at]));
                if is_fetched {
                    self.finish(world, worker);
                    return "store late: it is being fetched";
                }
                let task = &mut world.workers[worker].task;
                match set.way_of(key) {
                    Some(way) => (task.step, task.way) = (Step::LateRecord, way),
                    None => task.step = Step::LateLead,
                }
                "store late: read the set"
            }
            Step::LateRecord => {
                let there = world.records[usize::from(way)];
                let is_newer = there.is_some() && there.key == key && there.order() > record.order();
                world.workers[worker].task.step = Step::LateLead;
                if is_newer && !self.deviates(Mutant::OlderReplacesNewer) {
                    self.finish(world, worker);
                }
                "store late: is anything newer there?"
            }
            _ if self.deviates(Mutant::StoresWithoutFlight) => {
                self.write_late(world, worker, 0, way);
                "store late: write"
            }
            _ if unchanged => {
                let place = world.set.flight_of(key).or_else(|| self.free_flight(world, &world.set));
                match place.and_then(|place| self.take_flight(world, worker, place)) {
                    Some((generation, way)) => self.write_late(world, worker, generation, way),
                    None => self.finish(world, worker),
                }
                "store late: lead"
            }
            _ => {
                let task = &mut world.workers[worker].task;
                task.tries -= 1;
                (task.step, task.way) = (Step::LateSet, 0);
                if task.tries == 0 {
                    self.finish(world, worker);
                }
                "store late: somebody was faster"
            }
        }
    }

    fn write_late(&self, world: &mut World, worker: usize, generation: u8, way: u8) {
        let record: Record = world.workers[worker].task.record;
        keep(world, worker, record);
        let task = &mut world.workers[worker].task;
        (task.step, task.generation, task.way) = (self.writing(), generation, way);
    }
}
