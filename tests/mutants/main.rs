//! Each mistake on purpose is seen: by `tests/interleave`, which tries every order of the steps of two workers in the
//! settings that the table names, and some of them by the first seeds of `tests/chaos`, too.
#![allow(dead_code, reason = "these tests need less of the emulated host than others")]

extern crate larder_mutants as larder;
extern crate larder_mutants_wasm as larder_wasm;

#[path = "../chance.rs"]
mod chance;
#[path = "../host/mod.rs"]
mod host;
#[path = "../stand.rs"]
mod stand;
mod table;

#[path = "../chaos"]
mod chaos {
    mod ledger;
    mod model;
    mod origin;
    pub mod plan;
    pub mod run;
    mod shared;
}

#[path = "../interleave"]
mod interleave {
    mod explore;
    pub mod settings;
    mod shared;
    mod stage;
}

use chaos::plan::Plan;
use chaos::run::play;
use interleave::settings::{explored, settings};
use larder::mutants::turn_on;
use table::{MUTANTS, Mutant};

/// States of a setting after which a mistake counts as not seen.
const STATES_MAX: usize = 50_000;
/// Seeds of chaos after which a mistake counts as not seen, when nobody says how many.
const SEEDS: u64 = 200;

#[test]
fn every_mistake_is_seen_in_some_order_of_steps() {
    let all = settings();
    let mut unseen = Vec::new();
    for mutant in &MUTANTS {
        assert!(!mutant.settings.is_empty(), "{} has no setting that shows it", mutant.name);
        for name in mutant.settings {
            let (_, setting) = all.iter().find(|(own, _)| own == name).expect("a setting of this name");
            turn_on(mutant.id());
            let explored = explored(setting, STATES_MAX);
            turn_on(0);
            let Some((what, schedule)) = explored.broken else {
                unseen.push((mutant.name, name));
                continue;
            };
            println!(
                "M{:02} {}: {what} ({name}, {} steps, {} schedules)",
                mutant.id(),
                mutant.name,
                schedule.len(),
                explored.schedules
            );
        }
    }
    assert!(unseen.is_empty(), "not seen: {unseen:?}");
}

/// `CHAOS_MISTAKES=1` tries all of them, on `CHAOS_SEEDS` seeds each.
#[test]
fn chaos_sees_those_that_show_between_callbacks() {
    let all = std::env::var_os("CHAOS_MISTAKES").is_some();
    let seeds = std::env::var("CHAOS_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    for mutant in MUTANTS.iter().filter(|mutant| all || mutant.chaos) {
        let Mutant { name, .. } = mutant;
        turn_on(mutant.id());
        let seen = (0..seeds).find_map(|seed| Some((seed, play(&Plan::new(seed), false).err()?)));
        turn_on(0);
        match seen {
            Some((seed, what)) => {
                let what: String = what.chars().take(120).collect();
                println!("M{:02} {name} is seen by seed {seed}: {what}", mutant.id());
            }
            None => assert!(all, "{name} is not seen in {seeds} seeds"),
        }
    }
}
