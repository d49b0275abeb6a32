//! An emulated etcd at the level of its gRPC messages: no threads, no network and no clock (time is an argument, in
//! milliseconds).
//!
//! What it answers is what etcd 3.4.23 and 3.5.1 answer, byte for byte but for their numbers: [`facts`] has the bytes,
//! and `tests/e2e/etcd/agreement.rs` plays the same conversations on both. A request with a field that is not emulated
//! ends the test, so that nobody relies on what is not there.
//!
//! Requests go in by [`Etcd::call`], [`Etcd::open`] and [`Etcd::message`], and whatever comes back comes by
//! [`Etcd::poll`], in order for each client. [`Etcd::next`] says when there is something to poll. What goes wrong is in
//! [`faults`].
//!
//! ```ignore
//! let mut etcd = Etcd::new();
//! let watch = etcd.open(0, "gw-a", "/etcdserverpb.Watch/Watch", &[("hasleader", "true")]);
//! etcd.message(0, watch, &create.encode());
//! etcd.put(0, "/larder/prod/log/j", "…");
//! for (stream, delivery) in etcd.poll(0) { … }
//! ```

#[cfg(test)]
mod facts;
pub mod faults;
mod kv;
mod link;
pub mod messages;
pub mod protobuf;
pub mod refusal;
pub mod roles;
mod store;
mod streams;
#[cfg(test)]
mod trouble;
mod watch;

use std::collections::BTreeMap;

use faults::Fate;
use link::{Link, Reach};
use messages::*;
use protobuf::Message;
use refusal::Refusal;
use roles::{Grant, User};
use store::{Keys, Store, revision_of};
use streams::{Kind, Stream};

// Those of the etcd whose bytes are in `facts`: as numbers of 64 bits, they have their highest bit.
const CLUSTER_ID: u64 = 0xd6c1_3cc6_168d_8ef9;
const MEMBER_ID: u64 = 0xb5ef_f649_8249_35d4;
/// A stream that asks for a leader is closed when there has been none for so long (measured: 3.8 s, 4.4 s).
const LEADERLESS_MS: u64 = 3_800;
/// How long etcd waits for its quorum before it gives a request up (measured: 7.0 s).
const REQUEST_TIMEOUT_MS: u64 = 7_000;
/// So much may happen between two looks at the time.
const STEPS_MAX: usize = 1_000_000;

/// A call or a stream of a client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamId(pub u64);

/// What reaches a client. A call gets one of them, a stream any number of messages.
#[derive(Clone, Debug, PartialEq)]
pub enum Delivery {
    Message(Vec<u8>),
    /// The end, with its gRPC status and what the status says.
    Closed(u32, String),
}

impl Delivery {
    /// The message in it.
    pub fn read<M: Message>(&self) -> M {
        match self {
            Delivery::Message(bytes) => M::decode(bytes).expect("a message of etcd"),
            Delivery::Closed(status, text) => panic!("closed with {status} {text:?}"),
        }
    }
}

/// What is on its way to etcd.
struct Arrival {
    client: String,
    stream: StreamId,
    what: Arriving,
}

enum Arriving {
    Call { method: String, request: Vec<u8>, fate: Option<Fate> },
    Message(Vec<u8>),
}

/// All that etcd keeps, at a moment.
#[derive(Clone, Debug)]
pub struct Snapshot(Store);

/// One etcd, and what lies between it and its clients.
pub struct Etcd {
    now: u64,
    up: bool,
    /// Since when it is down, while it is.
    down_since: u64,
    /// Since when too few members are left.
    leaderless: Option<u64>,
    /// The alarm NOSPACE.
    no_space: bool,
    raft_term: u64,
    store: Store,
    /// Whom certificates name; etcd asks nobody for a name until there is one.
    users: BTreeMap<String, Vec<Grant>>,
    links: BTreeMap<String, Link>,
    streams: BTreeMap<StreamId, Stream>,
    /// In the order in which it happens: when, and the how manieth.
    arriving: BTreeMap<(u64, u64), Arrival>,
    leaving: BTreeMap<(u64, u64), (String, StreamId, Delivery)>,
    last: u64,
    /// Whether the answer to a write goes out before the event. As a rule the event is first (261 times of 300).
    pub answers_first: bool,
    /// After how long clients notice that nothing comes through their connections (HTTP/2 keepalive); none: never.
    pub keepalive_ms: Option<u64>,
    /// What a watch that is not permitted has for an id: -1 in etcd 3.4.23, 0 in 3.5.1.
    pub denied_watch_id: i64,
}

impl Default for Etcd {
    fn default() -> Self {
        Self::new()
    }
}

