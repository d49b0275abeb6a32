//! What is explored, and the mistakes that can be made on purpose.

use crate::world::{ENVOYS, NO_HOME};

/// When a purge is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acknowledge {
    Local,
    Fleet,
    /// When all members have said that they have applied it.
    Everywhere,
}

/// What becomes of stored responses out of contact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lagging {
    Serve,
    Revalidate,
    Bypass,
}

/// A purge that will come.
#[derive(Clone, Copy, Debug)]
pub struct Purge {
    /// The Envoy and the worker that take it.
    pub e: u8,
    pub w: u8,
    pub acknowledge: Acknowledge,
    pub hard: bool,
    /// Whether it covers the one key; else it is of something else.
    pub covers: bool,
}

/// Mistakes, and rules left out.
#[derive(Clone, Copy, Default, Debug)]
pub struct Mistakes {
    /// The applied revision lies in a key of its own, written before the records.
    pub store_then_apply: bool,
    /// The same, written after the records.
    pub apply_then_store: bool,
    /// The stamp is taken when the response is there.
    pub stamp_landing: bool,
    /// A purge is answered before the commit.
    pub ack_at_once: bool,
    /// It is answered when the Put is answered, not when the record has come back.
    pub ack_on_put: bool,
    /// "Shipped" advances when the Put is sent.
    pub shipped_early: bool,
    /// The revision that a Put is answered with is taken for progress.
    pub put_progress: bool,
    /// After a reconnect what has not come back is shipped again at once.
    pub no_catch_up: bool,
    /// The watch begins at P instead of P + 1.
    pub resume_at_rev: bool,
    /// The watch begins at P + 2.
    pub resume_skip: bool,
    /// Cancelled by compaction, it goes on from now.
    pub ignore_compaction: bool,
    /// Resumed without looking whether it is the same history.
    pub no_check: bool,
    /// The history's tag is not compared when a watch is resumed.
    pub no_tag_check: bool,
    /// The newest record at P is not compared when a watch is resumed.
    pub no_record_check: bool,
    /// The check is made before the watch is created.
    pub check_first: bool,
    /// Joining appends nothing.
    pub no_barrier: bool,
    /// Joining appends the barrier, and asks for the revision then.
    pub barrier_first: bool,
    /// Events of a stream from before the last joining are applied.
    pub no_join_check: bool,
    /// Events at or below the applied revision are applied.
    pub no_applied_check: bool,
    /// Applying does not notice that the tail has changed since it was read.
    pub blind_cas: bool,
    /// Every worker watches and ships.
    pub no_lease: bool,
    /// Own records are applied again when they come back.
    pub echo_applied: bool,
    /// Own records are told by the name of the Envoy alone, not by its life.
    pub echo_by_name: bool,
    /// Records from the fleet are shipped again.
    pub reship: bool,
    /// Contact is when the answer came.
    pub contact_receipt: bool,
    /// Any answer of etcd is contact, whatever it says.
    pub contact_any: bool,
    /// An open stream is contact.
    pub contact_stream: bool,
    /// "Fetched at" is when the response was there.
    pub fetched_landing: bool,
    /// Contact without being a registered member.
    pub no_register: bool,
    /// "Everywhere" is answered however lately the Envoy has joined.
    pub no_grace: bool,
    /// "Everywhere" does not wait for who has not reported yet.
    pub expect_member: bool,
    /// Progress is the revision in the header of "created".
    pub progress_created: bool,
    /// Applied is the last of a batch, written with the first of its records.
    pub batch_split: bool,
    /// A record of a later version is skipped.
    pub unknown_ignored: bool,
    /// What the ring has overwritten before it was shipped is not shipped.
    pub overflow_forgets: bool,
    /// At the home, the label is the applied revision when the response is there.
    pub label_landing: bool,
    /// At the home, an edge's request joins a flight whatever its label.
    pub follow_any: bool,
    /// At the edge, own purges that have not come back do not count.
    pub no_pending: bool,
    /// Labels and minima without the history's tag.
    pub no_tag: bool,
    /// A log is taken for rewound only if its revision went back.
    pub loss_by_revision: bool,
    /// At the edge, how old the home's knowledge was does not count.
    pub asof_ignored: bool,
}

