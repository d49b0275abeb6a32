//! The same conversations with the emulated etcd and a real one. If they disagree, the emulated one is wrong.

use std::collections::VecDeque;
use std::time::Duration;

use super::RealEtcd;
use super::grpc::{Client, Stream};
use crate::chance::Chance;
use crate::host::etcd::messages::*;
use crate::host::etcd::protobuf::Message;
use crate::host::etcd::{Delivery, Etcd, Snapshot, StreamId};

/// How long is waited for what must come, and how long for what must not.
const PATIENCE_MS: u64 = 6_000;
const GRACE_MS: u64 = 200;
const ID: &[u8] = b"/l/log/id";
const J: &[u8] = b"/l/log/j";

/// An etcd that can be talked to.
trait Talk {
    fn call(&mut self, method: &str, request: &[u8]) -> Result<Vec<u8>, (u32, String)>;
    fn open(&mut self, method: &str) -> usize;
    fn send(&mut self, stream: usize, message: &[u8]);
    fn close(&mut self, stream: usize);
    /// What comes on a stream until there are so many, and shortly after that.
    fn hear(&mut self, stream: usize, count: usize) -> Vec<Delivery>;
    fn restart(&mut self);
    fn wipe(&mut self);
    fn back_up(&mut self);
    fn restore(&mut self);
}

#[derive(Default)]
struct Emulated {
    etcd: Etcd,
    now: u64,
    streams: Vec<(StreamId, VecDeque<Delivery>)>,
    backup: Option<Snapshot>,
}

struct Real {
    etcd: RealEtcd,
    client: Client,
    streams: Vec<Stream>,
}

impl Talk for Emulated {
    fn call(&mut self, method: &str, request: &[u8]) -> Result<Vec<u8>, (u32, String)> {
        self.etcd.unary(self.now, "a", method, request)
    }

    fn open(&mut self, method: &str) -> usize {
        let stream = self.etcd.open(self.now, "a", method, &[("hasleader", "true")]);
        self.streams.push((stream, VecDeque::new()));
        self.streams.len() - 1
    }

    fn send(&mut self, stream: usize, message: &[u8]) {
        self.etcd.message(self.now, self.streams[stream].0, message);
    }

    fn close(&mut self, stream: usize) {
        self.etcd.close(self.now, self.streams[stream].0);
    }

    fn hear(&mut self, stream: usize, count: usize) -> Vec<Delivery> {
        let mut end = self.now + PATIENCE_MS;
        let mut found = false;
        while self.now < end {
            self.now += 1;
            for (id, delivery) in self.etcd.poll(self.now) {
                if let Some((_, come)) = self.streams.iter_mut().find(|(own, _)| *own == id) {
                    come.push_back(delivery);
                }
            }
            if !found && self.streams[stream].1.len() >= count {
                found = true;
                end = self.now + GRACE_MS;
            }
        }
        self.streams[stream].1.drain(..).collect()
    }

    fn restart(&mut self) {
        self.etcd.kill(self.now);
        self.etcd.restart(self.now);
    }

    fn wipe(&mut self) {
        self.etcd.wipe(self.now);
    }

    fn back_up(&mut self) {
        self.backup = Some(self.etcd.snapshot());
    }

    fn restore(&mut self) {
        self.etcd.restore(self.now, self.backup.as_ref().expect("a backup"));
    }
}

impl Real {
    fn start() -> Real {
        let etcd = RealEtcd::hasty();
        let client = Client::connect(etcd.address(0)).expect("etcd answers");
        Real { etcd, client, streams: Vec::new() }
    }

    fn connect_again(&mut self) {
        // What is known of the old streams stays so.
        for stream in &self.streams {
            assert!(
                self.client.wait_for_end(stream, Duration::from_secs(5)),
                "a stream of a dead etcd is open"
            );
        }
        self.client = Client::connect(self.etcd.address(0)).expect("etcd answers");
    }
}

