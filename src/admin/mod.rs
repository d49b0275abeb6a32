//! The admin route: requests in, answers out, in several dialects. It also executes commands: an exchange passes the
//! request head, and the body where the route needs it.
//!
//! A request is a command when it has a known token and matches a dialect. Without a token it is forwarded to the
//! origin like any request, so that the route cannot be detected. With a wrong token it gets 401: a command that
//! reached the origin might seem successful to its client, and would leave its token there. A command is validated
//! whole before any part of it is carried out.
//!
//! ```text
//!  head ──► recognise ──► routes ──► its body ──► dispatch ──► dialects ──► execute ──► answers ──► answer
//!           (access)      (one table)             (scopes)     (a command)  (the cache)
//! ```
//!
//! - [`take`] is where a request comes in, [`AdminRequest`] what waits for its body.
//! - `access` says who may do what and how often; [`recognise`] whether a request is for us at all.
//! - `routes` is the table of all routes: from it come dispatch, methods, the index and the list for operators.
//! - `breadth` says whether a selector covers everything, which needs a scope of its own.
//! - `dialects` read commands; `execute` carries them out in the cache; `answers` are what they show.

mod access;
mod answers;
mod breadth;
mod command;
mod dialect;
mod dialects;
mod dispatch;
mod execute;
mod purge;
mod reasons;
mod recognise;
mod refresh;
mod request;
mod routes;
mod wanted;

pub use access::auth::{Caller, DEBUG_FIELD, may_debug};
pub use access::peer::is_admitted;
pub use answers::response::AdminResponse;
pub use command::Command;
pub use dialects::purged;
pub use dialects::reader::Reader;
pub use dispatch::BodyMissing;
pub use execute::acknowledge::{Awaiting, Executed};
pub use execute::commands::AdminRequest;
pub use execute::namespaces::Namespaces;
pub use execute::pending::Pending;
pub use execute::refetch::run_jobs;
pub use purge::{JournalBusy, Purge};
pub use reasons::live;
pub use recognise::{Authorised, Recognised, recognise};
pub use request::{Taken, take};
pub use routes::markdown;
pub use wanted::Wanted;

// What the files of this room have in common.
use answers::entries::{Entry, Shape, entries, entry};
use answers::explain::{Explanation, explain};
use answers::fleet::{Standing, fleet, fleet_receipt};
use answers::response::Problem;
use answers::view::{
    ClusterInTrouble, JournalState, Touched, configuration, health, journal, receipt, stats, would_purge,
};
use command::{EntriesQuery, ExplainQuery};
use dialect::Dialect;
use dialects::selectors::shown;
use execute::namespaces::Bump;
use purge::{Covered, Matchers};
use reasons::{Reason, forwarded, not_stored};
use refresh::{Refresh, Refreshed, refreshing};

/// What the tests of the dialects have in common.
#[cfg(test)]
mod fixture;
