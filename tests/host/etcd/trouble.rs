//! That each fault does what it says.

use super::faults::Fate;
use super::messages::*;
use super::protobuf::Message;
use super::{Delivery, Etcd, StreamId};

const PUT: &str = "/etcdserverpb.KV/Put";
const RANGE: &str = "/etcdserverpb.KV/Range";
const WATCH: &str = "/etcdserverpb.Watch/Watch";

fn put() -> Vec<u8> {
    PutRequest { key: b"/l/log/j".into(), value: b"x".into(), lease: 0 }.encode()
}

fn range() -> Vec<u8> {
    RangeRequest { key: b"/l/log/j".into(), ..RangeRequest::default() }.encode()
}

/// A watch of a client, which is created.
fn watch(etcd: &mut Etcd, now: u64, client: &str) -> StreamId {
    let stream = etcd.open(now, client, WATCH, &[("hasleader", "true")]);
    let create = WatchCreateRequest { key: b"/l/log/j".into(), ..WatchCreateRequest::default() };
    etcd.message(now, stream, &WatchRequest { create: Some(create), ..WatchRequest::default() }.encode());
    assert_eq!(told(etcd, now, stream), ["created"]);
    stream
}

/// What has come for a call or stream by now, in short.
fn told(etcd: &mut Etcd, now: u64, of: StreamId) -> Vec<String> {
    let say = |delivery: Delivery| match &delivery {
        Delivery::Closed(status, _) => format!("closed {status}"),
        Delivery::Message(bytes) => match WatchResponse::decode(bytes).expect("a message") {
            WatchResponse { created: true, .. } => "created".into(),
            WatchResponse { canceled: true, .. } => "canceled".into(),
            WatchResponse { events, .. } if events.is_empty() => "answer".into(),
            WatchResponse { events, .. } => {
                let revision = |event: &Event| event.kv.as_ref().map_or(0, |kv| kv.mod_revision).to_string();
                events.iter().map(revision).collect::<Vec<_>>().join("+")
            }
        },
    };
    etcd.poll(now).into_iter().filter(|(id, _)| *id == of).map(|(_, delivery)| say(delivery)).collect()
}

#[test]
fn a_call_is_answered_and_the_event_comes_before_its_answer_or_after() {
    let mut etcd = Etcd::new();
    watch(&mut etcd, 0, "a");
    for answers_first in [false, true] {
        etcd.answers_first = answers_first;
        let call = etcd.call(0, "a", PUT, &put());
        let order: Vec<_> = etcd.poll(0).into_iter().map(|(id, _)| id == call).collect();
        assert_eq!(order, [answers_first, !answers_first]);
    }
    assert_eq!(etcd.next(), None);
    assert_eq!(etcd.watchers(), 1);
}

#[test]
fn a_killed_etcd_closes_its_streams_and_keeps_what_is_committed() {
    let mut etcd = Etcd::new();
    let stream = watch(&mut etcd, 0, "a");
    etcd.call(0, "a", PUT, &put());
    etcd.kill(5);
    assert_eq!(told(&mut etcd, 5, stream), ["2", "closed 13"], "what was sent before arrives before");
    let down = etcd.open(6, "b", WATCH, &[]);
    assert_eq!(told(&mut etcd, 6, down), ["closed 14"]);
    let call = etcd.call(6, "b", PUT, &put());
    assert_eq!(told(&mut etcd, 6, call), ["closed 14"]);
    assert_eq!(etcd.unary(6, "b", PUT, &put()).unwrap_err().0, 14);
    etcd.restart(7);
    assert_eq!(etcd.get(7, "/l/log/j").unwrap().mod_revision, 2);
    let answer = etcd.unary(7, "b", RANGE, &range()).unwrap();
    let header = RangeResponse::decode(&answer).unwrap().header.unwrap();
    assert_eq!((header.revision, header.raft_term), (2, 3));
}

#[test]
fn a_stream_on_which_nothing_has_come_is_closed_as_unavailable() {
    let mut etcd = Etcd::new();
    let stream = etcd.open(0, "a", WATCH, &[]);
    etcd.kill(0);
    assert_eq!(told(&mut etcd, 0, stream), ["closed 14"]);
}