impl Talk for Real {
    fn call(&mut self, method: &str, request: &[u8]) -> Result<Vec<u8>, (u32, String)> {
        self.client.call(method, request, Duration::from_secs(20))
    }

    fn open(&mut self, method: &str) -> usize {
        self.streams.push(self.client.open(method, &[("hasleader", "true")]));
        self.streams.len() - 1
    }

    fn send(&mut self, stream: usize, message: &[u8]) {
        self.client.send(&mut self.streams[stream], message);
    }

    fn close(&mut self, stream: usize) {
        self.client.close(&mut self.streams[stream]);
    }

    fn hear(&mut self, stream: usize, count: usize) -> Vec<Delivery> {
        let mut come = Vec::new();
        while let Some(delivery) = {
            let time = if come.len() < count { PATIENCE_MS } else { GRACE_MS };
            self.client.next(&self.streams[stream], Duration::from_millis(time))
        } {
            come.push(delivery);
        }
        come
    }

    fn restart(&mut self) {
        self.etcd.kill(0);
        self.etcd.start_all();
        self.connect_again();
    }

    fn wipe(&mut self) {
        self.etcd.wipe();
        self.connect_again();
    }

    fn back_up(&mut self) {
        self.etcd.snapshot("backup");
    }

    fn restore(&mut self) {
        self.etcd.restore("backup");
        self.connect_again();
    }
}

/// A conversation, and what was said in it.
struct Conversation<'a> {
    with: &'a mut dyn Talk,
    said: Vec<String>,
}

impl Conversation<'_> {
    fn ask<Answer: Message + std::fmt::Debug>(&mut self, method: &str, request: &impl Message) {
        self.ask_bytes::<Answer>(method, &request.encode());
    }

    fn ask_bytes<Answer: Message + std::fmt::Debug>(&mut self, method: &str, request: &[u8]) {
        let said = match self.with.call(&format!("/etcdserverpb.{method}"), request) {
            Ok(answer) => show::<Answer>(&answer),
            Err((status, text)) => format!("{status} {text}"),
        };
        self.said.push(format!("{method}: {said}"));
    }

    fn range(&mut self, key: &[u8], range_end: &[u8], revision: i64) {
        let request = RangeRequest {
            key: key.into(),
            range_end: range_end.into(),
            revision,
            ..RangeRequest::default()
        };
        self.ask::<RangeResponse>("KV/Range", &request);
    }

    /// Both keys of the log.
    fn both(&mut self) {
        self.range(ID, b"/l/log/j\0", 0);
    }

    fn put(&mut self, key: &[u8], value: &[u8], lease: i64) {
        self.ask::<PutResponse>("KV/Put", &PutRequest { key: key.into(), value: value.into(), lease });
    }

    fn delete(&mut self, key: &[u8], range_end: &[u8]) {
        let request = DeleteRangeRequest { key: key.into(), range_end: range_end.into() };
        self.ask::<DeleteRangeResponse>("KV/DeleteRange", &request);
    }

    fn txn(&mut self, compare: Vec<Compare>, success: Vec<RequestOp>, failure: Vec<RequestOp>) {
        self.ask::<TxnResponse>("KV/Txn", &TxnRequest { compare, success, failure });
    }

    fn compact(&mut self, revision: i64) {
        // Physical: it is answered when it is done. Otherwise etcd is some time about it, and meanwhile a deletion at this
        // very revision, which goes with it, is still told of.
        self.ask::<CompactionResponse>("KV/Compact", &CompactionRequest { revision, physical: true });
    }

    fn grant(&mut self, id: i64, ttl: i64) {
        self.ask::<LeaseGrantResponse>("Lease/LeaseGrant", &LeaseGrantRequest { ttl, id });
    }

    fn watch(&mut self) -> usize {
        self.with.open("/etcdserverpb.Watch/Watch")
    }

    /// A watch of the log on a stream.
    fn create(&mut self, stream: usize, start_revision: i64, told: usize) {
        let create = WatchCreateRequest { start_revision, fragment: true, ..of_the_log() };
        self.create_as(stream, create, told);
    }

    fn create_as(&mut self, stream: usize, create: WatchCreateRequest, told: usize) {
        self.send(stream, &WatchRequest { create: Some(create), ..WatchRequest::default() });
        self.hear::<WatchResponse>(stream, told);
    }

    fn send(&mut self, stream: usize, message: &impl Message) {
        self.with.send(stream, &message.encode());
    }

    fn hear<Told: Message + std::fmt::Debug>(&mut self, stream: usize, count: usize) {
        let come = self.with.hear(stream, count);
        self.said.push(format!("heard {}", come.len()));
        let mut said: Vec<_> = come
            .iter()
            .map(|delivery| match delivery {
                Delivery::Message(message) => format!("  {}", show::<Told>(message)),
                Delivery::Closed(status, text) => format!("  closed: {status} {text}"),
            })
            .collect();
        // Which watch of a stream is told first is left to chance.
        said.sort_by_key(|text| Some(text.split_once("watch_id: ")?.1.split_once(',')?.0.to_owned()));
        self.said.append(&mut said);
    }
}