impl Etcd {
    /// An empty etcd, at revision 1.
    pub fn new() -> Etcd {
        Etcd {
            now: 0,
            up: true,
            down_since: 0,
            leaderless: None,
            no_space: false,
            raft_term: 2,
            store: Store::new(),
            users: BTreeMap::new(),
            links: BTreeMap::new(),
            streams: BTreeMap::new(),
            arriving: BTreeMap::new(),
            leaving: BTreeMap::new(),
            last: 0,
            answers_first: false,
            keepalive_ms: None,
            denied_watch_id: -1,
        }
    }

    // Clients.

    /// A client makes a call. What comes of it comes by [`Self::poll`]: a message, or an end without one.
    pub fn call(&mut self, now: u64, client: &str, method: &str, request: &[u8]) -> StreamId {
        self.advance(now);
        let stream = self.number();
        let fate = is_write(method).then(|| self.link(client).fates.pop_front()).flatten();
        self.streams.insert(stream, Stream::new(client, Kind::Call));
        let what = Arriving::Call { method: method.into(), request: request.to_vec(), fate };
        self.arrive(client, stream, what);
        self.advance(now);
        stream
    }

    /// The same with the answer at once, whatever the delays: for those who have no time to pass. Where no answer would
    /// ever come it is what a caller's own timeout says.
    pub fn unary(
        &mut self,
        now: u64,
        client: &str,
        method: &str,
        request: &[u8],
    ) -> Result<Vec<u8>, (u32, String)> {
        self.advance(now);
        let up = self.up;
        match self.link(client).reach {
            Reach::Up if up => {}
            Reach::Hole => return Err((4, "deadline exceeded".into())),
            Reach::Up | Reach::Cut => return Err((14, UNREACHABLE.into())),
        }
        let user = self.user(client);
        self.serve(&user, method, request).map_err(|refusal| (refusal.status, refusal.text))
    }

    /// A client opens a stream, which says nothing until a message has reached etcd.
    pub fn open(&mut self, now: u64, client: &str, method: &str, metadata: &[(&str, &str)]) -> StreamId {
        self.advance(now);
        let stream = self.number();
        let kind = Kind::of(method);
        let known = kind.is_some();
        let mut new = Stream::new(client, kind.unwrap_or(Kind::Call));
        new.wants_leader = metadata.contains(&("hasleader", "true"));
        self.streams.insert(stream, new);
        if !self.is_reachable(client) {
            self.end(stream, 14, UNREACHABLE);
        } else if !known {
            let refused = kv::unknown::<()>(method).unwrap_err();
            self.end(stream, refused.status, &refused.text);
        }
        stream
    }

    /// A client sends a message on its stream.
    pub fn message(&mut self, now: u64, stream: StreamId, message: &[u8]) {
        self.advance(now);
        let Some(client) = self.streams.get(&stream).map(|stream| stream.client.clone()) else { return };
        self.arrive(&client, stream, Arriving::Message(message.to_vec()));
        self.advance(now);
    }

    /// A client says that it will send nothing more. etcd ends a stream of keep-alives with that; a stream of watches
    /// goes on as before (measured).
    pub fn close(&mut self, now: u64, stream: StreamId) {
        self.advance(now);
        if self.streams.get(&stream).is_some_and(|stream| matches!(stream.kind, Kind::KeepAlive)) {
            self.end(stream, 0, "");
        }
    }

    /// A client abandons a stream or a call. It hears nothing more of it, and what has reached etcd happens all the
    /// same.
    pub fn cancel(&mut self, now: u64, stream: StreamId) {
        self.advance(now);
        self.streams.remove(&stream);
        self.leaving.retain(|_, (_, id, _)| *id != stream);
        for link in self.links.values_mut() {
            link.held.retain(|(id, _)| *id != stream);
        }
    }

    /// What has reached the clients by now.
    pub fn poll(&mut self, now: u64) -> Vec<(StreamId, Delivery)> {
        self.advance(now);
        self.reach(now, |_| true)
    }

    /// What has reached one client by now.
    pub fn poll_of(&mut self, now: u64, client: &str) -> Vec<(StreamId, Delivery)> {
        self.advance(now);
        self.reach(now, |to| to == client)
    }

    fn reach(&mut self, now: u64, whom: impl Fn(&str) -> bool) -> Vec<(StreamId, Delivery)> {
        let due = self.leaving.range(..(now + 1, 0)).filter(|(_, (to, ..))| whom(to));
        let keys: Vec<_> = due.map(|(key, _)| *key).collect();
        let mut reached = Vec::with_capacity(keys.len());
        for (_, stream, delivery) in keys.iter().filter_map(|key| self.leaving.remove(key)) {
            if let Some(open) = self.streams.get_mut(&stream) {
                open.heard = true;
            }
            reached.push((stream, delivery));
        }
        reached
    }

