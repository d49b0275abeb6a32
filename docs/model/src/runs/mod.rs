//! The settings that are searched: `P` the protocol as it is, `M` with a mistake on purpose, or without something that it
//! needs.
//!
//! `larder-model [NAME]` searches those whose name begins so; with `FULL=1` also the large ones; with `TRACE=1` it tells
//! the story of what is found; `STATES=n` ends a search after so many states.

mod large;
mod mistakes;
mod parts;
mod protocol;

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use crate::explore::{Ending, Explored, ending, explore};
use crate::setting::Setting;
use crate::world::NONE;

/// States after which a search ends.
const STATES_MAX: usize = 20_000_000;
/// Up to so many the longest execution is looked for as well, with `FULL=1`.
const STATES_FOR_THE_LONGEST: usize = 2_000_000;

struct Run {
    setting: Setting,
    /// What has to be found; none where nothing may be.
    found: Option<&'static str>,
    /// Only searched with `FULL=1`.
    is_large: bool,
}

pub fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let only = std::env::args().nth(1).unwrap_or_default();
    let full = variable("FULL").is_some();
    let states_max = variable("STATES").and_then(|n| n.parse().ok()).unwrap_or(STATES_MAX);
    println!("{:<58} {:>10} {:>6} {:>7}  result", "run", "states", "steps", "time");
    let (mut runs, tells) = (runs(), variable("TRACE").is_some());
    runs.retain(|run| run.setting.name.starts_with(&only) && (full || !run.is_large || !only.is_empty()));
    let (wrong, seconds) = timed(|| {
        let is_wrong = |run: &&Run| !search(run, states_max, full, tells);
        runs.iter().filter(is_wrong).map(|run| run.setting.name).collect::<Vec<_>>()
    });
    println!("{} runs in {seconds:.0} s", runs.len());
    if wrong.is_empty() && !runs.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("not as it should be: {wrong:#?}");
    ExitCode::FAILURE
}

/// What something comes to, and how many seconds that takes.
#[expect(clippy::disallowed_methods, reason = "no state depends on it")]
fn timed<T>(what: impl FnOnce() -> T) -> (T, f64) {
    let began = Instant::now();
    let came_to = what();
    (came_to, began.elapsed().as_secs_f64())
}

/// Whether it came out as it should.
fn search(run: &Run, states_max: usize, full: bool, tells: bool) -> bool {
    let Setting { name, .. } = run.setting;
    let (Explored { states, depth, complete, broken }, seconds) = timed(|| explore(&run.setting, states_max));
    let (is_right, result) = match (&broken, run.found) {
        (None, None) if complete => ends(&run.setting, full),
        (None, None) => (run.is_large, "holds as far as it was searched".into()),
        (None, Some(_)) => (false, "NOT CAUGHT".into()),
        (Some((what, _)), Some(found)) if is_about(what, found) => {
            let (holds, without) = without_mistake(&run.setting, states_max);
            (holds, format!("caught: {what}{without}"))
        }
        (Some((what, _)), _) => (false, format!("BROKEN: {what}")),
    };
    println!("{name:<58} {states:>10} {depth:>6} {seconds:>5.1} s  {result}");
    if let Some((_, story)) = broken.filter(|_| tells || !is_right) {
        for event in story {
            let worker = if event.worker == NONE { "  ".into() } else { format!("W{}", event.worker) };
            println!("    {worker} {} ({})", event.what, event.of);
        }
    }
    let _ = std::io::stdout().flush();
    is_right
}

/// Whether all executions of a setting end, if that is to be found out.
fn ends(setting: &Setting, full: bool) -> (bool, String) {
    match full.then(|| ending(setting, STATES_FOR_THE_LONGEST)) {
        Some(Ending::After(steps)) => (true, format!("holds, and ends after {steps} steps at the latest")),
        Some(Ending::Never) => (false, "GOES ROUND FOR EVER".into()),
        Some(Ending::Unknown) | None => (true, "holds".into()),
    }
}

/// I1 is not I10.
fn is_about(what: &str, invariant: &str) -> bool {
    what.split_once(' ').is_some_and(|(named, _)| named == invariant)
}

/// Whether the setting of a mistake on purpose is one in which nothing is found without it.
fn without_mistake(setting: &Setting, states_max: usize) -> (bool, String) {
    if setting.mutant.is_none() {
        return (true, String::new());
    }
    let Explored { states, complete, broken, .. } =
        explore(&Setting { mutant: None, ..setting.clone() }, states_max);
    let holds = complete && broken.is_none();
    (holds, format!(" ({} without it: {states} states)", if holds { "holds" } else { "DOES NOT HOLD" }))
}

fn runs() -> Vec<Run> {
    let holds = |setting| Run { setting, found: None, is_large: false };
    let large = |setting| Run { setting, found: None, is_large: true };
    let caught = |found, setting| Run { setting, found: Some(found), is_large: false };
    let mut runs: Vec<Run> = protocol::first().into_iter().map(holds).collect();
    runs.extend(protocol::today().into_iter().map(holds));
    runs.extend(large::all().into_iter().map(large));
    runs.extend(mistakes::all().into_iter().map(|(found, setting)| caught(found, setting)));
    runs.extend(mistakes::needs().into_iter().map(|(found, setting)| caught(found, setting)));
    runs.sort_by_key(|run| run.setting.name);
    runs
}
