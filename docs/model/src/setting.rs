//! What is explored, and the mistakes that can be made on purpose.

use crate::world::{KEYS, Mode, Selector};

/// A purge, ban or unsafe method that will come.
#[derive(Clone, Copy, Debug)]
pub struct Purge {
    pub worker: u8,
    pub selector: Selector,
    pub mode: Mode,
}

/// How often each may still happen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Faults {
    /// A VM dies, at any step, and another begins with nothing.
    pub deaths: u8,
    /// A client leaves: one that waits, or the one whose request leads.
    pub leaves: u8,
    /// A lease runs out although its leader lives: the worker has stood still for so long.
    pub expiries: u8,
    /// A wake-up is lost.
    pub lost_hints: u8,
    /// A response turns out to be of no use to others, or a fetch fails.
    pub not_stored: u8,
    /// A request has waited for as long as anybody may.
    pub deadlines: u8,
    /// Somebody sets all counters of Envoy to zero.
    pub resets: u8,
    /// A call of the root never comes back.
    pub lost_calls: u8,
    /// A leader's tick renews its lease.
    pub renewals: u8,
    /// The response on the stream of a leader stalls.
    pub stalls: u8,
    /// The capture of a response whose flight was taken from its stream is given up for memory.
    pub given_up: u8,
    /// The memory that a response was of no use to others runs out.
    pub forgotten: u8,
}

/// A setting: who asks for what, what is purged, how large everything is and what may go wrong.
#[derive(Clone, Debug)]
pub struct Setting {
    pub name: &'static str,
    pub workers: usize,
    /// Worker and key of each request. Requests that are alike come in this order.
    pub requests: Vec<(u8, u8)>,
    pub purges: Vec<Purge>,
    /// The tags of each key, a bit each.
    pub tags: [u8; KEYS],
    /// Segments of the ring, and records in each.
    pub segments: u8,
    pub records: u8,
    /// Ways and flights. Where there are more ways than flights, as in the code, a flight that is taken over always finds
    /// another way than that of its late leader.
    pub ways: usize,
    pub flights: usize,
    /// How often a compare-and-set is tried.
    pub tries: u8,
    pub faults: Faults,
    /// Fetches are the root's calls; else a client's own request, where there is one.
    pub dispatched: bool,
    /// What is stored has a validator, and the origin may answer 304.
    pub validators: bool,
    /// Validations go inline as well.
    pub validates_inline: bool,
    /// What was softly purged may be served while it is refreshed.
    pub swr: bool,
    /// Bodies lie in a chunk beside their record.
    pub chunks: bool,
    /// Workers look after those who wait on each tick.
    pub sweep: bool,
    /// Leases run out.
    pub leases_end: bool,
    /// The root can fetch what its leader has left; else the next who waits leads.
    pub rooted: bool,
    /// A response that stalls never goes on.
    pub stalls_for_good: bool,
    /// The most fetches under flights of one key in all; zero: any number.
    pub starts_max: u8,
    /// The most fetches of one key at a time; zero: one, and one for each lease that ran out early.
    pub live_max: u8,
    /// Nobody may be sent to the origin alone.
    pub nobody_alone: bool,
    /// Nobody may be refused a purge.
    pub all_acknowledged: bool,
    /// Once a response that went beside any flight can be stored, the memory that nothing could is over.
    pub memory_ends: bool,
    pub mutant: Option<Mutant>,
}

impl Default for Setting {
    fn default() -> Self {
        Setting {
            name: "",
            workers: 2,
            requests: Vec::new(),
            purges: Vec::new(),
            tags: [0b01, 0b10],
            segments: 2,
            records: 2,
            ways: 2,
            flights: 1,
            tries: 12,
            faults: Faults::default(),
            dispatched: false,
            validators: false,
            validates_inline: false,
            swr: false,
            chunks: false,
            sweep: true,
            leases_end: true,
            rooted: true,
            stalls_for_good: false,
            starts_max: 0,
            live_max: 0,
            nobody_alone: false,
            all_acknowledged: false,
            memory_ends: false,
            mutant: None,
        }
    }
}

impl Setting {
    pub fn deviates(&self, how: Mutant) -> bool {
        self.mutant == Some(how)
    }

    /// Whether a purge covers a key.
    pub fn covers(&self, purge: usize, key: u8) -> bool {
        match self.purges[purge].selector {
            Selector::Key(of) => of == key,
            Selector::Tag(tag) => self.tags[usize::from(key)] >> tag & 1 == 1,
        }
    }
}

/// Mistakes on purpose: the mutants of `docs/protocol.md`. Those up to M21 are put into a copy of the code as well
/// (`tests/mutants/table.rs`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// M01: a landing overwrites the set, whatever it has become.
    LandsBlindly,
    /// M02: so does the registration of a waiting worker.
    RegistersBlindly,
    /// M03: a flight ends before its record is written.
    LandsBeforeItWrites,
    /// M04: whoever takes over a flight forgets who waits for it.
    ForgetsWaiters,
    /// M05: a late landing ends whatever flight its key has.
    EndsAnothersFlight,
    /// M06, M21: what is stored without a fetch's own flight replaces what is newer.
    OlderReplacesNewer,
    /// M07: a chunk counts for any record.
    TrustsChunks,
    /// M08: generations are used again.
    ReusesGenerations,
    /// M09: the journal is read before its epoch.
    ReadsEpochLast,
    /// M10: a purge changes the epoch before it is in the journal.
    AdvancesEpochFirst,
    /// M11: a purge that could not be written is acknowledged.
    AcknowledgesWhatFailed,
    /// M12: a mirror that was overtaken has no floor.
    ForgetsTheFloor,
    /// M13: a leader that leaves overwrites the set, whoever waits by then.
    LeavesBlindly,
    /// M14: a woken worker waits for another flight without registering for it.
    WaitsUnregistered,
    /// M15: a record counts for any key.
    TrustsRecords,
    /// M18: what is hard purged is validated.
    ValidatesWhatIsGone,
    /// M22: the late end of a response that stalled lands under the flight that was taken from it.
    LateEndLands,
    /// M23: a capture that is given up for memory ends the flight that was taken from it.
    GivenUpEndsFlight,
    /// M24: what goes beside any flight is not stored.
    NeverStoresLate,
    /// M25: what went beside any flight is stamped when it is stored.
    StampsLateOnes,
    /// M26: what went beside any flight is stored without one.
    StoresWithoutFlight,
    /// M27: a leader whose response stalls keeps its flight.
    KeepsStalledLeaders,
    /// M28: the root takes over what was to be validated, too.
    TakesOverValidation,
    /// M29: all that is below the floor is gone.
    FloorIsHard,
    /// M30: what is below the floor may be served stale.
    FloorIsSoft,
    /// M31: segments do not carry on the newest hard record that was forgotten.
    ForgetsHardRecords,
    /// M33: a stamp is the journal's end, not that of the mirror that has judged.
    StampsByTheJournal,
    /// M34: a stamp is taken when the response lands.
    StampsAtLanding,
    /// M35: those who wait in the leader's worker get what has landed, unjudged.
    ServesUnjudged,
}
