//! The real cache, store, journal and flights of two workers, stepped through every interleaving of their
//! shared-data calls, for small settings: nothing that a purge covers is served after its acknowledgement (I1, I2),
//! nobody waits for ever (I3), the origin is asked at most so often (I4), no body is torn (I5), acknowledgements name
//! what was appended (I6, I8), no lease is left (I7), nothing older takes the place of something newer (I9): protocol §1.8.
//!
//! [`stage`] steps the workers, [`explore`] chooses, [`shared`] hands over. Each mistake on purpose
//! ([`larder::mutants`]) has a setting that shows it.

mod explore;
mod shared;
mod stage;

use explore::{Explored, explore};
use larder::mutants::{Mutant, SIZES, Sizes, deviate, resize};
use stage::Setting;

/// States at which the exploration of a setting ends when nobody says otherwise.
const STATES_MAX: usize = 3_000;
/// The same for a mistake that has to be found.
const STATES_FOR_A_MISTAKE: usize = 50_000;

const ONE_EACH: &[(usize, u8)] = &[(0, 0), (1, 0)];
const THREE: &[(usize, u8)] = &[(0, 0), (1, 0), (0, 0)];

/// Everything that is explored, by name.
fn settings() -> Vec<(&'static str, Setting)> {
    let base = Setting::default;
    let hard: &[(usize, u8, bool)] = &[(1, 0, true)];
    let soft: &[(usize, u8, bool)] = &[(0, 0, false)];
    let overflow: &[(usize, u8, bool)] = &[(0, 0, true), (0, 1, true), (0, 1, true)];
    vec![
        ("collapse", Setting { starts_max: 1, ..base() }),
        ("collapse, dispatched", Setting { fetch: "dispatched", starts_max: 1, ..base() }),
        ("hard purge", Setting { requests: THREE, purges: hard, starts_max: 2, ..base() }),
        ("hard purge, own", Setting { requests: THREE, purges: &[(0, 0, true)], starts_max: 2, ..base() }),
        (
            "hard purge, elsewhere",
            Setting { requests: &[(0, 0), (1, 0), (1, 0)], purges: &[(0, 0, true)], starts_max: 2, ..base() },
        ),
        ("two purges", Setting { requests: ONE_EACH, purges: &[(0, 0, true), (1, 0, true)], ..base() }),
        (
            "hard purge, 304",
            Setting {
                requests: THREE,
                purges: hard,
                validators: true,
                fetch: "auto",
                starts_max: 2,
                ..base()
            },
        ),
        (
            "stored, hard purge, 304",
            Setting {
                requests: &[(0, 0), (0, 0), (0, 0)],
                purges: hard,
                crowded: true,
                validators: true,
                fetch: "auto",
                ..base()
            },
        ),
        (
            "soft purge, 304",
            Setting {
                requests: THREE,
                purges: soft,
                validators: true,
                fetch: "auto",
                starts_max: 2,
                ..base()
            },
        ),
        (
            "soft and hard purge, served stale",
            Setting {
                requests: ONE_EACH,
                purges: &[(0, 0, false), (1, 0, true)],
                validators: true,
                swr: true,
                fetch: "auto",
                ..base()
            },
        ),
        (
            "journal overflows",
            Setting { requests: ONE_EACH, purges: overflow, ring: (2, 1), validators: true, ..base() },
        ),
        (
            "journal overflows by bytes",
            Setting {
                requests: ONE_EACH,
                purges: overflow,
                ring: (2, 2),
                segment_bytes: 1,
                validators: true,
                ..base()
            },
        ),
        (
            "way changes hands, chunks",
            Setting { requests: &[(1, 1), (0, 0), (0, 1)], crowded: true, chunks: true, ..base() },
        ),
        ("way changes hands", Setting { requests: &[(1, 1), (0, 0), (0, 1)], crowded: true, ..base() }),
        ("leader leaves", Setting { requests: THREE, leaves: 1, starts_max: 2, ..base() }),
        ("not storable", Setting { requests: THREE, not_stored: 1, ordered: true, ..base() }),
        (
            "not storable, purge",
            Setting { requests: THREE, purges: hard, not_stored: 1, ordered: true, ..base() },
        ),
        (
            "not storable, 304",
            Setting {
                requests: THREE,
                purges: soft,
                not_stored: 1,
                validators: true,
                ordered: true,
                ..base()
            },
        ),
        ("not storable, varies", Setting { requests: THREE, not_stored: 1, varies: true, ..base() }),
        (
            "not storable, way changes hands",
            Setting {
                requests: &[(1, 1), (0, 1), (0, 0)],
                crowded: true,
                chunks: true,
                not_stored: 1,
                ordered: true,
                ..base()
            },
        ),
        (
            "not storable, lease runs out, death",
            Setting { requests: THREE, not_stored: 1, expiries: 1, deaths: 1, ordered: true, ..base() },
        ),
        ("death", Setting { requests: ONE_EACH, deaths: 1, starts_max: 2, ..base() }),
        ("lease runs out", Setting { requests: THREE, expiries: 1, starts_max: 2, ..base() }),
        (
            "lease runs out, chunks",
            Setting {
                requests: &[(0, 0), (1, 0), (1, 0)],
                expiries: 1,
                chunks: true,
                ordered: true,
                ..base()
            },
        ),
        ("lost hint", Setting { requests: THREE, lost_hints: 1, starts_max: 1, ..base() }),
        ("lost call", Setting { requests: ONE_EACH, fetch: "dispatched", lost_calls: 1, ..base() }),
        ("tick renews", Setting { requests: ONE_EACH, expiries: 1, ticks: 1, starts_max: 2, ..base() }),
        (
            "variant, purge, lease runs out",
            Setting { requests: ONE_EACH, purges: hard, varies: true, expiries: 1, ..base() },
        ),
        ("nothing can be purged", Setting { requests: &[], purges: hard, busy: true, ..base() }),
    ]
}

