//! What can go wrong with etcd, and between it and its clients.

use std::collections::BTreeMap;

use super::link::Reach;
use super::store::Store;
use super::{Delivery, Etcd, Snapshot, StreamId, UNREACHABLE};

/// What befalls a write (Put, Txn, DeleteRange) of a client.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It never reaches etcd, and nobody says so.
    Dropped,
    /// It is committed, and its answer is lost. Nobody says so.
    Unanswered,
    /// It is committed, and the connection breaks before its answer.
    Broken,
    /// It is committed so many milliseconds later, whoever waits for it, even if the client is cut off meanwhile.
    Late(u64),
    /// It is refused with this status, and has no effect.
    Refused(u32, String),
}

impl Etcd {
    // etcd itself.

    /// `kill -9`. Streams break, what is on its way is lost, and what is committed is kept.
    pub fn kill(&mut self, now: u64) {
        self.advance(now);
        if self.up {
            self.down_since = now;
        }
        self.up = false;
        self.leaderless = None;
        self.arriving.clear();
        self.break_all();
    }

    /// It is started again, with what it kept. Leases live their whole time again.
    pub fn restart(&mut self, now: u64) {
        self.advance(now);
        if !self.up {
            self.up = true;
            self.raft_term += 1;
            self.store.promote(now);
        }
    }

    /// Its data directory is lost, and it is started again with the same flags: revision 1, the same cluster_id.
    /// One that is down stays down.
    pub fn wipe(&mut self, now: u64) {
        self.replace(now, Store::new());
        self.raft_term = 2;
    }

