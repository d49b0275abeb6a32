//! A state: shared data, the memories of the workers, the callbacks that are running, clients and origin.

use crate::setting::{Faults, Setting};

pub const WORKERS: usize = 3;
pub const KEYS: usize = 2;
pub const REQUESTS: usize = 5;
pub const PURGES: usize = 4;
pub const FETCHES: usize = 7;
pub const SEGMENTS: usize = 3;
pub const RECORDS: usize = 2;
pub const WAYS: usize = 3;
pub const FLIGHTS: usize = 2;

/// No worker, request, way or epoch.
pub const NONE: u8 = 255;

/// What a purge covers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Selector {
    Key(u8),
    Tag(u8),
}

/// What it does to that.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub enum Mode {
    /// It may be served stale, and is refreshed.
    #[default]
    Soft,
    /// It is validated before its next use.
    Revalidate,
    /// It is gone.
    Hard,
}

/// What the journal says of a record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    Fresh,
    Covered(Mode),
}

/// A segment of the journal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Segment {
    pub number: u8,
    pub length: u8,
    pub hard_below: u8,
    /// The numbers of purges.
    pub records: [u8; RECORDS],
}

/// A stored response, in shared data or as a copy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Record {
    /// Zero: nothing.
    pub generation: u8,
    pub key: u8,
    pub stamp: u8,
    /// When it was asked for.
    pub asked: u8,
    /// How many purges were in the journal when its body was asked for, and when it was validated last. No code knows
    /// these: they are for the checks.
    pub born: u8,
    pub checked: u8,
}

impl Record {
    pub fn is_some(&self) -> bool {
        self.generation != 0
    }

    /// By what records of a key are compared.
    pub fn order(&self) -> (u8, u8) {
        (self.stamp, self.asked)
    }
}

/// The body of a record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Chunk {
    pub generation: u8,
    /// For the checks.
    pub key: u8,
    pub born: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum FlightState {
    #[default]
    Free,
    Flying,
    /// It is remembered that the response was of no use to others.
    NotStored,
    /// That memory has run out, a moment ago.
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Flight {
    pub state: FlightState,
    pub key: u8,
    pub generation: u8,
    pub owner: u8,
    /// A bit for each worker that waits.
    pub waiters: u8,
    /// The way that it alone may write.
    pub way: u8,
    /// The response before was of no use to others: nobody waits for this one.
    pub unshared: bool,
}

impl Flight {
    pub fn is_of(&self, key: u8) -> bool {
        self.state != FlightState::Free && self.key == key
    }

    pub fn flies(&self, generation: u8) -> bool {
        self.state == FlightState::Flying && self.generation == generation
    }
}

/// The value of the set: the only lock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Set {
    /// One more than the key whose record is said to lie there; zero: empty.
    pub ways: [u8; WAYS],
    pub flights: [Flight; FLIGHTS],
}

impl Set {
    pub fn way_of(&self, key: u8) -> Option<u8> {
        self.ways.iter().position(|way| *way == key + 1).map(|way| way as u8)
    }

    pub fn flight(&self, generation: u8) -> Option<usize> {
        self.flights.iter().position(|flight| flight.flies(generation))
    }

    pub fn flight_of(&self, key: u8) -> Option<usize> {
        self.flights.iter().position(|flight| flight.is_of(key))
    }
}

/// Who a request to the origin is made for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Purpose {
    #[default]
    Nothing,
    /// For all who ask for the same, under a flight.
    Flight,
    /// The same, but its response has stalled.
    Stalled,
    /// It was, but its flight was taken from it.
    Lost,
    /// For one client, beside any flight. If it can be stored, it is.
    Beside,
}

/// A request to the origin.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Fetch {
    pub purpose: Purpose,
    pub key: u8,
    pub worker: u8,
    pub generation: u8,
    /// The client's request that was sent on; none for a call of the root.
    pub request: u8,
    pub stamp: u8,
    pub asked: u8,
    pub way: u8,
    /// What a 304 would confirm.
    pub validated: Record,
    /// How many purges were in the journal by then: for the checks.
    pub began: u8,
}

