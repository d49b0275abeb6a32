//! RFC 9111 as pure functions: which requests concern the cache, what may be stored, how long it is fresh, when it
//! may be reused and with what answer. Nothing here does I/O, asks a clock or can fail.

pub mod ahead;
pub mod answer;
pub mod credentials;
mod freshness;
pub mod hygiene;
mod implied;
pub mod key;
pub mod partial;
pub mod plain;
pub mod request;
pub mod reuse;
mod source;
pub mod storing;
pub mod unsafe_methods;
pub mod validation;

pub use answer::{Answer, BodyPart, answer};
pub use credentials::Asked;
pub use freshness::{NamesWindow, age_when_stale, apparent_age, clock_behind, only_s_maxage_forbids_stale};
pub use implied::keep_apart;
pub use key::{forwarded, primary, uri, uri_of, variant};
pub use request::{Intent, intent, only_if_cached};
pub use reuse::{Reuse, Trouble, current_age, expires, in_trouble, reuse};
pub use source::LifetimeSource;
pub use storing::storable;
pub use unsafe_methods::{invalidated_groups, invalidated_uris};
pub use validation::{HeadUpdate, Unfreshened, confirms, freshened, updated_by_head, validators};

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::http::Fields;
use crate::time::Timestamp;

/// A stored response without its body, with what the policy found out when it was stored.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoredResponse {
    /// The status code.
    pub status: u16,
    /// The fields to send again: no hop-by-hop fields, no `Age`.
    pub fields: Fields,
    /// When the response arrived (RFC 9111 §4.2.3 `response_time`).
    pub response_time: Timestamp,
    /// How old it was then (`corrected_initial_age`).
    pub initial_age: Duration,
    /// The freshness lifetime (§4.2.1), rules applied.
    pub lifetime: Duration,
    /// Where that comes from.
    pub lifetime_from: LifetimeSource,
    /// How long past its lifetime it may be served while it is refreshed (RFC 5861 §3).
    pub stale_while_revalidate: Duration,
    /// How long past its lifetime it may be served when the origin fails (RFC 5861 §4).
    pub stale_if_error: Duration,
    /// How long after a soft purge it may be served while it is refreshed.
    pub soft_purge_grace: Duration,
    /// How long past its lifetime it may be served while its cluster is taken to be down.
    pub stale_if_down: Duration,
    /// How long before it expires it may be refreshed for those who ask often; see [`ahead`].
    pub refresh_ahead: Duration,
    /// How long past its lifetime it is worth keeping at all.
    pub keep: Duration,
    /// Never served stale (`must-revalidate`, `proxy-revalidate`, `s-maxage`, §4.2.4).
    pub must_revalidate: bool,
    /// Validated before each reuse (`no-cache`, §5.2.2.4).
    pub no_cache: bool,
    /// Never changes while fresh (RFC 8246).
    pub immutable: bool,
    /// The nominated field names of its `Vary`, in lower case, sorted; empty when it has none.
    pub vary: Vec<String>,
    /// For a partial response (206): first and last byte position, and the complete length where it is known.
    pub range: Option<(u64, u64, Option<u64>)>,
}

impl StoredResponse {
    /// Whether it says that the server failed.
    #[must_use]
    pub fn is_server_error(&self) -> bool {
        self.status >= 500
    }
}

/// What the invalidation journal says about a stored response. (Hard purged ones are not shown to the policy.)
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Invalidated {
    /// Nothing.
    #[default]
    No,
    /// Stale since then; may be served while it is refreshed, within its grace.
    Soft {
        /// When the soft purge was issued; the epoch when that is forgotten.
        at: Timestamp,
    },
    /// Stale now; validated before reuse, never served stale (RFC 9111 §4.4).
    Revalidate,
}