#[test]
fn a_client_that_is_cut_off_misses_what_happens_until_it_asks_again() {
    let mut etcd = Etcd::new();
    let (cut, other) = (watch(&mut etcd, 0, "a"), watch(&mut etcd, 0, "b"));
    etcd.cut(1, "a");
    etcd.put(1, "/l/log/j", "x");
    let mut all = etcd.poll(1);
    all.sort_by_key(|(id, _)| *id);
    assert_eq!(all.len(), 2);
    assert_eq!(all[0], (cut, Delivery::Closed(13, String::new())));
    assert_eq!(all[1].0, other);
    assert_eq!(etcd.unary(2, "a", RANGE, &range()).unwrap_err().0, 14);
    let refused = etcd.open(2, "a", WATCH, &[]);
    assert_eq!(told(&mut etcd, 2, refused), ["closed 14"]);
    etcd.heal(3, "a");
    assert!(etcd.unary(3, "a", RANGE, &range()).is_ok());
    watch(&mut etcd, 3, "a");
    etcd.reset(4, "b");
    assert_eq!(told(&mut etcd, 4, other), ["closed 13"]);
    assert!(etcd.unary(4, "b", RANGE, &range()).is_ok());
}

#[test]
fn nothing_comes_through_a_black_hole_until_it_is_healed_or_the_connection_given_up() {
    let mut etcd = Etcd::new();
    let stream = watch(&mut etcd, 0, "a");
    etcd.black_hole(1, "a");
    etcd.put(1, "/l/log/j", "x");
    let call = etcd.call(1, "a", PUT, &put());
    assert_eq!(etcd.unary(1, "a", RANGE, &range()).unwrap_err().0, 4);
    assert!(etcd.poll(60_000).is_empty());
    assert_eq!(etcd.revision(), 2, "the call has not arrived");
    etcd.heal(60_001, "a");
    let all = etcd.poll(60_001);
    assert_eq!(all.iter().filter(|(id, _)| *id == stream).count(), 2);
    assert_eq!(all.iter().filter(|(id, _)| *id == call).count(), 1);
    assert_eq!(etcd.revision(), 3);
    etcd.black_hole(60_002, "a");
    etcd.put(60_002, "/l/log/j", "y");
    etcd.cut(60_015, "a");
    assert_eq!(told(&mut etcd, 60_015, stream), ["closed 13"], "and not what was on its way");
}

#[test]
fn a_client_with_keepalives_notices_a_black_hole() {
    let mut etcd = Etcd::new();
    etcd.keepalive_ms = Some(13_000);
    let (stream, other) = (watch(&mut etcd, 0, "a"), watch(&mut etcd, 0, "b"));
    assert_eq!(etcd.unreachable_since("a"), None);
    etcd.black_hole(1_000, "a");
    etcd.put(1_000, "/l/log/j", "x");
    assert_eq!(told(&mut etcd, 13_999, other), ["2"]);
    assert_eq!(told(&mut etcd, 14_000, stream), ["closed 13"]);
    let later = etcd.open(15_000, "a", WATCH, &[]);
    assert!(told(&mut etcd, 26_999, later).is_empty());
    assert_eq!(told(&mut etcd, 27_000, later), ["closed 14"]);
    etcd.heal(28_000, "a");
    watch(&mut etcd, 28_000, "a");
    etcd.kill(29_000);
    assert_eq!(etcd.unreachable_since("a"), Some(29_000));
}

#[test]
fn an_etcd_that_dies_behind_a_black_hole_is_not_heard_of() {
    let mut etcd = Etcd::new();
    let stream = watch(&mut etcd, 0, "a");
    etcd.black_hole(1, "a");
    etcd.kill(2);
    etcd.restart(3);
    assert!(told(&mut etcd, 3, stream).is_empty());
    etcd.heal(4, "a");
    assert_eq!(told(&mut etcd, 4, stream), ["closed 13"]);
}

#[test]
fn a_deaf_stream_is_silent_while_others_of_its_client_work() {
    let mut etcd = Etcd::new();
    let (deaf, other) = (watch(&mut etcd, 0, "a"), watch(&mut etcd, 0, "a"));
    etcd.deafen(1, deaf);
    etcd.put(1, "/l/log/j", "x");
    let all = etcd.poll(60_000);
    assert_eq!(all.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [other]);
    etcd.kill(60_000);
    assert_eq!(told(&mut etcd, 60_000, deaf), ["closed 13"]);
}

