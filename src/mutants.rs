//! Mistakes on purpose, one at a time, so that tests can show that they would see them (protocol §2).
//!
//! The shipped module has none of this: without the feature `mutants`, which only the crate's own tests turn on,
//! `mutated` is constantly false, and the journal's ring and the chunks of bodies have their one size.

use crate::store::journal::{RECORDS, SEGMENT_BYTES, SEGMENTS};
use crate::store::record::CHUNK_BYTES;

/// Sizes that tests make small, so that little is enough to go beyond them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes {
    /// The segments in the journal's ring.
    pub segments: u64,
    /// The records in a segment.
    pub records: u64,
    /// The bytes of records with which a segment is full.
    pub segment_bytes: usize,
    /// The bytes of a body's chunk.
    pub chunk_bytes: usize,
}

/// The sizes that are shipped.
pub const SIZES: Sizes =
    Sizes { segments: SEGMENTS, records: RECORDS, segment_bytes: SEGMENT_BYTES, chunk_bytes: CHUNK_BYTES };

/// How the code may deviate from what it says.
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
    /// M06: an older response replaces a newer one.
    OlderReplacesNewer,
    /// M07: a chunk counts for any record.
    TrustsChunks,
    /// M08: two workers use the same generations.
    ReusesGenerations,
    /// M09: the journal is read before its epoch.
    ReadsEpochLast,
    /// M10: a purge changes the epoch before it is in the journal.
    AdvancesEpochFirst,
    /// M11: a purge that could not be written is acknowledged.
    AcknowledgesWhatFailed,
    /// M12: a mirror that was overtaken forgets nothing.
    ForgetsTheFloor,
    /// M13: a leader that leaves overwrites the set, whoever waits by then.
    LeavesBlindly,
    /// M14: a woken worker waits for another flight without registering for it.
    WaitsUnregistered,
    /// M15: a record counts for any key.
    TrustsRecords,
    /// M16, M17, M20: nobody looks after those who wait.
    NeverSweeps,
    /// M18: what is hard purged is validated.
    ValidatesWhatIsGone,
    /// M19: a lease never runs out.
    LeasesForEver,
    /// M21: a response that went beside any flight replaces a newer one.
    ReplacesNewerLate,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 19] = [
        Mutant::LandsBlindly,
        Mutant::RegistersBlindly,
        Mutant::LandsBeforeItWrites,
        Mutant::ForgetsWaiters,
        Mutant::EndsAnothersFlight,
        Mutant::OlderReplacesNewer,
        Mutant::TrustsChunks,
        Mutant::ReusesGenerations,
        Mutant::ReadsEpochLast,
        Mutant::AdvancesEpochFirst,
        Mutant::AcknowledgesWhatFailed,
        Mutant::ForgetsTheFloor,
        Mutant::LeavesBlindly,
        Mutant::WaitsUnregistered,
        Mutant::TrustsRecords,
        Mutant::NeverSweeps,
        Mutant::ValidatesWhatIsGone,
        Mutant::LeasesForEver,
        Mutant::ReplacesNewerLate,
    ];
}

#[cfg(feature = "mutants")]
mod switch {
    use super::{Mutant, SIZES, Sizes};
    use core::cell::Cell;

    thread_local! {
        static DEVIATION: Cell<Option<Mutant>> = const { Cell::new(None) };
        static SMALL: Cell<Sizes> = const { Cell::new(SIZES) };
    }

    /// From now on the code has this mistake, in this thread.
    pub fn deviate(how: Option<Mutant>) {
        DEVIATION.set(how);
    }

    /// From now on these sizes hold, in this thread.
    pub fn resize(sizes: Sizes) {
        SMALL.set(sizes);
    }

    pub(super) fn is(how: Mutant) -> bool {
        DEVIATION.get() == Some(how)
    }

    pub(super) fn sizes() -> Sizes {
        SMALL.get()
    }
}

#[cfg(not(feature = "mutants"))]
mod switch {
    use super::{Mutant, SIZES, Sizes};

    pub(super) const fn is(_: Mutant) -> bool {
        false
    }

    pub(super) const fn sizes() -> Sizes {
        SIZES
    }
}

#[cfg(feature = "mutants")]
pub use switch::{deviate, resize};

/// Whether the code is to deviate like this.
#[inline]
pub(crate) fn mutated(how: Mutant) -> bool {
    switch::is(how)
}

/// The sizes that hold.
#[inline]
#[must_use]
pub fn sizes() -> Sizes {
    switch::sizes()
}
