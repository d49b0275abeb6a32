//! What lies between etcd and a client.

use std::collections::VecDeque;

use super::faults::Fate;
use super::{Arrival, Arriving, Delivery, Etcd, StreamId, UNREACHABLE};

/// The connection of one client.
#[derive(Default)]
pub struct Link {
    pub reach: Reach,
    /// Since when it is as it is.
    pub since: u64,
    /// How long a message takes to etcd, and back.
    pub there_ms: u64,
    pub back_ms: u64,
    /// What befalls its next writes.
    pub fates: VecDeque<Fate>,
    /// So many of its next messages with events arrive twice.
    pub duplicates: u32,
    /// What etcd has sent while nothing comes through.
    pub held: Vec<(StreamId, Delivery)>,
    /// What the client has sent meanwhile.
    pub held_back: Vec<(StreamId, Arriving)>,
    last_there: u64,
    last_back: u64,
}

#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub enum Reach {
    #[default]
    Up,
    /// Connections are refused.
    Cut,
    /// Connections stay open, and nothing comes through.
    Hole,
}

impl Etcd {
    pub(super) fn link(&mut self, client: &str) -> &mut Link {
        self.links.entry(client.into()).or_default()
    }

    pub(super) fn is_reachable(&mut self, client: &str) -> bool {
        self.link(client).reach == Reach::Hole || self.up && self.link(client).reach == Reach::Up
    }

    /// Since when nothing gets through between a client and etcd; none while it does.
    pub fn unreachable_since(&self, client: &str) -> Option<u64> {
        let link = self.links.get(client).filter(|link| link.reach != Reach::Up).map(|link| link.since);
        let down = (!self.up).then_some(self.down_since);
        [link, down].into_iter().flatten().min()
    }

    pub(super) fn set_reach(&mut self, client: &str, reach: Reach) {
        let now = self.now;
        let link = self.link(client);
        (link.reach, link.since) = (reach, now);
    }

    /// A client loses its connections, and what is on its way to it or from it.
    pub(super) fn lose_connections(&mut self, client: &str, then: Reach) {
        self.forget(client);
        self.set_reach(client, Reach::Up);
        self.break_streams(|stream| stream == client);
        self.set_reach(client, then);
    }

    /// Something sets out from a client.
    pub(super) fn arrive(&mut self, client: &str, stream: StreamId, what: Arriving) {
        if !self.is_reachable(client) {
            return self.end(stream, 14, UNREACHABLE);
        }
        let now = self.now;
        let link = self.link(client);
        if link.reach == Reach::Hole {
            link.held_back.push((stream, what));
            return;
        }
        let mut at = link.last_there.max(now + link.there_ms);
        link.last_there = at;
        match &what {
            Arriving::Call { fate: Some(Fate::Dropped), .. } => return,
            Arriving::Call { fate: Some(Fate::Late(ms)), .. } => at += ms,
            _ => {}
        }
        self.last += 1;
        self.arriving.insert((at, self.last), Arrival { client: client.into(), stream, what });
    }

    /// etcd sends a message.
    pub(super) fn send(&mut self, stream: StreamId, message: Vec<u8>) {
        self.post(None, stream, Delivery::Message(message));
    }

    /// etcd tells of events.
    pub(super) fn tell(&mut self, stream: StreamId, message: Vec<u8>) {
        let client = self.streams.get(&stream).map(|stream| stream.client.clone()).unwrap_or_default();
        let link = self.link(&client);
        let twice = link.duplicates > 0;
        link.duplicates = link.duplicates.saturating_sub(1);
        for _ in 0..1 + usize::from(twice) {
            self.send(stream, message.clone());
        }
    }

    /// A stream or call ends.
    pub(super) fn end(&mut self, stream: StreamId, status: u32, text: &str) {
        self.post(None, stream, Delivery::Closed(status, text.into()));
        self.streams.remove(&stream);
    }

    pub(super) fn end_at(&mut self, at: u64, stream: StreamId, status: u32, text: &str) {
        self.post(Some(at), stream, Delivery::Closed(status, text.into()));
        self.streams.remove(&stream);
    }

    /// The connection below a stream is gone: what Envoy says of that.
    pub(super) fn break_off(&mut self, stream: StreamId) {
        match self.streams.get(&stream).is_some_and(|stream| stream.answered) {
            true => self.end(stream, 13, ""),
            false => self.end(stream, 14, UNREACHABLE),
        }
    }

    fn post(&mut self, at: Option<u64>, stream: StreamId, delivery: Delivery) {
        let Some(open) = self.streams.get_mut(&stream) else { return };
        if open.silent {
            return;
        }
        open.answered |= matches!(delivery, Delivery::Message(_));
        let client = open.client.clone();
        let now = self.now;
        let link = self.link(&client);
        if link.reach == Reach::Hole {
            link.held.push((stream, delivery));
            return;
        }
        let at = match at {
            Some(at) => at + link.back_ms,
            None => {
                link.last_back = link.last_back.max(now + link.back_ms);
                link.last_back
            }
        };
        self.last += 1;
        self.leaving.insert((at, self.last), (client, stream, delivery));
    }
}
