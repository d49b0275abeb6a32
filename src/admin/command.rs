//! What a caller can want, in whatever dialect it is said.

use super::{AdminResponse, Bump, Purge, Refresh, Shape};
use crate::http::RequestHead;
use crate::invalidation::Selector;

/// What a caller wants.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Append invalidations to the journal; for a dry run, say what they would cover.
    Purge(Purge),
    /// Fetch these URLs again, the stored responses being served meanwhile.
    Refresh(Refresh),
    /// Change the version of a namespace, unless it has that version.
    Namespace(Bump),
    /// Show counters.
    Stats,
    /// Show health.
    Health,
    /// Show the configuration in force.
    Config,
    /// Show the journal's tail.
    Journal {
        /// Only records before this position.
        before: Option<u64>,
        /// The most records.
        limit: usize,
    },
    /// Show what became of a purge.
    Receipt {
        /// The position that the purge was answered with.
        seq: u64,
        /// Where counting goes on; none for its beginning.
        cursor: Option<u64>,
    },
    /// Show how this Envoy stands to its fleet.
    Fleet,
    /// Show whether a revision of the fleet's log holds here.
    FleetReceipt {
        /// The revision.
        revision: u64,
    },
    /// Show stored responses.
    Entries(EntriesQuery),
    /// Show the stored responses of one URL in full.
    Entry {
        /// The canonical URI.
        uri: Vec<u8>,
    },
    /// Show what a request would find.
    Explain(ExplainQuery),
    /// Show the versions of all namespaces.
    Namespaces,
    /// Do nothing: this is the answer.
    Respond(AdminResponse),
}

impl Command {
    /// How much a command counts towards the rate of its caller: the records of the journal that it takes.
    #[must_use]
    pub fn cost(&self) -> u32 {
        let records = match self {
            Command::Purge(purge) if purge.dry_run => 1,
            Command::Purge(purge) => purge.invalidations.len(),
            Command::Refresh(refresh) => refresh.uris.len(),
            Command::Namespace(bump) => bump.invalidations.len(),
            Command::Stats
            | Command::Health
            | Command::Config
            | Command::Journal { .. }
            | Command::Receipt { .. }
            | Command::Fleet
            | Command::FleetReceipt { .. }
            | Command::Entries(_)
            | Command::Entry { .. }
            | Command::Explain(_)
            | Command::Namespaces
            | Command::Respond(_) => 1,
        };
        u32::try_from(records.max(1)).unwrap_or(u32::MAX)
    }
}

/// Which entries are asked for.
#[derive(Clone, PartialEq, Debug)]
pub struct EntriesQuery {
    /// Only those that this covers.
    pub selector: Selector,
    /// Where the last page ended; none for the first page.
    pub cursor: Option<u64>,
    /// The most entries of the page.
    pub limit: usize,
    /// The shape of the answer.
    pub shape: Shape,
}

/// A request to explain.
#[derive(Clone, Debug)]
pub struct ExplainQuery {
    /// The URL as it was asked about.
    pub url: String,
    /// Its canonical URI.
    pub uri: Vec<u8>,
    /// The request.
    pub request: RequestHead,
}

impl PartialEq for ExplainQuery {
    fn eq(&self, other: &Self) -> bool {
        (&self.url, &self.request.fields) == (&other.url, &other.request.fields)
    }
}
