//! The protocol as it is: nothing may be found.

use super::parts::{
    apart, cut, hard, joins, plain, purge, restore, soft, strict, tier, tier_wiped, timed, two_workers, wipe,
    zombie,
};
use crate::setting::Acknowledge::{Fleet, Local};
use crate::setting::Setting;
use crate::world::NO_HOME;

pub fn all() -> Vec<Setting> {
    vec![
        Setting { name: "P01 one purge, fetches in flight", purges: vec![hard(0)], ..plain() },
        Setting { name: "P02 purges through both", purges: vec![hard(0), soft(1)], ..plain() },
        Setting { name: "P03 joining with a cache in use", joined: false, purges: vec![hard(0)], ..plain() },
        Setting {
            name: "P04 three Envoys, purges through two",
            envoys: 3,
            fetches: [1, 1, 1],
            purges: vec![hard(0), hard(1)],
            ..plain()
        },
        Setting { name: "P05 a reader is cut off, its stream closed or silent", ..cut() },
        Setting {
            name: "P06 the publisher is cut off, Put late or lost or timed out",
            partitions: 1,
            partitioned: 1,
            late_puts: true,
            timeouts: 1,
            once: false,
            fetches: [0, 1, 0],
            purges: vec![hard(0), soft(0)],
            ..plain()
        },
        Setting {
            name: "P07 VMs die, one worker each",
            deaths: 2,
            fetches: [1, 1, 0],
            purges: vec![hard(0), soft(1)],
            ..plain()
        },
        Setting { name: "P08 two workers, a VM dies", deaths: 1, ..two_workers() },
        Setting {
            name: "P09 two workers, lease taken from one that lives",
            stolen_leases: 1,
            ..two_workers()
        },
        Setting {
            name: "P10 an Envoy restarts with an empty store",
            restarts: 1,
            late_puts: true,
            fetches: [1, 2, 0],
            purges: vec![hard(0), hard(1)],
            ..plain()
        },
        Setting {
            name: "P11 history compacted while cut off",
            compactions: 1,
            max_barriers: 2,
            once: false,
            ..cut()
        },
        Setting {
            name: "P12 idle journal, other keys written, compaction",
            partitions: 1,
            other_writes: 2,
            compactions: 1,
            heartbeats: [1, 1, 0],
            fetches: [1, 1, 0],
            purges: vec![],
            ..plain()
        },
        Setting { name: "P13 etcd wiped", ..wipe() },
        Setting { name: "P14 etcd wiped, two workers, zombie", ..zombie() },
        Setting { name: "P15 etcd restored from a backup, loss published", ..restore() },
        Setting { name: "P15b the same, revision raised, all marked compacted", raised: true, ..restore() },
        Setting {
            name: "P16 publisher with two workers, lease stolen, VM dies",
            workers: [2, 1, 1],
            stolen_leases: 1,
            deaths: 1,
            once: false,
            fetches: [0, 1, 0],
            purges: vec![hard(0), purge(0, 1, Fleet, false)],
            ..plain()
        },
        Setting {
            name: "P17 three Envoys, a reader cut off, a VM dies",
            envoys: 3,
            fetches: [0, 1, 1],
            partitions: 1,
            partitioned: 2,
            deaths: 1,
            once: false,
            purges: vec![hard(0), hard(2)],
            ..plain()
        },
        Setting {
            name: "P18 two workers each, lease stolen, reader cut off",
            workers: [2, 2, 1],
            stolen_leases: 1,
            partitions: 1,
            partitioned: 2,
            once: false,
            fetches: [0, 1, 0],
            purges: vec![hard(0)],
            ..plain()
        },
        Setting {
            name: "P19 a restart, a partition, a dying VM",
            restarts: 1,
            partitions: 1,
            deaths: 1,
            partitioned: 2,
            once: false,
            fetches: [0, 2, 0],
            purges: vec![hard(0), hard(1)],
            ..plain()
        },
        Setting { name: "P20 bounded lag: cut off", ..timed() },
        Setting {
            name: "P21 bounded lag: silent stream, no keepalive",
            silent: true,
            keepalive: false,
            ..timed()
        },
        Setting {
            name: "P22 bounded lag: 304s, soft purge",
            validates: true,
            purges: vec![soft(0)],
            ..timed()
        },
        Setting {
            name: "P23 bounded lag: wiped",
            wipes: 1,
            max_barriers: 2,
            once: false,
            heartbeats: [0, 1, 0],
            ticks: 2,
            fetches: [0, 1, 0],
            ..timed()
        },
        Setting {
            name: "P24 bounded lag: joining",
            joined: false,
            partitions: 0,
            heartbeats: [0, 1, 0],
            ..timed()
        },
        Setting { name: "P25 bounded lag of two ticks", ticks: 5, lag: 2, ..timed() },
        Setting { name: "P26 bounded lag: a restart, joining again", restarts: 1, partitions: 0, ..timed() },
        Setting { name: "P30 everywhere, strict: cut off", ..strict() },
        Setting { name: "P31 everywhere, strict: joining", ..joins() },
        Setting {
            name: "P32 everywhere, strict: wiped",
            wipes: 1,
            partitions: 0,
            max_barriers: 2,
            once: false,
            heartbeats: [0, 1, 0],
            ticks: 2,
            ..strict()
        },
        Setting {
            name: "P40 a record of a later version",
            unknown: 2,
            purges: vec![soft(0), hard(1)],
            ..plain()
        },
        Setting {
            name: "P41 local ring of three overflows",
            ring: 3,
            fetches: [1, 1, 0],
            partitions: 1,
            partitioned: 1,
            purges: vec![hard(0), soft(0), soft(0)],
            ..plain()
        },
        Setting {
            name: "P42 304s, soft and hard",
            validates: true,
            fetches: [1, 3, 0],
            strict_hard: true,
            purges: vec![soft(0), hard(0)],
            ..plain()
        },
        Setting {
            name: "P43 history lost: barrier hard, hard read strictly",
            validates: true,
            compactions: 1,
            partitions: 1,
            partitioned: 2,
            fetches: [0, 2, 0],
            strict_hard: true,
            barrier_hard: true,
            purges: vec![hard(0), soft(0)],
            max_barriers: 2,
            once: false,
            ..plain()
        },
        Setting {
            name: "P44 history lost: barrier revalidates",
            validates: true,
            compactions: 1,
            partitions: 1,
            partitioned: 2,
            fetches: [0, 2, 0],
            purges: vec![hard(0), soft(0)],
            max_barriers: 2,
            once: false,
            ..plain()
        },
        Setting {
            name: "P45 acknowledged locally, shipped later",
            partitions: 1,
            deaths: 1,
            once: false,
            fetches: [0, 1, 0],
            purges: vec![purge(0, 0, Local, true), purge(1, 0, Local, false)],
            ..plain()
        },
        Setting { name: "P50 tiers: purges through the edge", ..tier() },
        Setting { name: "P51 tiers: purges through home and edge", purges: vec![hard(1), hard(0)], ..tier() },
        Setting { name: "P52 tiers: the home is cut off", partitions: 1, partitioned: 2, ..tier() },
        Setting { name: "P53 tiers: 304s", validates: true, purges: vec![soft(0), hard(1)], ..tier() },
        Setting {
            name: "P54 tiers: two edges, one home",
            envoys: 3,
            home: [2, 2, NO_HOME],
            fetches: [1, 1, 2],
            purges: vec![hard(0), hard(1)],
            ..plain()
        },
        Setting { name: "P55 tiers: wiped, the home cut off", ..tier_wiped() },
        Setting {
            name: "P56 tiers: acknowledged locally, the edge cut off",
            partitions: 1,
            partitioned: 1,
            purges: vec![purge(0, 0, Local, true), hard(1)],
            ..tier()
        },
        Setting { name: "P57 tiers: the home restarts", restarts: 1, ..tier() },
        Setting {
            name: "P58 tiers: history compacted, the home cut off",
            compactions: 1,
            partitions: 1,
            partitioned: 2,
            max_barriers: 2,
            once: false,
            ..tier()
        },
        Setting {
            name: "P59 tiers: bounded lag, the edge cut off",
            ticks: 3,
            lag: 1,
            heartbeats: [1, 0, 0],
            partitions: 1,
            partitioned: 1,
            fetches: [1, 1, 0],
            purges: vec![hard(1)],
            ..tier()
        },
        Setting { name: "P60 tiers: bounded lag, edge and home cut off", ..apart() },
    ]
}
