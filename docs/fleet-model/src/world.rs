//! A state: some Envoys, each with its journal, its key `fleet` and its workers; etcd; and what may still go wrong.
//!
//! A *ghost* is what only the checks know.

use crate::setting::Setting;

/// The most Envoys, workers of each, purges, revisions of etcd, and positions of a journal.
pub const ENVOYS: usize = 3;
pub const WORKERS: usize = 2;
pub const PURGES: usize = 4;
pub const REVISIONS: usize = 12;
pub const POSITIONS: usize = 10;

/// A record that covers everything: validated before its next use; gone.
pub const ALL_REVALIDATED: u8 = 0x40;
pub const ALL_GONE: u8 = 0x80;
pub const EVERYTHING: u8 = ALL_REVALIDATED | ALL_GONE;
/// The revision of a record of our own that has not come back yet.
pub const NOT_BACK: u8 = 255;
/// Not an edge.
pub const NO_HOME: u8 = 255;

/// A stored response.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Stored {
    pub on: bool,
    /// Ghosts, purges as bits: those that its body takes account of, and those that came before it was fetched or validated.
    pub body: u8,
    pub confirmed: u8,
    pub stamp: u8,
    /// When its fetch began.
    pub began: u8,
    /// What a home knew when it fetched it, in which history.
    pub label: u8,
    pub tag: u8,
}

/// A fetch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Fetch {
    /// 0 none, 1 at the origin, 2 on its way to the home, 3 waiting at the home for its fetch, 4 answered by the home.
    pub phase: u8,
    pub w: u8,
    pub stamp: u8,
    /// Ghost: the purges that had been issued when it began.
    pub issued: u8,
    pub began: u8,
    /// Ghost: the purges that its answer has to take account of.
    pub need: u8,
    /// It asks with a validator, of a response whose body takes account of these.
    pub validates: bool,
    pub old_body: u8,
    /// To the home: the least that it has to know, in which history, and whether it has to ask the origin.
    pub min: u8,
    pub tag: u8,
    pub fresh: bool,
    /// At the home: the edge that it is for, and one.
    pub edge: u8,
    /// From the home: its stored response, and what it is labelled.
    pub home_body: u8,
    pub home_confirmed: u8,
    pub home_began: u8,
    pub label: u8,
    pub label_tag: u8,
}

/// A watch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Stream {
    /// 0 closed, 1 created to resume and not checked, 2 created to join, 3 live; mistakes: 4 checked before it was created,
    /// 6 barrier before the revision.
    pub stage: u8,
    pub silent: bool,
    pub next: u8,
    /// The revision in the header of "created".
    pub v: u8,
    /// The barrier that it belongs to.
    pub join: u8,
    pub history: u8,
    pub tag: u8,
}

/// A linearizable reading of both keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Heartbeat {
    /// 0 none, 1 sent, 2 answered.
    pub stage: u8,
    pub sent: u8,
    /// What it says: the revision of etcd, the newest record's revision and id, the tag, whether this member is registered.
    pub v: u8,
    pub m: u8,
    pub id: u8,
    pub tag: u8,
    pub reg: bool,
}

/// A Put.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Put {
    /// 0 none, 1 sent, 2 answered and not come back yet.
    pub stage: u8,
    /// The position up to which it ships; 0: it says that the history was lost.
    pub upto: u8,
    /// The purges in it.
    pub mask: u8,
    pub history: u8,
    pub envoy: u8,
    pub life: u8,
}

/// What a worker is in the middle of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Task {
    /// 0 nothing, 1 applying, 2 joining; and how far it is.
    pub k: u8,
    pub pc: u8,
    pub revision: u8,
    pub mask: u8,
    pub id: u8,
    pub upto: u8,
    pub join: u8,
    pub history: u8,
    pub tag: u8,
    pub own: bool,
    /// The journal has not changed since its tail was read.
    pub valid: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Worker {
    pub alive: bool,
    pub stream: Stream,
    pub task: Task,
    pub heartbeat: Heartbeat,
    pub put: Put,
}

