//! What is explored.

use larder::store::sizes::{SIZES, Sizes, resize};

use super::explore::{Explored, explore};
use super::stage::Setting;

const ONE_EACH: &[(usize, u8)] = &[(0, 0), (1, 0)];
const THREE: &[(usize, u8)] = &[(0, 0), (1, 0), (0, 0)];

/// Everything that is explored, by name.
pub fn settings() -> Vec<(&'static str, Setting)> {
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

/// Explores in this thread.
pub fn explored(setting: &Setting, states_max: usize) -> Explored {
    let (segments, records) = setting.ring;
    resize(Sizes { segments, records, segment_bytes: setting.segment_bytes, chunk_bytes: 8 });
    let explored = explore(setting, states_max);
    resize(SIZES);
    explored
}