    /// When the next thing happens: something to poll, or a lease that ends.
    pub fn next(&self) -> Option<u64> {
        let leaving = self.leaving.keys().next().map(|(at, _)| *at);
        [leaving, self.next_step().map(|(at, _)| at)].into_iter().flatten().min()
    }

    // The operator, who sits beside it and may do everything.

    /// `etcdctl put`; at which revision.
    pub fn put(&mut self, now: u64, key: &str, value: impl AsRef<[u8]>) -> i64 {
        let request = PutRequest { key: key.into(), value: value.as_ref().to_vec(), lease: 0 };
        let answer: PutResponse = self.operate(now, "/etcdserverpb.KV/Put", &request);
        answer.header.expect("a header").revision
    }

    /// `etcdctl get`.
    pub fn get(&mut self, now: u64, key: &str) -> Option<KeyValue> {
        self.advance(now);
        self.store.get(key.as_bytes())
    }

    /// `etcdctl get --prefix`.
    pub fn list(&mut self, now: u64, prefix: &str) -> Vec<KeyValue> {
        self.advance(now);
        self.store.now(&Keys::with_prefix(prefix))
    }

    /// What a key has held since the last compaction, with revisions.
    pub fn history(&mut self, now: u64, key: &str) -> Vec<(i64, Vec<u8>)> {
        self.advance(now);
        let puts =
            self.store.history.iter().filter(|event| event.kind == 0).filter_map(|event| event.kv.as_ref());
        puts.filter(|kv| kv.key == key.as_bytes()).map(|kv| (kv.mod_revision, kv.value.clone())).collect()
    }

    /// `etcdctl del`; how many there were.
    pub fn delete(&mut self, now: u64, key: &str) -> i64 {
        let request = DeleteRangeRequest { key: key.into(), range_end: Vec::new() };
        let answer: DeleteRangeResponse = self.operate(now, "/etcdserverpb.KV/DeleteRange", &request);
        answer.deleted
    }

    /// `etcdctl compact`.
    pub fn compact(&mut self, now: u64, revision: i64) {
        let request = CompactionRequest { revision, physical: false };
        let _: CompactionResponse = self.operate(now, "/etcdserverpb.KV/Compact", &request);
    }

    /// Its time.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// The newest revision.
    pub fn revision(&self) -> i64 {
        self.store.revision
    }

    /// How many watches there are.
    pub fn watchers(&self) -> usize {
        self.streams.values().map(|stream| stream.watchers().len()).sum()
    }

    /// `etcdctl user add`, with what its role allows. From the first one on etcd asks everybody for a name: clients are
    /// known by theirs.
    pub fn user_add(&mut self, name: &str, grants: &[Grant]) {
        self.users.insert(name.into(), grants.to_vec());
    }

    fn operate<M: Message>(&mut self, now: u64, method: &str, request: &impl Message) -> M {
        self.advance(now);
        let answer = self.serve(&User::Root, method, &request.encode());
        M::decode(&answer.unwrap_or_else(|refusal| panic!("{method}: {refusal:?}"))).expect("its own message")
    }

    // What happens.

    /// Lets time pass. Leases end, watchers of the past are told of it, and what is on its way arrives.
    fn advance(&mut self, now: u64) {
        assert!(now >= self.now, "time went back, from {} to {now}", self.now);
        for _ in 0..STEPS_MAX {
            let Some((at, step)) = self.next_step().filter(|(at, _)| *at <= now) else { break };
            self.now = self.now.max(at);
            self.step(step);
        }
        self.now = now;
    }

