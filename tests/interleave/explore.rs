//! Plays every schedule of a setting, depth first. Real code cannot be copied in the middle of a call, so each
//! schedule is played from its beginning; what leads to a state that was seen before is not followed again.

use std::collections::HashSet;

use super::stage::{Choice, Setting, Stage};

/// What was explored.
pub struct Explored {
    /// Schedules that were played, each up to its end or up to a state that was known.
    pub schedules: u64,
    pub states: usize,
    /// The longest schedule.
    pub steps: usize,
    /// Whether that was all there is.
    pub complete: bool,
    /// What went wrong, with the schedule.
    pub broken: Option<(String, Vec<Choice>)>,
}

/// A point at which there was a choice, and which was taken.
struct Fork {
    choices: Vec<Choice>,
    taken: usize,
}

/// Explores until something breaks, all is explored, or so many states are known.
pub fn explore(setting: &Setting, states_max: usize) -> Explored {
    let mut known = HashSet::new();
    let mut forks: Vec<Fork> = Vec::new();
    let mut explored = Explored { schedules: 0, states: 0, steps: 0, complete: false, broken: None };
    loop {
        explored.schedules += 1;
        if let Err(what) = play(setting, &mut forks, &mut known) {
            let schedule = forks.iter().map(|fork| fork.choices[fork.taken]).collect();
            explored.broken = Some((what, schedule));
        }
        explored.steps = explored.steps.max(forks.len());
        explored.states = known.len();
        while forks.last().is_some_and(|fork| fork.taken + 1 == fork.choices.len()) {
            forks.pop();
        }
        let Some(last) = forks.last_mut().filter(|_| explored.broken.is_none()) else {
            explored.complete = explored.broken.is_none();
            return explored;
        };
        if known.len() >= states_max {
            return explored;
        }
        last.taken += 1;
    }
}

/// Plays what was chosen before, then whatever comes first.
fn play(setting: &Setting, forks: &mut Vec<Fork>, known: &mut HashSet<u64>) -> Result<(), String> {
    let mut stage = Stage::new(setting);
    for fork in forks.iter() {
        stage.take(fork.choices[fork.taken])?;
    }
    loop {
        if !known.insert(stage.state()) {
            return Ok(());
        }
        let choices = stage.choices();
        let Some(first) = choices.first().copied() else { return stage.end() };
        forks.push(Fork { choices, taken: 0 });
        stage.take(first)?;
    }
}