/// A setting: who purges and fetches, what may go wrong, and what is checked.
#[derive(Clone, Debug)]
pub struct Setting {
    pub name: &'static str,
    pub envoys: usize,
    /// The workers of each.
    pub workers: [usize; ENVOYS],
    pub purges: Vec<Purge>,
    /// Purges come in the order of the list.
    pub ordered: bool,
    /// How many fetches each Envoy may begin.
    pub fetches: [u8; ENVOYS],
    /// The origin may answer 304.
    pub validates: bool,
    /// All Envoys have joined before the run begins.
    pub joined: bool,
    /// The home of the key for each Envoy that is an edge; not built.
    pub home: [u8; ENVOYS],
    /// A home labels its answers, and edges stamp by that.
    pub rule_label: bool,
    /// An edge's request names the least that the home has to know.
    pub rule_min: bool,

    /// VMs that may die.
    pub deaths: u8,
    /// Envoys that may begin anew.
    pub restarts: u8,
    /// How often an Envoy may be cut off, and which ones may, as bits.
    pub partitions: u8,
    pub partitioned: u8,
    /// A stream that is cut off may stay open and silent.
    pub silent: bool,
    /// Writes to other keys of etcd.
    pub other_writes: u8,
    pub compactions: u8,
    pub wipes: u8,
    /// Backups that may be restored.
    pub restores: u8,
    /// Leases that may be taken from a worker that lives.
    pub stolen_leases: u8,
    /// Puts that may be given up.
    pub timeouts: u8,
    /// A Put whose sender is gone may be committed later.
    pub late_puts: bool,

    /// How many heartbeats each Envoy has.
    pub heartbeats: [u8; ENVOYS],
    pub ticks: u8,
    /// `max_lag`, in ticks; 0: time does not count.
    pub lag: u8,
    pub lagging: Lagging,
    /// Envoys register in etcd, under a lease of `ttl` ticks.
    pub members: bool,
    pub ttl: u8,
    /// Keepalive closes silent streams.
    pub keepalive: bool,

    /// A restore raises the revision and marks everything as compacted.
    pub raised: bool,
    /// Records that the journal's ring holds; 0: all.
    pub ring: u8,
    pub barrier_hard: bool,
    /// Whoever finds the log rewound names it anew (F4).
    pub publish_loss: bool,
    /// The Envoys, as bits, that do not understand the first purge.
    pub unknown: u8,
    /// Nothing missed, no flush (R5).
    pub shortcut: bool,

    /// What was hard purged may not be revived by a 304.
    pub strict_hard: bool,
    /// "Everywhere" holds out of contact too.
    pub strict_everywhere: bool,
    /// No purge is applied twice.
    pub once: bool,
    /// The most barriers that an Envoy may write.
    pub max_barriers: u8,
    /// Purged content may not pass through from a home either.
    pub passing: bool,
    pub mistakes: Mistakes,
}

impl Default for Setting {
    fn default() -> Self {
        Setting {
            name: "",
            envoys: 2,
            workers: [1; ENVOYS],
            purges: vec![],
            ordered: true,
            fetches: [1, 1, 0],
            validates: false,
            joined: true,
            home: [NO_HOME; ENVOYS],
            rule_label: true,
            rule_min: true,
            deaths: 0,
            restarts: 0,
            partitions: 0,
            partitioned: 0b111,
            silent: false,
            other_writes: 0,
            compactions: 0,
            wipes: 0,
            restores: 0,
            stolen_leases: 0,
            timeouts: 0,
            late_puts: false,
            heartbeats: [0; ENVOYS],
            ticks: 0,
            lag: 0,
            lagging: Lagging::Revalidate,
            members: false,
            ttl: 0,
            keepalive: true,
            raised: false,
            ring: 0,
            barrier_hard: false,
            publish_loss: false,
            unknown: 0,
            shortcut: true,
            strict_hard: false,
            strict_everywhere: false,
            once: true,
            max_barriers: 1,
            passing: true,
            mistakes: Mistakes::default(),
        }
    }
}
