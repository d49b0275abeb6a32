//! The protocol as it is, in settings that are searched to their end in seconds.

use super::parts::{
    clients_over, faults, five_requests, hard, one_and_two, one_each, soft, tag, three_workers, two_each,
    two_keys, unsafe_method,
};
use crate::setting::{Faults, Setting};

/// The protocol as it was first specified.
pub fn first() -> Vec<Setting> {
    let none = faults;
    vec![
        Setting { name: "P01 collapse", sweep: false, starts_max: 1, nobody_alone: true, ..five_requests() },
        Setting {
            name: "P02 collapse, dispatched",
            sweep: false,
            starts_max: 1,
            nobody_alone: true,
            dispatched: true,
            ..five_requests()
        },
        Setting {
            name: "P04 two clients leave",
            sweep: false,
            starts_max: 3,
            nobody_alone: true,
            faults: Faults { leaves: 2, ..none() },
            ..three_workers()
        },
        Setting {
            name: "P05 hard purge",
            purges: vec![hard(0)],
            sweep: false,
            starts_max: 2,
            nobody_alone: true,
            ..three_workers()
        },
        Setting {
            name: "P06 two hard purges, by key and tag",
            purges: vec![hard(0), tag(1)],
            sweep: false,
            starts_max: 3,
            nobody_alone: true,
            ..two_each()
        },
        Setting {
            name: "P07 hard and soft purge, 304",
            purges: vec![hard(0), soft(1)],
            validators: true,
            sweep: false,
            starts_max: 3,
            nobody_alone: true,
            ..two_each()
        },
        Setting {
            name: "P08 hard and soft purge, 304, served stale",
            purges: vec![hard(0), soft(1)],
            validators: true,
            swr: true,
            sweep: false,
            starts_max: 3,
            nobody_alone: true,
            ..two_each()
        },
        Setting {
            name: "P13 two keys, two ways, two flights",
            starts_max: 1,
            nobody_alone: true,
            ..two_keys(2, 2)
        },
        Setting { name: "P14 two keys, one way, two flights", ..two_keys(1, 2) },
        Setting {
            name: "P15 two keys, one way, one flight, hard purge",
            purges: vec![hard(0)],
            ..two_keys(1, 1)
        },
        Setting {
            name: "P17 not storable",
            sweep: false,
            faults: Faults { not_stored: 1, ..none() },
            ..three_workers()
        },
        Setting {
            name: "P18 death",
            starts_max: 2,
            faults: Faults { deaths: 1, ..none() },
            ..three_workers()
        },
        Setting {
            name: "P19 two deaths",
            starts_max: 3,
            faults: Faults { deaths: 2, ..none() },
            ..three_workers()
        },
        Setting {
            name: "P20 lost hint, client leaves",
            starts_max: 2,
            nobody_alone: true,
            faults: Faults { lost_hints: 1, leaves: 1, ..none() },
            ..three_workers()
        },
        Setting {
            name: "P21 lease runs out early",
            sweep: false,
            starts_max: 2,
            faults: Faults { expiries: 1, ..none() },
            ..three_workers()
        },
        Setting { name: "P26 two tries", tries: 2, ..five_requests() },
        Setting {
            name: "P29 waiters' deadlines, leases never run out",
            leases_end: false,
            faults: Faults { deaths: 1, deadlines: 4, ..none() },
            ..two_each()
        },
        Setting {
            name: "P30 call and hint lost",
            dispatched: true,
            starts_max: 2,
            nobody_alone: true,
            faults: Faults { lost_calls: 1, lost_hints: 1, ..none() },
            ..three_workers()
        },
        Setting {
            name: "P31 call and hint lost, served stale, 304",
            purges: vec![soft(0)],
            swr: true,
            validators: true,
            faults: Faults { lost_calls: 1, lost_hints: 1, ..none() },
            ..two_each()
        },
        Setting {
            name: "P32 three purges at once, three tries",
            workers: 3,
            purges: vec![hard(0), hard(1), tag(2)],
            tries: 3,
            segments: 3,
            records: 1,
            all_acknowledged: true,
            ..one_each()
        },
        Setting {
            name: "P34 two keys, two ways, hard purge",
            purges: vec![hard(0)],
            starts_max: 2,
            nobody_alone: true,
            ..two_keys(2, 2)
        },
        Setting {
            name: "P40 lease runs out early, and is renewed",
            sweep: false,
            live_max: 2,
            faults: Faults { expiries: 1, renewals: 1, ..none() },
            ..three_workers()
        },
        Setting {
            name: "P47 three purges at once, one try",
            workers: 3,
            purges: vec![hard(0), hard(1), tag(2)],
            tries: 1,
            ..one_each()
        },
    ]
}

