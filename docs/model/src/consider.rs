//! Deciding about requests (§1.5): the only place that does, for new requests, hints, sweeps and landings.

use crate::setting::{Mutant, Setting};
use crate::world::{
    Broken, FETCHES, Fetch, Flight, FlightState, Mode, NONE, Purpose, Record, Set, Standing, Step, Task,
    Verdict, World, bits,
};

impl Setting {
    pub fn consider(&self, world: &mut World, worker: usize, key: u8, group: u8) {
        for request in bits(group) {
            world.requests[request] = Standing::Considered;
        }
        let is_acknowledged = |n: &usize| world.purges[*n] == crate::world::Acknowledgement::Acknowledged;
        let acknowledged = (0..self.purges.len()).filter(is_acknowledged).fold(0, |all, n| all | 1 << n);
        world.workers[worker].task =
            Task { step: Step::SyncEpoch, key, group, tries: self.tries, acknowledged, ..Task::default() };
    }

    /// The requests that wait for a key in a worker.
    pub fn group(&self, world: &World, worker: usize, key: u8) -> u8 {
        let waits =
            |n: &usize| world.requests[*n] == Standing::Waiting && self.requests[*n] == (worker as u8, key);
        (0..self.requests.len()).filter(waits).fold(0, |group, n| group | 1 << n)
    }

    /// The end of a callback after which those who wait here for the key have to be considered.
    pub fn finish(&self, world: &mut World, worker: usize) {
        let key = world.workers[worker].task.key;
        let group = self.group(world, worker, key);
        world.workers[worker].task = Task::default();
        if group != 0 {
            self.consider(world, worker, key, group);
        }
    }

    /// What the journal says of a record (§1.2).
    fn verdict(&self, world: &World, worker: usize, record: &Record) -> Verdict {
        let own = &world.workers[worker];
        let mut verdict = Verdict::Fresh;
        if record.stamp < own.floor && !self.deviates(Mutant::ForgetsTheFloor) {
            if record.stamp < own.hard_below || self.deviates(Mutant::FloorIsHard) {
                return Verdict::Covered(Mode::Hard);
            }
            let is_soft = self.deviates(Mutant::FloorIsSoft);
            verdict = Verdict::Covered(if is_soft { Mode::Soft } else { Mode::Revalidate });
        }
        for (n, purge) in self.purges.iter().enumerate() {
            let is_known = own.known >> n & 1 == 1 && world.positions[n] > record.stamp;
            if is_known && self.covers(n, record.key) {
                verdict = verdict.max(Verdict::Covered(purge.mode));
            }
        }
        verdict
    }

    fn judge(&self, world: &mut World, worker: usize, record: &Record) -> Verdict {
        let verdict = self.verdict(world, worker, record);
        let is_hard = |n: usize| self.purges[n].mode == Mode::Hard && world.positions[n] != 0;
        if verdict == Verdict::Covered(Mode::Hard) && !(0..self.purges.len()).any(is_hard) {
            world.broken = Broken::GoneWithoutHard;
        }
        verdict
    }

    fn serve(&self, world: &mut World, worker: usize, record: &Record, stale: bool) {
        let Task { group, acknowledged, .. } = world.workers[worker].task;
        for request in bits(group) {
            world.requests[request] = Standing::Over;
            if self.requests[request].1 != record.key {
                world.broken = Broken::ForeignBody;
            }
            for purge in bits(acknowledged).filter(|purge| self.covers(*purge, record.key)) {
                let at = world.positions[purge];
                match self.purges[purge].mode {
                    Mode::Hard if record.born < at => world.broken = Broken::ServedPurged,
                    Mode::Revalidate if record.checked < at => world.broken = Broken::ServedInvalid,
                    Mode::Soft if record.checked < at && !stale => world.broken = Broken::ServedInvalid,
                    Mode::Hard | Mode::Revalidate | Mode::Soft => {}
                }
            }
        }
    }

    fn serve_and_end(&self, world: &mut World, worker: usize, record: &Record) {
        self.serve(world, worker, record, false);
        world.workers[worker].task = Task::default();
    }

    /// A mistake on purpose: those who wait in the leader's worker get what has landed.
    pub fn serve_unjudged(&self, world: &mut World, worker: usize) {
        let Task { key, record, .. } = world.workers[worker].task;
        let group = self.group(world, worker, key);
        self.consider(world, worker, key, group);
        self.serve_and_end(world, worker, &record);
    }

    pub fn park(&self, world: &mut World, group: u8) {
        bits(group).for_each(|request| world.requests[request] = Standing::Waiting);
    }

