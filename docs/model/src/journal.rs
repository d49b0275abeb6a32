//! The journal: bringing a mirror up to it (§1.3), and appending to it (§1.4).

use crate::setting::{Mutant, Setting};
use crate::world::{Acknowledgement, Broken, Mode, NONE, RECORDS, Segment, Step, Task, World};

impl Setting {
    pub fn sync(&self, world: &mut World, worker: usize) -> &'static str {
        let late = self.deviates(Mutant::ReadsEpochLast);
        match world.workers[worker].task.step {
            Step::SyncEpoch => {
                let epoch = world.epoch;
                let own = &mut world.workers[worker];
                if own.seen == epoch {
                    self.synced(world, worker);
                } else {
                    own.task.epoch = if late { NONE } else { epoch };
                    own.task.step = Step::SyncSegment;
                }
                "sync: read the epoch"
            }
            Step::SyncEpochLast => {
                world.workers[worker].seen = world.epoch;
                self.synced(world, worker);
                "sync: read the epoch (last)"
            }
            _ => {
                if self.read_segment(world, worker) {
                    let own = &mut world.workers[worker];
                    if late {
                        own.task.step = Step::SyncEpochLast;
                    } else {
                        own.seen = core::mem::take(&mut own.task.epoch);
                        self.synced(world, worker);
                    }
                }
                "sync: read a segment"
            }
        }
    }

    /// Reads on in the journal; whether that was its end.
    fn read_segment(&self, world: &mut World, worker: usize) -> bool {
        let own = &mut world.workers[worker];
        let segment = world.segments[usize::from(own.cur % self.segments)];
        if segment.number < own.cur {
            return true;
        }
        own.hard_below = own.hard_below.max(segment.hard_below);
        if segment.number > own.cur {
            // Overtaken: what is not in the ring any more lies below the floor.
            own.floor = (segment.number - self.segments) * self.records;
            own.head = own.head.max(own.floor);
            own.cur = segment.number - self.segments + 1;
            return false;
        }
        for (n, purge) in segment.records.iter().enumerate().take(segment.length.into()) {
            let position = (own.cur - 1) * self.records + n as u8 + 1;
            own.known |= 1 << purge;
            own.head = own.head.max(position);
            if world.positions[usize::from(*purge)] != position {
                world.broken = Broken::WrongPosition;
            }
        }
        let is_full = segment.length == self.records;
        own.cur += u8::from(is_full);
        !is_full
    }

    pub fn begin_purge(&self, world: &mut World, purge: usize) {
        let worker = usize::from(self.purges[purge].worker);
        let first = self.deviates(Mutant::AdvancesEpochFirst);
        world.purges[purge] = Acknowledgement::Running;
        let own = &mut world.workers[worker];
        own.task = Task {
            step: if first { Step::PurgeBump } else { Step::PurgeSegment },
            purge: purge as u8,
            tries: self.tries,
            cur: own.cur,
            hard_below: own.hard_below,
            ..Task::default()
        };
    }

    pub fn purge(&self, world: &mut World, worker: usize) -> &'static str {
        let first = self.deviates(Mutant::AdvancesEpochFirst);
        match world.workers[worker].task.step {
            Step::PurgeSegment => {
                self.find_room(world, worker);
                "purge: read a segment"
            }
            Step::PurgeAppend if world.workers[worker].task.unchanged => {
                self.append(world, worker);
                "purge: append"
            }
            Step::PurgeAppend => {
                let task = &mut world.workers[worker].task;
                task.tries -= 1;
                (task.step, task.segment) = (Step::PurgeSegment, Segment::default());
                if task.tries == 0 {
                    self.refuse(world, worker);
                }
                "purge: somebody was faster"
            }
            Step::PurgeBump => {
                world.epoch += 1;
                let next = if first { Step::PurgeSegment } else { Step::PurgeAcknowledge };
                world.workers[worker].task.step = next;
                "purge: change the epoch"
            }
            _ => {
                let purge = usize::from(world.workers[worker].task.purge);
                world.purges[purge] = Acknowledgement::Acknowledged;
                world.workers[worker].task = Task::default();
                "purge: acknowledge"
            }
        }
    }

    /// Walks to the first segment that is not full; makes one in the place of the oldest where there is none.
    fn find_room(&self, world: &mut World, worker: usize) {
        let task = &mut world.workers[worker].task;
        let segment = world.segments[usize::from(task.cur % self.segments)];
        if segment.number >= task.cur {
            task.hard_below = task.hard_below.max(segment.hard_below);
        }
        if segment.number > task.cur {
            task.cur = segment.number;
            return;
        }
        if segment.number == task.cur && segment.length == self.records {
            task.cur += 1;
            return;
        }
        task.segment = if segment.number == task.cur {
            segment
        } else {
            let is_hard =
                |n: u8| self.purges[usize::from(segment.records[usize::from(n)])].mode == Mode::Hard;
            let newest = (0..segment.length).rev().find(|n| is_hard(*n));
            let newest = newest.map_or(0, |n| (segment.number - 1) * self.records + n + 1);
            let carried = task.hard_below.max(segment.hard_below).max(newest);
            let hard_below = if self.deviates(Mutant::ForgetsHardRecords) { 0 } else { carried };
            Segment { number: task.cur, length: 0, hard_below, records: [0; RECORDS] }
        };
        (task.step, task.unchanged) = (Step::PurgeAppend, true);
    }

    fn append(&self, world: &mut World, worker: usize) {
        let first = self.deviates(Mutant::AdvancesEpochFirst);
        let task = &mut world.workers[worker].task;
        let mut segment = core::mem::take(&mut task.segment);
        let purge = task.purge;
        segment.records[usize::from(segment.length)] = purge;
        segment.length += 1;
        (task.step, task.unchanged) = (if first { Step::PurgeAcknowledge } else { Step::PurgeBump }, false);
        let at = usize::from(segment.number % self.segments);
        for other in &mut world.workers {
            let is_there = usize::from(other.task.cur % self.segments) == at;
            if other.task.step == Step::PurgeAppend && is_there {
                (other.task.unchanged, other.task.segment) = (false, Segment::default());
            }
        }
        world.segments[at] = segment;
        world.appended += 1;
        let position = (segment.number - 1) * self.records + segment.length;
        world.positions[usize::from(purge)] = position;
        if position != world.appended {
            world.broken = Broken::Overwritten;
        }
    }

    fn refuse(&self, world: &mut World, worker: usize) {
        let purge = usize::from(world.workers[worker].task.purge);
        world.purges[purge] = Acknowledgement::Refused;
        if self.deviates(Mutant::AcknowledgesWhatFailed) {
            world.broken = Broken::Unappended;
        }
        world.workers[worker].task = Task::default();
    }
}
