//! Several Envoys and an etcd: what `docs/fleet.md` promises, procedure by procedure.

mod chaos;
mod envoy;
mod stand;

use larder::config::Acknowledge;
use larder::fleet::{Acknowledged, Committed, Roster};
use larder::invalidation::{Mode, Selector, Source};

use crate::host::etcd::faults::Fate;
use stand::{Fleet, Got};

const LOG: &str = "/larder/prod/log/j";
const ID: &str = "/larder/prod/log/id";

fn is_committed(answer: Acknowledged) -> bool {
    matches!(answer, Acknowledged::Committed(_))
}

#[test]
fn a_purge_on_one_holds_on_all() {
    let mut fleet = Fleet::joined(3, 2, "");
    for envoy in 0..3 {
        assert_eq!(fleet.served(envoy, 0, "/a"), (0, false));
        assert_eq!(fleet.served(envoy, 1, "/a"), (0, true));
    }
    assert_eq!(fleet.publish("/a"), 1);
    assert!(is_committed(fleet.purged(0, 1, Mode::Hard, &["/a"])));
    assert_eq!(fleet.served(0, 0, "/a"), (1, false));
    fleet.pass(10);
    for envoy in 1..3 {
        assert_eq!(fleet.served(envoy, 0, "/a"), (1, false), "{envoy}");
        assert_eq!(fleet.counted(envoy, "larder_fleet_applied"), 1);
    }
    let records = fleet.journal(1);
    let last = records.last().unwrap();
    assert_eq!((last.mode, &last.selector), (Mode::Hard, &Selector::Uri(b"h.example/a".to_vec())));
    assert!(matches!(&last.source, Source::Fleet { by, .. } if by == "gw-0/ops"), "{last:?}");
    assert_eq!(fleet.counted(0, "larder_fleet_published"), 1);
    assert_eq!(fleet.journal(0).len(), 2, "its own record does not come back as another's");
}

#[test]
fn the_first_one_names_the_history_and_each_begins_with_a_barrier() {
    let mut fleet = Fleet::new(2, 1, "");
    // Something is stored before anybody has joined.
    assert_eq!(fleet.served(0, 0, "/a"), (0, false));
    assert!(fleet.until(10_000, Fleet::is_joined));
    assert_eq!(fleet.tag(0), fleet.tag(1));
    for envoy in 0..2 {
        assert_eq!(fleet.counted(envoy, "larder_fleet_joined_start"), 1);
        let records = fleet.journal(envoy);
        assert_eq!(
            (records.len(), &records[0].selector, records[0].mode),
            (1, &Selector::All, Mode::Revalidate)
        );
    }
    assert_eq!(fleet.served(0, 0, "/a"), (0, false), "purges from before may have been missed");
    assert!(fleet.etcd.get(fleet.now, ID).is_some());
}

#[test]
fn a_fetch_that_began_before_the_purge_brings_nothing_back() {
    let mut fleet = Fleet::joined(2, 1, "");
    let Got::Fetching(fetching) = fleet.get(1, 0, "/a") else { panic!() };
    fleet.publish("/a");
    assert!(is_committed(fleet.purged(0, 0, Mode::Hard, &["/a"])));
    fleet.pass(20);
    assert_eq!(fleet.land(*fetching), 0);
    assert_eq!(fleet.served(1, 0, "/a"), (1, false));
}

#[test]
fn many_purges_at_once_travel_in_few_batches() {
    let mut fleet = Fleet::joined(2, 2, "");
    let before = fleet.etcd.revision();
    let paths: Vec<String> = (0..400).map(|n| format!("/{n}")).collect();
    let mut waiting = Vec::new();
    for (n, path) in paths.iter().enumerate() {
        waiting.push(fleet.purge(0, n % 2, Mode::Soft, &[path]).1);
    }
    assert!(fleet.until(5_000, |fleet| waiting.iter().all(|stream| fleet.answer_to(0, *stream).is_some())));
    assert!(waiting.iter().all(|stream| fleet.answer_to(0, *stream).is_some_and(is_committed)));
    let batches = fleet.etcd.revision() - before;
    assert!((2..8).contains(&batches), "{batches}");
    fleet.pass(100);
    assert_eq!(fleet.journal(1).len(), 401);
    // The revision of an answer is that of the batch that has it.
    let Some(Acknowledged::Committed(Committed { revision })) = fleet.answer_to(0, waiting[399]) else {
        panic!()
    };
    assert!(fleet.applied(1) >= revision);
}

