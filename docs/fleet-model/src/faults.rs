//! What goes wrong: Envoys restart, networks part, etcd compacts, is wiped, is restored from a backup. And time passes.

use crate::events::{Next, event};
use crate::setting::Setting;
use crate::world::{
    ENVOYS, Envoy, Fetch, Heartbeat, PURGES, Put, REVISIONS, Registration, World, close, is_up,
};

impl Setting {
    /// Faults of one Envoy or its link.
    pub fn envoy_faults(&self, world: &World, e: usize, next: &mut Next) {
        let eb = e as u8;
        let put = || {
            (0..self.workers[e])
                .map(|w| world.envoys[e].vms[w].put)
                .find(|put| put.stage == 1)
                .unwrap_or_default()
        };
        if world.restarts > 0 && world.envoys[e].join != 0 {
            for (mut x, what) in self.abandon(world, put()) {
                x.restarts -= 1;
                x.envoys[e] = Envoy {
                    life: world.envoys[e].life + 1,
                    heartbeats: world.envoys[e].heartbeats,
                    lease: 1,
                    ..Envoy::default()
                };
                for w in 0..self.workers[e] {
                    x.envoys[e].vms[w].alive = true;
                }
                for p in 0..self.purges.len() {
                    if x.purge_state[p] == 1 && self.purges[p].e == eb {
                        x.purge_state[p] = 3;
                    }
                }
                for o in 0..self.envoys {
                    if self.home[o] == eb && x.envoys[o].fetch.phase >= 2 {
                        x.envoys[o].fetch = Fetch::default();
                    }
                }
                next.push((
                    event(
                        eb,
                        9,
                        [
                            "ENVOY RESTARTS",
                            "ENVOY RESTARTS, its Put was committed",
                            "ENVOY RESTARTS, its Put is still under way",
                        ][what as usize],
                        0,
                    ),
                    x,
                ));
            }
        }
        if world.partitions > 0 && is_up(world, e) && self.partitioned >> e & 1 == 1 {
            for (x0, what) in self.abandon(world, put()) {
                for silent in [false, true] {
                    if silent && !self.silent {
                        continue;
                    }
                    let mut x = x0;
                    x.partitions -= 1;
                    x.links &= !(1 << e);
                    for w in &mut x.envoys[e].vms {
                        w.heartbeat = Heartbeat::default();
                        if w.put.stage == 1 {
                            w.put = Put::default();
                        }
                        if silent && w.stream.stage == 3 {
                            w.stream.silent = true;
                        } else {
                            close(&mut w.stream);
                        }
                    }
                    next.push((
                        event(
                            eb,
                            9,
                            if silent {
                                "PARTITION, its stream silent"
                            } else {
                                "PARTITION, its stream closed"
                            },
                            what,
                        ),
                        x,
                    ));
                }
            }
        }
        if !is_up(world, e) {
            let mut x = *world;
            x.links |= 1 << e;
            next.push((event(eb, 9, "the network heals", 0), x));
        }
        if self.members && world.members[e].live && world.now > world.members[e].renewed + self.ttl {
            let mut x = *world;
            x.members[e].live = false;
            x.members[e].reported = 0;
            next.push((event(eb, 9, "its lease in etcd expires", 0), x));
        }
    }

    pub fn etcd_faults(&self, world: &World, next: &mut Next) {
        if world.late_put.stage != 0 {
            let mut x = *world;
            x.late_put = Put::default();
            next.push((event(9, 9, "the abandoned Put is lost", 0), x));
            if world.late_put.history == world.history {
                let mut x = *world;
                x.late_put = Put::default();
                self.commit(&mut x, &world.late_put);
                next.push((event(9, 9, "the abandoned Put is committed late", x.revision), x));
            }
        }
        if world.other_writes > 0 && (world.revision as usize) + 1 < REVISIONS {
            let mut x = *world;
            x.other_writes -= 1;
            x.revision += 1;
            next.push((event(9, 9, "another key is written", x.revision), x));
        }
        if world.compactions > 0 && world.revision > world.compacted {
            let mut x = *world;
            x.compactions -= 1;
            x.compacted = world.revision;
            next.push((event(9, 9, "etcd compacts its history", x.compacted), x));
        }
        let cut = |x: &mut World| {
            for e in 0..self.envoys {
                for w in &mut x.envoys[e].vms {
                    if w.stream.stage != 4 {
                        close(&mut w.stream);
                    }
                    w.heartbeat = Heartbeat::default();
                }
            }
        };
        if world.wipes > 0 && world.revision > 0 {
            for revision in 0..=(world.revision + 1).min(REVISIONS as u8 - 1) {
                if self.ticks > 0 && revision != 0 && revision <= world.revision {
                    continue;
                }
                let mut x = *world;
                x.wipes -= 1;
                x.history += 1;
                x.tag += 1;
                x.revision = revision;
                x.compacted = 0;
                x.log = [0; REVISIONS];
                x.id = [0; REVISIONS];
                x.from = [0; REVISIONS];
                x.uptos = [0; REVISIONS];
                x.members = [Registration::default(); ENVOYS];
                x.purge_history = [0; PURGES];
                cut(&mut x);
                next.push((event(9, 9, "ETCD IS WIPED, and its revision is", revision), x));
            }
        }
        if world.restores > 0 {
            for revision in 0..world.revision {
                let mut x = *world;
                x.restores -= 1;
                x.history += 1;
                x.revision = revision;
                x.compacted = x.compacted.min(revision);
                for r in revision as usize + 1..REVISIONS {
                    x.log[r] = 0;
                    x.id[r] = 0;
                    x.from[r] = 0;
                    x.uptos[r] = 0;
                }
                for p in 0..self.purges.len() {
                    if x.purge_history[p] != 0 {
                        x.purge_history[p] = if x.purge_revision[p] > revision { 0 } else { x.history };
                    }
                }
                if self.raised {
                    x.revision = world.revision + 1;
                    x.compacted = x.revision;
                }
                cut(&mut x);
                next.push((event(9, 9, "ETCD IS RESTORED from a backup of revision", revision), x));
            }
        }
        if world.now < self.ticks {
            let mut x = *world;
            x.now += 1;
            next.push((event(9, 9, "time passes", x.now), x));
        }
    }
}
