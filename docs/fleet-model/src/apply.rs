//! What a stream delivers is applied to the journal (F3), and a history is joined (F1): reading the tail and the
//! compare-and-set are two steps where another worker can come between.

use crate::events::{Next, event};
use crate::setting::Setting;
use crate::world::{ALL_GONE, ALL_REVALIDATED, EVERYTHING, NOT_BACK, Put, Task, World, close, newest};

impl Setting {
    fn step(&self, before: &World, e: usize, w: usize, next: &mut Next) {
        let mut world = *before;
        let task = world.envoys[e].vms[w].task;
        let what = match (task.k, task.pc) {
            (1, 0) => self.read_to_apply(&mut world, e, w),
            (1, _) => self.apply(&mut world, e, w),
            (2, 0) => self.read_to_join(&mut world, e, w),
            (2, _) => self.write_barrier(&mut world, e, w),
            other => panic!("{other:?}"),
        };
        next.push((event(e as u8, w as u8, what, task.revision), world));
    }

    /// F3: the tail of the journal is read.
    fn read_to_apply(&self, world: &mut World, e: usize, w: usize) -> &'static str {
        let t = world.envoys[e].vms[w].task;
        let label;
        let x = &mut world.envoys[e];
        if x.join != t.join && !self.mistakes.no_join_check {
            close(&mut x.vms[w].stream);
            x.vms[w].task = Task::default();
            label = "apply: another JOIN since, stream dropped";
        } else if t.own {
            if t.revision >= x.last_revision {
                x.last_id = t.id;
                x.last_revision = t.revision;
            }
            x.progress = x.progress.max(t.revision);
            x.seen |= 1 << t.id;
            for i in 0..(t.upto as usize).min(x.head as usize) {
                if x.revisions[i] == NOT_BACK {
                    x.revisions[i] = t.revision;
                }
            }
            x.shipped = x.shipped.max(t.upto.min(x.head));
            if t.mask & EVERYTHING != 0 && t.upto == 0 {
                x.tag = t.tag;
            }
            if x.vms[w].put.stage == 2 && x.vms[w].put.upto <= t.upto {
                x.vms[w].put = Put::default();
            }
            x.vms[w].task = Task::default();
            label = "own record came back: progress, shipped";
        } else if t.revision <= x.applied && !self.mistakes.no_applied_check && !self.mistakes.batch_split {
            x.seen |= 1 << t.id;
            x.vms[w].task = Task::default();
            label = "apply: has been applied";
        } else if self.mistakes.store_then_apply {
            x.applied = t.revision;
            x.last_id = t.id;
            x.last_revision = t.revision;
            x.seen |= 1 << t.id;
            x.vms[w].task.pc = 1;
            label = "apply: revision stored (key of its own)";
        } else if self.mistakes.apply_then_store {
            self.append(world, e, t.mask, t.revision);
            world.envoys[e].vms[w].task.pc = 1;
            label = "apply: records appended (revision in a key of its own)";
        } else {
            x.vms[w].task.pc = 1;
            x.vms[w].task.valid = true;
            label = "apply: tail read";
        }
        label
    }

    /// F3: records and revision in one compare-and-set.
    fn apply(&self, world: &mut World, e: usize, w: usize) -> &'static str {
        let t = world.envoys[e].vms[w].task;
        let label;
        if self.mistakes.apply_then_store {
            let x = &mut world.envoys[e];
            if t.revision > x.applied {
                x.applied = t.revision;
                x.last_id = t.id;
                x.last_revision = t.revision;
            }
            x.seen |= 1 << t.id;
            x.vms[w].task = Task::default();
            label = "apply: revision stored";
        } else if !t.valid && !self.mistakes.store_then_apply && !self.mistakes.blind_cas {
            world.envoys[e].vms[w].task.pc = 0;
            label = "apply: CAS failed";
        } else {
            let mut mask = t.mask;
            if self.unknown >> e & 1 == 1 && mask & 1 == 1 {
                mask &= !1;
                if !self.mistakes.unknown_ignored {
                    mask |= ALL_GONE;
                }
            }
            if t.mask & EVERYTHING != 0 && t.upto == 0 {
                world.envoys[e].tag = t.tag;
                world.envoys[e].announce = false;
            }
            if mask != 0 {
                self.append(world, e, mask, t.revision);
            }
            let (upto, id) =
                if self.mistakes.batch_split { newest(world, world.revision) } else { (t.revision, t.id) };
            let x = &mut world.envoys[e];
            if !self.mistakes.store_then_apply {
                // A compare-and-set that is not blind has proved that nothing newer is applied.
                x.applied = if self.mistakes.batch_split { x.applied.max(upto) } else { upto };
                if upto >= x.last_revision {
                    x.last_id = id;
                    x.last_revision = upto;
                }
            }
            x.seen |= 1 << t.id;
            x.vms[w].task = Task::default();
            label = "apply: CAS appends records and revision";
        }
        label
    }

    /// F1: the tail of the journal is read.
    fn read_to_join(&self, world: &mut World, e: usize, w: usize) -> &'static str {
        let t = world.envoys[e].vms[w].task;
        let label;
        let x = &mut world.envoys[e];
        if x.join != t.join {
            close(&mut x.vms[w].stream);
            x.vms[w].task = Task::default();
            label = "join: another one was faster";
        } else {
            x.vms[w].task.pc = 1;
            x.vms[w].task.valid = true;
            label = "join: tail read";
        }
        label
    }

    /// F1: barrier, revision and tag in one compare-and-set.
    fn write_barrier(&self, world: &mut World, e: usize, w: usize) -> &'static str {
        let t = world.envoys[e].vms[w].task;
        let (m, now) = (newest(world, t.revision).0, world.now);
        let label;
        if !t.valid {
            world.envoys[e].vms[w].task.pc = 0;
            label = "join: CAS failed";
        } else {
            self.append(
                world,
                e,
                if self.mistakes.no_barrier {
                    0
                } else if self.barrier_hard {
                    ALL_GONE
                } else {
                    ALL_REVALIDATED
                },
                t.revision,
            );
            let x = &mut world.envoys[e];
            x.barriers += 1;
            x.vms[w].task = Task::default();
            if self.mistakes.barrier_first {
                x.vms[w].stream.stage = 6;
                label = "join: barrier appended, revision not known yet";
            } else {
                x.join = x.head;
                x.applied = t.revision;
                x.progress = t.revision;
                x.last_id = t.id;
                x.last_revision = m;
                x.seen = 1 << t.id;
                x.true_history = t.history;
                x.tag = t.tag;
                x.joined_at = now;
                if x.vms[w].stream.stage == 2 {
                    x.vms[w].stream.stage = 3;
                    x.vms[w].stream.join = x.join;
                }
                label = "join: CAS appends barrier, revision and tag";
            }
        }
        label
    }

    /// The steps of a task. With one worker nobody comes between the reading of the tail and the compare-and-set.
    pub fn run(&self, world: &World, e: usize, w: usize, next: &mut Next) {
        let from = next.len();
        self.step(world, e, w, next);
        let atomic =
            self.workers[e] == 1 && !self.mistakes.store_then_apply && !self.mistakes.apply_then_store;
        while atomic
            && next.len() > from
            && next[next.len() - 1].1.envoys[e].vms[w].task.k != 0
            && next[next.len() - 1].1.bad == 0
        {
            let Some((_, then)) = next.pop() else { return };
            self.step(&then, e, w, next);
        }
    }
}
