//! The log in etcd v3: what it is asked, and how its answers are read. Field numbers are those of etcd's `rpc.proto`.
//!
//! The log is the history of one key, `log/j`: each Put of it is a batch, its revision the position. A watch delivers every
//! one of them in order. `log/id` names the history: it is written by the first who joins, and anew by whoever finds that
//! the history has lost records. Both are neighbours, so that one question and one watch cover them.

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::log::{Event, Head, Key};
use super::state::{Listing, Newest};
use crate::http::percent::hex_byte;
use crate::json::{Json, whole};
use crate::protobuf::{Fields, Message, Wire};

/// A question to etcd: the method of gRPC and its message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// The service, `etcdserverpb.KV`.
    pub service: &'static str,
    /// The method, `Range`.
    pub method: &'static str,
    /// The request message.
    pub message: Vec<u8>,
}

/// The keys of a fleet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Keys {
    base: String,
}

const KV: &str = "etcdserverpb.KV";

impl Keys {
    /// The keys below `prefix`, of a fleet of this name.
    #[must_use]
    pub fn new(prefix: &str, fleet: &str) -> Keys {
        Keys { base: format!("{prefix}{fleet}/") }
    }

    fn id(&self) -> Vec<u8> {
        [self.base.as_str(), "log/id"].concat().into_bytes()
    }

    fn log(&self) -> Vec<u8> {
        [self.base.as_str(), "log/j"].concat().into_bytes()
    }

    /// The first key behind both.
    fn end(&self) -> Vec<u8> {
        [self.base.as_str(), "log/k"].concat().into_bytes()
    }

    fn both(&self) -> Message {
        // Linearizable, since `serializable` is left out: a member that lags would say that nothing was missed.
        Message::new().bytes(1, &self.id()).bytes(2, &self.end())
    }

    fn put_id(&self, value: &[u8]) -> Message {
        let put = Message::new().bytes(1, &self.id()).bytes(2, value);
        Message::new().message(2, put)
    }

    /// Where the log stands: both keys as they are now.
    #[must_use]
    pub fn head(&self) -> Question {
        Question { service: KV, method: "Range", message: self.both().written() }
    }

    /// The newest batch as it was at a revision.
    #[must_use]
    pub fn at(&self, revision: u64) -> Question {
        let message = Message::new().bytes(1, &self.log()).number(4, revision);
        Question { service: KV, method: "Range", message: message.written() }
    }

    /// Where the log stands; where it has no name, with this one from now on.
    #[must_use]
    pub fn head_named(&self, value: &[u8]) -> Question {
        const CREATED: u64 = 1;
        // Equal to revision 0, which is left out: the key does not exist.
        let compare = Message::new().number(2, CREATED).bytes(3, &self.id());
        let read = || Message::new().message(1, self.both());
        let message = Message::new()
            .message(1, compare)
            .message(2, self.put_id(value))
            .message(2, read())
            .message(3, read());
        Question { service: KV, method: "Txn", message: message.written() }
    }

    /// Names the log anew, if its name is still the one that was written at this revision.
    #[must_use]
    pub fn rename(&self, value: &[u8], named_at: u64) -> Question {
        const MODIFIED: u64 = 2;
        let compare = Message::new().number(2, MODIFIED).bytes(3, &self.id()).number(6, named_at);
        let message = Message::new().message(1, compare).message(2, self.put_id(value));
        Question { service: KV, method: "Txn", message: message.written() }
    }

    /// Appends a batch.
    #[must_use]
    pub fn put(&self, batch: &[u8]) -> Question {
        let message = Message::new().bytes(1, &self.log()).bytes(2, batch);
        Question { service: KV, method: "Put", message: message.written() }
    }

    /// The stream of both keys from a revision on.
    #[must_use]
    pub fn watch(&self, from: u64) -> Question {
        const FRAGMENT: u32 = 8;
        let create = self.both().number(3, from).number(FRAGMENT, 1);
        let message = Message::new().message(1, create);
        Question { service: "etcdserverpb.Watch", method: "Watch", message: message.written() }
    }

    fn member(&self, src: u64) -> Vec<u8> {
        format!("{}m/{src:016x}", self.base).into_bytes()
    }

    /// Says what a member has applied, under its lease.
    #[must_use]
    pub fn put_member(&self, src: u64, value: &[u8], lease: u64) -> Question {
        let message = Message::new().bytes(1, &self.member(src)).bytes(2, value).number(3, lease);
        Question { service: KV, method: "Put", message: message.written() }
    }