/// The rules that have come since: what stalls, what goes beside any flight, what clients' records do to the ring.
pub fn today() -> Vec<Setting> {
    let none = faults;
    let stalls = || Faults { stalls: 1, given_up: 1, ..none() };
    let not_stored = || Faults { not_stored: 1, ..none() };
    vec![
        Setting {
            name: "P50 leader stalls, the root takes over",
            starts_max: 2,
            nobody_alone: true,
            faults: stalls(),
            ..two_each()
        },
        Setting {
            name: "P51 leader stalls, the next who waits leads",
            rooted: false,
            starts_max: 2,
            nobody_alone: true,
            faults: stalls(),
            ..two_each()
        },
        Setting {
            name: "P52 leader stalls for good",
            stalls_for_good: true,
            starts_max: 2,
            nobody_alone: true,
            faults: stalls(),
            ..three_workers()
        },
        Setting {
            name: "P53 leader stalls, hard purge",
            purges: vec![hard(1)],
            faults: stalls(),
            ..one_and_two()
        },
        Setting {
            name: "P54 leader stalls, the next leads, hard purge",
            rooted: false,
            purges: vec![hard(1)],
            faults: stalls(),
            ..one_and_two()
        },
        Setting {
            name: "P55 leader stalls or leaves, validations inline",
            purges: vec![soft(0), hard(1)],
            validators: true,
            validates_inline: true,
            faults: Faults { leaves: 1, ..stalls() },
            ..one_and_two()
        },
        Setting {
            name: "P57 not storable, then storable: the memory ends",
            memory_ends: true,
            faults: not_stored(),
            ..two_each()
        },
        Setting {
            name: "P58 the same, and the memory runs out",
            memory_ends: true,
            faults: Faults { forgotten: 1, ..not_stored() },
            ..two_each()
        },
        Setting {
            name: "P59 not storable, hard purge",
            purges: vec![hard(1)],
            faults: not_stored(),
            ..one_and_two()
        },
        Setting {
            name: "P60 not storable, soft purge, 304",
            purges: vec![soft(1)],
            validators: true,
            faults: not_stored(),
            ..one_and_two()
        },
        Setting {
            name: "P61 not storable, lease runs out early",
            memory_ends: true,
            faults: Faults { expiries: 1, ..not_stored() },
            ..one_and_two()
        },
        Setting {
            name: "P62 not storable, two keys, one way",
            faults: not_stored(),
            sweep: true,
            requests: vec![(0, 0), (1, 0), (1, 1)],
            ..two_keys(1, 1)
        },
        Setting {
            name: "P66 clients lap the ring before a VM begins",
            purges: clients_over(unsafe_method(1, 0)),
            segments: 2,
            records: 1,
            validators: true,
            swr: true,
            ..one_each()
        },
        Setting {
            name: "P67 the same over a hard purge",
            purges: clients_over(hard(1)),
            segments: 2,
            records: 1,
            validators: true,
            ..one_each()
        },
        Setting {
            name: "P68 the same over a soft purge, served stale",
            purges: clients_over(soft(0)),
            segments: 2,
            records: 1,
            validators: true,
            swr: true,
            ..one_each()
        },
    ]
}
