//! Fetches: answers of the origin, and the second tier, where an edge asks the home of a key. The second tier is not built.

use crate::check::Verdict;
use crate::events::{Next, event};
use crate::setting::Setting;
use crate::world::{Fetch, NO_HOME, Stored, World, known_to};

impl Setting {
    pub fn landed(&self, world: &World, e: usize, next: &mut Next) {
        let fetch = world.envoys[e].fetch;
        for not_modified in [false, true] {
            if not_modified && !fetch.validates {
                continue;
            }
            let mut x = *world;
            let y = &mut x.envoys[e];
            let p = known_to(y);
            y.fetch = Fetch::default();
            y.stored = Stored {
                on: true,
                body: if not_modified { fetch.old_body } else { fetch.issued },
                confirmed: fetch.issued,
                stamp: if self.mistakes.stamp_landing { y.head } else { fetch.stamp },
                began: if self.mistakes.fetched_landing { world.now } else { fetch.began },
                label: if self.mistakes.label_landing { p } else { fetch.label },
                tag: fetch.label_tag,
            };
            let en = y.stored;
            if self.home.iter().all(|h| *h == NO_HOME) {
                y.stored.label = 0;
                y.stored.tag = 0;
            }
            if fetch.edge != 0 {
                let f = &mut x.envoys[fetch.edge as usize - 1].fetch;
                if f.phase == 3 {
                    *f = Fetch {
                        phase: 4,
                        home_body: en.body,
                        home_confirmed: en.confirmed,
                        home_began: en.began,
                        label: en.label,
                        label_tag: en.tag,
                        ..*f
                    };
                    // It was fetched after this edge asked: it takes account of all that the edge had applied, in whatever history.
                    if self.rule_min && f.tag != en.tag {
                        f.label = f.min;
                        f.label_tag = f.tag;
                    }
                }
            }
            for o in 0..self.envoys {
                if self.home[o] as usize == e && x.envoys[o].fetch.phase == 3 {
                    x.envoys[o].fetch.phase = 2;
                }
            }
            next.push((
                event(
                    e as u8,
                    fetch.w,
                    if not_modified { "origin answers 304" } else { "origin answers 200" },
                    fetch.stamp,
                ),
                x,
            ));
        }
    }

    /// The request of an edge is at its home.
    pub fn at_home(&self, world: &World, h: usize, edge: usize, next: &mut Next) {
        let rq = world.envoys[edge].fetch;
        let y = &world.envoys[h];
        let p = known_to(y);
        let enough =
            |tag: u8, r: u8| !self.rule_min || (r >= rq.min && (tag == rq.tag || self.mistakes.no_tag));
        let mut x = *world;
        if !rq.fresh
            && self.usable(world, h, &y.stored)
            && (enough(y.tag, p) || enough(y.stored.tag, y.stored.label))
        {
            let (label_tag, label) = if p >= y.stored.label || y.stored.tag != y.tag {
                (y.tag, p)
            } else {
                (y.stored.tag, y.stored.label)
            };
            // As of when it is known to be right: of its own fetch, which is what Age says.
            x.envoys[edge].fetch = Fetch {
                phase: 4,
                home_body: y.stored.body,
                home_confirmed: y.stored.confirmed,
                home_began: y.stored.began,
                label,
                label_tag,
                ..rq
            };
            next.push((event(h as u8, 0, "home answers from its store", edge as u8), x));
        } else if y.fetch.phase == 0 && world.fetches[h] > 0 {
            x.fetches[h] -= 1;
            let validates = self.validates && y.stored.on && self.verdict(y, &y.stored) != Verdict::Hard;
            let label = if self.rule_min && rq.tag == y.tag { p.max(rq.min) } else { p };
            x.envoys[h].fetch = Fetch {
                phase: 1,
                stamp: y.head,
                issued: world.issued,
                began: world.now,
                validates,
                old_body: y.stored.body,
                label,
                label_tag: y.tag,
                edge: edge as u8 + 1,
                ..Fetch::default()
            };
            x.envoys[edge].fetch.phase = 3;
            next.push((event(h as u8, 0, "home begins a fetch for an edge", edge as u8), x));
        } else if y.fetch.phase == 1 && y.fetch.edge == 0 && self.mistakes.follow_any {
            x.envoys[h].fetch.edge = edge as u8 + 1;
            x.envoys[edge].fetch.phase = 3;
            next.push((event(h as u8, 0, "home: the edge's request joins a flight", edge as u8), x));
        }
    }

    pub fn landed_edge(&self, world: &World, e: usize, next: &mut Next) {
        let fetch = world.envoys[e].fetch;
        let mut x = *world;
        if self.passing {
            for p in 0..self.purges.len() {
                if fetch.need >> p & 1 == 1 && !self.includes(p, fetch.home_body, fetch.home_confirmed) {
                    x.bad = 5;
                }
            }
        }
        let y = &mut x.envoys[e];
        y.fetch = Fetch::default();
        let stamp = if self.rule_label {
            fetch.stamp.min(self.pos_of(y, fetch.label_tag, fetch.label))
        } else {
            fetch.stamp
        };
        let began = if self.mistakes.asof_ignored { fetch.began } else { fetch.began.min(fetch.home_began) };
        y.stored = Stored {
            on: true,
            body: fetch.home_body,
            confirmed: fetch.home_confirmed,
            stamp,
            began,
            label: 0,
            tag: 0,
        };
        next.push((event(e as u8, fetch.w, "the home's answer is stored", stamp), x));
    }
}
