//! The heartbeat (F6), by which contact is proved, and the key of a member (F8).

use crate::events::{Next, event};
use crate::setting::Setting;
use crate::world::{Heartbeat, Registration, World, close, is_up, known_to, newest};

impl Setting {
    /// A linearizable reading of the newest batch: sent, carried out by etcd, answered.
    pub fn beat(&self, world: &World, e: usize, w: usize, next: &mut Next) {
        let (eb, wb) = (e as u8, w as u8);
        let x0 = &world.envoys[e];
        let wk = x0.vms[w];
        let (is_up, leads) = (is_up(world, e), self.leads(x0, e, w));
        let wanted = x0.join != 0
            && (self.lag > 0 && world.now + 1 > x0.contact
                || newest(world, world.revision).1 != x0.last_id
                || world.revision != known_to(x0)
                || world.tag != x0.tag);
        if leads && is_up && wk.heartbeat.stage == 0 && x0.heartbeats > 0 && wanted {
            let mut x = *world;
            x.envoys[e].heartbeats -= 1;
            x.envoys[e].vms[w].heartbeat = Heartbeat { stage: 1, sent: world.now, ..Heartbeat::default() };
            next.push((event(eb, wb, "heartbeat sent", world.now), x));
        }
        if wk.heartbeat.stage == 1 && is_up {
            let mut x = *world;
            let (m, id) = newest(world, world.revision);
            x.envoys[e].vms[w].heartbeat = Heartbeat {
                stage: 2,
                sent: wk.heartbeat.sent,
                v: world.revision,
                m,
                id,
                tag: world.tag,
                reg: world.members[e].live,
            };
            if x.members[e].live {
                x.members[e].renewed = world.now;
            }
            next.push((event(eb, wb, "heartbeat read by etcd", world.revision), x));
        }
        if wk.heartbeat.stage == 2 {
            let mut x = *world;
            let heartbeat = wk.heartbeat;
            let y = &mut x.envoys[e];
            y.vms[w].heartbeat = Heartbeat::default();
            let at = if self.mistakes.contact_receipt { world.now + 1 } else { heartbeat.sent + 1 };
            let p = known_to(y);
            if self.mistakes.contact_any {
                y.contact = y.contact.max(at);
            }
            // What etcd has as its newest record is my newest, or was answered before that and is one of mine.
            let same = heartbeat.tag == y.tag || self.mistakes.no_tag_check;
            let is_newest = same && heartbeat.id == y.last_id && heartbeat.v >= p;
            let is_earlier = same
                && heartbeat.id != y.last_id
                && y.seen >> heartbeat.id & 1 == 1
                && heartbeat.v < y.last_revision;
            let l = if is_newest || is_earlier {
                if is_newest {
                    y.progress = heartbeat.v;
                }
                if !self.members || heartbeat.reg || self.mistakes.no_register {
                    y.contact = y.contact.max(at);
                }
                "heartbeat: up to date"
            } else if heartbeat.m <= p || !same {
                close(&mut y.vms[w].stream);
                "heartbeat: not the history that I know, stream closed"
            } else if wk.stream.silent {
                close(&mut y.vms[w].stream);
                "heartbeat: behind and silent, stream closed"
            } else {
                "heartbeat: behind"
            };
            next.push((event(eb, wb, l, heartbeat.sent), x));
        }
    }

    /// Tells etcd that this member is there, and what it has applied.
    pub fn register(&self, world: &World, e: usize, w: usize, next: &mut Next) {
        let (eb, wb) = (e as u8, w as u8);
        let x0 = &world.envoys[e];
        let (is_up, leads) = (is_up(world, e), self.leads(x0, e, w));
        if self.members && leads && is_up {
            if !world.members[e].live {
                let mut x = *world;
                x.members[e] = Registration { live: true, reported: 0, renewed: world.now };
                next.push((event(eb, wb, "registers", 0), x));
            } else if world.members[e].reported < known_to(x0) && x0.tag == world.tag && x0.join != 0 {
                let mut x = *world;
                x.members[e].reported = known_to(x0);
                next.push((event(eb, wb, "reports", known_to(x0)), x));
            }
        }
    }
}
