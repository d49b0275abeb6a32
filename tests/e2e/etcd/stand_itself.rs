//! That each fault does what it says: a purge that is lost must be seen to be lost.

use std::time::{Duration, Instant};

use super::grpc::{Client, Stream};
use super::proxy::Proxy;
use super::{RealEtcd, Setup};
use crate::host::etcd::Delivery;
use crate::host::etcd::messages::*;
use crate::host::etcd::protobuf::Message;

const SOON: Duration = Duration::from_secs(10);
/// What is not there after this time does not come.
const NEVER: Duration = Duration::from_millis(400);
const PUT: &str = "/etcdserverpb.KV/Put";

fn put(value: &str) -> Vec<u8> {
    PutRequest { key: b"/l/log/j".into(), value: value.into(), lease: 0 }.encode()
}

/// A watch of the log, which is created.
fn watch(client: &mut Client, start_revision: i64) -> Stream {
    let mut stream = client.open("/etcdserverpb.Watch/Watch", &[("hasleader", "true")]);
    let create =
        WatchCreateRequest { key: b"/l/log/j".into(), start_revision, ..WatchCreateRequest::default() };
    client.send(&mut stream, &WatchRequest { create: Some(create), ..WatchRequest::default() }.encode());
    let created: WatchResponse = client.next(&stream, SOON).expect("an answer").read();
    assert!(created.created && !created.canceled, "{created:?}");
    stream
}

/// The values that a watch is told of within this time, or how it ends.
fn told(client: &mut Client, stream: &Stream, time: Duration) -> Option<Result<Vec<String>, u32>> {
    Some(match client.next(stream, time)? {
        Delivery::Closed(status, _) => Err(status),
        message => {
            let events = message.read::<WatchResponse>().events.into_iter();
            Ok(events.map(|event| String::from_utf8(event.kv.unwrap().value).unwrap()).collect())
        }
    })
}

fn values(values: &[&str]) -> Option<Result<Vec<String>, u32>> {
    Some(Ok(values.iter().map(|value| (*value).to_owned()).collect()))
}

#[test]
fn a_killed_etcd_keeps_what_was_put_and_a_wiped_one_nothing() {
    let mut etcd = RealEtcd::hasty();
    etcd.put("/l/log/j", "one");
    etcd.kill_all();
    assert!(Client::connect(etcd.address(0)).is_none());
    etcd.start_all();
    assert_eq!((etcd.get("/l/log/j").as_str(), etcd.revision()), ("one", 2));
    etcd.wipe();
    assert_eq!((etcd.get("/l/log/j").as_str(), etcd.revision()), ("", 1));
}

#[test]
fn a_backup_forgets_what_came_after_it() {
    let mut etcd = RealEtcd::hasty();
    etcd.put("/l/log/j", "one");
    etcd.snapshot("backup");
    etcd.put("/l/log/j", "two");
    etcd.restore("backup");
    assert_eq!((etcd.get("/l/log/j").as_str(), etcd.revision()), ("one", 2));
}

#[test]
fn watches_are_counted_and_what_is_compacted_is_gone() {
    let etcd = RealEtcd::hasty();
    for value in ["one", "two", "three"] {
        etcd.put("/l/log/j", value);
    }
    let mut client = Client::connect(etcd.address(0)).unwrap();
    assert_eq!(etcd.history("/l/log/j", 3), [(3, "two".to_owned()), (4, "three".to_owned())]);
    assert_eq!(etcd.watchers(0), 0);
    let stream = watch(&mut client, 2);
    assert_eq!(told(&mut client, &stream, SOON), values(&["one", "two", "three"]));
    assert_eq!(etcd.watchers(0), 1);
    etcd.compact(4);
    let late = watch(&mut client, 2);
    let canceled: WatchResponse = client.next(&late, SOON).unwrap().read();
    assert_eq!((canceled.canceled, canceled.compact_revision), (true, 4));
}

