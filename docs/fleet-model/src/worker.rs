//! What a worker does: it dies or begins, takes purges, answers them, and holds the lease under which it watches and ships.

use crate::check::Verdict;
use crate::events::{Next, event};
use crate::setting::{Acknowledge, Setting};
use crate::world::{Envoy, Fetch, Heartbeat, NO_HOME, NOT_BACK, Worker, World, close, is_up, known_to};

impl Setting {
    /// What a worker may do next.
    pub fn worker(&self, world: &World, e: usize, w: usize, next: &mut Next) {
        let worker = world.envoys[e].vms[w];
        if !worker.alive {
            let mut x = *world;
            x.envoys[e].vms[w] = Worker { alive: true, ..Worker::default() };
            return next.push((event(e as u8, w as u8, "VM reloads", 0), x));
        }
        self.dies(world, e, w, next);
        if worker.task.k != 0 {
            return self.run(world, e, w, next);
        }
        self.purge(world, e, w, next);
        self.lease(world, e, w, next);
        self.watch(world, e, w, next);
        self.beat(world, e, w, next);
        self.register(world, e, w, next);
        self.ship(world, e, w, next);
        self.fetch(world, e, w, next);
    }

    fn is_asked(&self, p: usize, e: usize, w: usize) -> bool {
        usize::from(self.purges[p].e) == e && usize::from(self.purges[p].w) == w
    }

    /// Its VM dies, and with it what only it knew. A Put under way is lost, committed, or committed later.
    fn dies(&self, world: &World, e: usize, w: usize, next: &mut Next) {
        let (eb, wb) = (e as u8, w as u8);
        let x0 = &world.envoys[e];
        let wk = x0.vms[w];
        if world.deaths > 0
            && (wk.task.k != 0
                || wk.stream.stage != 0
                || wk.put.stage != 0
                || (0..self.purges.len()).any(|p| world.purge_state[p] == 1 && self.is_asked(p, e, w)))
        {
            for (mut x, what) in self.abandon(world, wk.put) {
                x.deaths -= 1;
                x.envoys[e].vms[w] = Worker::default();
                if x.envoys[e].fetch.phase != 0 && x.envoys[e].fetch.w == wb {
                    x.envoys[e].fetch = Fetch::default();
                }
                for p in 0..self.purges.len() {
                    if x.purge_state[p] == 1 && self.is_asked(p, e, w) {
                        x.purge_state[p] = 3;
                    }
                }
                next.push((
                    event(
                        eb,
                        wb,
                        ["VM DIES", "VM DIES, its Put was committed", "VM DIES, its Put is still under way"]
                            [what as usize],
                        0,
                    ),
                    x,
                ));
            }
        }
    }

    /// A purge is appended to the journal here (F9), and answered.
    fn purge(&self, world: &World, e: usize, w: usize, next: &mut Next) {
        let (eb, wb) = (e as u8, w as u8);
        let x0 = &world.envoys[e];
        let wk = x0.vms[w];
        let is_up = is_up(world, e);
        for p in 0..self.purges.len() {
            if !self.is_asked(p, e, w) {
                continue;
            }
            let ack = self.purges[p].acknowledge;
            if world.purge_state[p] == 0 && !(self.ordered && (0..p).any(|q| world.purge_state[q] == 0)) {
                let mut x = *world;
                x.issued |= 1 << p;
                self.append(&mut x, e, 1 << p, NOT_BACK);
                x.purge_position[p] = x.envoys[e].head;
                x.purge_life[p] = x.envoys[e].life;
                x.purge_state[p] = if ack == Acknowledge::Local || self.mistakes.ack_at_once { 2 } else { 1 };
                next.push((
                    event(
                        eb,
                        wb,
                        if x.purge_state[p] == 2 {
                            "PURGE: local append, acknowledged"
                        } else {
                            "PURGE: local append"
                        },
                        p as u8,
                    ),
                    x,
                ));
            }
            let committed = world.purge_state[p] == 1
                && world.purge_life[p] == x0.life
                && (x0.revisions[world.purge_position[p] as usize - 1] != NOT_BACK
                    || self.mistakes.ack_on_put
                        && wk.put.stage == 2
                        && wk.put.upto >= world.purge_position[p]);
            if committed {
                let ripe = self.mistakes.no_grace || self.lag == 0 || world.now > x0.joined_at + self.lag;
                let all = || {
                    (0..self.envoys).all(|o| {
                        o == e
                            || !world.members[o].live
                            || world.members[o].reported >= world.purge_revision[p]
                            || (self.mistakes.expect_member && world.members[o].reported == 0)
                    })
                };
                if ack == Acknowledge::Fleet
                    || (ack == Acknowledge::Everywhere && is_up && ripe && world.tag == x0.tag && all())
                {
                    let mut x = *world;
                    x.purge_state[p] = 2;
                    next.push((
                        event(
                            eb,
                            wb,
                            if ack == Acknowledge::Fleet {
                                "ACK: committed"
                            } else {
                                "ACK: applied everywhere"
                            },
                            p as u8,
                        ),
                        x,
                    ));
                }
            }
        }
    }

