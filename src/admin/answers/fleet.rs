//! What the admin route says of the fleet.

use serde_json::{Value, json};

use super::response::{AdminResponse, Problem};
use crate::config::{FleetConfig, Role, WhenLagging};
use crate::fleet::{Listing, Roster, State, Trouble};
use crate::store::journal::LogPosition;
use crate::time::Now;

/// What this process knows of its fleet.
#[derive(Clone, Debug)]
pub struct Standing {
    /// What its workers know together.
    pub state: State,
    /// Where the log stands by the journal; none before it has joined.
    pub log: Option<LogPosition>,
    /// The position of the journal's newest record.
    pub head: u64,
    /// Whether a worker watches the log.
    pub is_watched: bool,
    /// What went wrong last.
    pub trouble: Option<Trouble>,
    /// The living members as etcd has listed them last; none where they are not listed.
    pub roster: Option<Roster>,
}

impl Standing {
    /// Everything up to this revision is in the journal.
    #[must_use]
    pub fn revision(&self) -> Option<u64> {
        let log = self.log.as_ref()?;
        Some(if self.state.join == log.join { log.applied.max(self.state.progress) } else { log.applied })
    }

    /// Milliseconds since etcd was last heard of; none when it never was.
    #[must_use]
    pub fn lag_ms(&self, now: Now) -> Option<u64> {
        let since = now.mono.since(self.state.contact?).as_millis();
        Some(u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// How this Envoy stands to its fleet, in one word.
    #[must_use]
    pub fn word(&self, config: &FleetConfig, now: Now) -> &'static str {
        let lag = self.lag_ms(now).filter(|_| self.log.is_some());
        match lag {
            None => "joining",
            Some(lag) if u128::from(lag) > config.max_lag.as_millis() => "lagging",
            Some(_) => "in_contact",
        }
    }
}

/// The answer to a question for the fleet.
#[must_use]
pub fn fleet(config: &FleetConfig, standing: &Standing, now: Now) -> AdminResponse {
    let Some(name) = &config.name else {
        return Problem::new(404, "this Envoy belongs to no fleet (fleet.name)").response();
    };
    let state = &standing.state;
    let hex = |tag: &[u8; 16]| tag.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let trouble = standing.trouble.as_ref().map(|trouble| {
        let ago = now.wall.since(trouble.at).as_secs();
        json!({ "seconds_ago": ago, "why": trouble.why })
    });
    let member = |member: &Listing| {
        let is_same = standing.log.as_ref().is_some_and(|log| log.tag == member.tag);
        json!({ "name": member.name, "applied": member.applied, "same_history": is_same })
    };
    let members = standing.roster.as_ref().filter(|_| config.members).map(|roster| {
        let ago = u64::try_from(now.mono.since(roster.at).as_millis()).unwrap_or(u64::MAX);
        json!({ "ms_ago": ago, "members": roster.members.iter().map(member).collect::<Vec<_>>() })
    });
    let own: Vec<Value> = state
        .own
        .iter()
        .rev()
        .map(|(position, revision)| json!({ "up_to_receipt": position, "revision": revision }))
        .collect();
    AdminResponse::json(
        200,
        &json!({
            "fleet": name,
            "role": match config.role {
                Role::Member => "member",
                Role::Reader => "reader",
            },
            "state": standing.word(config, now),
            "revision": standing.revision(),
            "history": standing.log.as_ref().map(|log| hex(&log.tag)),
            "lag_ms": standing.lag_ms(now),
            "max_lag_ms": u64::try_from(config.max_lag.as_millis()).unwrap_or(u64::MAX),
            "when_lagging": match config.when_lagging {
                WhenLagging::Serve => "serve",
                WhenLagging::Stale => "stale",
                WhenLagging::Revalidate => "revalidate",
                WhenLagging::Bypass => "bypass",
            },
            "watched": standing.is_watched,
            "receipt": standing.head,
            "shared_up_to_receipt": state.shipped.min(standing.head),
            "listed": members,
            "last_batches": own,
            "last_error": trouble,
        }),
    )
}

/// The answer to a question whether a revision of the fleet's log holds on this Envoy.
#[must_use]
pub fn fleet_receipt(config: &FleetConfig, revision: u64, standing: &Standing, now: Now) -> AdminResponse {
    if config.name.is_none() {
        return Problem::new(404, "this Envoy belongs to no fleet (fleet.name)").response();
    }
    let applied = standing.revision();
    AdminResponse::json(
        200,
        &json!({
            "revision": revision,
            "holds": applied.is_some_and(|applied| applied >= revision),
            "applied": applied,
            "state": standing.word(config, now),
        }),
    )
}
