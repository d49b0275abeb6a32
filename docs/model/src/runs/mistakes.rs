//! Mistakes on purpose, each in a setting that shows it and in which nothing is found without it; and what the protocol
//! cannot do without.

use super::parts::{
    clients_over, faults, hard, one_and_two, one_each, purge, soft, tag, three_workers, two_each, two_keys,
    unsafe_method,
};
use crate::setting::Mutant::{self, *};
use crate::setting::{Faults, Purge, Setting};
use crate::world::Mode;

/// What has to be found, and where.
type Found = (&'static str, Setting);

fn mistake(name: &'static str, how: Mutant, found: &'static str, setting: Setting) -> Found {
    (found, Setting { name, mutant: Some(how), ..setting })
}

fn without(name: &'static str, found: &'static str, setting: Setting) -> Found {
    (found, Setting { name, ..setting })
}

fn quiet(setting: Setting) -> Setting {
    Setting { sweep: false, ..setting }
}

fn purged(purges: Vec<Purge>, setting: Setting) -> Setting {
    Setting { purges, ..setting }
}

fn validated(setting: Setting) -> Setting {
    Setting { validators: true, ..setting }
}

/// Two segments with a record each.
fn ring(purges: Vec<Purge>) -> Setting {
    Setting { purges, segments: 2, records: 1, ..one_each() }
}

/// Hard purges make the ring go round over the first.
fn overflow() -> Setting {
    ring(vec![hard(0), purge(0, 1, Mode::Hard), purge(0, 1, Mode::Hard)])
}

fn expiry(setting: Setting) -> Setting {
    Setting { faults: Faults { expiries: 1, ..faults() }, ..quiet(setting) }
}

fn not_stored(setting: Setting) -> Setting {
    Setting { faults: Faults { not_stored: 1, ..faults() }, ..setting }
}

fn stalls(setting: Setting) -> Setting {
    Setting { faults: Faults { stalls: 1, given_up: 1, ..faults() }, ..setting }
}

fn leaves(setting: Setting) -> Setting {
    Setting { faults: Faults { leaves: 1, ..setting.faults }, ..setting }
}

pub fn all() -> Vec<Found> {
    let both = || vec![soft(0), hard(1)];
    let one_fetch = Setting { starts_max: 1, ..quiet(two_each()) };
    let at_once = Setting { workers: 3, tries: 1, ..one_each() };
    let nobody_alone = Setting { nobody_alone: true, ..two_each() };
    let memory_ends = Setting { memory_ends: true, ..two_each() };
    let for_good = Setting { stalls_for_good: true, ..two_each() };
    let inline = Setting { validates_inline: true, ..validated(purged(both(), one_and_two())) };
    let lapped = || ring(clients_over(unsafe_method(1, 0)));
    let served_stale = Setting { swr: true, ..validated(lapped()) };
    vec![
        mistake("M01 landing by a plain set", LandsBlindly, "I3", quiet(two_each())),
        mistake("M02 registration by a plain set", RegistersBlindly, "I3", quiet(two_each())),
        mistake("M03 flight ends before its record is written", LandsBeforeItWrites, "I4", one_fetch),
        mistake("M04 takeover forgets the waiters", ForgetsWaiters, "I3", expiry(three_workers())),
        mistake("M05 late landing ends another's flight", EndsAnothersFlight, "I4", expiry(three_workers())),
        mistake(
            "M06 M21 late store replaces what is newer",
            OlderReplacesNewer,
            "I9",
            not_stored(two_each()),
        ),
        mistake("M07 a chunk counts for any record", TrustsChunks, "I5", two_keys(1, 2)),
        mistake("M08 generations are used again", ReusesGenerations, "I5", two_keys(1, 2)),
        mistake(
            "M09 journal is read before its epoch",
            ReadsEpochLast,
            "I1",
            purged(vec![hard(1)], quiet(two_each())),
        ),
        mistake(
            "M10 epoch changes before the journal",
            AdvancesEpochFirst,
            "I1",
            purged(vec![hard(1)], quiet(two_each())),
        ),
        mistake(
            "M11 refused purge is acknowledged",
            AcknowledgesWhatFailed,
            "I8",
            purged(vec![hard(0), hard(1), tag(2)], at_once),
        ),
        mistake("M12 overtaken mirror has no floor", ForgetsTheFloor, "I1", overflow()),
        mistake("M13 leaving leader does not look", LeavesBlindly, "I3", leaves(quiet(three_workers()))),
        mistake(
            "M14 woken group does not register again",
            WaitsUnregistered,
            "I3",
            purged(vec![hard(0)], quiet(three_workers())),
        ),
        mistake(
            "M15 a record counts for any key",
            TrustsRecords,
            "I5",
            Setting { chunks: false, ..two_keys(1, 2) },
        ),
        mistake(
            "M18 what is hard purged is validated",
            ValidatesWhatIsGone,
            "I1",
            validated(purged(vec![hard(1)], quiet(two_each()))),
        ),
        mistake(
            "M22 late end lands under the flight it has lost",
            LateEndLands,
            "I1",
            stalls(purged(vec![hard(1)], one_and_two())),
        ),
        mistake(
            "M23 capture given up ends the flight it has lost",
            GivenUpEndsFlight,
            "I3",
            stalls(nobody_alone),
        ),
        mistake(
            "M24 what goes beside a flight is not stored",
            NeverStoresLate,
            "I11",
            not_stored(memory_ends),
        ),
        mistake(
            "M25 late store is stamped when it is stored",
            StampsLateOnes,
            "I1",
            not_stored(purged(vec![hard(1)], one_and_two())),
        ),
        mistake(
            "M26 late store without a flight of its own",
            StoresWithoutFlight,
            "I9",
            not_stored(two_each()),
        ),
        mistake("M27 stalled leader keeps its flight", KeepsStalledLeaders, "I3", stalls(for_good)),
        mistake(
            "M28 root takes over what was to be validated",
            TakesOverValidation,
            "I1",
            leaves(stalls(inline)),
        ),
        mistake("M29 all that is below the floor is gone", FloorIsHard, "I10", lapped()),
        mistake("M30 what is below the floor is served stale", FloorIsSoft, "I2", served_stale),
        mistake(
            "M31 forgotten hard records are not carried on",
            ForgetsHardRecords,
            "I1",
            validated(overflow()),
        ),
        mistake(
            "M33 stamp is the journal's end, not the mirror's",
            StampsByTheJournal,
            "I1",
            validated(purged(both(), quiet(two_each()))),
        ),
        mistake(
            "M34 stamp is taken at the landing",
            StampsAtLanding,
            "I1",
            purged(vec![hard(0)], quiet(two_each())),
        ),
        mistake(
            "M35 waiters get what has landed unjudged",
            ServesUnjudged,
            "I1",
            purged(vec![hard(1)], quiet(two_each())),
        ),
    ]
}

pub fn needs() -> Vec<Found> {
    let lost_hint = Setting { faults: Faults { lost_hints: 1, ..faults() }, ..two_each() };
    let death = || Setting { faults: Faults { deaths: 1, ..faults() }, ..two_each() };
    let for_ever = Setting { leases_end: false, ..death() };
    let lost_call = Setting { dispatched: true, faults: Faults { lost_calls: 1, ..faults() }, ..two_each() };
    let same_worker = Setting { requests: vec![(0, 0), (0, 0)], ..two_each() };
    let resets = Setting { faults: Faults { resets: 1, ..faults() }, ..same_worker };
    vec![
        without("M16 no sweep, and a lost hint", "I3", quiet(lost_hint)),
        without("M17 no sweep, and a dead leader", "I3", quiet(death())),
        without("M19 leases never run out, and a dead leader", "I3", for_ever),
        without("M20 no sweep, and a lost call", "I3", quiet(lost_call)),
        without(
            "M32 the epoch is a counter, which is reset",
            "I1",
            purged(vec![hard(1), purge(1, 1, Mode::Hard)], resets),
        ),
    ]
}