    /// All members, and the name of the history with them.
    #[must_use]
    pub fn members(&self) -> Question {
        // Behind `m/` and all below it.
        let end = [self.base.as_str(), "m0"].concat().into_bytes();
        let message = Message::new().bytes(1, &self.id()).bytes(2, &end);
        Question { service: KV, method: "Range", message: message.written() }
    }

    /// What the answer to [`Keys::members`] says.
    #[must_use]
    pub fn read_members(&self, answer: &[u8]) -> Option<Listed> {
        let mut listed = Listed { revision: header_revision(answer)?, ..Listed::default() };
        for value in values(answer, 2) {
            let value = KeyValue::read(value);
            if self.key(value.key) == Some(Key::Id) {
                listed.tag = Some(tag(value.value));
            }
            let src = value.key.strip_prefix(self.base.as_bytes()).and_then(|rest| rest.strip_prefix(b"m/"));
            if let Some(src) = src {
                listed.members.push(listing(src, value.value));
            }
        }
        Some(listed)
    }

    fn key(&self, name: &[u8]) -> Option<Key> {
        if name == self.log() {
            Some(Key::Log)
        } else if name == self.id() {
            Some(Key::Id)
        } else {
            None
        }
    }

    /// What the answer to [`Keys::head`] says.
    #[must_use]
    pub fn read_head(&self, answer: &[u8]) -> Option<Head> {
        let mut head = Head { revision: header_revision(answer)?, ..Head::default() };
        for value in values(answer, 2) {
            let value = KeyValue::read(value);
            match self.key(value.key) {
                Some(Key::Id) => head.tag = Some((tag(value.value), value.modified)),
                Some(Key::Log) => head.newest = value.newest(),
                None => {}
            }
        }
        Some(head)
    }

    /// What the answer to [`Keys::head_named`] says: the transaction's last response is the reading.
    #[must_use]
    pub fn read_named(&self, answer: &[u8]) -> Option<Head> {
        const RANGE: u64 = 1;
        let revision = header_revision(answer)?;
        let response = values(answer, 3).last()?;
        let range =
            Fields::of(response).find_map(|(field, value)| value.bytes().filter(|_| field == RANGE))?;
        // The header of an inner response may lack the revision of the transaction.
        self.read_head(range)
            .or_else(|| self.read_head(&with_header(revision, range)))
            .map(|head| Head { revision: revision.max(head.revision), ..head })
    }

    /// What the answer to [`Keys::at`] says: the newest batch at that revision.
    #[must_use]
    pub fn read_at(&self, answer: &[u8]) -> Newest {
        values(answer, 2).next().map_or_else(Newest::default, |value| KeyValue::read(value).newest())
    }

    /// What a message of the watch says.
    #[must_use]
    pub fn read_watch(&self, message: &[u8]) -> Watched {
        let mut watched = Watched { revision: header_revision(message).unwrap_or(0), ..Watched::default() };
        for (field, value) in Fields::of(message) {
            match (field, value) {
                (3, Wire::Number(created)) => watched.created = created != 0,
                (4, Wire::Number(cancelled)) => watched.cancelled = cancelled != 0,
                (5, Wire::Number(compacted)) => watched.compacted = compacted != 0,
                (6, Wire::Bytes(reason)) => watched.reason = String::from_utf8_lossy(reason).into_owned(),
                (11, Wire::Bytes(event)) => watched.events.extend(self.event(event)),
                _ => {}
            }
        }
        watched
    }

    fn event(&self, event: &[u8]) -> Option<Event> {
        const DELETE: u64 = 1;
        let number = |of| Fields::of(event).find_map(|(field, value)| value.number().filter(|_| field == of));
        let value = Fields::of(event).find_map(|(field, value)| value.bytes().filter(|_| field == 2))?;
        let value = KeyValue::read(value);
        let key = self.key(value.key)?;
        if number(1) == Some(DELETE) {
            return Some(Event::Deleted);
        }
        Some(match key {
            Key::Id => Event::Named { revision: value.modified, tag: tag(value.value) },
            Key::Log => Event::Batch { newest: value.newest(), bytes: value.value.to_vec() },
        })
    }
}

/// The members of a fleet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listed {
    /// The revision of the store that the list is of.
    pub revision: u64,
    /// The name of the history; none when it has none.
    pub tag: Option<[u8; 16]>,
    /// Who lives.
    pub members: Vec<Listing>,
}