impl Fetch {
    /// Whether its flight is its own.
    pub fn leads(&self) -> bool {
        matches!(self.purpose, Purpose::Flight | Purpose::Stalled)
    }
}

/// Where a request of a client is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Standing {
    #[default]
    ToCome,
    /// It is being decided about.
    Considered,
    Waiting,
    /// It is at the origin, for a fetch or beside one.
    AtTheOrigin,
    /// It was sent to the origin alone.
    Alone,
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Acknowledgement {
    #[default]
    ToCome,
    Running,
    Acknowledged,
    /// 503, or its worker has died.
    Refused,
}

/// What a worker is about to do. The first of two words says what for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Step {
    #[default]
    Idle,
    SyncEpoch,
    SyncSegment,
    /// A mistake on purpose: the epoch is read after the journal.
    SyncEpochLast,
    ConsiderSet,
    ConsiderRecord,
    ConsiderChunk,
    ConsiderSeat,
    PurgeSegment,
    PurgeAppend,
    PurgeBump,
    PurgeAcknowledge,
    LandOwnership,
    LandChunk,
    LandRecord,
    LandSet,
    LandPublish,
    LandWake,
    RenewSet,
    RenewLease,
    LeaveSet,
    LeaveFree,
    LateSet,
    LateRecord,
    LateLead,
}

/// The callback that a worker runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Task {
    pub step: Step,
    pub key: u8,
    /// The requests that it decides about, a bit each.
    pub group: u8,
    pub tries: u8,
    /// They have not waited yet; they were woken.
    pub newcomer: bool,
    pub woken: bool,
    /// They have been served stale: what is left is to refresh it.
    pub refreshes: bool,
    /// What has come back beside any flight is to be stored.
    pub late: bool,
    /// The purges that were acknowledged when it began, a bit each.
    pub acknowledged: u8,
    pub epoch: u8,
    /// The set as it was read, while that is of interest; the segment that is to be written.
    pub set: Set,
    pub segment: Segment,
    /// Whether what was read is still as it was: a compare-and-set would succeed.
    pub unchanged: bool,
    pub cur: u8,
    pub hard_below: u8,
    pub purge: u8,
    /// The best that was found; what is being stored.
    pub record: Record,
    pub stores: bool,
    pub way: u8,
    pub generation: u8,
    /// Which flight is to be changed, and whether by leading.
    pub place: u8,
    pub leads: bool,
    /// The workers that are still to be woken.
    pub waiters: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Worker {
    pub alive: bool,
    /// The mirror of the journal.
    pub seen: u8,
    pub cur: u8,
    pub head: u8,
    pub floor: u8,
    pub hard_below: u8,
    /// The purges that are indexed, a bit each.
    pub known: u8,
    /// Its own copies.
    pub copies: [Record; KEYS],
    pub task: Task,
}

/// What must not have happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Broken {
    #[default]
    Nothing,
    ServedPurged,
    ServedInvalid,
    TooManyFetches,
    ForeignBody,
    WrongPosition,
    Unappended,
    Overwritten,
    OlderPublished,
    GoneWithoutHard,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct World {
    pub epoch: u8,
    pub segments: [Segment; SEGMENTS],
    pub set: Set,
    pub records: [Record; WAYS],
    pub chunks: [Chunk; WAYS],
    /// The wake-ups under way to each worker, a bit for each key.
    pub hints: [u8; WORKERS],
    pub workers: [Worker; WORKERS],
    pub requests: [Standing; REQUESTS],
    pub purges: [Acknowledgement; PURGES],
    pub fetches: [Fetch; FETCHES],
    /// The next generation.
    pub next: u8,
    /// The generations whose leases have run out, a bit each.
    pub expired: u32,
    pub left: Faults,
    /// For the checks: the position of each purge and how many were appended; fetches under flights by key; whether
    /// anybody went alone; the order of what each key has published last; the keys of which something went beside any
    /// flight and could be stored; what has gone wrong.
    pub positions: [u8; PURGES],
    pub appended: u8,
    pub starts: [u8; KEYS],
    pub alone: bool,
    pub newest: [(u8, u8); KEYS],
    pub shared_beside: u8,
    pub broken: Broken,
}

