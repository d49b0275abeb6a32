//! What the workers of a process know together of the log: one value in shared data, whose fields only grow.
//!
//! Safety does not rest on it: how far the log has been applied lies in the journal. It saves questions, tells who waits
//! that a record has come back, and carries the time of the last contact to all workers.

use serde::{Deserialize, Serialize};

use crate::store::codec::Reader;
use crate::store::{SharedData, update};
use crate::time::{Monotonic, Timestamp};

const KEY: &str = "fleet";
const LAYOUT: u8 = 1;

/// The most batches of our own whose revisions are remembered. Beyond it the oldest are forgotten, and who still waits for
/// one is answered with the revision of a later one.
const OWN_MAX: usize = 64;

/// A record of the log: the newest that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Newest {
    /// Its revision.
    pub revision: u64,
    /// A hash of its value: after a restore the same revision may hold another record.
    pub id: u64,
    /// How many there were, it included, since the key was created.
    pub version: u64,
}

/// What the workers know together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct State {
    /// The barrier that `progress` and `last` belong to.
    ///
    /// They say nothing of another history. A worker that was interrupted between reading the journal and writing here
    /// would else set them too high for the history that was joined meanwhile, and new purges would be skipped.
    pub join: u64,
    /// Everything up to this revision is in the journal.
    pub progress: u64,
    /// The newest record at or below that.
    pub last: Newest,
    /// Everything up to this position of the journal has come back, if it was to be shared.
    pub shipped: u64,
    /// When etcd was last asked a question whose answer said that nothing was missed.
    pub contact: Option<Monotonic>,
    /// When a history that has lost records was last replaced.
    pub replaced: Option<Monotonic>,
    /// When this process has joined the history.
    pub joined_at: Monotonic,
    /// The workers where commands wait, by bits.
    pub waiters: u64,
    /// Up to which position somebody waits until every member has applied it.
    pub reports_wanted: u64,
    /// Own batches that have come back: up to which position, and at which revision.
    pub own: Vec<(u64, u64)>,
}

impl State {
    /// What is known now.
    #[must_use]
    pub fn load(data: &impl SharedData) -> State {
        data.get(KEY).and_then(|found| State::decode(&found.bytes)).unwrap_or_default()
    }

    /// Changes it; what it is then. Nothing changes where others were always faster: what is said here is said again.
    pub fn change(data: &impl SharedData, change: impl Fn(&mut State)) -> Option<State> {
        let bytes = update(data, KEY, |bytes| {
            let mut state = State::decode(bytes).unwrap_or_default();
            change(&mut state);
            state.encode()
        })?;
        State::decode(&bytes)
    }

    /// A history has been joined.
    pub fn join(&mut self, join: u64, revision: u64, last: Newest, now: Monotonic) {
        if join > self.join {
            (self.join, self.progress, self.last, self.joined_at) = (join, revision, last, now);
        }
    }

    /// Everything up to a revision is in the journal.
    pub fn progressed(&mut self, join: u64, revision: u64, last: Newest) {
        if join != self.join {
            return;
        }
        self.progress = self.progress.max(revision);
        if last.revision >= self.last.revision {
            self.last = last;
        }
    }

    /// A batch of our own has come back.
    pub fn shipped(&mut self, upto: u64, revision: u64) {
        self.shipped = self.shipped.max(upto);
        if !self.own.iter().any(|(_, known)| *known == revision) {
            self.own.push((upto, revision));
            let beyond = self.own.len().saturating_sub(OWN_MAX);
            self.own.drain(..beyond);
        }
    }

    /// Etcd was asked at this time, and nothing was missed.
    pub fn contacted(&mut self, asked: Monotonic) {
        self.contact = self.contact.max(Some(asked));
    }