#[test]
fn without_etcd_a_purge_holds_here_and_is_pending_until_etcd_is_back() {
    let mut fleet = Fleet::joined(2, 1, "");
    fleet.served(0, 0, "/a");
    fleet.served(1, 0, "/a");
    fleet.etcd.kill(fleet.now);
    fleet.publish("/a");
    assert_eq!(fleet.purged(0, 0, Mode::Hard, &["/a"]), Acknowledged::Pending);
    assert_eq!(fleet.served(0, 0, "/a"), (1, false));
    assert_eq!(fleet.served(1, 0, "/a"), (0, true), "nobody can have told it");
    fleet.pass(3_000);
    fleet.etcd.restart(fleet.now);
    assert!(fleet.until(10_000, |fleet| fleet.served(1, 0, "/a") == (1, false)));
    for envoy in 0..2 {
        assert_eq!(fleet.counted(envoy, "larder_fleet_joined_start"), 1);
        assert_eq!(fleet.journal(envoy).len(), 2, "nothing is flushed");
    }
}

#[test]
fn whoever_is_cut_off_stops_serving_within_the_lag_and_goes_on_where_it_was_left() {
    let mut fleet = Fleet::joined(2, 1, r#""max_lag": "6s""#);
    fleet.served(1, 0, "/a");
    fleet.served(1, 0, "/b");
    fleet.etcd.black_hole(fleet.now, "gw-1");
    fleet.publish("/a");
    let before = fleet.now;
    assert!(is_committed(fleet.purged(0, 0, Mode::Hard, &["/a"])));
    let served_old = |fleet: &mut Fleet| matches!(fleet.get(1, 0, "/a"), Got::Stored(0));
    assert!(served_old(&mut fleet));
    assert!(fleet.until(60_000, |fleet| !served_old(fleet)));
    let lag = fleet.now - before;
    assert!(lag <= 6_100, "{lag}");
    // What was fetched since is fresh by its own proof, for as long.
    assert_eq!(fleet.served(1, 0, "/b"), (0, false));
    assert_eq!(fleet.served(1, 0, "/b"), (0, true));
    fleet.pass(6_001);
    assert_eq!(fleet.served(1, 0, "/b"), (0, false));
    fleet.etcd.cut(fleet.now, "gw-1");
    fleet.etcd.heal(fleet.now, "gw-1");
    assert!(fleet.until(20_000, |fleet| fleet.state(1).contact
        > fleet.state(0).contact.map(|c| larder::time::Monotonic(c.0 - 2_000))));
    fleet.pass(10_000);
    assert_eq!(fleet.served(1, 0, "/b"), (0, true), "in contact again, everything is valid again");
    assert_eq!(fleet.journal(1).len(), 2, "replayed, not flushed");
}

#[test]
fn when_lagging_says_what_becomes_of_what_is_stored() {
    for (word, stored) in [("serve", true), ("revalidate", false), ("bypass", false)] {
        let options = format!(r#""max_lag": "3s", "when_lagging": "{word}""#);
        let mut fleet = Fleet::joined(1, 1, &options);
        fleet.served(0, 0, "/a");
        fleet.etcd.kill(fleet.now);
        fleet.pass(4_000);
        assert_eq!(matches!(fleet.get(0, 0, "/a"), Got::Stored(_)), stored, "{word}");

        fleet.pass(3_000);
        fleet.served(0, 0, "/new");
        assert_eq!(fleet.served(0, 0, "/new").1, word != "bypass", "{word}");
    }
}

#[test]
fn a_compacted_log_is_no_reason_to_flush_unless_something_was_missed() {
    let mut fleet = Fleet::joined(2, 1, "");
    assert!(is_committed(fleet.purged(0, 0, Mode::Hard, &["/x"])));
    fleet.pass(10_000);
    fleet.etcd.cut(fleet.now, "gw-1");
    for n in 0..50 {
        fleet.etcd.put(fleet.now, "/other", n.to_string());
    }
    let revision = fleet.etcd.revision();
    fleet.etcd.compact(fleet.now, revision);
    fleet.pass(5_000);
    fleet.etcd.heal(fleet.now, "gw-1");
    fleet.pass(10_000);
    assert_eq!(fleet.counted(1, "larder_fleet_joined_compacted"), 0);
    assert!(fleet.state(1).contact.is_some_and(|contact| contact.0 + 6_000 > fleet.now));
    // And now with a purge that it does not know.
    fleet.etcd.cut(fleet.now, "gw-1");
    fleet.pass(100);
    assert!(is_committed(fleet.purged(0, 0, Mode::Hard, &["/y"])));
    fleet.etcd.put(fleet.now, "/other", "again");
    let revision = fleet.etcd.revision();
    fleet.etcd.compact(fleet.now, revision);
    fleet.pass(2_000);
    fleet.etcd.heal(fleet.now, "gw-1");
    fleet.pass(10_000);
    assert_eq!(fleet.counted(1, "larder_fleet_joined_compacted"), 1);
    assert_eq!(fleet.counted(0, "larder_fleet_joined_compacted"), 0);
}

#[test]
fn a_wiped_etcd_is_found_out_whatever_its_revision_is() {
    for writes in [0, 5, 200] {
        let mut fleet = Fleet::joined(2, 1, "");
        assert!(is_committed(fleet.purged(0, 0, Mode::Hard, &["/x"])));
        fleet.served(1, 0, "/a");
        fleet.etcd.wipe(fleet.now);
        for n in 0..writes {
            fleet.etcd.put(fleet.now, "/other", n.to_string());
        }
        fleet.publish("/a");
        fleet.pass(10_000);
        for envoy in 0..2 {
            let wiped = fleet.counted(envoy, "larder_fleet_joined_wiped");
            assert_eq!(wiped, 1, "{writes} writes, {envoy}");
        }
        assert_eq!(fleet.tag(0), fleet.tag(1));
        assert_eq!(fleet.served(1, 0, "/a"), (1, false));
        assert!(is_committed(fleet.purged(1, 0, Mode::Hard, &["/a"])));
    }
}

#[test]
fn a_restored_backup_is_found_out_and_all_are_told() {
    for raised in [false, true] {
        let mut fleet = Fleet::joined(3, 1, "");
        assert!(is_committed(fleet.purged(0, 0, Mode::Hard, &["/x"])));
        fleet.pass(100);
        let backup = fleet.etcd.snapshot();
        // One of them does not hear of the purge that is lost.
        fleet.etcd.cut(fleet.now, "gw-2");
        fleet.served(2, 0, "/a");
        fleet.publish("/a");
        assert!(is_committed(fleet.purged(0, 0, Mode::Hard, &["/a"])));
        fleet.pass(100);
        if raised {
            fleet.etcd.restore_raised(fleet.now, &backup, 1_000);
        } else {
            fleet.etcd.restore(fleet.now, &backup);
        }
        fleet.etcd.heal(fleet.now, "gw-2");
        fleet.pass(20_000);
        assert_eq!(fleet.served(2, 0, "/a"), (1, false), "raised: {raised}");
        let rewound: u64 = (0..3).map(|envoy| fleet.counted(envoy, "larder_fleet_joined_rewound")).sum();
        assert!(rewound >= 1, "raised: {raised}");
        assert_eq!((fleet.tag(0), fleet.tag(1)), (fleet.tag(1), fleet.tag(2)));
        assert!(is_committed(fleet.purged(2, 0, Mode::Hard, &["/a"])));
    }
}

#[test]
fn an_operator_flushes_the_fleet_by_writing_or_deleting_its_name() {
    let mut fleet = Fleet::joined(2, 1, "");
    for delete in [false, true] {
        fleet.served(1, 0, "/a");
        let version = fleet.publish("/a");
        if delete {
            fleet.etcd.delete(fleet.now, ID);
        } else {
            fleet.etcd.put(fleet.now, ID, "flush");
        }
        fleet.pass(3_000);
        assert_eq!(fleet.served(1, 0, "/a"), (version, false), "deleted: {delete}");
        assert_eq!(fleet.tag(0), fleet.tag(1));
        assert!(is_committed(fleet.purged(1, 0, Mode::Hard, &["/a"])));
        fleet.pass(100);
    }
    assert_eq!(fleet.counted(0, "larder_fleet_joined_flushed"), 2);
}

#[test]
fn anybody_may_publish_and_what_is_not_understood_is_everything() {
    let mut fleet = Fleet::joined(1, 1, "");
    fleet.served(0, 0, "/a");
    fleet.served(0, 0, "/b");
    let batch =
        r#"{"v":1,"id":"1","by":"ci","records":[{"mode":"hard","sel":[{"uri":"h.example/a"}],"age":0}]}"#;
    fleet.etcd.put(fleet.now, LOG, batch);
    fleet.pass(100);
    assert_eq!((fleet.served(0, 0, "/a").1, fleet.served(0, 0, "/b").1), (false, true));
    fleet.etcd.put(fleet.now, LOG, r#"{"v":2}"#);
    fleet.pass(100);
    assert_eq!((fleet.served(0, 0, "/a").1, fleet.served(0, 0, "/b").1), (false, false));
    assert_eq!(fleet.counted(0, "larder_fleet_unreadable"), 1);
}

#[test]
fn another_worker_takes_over_when_the_watching_one_dies() {
    let mut fleet = Fleet::joined(2, 2, "");
    for worker in [0, 1, 0] {
        fleet.kill_vm(1, worker);
        fleet.kill_vm(1, 1 - worker);
        fleet.pass(1_300);
        fleet.served(1, 0, "/a");
        let version = fleet.publish("/a");
        assert!(is_committed(fleet.purged(0, 0, Mode::Hard, &["/a"])));
        fleet.pass(200);
        assert_eq!(fleet.served(1, 0, "/a"), (version, false));
    }
    assert_eq!(fleet.counted(1, "larder_fleet_joined_start"), 1, "nobody begins anew");
}

#[test]
fn a_put_that_is_lost_or_late_is_sent_again_and_applied_at_least_once() {
    for fate in [Fate::Dropped, Fate::Unanswered, Fate::Broken, Fate::Late(5_000)] {
        let mut fleet = Fleet::joined(2, 1, "");
        fleet.served(1, 0, "/a");
        let version = fleet.publish("/a");
        fleet.etcd.fate("gw-0", fate.clone());
        fleet.purge(0, 0, Mode::Hard, &["/a"]);
        fleet.pass(9_000);
        assert_eq!(fleet.served(1, 0, "/a"), (version, false), "{fate:?}");
        assert!(is_committed(fleet.purged(1, 0, Mode::Hard, &["/a"])), "{fate:?}");
    }
}

#[test]
fn a_busy_journal_delays_and_loses_nothing() {
    let mut fleet = Fleet::joined(2, 1, "");
    fleet.served(1, 0, "/a");
    let version = fleet.publish("/a");
    fleet.envoys[1].process.busy.set(40);
    assert!(is_committed(fleet.purged(0, 0, Mode::Hard, &["/a"])));
    fleet.pass(1_000);
    assert_eq!(fleet.served(1, 0, "/a"), (version, false));
}

#[test]
fn a_reader_hears_and_says_nothing() {
    let mut fleet = Fleet::new(1, 1, r#""role": "reader""#);
    fleet.pass(3_000);
    assert!(fleet.etcd.get(fleet.now, ID).is_none(), "it begins no history");
    fleet.etcd.put(fleet.now, ID, "by somebody");
    assert!(fleet.until(5_000, Fleet::is_joined));
    fleet.served(0, 0, "/a");
    let batch = r#"{"v":1,"id":"1","records":[{"mode":"hard","sel":[{"uri":"h.example/a"}],"age":0}]}"#;
    fleet.etcd.put(fleet.now, LOG, batch);
    fleet.pass(100);
    assert!(!fleet.served(0, 0, "/a").1);
    let before = fleet.etcd.revision();
    fleet.purge(0, 0, Mode::Hard, &["/b"]);
    fleet.pass(3_000);
    assert_eq!(fleet.etcd.revision(), before);
}

#[test]
fn an_idle_fleet_asks_etcd_little() {
    let mut fleet = Fleet::joined(2, 2, "");
    let before = fleet.etcd.revision();
    fleet.pass(600_000);
    assert_eq!(fleet.etcd.revision(), before, "heartbeats write nothing");
    assert_eq!(fleet.etcd.watchers(), 2, "one for each process");
    assert_eq!(fleet.counted(0, "larder_fleet_reconnects"), 0);
}

const MEMBERS: &str = r#""members": true, "max_lag": "3s""#;

/// A purge that waits for all members, and what it was answered with after how many milliseconds.
fn everywhere(fleet: &mut Fleet, envoy: usize, path: &str) -> (Acknowledged, u64) {
    let begun = fleet.now;
    let (_, stream) = fleet.command(envoy, 0, (Mode::Hard, &[path]), Acknowledge::Everywhere);
    assert!(fleet.until(60_000, |fleet| fleet.answer_to(envoy, stream).is_some()), "no answer");
    (fleet.answer_to(envoy, stream).unwrap(), fleet.now - begun)
}

#[test]
fn a_command_may_wait_until_every_member_has_applied_it() {
    let mut fleet = Fleet::joined(3, 2, MEMBERS);
    fleet.pass(4_000);
    assert_eq!(fleet.etcd.list(fleet.now, "/larder/prod/m/").len(), 3);
    for envoy in 0..3 {
        let path = "/a";
        for other in 0..3 {
            fleet.served(other, 1, path);
        }
        let version = fleet.publish(path);
        let (answer, ms) = everywhere(&mut fleet, envoy, path);
        assert!(matches!(answer, Acknowledged::Everywhere { members: 3, .. }), "{answer:?}");
        assert!(ms < 150, "{ms}");
        for other in 0..3 {
            assert_eq!(fleet.served(other, 1, path), (version, false), "{other}: at the answer, not later");
        }
    }
    assert_eq!(fleet.shown(0, "larder_fleet_members") + fleet.shown(1, "larder_fleet_members"), 6);
}

#[test]
fn a_member_that_cannot_be_reached_is_named_until_its_lease_is_over() {
    let mut fleet = Fleet::joined(3, 1, &format!(r#"{MEMBERS}, "everywhere_timeout": "1s""#));
    fleet.pass(4_000);
    fleet.etcd.black_hole(fleet.now, "gw-2");
    let (answer, ms) = everywhere(&mut fleet, 0, "/a");
    let Acknowledged::Missing { names, .. } = answer else { panic!("{answer:?}") };
    assert_eq!((names, ms), (vec!["gw-2".to_owned()], ms.clamp(1_000, 1_100)));
    // By the end of its lease it serves nothing that it has not validated.
    fleet.pass(5_000);
    let (answer, _) = everywhere(&mut fleet, 0, "/a");
    assert!(matches!(answer, Acknowledged::Everywhere { members: 2, .. }), "{answer:?}");
    fleet.etcd.cut(fleet.now, "gw-2");
    fleet.etcd.heal(fleet.now, "gw-2");
    fleet.pass(6_000);
    let (answer, _) = everywhere(&mut fleet, 0, "/a");
    assert!(matches!(answer, Acknowledged::Everywhere { members: 3, .. }), "{answer:?}");
}

#[test]
fn after_a_wipe_nobody_is_taken_for_everybody() {
    let mut fleet = Fleet::joined(2, 1, &format!(r#"{MEMBERS}, "everywhere_timeout": "1s""#));
    fleet.pass(4_000);
    fleet.etcd.black_hole(fleet.now, "gw-1");
    fleet.etcd.wipe(fleet.now);
    fleet.pass(1_000);
    // It has joined anew and is alone in the list: the other may serve for as long as its lag allows.
    let (answer, _) = everywhere(&mut fleet, 0, "/a");
    assert!(matches!(answer, Acknowledged::Missing { .. } | Acknowledged::Pending), "{answer:?}");
    fleet.pass(4_000);
    let (answer, _) = everywhere(&mut fleet, 0, "/a");
    assert!(matches!(answer, Acknowledged::Everywhere { members: 1, .. }), "{answer:?}");
}

#[test]
fn who_is_no_member_yet_counts_as_out_of_contact() {
    let mut fleet = Fleet::new(1, 1, MEMBERS);
    fleet.etcd.fate("gw-0", Fate::Refused(7, "etcdserver: permission denied".into()));
    for _ in 0..40 {
        fleet.pass(50);
        let listed = !fleet.etcd.list(fleet.now, "/larder/prod/m/").is_empty();
        assert!(listed || fleet.state(0).contact.is_none(), "contact without being listed");
    }
    assert!(fleet.until(10_000, Fleet::is_joined));
}

#[test]
fn a_restarted_member_leaves_its_old_self_to_its_lease() {
    let mut fleet = Fleet::joined(2, 1, MEMBERS);
    fleet.pass(4_000);
    fleet.restart(1);
    fleet.pass(2_000);
    assert_eq!(fleet.etcd.list(fleet.now, "/larder/prod/m/").len(), 3);
    fleet.pass(6_000);
    assert_eq!(fleet.etcd.list(fleet.now, "/larder/prod/m/").len(), 2);
    let roster = Roster::load(&fleet.envoys[0].process).unwrap();
    assert!(roster.members.iter().any(|member| member.name == "gw-1"));
}

#[test]
fn a_history_is_renamed_even_if_the_first_attempt_fails() {
    for fate in [Fate::Dropped, Fate::Refused(14, "no leader".into())] {
        let mut fleet = Fleet::joined(3, 1, "");
        assert!(is_committed(fleet.purged(0, 0, Mode::Hard, &["/x"])));
        fleet.pass(100);
        let backup = fleet.etcd.snapshot();
        fleet.etcd.cut(fleet.now, "gw-2");
        fleet.served(2, 0, "/a");
        fleet.publish("/a");
        assert!(is_committed(fleet.purged(0, 0, Mode::Hard, &["/a"])));
        fleet.pass(100);
        fleet.etcd.fate("gw-0", fate.clone());
        fleet.etcd.fate("gw-1", fate.clone());
        fleet.etcd.restore(fleet.now, &backup);
        fleet.etcd.heal(fleet.now, "gw-2");
        fleet.pass(60_000);
        assert_eq!(fleet.served(2, 0, "/a"), (1, false), "{fate:?}");
    }
}

#[test]
fn a_log_that_refuses_batches_is_not_asked_again_and_again() {
    let mut fleet = Fleet::joined(1, 1, "");
    fleet.etcd.set_no_space(fleet.now, true);
    fleet.purge(0, 0, Mode::Hard, &["/a"]);
    fleet.pass(20_000);
    let reconnects = fleet.counted(0, "larder_fleet_reconnects");
    assert!((3..15).contains(&reconnects), "{reconnects}");
    fleet.etcd.set_no_space(fleet.now, false);
    fleet.pass(6_000);
    assert!(fleet.state(0).shipped >= fleet.head(0));
}
