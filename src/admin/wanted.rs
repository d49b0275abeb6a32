//! What a command wants of the fleet: when it is answered, and whether the other Envoys hear of it.

use super::Problem;
use crate::config::{Acknowledge, FleetConfig, Share};

/// What a command wants of the fleet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// When it is to be answered; as `fleet.acknowledge` says unless the command does.
    pub acknowledge: Option<Acknowledge>,
    /// Whether the other Envoys are not to hear of it.
    pub here: bool,
}

impl Wanted {
    /// Whether a command may want this here.
    ///
    /// # Errors
    /// When there is no fleet that could have it.
    pub fn check(self, fleet: &FleetConfig) -> Result<(), Problem> {
        match self.acknowledge {
            Some(Acknowledge::Fleet | Acknowledge::Everywhere) if !fleet.shares(Some(Share::Admin)) => {
                Err(Problem::at(
                    "acknowledge",
                    "this Envoy shares no commands with a fleet (fleet.name, fleet.role and fleet.share)",
                ))
            }
            Some(Acknowledge::Everywhere) if !fleet.members => {
                Err(Problem::at("acknowledge", "\"everywhere\" needs fleet.members"))
            }
            Some(Acknowledge::Fleet | Acknowledge::Everywhere) if self.here => {
                Err(Problem::at("scope", "a command of this Envoy alone is acknowledged by no fleet"))
            }
            Some(_) | None => Ok(()),
        }
    }
}
