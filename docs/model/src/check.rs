//! What must hold: the invariants of `docs/protocol.md`, §1.8.

use crate::setting::Setting;
use crate::world::{Acknowledgement, Broken, FlightState, Purpose, Standing, World};

impl Broken {
    fn text(self) -> Option<&'static str> {
        Some(match self {
            Broken::Nothing => return None,
            Broken::ServedPurged => "I1 what was hard purged is served after the acknowledgement",
            Broken::ServedInvalid => "I2 what has to be refreshed or validated is served as if it had been",
            Broken::TooManyFetches => "I4 more fetches than this setting allows",
            Broken::ForeignBody => "I5 a body that does not belong to its head or key",
            Broken::WrongPosition => "I6 mirror and journal disagree on the position of a record",
            Broken::Overwritten => "I6 two records have one position",
            Broken::Unappended => "I8 a purge is acknowledged that is not in the journal",
            Broken::OlderPublished => "I9 an older response takes the place of a newer one",
            Broken::GoneWithoutHard => "I10 something is gone although nothing was hard purged",
        })
    }
}

impl Setting {
    /// What is wrong with a state, if anything is.
    pub fn broken(&self, world: &World) -> Option<&'static str> {
        if let Some(text) = world.broken.text() {
            return Some(text);
        }
        let early = self.faults.expiries - world.left.expiries;
        let live_max = if self.live_max == 0 { 1 + early } else { self.live_max };
        for (n, fetch) in world.fetches.iter().enumerate().filter(|(_, fetch)| fetch.leads()) {
            let others = || world.fetches.iter().enumerate().filter(|(m, other)| other.leads() && *m != n);
            if 1 + others().filter(|(_, other)| other.key == fetch.key).count() > usize::from(live_max) {
                return Some("I4 too many fetches of one key at a time");
            }
            if others().any(|(_, other)| other.generation == fetch.generation) {
                return Some("I4 two fetches under one flight");
            }
            if !world.is_expired(fetch.generation) && world.set.flight(fetch.generation).is_none() {
                return Some("I4 a fetch has lost its flight although its lease holds");
            }
        }
        (self.nobody_alone && world.alone)
            .then_some("I3 somebody is sent to the origin although nothing failed")
    }

    /// What is wrong with a state in which nothing can happen any more.
    pub fn stuck(&self, world: &World) -> Option<&'static str> {
        let is_stalled = |request: usize| {
            let is_own = |purpose| matches!(purpose, Purpose::Stalled | Purpose::Lost);
            world.fetches.iter().any(|f| is_own(f.purpose) && usize::from(f.request) == request)
        };
        for request in 0..self.requests.len() {
            let waits = !matches!(world.requests[request], Standing::Alone | Standing::Over);
            if waits && !is_stalled(request) {
                return Some("I3 somebody waits for ever");
            }
        }
        for purge in 0..self.purges.len() {
            match world.purges[purge] {
                Acknowledgement::Acknowledged => {}
                Acknowledgement::Refused if !self.all_acknowledged => {}
                Acknowledgement::Refused => return Some("I8 a purge is refused"),
                Acknowledgement::ToCome | Acknowledgement::Running => {
                    return Some("I8 a purge is never answered");
                }
            }
        }
        for flight in &world.set.flights {
            if flight.state == FlightState::Flying && !world.is_expired(flight.generation) && self.leases_end
            {
                return Some("I7 a flight is left that would never run out");
            }
            let remembers = matches!(flight.state, FlightState::NotStored | FlightState::Over);
            if self.memory_ends && remembers && world.shared_beside >> flight.key & 1 == 1 {
                return Some("I11 nobody waits although a response could be stored since");
            }
        }
        None
    }
}