    /// A backup.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.store.clone())
    }

    /// A backup is put in place of the data directory. One that is down stays down.
    pub fn restore(&mut self, now: u64, snapshot: &Snapshot) {
        self.replace(now, snapshot.0.clone());
        self.raft_term = 2;
    }

    /// The same with `etcdutl --bump-revision --mark-compacted`.
    pub fn restore_raised(&mut self, now: u64, snapshot: &Snapshot, by: i64) {
        self.restore(now, snapshot);
        self.store.raise(by);
    }

    fn replace(&mut self, now: u64, store: Store) {
        let was_up = self.up;
        self.kill(now);
        self.store = store;
        if was_up {
            self.restart(now);
        }
    }

    /// Too few members are left: no write, no linearizable read, and streams that ask for a leader are closed.
    pub fn lose_quorum(&mut self, now: u64) {
        self.advance(now);
        self.leaderless = Some(now);
    }

    /// Enough members are there again.
    pub fn regain_quorum(&mut self, now: u64) {
        self.advance(now);
        if self.leaderless.take().is_some() {
            self.raft_term += 1;
            self.store.promote(now);
        }
    }

    /// Whether the quota of the backend is used up, so that every write is refused until the alarm is disarmed.
    pub fn set_no_space(&mut self, now: u64, no_space: bool) {
        self.advance(now);
        self.no_space = no_space;
    }

    // A client's way to it.

    /// A client's connections are reset and refused until [`Self::heal`]. What has not reached it is lost.
    pub fn cut(&mut self, now: u64, client: &str) {
        self.advance(now);
        self.lose_connections(client, Reach::Cut);
    }

    /// Nothing comes through to a client or from it until [`Self::heal`], and nothing says so. What was sent meanwhile
    /// arrives then, as TCP has it, unless the connection is [cut](Self::cut) first.
    pub fn black_hole(&mut self, now: u64, client: &str) {
        self.advance(now);
        self.set_reach(client, Reach::Hole);
        let keys: Vec<_> =
            self.leaving.iter().filter(|(_, (to, ..))| to == client).map(|(key, _)| *key).collect();
        for key in keys {
            if let Some((_, stream, delivery)) = self.leaving.remove(&key) {
                self.link(client).held.push((stream, delivery));
            }
        }
    }

    /// A client's way is free again.
    pub fn heal(&mut self, now: u64, client: &str) {
        self.advance(now);
        let up = self.up;
        self.set_reach(client, Reach::Up);
        let link = self.link(client);
        let (back, there) = (std::mem::take(&mut link.held), std::mem::take(&mut link.held_back));
        let at = now + link.back_ms;
        for (stream, delivery) in back {
            self.last += 1;
            self.leaving.insert((at, self.last), (client.into(), stream, delivery));
        }
        for (stream, what) in there {
            if up {
                self.arrive(client, stream, what);
            } else {
                self.break_off(stream);
            }
        }
        self.advance(now);
    }

    /// A client's connections are reset once.
    pub fn reset(&mut self, now: u64, client: &str) {
        self.cut(now, client);
        self.heal(now, client);
    }

    /// A stream stays open and silent for ever, while everything else works.
    pub fn deafen(&mut self, now: u64, stream: StreamId) {
        self.advance(now);
        self.leaving.retain(|_, (_, id, _)| *id != stream);
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.silent = true;
        }
    }

    /// How long messages take from a client to etcd, and back.
    pub fn slow(&mut self, now: u64, client: &str, there_ms: u64, back_ms: u64) {
        self.advance(now);
        let link = self.link(client);
        (link.there_ms, link.back_ms) = (there_ms, back_ms);
    }

    /// The next messages with events reach a client twice. (etcd itself never does that on one stream.)
    pub fn duplicate(&mut self, client: &str, messages: u32) {
        self.link(client).duplicates = messages;
    }

    /// What befalls the next write of a client that has no fate yet.
    pub fn fate(&mut self, client: &str, fate: Fate) {
        self.link(client).fates.push_back(fate);
    }

    /// What is on its way to a client or from it is lost, but for writes that are late.
    pub(super) fn forget(&mut self, client: &str) {
        let late =
            |what: &super::Arriving| matches!(what, super::Arriving::Call { fate: Some(Fate::Late(_)), .. });
        self.arriving.retain(|_, arrival| arrival.client != client || late(&arrival.what));
        let link = self.link(client);
        link.held_back.clear();
        let held = std::mem::take(&mut link.held);
        let to_it = |(_, (to, ..)): &(&(u64, u64), &(String, StreamId, Delivery))| to == client;
        let keys: Vec<_> = self.leaving.iter().filter(to_it).map(|(key, _)| *key).collect();
        let sent = keys.iter().filter_map(|key| self.leaving.remove(key));
        let lost: Vec<_> = sent.map(|(_, stream, delivery)| (stream, delivery)).chain(held).collect();
        self.ends_of(client, lost);
        for stream in self.streams.values_mut().filter(|stream| stream.client == client) {
            stream.answered = stream.heard;
        }
    }

    /// What a client hears instead of what is lost: an end that it was to hear of, and the failure of a call whose answer it
    /// was to get.
    fn ends_of(&mut self, client: &str, lost: Vec<(StreamId, Delivery)>) {
        let mut ends = BTreeMap::new();
        for (stream, delivery) in lost {
            let is_end = matches!(delivery, Delivery::Closed(..));
            let failure = Delivery::Closed(14, UNREACHABLE.into());
            if is_end || !self.streams.contains_key(&stream) && !ends.contains_key(&stream) {
                ends.insert(stream, if is_end { delivery } else { failure });
            }
        }
        for (stream, end) in ends {
            self.last += 1;
            self.leaving.insert((self.now, self.last), (client.into(), stream, end));
        }
    }

    fn break_all(&mut self) {
        // What etcd has sent arrives before the end of its connection.
        self.break_streams(|_| true);
    }

    pub(super) fn break_streams(&mut self, of: impl Fn(&str) -> bool) {
        let broken: Vec<_> =
            self.streams.iter().filter(|(_, stream)| of(&stream.client)).map(|(id, _)| *id).collect();
        for stream in broken {
            if let Some(stream) = self.streams.get_mut(&stream) {
                stream.silent = false;
            }
            self.break_off(stream);
        }
    }
}
