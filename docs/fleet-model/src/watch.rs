//! The watch of the log (F2): opening it, the check that the history is the one that is known, and what it delivers (F3).

use crate::events::{Next, event};
use crate::setting::Setting;
use crate::world::{Envoy, Put, Stream, Task, World, close, is_up, known_to, newest, sender};

impl Setting {
    /// RESUME or JOIN: the watch is created.
    pub fn open(&self, world: &mut World, e: usize, w: usize) -> &'static str {
        let (history, v, compacted, tag, (m, id)) =
            (world.history, world.revision, world.compacted, world.tag, newest(world, world.revision));
        let x = &mut world.envoys[e];
        let p = known_to(x);
        // What was answered before a watch is created comes back before that has caught up, or not at all.
        if x.vms[w].put.stage == 2 {
            x.vms[w].put = Put::default();
        }
        let from_now = Stream { stage: 2, silent: false, next: v + 1, v, join: x.join, history, tag };
        if x.join == 0 {
            x.vms[w].stream = from_now;
            return "watch from now, to join";
        }
        let start = if self.mistakes.resume_at_rev {
            p
        } else if self.mistakes.resume_skip {
            p + 2
        } else {
            p + 1
        };
        if start <= compacted && compacted > 0 {
            if self.mistakes.ignore_compaction {
                x.vms[w].stream = Stream { stage: 3, ..from_now };
                return "watch cancelled (compacted): from now on";
            }
            if self.shortcut && id == x.last_id && v >= p && x.tag == tag {
                x.progress = v;
                return "watch cancelled (compacted), nothing missed: progress";
            }
            // Its newest record is older than one that is known here: it has lost records.
            if m < x.last_revision && x.tag == tag && !self.mistakes.loss_by_revision {
                x.announce = self.publish_loss;
            }
            x.vms[w].stream = from_now;
            return "watch cancelled (compacted): from now, to join";
        }
        if self.mistakes.progress_created {
            x.progress = x.progress.max(v);
        }
        x.vms[w].stream =
            Stream { stage: if self.mistakes.no_check { 3 } else { 1 }, next: start, ..from_now };
        "watch from where it was left"
    }

    /// Whether etcd's history goes on from what is known here.
    pub fn same_history(&self, world: &World, e: usize) -> bool {
        let x = &world.envoys[e];
        known_to(x) <= world.revision
            && (x.tag == world.tag || self.mistakes.no_tag_check)
            && (newest(world, known_to(x)).1 == x.last_id || self.mistakes.no_record_check)
    }

    /// Whether a live stream has delivered all that there was when it was created.
    pub fn caught_up(&self, world: &World, stream: &Stream) -> bool {
        stream.stage == 3
            && (self.mistakes.no_catch_up
                || !(stream.next..=stream.v.min(world.revision)).any(|r| world.log[r as usize] != 0))
    }

    /// The stream of a worker: opened, checked, joined, read.
    pub fn watch(&self, world: &World, e: usize, w: usize, next: &mut Next) {
        self.begin(world, e, w, next);
        self.begin_wrongly(world, e, w, next);
        self.check(world, e, w, next);
        self.join(world, e, w, next);
        self.deliver(world, e, w, next);
        self.silence(world, e, w, next);
    }

    /// A stream is opened by whoever has none.
    fn begin(&self, world: &World, e: usize, w: usize, next: &mut Next) {
        let (eb, wb) = (e as u8, w as u8);
        let x0 = &world.envoys[e];
        let wk = x0.vms[w];
        let (is_up, leads) = (is_up(world, e), self.leads(x0, e, w));
        let from_now = from_now(world, x0);
        if leads && is_up && wk.stream.stage == 0 {
            let mut x = *world;
            if self.mistakes.barrier_first && x0.join == 0 {
                x.envoys[e].vms[w].task = Task { k: 2, ..Task::default() };
                self.run(&x, e, w, next);
            } else if self.mistakes.check_first && x0.join != 0 {
                if self.same_history(world, e) {
                    x.envoys[e].vms[w].stream.stage = 4;
                    next.push((event(eb, wb, "history checked", 0), x));
                } else {
                    x.envoys[e].vms[w].stream = from_now;
                    if wk.put.stage == 2 {
                        x.envoys[e].vms[w].put = Put::default();
                    }
                    next.push((event(eb, wb, "history is another: watch from now, to join", 0), x));
                }
            } else {
                let l = self.open(&mut x, e, w);
                next.push((event(eb, wb, l, 0), x));
            }
        }
    }

    /// What follows where a mistake has begun it.
    fn begin_wrongly(&self, world: &World, e: usize, w: usize, next: &mut Next) {
        let (eb, wb) = (e as u8, w as u8);
        let x0 = &world.envoys[e];
        let wk = x0.vms[w];
        let is_up = is_up(world, e);
        let from_now = from_now(world, x0);
        if wk.stream.stage == 6 && is_up {
            let mut x = *world;
            let (m, id) = newest(world, world.revision);
            let y = &mut x.envoys[e];
            y.join = y.head;
            y.applied = world.revision;
            y.progress = world.revision;
            y.last_id = id;
            y.last_revision = m;
            y.seen = 1 << id;
            y.true_history = world.history;
            y.tag = world.tag;
            y.vms[w].stream = Stream { stage: 3, join: y.join, ..from_now };
            next.push((event(eb, wb, "join: revision asked for after the barrier", world.revision), x));
        }
        if wk.stream.stage == 4 && is_up {
            let mut x = *world;
            self.open(&mut x, e, w);
            if x.envoys[e].vms[w].stream.stage == 1 {
                x.envoys[e].vms[w].stream.stage = 3;
            }
            next.push((event(eb, wb, "watch created after the check", 0), x));
        }
    }

    /// R1 to R5: whether the history is the one that is known; after the stream was created (R2).
    fn check(&self, world: &World, e: usize, w: usize, next: &mut Next) {
        let (eb, wb) = (e as u8, w as u8);
        let x0 = &world.envoys[e];
        let wk = x0.vms[w];
        let is_up = is_up(world, e);
        let from_now = from_now(world, x0);
        if wk.stream.stage == 1 && is_up {
            let mut x = *world;
            if x0.join != wk.stream.join {
                close(&mut x.envoys[e].vms[w].stream);
                next.push((event(eb, wb, "check: another JOIN since, stream dropped", 0), x));
            } else if self.same_history(world, e) {
                x.envoys[e].vms[w].stream.stage = 3;
                x.envoys[e].true_history = world.history;
                next.push((event(eb, wb, "check: the same history", 0), x));
            } else {
                x.envoys[e].vms[w].stream = from_now;
                x.envoys[e].announce = self.publish_loss && x0.tag == world.tag;
                if wk.put.stage == 2 {
                    x.envoys[e].vms[w].put = Put::default();
                }
                next.push((event(eb, wb, "check: another history: watch from now, to join", 0), x));
            }
        }
    }

    /// F1: the barrier is to be written.
    fn join(&self, world: &World, e: usize, w: usize, next: &mut Next) {
        let (eb, wb) = (e as u8, w as u8);
        let x0 = &world.envoys[e];
        let wk = x0.vms[w];
        if wk.stream.stage == 2 {
            let mut x = *world;
            x.envoys[e].vms[w].task = Task {
                k: 2,
                revision: wk.stream.v,
                id: newest(world, wk.stream.v).1,
                join: wk.stream.join,
                history: wk.stream.history,
                tag: wk.stream.tag,
                ..Task::default()
            };
            if self.workers[e] == 1 {
                self.run(&x, e, w, next);
            } else {
                next.push((event(eb, wb, "join begins", wk.stream.v), x));
            }
        }
    }

    /// The next batch is delivered.
    fn deliver(&self, world: &World, e: usize, w: usize, next: &mut Next) {
        let (eb, wb) = (e as u8, w as u8);
        let x0 = &world.envoys[e];
        let wk = x0.vms[w];
        let is_up = is_up(world, e);
        if wk.stream.stage == 3
            && is_up
            && !wk.stream.silent
            && wk.stream.history == world.history
            && let Some(r) = (wk.stream.next..=world.revision).find(|&r| world.log[r as usize] != 0)
        {
            let (mut x, i) = (*world, r as usize);
            if r <= world.compacted {
                close(&mut x.envoys[e].vms[w].stream);
                next.push((event(eb, wb, "watch cancelled (compacted) while behind", r), x));
            } else {
                let own = !self.mistakes.echo_applied
                    && if self.mistakes.echo_by_name {
                        world.from[i] % 8 == eb + 1
                    } else {
                        world.from[i] == sender(e, x0.life)
                    };
                x.envoys[e].vms[w].stream.next = r + 1;
                x.envoys[e].vms[w].task = Task {
                    k: 1,
                    revision: r,
                    mask: world.log[i],
                    id: world.id[i],
                    upto: world.uptos[i],
                    join: wk.stream.join,
                    history: wk.stream.history,
                    tag: world.tag,
                    own,
                    ..Task::default()
                };
                if self.workers[e] == 1 && !self.mistakes.store_then_apply && !self.mistakes.apply_then_store
                {
                    self.run(&x, e, w, next);
                } else {
                    next.push((event(eb, wb, "event delivered", r), x));
                }
            }
        }
    }

    /// A stream that is silent, and what an open one is taken for.
    fn silence(&self, world: &World, e: usize, w: usize, next: &mut Next) {
        let (eb, wb) = (e as u8, w as u8);
        let x0 = &world.envoys[e];
        let wk = x0.vms[w];
        let is_up = is_up(world, e);
        if wk.stream.silent && self.keepalive && is_up {
            let mut x = *world;
            close(&mut x.envoys[e].vms[w].stream);
            next.push((event(eb, wb, "keepalive closes the silent stream", 0), x));
        }
        if self.mistakes.contact_stream && wk.stream.stage == 3 && x0.contact < world.now + 1 {
            let mut x = *world;
            x.envoys[e].contact = world.now + 1;
            next.push((event(eb, wb, "stream is open: contact", 0), x));
        }
    }
}

/// A stream of what comes from now on, to join with.
fn from_now(world: &World, x: &Envoy) -> Stream {
    Stream {
        stage: 2,
        silent: false,
        next: world.revision + 1,
        v: world.revision,
        join: x.join,
        history: world.history,
        tag: world.tag,
    }
}