    /// The revision at which the record of a position was committed; none while it is not known to be.
    #[must_use]
    pub fn revision_of(&self, position: u64) -> Option<u64> {
        if position > self.shipped {
            return None;
        }
        let batch = self.own.iter().filter(|(upto, _)| *upto >= position).min();
        Some(batch.map_or(self.progress, |(_, revision)| *revision))
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![LAYOUT];
        let time = |time: Option<Monotonic>| time.map_or(0, |time| time.0.saturating_add(1));
        for number in [
            self.join,
            self.progress,
            self.last.revision,
            self.last.id,
            self.last.version,
            self.shipped,
            time(self.contact),
            time(self.replaced),
            self.joined_at.0,
            self.waiters,
            self.reports_wanted,
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for (upto, revision) in &self.own {
            bytes.extend_from_slice(&upto.to_le_bytes());
            bytes.extend_from_slice(&revision.to_le_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<State> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != LAYOUT {
            return None;
        }
        let mut number = || reader.u64();
        let time = |number: u64| number.checked_sub(1).map(Monotonic);
        let mut state = State {
            join: number()?,
            progress: number()?,
            last: Newest { revision: number()?, id: number()?, version: number()? },
            shipped: number()?,
            contact: time(number()?),
            replaced: time(number()?),
            joined_at: Monotonic(number()?),
            waiters: number()?,
            reports_wanted: number()?,
            own: Vec::new(),
        };
        while let (Some(upto), Some(revision)) = (reader.u64(), reader.u64()) {
            state.own.push((upto, revision));
        }
        Some(state)
    }
}

/// Where what went wrong last lies in shared data.
const TROUBLE: &str = "fleet/trouble";
/// The most bytes of what went wrong. Beyond it the sentence is cut.
const TROUBLE_BYTES_MAX: usize = 256;

/// What went wrong last between this process and etcd.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    /// When.
    pub at: Timestamp,
    /// What, as a sentence.
    pub why: String,
}

impl Trouble {
    /// Notes what has gone wrong.
    pub fn note(data: &impl SharedData, at: Timestamp, why: &str) {
        let why = why.get(..why.floor_char_boundary(TROUBLE_BYTES_MAX)).unwrap_or(why);
        data.set(TROUBLE, &[&at.0.to_le_bytes()[..], why.as_bytes()].concat());
    }

    /// What went wrong last.
    #[must_use]
    pub fn load(data: &impl SharedData) -> Option<Trouble> {
        let found = data.get(TROUBLE)?;
        let mut reader = Reader::new(&found.bytes);
        let at = Timestamp(reader.u64()?);
        Some(Trouble { at, why: String::from_utf8_lossy(reader.rest()).into_owned() })
    }
}

/// Where the list of members lies in shared data.
const ROSTER: &str = "fleet/members";
/// The most members that are remembered. Beyond it the others are waited for, and not shown.
const SHOWN_MAX: usize = 256;

/// A living member.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Listing {
    /// The name of its journal.
    pub src: u64,
    /// How it is called.
    pub name: String,
    /// Everything up to this revision is in its journal.
    pub applied: u64,
    /// The history that it has joined.
    pub tag: [u8; 16],
}

/// The living members, as etcd has listed them.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug, Default)]
pub struct Roster {
    /// When.
    pub at: Monotonic,
    /// Who.
    pub members: Vec<Listing>,
}

impl Roster {
    /// Remembers the list.
    pub fn save(&self, data: &impl SharedData) {
        let shown = Roster { members: self.members.iter().take(SHOWN_MAX).cloned().collect(), ..*self };
        if let Ok(bytes) = postcard::to_allocvec(&shown) {
            data.set(ROSTER, &bytes);
        }
    }

    /// The list, as it was seen last.
    #[must_use]
    pub fn load(data: &impl SharedData) -> Option<Roster> {
        postcard::from_bytes(&data.get(ROSTER)?.bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn newest(revision: u64) -> Newest {
        Newest { revision, id: revision * 7, version: 3 }
    }

    #[test]
    fn what_is_said_is_read_again() {
        let data = Memory::default();
        assert_eq!(State::load(&data), State::default());
        let state = State::change(&data, |state| {
            state.join(5, 40, newest(39), Monotonic(8));
            state.shipped(9, 41);
            state.contacted(Monotonic(0));
            state.waiters |= 4;
        });
        assert_eq!(Some(State::load(&data)), state);
        assert_eq!(State::load(&data).contact, Some(Monotonic(0)));
        data.set(KEY, b"?");
        assert_eq!(State::load(&data), State::default());
    }

    #[test]
    fn progress_belongs_to_the_history_that_was_joined() {
        let mut state = State::default();
        state.join(5, 40, newest(39), Monotonic(8));
        state.progressed(5, 50, newest(50));
        state.join(9, 3, newest(2), Monotonic(9));
        state.progressed(5, 60, newest(60));
        state.join(5, 70, newest(70), Monotonic(10));
        assert_eq!((state.progress, state.last), (3, newest(2)));
        state.progressed(9, 2, Newest::default());
        assert_eq!((state.progress, state.last), (3, newest(2)), "it only grows");
    }

    #[test]
    fn a_position_has_been_committed_with_the_first_batch_that_reaches_it() {
        let mut state = State { progress: 99, ..State::default() };
        assert_eq!(state.revision_of(1), None);
        state.shipped(4, 41);
        state.shipped(9, 43);
        state.shipped(9, 43);
        assert_eq!(
            [1, 4, 5, 9, 10].map(|at| state.revision_of(at)),
            [Some(41), Some(41), Some(43), Some(43), None]
        );
        for n in 0..OWN_MAX as u64 {
            state.shipped(10 + n, 50 + n);
        }
        assert_eq!((state.own.len(), state.revision_of(1)), (OWN_MAX, Some(50)));
        state.own.clear();
        assert_eq!(state.revision_of(1), Some(99));
    }

    #[test]
    fn contact_only_grows() {
        let mut state = State::default();
        state.contacted(Monotonic(5));
        state.contacted(Monotonic(3));
        assert_eq!(state.contact, Some(Monotonic(5)));
    }
}