    fn next_step(&self) -> Option<(u64, Step)> {
        let mut steps = Vec::new();
        steps.extend(self.arriving.keys().next().map(|key| (key.0, Step::Arrival(*key))));
        if self.up && self.leaderless.is_none() {
            steps.extend(self.store.next_expiry().map(|(at, lease)| (at, Step::Expiry(lease))));
        }
        if let Some(since) = self.leaderless {
            let closing = self.streams.iter().find(|(_, stream)| stream.wants_leader);
            steps.extend(closing.map(|(id, _)| (since + LEADERLESS_MS, Step::Leaderless(*id))));
        }
        if let Some(after) = self.keepalive_ms {
            let silent = self.links.iter().filter(|(name, link)| {
                link.reach == Reach::Hole && self.streams.values().any(|stream| stream.client == **name)
            });
            steps.extend(silent.map(|(name, link)| (link.since + after, Step::GiveUp(name.clone()))));
        }
        for (id, stream) in &self.streams {
            steps.extend(stream.behind().map(|at| (at, Step::CatchUp(*id))));
        }
        steps.into_iter().min_by_key(|(at, _)| *at)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Arrival(key) => {
                if let Some(arrival) = self.arriving.remove(&key) {
                    self.arrived(arrival);
                }
            }
            Step::Expiry(lease) => {
                let before = self.store.revision;
                let _ = self.store.revoke(lease);
                self.announce(before);
            }
            Step::Leaderless(stream) => self.end(stream, 14, "etcdserver: no leader"),
            Step::CatchUp(stream) => self.catch_up(stream),
            Step::GiveUp(client) => self.lose_connections(&client, Reach::Hole),
        }
    }

    fn arrived(&mut self, arrival: Arrival) {
        let Arrival { client, stream, what } = arrival;
        match what {
            Arriving::Call { method, request, fate } => self.called(&client, stream, &method, &request, fate),
            Arriving::Message(message) => self.heard(stream, &message),
        }
    }

    fn called(&mut self, client: &str, stream: StreamId, method: &str, request: &[u8], fate: Option<Fate>) {
        if self.leaderless.is_some() && !is_serializable(method, request) {
            let at = self.now + REQUEST_TIMEOUT_MS;
            self.end_at(at, stream, 14, "etcdserver: request timed out");
            return;
        }
        if let Some(Fate::Refused(status, text)) = &fate {
            self.end(stream, *status, text);
            return;
        }
        let user = self.user(client);
        let before = self.store.revision;
        let answer = self.perform(&user, method, request);
        if !self.answers_first {
            self.announce(before);
        }
        match (fate, answer) {
            (Some(Fate::Unanswered), _) => {}
            (Some(Fate::Broken), _) => self.end(stream, 14, UNREACHABLE),
            (_, Ok(message)) => {
                self.send(stream, message);
                self.streams.remove(&stream);
            }
            (_, Err(refusal)) => self.end(stream, refusal.status, &refusal.text),
        }
        if self.answers_first {
            self.announce(before);
        }
    }

    /// What etcd does with a request that has reached it.
    fn serve(&mut self, user: &User, method: &str, request: &[u8]) -> Result<Vec<u8>, Refusal> {
        let before = self.store.revision;
        let answer = self.perform(user, method, request);
        self.announce(before);
        answer
    }

    fn perform(&mut self, user: &User, method: &str, request: &[u8]) -> Result<Vec<u8>, Refusal> {
        let caller = kv::Caller { user, now: self.now, no_space: self.no_space, header: self.header() };
        kv::answer(&mut self.store, &caller, method, request)
    }

    /// Tells watchers what has happened since a revision.
    fn announce(&mut self, before: i64) {
        if self.store.revision == before {
            return;
        }
        let at = self.store.history.partition_point(|event| revision_of(event) <= before);
        let (events, header) = (self.store.history[at..].to_vec(), self.header());
        let mut told = Vec::new();
        for (id, stream) in &mut self.streams {
            for watcher in stream.watchers_mut() {
                told.extend(watcher.hear(&events, &header).into_iter().map(|message| (*id, message)));
            }
        }
        for (stream, message) in told {
            self.tell(stream, message);
        }
    }

    fn header(&self) -> ResponseHeader {
        ResponseHeader {
            cluster_id: CLUSTER_ID,
            member_id: MEMBER_ID,
            revision: self.store.revision,
            raft_term: self.raft_term,
        }
    }

    fn user(&self, client: &str) -> User {
        match self.users.get(client) {
            _ if self.users.is_empty() => User::Root,
            Some(grants) => User::Named(grants.clone()),
            None => User::Nobody,
        }
    }

    fn number(&mut self) -> StreamId {
        self.last += 1;
        StreamId(self.last)
    }
}

/// What Envoy says of a connection that is refused.
pub const UNREACHABLE: &str =
    "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure";

/// What happens by itself.
enum Step {
    Arrival((u64, u64)),
    Expiry(i64),
    CatchUp(StreamId),
    Leaderless(StreamId),
    /// A client finds that its connections are dead.
    GiveUp(String),
}

fn is_write(method: &str) -> bool {
    matches!(method, "/etcdserverpb.KV/Put" | "/etcdserverpb.KV/Txn" | "/etcdserverpb.KV/DeleteRange")
}

fn is_serializable(method: &str, request: &[u8]) -> bool {
    method == "/etcdserverpb.KV/Range" && RangeRequest::decode(request).is_ok_and(|range| range.serializable)
}
