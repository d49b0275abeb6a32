//! How fetches end (§1.6), how leases are renewed, and how a leader gives its flight up (§1.7).

use crate::setting::{Mutant, Setting};
use crate::world::{
    Broken, Chunk, Fetch, Flight, FlightState, NONE, Purpose, Record, Set, Standing, Step, Task, World,
};

/// What the origin answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Whole,
    /// 304.
    Confirmed,
    /// Something of no use to others, or nothing.
    NotStorable,
}

impl Setting {
    /// A fetch has come back.
    pub fn answered(&self, world: &mut World, number: usize, answer: Answer) {
        let fetch = core::mem::take(&mut world.fetches[number]);
        if fetch.request != NONE {
            world.requests[usize::from(fetch.request)] = Standing::Over;
        }
        match fetch.purpose {
            Purpose::Nothing => {}
            Purpose::Flight | Purpose::Stalled => self.land(world, &fetch, answer, fetch.began),
            Purpose::Lost => self.land_what_was_lost(world, &fetch, answer),
            Purpose::Beside => self.come_back_beside(world, &fetch, answer),
        }
    }

    /// Nothing becomes of it but its client's answer. (A mistake on purpose: it lands under the flight that it had.)
    fn land_what_was_lost(&self, world: &mut World, fetch: &Fetch, answer: Answer) {
        let deviates = match answer {
            Answer::NotStorable => self.deviates(Mutant::GivenUpEndsFlight),
            Answer::Whole | Answer::Confirmed => self.deviates(Mutant::LateEndLands),
        };
        let roots = world.fetch_of(fetch.worker.into(), fetch.generation);
        if let (true, Some(roots)) = (deviates, roots) {
            let roots = core::mem::take(&mut world.fetches[roots]);
            self.land(world, &roots, answer, fetch.began);
        }
    }

    /// Begins the landing of a fetch, whose body was asked for when so many purges were in the journal.
    fn land(&self, world: &mut World, fetch: &Fetch, answer: Answer, began: u8) {
        let worker = usize::from(fetch.worker);
        let stores = answer != Answer::NotStorable;
        let record = if stores { self.brought(world, fetch, answer, began) } else { Record::default() };
        if stores {
            keep(world, worker, record);
        }
        let is_late = world.is_expired(fetch.generation) && !self.deviates(Mutant::EndsAnothersFlight);
        let step = match () {
            () if is_late && stores => Step::LandOwnership,
            () if stores && !self.deviates(Mutant::LandsBeforeItWrites) => self.writing(),
            () => Step::LandSet,
        };
        let (key, generation, way, tries) = (fetch.key, fetch.generation, fetch.way, self.tries);
        world.workers[worker].task =
            Task { step, key, generation, way, record, stores, tries, ..Task::default() };
    }

    /// The first step of writing.
    pub fn writing(&self) -> Step {
        if self.chunks { Step::LandChunk } else { Step::LandRecord }
    }

    /// The record that an answer makes.
    pub fn brought(&self, world: &mut World, fetch: &Fetch, answer: Answer, began: u8) -> Record {
        let again = self.deviates(Mutant::ReusesGenerations);
        let late = self.deviates(Mutant::StampsAtLanding);
        Record {
            generation: if again { 1 } else { world.generation() },
            key: fetch.key,
            stamp: if late { world.workers[usize::from(fetch.worker)].head } else { fetch.stamp },
            asked: fetch.asked,
            born: if answer == Answer::Confirmed { fetch.validated.born } else { began },
            checked: began,
        }
    }