/// Explores in this thread, with this mutant.
fn explored(setting: &Setting, how: Option<Mutant>, states_max: usize) -> Explored {
    deviate(how);
    let (segments, records) = setting.ring;
    resize(Sizes { segments, records, segment_bytes: setting.segment_bytes, chunk_bytes: 8 });
    let explored = explore(setting, states_max);
    deviate(None);
    resize(SIZES);
    explored
}

#[test]
fn no_interleaving_of_two_workers_breaks_what_is_promised() {
    let states_max = std::env::var("STATES").ok().and_then(|n| n.parse().ok()).unwrap_or(STATES_MAX);
    let only = std::env::var("SETTING").unwrap_or_default();
    println!("{:<36} {:>10} {:>10} {:>6}", "setting", "schedules", "states", "steps");
    for (name, setting) in settings().iter().filter(|(name, _)| name.contains(&only)) {
        let Explored { schedules, states, steps, complete, broken } = explored(setting, None, states_max);
        let how_far = if complete { "complete" } else { "bounded" };
        println!("{name:<36} {schedules:>10} {states:>10} {steps:>6} {how_far}");
        assert!(broken.is_none(), "{name}: {broken:#?}");
    }
}

/// In which setting each mistake on purpose shows itself.
const SHOWN: [(Mutant, &str); 21] = [
    (Mutant::LandsBlindly, "collapse"),
    (Mutant::RegistersBlindly, "collapse"),
    (Mutant::LandsBeforeItWrites, "collapse"),
    (Mutant::ForgetsWaiters, "lease runs out"),
    (Mutant::EndsAnothersFlight, "lease runs out"),
    (Mutant::OlderReplacesNewer, "variant, purge, lease runs out"),
    (Mutant::TrustsChunks, "way changes hands, chunks"),
    (Mutant::ReusesGenerations, "way changes hands, chunks"),
    (Mutant::ReadsEpochLast, "hard purge, elsewhere"),
    (Mutant::AdvancesEpochFirst, "hard purge"),
    (Mutant::AcknowledgesWhatFailed, "nothing can be purged"),
    (Mutant::ForgetsTheFloor, "journal overflows"),
    (Mutant::LeavesBlindly, "leader leaves"),
    (Mutant::WaitsUnregistered, "hard purge, own"),
    (Mutant::TrustsRecords, "way changes hands"),
    (Mutant::NeverSweeps, "lost hint"),
    (Mutant::NeverSweeps, "death"),
    (Mutant::NeverSweeps, "lost call"),
    (Mutant::ValidatesWhatIsGone, "stored, hard purge, 304"),
    (Mutant::LeasesForEver, "death"),
    (Mutant::ReplacesNewerLate, "not storable"),
];

#[test]
fn every_mistake_on_purpose_is_seen() {
    let settings = settings();
    let setting = |name| &settings.iter().find(|(own, _)| *own == name).expect("a setting of this name").1;
    let mut unseen = Vec::new();
    for (how, name) in SHOWN {
        let explored = explored(setting(name), Some(how), STATES_FOR_A_MISTAKE);
        let Some((what, schedule)) = explored.broken else {
            unseen.push((how, name));
            continue;
        };
        println!("{how:?}: {what} ({name}, {} steps, {} schedules)", schedule.len(), explored.schedules);
    }
    assert!(unseen.is_empty(), "not seen: {unseen:?}");
    for how in Mutant::ALL {
        assert!(SHOWN.iter().any(|(shown, _)| *shown == how), "{how:?} has no setting that shows it");
    }
}