#[test]
fn what_is_slow_comes_later_and_in_order() {
    let mut etcd = Etcd::new();
    let stream = watch(&mut etcd, 0, "a");
    etcd.slow(0, "a", 20, 30);
    let call = etcd.call(0, "a", PUT, &put());
    assert_eq!((etcd.revision(), etcd.next()), (1, Some(20)));
    assert!(etcd.poll(49).is_empty());
    assert_eq!(etcd.revision(), 2);
    etcd.slow(49, "a", 0, 0);
    etcd.put(49, "/l/log/j", "y");
    let all: Vec<_> = etcd.poll(50).into_iter().map(|(id, _)| id).collect();
    assert_eq!(all, [stream, call, stream]);
}

#[test]
fn a_call_whose_answer_is_lost_with_its_connection_fails() {
    for swallowed in [false, true] {
        let mut etcd = Etcd::new();
        etcd.keepalive_ms = Some(13_000);
        etcd.slow(0, "a", 0, 100);
        let call = etcd.call(0, "a", PUT, &put());
        let stream = etcd.open(0, "a", WATCH, &[]);
        etcd.message(
            0,
            stream,
            &WatchRequest { create: Some(WatchCreateRequest::default()), ..Default::default() }.encode(),
        );
        if swallowed {
            etcd.black_hole(50, "a");
        } else {
            etcd.cut(50, "a");
        }
        let mut all = etcd.poll(20_000);
        all.sort_by_key(|(id, _)| *id);
        let closed = |delivery: &Delivery| matches!(delivery, Delivery::Closed(14, _));
        assert_eq!(all.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [call, stream], "{swallowed}");
        assert!(all.iter().all(|(_, delivery)| closed(delivery)), "nothing has come before: {all:?}");
        assert_eq!(etcd.revision(), 2, "committed all the same");
    }
}

#[test]
fn an_event_can_come_twice() {
    let mut etcd = Etcd::new();
    let stream = watch(&mut etcd, 0, "a");
    etcd.duplicate("a", 1);
    etcd.put(0, "/l/log/j", "x");
    etcd.put(0, "/l/log/j", "y");
    assert_eq!(told(&mut etcd, 0, stream), ["2", "2", "3"]);
}

#[test]
fn a_write_meets_its_fate() {
    let late = Fate::Late(3_000);
    for (fate, answer, revision, at_last) in [
        (Fate::Dropped, vec![], 1, 1),
        (Fate::Unanswered, vec![], 2, 2),
        (Fate::Broken, vec!["closed 14"], 2, 2),
        (Fate::Refused(14, "etcdserver: leader changed".into()), vec!["closed 14"], 1, 1),
        (late, vec![], 1, 2),
    ] {
        let mut etcd = Etcd::new();
        etcd.fate("a", fate.clone());
        let call = etcd.call(0, "a", PUT, &put());
        let read = etcd.call(0, "a", RANGE, &range());
        let all = etcd.poll(2_000);
        assert!(all.iter().any(|(id, _)| *id == read), "reads have no fate: {fate:?}");
        let said: Vec<_> = all.iter().filter(|(id, _)| *id == call).map(|(_, delivery)| delivery).collect();
        assert_eq!(said.len(), answer.len(), "{fate:?}");
        assert_eq!(etcd.revision(), revision, "{fate:?}");
        etcd.cancel(2_000, call);
        etcd.cut(2_000, "a");
        assert!(told(&mut etcd, 5_000, call).is_empty());
        assert_eq!(etcd.revision(), at_last, "{fate:?}");
        etcd.heal(5_000, "a");
        assert!(etcd.unary(5_000, "a", PUT, &put()).is_ok());
    }
}

#[test]
fn a_wiped_etcd_begins_anew_with_the_same_cluster_id() {
    let mut etcd = Etcd::new();
    let stream = watch(&mut etcd, 0, "a");
    etcd.put(0, "/l/log/j", "x");
    let before = etcd.header();
    etcd.wipe(1);
    assert_eq!(told(&mut etcd, 1, stream), ["2", "closed 13"]);
    let header = etcd.header();
    assert_eq!((header.cluster_id, header.member_id), (before.cluster_id, before.member_id));
    assert_eq!((header.revision, etcd.get(1, "/l/log/j")), (1, None));
    etcd.kill(2);
    etcd.wipe(2);
    assert_eq!(etcd.unary(2, "a", RANGE, &range()).unwrap_err().0, 14, "one that is down stays down");
}