/// The end of the stream is seen, and what was put meanwhile is missing for whoever goes on from now.
#[test]
fn a_cut_resets_connections_and_hides_what_happens_meanwhile() {
    let etcd = RealEtcd::hasty();
    let proxy = Proxy::start(etcd.address(0));
    let mut client = Client::connect(proxy.address()).unwrap();
    let stream = watch(&mut client, 0);
    etcd.put("/l/log/j", "before");
    assert_eq!(told(&mut client, &stream, SOON), values(&["before"]));
    proxy.cut();
    assert_eq!(told(&mut client, &stream, SOON), Some(Err(13)));
    assert!(
        Client::connect(proxy.address()).is_none_or(|mut client| client.call(PUT, &put("x"), SOON).is_err())
    );
    etcd.put("/l/log/j", "lost");
    proxy.heal();
    let mut client = Client::connect(proxy.address()).unwrap();
    let (from_now, from_then) = (watch(&mut client, 0), watch(&mut client, 3));
    assert_eq!(told(&mut client, &from_now, NEVER), None, "it is lost");
    assert_eq!(told(&mut client, &from_then, SOON), values(&["lost"]), "and there for who asks for it");
    assert_eq!(etcd.revision(), 3, "what was sent into the cut has not arrived");
}

#[test]
fn a_black_hole_swallows_everything_without_a_word_until_it_is_healed() {
    let etcd = RealEtcd::hasty();
    let proxy = Proxy::start(etcd.address(0));
    let mut client = Client::connect(proxy.address()).unwrap();
    let stream = watch(&mut client, 0);
    proxy.black_hole();
    etcd.put("/l/log/j", "one");
    assert_eq!(told(&mut client, &stream, NEVER), None);
    assert_eq!(client.call(PUT, &put("two"), NEVER).unwrap_err().0, 4);
    assert_eq!(etcd.revision(), 2);
    proxy.heal();
    assert_eq!(told(&mut client, &stream, SOON), values(&["one"]));
    assert_eq!(told(&mut client, &stream, SOON), values(&["two"]), "late, though its caller had given up");
}

#[test]
fn a_delay_delays_both_directions() {
    let etcd = RealEtcd::hasty();
    let proxy = Proxy::start(etcd.address(0));
    let mut client = Client::connect(proxy.address()).unwrap();
    client.call(PUT, &put("one"), SOON).unwrap();
    proxy.delay(Duration::from_millis(150));
    let begun = Instant::now();
    client.call(PUT, &put("two"), SOON).unwrap();
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(proxy.accepted(), 1);
}

#[test]
fn three_members_lose_one_and_go_on_and_lose_two_and_stop() {
    let mut etcd = RealEtcd::start(Setup { three: true, hasty: true, ..Setup::default() });
    etcd.put("/l/log/j", "one");
    let first = leader(&etcd);
    etcd.kill(first);
    let second = leader(&etcd);
    assert_ne!(second, first);
    let mut client = Client::connect(etcd.address(second)).unwrap();
    client.call(PUT, &put("two"), SOON).unwrap();
    let stream = watch(&mut client, 0);
    let third = 3 - first - second;
    etcd.kill(third);
    let begun = Instant::now();
    assert_eq!(told(&mut client, &stream, SOON), Some(Err(14)), "a stream that asks for a leader ends");
    assert!(begun.elapsed() < SOON);
    assert!(client.call(PUT, &put("three"), Duration::from_millis(500)).is_err());
    etcd.start_all();
    let value = etcd.get("/l/log/j");
    assert!(value == "two" || value == "three", "what was given up may be committed all the same: {value}");
}

fn leader(etcd: &RealEtcd) -> usize {
    let end = Instant::now() + SOON;
    loop {
        if let Some(leader) = etcd.leader() {
            return leader;
        }
        assert!(Instant::now() < end, "nobody leads");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn who_has_a_certificate_may_do_what_its_role_allows() {
    let etcd = RealEtcd::start(Setup { hasty: true, tls: true, ..Setup::default() });
    for client in ["gw-a", "sidecar", "stranger"] {
        etcd.certificates().issue(client);
    }
    etcd.enable_roles("/l/", &["gw-a"], &["sidecar"]);
    assert!(etcd.ctl_as("gw-a", &["put", "/l/log/j", "one"]).is_ok());
    let denied = |client: &str, arguments: &[&str]| {
        let said = etcd.ctl_as(client, arguments).unwrap_err();
        assert!(
            said.contains("permission denied") || said.contains("user name not found"),
            "{client}: {said}"
        );
    };
    denied("gw-a", &["put", "/other", "x"]);
    assert!(etcd.ctl_as("sidecar", &["get", "/l/log/j"]).unwrap().contains("one"));
    denied("sidecar", &["put", "/l/log/j", "x"]);
    denied("stranger", &["get", "/l/log/j"]);
}