/// One process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Envoy {
    /// How often it has begun anew.
    pub life: u8,
    /// The journal: so many records, each with its revision in the log.
    pub head: u8,
    pub journal: [u8; POSITIONS],
    pub revisions: [u8; POSITIONS],
    /// In the header of its tail.
    pub join: u8,
    pub tag: u8,
    pub applied: u8,
    /// In the key `fleet`: progress; id and revision of the newest record that is known; all ids of this join; what is
    /// shipped; when there was contact, and one; who holds the lease, and one; whether the loss of a history is still to be
    /// published; when it has joined.
    pub progress: u8,
    pub last_id: u8,
    pub last_revision: u8,
    pub seen: u16,
    pub shipped: u8,
    pub contact: u8,
    pub lease: u8,
    pub announce: bool,
    pub joined_at: u8,
    pub stored: Stored,
    pub fetch: Fetch,
    pub vms: [Worker; WORKERS],
    /// Heartbeats that are left.
    pub heartbeats: u8,
    /// Ghosts: barriers that it has written, whether a purge lies in its journal twice, the history that it has joined.
    pub barriers: u8,
    pub twice: bool,
    pub true_history: u8,
}

/// A member's key in etcd.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Registration {
    pub live: bool,
    pub reported: u8,
    pub renewed: u8,
}

/// A state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct World {
    /// Ghost: which etcd this is.
    pub history: u8,
    /// The name that its history has.
    pub tag: u8,
    pub revision: u8,
    pub compacted: u8,
    /// Ids that have been given to records.
    pub ids: u8,
    /// The log by revision: purges, id, sender, and up to which position of the sender's journal.
    pub log: [u8; REVISIONS],
    pub id: [u8; REVISIONS],
    pub from: [u8; REVISIONS],
    pub uptos: [u8; REVISIONS],
    pub members: [Registration; ENVOYS],
    /// The Envoys that reach etcd, as bits.
    pub links: u8,
    pub envoys: [Envoy; ENVOYS],
    pub late_put: Put,
    /// Of each purge: 0 to come, 1 waiting, 2 acknowledged, 3 its caller will never know; its position, and in which life of
    /// its Envoy; its revision, and in which history; when it was committed, and one.
    pub purge_state: [u8; PURGES],
    pub purge_position: [u8; PURGES],
    pub purge_life: [u8; PURGES],
    pub purge_history: [u8; PURGES],
    pub purge_revision: [u8; PURGES],
    pub purge_tick: [u8; PURGES],
    /// Ghost: the purges that were issued.
    pub issued: u8,
    pub now: u8,
    /// What may still happen.
    pub fetches: [u8; ENVOYS],
    pub deaths: u8,
    pub restarts: u8,
    pub partitions: u8,
    pub other_writes: u8,
    pub compactions: u8,
    pub wipes: u8,
    pub restores: u8,
    pub stolen_leases: u8,
    pub timeouts: u8,
    /// What a step has broken: a number of `check::BROKEN`.
    pub bad: u8,
}

pub fn sender(e: usize, life: u8) -> u8 {
    e as u8 + 1 + life * 8
}

pub fn close(stream: &mut Stream) {
    *stream = Stream::default();
}

/// P: everything up to this revision is in the local journal.
pub fn known_to(x: &Envoy) -> u8 {
    x.applied.max(x.progress)
}

pub fn is_up(world: &World, e: usize) -> bool {
    world.links >> e & 1 == 1
}

/// The newest record at or below a revision: its revision and id.
pub fn newest(world: &World, upto: u8) -> (u8, u8) {
    (0..=upto.min(world.revision))
        .rev()
        .find(|&r| world.log[r as usize] != 0)
        .map_or((0, 0), |r| (r, world.id[r as usize]))
}

impl World {
    /// The state that a setting begins with.
    pub fn new(setting: &Setting) -> World {
        let mut world = World {
            history: 1,
            tag: 1,
            links: (1 << setting.envoys) - 1,
            fetches: setting.fetches,
            deaths: setting.deaths,
            restarts: setting.restarts,
            partitions: setting.partitions,
            other_writes: setting.other_writes,
            compactions: setting.compactions,
            wipes: setting.wipes,
            restores: setting.restores,
            stolen_leases: setting.stolen_leases,
            timeouts: setting.timeouts,
            ..World::default()
        };
        for e in 0..setting.envoys {
            let x = &mut world.envoys[e];
            x.heartbeats = setting.heartbeats[e];
            x.lease = 1;
            for w in 0..setting.workers[e] {
                x.vms[w].alive = true;
            }
            if setting.joined {
                x.journal[0] = if setting.barrier_hard { ALL_GONE } else { ALL_REVALIDATED };
                x.head = 1;
                x.join = 1;
                x.barriers = 1;
                x.true_history = 1;
                x.tag = 1;
                x.seen = 1;
                x.vms[0].stream =
                    Stream { stage: 3, silent: false, next: 1, v: 0, join: 1, history: 1, tag: 1 };
                x.contact = if setting.lag > 0 { 1 } else { 0 };
                world.members[e] = Registration { live: setting.members, ..Registration::default() };
            }
        }
        world
    }
}