    pub fn landing(&self, world: &mut World, worker: usize) -> &'static str {
        let Task { generation, way, record, stores, .. } = world.workers[worker].task;
        match world.workers[worker].task.step {
            Step::LandOwnership => {
                let is_own = world.owns_way(&world.set, generation);
                let task = &mut world.workers[worker].task;
                task.stores = is_own;
                task.step = if is_own { self.writing() } else { Step::LandSet };
                "land late: is the way still its own?"
            }
            Step::LandChunk => {
                let Record { generation, key, born, .. } = record;
                world.chunks[usize::from(way)] = Chunk { generation, key, born };
                world.workers[worker].task.step = Step::LandRecord;
                "land: write the chunk"
            }
            Step::LandRecord => {
                world.records[usize::from(way)] = record;
                world.workers[worker].task.step = Step::LandSet;
                if self.deviates(Mutant::LandsBeforeItWrites) {
                    self.woken(world, worker);
                }
                "land: write the record"
            }
            Step::LandSet => {
                world.read_set(worker);
                world.workers[worker].task.step = Step::LandPublish;
                if self.landed(world, worker).is_none() {
                    // Others have taken over: nothing is written.
                    self.finish(world, worker);
                }
                "land: read the set"
            }
            Step::LandPublish => {
                let task = world.workers[worker].task;
                if !task.unchanged && !self.deviates(Mutant::LandsBlindly) {
                    self.retry(world, worker, Step::LandSet);
                    return "land: somebody was faster";
                }
                if let Some((set, waiters)) = self.landed(world, worker) {
                    self.note_published(world, worker, &set);
                    world.write_set(self, set);
                    let task = &mut world.workers[worker].task;
                    (task.set, task.unchanged) = (Set::default(), false);
                    (task.step, task.waiters) = (Step::LandWake, waiters);
                    if stores && self.deviates(Mutant::LandsBeforeItWrites) {
                        task.step = self.writing();
                    } else {
                        self.woken(world, worker);
                    }
                }
                "land: publish, and end the flight"
            }
            _ => {
                let woken = world.workers[worker].task.waiters.trailing_zeros() as usize;
                self.wake(world, worker, woken, true);
                "land: wake a worker"
            }
        }
    }

    /// The set after the landing, and who waited. None where the flight is not there any more.
    fn landed(&self, world: &World, worker: usize) -> Option<(Set, u8)> {
        let Task { key, generation, record, stores, late, set, unchanged, way, .. } =
            world.workers[worker].task;
        let mut set = if unchanged { world.set } else { set };
        if late && self.deviates(Mutant::StoresWithoutFlight) {
            set.ways.iter_mut().filter(|way| **way == key + 1).for_each(|way| *way = 0);
            set.ways[usize::from(way)] = key + 1;
            return Some((set, 0));
        }
        let any = self.deviates(Mutant::EndsAnothersFlight);
        let ended = |flight: &Flight| {
            flight.flies(generation) || any && flight.is_of(key) && flight.state == FlightState::Flying
        };
        let at = set.flights.iter().position(ended)?;
        let flight = core::mem::take(&mut set.flights[at]);
        if stores {
            set.ways.iter_mut().filter(|way| **way == key + 1).for_each(|way| *way = 0);
            set.ways[usize::from(flight.way)] = key + 1;
        } else if !record.is_some() {
            let (state, owner) = (FlightState::NotStored, flight.owner);
            set.flights[at] = Flight { state, key, owner, ..Flight::default() };
        }
        Some((set, flight.waiters))
    }

    /// For the checks: what a key has published last.
    fn note_published(&self, world: &mut World, worker: usize, set: &Set) {
        let Task { key, record, stores, .. } = world.workers[worker].task;
        for other in (0..world.newest.len()).filter(|other| *other != usize::from(key)) {
            if set.way_of(other as u8).is_none() {
                world.newest[other] = (0, 0);
            }
        }
        if stores {
            let newest = &mut world.newest[usize::from(key)];
            if record.order() < *newest && self.ways > self.flights {
                world.broken = Broken::OlderPublished;
            }
            *newest = record.order();
        }
    }

    /// A wake-up is sent.
    pub fn wake(&self, world: &mut World, worker: usize, woken: usize, arrives: bool) {
        let task = &mut world.workers[worker].task;
        task.waiters &= !(1 << woken);
        if arrives {
            world.hints[woken] |= 1 << task.key;
        }
        self.woken(world, worker);
    }

    /// Goes on with waking; at the end with those who wait here.
    fn woken(&self, world: &mut World, worker: usize) {
        let task = &mut world.workers[worker].task;
        task.waiters &= !(1 << worker);
        if task.waiters != 0 {
            task.step = Step::LandWake;
        } else if task.record.is_some() && self.deviates(Mutant::ServesUnjudged) {
            self.serve_unjudged(world, worker);
        } else {
            self.finish(world, worker);
        }
    }

    /// Once more from this step; when that was too often, the lease runs out.
    fn retry(&self, world: &mut World, worker: usize, step: Step) {
        let task = &mut world.workers[worker].task;
        task.tries -= 1;
        (task.step, task.set) = (step, Set::default());
        if task.tries == 0 {
            self.finish(world, worker);
        }
    }

    pub fn begin_renewal(&self, world: &mut World, number: usize) {
        let Fetch { worker, key, generation, .. } = world.fetches[number];
        world.workers[usize::from(worker)].task =
            Task { step: Step::RenewSet, key, generation, ..Task::default() };
    }

    pub fn renew(&self, world: &mut World, worker: usize) -> &'static str {
        let Task { step, generation, unchanged, .. } = world.workers[worker].task;
        if step == Step::RenewSet {
            let set = world.read_set(worker);
            world.workers[worker].task.step = Step::RenewLease;
            if !world.owns_way(&set, generation) {
                world.workers[worker].task = Task::default();
            }
            return "tick: is the flight still there?";
        }
        if unchanged {
            world.expired &= !(1 << generation);
            let set = world.set;
            world.write_set(self, set);
        }
        world.workers[worker].task = Task::default();
        "tick: renew the lease"
    }

    /// The client of a fetch has left.
    pub fn client_left(&self, world: &mut World, number: usize) {
        let fetch = core::mem::take(&mut world.fetches[number]);
        world.requests[usize::from(fetch.request)] = Standing::Over;
        if fetch.leads() {
            self.give_up_flight(world, &fetch);
        }
    }

    /// A tick has seen that a response has stalled, and that others wait for it.
    pub fn stalled(&self, world: &mut World, number: usize) {
        world.fetches[number].purpose = Purpose::Lost;
        let fetch = world.fetches[number];
        self.give_up_flight(world, &fetch);
    }

    fn give_up_flight(&self, world: &mut World, fetch: &Fetch) {
        let Fetch { key, generation, validated, .. } = *fetch;
        // What was to be validated was judged when the flight began.
        let keeps = self.deviates(Mutant::TakesOverValidation);
        let record = if keeps { validated } else { Record::default() };
        world.workers[usize::from(fetch.worker)].task =
            Task { step: Step::LeaveSet, key, generation, record, tries: self.tries, ..Task::default() };
    }

    /// The root fetches in the leader's place where somebody waits; else, or where it cannot, the flight ends.
    pub fn leave(&self, world: &mut World, worker: usize) -> &'static str {
        let blind = self.deviates(Mutant::LeavesBlindly);
        let Task { step, key, generation, record, unchanged, set: read, .. } = world.workers[worker].task;
        if step == Step::LeaveSet {
            let set = world.read_set(worker);
            world.workers[worker].task.step = Step::LeaveFree;
            let Some(at) = set.flight(generation) else {
                self.finish(world, worker);
                return "leave: the flight is another's";
            };
            let is_waited_for = set.flights[at].waiters != 0 || self.group(world, worker, key) != 0;
            if is_waited_for && self.rooted && !blind {
                let way = set.flights[at].way;
                let (purpose, asked, request) = (Purpose::Flight, world.generation(), NONE);
                let validated = record;
                let fetch =
                    Fetch { purpose, key, generation, request, asked, way, validated, ..Fetch::default() };
                self.send(world, worker, fetch);
                world.workers[worker].task = Task::default();
                return "leave: the root takes over";
            }
            return "leave: read the set";
        }
        if !unchanged && !blind {
            self.retry(world, worker, Step::LeaveSet);
            return "leave: somebody was faster";
        }
        let mut set = if unchanged { world.set } else { read };
        if let Some(at) = set.flight(generation) {
            let flight = core::mem::take(&mut set.flights[at]);
            world.workers[worker].task.waiters = flight.waiters;
        }
        world.write_set(self, set);
        let task = &mut world.workers[worker].task;
        (task.set, task.unchanged, task.record) = (Set::default(), false, Record::default());
        self.woken(world, worker);
        "leave: end the flight"
    }
}

/// A worker keeps its own copy, unless it has a newer one.
pub fn keep(world: &mut World, worker: usize, record: Record) {
    let copy = &mut world.workers[worker].copies[usize::from(record.key)];
    if !copy.is_some() || copy.order() <= record.order() {
        *copy = record;
    }
}
