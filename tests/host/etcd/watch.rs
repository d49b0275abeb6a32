//! Watchers: who is told of what, and in which messages.

use super::messages::*;
use super::protobuf::Message;
use super::store::{Keys, Store, revision_of};

/// `watchBatchMaxRevs`: so many revisions of the past come in one message.
const REVISIONS_MAX: usize = 1000;
/// What a message may have before it comes in fragments, where the watch allows them.
const MESSAGE_BYTES_MAX: usize = 3 << 19;
/// How long a watcher of the past waits for its first message: etcd looks after them ten times a second.
pub const SYNC_MS: u64 = 100;

/// One watch of a stream.
#[derive(Debug)]
pub struct Watcher {
    pub id: i64,
    keys: Keys,
    fragment: bool,
    /// The first revision that it has not seen.
    next: i64,
    /// While it is behind: when it is told more.
    pub behind: Option<u64>,
}

impl Watcher {
    pub fn new(id: i64, request: &WatchCreateRequest, store: &Store, now: u64) -> Watcher {
        let start = request.start_revision;
        let past = start != 0 && start <= store.revision;
        Watcher {
            id,
            keys: watched(request),
            fragment: request.fragment,
            next: if start == 0 { store.revision + 1 } else { start },
            behind: past.then_some(now + SYNC_MS),
        }
    }

    /// What it is told of its past; the second is whether it ends with that.
    pub fn catch_up(&mut self, store: &Store, header: &ResponseHeader, now: u64) -> (Vec<Vec<u8>>, bool) {
        if self.next < store.compacted {
            let end = WatchResponse {
                // As etcd has it: without a revision.
                header: Some(ResponseHeader { revision: 0, ..header.clone() }),
                watch_id: self.id,
                canceled: true,
                compact_revision: store.compacted,
                ..WatchResponse::default()
            };
            return (vec![end.encode()], true);
        }
        let (events, next) = self.batch(store);
        self.next = next;
        self.behind = (next <= store.revision).then_some(now + 1);
        (self.messages(events, header), false)
    }

    /// The events of its next thousand revisions, and the revision after them.
    fn batch(&self, store: &Store) -> (Vec<Event>, i64) {
        let mut events: Vec<Event> = Vec::new();
        let mut revisions = 0;
        for event in store.history.iter().filter(|event| revision_of(event) >= self.next) {
            if !event.kv.as_ref().is_some_and(|kv| self.keys.have(&kv.key)) {
                continue;
            }
            if events.last().is_none_or(|last| revision_of(last) != revision_of(event)) {
                if revisions == REVISIONS_MAX {
                    return (events, revision_of(event));
                }
                revisions += 1;
            }
            events.push(event.clone());
        }
        (events, store.revision + 1)
    }

    /// What it is told of a revision that has just been made.
    pub fn hear(&mut self, events: &[Event], header: &ResponseHeader) -> Vec<Vec<u8>> {
        if self.behind.is_some() {
            return Vec::new();
        }
        let its = |event: &&Event| {
            revision_of(event) >= self.next && event.kv.as_ref().is_some_and(|kv| self.keys.have(&kv.key))
        };
        let events: Vec<_> = events.iter().filter(its).cloned().collect();
        self.next = self.next.max(header.revision + 1);
        self.messages(events, header)
    }

    fn messages(&self, events: Vec<Event>, header: &ResponseHeader) -> Vec<Vec<u8>> {
        if events.is_empty() {
            return Vec::new();
        }
        let whole = WatchResponse {
            header: Some(header.clone()),
            watch_id: self.id,
            events,
            ..WatchResponse::default()
        };
        let bytes = whole.encode();
        if !self.fragment || bytes.len() < MESSAGE_BYTES_MAX {
            return vec![bytes];
        }
        fragments(whole)
    }
}

/// A message in pieces, each as large as may be, with one event at least.
fn fragments(whole: WatchResponse) -> Vec<Vec<u8>> {
    let mut pieces: Vec<WatchResponse> = Vec::new();
    for event in whole.events.clone() {
        if let Some(piece) = pieces.last_mut() {
            piece.events.push(event.clone());
            if piece.encode().len() < MESSAGE_BYTES_MAX {
                continue;
            }
            piece.events.pop();
        }
        pieces.push(WatchResponse { events: vec![event], fragment: true, ..whole.clone() });
    }
    if let Some(last) = pieces.last_mut() {
        last.fragment = false;
    }
    pieces.iter().map(Message::encode).collect()
}

/// The keys that a watch asks for. An empty key is the first of all.
pub fn watched(request: &WatchCreateRequest) -> Keys {
    let key: &[u8] = if request.key.is_empty() { b"\0" } else { &request.key };
    Keys::new(key, &request.range_end)
}
