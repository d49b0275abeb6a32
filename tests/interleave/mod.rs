//! The real cache, store, journal and flights of two workers, stepped through every interleaving of their
//! shared-data calls, for small settings: nothing that a purge covers is served after its acknowledgement (I1, I2),
//! nobody waits for ever (I3), the origin is asked at most so often (I4), no body is torn (I5), acknowledgements name
//! what was appended (I6, I8), no lease is left (I7), nothing older takes the place of something newer (I9): protocol §1.8.
//!
//! [`stage`] steps the workers, [`explore`] chooses, [`shared`] hands over, [`settings`] are what is explored. Each mistake
//! on purpose (`tests/mutants`) has a setting that shows it.

mod explore;
mod settings;
mod shared;
mod stage;

use explore::Explored;
use settings::{explored, settings};

/// States at which the exploration of a setting ends when nobody says otherwise.
const STATES_MAX: usize = 3_000;

#[test]
fn no_interleaving_of_two_workers_breaks_what_is_promised() {
    let states_max = std::env::var("STATES").ok().and_then(|n| n.parse().ok()).unwrap_or(STATES_MAX);
    let only = std::env::var("SETTING").unwrap_or_default();
    println!("{:<36} {:>10} {:>10} {:>6}", "setting", "schedules", "states", "steps");
    for (name, setting) in settings().iter().filter(|(name, _)| name.contains(&only)) {
        let Explored { schedules, states, steps, complete, broken } = explored(setting, states_max);
        let how_far = if complete { "complete" } else { "bounded" };
        println!("{name:<36} {schedules:>10} {states:>10} {steps:>6} {how_far}");
        assert!(broken.is_none(), "{name}: {broken:#?}");
    }
}
