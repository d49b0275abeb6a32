//! Streams: watches and keep-alives.

use super::kv;
use super::messages::*;
use super::protobuf::Message;
use super::refusal::Refusal;
use super::watch::{Watcher, watched};
use super::{Etcd, REQUEST_TIMEOUT_MS, StreamId};

/// A stream that a client has opened, or a call under way.
pub struct Stream {
    pub client: String,
    pub kind: Kind,
    /// It is to be closed when there is no leader (metadata `hasleader`).
    pub wants_leader: bool,
    /// Something has come back on it, and its header section with that.
    pub answered: bool,
    /// That has reached the client.
    pub heard: bool,
    /// Nothing comes back on it any more, though it is open.
    pub silent: bool,
}

pub enum Kind {
    Call,
    KeepAlive,
    Watch { watchers: Vec<Watcher>, next_id: i64 },
}

impl Kind {
    pub fn of(method: &str) -> Option<Kind> {
        match method {
            "/etcdserverpb.Watch/Watch" => Some(Kind::Watch { watchers: Vec::new(), next_id: 0 }),
            "/etcdserverpb.Lease/LeaseKeepAlive" => Some(Kind::KeepAlive),
            _ => None,
        }
    }
}

impl Stream {
    pub fn new(client: &str, kind: Kind) -> Stream {
        Stream {
            client: client.into(),
            kind,
            wants_leader: false,
            answered: false,
            heard: false,
            silent: false,
        }
    }

    pub fn watchers(&self) -> &[Watcher] {
        if let Kind::Watch { watchers, .. } = &self.kind { watchers } else { &[] }
    }

    pub fn watchers_mut(&mut self) -> &mut [Watcher] {
        if let Kind::Watch { watchers, .. } = &mut self.kind { watchers } else { &mut [] }
    }

    /// When the first of its watchers is told more of the past.
    pub fn behind(&self) -> Option<u64> {
        self.watchers().iter().filter_map(|watcher| watcher.behind).min()
    }
}

impl Etcd {
    /// A message of a client has reached etcd.
    pub(super) fn heard(&mut self, stream: StreamId, message: &[u8]) {
        match self.streams.get(&stream).map(|stream| &stream.kind) {
            Some(Kind::Watch { .. }) => match kv::read(message) {
                Ok(request) => self.watch(stream, request),
                Err(refusal) => self.spoilt(stream, refusal),
            },
            Some(Kind::KeepAlive) => match kv::read(message) {
                Ok(request) => self.keep_alive(stream, request),
                Err(refusal) => self.spoilt(stream, refusal),
            },
            Some(Kind::Call) | None => {}
        }
    }

    fn spoilt(&mut self, stream: StreamId, refusal: Refusal) {
        let text =
            refusal.text.replace("error unmarshalling request:", "failed to unmarshal the received message");
        self.end(stream, 13, &text);
    }

    fn keep_alive(&mut self, stream: StreamId, request: LeaseKeepAliveRequest) {
        if self.leaderless.is_some() {
            return self.end_at(self.now + REQUEST_TIMEOUT_MS, stream, 14, "etcdserver: no leader");
        }
        let ttl = self.store.keep_alive(request.id, self.now).unwrap_or_default();
        let answer = LeaseKeepAliveResponse { header: Some(self.header()), id: request.id, ttl };
        self.send(stream, answer.encode());
    }

    fn watch(&mut self, stream: StreamId, request: WatchRequest) {
        if let Some(create) = request.create {
            self.create(stream, &create);
        } else if let Some(cancel) = request.cancel {
            self.cancel_watch(stream, cancel.watch_id);
        } else if request.progress.is_some() {
            self.respond(stream, WatchResponse { watch_id: -1, ..WatchResponse::default() });
        }
    }

    fn create(&mut self, stream: StreamId, request: &WatchCreateRequest) {
        let Some(client) = self.streams.get(&stream).map(|stream| stream.client.clone()) else { return };
        let keys = watched(request);
        if let Err(refusal) = self.user(&client).may_read(&keys) {
            let code = if refusal.status == 3 { "InvalidArgument" } else { "PermissionDenied" };
            let reason = format!("rpc error: code = {code} desc = {}", refusal.text);
            return self.refuse(stream, self.denied_watch_id, &reason);
        }
        if keys.to.as_ref().is_some_and(|to| *to <= keys.from) {
            return self.refuse(stream, -1, "mvcc: watcher range is empty");
        }
        let Some(Kind::Watch { watchers, next_id }) =
            self.streams.get_mut(&stream).map(|stream| &mut stream.kind)
        else {
            return;
        };
        let taken = |id: i64| watchers.iter().any(|watcher| watcher.id == id);
        let mut id = request.watch_id;
        if id == 0 {
            while taken(*next_id) {
                *next_id += 1;
            }
            id = *next_id;
            *next_id += 1;
        } else if taken(id) {
            return self.refuse(stream, -1, "mvcc: duplicate watch ID provided on the WatchStream");
        }
        watchers.push(Watcher::new(id, request, &self.store, self.now));
        self.respond(stream, WatchResponse { watch_id: id, created: true, ..WatchResponse::default() });
    }

    /// A watch that is not to be: created and canceled in one message.
    fn refuse(&mut self, stream: StreamId, watch_id: i64, reason: &str) {
        let refused = WatchResponse {
            watch_id,
            created: true,
            canceled: true,
            cancel_reason: reason.into(),
            ..WatchResponse::default()
        };
        self.respond(stream, refused);
    }

    fn cancel_watch(&mut self, stream: StreamId, id: i64) {
        let Some(Kind::Watch { watchers, .. }) = self.streams.get_mut(&stream).map(|stream| &mut stream.kind)
        else {
            return;
        };
        let before = watchers.len();
        watchers.retain(|watcher| watcher.id != id);
        if watchers.len() < before {
            self.respond(stream, WatchResponse { watch_id: id, canceled: true, ..WatchResponse::default() });
        }
    }

    fn respond(&mut self, stream: StreamId, response: WatchResponse) {
        let response = WatchResponse { header: Some(self.header()), ..response };
        self.send(stream, response.encode());
    }

    /// The watchers of a stream that are behind are told what comes next.
    pub(super) fn catch_up(&mut self, stream: StreamId) {
        let (header, now) = (self.header(), self.now);
        let Some(Kind::Watch { watchers, .. }) = self.streams.get_mut(&stream).map(|stream| &mut stream.kind)
        else {
            return;
        };
        let mut told = Vec::new();
        watchers.retain_mut(|watcher| {
            if watcher.behind.is_none_or(|at| at > now) {
                return true;
            }
            let (messages, ends) = watcher.catch_up(&self.store, &header, now);
            told.extend(messages);
            !ends
        });
        for message in told {
            self.tell(stream, message);
        }
    }
}
