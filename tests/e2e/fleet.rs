//! Real Envoys that share their invalidations through a real etcd.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::etcd::Setup;
use super::etcd::fleet::{Fleet, Member};
use super::real_envoy::RealEnvoy;
use crate::scenarios::telling::{command, expect_hit, expect_miss, get, pages, with_admin};
use crate::stand::Stand;

/// Long enough for what happens by itself, on a machine that is busy.
const SOON: Duration = Duration::from_secs(30);

/// Envoys of the fleet `prod` that have joined, and an etcd of one member.
fn joined(envoys: usize, etcd: Setup, options: &str) -> Fleet {
    let mut fleet = Fleet::start(envoys, etcd);
    for (number, Member { envoy, .. }) in fleet.members.iter_mut().enumerate() {
        let config = format!(r#""fleet": {{"name": "prod", "member": "gw-{number}"{options}}},"#);
        envoy.configure(&with_admin(&config)).unwrap();
        for worker in [0, 1] {
            get(envoy, worker, "/nothing");
        }
    }
    for member in &mut fleet.members {
        let is_known = |envoy: &mut RealEnvoy| {
            envoy.metric("fleet_revision") > 0 && envoy.metric("fleet_lag_ms") < 60_000
        };
        assert!(within(SOON, || is_known(&mut member.envoy)), "an Envoy has not joined");
    }
    fleet
}

fn hasty() -> Setup {
    Setup { hasty: true, ..Setup::default() }
}

fn within(time: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + time;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Every Envoy stores what is old of a page that is new at its origin.
fn outdate(fleet: &mut Fleet, path: &str) {
    fleet.origin(path, &pages(&["old", "new"]));
    for Member { envoy, .. } in &mut fleet.members {
        expect_miss(envoy, 0, path, "old");
        expect_hit(envoy, 1, path, "old");
    }
}

fn purge(envoy: &mut RealEnvoy, worker: usize, path: &str, more: &str) -> (u16, Value) {
    let url = format!(r#"{{"url": "http://shop.example{path}"}}"#);
    let body = format!(r#"{{"selectors": [{url}], "mode": "hard"{more}}}"#);
    let answer = command(envoy, worker, "POST", "/_larder/purge", &body);
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

/// Whether what is new of a page is served before long.
fn is_gone(envoy: &mut RealEnvoy, worker: usize, path: &str) -> bool {
    within(SOON, || get(envoy, worker, path).text() == "new")
}

fn metrics(fleet: &mut Fleet, name: &str) -> Vec<u64> {
    fleet.members.iter_mut().map(|member| member.envoy.metric(name)).collect()
}

#[test]
fn a_purge_on_one_envoy_holds_on_all() {
    let mut fleet = joined(3, hasty(), "");
    for worker in [0, 1] {
        let path = format!("/fleet/{worker}");
        outdate(&mut fleet, &path);
        let (status, answer) = purge(&mut fleet.members[0].envoy, worker, &path, "");
        assert_eq!((status, &answer["fleet"]["state"]), (200, &Value::from("committed")), "{answer}");
        assert_eq!(answer["fleet"]["revision"].as_i64(), Some(fleet.etcd.revision()));
        for Member { envoy, .. } in &mut fleet.members {
            assert!(is_gone(envoy, 1 - worker, &path));
            expect_hit(envoy, worker, &path, "new");
        }
    }
    assert_eq!(metrics(&mut fleet, "fleet_joined_start"), [1; 3]);
    fleet.check();
}

#[test]
fn a_command_may_wait_for_every_member() {
    let mut fleet = joined(3, hasty(), r#", "members": true, "max_lag": "3s", "everywhere_timeout": "1s""#);
    std::thread::sleep(Duration::from_secs(4));
    outdate(&mut fleet, "/fleet/everywhere");
    let everywhere = r#", "acknowledge": "everywhere""#;
    let (status, answer) = purge(&mut fleet.members[0].envoy, 0, "/fleet/everywhere", everywhere);
    assert_eq!((status, answer["fleet"]["members"].as_u64()), (200, Some(3)), "{answer}");
    for Member { envoy, .. } in &mut fleet.members {
        expect_miss(envoy, 0, "/fleet/everywhere", "new");
    }
    fleet.members[2].black_hole();
    let (status, answer) = purge(&mut fleet.members[0].envoy, 0, "/fleet/everywhere", everywhere);
    assert_eq!((status, &answer["fleet"]["waiting_for"]), (202, &serde_json::json!(["gw-2"])), "{answer}");
}

#[test]
fn while_etcd_is_dead_a_purge_holds_here_and_it_reaches_the_others_afterwards() {
    let mut fleet = joined(3, hasty(), "");
    outdate(&mut fleet, "/fleet/dead");
    fleet.etcd.kill_all();
    let (status, answer) = purge(&mut fleet.members[0].envoy, 0, "/fleet/dead", "");
    assert_eq!((status, &answer["fleet"]["state"]), (503, &Value::from("pending")), "{answer}");
    expect_miss(&mut fleet.members[0].envoy, 1, "/fleet/dead", "new");
    expect_hit(&mut fleet.members[1].envoy, 0, "/fleet/dead", "old");
    fleet.etcd.start_all();
    for Member { envoy, .. } in &mut fleet.members {
        assert!(is_gone(envoy, 0, "/fleet/dead"));
    }
    assert_eq!(metrics(&mut fleet, "fleet_joined_start"), [1; 3], "nobody flushes");
}

#[test]
fn whoever_is_cut_off_asks_the_origin_and_catches_up() {
    let mut fleet = joined(2, hasty(), r#", "max_lag": "3s""#);
    for hole in [false, true] {
        let path = format!("/fleet/cut-{hole}");
        outdate(&mut fleet, &path);
        if hole {
            fleet.members[1].black_hole()
        } else {
            fleet.members[1].cut()
        }
        let (status, answer) = purge(&mut fleet.members[0].envoy, 0, &path, "");
        assert_eq!(status, 200, "{answer}");
        assert!(is_gone(&mut fleet.members[1].envoy, 1, &path));
        assert!(
            fleet.members[1].envoy.metric("fleet_applied") == u64::from(hole),
            "it cannot have heard of it"
        );
        fleet.members[1].heal();
        let caught_up = |fleet: &mut Fleet| metrics(fleet, "fleet_applied")[1] == 1 + u64::from(hole);
        assert!(within(SOON, || caught_up(&mut fleet)));
    }
    assert_eq!(metrics(&mut fleet, "fleet_joined_start"), [1; 2], "it has caught up without a flush");
}

#[test]
fn a_wiped_etcd_costs_a_flush_and_no_purge() {
    let mut fleet = joined(3, hasty(), "");
    outdate(&mut fleet, "/fleet/wiped");
    fleet.etcd.wipe();
    assert!(within(SOON, || metrics(&mut fleet, "fleet_joined_wiped") == [1; 3]));
    for Member { envoy, .. } in &mut fleet.members {
        assert!(is_gone(envoy, 0, "/fleet/wiped"));
    }
    let (status, answer) = purge(&mut fleet.members[2].envoy, 0, "/fleet/wiped", "");
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn three_members_of_etcd_lose_one_and_the_fleet_goes_on() {
    let mut fleet = joined(2, Setup { three: true, hasty: true, ..Setup::default() }, "");
    for member in [0, 1, 2] {
        let path = format!("/fleet/three-{member}");
        outdate(&mut fleet, &path);
        fleet.etcd.kill(member);
        // An election, and a stream that is opened again at another member.
        assert!(
            within(SOON, || purge(&mut fleet.members[0].envoy, 0, &path, "").0 == 200),
            "member {member}"
        );
        assert!(is_gone(&mut fleet.members[1].envoy, 1, &path));
        fleet.etcd.start_all();
    }
}

/// `make fleet-purges PURGES=400` says how long it takes until a purge is answered, and until it is seen on the others.
#[test]
fn each_of_many_purges_is_seen_on_the_others() {
    let asked = std::env::var("PURGES").ok().and_then(|count| count.parse::<usize>().ok());
    let mut fleet = joined(3, Setup::default(), "");
    let (mut answered, mut seen) = (Vec::new(), Vec::new());
    for number in 0..asked.unwrap_or(10) {
        let path = format!("/fleet/many-{number}");
        outdate(&mut fleet, &path);
        let begun = Instant::now();
        let (status, answer) = purge(&mut fleet.members[0].envoy, number % 2, &path, "");
        assert_eq!(status, 200, "{answer}");
        answered.push(begun.elapsed());
        for Member { envoy, .. } in &mut fleet.members[1..] {
            assert!(is_gone(envoy, 0, &path));
        }
        seen.push(begun.elapsed());
    }
    for (what, mut times) in [("answered", answered), ("seen on both others", seen)] {
        times.sort();
        let at =
            |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
        let (half, most) = (at(50), at(100));
        eprintln!("{what}: p50 {half:.2} ms, p90 {:.2} ms, p99 {:.2} ms, most {most:.2} ms", at(90), at(99));
    }
}