impl World {
    pub fn new(setting: &Setting) -> World {
        let mut world = World { next: 1, left: setting.faults, ..World::default() };
        for worker in &mut world.workers[..setting.workers] {
            *worker = Worker::born();
        }
        world
    }

    pub fn generation(&mut self) -> u8 {
        self.next += 1;
        assert!(self.next <= 32, "so many leases can be told apart");
        self.next - 1
    }

    pub fn is_expired(&self, generation: u8) -> bool {
        self.expired >> generation & 1 == 1
    }

    /// Whether this is being fetched and its lease holds.
    pub fn is_live(&self, flight: &Flight) -> bool {
        flight.state == FlightState::Flying && !self.is_expired(flight.generation)
    }

    /// Whether a live flight other than this one has reserved a way.
    pub fn is_reserved(&self, set: &Set, way: u8, generation: u8) -> bool {
        set.flights.iter().any(|f| self.is_live(f) && f.way == way && f.generation != generation)
    }

    /// Whether the flight is there, and its way is still its own.
    pub fn owns_way(&self, set: &Set, generation: u8) -> bool {
        set.flight(generation).is_some_and(|at| !self.is_reserved(set, set.flights[at].way, generation))
    }

    /// The fetch of a flight in a worker.
    pub fn fetch_of(&self, worker: usize, generation: u8) -> Option<usize> {
        let own = |f: &Fetch| f.leads() && usize::from(f.worker) == worker && f.generation == generation;
        self.fetches.iter().position(own)
    }

    /// Whether anybody works on a flight.
    pub fn is_attended(&self, generation: u8) -> bool {
        let runs = |worker: &Worker| worker.task.step != Step::Idle && worker.task.generation == generation;
        self.fetches.iter().any(|f| f.leads() && f.generation == generation) || self.workers.iter().any(runs)
    }

    /// Whether a worker waits for a flight so that it need not do anything about it.
    pub fn waits(&self, worker: usize, flight: &Flight) -> bool {
        flight.waiters >> worker & 1 == 1 || self.fetch_of(worker, flight.generation).is_some()
    }

    /// A worker reads the set.
    pub fn read_set(&mut self, worker: usize) -> Set {
        let set = self.set;
        let task = &mut self.workers[worker].task;
        (task.set, task.unchanged) = (set, true);
        set
    }

    /// The set changes. What others have read of it is of no interest any more, unless they look at it yet.
    pub fn write_set(&mut self, setting: &Setting, set: Set) {
        use crate::setting::Mutant::{LandsBlindly, LeavesBlindly, RegistersBlindly};
        self.set = set;
        let is_blind = matches!(setting.mutant, Some(LandsBlindly | LeavesBlindly | RegistersBlindly));
        for worker in self.workers.iter_mut().filter(|worker| worker.task.step != Step::PurgeAppend) {
            worker.task.unchanged = false;
            if !is_blind && !matches!(worker.task.step, Step::ConsiderRecord | Step::ConsiderChunk) {
                worker.task.set = Set::default();
            }
        }
    }
}

impl Worker {
    pub fn born() -> Worker {
        Worker { alive: true, seen: NONE, cur: 1, ..Worker::default() }
    }
}

/// The numbers of the bits that are set.
pub fn bits(of: u8) -> impl Iterator<Item = usize> {
    (0..8).filter(move |bit| of >> bit & 1 == 1)
}
