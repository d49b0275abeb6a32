//! The settings that are searched: `P` the protocol as it is, `R` without a rule that it can do without, `M` with a mistake
//! on purpose.
//!
//! `larder-fleet-model [NAME]` searches those whose name begins so; with `FULL=1` also the large ones, and for the longest
//! execution; with `TRACE=1` it tells the story of what is found; `STATES=n` ends a search after so many states.

mod mistakes;
mod parts;
mod protocol;
mod unneeded;

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use crate::events::{Event, NOBODY};
use crate::explore::{Ending, Explored, ending, explore};
use crate::setting::Setting;

/// States after which a search ends.
const STATES_MAX: usize = 20_000_000;
/// Up to so many the longest execution is looked for as well, with `FULL=1`.
const STATES_FOR_THE_LONGEST: usize = 8_000_000;
/// Those that take long; they are only searched with `FULL=1`, or by name.
const LARGE: [&str; 16] = [
    "P14", "P15b", "P16", "P17", "P19", "P23", "P25", "P26", "P30", "P31", "P32", "P54", "P58", "P59", "P60",
    "R10",
];

struct Run {
    setting: Setting,
    /// What has to be found; none where nothing may be.
    found: Option<&'static str>,
}

pub fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let only = std::env::args().nth(1).unwrap_or_default();
    let full = variable("FULL").is_some();
    let states_max = variable("STATES").and_then(|n| n.parse().ok()).unwrap_or(STATES_MAX);
    println!("{:<66} {:>10} {:>6} {:>7}  result", "run", "states", "steps", "time");
    let (mut runs, tells) = (runs(), variable("TRACE").is_some());
    let is_large = |run: &Run| LARGE.iter().any(|name| run.setting.name.starts_with(&format!("{name} ")));
    runs.retain(|run| run.setting.name.starts_with(&only) && (full || !is_large(run) || !only.is_empty()));
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
        (None, None) => (false, "NOT SEARCHED TO THE END".into()),
        (None, Some(_)) => (false, "NOT CAUGHT".into()),
        (Some((what, _)), Some(found)) if what.starts_with(found) => (true, format!("caught: {what}")),
        (Some((what, _)), _) => (false, format!("BROKEN: {what}")),
    };
    println!("{name:<66} {states:>10} {depth:>6} {seconds:>5.1} s  {result}");
    if let Some((_, story)) = broken.filter(|_| tells || !is_right) {
        story.iter().for_each(tell);
    }
    let _ = std::io::stdout().flush();
    is_right
}

fn tell(Event { envoy, worker, what, of }: &Event) {
    let who = match (*envoy, *worker) {
        (NOBODY, _) => "etcd".to_owned(),
        (envoy, NOBODY) => format!("E{envoy}"),
        (envoy, worker) => format!("E{envoy}.{worker}"),
    };
    println!("    {who:<5} {what} ({of})");
}

/// Whether all executions of a setting end, if that is to be found out.
fn ends(setting: &Setting, full: bool) -> (bool, String) {
    match full.then(|| ending(setting, STATES_FOR_THE_LONGEST)) {
        Some(Ending::After(steps)) => (true, format!("holds, and ends after {steps} steps at the latest")),
        Some(Ending::Never) => (false, "GOES ROUND FOR EVER".into()),
        Some(Ending::Unknown) | None => (true, "holds".into()),
    }
}

fn runs() -> Vec<Run> {
    let holds = |setting| Run { setting, found: None };
    let mut runs: Vec<Run> = protocol::all().into_iter().map(holds).collect();
    runs.extend(unneeded::all().into_iter().map(holds));
    runs.extend(mistakes::all().into_iter().map(|(found, setting)| Run { setting, found: Some(found) }));
    runs
}
