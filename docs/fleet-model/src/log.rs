//! The journal of an Envoy, which is its outbox too, and the log in etcd.

use crate::setting::Setting;
use crate::world::{
    ALL_GONE, ALL_REVALIDATED, EVERYTHING, Envoy, NOT_BACK, POSITIONS, Put, REVISIONS, World, sender,
};

impl Setting {
    pub fn append(&self, world: &mut World, e: usize, mask: u8, revision: u8) {
        let x = &mut world.envoys[e];
        if x.head as usize == POSITIONS {
            world.bad = 12;
            return;
        }
        for p in 0..self.purges.len() {
            if mask >> p & 1 == 1 && x.journal[..x.head as usize].iter().any(|m| m >> p & 1 == 1) {
                x.twice = true;
            }
        }
        x.journal[x.head as usize] = mask;
        x.revisions[x.head as usize] = revision;
        x.head += 1;
        for w in &mut x.vms {
            w.task.valid = false;
        }
    }

    /// etcd carries out a Put. upto == 0: "the history was lost", only if nobody has said so since (a transaction).
    pub fn commit(&self, world: &mut World, put: &Put) {
        if put.upto == 0 && world.log[..=world.revision as usize].iter().any(|m| m & EVERYTHING != 0) {
            return;
        }
        if world.revision as usize + 1 == REVISIONS {
            world.bad = if self.mistakes.reship { 13 } else { 12 };
            return;
        }
        world.revision += 1;
        world.ids += 1;
        let r = world.revision as usize;
        (world.log[r], world.id[r], world.from[r], world.uptos[r]) =
            (put.mask, world.ids, sender(put.envoy as usize, put.life), put.upto);
        if put.upto == 0 {
            world.tag += 1;
        }
        for p in 0..self.purges.len() {
            if put.mask >> p & 1 == 1 && world.purge_history[p] == 0 && world.purge_tick[p] == 0 {
                world.purge_history[p] = world.history;
                world.purge_revision[p] = world.revision;
                world.purge_tick[p] = world.now + 1;
            }
        }
    }

    /// What of the local journal the fleet does not know yet, as one Put.
    pub fn unshipped(&self, x: &Envoy) -> u8 {
        let mut mask = 0;
        for i in x.shipped..x.head {
            if x.revisions[i as usize] != NOT_BACK && !(self.mistakes.reship && i + 1 > x.join) {
                continue;
            }
            // What the ring has overwritten is known as "something, at worst hard".
            if self.ring != 0 && i + self.ring < x.head {
                if !self.mistakes.overflow_forgets {
                    mask |= if self.purges.iter().any(|p| p.hard) { ALL_GONE } else { ALL_REVALIDATED };
                }
            } else {
                mask |= x.journal[i as usize];
            }
        }
        mask
    }

    pub fn pending(&self, x: &Envoy) -> bool {
        !self.mistakes.no_pending && (0..x.head as usize).any(|i| x.revisions[i] == NOT_BACK)
    }

    /// The local position up to which a response takes account of the journal that says "up to revision r of this history".
    pub fn pos_of(&self, x: &Envoy, tag: u8, r: u8) -> u8 {
        if tag != x.tag && !self.mistakes.no_tag {
            return 0;
        }
        let missing = |i: &usize| {
            let r_i = x.revisions[*i];
            (r_i == NOT_BACK && !self.mistakes.no_pending)
                || (i + 1 >= x.join as usize && r_i != NOT_BACK && r_i > r)
        };
        (0..x.head as usize).find(missing).unwrap_or(x.head as usize) as u8
    }

    /// What becomes of a Put under way when its sender does not hear of it any more.
    pub fn abandon(&self, world: &World, put: Put) -> Vec<(World, u8)> {
        let mut v = vec![(*world, 0)];
        if put.stage == 1 && put.history == world.history {
            let mut x = *world;
            self.commit(&mut x, &put);
            v.push((x, 1));
            if self.late_puts && world.late_put.stage == 0 {
                let mut x = *world;
                x.late_put = put;
                v.push((x, 2));
            }
        }
        v
    }
}