    /// The mirror is up to date: first to what this worker has itself.
    pub fn synced(&self, world: &mut World, worker: usize) {
        let task = &mut world.workers[worker].task;
        if task.late {
            task.step = Step::LateSet;
            if self.deviates(Mutant::StampsLateOnes) {
                world.workers[worker].task.record.stamp = world.workers[worker].head;
            }
            return;
        }
        let Task { key, group, newcomer, .. } = *task;
        let copy = world.workers[worker].copies[usize::from(key)];
        let mut is_servable = false;
        if copy.is_some() {
            match self.judge(world, worker, &copy) {
                Verdict::Fresh => return self.serve_and_end(world, worker, &copy),
                Verdict::Covered(Mode::Hard) => {
                    world.workers[worker].copies[usize::from(key)] = Record::default();
                }
                Verdict::Covered(mode) => is_servable = self.swr && mode == Mode::Soft,
            }
        }
        let others = self.group(world, worker, key) & !group;
        if newcomer && others != 0 && !is_servable {
            self.park(world, group);
            world.workers[worker].task = Task::default();
        } else {
            world.workers[worker].task.step = Step::ConsiderSet;
        }
    }

    pub fn considered(&self, world: &mut World, worker: usize) -> &'static str {
        let Task { key, way, record, .. } = world.workers[worker].task;
        match world.workers[worker].task.step {
            Step::ConsiderSet => {
                let set = world.read_set(worker);
                match set.way_of(key) {
                    Some(way) => {
                        let task = &mut world.workers[worker].task;
                        (task.step, task.way) = (Step::ConsiderRecord, way);
                    }
                    None => self.found(world, worker, Record::default()),
                }
                "read the set"
            }
            Step::ConsiderRecord => {
                let there = world.records[usize::from(way)];
                let is_own = there.key == key || self.deviates(Mutant::TrustsRecords);
                let there = if is_own { there } else { Record::default() };
                if there.is_some() && self.chunks {
                    let task = &mut world.workers[worker].task;
                    (task.step, task.record) = (Step::ConsiderChunk, there);
                } else {
                    self.found(world, worker, there);
                }
                "read the record"
            }
            Step::ConsiderChunk => {
                let chunk = world.chunks[usize::from(way)];
                let is_its = chunk.generation == record.generation || self.deviates(Mutant::TrustsChunks);
                if is_its && (chunk.key != record.key || chunk.born != record.born) {
                    world.broken = Broken::ForeignBody;
                }
                self.found(world, worker, if is_its { record } else { Record::default() });
                "read the chunk"
            }
            _ => self.take_seat(world, worker),
        }
    }

    /// Judges what was found in shared data, together with the worker's own copy.
    fn found(&self, world: &mut World, worker: usize, found: Record) {
        let key = usize::from(world.workers[worker].task.key);
        let copy = world.workers[worker].copies[key];
        let (mut best, mut is_servable) = (Record::default(), false);
        for record in [copy, found].into_iter().filter(Record::is_some) {
            let is_newest = |than: &Record| !than.is_some() || record.order() >= than.order();
            match self.judge(world, worker, &record) {
                Verdict::Fresh => {
                    if is_newest(&copy) {
                        world.workers[worker].copies[key] = record;
                    }
                    return self.serve_and_end(world, worker, &record);
                }
                Verdict::Covered(Mode::Hard) => {
                    if self.deviates(Mutant::ValidatesWhatIsGone) && !best.is_some() {
                        best = record;
                    }
                }
                Verdict::Covered(mode) => {
                    if is_newest(&best) {
                        (best, is_servable) = (record, self.swr && mode == Mode::Soft);
                    }
                }
            }
        }
        if best.is_some() {
            world.workers[worker].copies[key] = best;
        }
        if is_servable && !world.workers[worker].task.refreshes {
            self.serve(world, worker, &best, true);
            let task = &mut world.workers[worker].task;
            (task.group, task.refreshes) = (0, true);
        }
        let task = &mut world.workers[worker].task;
        (task.record, task.way) = (best, 0);
        self.choose_seat(world, worker);
    }

    /// What to do by what the flights were when the set was read.
    fn choose_seat(&self, world: &mut World, worker: usize) {
        let Task { key, group, set, woken, .. } = world.workers[worker].task;
        let at = set.flight_of(key);
        let (place, leads) = match at.map(|at| (at, set.flights[at])) {
            Some((_, flight)) if flight.state == FlightState::NotStored => {
                return self.go_beside(world, worker, true);
            }
            Some((at, flight)) if world.is_live(&flight) => {
                let waits = world.waits(worker, &flight) || woken && self.deviates(Mutant::WaitsUnregistered);
                if group != 0 && flight.unshared {
                    return self.go_beside(world, worker, true);
                }
                if group == 0 || waits {
                    self.park(world, group);
                    world.workers[worker].task = Task::default();
                    return;
                }
                (at, false)
            }
            Some((at, _)) => (at, true),
            None => match self.free_flight(world, &set) {
                Some(at) => (at, true),
                None => return self.go_beside(world, worker, true),
            },
        };
        let task = &mut world.workers[worker].task;
        (task.step, task.place, task.leads) = (Step::ConsiderSeat, place as u8, leads);
        if !task.unchanged {
            task.set = Set::default();
        }
    }

    pub fn free_flight(&self, world: &World, set: &Set) -> Option<usize> {
        let free = (0..self.flights).filter(|at| !world.is_live(&set.flights[*at]));
        // An unused place, else that of a memory, else that of a flight for which somebody may wait yet.
        free.min_by_key(|at| match set.flights[*at].state {
            FlightState::Free => 0,
            FlightState::NotStored | FlightState::Over => 1,
            FlightState::Flying => 2,
        })
    }

    /// To the origin, each for itself; what is good for others is stored, if it `shares`.
    fn go_beside(&self, world: &mut World, worker: usize, shares: bool) {
        let Task { key, group, record, .. } = world.workers[worker].task;
        for request in bits(group) {
            world.alone = true;
            world.requests[request] = if shares { Standing::AtTheOrigin } else { Standing::Alone };
            if shares {
                let fetch = Fetch {
                    purpose: Purpose::Beside,
                    key,
                    request: request as u8,
                    asked: world.generation(),
                    validated: if self.validators { record } else { Record::default() },
                    ..Fetch::default()
                };
                self.send(world, worker, fetch);
            }
        }
        world.workers[worker].task = Task::default();
    }

    /// Sends a request to the origin.
    pub fn send(&self, world: &mut World, worker: usize, fetch: Fetch) {
        let of_journal = self.deviates(Mutant::StampsByTheJournal);
        let stamp = if of_journal { world.appended } else { world.workers[worker].head };
        let free = |at: &usize| world.fetches[*at].purpose == Purpose::Nothing;
        let at = (0..FETCHES).find(free).expect("there is room for all");
        world.fetches[at] = Fetch { worker: worker as u8, stamp, began: world.appended, ..fetch };
        if fetch.purpose == Purpose::Flight {
            let starts = &mut world.starts[usize::from(fetch.key)];
            *starts += 1;
            if self.starts_max != 0 && *starts > self.starts_max {
                world.broken = Broken::TooManyFetches;
            }
        }
    }

    /// The compare-and-set that registers or leads.
    fn take_seat(&self, world: &mut World, worker: usize) -> &'static str {
        let Task { leads, unchanged, group, place, set: read, .. } = world.workers[worker].task;
        if !leads && (unchanged || self.deviates(Mutant::RegistersBlindly)) {
            let mut set = if unchanged { world.set } else { read };
            set.flights[usize::from(place)].waiters |= 1 << worker;
            world.write_set(self, set);
            self.park(world, group);
            world.workers[worker].task = Task::default();
            return "register, and wait";
        }
        if leads && unchanged {
            match self.take_flight(world, worker, usize::from(place)) {
                Some((generation, way)) => self.lead(world, worker, generation, way),
                None => self.go_beside(world, worker, false),
            }
            return "lead";
        }
        let task = &mut world.workers[worker].task;
        let Task { key, tries, .. } = *task;
        if tries == 1 {
            self.go_beside(world, worker, false);
            return "somebody was faster, again and again: to the origin";
        }
        *task = Task { key, group, tries: tries - 1, step: Step::ConsiderSet, ..*task };
        (task.record, task.set, task.place, task.leads) = (Record::default(), Set::default(), 0, false);
        "somebody was faster"
    }

    /// Begins a flight in this place. None when all ways are reserved.
    pub fn take_flight(&self, world: &mut World, worker: usize, place: usize) -> Option<(u8, u8)> {
        let key = world.workers[worker].task.key;
        let mut set = world.set;
        let before = core::mem::take(&mut set.flights[place]);
        let inherits = before.is_of(key);
        let avoid = if inherits && before.state == FlightState::Flying { before.way } else { NONE };
        let open = |way: u8| !world.is_reserved(&set, way, NONE);
        let ways = || (0..self.ways as u8).filter(|way| open(*way));
        let way = ways()
            .filter(|way| *way != avoid)
            .find(|way| set.way_of(key) == Some(*way))
            .or_else(|| ways().find(|way| *way != avoid && set.ways[usize::from(*way)] == 0))
            .or_else(|| ways().find(|way| *way != avoid))
            .or_else(|| ways().next())?;
        let waiters = (before.waiters | 1u8.checked_shl(before.owner.into()).unwrap_or(0)) & !(1 << worker);
        let keeps = inherits && !self.deviates(Mutant::ForgetsWaiters);
        let generation = world.generation();
        set.flights[place] = Flight {
            state: FlightState::Flying,
            key,
            generation,
            owner: worker as u8,
            waiters: if keeps { waiters } else { 0 },
            way,
            unshared: inherits && (before.state != FlightState::Flying || before.unshared),
        };
        world.write_set(self, set);
        Some((generation, way))
    }

    /// Fetches under a flight: one of the group goes on and the others wait, or the root fetches and all wait.
    fn lead(&self, world: &mut World, worker: usize, generation: u8, way: u8) {
        let Task { key, group, record, .. } = world.workers[worker].task;
        let validated = if self.validators { record } else { Record::default() };
        let inline = group != 0 && !self.dispatched && (!validated.is_some() || self.validates_inline);
        let request = if inline { group.trailing_zeros() as u8 } else { NONE };
        self.park(world, group);
        if inline {
            world.requests[usize::from(request)] = Standing::AtTheOrigin;
        }
        let purpose = Purpose::Flight;
        let asked = generation;
        let fetch = Fetch { purpose, key, generation, request, asked, way, validated, ..Fetch::default() };
        self.send(world, worker, fetch);
        world.workers[worker].task = Task::default();
    }
}
