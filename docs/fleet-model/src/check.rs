//! What must hold, in every state as if a request came now, and at rest.
//!
//! Serving is no step: whether a stored response would be served is asked in each state.

use crate::setting::{Acknowledge, Lagging, Setting};
use crate::world::{ALL_GONE, ALL_REVALIDATED, Envoy, Stored, World, known_to, newest};

pub const BROKEN: [&str; 14] = [
    "",
    "V1 the Envoy that acknowledged a purge serves what it covers",
    "V2 an Envoy serves what a revision covers that it says it has applied",
    "V3 served later than max_lag after the commit",
    "V4 served after it was acknowledged as applied everywhere",
    "V5 purged content passed through from the home",
    "V6 an acknowledged purge is never applied somewhere",
    "N1 a purge applied twice in one journal",
    "N2 a flush that was not necessary",
    "L1 at rest, but not caught up",
    "L2 at rest, with something unshipped",
    "L3 a caller was never answered",
    "X the model's arrays are too small",
    "L4 records go round for ever",
];
#[derive(PartialEq, Clone, Copy)]
pub enum Verdict {
    Valid,
    Revalidate,
    Hard,
}
impl Setting {
    pub fn hard_among(&self, m: u8) -> bool {
        m & ALL_GONE != 0 || (0..self.purges.len()).any(|p| m >> p & 1 == 1 && self.purges[p].hard)
    }

    pub fn verdict(&self, x: &Envoy, en: &Stored) -> Verdict {
        let mut v = Verdict::Valid;
        for i in en.stamp..x.head {
            let mut m = x.journal[i as usize];
            // Of what the ring has overwritten only a floor is left: the strongest that it may have been.
            if self.ring != 0 && i + self.ring < x.head {
                m = if self.hard_among(m) { ALL_GONE } else { ALL_REVALIDATED };
            }
            if m & ALL_GONE != 0 {
                return Verdict::Hard;
            }
            if m & ALL_REVALIDATED != 0 {
                v = Verdict::Revalidate;
            }
            for p in 0..self.purges.len() {
                if m >> p & 1 == 1 && self.purges[p].covers {
                    if self.purges[p].hard {
                        return Verdict::Hard;
                    }
                    v = Verdict::Revalidate;
                }
            }
        }
        v
    }

    pub fn in_contact(&self, world: &World, x: &Envoy) -> bool {
        x.contact > 0 && x.contact - 1 + self.lag >= world.now
    }

    pub fn usable(&self, world: &World, e: usize, en: &Stored) -> bool {
        let x = &world.envoys[e];
        let in_time = self.lag == 0
            || match self.lagging {
                Lagging::Serve => true,
                Lagging::Revalidate => self.in_contact(world, x) || en.began + self.lag >= world.now,
                Lagging::Bypass => self.in_contact(world, x),
            };
        en.on && in_time && self.verdict(x, en) == Verdict::Valid
    }

    pub fn includes(&self, p: usize, body: u8, confirmed: u8) -> bool {
        !self.purges[p].covers
            || (if self.purges[p].hard && self.strict_hard { body } else { confirmed }) >> p & 1 == 1
    }

    /// Whether an Envoy says that it has applied this purge.
    pub fn knows(&self, world: &World, e: usize, p: usize) -> bool {
        let x = &world.envoys[e];
        world.purge_history[p] != 0
            && x.true_history == world.purge_history[p]
            && x.join != 0
            && known_to(x) >= world.purge_revision[p]
    }

    /// Only a heartbeat could find out that its stream is silent, and the run has none left.
    pub fn deaf(&self, x: &Envoy) -> bool {
        !self.keepalive && x.heartbeats == 0 && x.vms.iter().any(|w| w.stream.silent)
    }

    pub fn broken(&self, world: &World) -> Option<&'static str> {
        if world.bad != 0 {
            return Some(BROKEN[usize::from(world.bad)]);
        }
        for e in 0..self.envoys {
            let x = &world.envoys[e];
            if self.once && x.twice {
                return Some(BROKEN[7]);
            }
            if x.barriers > self.max_barriers {
                return Some(BROKEN[8]);
            }
            if !self.usable(world, e, &x.stored) {
                continue;
            }
            for p in 0..self.purges.len() {
                if self.includes(p, x.stored.body, x.stored.confirmed) {
                    continue;
                }
                let pu = self.purges[p];
                if world.purge_state[p] == 2 && pu.e as usize == e {
                    return Some(BROKEN[1]);
                }
                if self.knows(world, e, p) {
                    return Some(BROKEN[2]);
                }
                if world.purge_state[p] == 2
                    && pu.acknowledge != Acknowledge::Local
                    && self.lag > 0
                    && self.lagging != Lagging::Serve
                    && world.purge_tick[p] != 0
                    && world.now > world.purge_tick[p] - 1 + self.lag
                {
                    return Some(BROKEN[3]);
                }
                if world.purge_state[p] == 2
                    && pu.acknowledge == Acknowledge::Everywhere
                    && (self.lagging == Lagging::Bypass || self.strict_everywhere)
                {
                    return Some(BROKEN[4]);
                }
            }
        }
        None
    }

    pub fn stuck(&self, world: &World) -> Option<&'static str> {
        for p in 0..self.purges.len() {
            if world.purge_state[p] == 1
                && !(self.purges[p].acknowledge == Acknowledge::Everywhere && self.ticks > 0)
            {
                return Some(BROKEN[11]);
            }
            if world.purge_state[p] != 2 {
                continue;
            }
            for e in 0..self.envoys {
                if !self.deaf(&world.envoys[e])
                    && self.usable(world, e, &world.envoys[e].stored)
                    && !self.includes(p, world.envoys[e].stored.body, world.envoys[e].stored.confirmed)
                {
                    return Some(BROKEN[6]);
                }
            }
        }
        for e in 0..self.envoys {
            let x = &world.envoys[e];
            let (m, id) = newest(world, world.revision);
            let deaf = self.deaf(x);
            if !deaf && (x.join == 0 || id != x.last_id || known_to(x) < m) {
                return Some(BROKEN[9]);
            }
            if !deaf && self.unshipped(x) != 0 {
                return Some(BROKEN[10]);
            }
        }
        None
    }
}