fn of_the_log() -> WatchCreateRequest {
    WatchCreateRequest { key: ID.into(), range_end: b"/l/log/j\0".into(), ..WatchCreateRequest::default() }
}

/// A message but for what no two etcds have in common.
fn show<M: Message + std::fmt::Debug>(bytes: &[u8]) -> String {
    let mut text = format!("{:?}", M::decode(bytes).expect("a message of etcd"));
    for name in ["cluster_id: ", "member_id: ", "raft_term: "] {
        let parts: Vec<_> = text.split(name).collect();
        let (first, rest) = parts.split_first().expect("there is one");
        let rest = rest.iter().map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()));
        text = std::iter::once(*first).chain(rest).collect::<Vec<_>>().join(name);
    }
    if text.len() > 2_000 { format!("{} characters, {text:.300}", text.len()) } else { text }
}

fn put(key: &[u8], value: &[u8]) -> RequestOp {
    let put = PutRequest { key: key.into(), value: value.into(), lease: 0 };
    RequestOp { put: Some(put), ..RequestOp::default() }
}

fn get(key: &[u8]) -> RequestOp {
    RequestOp {
        range: Some(RangeRequest { key: key.into(), ..RangeRequest::default() }),
        ..RequestOp::default()
    }
}

fn delete(key: &[u8]) -> RequestOp {
    let delete = DeleteRangeRequest { key: key.into(), range_end: Vec::new() };
    RequestOp { delete_range: Some(delete), ..RequestOp::default() }
}

fn compare(target: u64, key: &[u8]) -> Compare {
    Compare { target, key: key.into(), ..Compare::default() }
}