    /// The lease in shared data (F0): who watches and ships.
    fn lease(&self, world: &World, e: usize, w: usize, next: &mut Next) {
        let (eb, wb) = (e as u8, w as u8);
        let x0 = &world.envoys[e];
        let wk = x0.vms[w];
        if self.workers[e] > 1 && !self.mistakes.no_lease && x0.lease != wb + 1 {
            let dead = (x0.lease as usize).checked_sub(1).is_none_or(|h| !x0.vms[h].alive);
            if dead || world.stolen_leases > 0 {
                let mut x = *world;
                if !dead {
                    x.stolen_leases -= 1;
                }
                x.envoys[e].lease = wb + 1;
                next.push((
                    event(eb, wb, if dead { "lease taken" } else { "lease taken from one that lives" }, 0),
                    x,
                ));
            }
        }
        let leads = self.leads(x0, e, w);
        if !leads && (wk.stream.stage != 0 || wk.heartbeat.stage != 0) {
            let mut x = *world;
            close(&mut x.envoys[e].vms[w].stream);
            x.envoys[e].vms[w].heartbeat = Heartbeat::default();
            next.push((event(eb, wb, "deposed: closes its stream", 0), x));
        }
    }

    /// A fetch begins, or goes on.
    fn fetch(&self, world: &World, e: usize, w: usize, next: &mut Next) {
        let (eb, wb) = (e as u8, w as u8);
        let x0 = &world.envoys[e];
        if w == 0 && x0.fetch.phase == 0 && world.fetches[e] > 0 && !self.usable(world, e, &x0.stored) {
            let mut x = *world;
            x.fetches[e] -= 1;
            let mut need = 0;
            for p in 0..self.purges.len() {
                if (world.purge_state[p] == 2 && self.purges[p].e == eb) || self.knows(world, e, p) {
                    need |= 1 << p;
                }
            }
            let validates = self.validates && x0.stored.on && self.verdict(x0, &x0.stored) != Verdict::Hard;
            let edge = self.home[e] != NO_HOME;
            let fresh = edge && self.rule_min && self.pending(x0);
            x.envoys[e].fetch = Fetch {
                phase: if edge { 2 } else { 1 },
                w: wb,
                stamp: x0.head,
                issued: world.issued,
                began: world.now,
                need,
                validates,
                old_body: x0.stored.body,
                min: if edge && self.rule_min { known_to(x0) } else { 0 },
                tag: x0.tag,
                fresh,
                label: known_to(x0),
                label_tag: x0.tag,
                ..Fetch::default()
            };
            next.push((
                event(
                    eb,
                    wb,
                    if edge { "fetch begins, by way of the home" } else { "fetch begins" },
                    x0.head,
                ),
                x,
            ));
        }
        if wb == x0.fetch.w && x0.fetch.phase == 1 {
            self.landed(world, e, next);
        }
        if wb == x0.fetch.w && x0.fetch.phase == 4 {
            self.landed_edge(world, e, next);
        }
        if w == 0 {
            for edge in 0..self.envoys {
                if self.home[edge] == eb && world.envoys[edge].fetch.phase == 2 {
                    self.at_home(world, e, edge, next);
                }
            }
        }
    }

    /// Whether a worker watches and ships.
    pub fn leads(&self, x: &Envoy, e: usize, w: usize) -> bool {
        self.workers[e] == 1 || self.mistakes.no_lease || x.lease == w as u8 + 1
    }
}