#[test]
fn a_backup_brings_its_revision_back_or_hides_what_is_lost() {
    let mut etcd = Etcd::new();
    etcd.put(0, "/l/log/j", "x");
    let backup = etcd.snapshot();
    etcd.put(0, "/l/log/j", "lost");
    etcd.restore(1, &backup);
    assert_eq!(etcd.revision(), 2);
    assert_eq!(etcd.put(1, "/l/log/j", "again"), 3);
    let held = [(2, b"x".to_vec()), (3, b"again".to_vec())];
    assert_eq!(etcd.history(1, "/l/log/j"), held);
    etcd.restore_raised(2, &backup, 1_000);
    assert_eq!((etcd.revision(), etcd.get(2, "/l/log/j").unwrap().mod_revision), (1_002, 2));
    let past = RangeRequest { key: b"/l/log/j".into(), revision: 2, ..RangeRequest::default() }.encode();
    assert_eq!(etcd.unary(2, "a", RANGE, &past).unwrap_err().0, 11);
    assert_eq!(etcd.put(2, "/l/log/j", "on"), 1_003);
}

#[test]
fn without_a_quorum_nothing_is_written_and_streams_that_ask_for_a_leader_end() {
    let mut etcd = Etcd::new();
    let stream = watch(&mut etcd, 0, "a");
    let silent = etcd.open(0, "a", WATCH, &[]);
    let alive = etcd.open(0, "a", "/etcdserverpb.Lease/LeaseKeepAlive", &[]);
    etcd.lose_quorum(1_000);
    etcd.message(1_000, alive, &LeaseKeepAliveRequest { id: 7 }.encode());
    let call = etcd.call(1_000, "a", PUT, &put());
    let stale = RangeRequest { key: b"/l/log/j".into(), serializable: true, ..RangeRequest::default() };
    let read = etcd.call(1_000, "a", RANGE, &stale.encode());
    assert_eq!(told(&mut etcd, 4_799, read), ["answer"]);
    assert_eq!(told(&mut etcd, 4_800, stream), ["closed 14"]);
    let late = etcd.open(5_000, "a", WATCH, &[("hasleader", "true")]);
    assert_eq!(told(&mut etcd, 5_000, late), ["closed 14"]);
    assert!(told(&mut etcd, 7_999, silent).is_empty());
    let mut all: Vec<_> = etcd.poll(8_000).into_iter().map(|(id, _)| id).collect();
    all.sort_unstable();
    assert_eq!(all, [alive, call]);
    etcd.regain_quorum(9_000);
    assert!(etcd.unary(9_000, "a", PUT, &put()).is_ok());
}

#[test]
fn a_full_etcd_refuses_writes_and_answers_reads() {
    let mut etcd = Etcd::new();
    etcd.put(0, "/l/log/j", "x");
    etcd.set_no_space(0, true);
    let full = Err((8, "etcdserver: mvcc: database space exceeded".to_string()));
    assert_eq!(etcd.unary(0, "a", PUT, &put()), full);
    let grant = LeaseGrantRequest { ttl: 30, id: 0 }.encode();
    assert_eq!(etcd.unary(0, "a", "/etcdserverpb.Lease/LeaseGrant", &grant), full);
    assert!(etcd.unary(0, "a", RANGE, &range()).is_ok());
    etcd.compact(0, 2);
    assert_eq!(etcd.delete(0, "/l/log/j"), 1);
    etcd.set_no_space(0, false);
    assert!(etcd.unary(0, "a", PUT, &put()).is_ok());
}

#[test]
fn leases_live_their_whole_time_again_after_a_restart() {
    let mut etcd = Etcd::new();
    let grant = LeaseGrantRequest { ttl: 10, id: 7 }.encode();
    etcd.unary(0, "a", "/etcdserverpb.Lease/LeaseGrant", &grant).unwrap();
    let put = PutRequest { key: b"/l/m/a".into(), value: b"x".into(), lease: 7 }.encode();
    etcd.unary(0, "a", PUT, &put).unwrap();
    etcd.kill(5_000);
    etcd.restart(60_000);
    assert!(etcd.get(69_999, "/l/m/a").is_some());
    assert_eq!(etcd.next(), Some(70_000));
    assert_eq!(etcd.get(70_000, "/l/m/a"), None);
    assert_eq!(etcd.revision(), 3);
}
