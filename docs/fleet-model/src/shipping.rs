//! Shipping (F5): one Put at a time, over a watch that has caught up.

use crate::events::{Next, event};
use crate::setting::Setting;
use crate::world::{ALL_GONE, ALL_REVALIDATED, NOT_BACK, Put, World, close, is_up};

impl Setting {
    /// What of the journal the fleet does not know yet is put, answered, lost or given up.
    pub fn ship(&self, world: &World, e: usize, w: usize, next: &mut Next) {
        let (eb, wb) = (e as u8, w as u8);
        let x0 = &world.envoys[e];
        let wk = x0.vms[w];
        let (is_up, leads) = (is_up(world, e), self.leads(x0, e, w));
        if leads
            && is_up
            && wk.put.stage == 0
            && (self.caught_up(world, &wk.stream) || self.mistakes.no_catch_up)
        {
            let (mask, upto) = if x0.announce {
                (if self.barrier_hard { ALL_GONE } else { ALL_REVALIDATED }, 0)
            } else {
                (self.unshipped(x0), x0.head)
            };
            if mask != 0 {
                let mut x = *world;
                x.envoys[e].announce = false;
                x.envoys[e].vms[w].put =
                    Put { stage: 1, upto, mask, history: world.history, envoy: eb, life: x0.life };
                if self.mistakes.shipped_early {
                    x.envoys[e].shipped = upto;
                    for i in 0..upto as usize {
                        if x.envoys[e].revisions[i] == NOT_BACK {
                            x.envoys[e].revisions[i] = 0;
                        }
                    }
                }
                next.push((
                    event(eb, wb, if upto == 0 { "ships: history was lost" } else { "ships" }, upto),
                    x,
                ));
            }
        }
        if wk.put.stage == 1 && is_up && wk.put.history == world.history {
            let mut x = *world;
            self.commit(&mut x, &wk.put);
            x.envoys[e].vms[w].put =
                if wk.put.upto == 0 { Put::default() } else { Put { stage: 2, ..wk.put } };
            if self.mistakes.put_progress && x0.true_history == world.history {
                let y = &mut x.envoys[e];
                y.progress = y.progress.max(x.revision);
                y.last_id = x.ids;
                y.last_revision = x.revision;
            }
            next.push((event(eb, wb, "Put committed and answered", x.revision), x));
        }
        if wk.put.stage == 1 && wk.put.history != world.history {
            let mut x = *world;
            x.envoys[e].vms[w].put = Put::default();
            next.push((event(eb, wb, "Put lost with its etcd", 0), x));
        }
        if wk.put.stage == 1 && world.timeouts > 0 {
            for (mut x, _) in self.abandon(world, wk.put) {
                x.timeouts -= 1;
                x.envoys[e].vms[w].put = Put::default();
                close(&mut x.envoys[e].vms[w].stream);
                next.push((event(eb, wb, "Put timed out, stream closed", 0), x));
            }
        }
    }
}
