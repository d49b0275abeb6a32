//! Rules that turned out not to be needed, or whose lack costs requests to the origin only: nothing may be found.

use super::parts::{cut, hard, none, plain, restore, soft, tier, two_workers, wipe};
use crate::setting::{Mistakes, Setting};

pub fn all() -> Vec<Setting> {
    vec![
        Setting {
            name: "R01 watch from P instead of P+1",
            mistakes: Mistakes { resume_at_rev: true, ..none() },
            ..cut()
        },
        Setting {
            name: "R02 no lease: every worker watches and ships",
            fetches: [0, 1, 0],
            mistakes: Mistakes { no_lease: true, ..none() },
            ..two_workers()
        },
        Setting {
            name: "R03 wiped: newest record not compared, only the tag",
            mistakes: Mistakes { no_record_check: true, ..none() },
            ..wipe()
        },
        Setting { name: "R04 tiers: request's minimum only, no label", rule_label: false, ..tier() },
        Setting {
            name: "R05 tiers: label only, as to what is stored",
            rule_min: false,
            passing: false,
            ..tier()
        },
        Setting {
            name: "R06 acknowledged when the Put is answered",
            partitions: 1,
            partitioned: 1,
            late_puts: true,
            once: false,
            fetches: [0, 1, 0],
            purges: vec![hard(0), soft(0)],
            mistakes: Mistakes { ack_on_put: true, ..none() },
            ..plain()
        },
        Setting {
            name: "R07 Put again before catching up, repetition allowed",
            partitions: 1,
            partitioned: 1,
            once: false,
            fetches: [0, 1, 0],
            purges: vec![hard(0), soft(0)],
            mistakes: Mistakes { no_catch_up: true, ..none() },
            ..plain()
        },
        Setting {
            name: "R08 tiers: label only, joins an older flight",
            rule_min: false,
            passing: false,
            fetches: [2, 3, 0],
            mistakes: Mistakes { follow_any: true, ..none() },
            ..tier()
        },
        Setting {
            name: "R09 tiers: label taken when the response is there",
            mistakes: Mistakes { label_landing: true, ..none() },
            ..tier()
        },
        Setting {
            name: "R10 restored, acknowledged when the Put is answered",
            mistakes: Mistakes { ack_on_put: true, ..none() },
            ..restore()
        },
    ]
}
