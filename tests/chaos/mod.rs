//! Chaos: seeded workloads on the emulated host with every fault that it can show, against a model that anyone can
//! read.
//!
//! A seed makes a [`plan`]: how many workers, which configurations, which faults, and a list of acts at their times.
//! [`run`] plays it, [`origin`] answers and keeps a log, and [`model`] and [`ledger`] say what must never be seen:
//! nothing that an acknowledged purge covers, nothing that may not be shared, no more origin requests than there
//! were reasons for, nobody left waiting. A failure is played again with fewer and fewer acts until its story is
//! short.
//!
//! `make chaos SEEDS=100000`; `CHAOS_SEED=7 cargo test chaos` plays one seed and tells its story.

mod found;
mod ledger;
mod model;
mod origin;
mod plan;
mod run;
mod shared;

use std::sync::atomic::{AtomicU64, Ordering};

use plan::Plan;
use run::{Totals, play};

/// Seeds that are played when nobody says how many.
const SEEDS: u64 = 200;
/// The most plays of a failing seed in search of a shorter story.
const SHRINKS_MAX: usize = 400;

#[test]
fn seeded_chaos_never_breaks_an_invariant() {
    if let Some(seed) = number("CHAOS_SEED") {
        let plan = Plan::new(seed);
        if let Err(failure) = play(&plan, true) {
            report(&plan, &failure);
        }
        return;
    }
    let (first, seeds) = (number("CHAOS_FIRST").unwrap_or(0), number("CHAOS_SEEDS").unwrap_or(SEEDS));
    let next = AtomicU64::new(first);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let totals = std::thread::scope(|scope| {
        let play_on = || scope.spawn(|| play_all(&next, first + seeds));
        let threads: Vec<_> = (0..threads).map(|_| play_on()).collect();
        let mut totals = Totals::default();
        for thread in threads {
            match thread.join() {
                Ok(more) => totals.add(&more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        totals
    });
    println!("{totals}");
}

/// Plays the plan that these bytes decide about.
pub fn play_bytes(bytes: &[u8]) {
    let plan = Plan::written(bytes);
    if let Err(failure) = play(&plan, false) {
        panic!("{failure}\n{plan}");
    }
}

fn play_all(next: &AtomicU64, end: u64) -> Totals {
    let mut totals = Totals::default();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return totals;
        }
        let plan = Plan::new(seed);
        match play(&plan, false) {
            Ok(more) => totals.add(&more),
            // A list of all that fail, to see what they have in common.
            Err(failure) if std::env::var_os("CHAOS_LIST").is_some() => {
                let line: String = failure.chars().take(240).collect();
                println!("seed {seed}: {line}");
            }
            Err(failure) => {
                next.store(end, Ordering::Relaxed);
                report(&plan, &failure);
            }
        }
    }
}

/// Looks for a shorter story of the same failure and panics with it.
fn report(plan: &Plan, failure: &str) -> ! {
    let short = shrunk(plan);
    let told = play(&short, true).err().unwrap_or_else(|| failure.to_owned());
    panic!("seed {} of chaos fails: {told}\n\nThe plan, shortened:\n{short}", plan.seed);
}

/// The plan without the acts that the failure does not need: halves first, then quarters, then single acts.
fn shrunk(plan: &Plan) -> Plan {
    let mut best = plan.clone();
    let (mut size, mut plays) = (best.acts.len() / 2, 0);
    while size > 0 && plays < SHRINKS_MAX {
        let mut at = best.acts.len();
        while at > 0 && plays < SHRINKS_MAX {
            let from = at.saturating_sub(size);
            let mut shorter = best.clone();
            shorter.acts.drain(from..at);
            plays += 1;
            if play(&shorter, false).is_err() {
                best = shorter;
            }
            at = from;
        }
        size /= 2;
    }
    best
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
