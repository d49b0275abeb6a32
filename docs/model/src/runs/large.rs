//! The same in settings that take minutes each.

use super::parts::{
    clients_over, everything, faults, hard, one_and_two, one_each, purge, soft, tag, three_workers, two_each,
    two_keys, unsafe_method,
};
use crate::setting::{Faults, Setting};
use crate::world::Mode;

pub fn all() -> Vec<Setting> {
    let none = faults;
    let four = |first, second, third, last| vec![first, second, third, last];
    let ring = || Setting { segments: 2, records: 1, validators: true, ..one_and_two() };
    vec![
        Setting {
            name: "P09 two soft purges and a hard one, served stale",
            purges: vec![soft(0), tag(1), soft(0)],
            validators: true,
            swr: true,
            sweep: false,
            ..two_each()
        },
        Setting {
            name: "P10 the ring goes round, death",
            purges: four(hard(0), purge(0, 1, Mode::Hard), purge(0, 1, Mode::Soft), purge(0, 1, Mode::Hard)),
            faults: Faults { deaths: 1, ..none() },
            ..ring()
        },
        Setting {
            name: "P11 the ring goes round, by both",
            purges: four(hard(0), purge(1, 1, Mode::Hard), purge(0, 1, Mode::Soft), purge(1, 1, Mode::Hard)),
            ..ring()
        },
        Setting {
            name: "P12 the ring goes round, served stale, expiry",
            purges: four(hard(0), purge(1, 1, Mode::Hard), soft(0), purge(1, 1, Mode::Hard)),
            segments: 3,
            swr: true,
            faults: Faults { expiries: 1, ..none() },
            ..ring()
        },
        Setting {
            name: "P16 two keys, one way, death, expiry",
            tries: 4,
            sweep: true,
            faults: Faults { deaths: 1, expiries: 1, ..none() },
            ..two_keys(1, 2)
        },
        Setting { name: "P22 everything, hard purge", purges: vec![hard(0)], ..everything() },
        Setting {
            name: "P23 everything, soft purge, served stale",
            purges: vec![soft(0)],
            swr: true,
            ..everything()
        },
        Setting {
            name: "P24 everything, both purges, deadlines",
            purges: vec![soft(0), hard(1)],
            faults: Faults { deadlines: 1, ..everything().faults },
            requests: one_and_two().requests,
            ..everything()
        },
        Setting {
            name: "P25 everything, three workers",
            workers: 3,
            requests: three_workers().requests,
            purges: vec![hard(1)],
            ..everything()
        },
        Setting {
            name: "P28 late leaders, hard purge",
            purges: vec![hard(0)],
            tries: 4,
            faults: Faults { expiries: 2, ..none() },
            ..three_workers()
        },
        Setting {
            name: "P33 hard purge, lease runs out early",
            purges: vec![hard(0)],
            sweep: false,
            live_max: 2,
            faults: Faults { expiries: 1, ..none() },
            ..three_workers()
        },
        Setting {
            name: "P35 two keys, one way, expiry, hard purge",
            purges: vec![hard(0)],
            sweep: true,
            faults: Faults { expiries: 1, ..none() },
            ..two_keys(1, 2)
        },
        Setting {
            name: "P45 two keys, three workers, not storable, expiry",
            workers: 3,
            requests: vec![(0, 0), (1, 0), (1, 1), (2, 1)],
            faults: Faults { expiries: 1, not_stored: 1, ..none() },
            ..two_keys(3, 2)
        },
        Setting {
            name: "P46 not storable, client leaves, hard purge",
            purges: vec![hard(0)],
            sweep: false,
            faults: Faults { not_stored: 1, leaves: 1, ..none() },
            ..three_workers()
        },
        Setting {
            name: "P48 everything, one request each, three workers",
            workers: 3,
            requests: vec![(0, 0), (1, 0), (2, 0)],
            purges: vec![hard(1)],
            ..everything()
        },
        Setting {
            name: "P56 leader stalls, everything, hard purge",
            purges: vec![hard(1)],
            requests: one_and_two().requests,
            faults: Faults { stalls: 1, given_up: 1, ..everything().faults },
            ..everything()
        },
        Setting {
            name: "P63 not storable, everything, hard purge",
            purges: vec![hard(1)],
            requests: one_and_two().requests,
            faults: Faults { not_stored: 1, forgotten: 1, ..everything().faults },
            ..everything()
        },
        Setting {
            name: "P64 not storable, stalls, three workers, hard purge",
            purges: vec![hard(1)],
            faults: Faults { not_stored: 1, stalls: 1, given_up: 1, ..none() },
            ..three_workers()
        },
        Setting {
            name: "P65 not storable twice, soft and hard purge, 304",
            purges: vec![soft(0), hard(1)],
            validators: true,
            faults: Faults { not_stored: 2, ..none() },
            ..two_each()
        },
        Setting {
            name: "P70 clients lap the ring while a VM is dead",
            purges: clients_over(unsafe_method(1, 0)),
            segments: 2,
            records: 1,
            validators: true,
            swr: true,
            faults: Faults { deaths: 1, ..none() },
            ..one_each()
        },
        Setting {
            name: "P69 clients lap the ring, hard purge, death, 304",
            purges: four(hard(0), unsafe_method(1, 1), unsafe_method(0, 0), unsafe_method(1, 1)),
            swr: true,
            faults: Faults { deaths: 1, ..none() },
            ..ring()
        },
    ]
}
