//! From which positions on something is covered, and what a verdict makes of that.

use super::{Invalidation, Mode};
use crate::time::Timestamp;

/// The most soft purges that are remembered for one name. Beyond it the two oldest become one, and what lies between them
/// may be served stale for a shorter time.
const SOFT_MAX: usize = 4;

/// What the journal says about a stored response. The stronger is the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// Nothing has covered it since it was requested.
    Valid,
    /// It is stale.
    Soft {
        /// Since then.
        at: Timestamp,
    },
    /// It must be validated before it is used.
    Revalidate,
    /// It is gone.
    Hard,
}

impl Verdict {
    /// What both together say: the stronger, and stale since the first that says so.
    #[must_use]
    pub fn and(self, other: Verdict) -> Verdict {
        match (self, other) {
            (Verdict::Soft { at: one }, Verdict::Soft { at: other }) => Verdict::Soft { at: one.min(other) },
            (one, other) => one.max(other),
        }
    }
}

/// The newest positions of each mode; 0 is none.
#[derive(Clone, Default, Debug)]
pub(super) struct Since {
    pub(super) hard: u64,
    revalidate: u64,
    /// The newest soft positions, ascending, each with the time since when what it covers is stale.
    soft: Vec<(u64, Timestamp)>,
}

impl Since {
    pub(super) fn add(&mut self, seq: u64, invalidation: &Invalidation) {
        match invalidation.mode {
            Mode::Hard => self.hard = self.hard.max(seq),
            Mode::Revalidate => self.revalidate = self.revalidate.max(seq),
            Mode::Soft => self.add_soft(seq, invalidation.issued_at),
        }
    }

    /// Covers from now on what another covers.
    pub(super) fn merge(&mut self, other: &Since) {
        self.hard = self.hard.max(other.hard);
        self.revalidate = self.revalidate.max(other.revalidate);
        other.soft.iter().for_each(|(seq, at)| self.add_soft(*seq, *at));
    }

    /// Has everything up to this position validated.
    pub(super) fn revalidate(&mut self, seq: u64) {
        self.revalidate = self.revalidate.max(seq);
    }

    /// Of more positions than can be remembered the two oldest become one, with the position of the newer and the
    /// time of the older: what lies between them may be served stale for a shorter time than it could.
    fn add_soft(&mut self, seq: u64, at: Timestamp) {
        let place = self.soft.partition_point(|(other, _)| *other < seq);
        self.soft.insert(place, (seq, at));
        if self.soft.len() > SOFT_MAX {
            let (_, oldest) = self.soft.remove(0);
            if let Some((_, at)) = self.soft.first_mut() {
                *at = oldest.min(*at);
            }
        }
    }

    pub(super) fn newest(&self) -> u64 {
        let soft = self.soft.last().map_or(0, |(seq, _)| *seq);
        soft.max(self.hard).max(self.revalidate)
    }

    /// What it says about what was requested at this position, and is covered.
    pub(super) fn verdict(&self, stamp: u64) -> Verdict {
        if self.hard > stamp {
            return Verdict::Hard;
        }
        if self.revalidate > stamp {
            return Verdict::Revalidate;
        }
        // The first of them, or a later one from after the clock was set back.
        let after = self.soft.iter().filter(|(seq, _)| *seq > stamp);
        after.map(|(_, at)| *at).min().map_or(Verdict::Valid, |at| Verdict::Soft { at })
    }
}