/// A member by its key and what it says. One that cannot be read has applied nothing: it is waited for.
fn listing(src: &[u8], value: &[u8]) -> Listing {
    let src = str::from_utf8(src).unwrap_or_default();
    let json = Json::parse(value).unwrap_or(Json::Null);
    let text = |name| json.get(&[name]).and_then(Json::text);
    let applied = json.get(&["applied"]).and_then(|applied| match applied {
        Json::Number(number) => whole(*number),
        _ => None,
    });
    let mut tag = [0; 16];
    let digits = text("tag").unwrap_or_default().as_bytes();
    for (byte, pair) in tag.iter_mut().zip(digits.chunks_exact(2)) {
        if let [high, low] = pair {
            *byte = hex_byte(*high, *low).unwrap_or(0);
        }
    }
    Listing {
        src: u64::from_str_radix(src, 16).unwrap_or(0),
        name: text("name").unwrap_or(src).to_owned(),
        applied: applied.unwrap_or(0),
        tag,
    }
}

/// The stream that keeps leases.
pub const KEEP_ALIVE: (&str, &str) = ("etcdserverpb.Lease", "LeaseKeepAlive");

/// Asks for a lease that lives for so many seconds.
#[must_use]
pub fn grant(seconds: u64) -> Question {
    let message = Message::new().number(1, seconds).written();
    Question { service: "etcdserverpb.Lease", method: "LeaseGrant", message }
}

/// The lease that was granted.
#[must_use]
pub fn read_grant(answer: &[u8]) -> Option<u64> {
    Fields::of(answer).find_map(|(field, value)| value.number().filter(|_| field == 2))
}

/// Keeps a lease.
#[must_use]
pub fn keep_alive(lease: u64) -> Vec<u8> {
    Message::new().number(1, lease).written()
}

/// Whether a lease that was to be kept lives: without a time to live it has run out.
#[must_use]
pub fn read_kept(message: &[u8]) -> bool {
    Fields::of(message).any(|(field, value)| field == 3 && value.number().is_some_and(|ttl| ttl > 0))
}

/// What a message of a watch says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Watched {
    /// The revision in its header.
    pub revision: u64,
    /// The watch is there from now on.
    pub created: bool,
    /// The watch has ended.
    pub cancelled: bool,
    /// Because what it wanted to begin with is compacted.
    pub compacted: bool,
    /// Why, in etcd's words.
    pub reason: String,
    /// What has happened.
    pub events: Vec<Event>,
}

/// What an error to a question at a revision says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// There is no such revision yet.
    Future,
    /// It is compacted.
    Compacted,
}

/// Why there is no answer to [`Keys::at`], by etcd's words; none for any other trouble.
#[must_use]
pub fn missing(error: &str) -> Option<Missing> {
    if error.contains("future revision") {
        Some(Missing::Future)
    } else if error.contains("compacted") {
        Some(Missing::Compacted)
    } else {
        None
    }
}

/// The name of a history: a hash of the whole value, so that whatever an operator writes there is another one.
#[must_use]
pub fn tag(value: &[u8]) -> [u8; 16] {
    xxh3_128(value).to_le_bytes()
}

struct KeyValue<'a> {
    key: &'a [u8],
    modified: u64,
    version: u64,
    value: &'a [u8],
}

impl<'a> KeyValue<'a> {
    fn read(message: &'a [u8]) -> KeyValue<'a> {
        let mut read = KeyValue { key: &[], modified: 0, version: 0, value: &[] };
        for (field, value) in Fields::of(message) {
            match (field, value) {
                (1, Wire::Bytes(key)) => read.key = key,
                (3, Wire::Number(revision)) => read.modified = revision,
                (4, Wire::Number(version)) => read.version = version,
                (5, Wire::Bytes(value)) => read.value = value,
                _ => {}
            }
        }
        read
    }

    fn newest(&self) -> Newest {
        Newest { revision: self.modified, id: xxh3_64(self.value), version: self.version }
    }
}

fn values(message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    Fields::of(message).filter_map(move |(field, value)| value.bytes().filter(|_| field == number))
}

/// The revision of the store when a message was made.
fn header_revision(message: &[u8]) -> Option<u64> {
    let header = values(message, 1).next()?;
    Fields::of(header).find_map(|(field, value)| value.number().filter(|_| field == 3))
}

fn with_header(revision: u64, message: &[u8]) -> Vec<u8> {
    let header = Message::new().message(1, Message::new().number(3, revision)).written();
    [header.as_slice(), message].concat()
}
