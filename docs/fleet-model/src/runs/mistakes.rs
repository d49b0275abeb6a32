//! Mistakes on purpose, and rules left out: each with the beginning of what has to be found.

use super::parts::{
    apart, cut, hard, joins, none, other, plain, purge, restore, soft, strict, tier, tier_wiped, timed,
    two_workers, wipe, zombie,
};
use crate::setting::Acknowledge::Local;
use crate::setting::{Lagging, Mistakes, Purge, Setting};

pub fn all() -> Vec<(&'static str, Setting)> {
    vec![
        (
            "V",
            Setting {
                name: "M01 revision stored, then applied (two keys)",
                deaths: 1,
                fetches: [0, 1, 0],
                mistakes: Mistakes { store_then_apply: true, ..none() },
                purges: vec![hard(0)],
                ..plain()
            },
        ),
        (
            "N1",
            Setting {
                name: "M02 applied, then revision stored (two keys)",
                deaths: 1,
                fetches: [0, 1, 0],
                mistakes: Mistakes { apply_then_store: true, ..none() },
                purges: vec![hard(0)],
                ..plain()
            },
        ),
        (
            "V",
            Setting {
                name: "M03 stamp taken when the response is there",
                mistakes: Mistakes { stamp_landing: true, ..none() },
                purges: vec![hard(0)],
                ..plain()
            },
        ),
        (
            "V6",
            Setting {
                name: "M04 answered before the commit",
                restarts: 1,
                mistakes: Mistakes { ack_at_once: true, ..none() },
                fetches: [0, 1, 0],
                purges: vec![hard(0)],
                ..plain()
            },
        ),
        (
            "V6",
            Setting {
                name: "M05 shipped advanced when the Put is sent",
                deaths: 1,
                mistakes: Mistakes { shipped_early: true, ..none() },
                fetches: [0, 1, 0],
                purges: vec![hard(0)],
                ..plain()
            },
        ),
        (
            "L1",
            Setting {
                name: "M06 watch from P+2",
                fetches: [0, 1, 0],
                purges: vec![hard(0)],
                mistakes: Mistakes { resume_skip: true, ..none() },
                ..cut()
            },
        ),
        (
            "N1",
            Setting {
                name: "M07 watch from P, two keys without a check",
                mistakes: Mistakes {
                    resume_at_rev: true,
                    apply_then_store: true,
                    no_applied_check: true,
                    ..none()
                },
                ..cut()
            },
        ),
        (
            "L1",
            Setting {
                name: "M08 compaction ignored",
                compactions: 1,
                once: false,
                fetches: [0, 1, 0],
                purges: vec![hard(0)],
                mistakes: Mistakes { ignore_compaction: true, ..none() },
                ..cut()
            },
        ),
        (
            "L1",
            Setting {
                name: "M09 wiped: no check at all",
                fetches: [0, 1, 0],
                purges: vec![hard(0)],
                mistakes: Mistakes { no_check: true, ..none() },
                ..wipe()
            },
        ),
        (
            "V",
            Setting {
                name: "M10 wiped: only 'the revision went back'",
                mistakes: Mistakes { no_record_check: true, no_tag_check: true, ..none() },
                ..wipe()
            },
        ),
        (
            "V",
            Setting {
                name: "M11 wiped: checked before the watch is created",
                mistakes: Mistakes { check_first: true, ..none() },
                ..wipe()
            },
        ),
        (
            "V",
            Setting {
                name: "M12 wiped: the history's tag not compared",
                mistakes: Mistakes { no_tag_check: true, ..none() },
                ..wipe()
            },
        ),
        (
            "V",
            Setting {
                name: "M13 restored: newest record not compared",
                mistakes: Mistakes { no_record_check: true, ..none() },
                ..restore()
            },
        ),
        ("V6", Setting { name: "M14 restored: loss not published", publish_loss: false, ..restore() }),
        (
            "V6",
            Setting {
                name: "M14b restored, raised, compacted: rewound only by revision",
                raised: true,
                mistakes: Mistakes { loss_by_revision: true, ..none() },
                ..restore()
            },
        ),
        (
            "V",
            Setting {
                name: "M15 joins without a barrier",
                joined: false,
                mistakes: Mistakes { no_barrier: true, ..none() },
                purges: vec![hard(0)],
                ..plain()
            },
        ),
        (
            "V",
            Setting {
                name: "M16 joins: barrier before the revision is asked for",
                joined: false,
                mistakes: Mistakes { barrier_first: true, ..none() },
                purges: vec![hard(0)],
                ..plain()
            },
        ),
        (
            "V",
            Setting {
                name: "M17 events from before the last JOIN are applied",
                mistakes: Mistakes { no_join_check: true, ..none() },
                ..zombie()
            },
        ),
        (
            "N1",
            Setting {
                name: "M18 applied though the revision is not above",
                stolen_leases: 1,
                mistakes: Mistakes { no_applied_check: true, ..none() },
                ..two_workers()
            },
        ),
        (
            "N1",
            Setting {
                name: "M19 plain set instead of compare-and-set",
                stolen_leases: 1,
                mistakes: Mistakes { blind_cas: true, ..none() },
                ..two_workers()
            },
        ),
        (
            "N1",
            Setting {
                name: "M20 own record applied when it comes back",
                mistakes: Mistakes { echo_applied: true, ..none() },
                purges: vec![hard(0)],
                ..plain()
            },
        ),
        (
            "V6",
            Setting {
                name: "M21 own records told by name, not by incarnation",
                restarts: 1,
                late_puts: true,
                fetches: [0, 1, 0],
                purges: vec![hard(0), hard(0)],
                mistakes: Mistakes { echo_by_name: true, ..none() },
                ..plain()
            },
        ),
        (
            "L4",
            Setting {
                name: "M22 records of the fleet shipped again",
                mistakes: Mistakes { reship: true, ..none() },
                purges: vec![hard(0)],
                fetches: [0, 0, 0],
                once: false,
                ..plain()
            },
        ),
        (
            "V",
            Setting {
                name: "M23 progress from the answer to a Put",
                fetches: [1, 1, 0],
                purges: vec![hard(0), hard(1)],
                mistakes: Mistakes { put_progress: true, ..none() },
                ..plain()
            },
        ),
        (
            "N2",
            Setting {
                name: "M24 progress from the header of 'created'",
                deaths: 1,
                mistakes: Mistakes { progress_created: true, ..none() },
                ..cut()
            },
        ),
        (
            "V",
            Setting {
                name: "M25 batch: last revision with the first record",
                deaths: 1,
                fetches: [0, 1, 0],
                purges: vec![other(0), hard(0)],
                mistakes: Mistakes { batch_split: true, ..none() },
                ..plain()
            },
        ),
        (
            "N1",
            Setting {
                name: "M26 Put again before catching up",
                partitions: 1,
                partitioned: 1,
                fetches: [0, 1, 0],
                purges: vec![hard(0), soft(0)],
                mistakes: Mistakes { no_catch_up: true, ..none() },
                ..plain()
            },
        ),
        (
            "V",
            Setting {
                name: "M27 record of a later version ignored",
                unknown: 2,
                purges: vec![soft(0), hard(1)],
                mistakes: Mistakes { unknown_ignored: true, ..none() },
                ..plain()
            },
        ),
        (
            "V6",
            Setting {
                name: "M28 overwritten before it was shipped: forgotten",
                ring: 1,
                partitions: 1,
                partitioned: 1,
                fetches: [0, 1, 0],
                purges: vec![
                    purge(0, 0, Local, true),
                    Purge { acknowledge: Local, ..other(0) },
                    Purge { acknowledge: Local, ..other(0) },
                ],
                mistakes: Mistakes { overflow_forgets: true, ..none() },
                ..plain()
            },
        ),
        (
            "V",
            Setting {
                name: "M29 history lost: barrier revalidates, hard read strictly",
                validates: true,
                compactions: 1,
                partitions: 1,
                partitioned: 2,
                fetches: [0, 2, 0],
                strict_hard: true,
                purges: vec![hard(0), soft(0)],
                max_barriers: 2,
                once: false,
                ..plain()
            },
        ),
        (
            "N2",
            Setting {
                name: "M30 no shortcut: idle journal, compaction",
                partitions: 1,
                other_writes: 2,
                compactions: 1,
                shortcut: false,
                fetches: [1, 1, 0],
                purges: vec![],
                ..plain()
            },
        ),
        (
            "V3",
            Setting {
                name: "M31 contact = when the answer came",
                mistakes: Mistakes { contact_receipt: true, ..none() },
                ..timed()
            },
        ),
        (
            "V3",
            Setting {
                name: "M32 contact = any answer (silent stream)",
                silent: true,
                keepalive: false,
                mistakes: Mistakes { contact_any: true, ..none() },
                ..timed()
            },
        ),
        (
            "V3",
            Setting {
                name: "M33 contact = the stream is open",
                silent: true,
                keepalive: false,
                mistakes: Mistakes { contact_stream: true, ..none() },
                ..timed()
            },
        ),
        (
            "V3",
            Setting {
                name: "M34 fetched at = when the response was there",
                mistakes: Mistakes { fetched_landing: true, ..none() },
                ..timed()
            },
        ),
        ("V4", Setting { name: "M35 lease in etcd shorter than max_lag", ttl: 0, ..strict() }),
        (
            "V4",
            Setting {
                name: "M36 contact without being registered",
                mistakes: Mistakes { no_register: true, ..none() },
                ..joins()
            },
        ),
        (
            "V4",
            Setting {
                name: "M37 everywhere does not wait for who has not reported",
                mistakes: Mistakes { expect_member: true, ..none() },
                ..joins()
            },
        ),
        (
            "V4",
            Setting {
                name: "M38 everywhere right after a wipe, no grace",
                wipes: 1,
                partitions: 0,
                max_barriers: 2,
                once: false,
                heartbeats: [0, 1, 0],
                ticks: 2,
                mistakes: Mistakes { no_grace: true, ..none() },
                ..strict()
            },
        ),
        (
            "V4",
            Setting {
                name: "M39 everywhere with lagging: revalidate, read strictly",
                lagging: Lagging::Revalidate,
                strict_everywhere: true,
                ..strict()
            },
        ),
        (
            "V",
            Setting {
                name: "M40 tiers: no rule",
                rule_label: false,
                rule_min: false,
                passing: false,
                ..tier()
            },
        ),
        ("V5", Setting { name: "M41 tiers: label only", rule_min: false, ..tier() }),
        (
            "V",
            Setting {
                name: "M42 tiers: the same, label taken when the response is there",
                rule_min: false,
                passing: false,
                fetches: [2, 3, 0],
                mistakes: Mistakes { follow_any: true, label_landing: true, ..none() },
                ..tier()
            },
        ),
        (
            "V",
            Setting {
                name: "M43 tiers: joins a flight whatever its label",
                mistakes: Mistakes { follow_any: true, ..none() },
                fetches: [2, 3, 0],
                ..tier()
            },
        ),
        (
            "V",
            Setting {
                name: "M44 tiers: own purges that have not come back do not count",
                mistakes: Mistakes { no_pending: true, ..none() },
                purges: vec![purge(0, 0, Local, true)],
                ..tier()
            },
        ),
        (
            "V",
            Setting {
                name: "M45 tiers: acknowledged when the Put is answered, no pending",
                mistakes: Mistakes { ack_on_put: true, no_pending: true, ..none() },
                ..tier()
            },
        ),
        (
            "V",
            Setting {
                name: "M46 tiers: minimum and label without the history's tag",
                mistakes: Mistakes { no_tag: true, ..none() },
                fetches: [1, 2, 0],
                ..tier_wiped()
            },
        ),
        (
            "V3",
            Setting {
                name: "M47 tiers: how old the home's knowledge was does not count",
                mistakes: Mistakes { asof_ignored: true, ..none() },
                ..apart()
            },
        ),
        // Not a mistake on purpose, but a gap of the code: what comes back counts for the watch that another worker has checked.
        (
            "L1",
            Setting {
                name: "M48 restored while a worker has its own batch in hand, lease taken",
                workers: [2, 1, 1],
                stolen_leases: 1,
                partitioned: 0b010,
                purges: vec![hard(0)],
                fetches: [0, 1, 0],
                heartbeats: [2, 0, 0],
                ..restore()
            },
        ),
    ]
}
