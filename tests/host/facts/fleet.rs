//! Several Envoys around one etcd, with the toy.

use std::time::Duration;

use super::super::{fleet::Fleet, grpc::OF_THE_SDK, toy::toy};
use crate::stand::Request;

const SOON: Duration = Duration::from_millis(300);

fn toys(seed: u64, envoys: usize) -> Fleet {
    let mut fleet = Fleet::with(toy, seed, envoys, 2);
    (0..envoys).for_each(|envoy| fleet.on(envoy, |world| world.look(|h| h.grpc.exports = OF_THE_SDK)));
    fleet
}

fn fleet(configuration: &str) -> Fleet {
    let mut fleet = toys(7, 3);
    fleet.configure_all(configuration).expect("the toy accepts it");
    fleet
}

/// How many lines like this the streams of an Envoy have heard.
fn told(fleet: &mut Fleet, envoy: usize, line: &str) -> usize {
    let told = fleet.on(envoy, |world| world.shared("told").unwrap_or_default());
    String::from_utf8(told).expect("the toy writes text").lines().filter(|told| *told == line).count()
}

#[test]
fn what_one_envoy_puts_all_are_told_of() {
    let mut fleet = fleet("tick watch");
    fleet.pass(SOON);
    assert_eq!(fleet.etcd(|etcd, _| etcd.watchers()), 9, "three threads each");
    assert_eq!(fleet.send(1, 0, Request::get("/put")).text(), "0 true ");
    fleet.pass(SOON);
    for envoy in 0..3 {
        assert_eq!(told(&mut fleet, envoy, "message true"), 6, "{envoy}");
    }
}

#[test]
fn each_envoy_has_its_own_shared_data_and_its_own_way_to_etcd() {
    let mut fleet = fleet("tick watch tidy again");
    fleet.pass(SOON);
    fleet.on(0, |world| world.set_shared("k", b"mine"));
    assert_eq!(fleet.on(1, |world| world.shared("k")), None);
    fleet.etcd(|etcd, now| etcd.cut(now, "gw-b"));
    fleet.pass(SOON);
    fleet.etcd(|etcd, now| etcd.put(now, "k", "x"));
    fleet.pass(SOON);
    let reset = "closed 13 13 upstream_reset_after_response_started{connection_termination}";
    let heard =
        [0, 1, 2].map(|envoy| (told(&mut fleet, envoy, "message true"), told(&mut fleet, envoy, reset)));
    assert_eq!(heard, [(6, 0), (3, 3), (6, 0)]);
    fleet.etcd(|etcd, now| etcd.heal(now, "gw-b"));
    fleet.pass(SOON);
    assert_eq!(fleet.etcd(|etcd, _| etcd.watchers()), 9);
}

#[test]
fn envoys_go_in_step() {
    let mut fleet = fleet("tick watch");
    for _ in 0..3 {
        fleet.pass(Duration::from_secs(1));
        let times = [0, 1, 2].map(|envoy| fleet.on(envoy, |world| world.now()));
        assert!(times.iter().all(|time| *time == fleet.now()), "{times:?}");
    }
    let ticks = [0, 1, 2].map(|envoy| fleet.on(envoy, |world| world.metric("ticks")));
    assert!(ticks.iter().all(|count| *count == ticks[0] && *count >= 87), "{ticks:?}");
}

#[test]
fn with_a_seed_the_order_is_drawn_and_drawn_again() {
    let play = |seed| {
        let mut fleet = toys(seed, 2);
        (0..2).for_each(|envoy| fleet.on(envoy, |world| world.shuffle()));
        fleet.configure_all("tick watch").unwrap();
        fleet.pass(SOON);
        for at in 0..20 {
            fleet.send(at % 2, at % 2, Request::get("/put"));
        }
        fleet.pass(SOON);
        let told = [0, 1].map(|envoy| told(&mut fleet, envoy, "message true"));
        (told, fleet.now(), fleet.on(1, |world| world.story()))
    };
    assert_eq!(play(3), play(3));
    assert_ne!(play(3).2, play(4).2);
    assert_eq!(play(4).0, [63, 63], "the beginning of three watches, and twenty events for each");
}
