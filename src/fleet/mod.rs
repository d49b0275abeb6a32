//! The fleet: an invalidation that was acknowledged holds on every Envoy (`docs/fleet.md`).
//!
//! Envoys of one fleet share their invalidations through one totally ordered log in etcd. The journal of this process stays
//! the only thing that judges stored responses: a record of the log becomes one more record of the journal, and how far the
//! log was applied is written by the very compare-and-set that appends it. The journal is also the outbox: what is to be
//! shared is appended with a mark, and one worker of the process ships what is marked and watches the log.
//!
//! | file | what it is |
//! |---|---|
//! | [`batch`] | what one Put says, as JSON |
//! | [`etcd`] | the log in etcd: questions and answers, as Protocol Buffers |
//! | [`log`] | what is asked of a log, whichever it is |
//! | [`member`] | this worker's part: join, resume, apply, ship, heartbeat, roster, commands |
//! | [`lease`] | which worker of the process watches |
//! | [`state`] | what the workers of the process know together |

pub mod batch;
pub mod etcd;
pub mod lease;
pub mod log;
pub mod member;
pub mod state;

pub use lease::holder;
pub use log::{Answer, Ended, Io, IoId};
pub use member::{Acknowledged, Committed, Member};
pub use state::{Listing, Newest, Roster, State, Trouble};