type Told = fn(&mut Conversation<'_>);

const CONVERSATIONS: [(&str, Told); 19] = [
    ("keys and their past", |c| {
        c.both();
        c.put(ID, b"tag", 0);
        c.put(J, b"one", 0);
        c.put(J, b"two", 0);
        c.both();
        for revision in [1, 2, 3, 4, 5] {
            c.range(J, b"", revision);
        }
        c.range(b"\0", b"\0", 0);
        c.range(b"/l/", b"/l0", 0);
        c.range(b"", b"", 0);
        c.put(b"", b"x", 0);
        for (limit, keys_only, count_only) in [(1, false, false), (2, true, false), (1, false, true)] {
            let request = RangeRequest {
                key: b"/l/".into(),
                range_end: b"/l0".into(),
                limit,
                keys_only,
                count_only,
                ..RangeRequest::default()
            };
            c.ask::<RangeResponse>("KV/Range", &request);
        }
    }),
    ("deleting", |c| {
        c.put(J, b"one", 0);
        c.delete(J, b"");
        c.delete(J, b"");
        c.put(J, b"two", 0);
        c.put(ID, b"tag", 0);
        c.delete(b"/l/", b"/l0");
        c.both();
        c.range(J, b"", 4);
        c.delete(b"", b"");
    }),
    ("joining", |c| {
        for _ in 0..2 {
            c.txn(vec![compare(1, ID)], vec![put(ID, b"tag"), get(J)], vec![get(ID), get(J)]);
            c.put(J, b"one", 0);
        }
        c.both();
    }),
    ("a new tag for a log that was rewound", |c| {
        c.put(ID, b"tag", 0);
        let was = |revision| Compare { mod_revision: revision, ..compare(2, ID) };
        c.txn(vec![was(2)], vec![put(ID, b"new")], vec![]);
        c.txn(vec![was(2)], vec![put(ID, b"newer")], vec![get(ID)]);
        c.both();
    }),
    ("comparing", |c| {
        c.put(J, b"b", 0);
        c.put(J, b"b", 0);
        for key in [J, b"/none"] {
            for result in 0..4 {
                for target in 0..4 {
                    let compare = Compare { result, value: b"b".into(), ..compare(target, key) };
                    c.txn(vec![compare], vec![], vec![]);
                }
                let compare = Compare { result, version: 2, ..compare(0, key) };
                c.txn(vec![compare], vec![], vec![]);
            }
        }
    }),
    ("transactions that are refused or do nothing", |c| {
        c.put(J, b"one", 0);
        c.txn(vec![], vec![put(J, b"a"), put(J, b"b")], vec![]);
        c.txn(vec![], vec![put(J, b"a"), delete(J)], vec![]);
        c.txn(vec![], vec![], vec![delete(J), put(J, b"a")]);
        c.txn(vec![], vec![get(J), put(J, b"a"), get(J), put(ID, b"b"), delete(b"/none")], vec![]);
        c.txn(vec![], vec![delete(b"/none"), get(J)], vec![]);
        c.txn(vec![], vec![], vec![]);
        c.txn(vec![], (0..129).map(|at| put(&[b'k', at], b"")).collect(), vec![]);
        let mut future = get(J);
        future.range.as_mut().unwrap().revision = 99;
        c.txn(vec![], vec![put(J, b"never"), future], vec![]);
        let mut leased = put(J, b"never");
        leased.put.as_mut().unwrap().lease = 5;
        c.txn(vec![], vec![leased], vec![]);
        c.both();
    }),
    ("watching from now, and from the past", |c| {
        let watch = c.watch();
        c.create(watch, 0, 1);
        c.put(J, b"one", 0);
        c.hear::<WatchResponse>(watch, 1);
        c.put(ID, b"tag", 0);
        c.delete(J, b"");
        c.delete(J, b"");
        c.hear::<WatchResponse>(watch, 2);
        c.put(b"/l/log/jj", b"beside", 0);
        c.txn(vec![], vec![put(ID, b"new"), put(J, b"two")], vec![]);
        c.hear::<WatchResponse>(watch, 1);
        let later = c.watch();
        c.create(later, 1, 2);
        c.create(later, 3, 2);
        c.create(later, 6, 2);
        c.put(J, b"three", 0);
        c.hear::<WatchResponse>(later, 3);
    }),
    ("a watch in the future is silent", |c| {
        let watch = c.watch();
        c.create(watch, 4, 1);
        c.put(J, b"two", 0);
        c.put(J, b"three", 0);
        c.hear::<WatchResponse>(watch, 0);
        c.put(J, b"four", 0);
        c.hear::<WatchResponse>(watch, 1);
    }),
    ("compaction", |c| {
        for value in 0..8_u8 {
            c.put(J, &[value], 0);
        }
        c.delete(ID, b"");
        c.put(ID, b"tag", 0);
        c.delete(ID, b"");
        let before = c.watch();
        c.create(before, 0, 1);
        c.compact(5);
        for revision in [5, 6, 0, 99] {
            c.compact(revision);
        }
        for revision in [4, 5, 6, 7] {
            c.range(J, b"", revision);
        }
        for start in [1, 5, 6, 7] {
            let watch = c.watch();
            c.create(watch, start, 2);
        }
        c.put(J, b"on", 0);
        c.hear::<WatchResponse>(before, 1);
        c.compact(11);
        let at_a_deletion = c.watch();
        c.create(at_a_deletion, 11, 2);
    }),
    ("a thousand revisions in a message", |c| {
        for value in 0..2_300 {
            c.with.call("/etcdserverpb.KV/Put", &put_bytes(J, value.to_string().as_bytes())).unwrap();
        }
        let watch = c.watch();
        c.create(watch, 1, 4);
        for _ in 0..600 {
            let pairs = vec![put(ID, b"t"), put(J, b"v")];
            let txn = TxnRequest { success: pairs, ..TxnRequest::default() };
            c.with.call("/etcdserverpb.KV/Txn", &txn.encode()).unwrap();
        }
        let other = c.watch();
        c.create(other, 2_302, 2);
    }),
    ("large messages come in fragments", |c| {
        for _ in 0..5 {
            c.with.call("/etcdserverpb.KV/Put", &put_bytes(J, &vec![b'y'; 700_000])).unwrap();
        }
        let watch = c.watch();
        c.create(watch, 1, 4);
        c.create_as(watch, WatchCreateRequest { start_revision: 1, ..of_the_log() }, 2);
    }),
    ("the ids of watches", |c| {
        let watch = c.watch();
        c.create(watch, 0, 1);
        c.create_as(watch, WatchCreateRequest { watch_id: 2, ..of_the_log() }, 1);
        for _ in 0..3 {
            c.create(watch, 0, 1);
        }
        c.create_as(watch, WatchCreateRequest { watch_id: 2, ..of_the_log() }, 1);
        for id in [2, 2, 77] {
            let cancel = Some(WatchCancelRequest { watch_id: id });
            c.send(watch, &WatchRequest { cancel, ..WatchRequest::default() });
        }
        c.hear::<WatchResponse>(watch, 1);
        c.put(J, b"one", 0);
        c.hear::<WatchResponse>(watch, 4);
        c.create_as(watch, WatchCreateRequest { range_end: b"/a".into(), ..of_the_log() }, 1);
        c.create_as(watch, WatchCreateRequest::default(), 1);
    }),
    ("progress, and what means nothing", |c| {
        let watch = c.watch();
        c.send(watch, &WatchRequest { progress: Some(WatchProgressRequest {}), ..WatchRequest::default() });
        c.hear::<WatchResponse>(watch, 1);
        c.put(J, b"one", 0);
        c.create(watch, 0, 1);
        c.send(watch, &WatchRequest { progress: Some(WatchProgressRequest {}), ..WatchRequest::default() });
        c.hear::<WatchResponse>(watch, 1);
        c.send(watch, &WatchRequest::default());
        c.hear::<WatchResponse>(watch, 0);
    }),
    ("leases and what they hold", |c| {
        c.grant(7, 30);
        c.grant(7, 60);
        c.grant(8, 60);
        c.grant(9, 10_000_000_000);
        c.put(b"/l/m/a", b"x", 8);
        c.put(b"/l/m/b", b"x", 8);
        c.put(b"/l/m/c", b"x", 99);
        c.range(b"/l/m/", b"/l/m0", 0);
        c.put(b"/l/m/b", b"free", 0);
        let watch = c.watch();
        c.create_as(
            watch,
            WatchCreateRequest { key: b"/l/m/".into(), range_end: b"/l/m0".into(), ..of_the_log() },
            1,
        );
        c.ask::<LeaseRevokeResponse>("Lease/LeaseRevoke", &LeaseRevokeRequest { id: 8 });
        c.hear::<WatchResponse>(watch, 1);
        c.ask::<LeaseRevokeResponse>("Lease/LeaseRevoke", &LeaseRevokeRequest { id: 8 });
        c.range(b"/l/m/", b"/l/m0", 0);
    }),
    ("a lease that ends, and keep-alives", |c| {
        c.grant(7, 2);
        c.put(b"/l/m/a", b"x", 7);
        let watch = c.watch();
        c.create_as(
            watch,
            WatchCreateRequest { key: b"/l/m/a".into(), range_end: vec![], ..of_the_log() },
            1,
        );
        let alive = c.with.open("/etcdserverpb.Lease/LeaseKeepAlive");
        c.send(alive, &LeaseKeepAliveRequest { id: 7 });
        c.hear::<LeaseKeepAliveResponse>(alive, 1);
        c.hear::<WatchResponse>(watch, 1);
        c.send(alive, &LeaseKeepAliveRequest { id: 7 });
        c.send(alive, &LeaseKeepAliveRequest { id: 1234 });
        c.hear::<LeaseKeepAliveResponse>(alive, 2);
        c.put(b"/l/m/a", b"x", 7);
        c.with.close(alive);
        c.hear::<LeaseKeepAliveResponse>(alive, 1);
    }),
    ("a stream whose client says no more", |c| {
        let watch = c.watch();
        c.create(watch, 0, 1);
        c.with.close(watch);
        c.hear::<WatchResponse>(watch, 0);
        c.put(J, b"one", 0);
        c.hear::<WatchResponse>(watch, 1);
    }),
    ("what is too large or not understood", |c| {
        for size in [1_500_000, 1_600_000, 2_200_000] {
            c.ask_bytes::<PutResponse>("KV/Put", &put_bytes(J, &vec![b'x'; size]));
        }
        for method in ["Nope/Nope", "KV/Nope", "Watch/Nope"] {
            c.ask_bytes::<PutResponse>(method, b"");
        }
        c.ask_bytes::<RangeResponse>("KV/Range", b"\xff\xff");
        c.ask_bytes::<RangeResponse>("KV/Range", b"\x0a\x05k");
        for method in ["Watch/Watch", "Lease/LeaseKeepAlive"] {
            let stream = c.with.open(&format!("/etcdserverpb.{method}"));
            c.with.send(stream, b"\xff\xff");
            c.hear::<WatchResponse>(stream, 1);
        }
    }),
    ("killed and started again", |c| {
        c.grant(8, 60);
        c.put(J, b"one", 8);
        let watch = c.watch();
        c.create(watch, 1, 2);
        c.with.restart();
        c.hear::<WatchResponse>(watch, 1);
        c.both();
        c.put(J, b"two", 0);
        let again = c.watch();
        c.create(again, 3, 2);
        c.with.wipe();
        c.both();
        c.put(J, b"three", 0);
        let anew = c.watch();
        c.create(anew, 4, 1);
    }),
    ("restored from a backup", |c| {
        c.put(ID, b"tag", 0);
        c.put(J, b"one", 0);
        c.with.back_up();
        c.put(J, b"lost", 0);
        c.both();
        c.with.restore();
        c.both();
        c.put(J, b"other", 0);
        c.range(J, b"", 4);
        let watch = c.watch();
        c.create(watch, 4, 2);
    }),
];

fn put_bytes(key: &[u8], value: &[u8]) -> Vec<u8> {
    PutRequest { key: key.into(), value: value.into(), lease: 0 }.encode()
}

fn hold(conversation: impl Fn(&mut Conversation<'_>), with: &mut dyn Talk) -> Vec<String> {
    let mut talk = Conversation { with, said: Vec::new() };
    conversation(&mut talk);
    talk.said
}

#[test]
fn the_emulated_etcd_says_what_a_real_one_says() {
    let mut wrong = Vec::new();
    let mut real = Real::start();
    for (at, (name, conversation)) in CONVERSATIONS.into_iter().enumerate() {
        if at > 0 {
            real.wipe();
            real.streams.clear();
        }
        let (said, emulated) = (hold(conversation, &mut real), hold(conversation, &mut Emulated::default()));
        let differs = said.iter().zip(&emulated).find(|(said, emulated)| said != emulated);
        if let Some((said, emulated)) = differs {
            wrong.push(format!("{name}:\n  etcd:     {said}\n  emulated: {emulated}"));
        } else if said.len() != emulated.len() {
            wrong.push(format!(
                "{name}: etcd says {} things, the emulated one {}",
                said.len(),
                emulated.len()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Anything at all, over a few keys, and two watches that hear of it.
fn at_random(seed: u64) -> impl Fn(&mut Conversation<'_>) {
    move |c| {
        let mut chance = Chance::new(seed);
        let keys = [ID, J, b"/l/m/a", b"/l/m/b"];
        let watch = c.watch();
        c.create(watch, 0, 1);
        let all = c.watch();
        let whole =
            WatchCreateRequest { key: b"/".into(), range_end: b"0".into(), ..WatchCreateRequest::default() };
        c.create_as(all, whole, 1);
        c.grant(7, 600);
        for step in 0..150 {
            let key = *chance.pick(&keys);
            let value = [step as u8];
            let revision = chance.below(40) as i64 + step / 3;
            match chance.below(12) {
                0..4 => c.put(key, &value, if chance.below(4) == 0 { 7 } else { 0 }),
                4 => c.delete(key, b""),
                5 => c.delete(b"/l/m/", b"/l/m0"),
                6 => c.range(key, b"", revision),
                7 => c.range(b"/l/", b"/l0", revision),
                8 if chance.below(4) == 0 => c.compact(revision),
                8 => c.both(),
                _ => {
                    let target = chance.below(4);
                    // Of the three revisions and the value only the one that is compared may be there.
                    let only = |of, number| if target == of { number } else { 0 };
                    let is = Compare {
                        result: chance.below(4),
                        version: only(0, 1),
                        create_revision: only(1, revision),
                        mod_revision: only(2, revision),
                        ..compare(target, key)
                    };
                    let other = *chance.pick(&keys);
                    c.txn(vec![is], vec![put(key, &value), get(other)], vec![delete(other), get(key)]);
                }
            }
            if step % 50 == 49 {
                c.hear::<WatchResponse>(watch, 1);
                c.hear::<WatchResponse>(all, 1);
                let again = c.watch();
                c.create(again, revision.max(1), 1);
            }
        }
    }
}

#[test]
fn the_emulated_etcd_says_what_a_real_one_says_to_anything() {
    let mut real = Real::start();
    for seed in 0..5 {
        if seed > 0 {
            real.wipe();
            real.streams.clear();
        }
        let (said, emulated) =
            (hold(at_random(seed), &mut real), hold(at_random(seed), &mut Emulated::default()));
        for (at, (said, emulated)) in said.iter().zip(&emulated).enumerate() {
            assert_eq!(said, emulated, "seed {seed}, line {at}");
        }
        assert_eq!(said.len(), emulated.len(), "seed {seed}");
    }
}

#[test]
fn an_etcd_keeps_its_ids_whatever_happens_to_it() {
    let mut real = Real::start();
    let mut emulated = Emulated::default();
    let ids = |with: &mut dyn Talk| {
        let answer = with.call("/etcdserverpb.KV/Range", b"\x0a\x01k").unwrap();
        let header = RangeResponse::decode(&answer).unwrap().header.unwrap();
        (header.cluster_id, header.member_id)
    };
    for with in [&mut real as &mut dyn Talk, &mut emulated] {
        let before = ids(with);
        with.back_up();
        with.restart();
        assert_eq!(ids(with), before);
        with.wipe();
        assert_eq!(ids(with), before);
        with.restore();
        assert_eq!(ids(with), before);
    }
}
