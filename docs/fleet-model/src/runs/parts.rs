//! Settings that others are made of.

use crate::setting::Acknowledge::{Everywhere, Fleet};
use crate::setting::{Lagging, Mistakes, Purge, Setting};
use crate::world::NO_HOME;

/// Two Envoys with a worker each, which have joined.
pub fn plain() -> Setting {
    Setting::default()
}

pub fn none() -> Mistakes {
    Mistakes::default()
}

pub fn purge(e: u8, w: u8, acknowledge: crate::setting::Acknowledge, hard: bool) -> Purge {
    Purge { e, w, acknowledge, hard, covers: true }
}

/// A hard purge through an Envoy.
pub fn hard(e: u8) -> Purge {
    purge(e, 0, Fleet, true)
}

/// A soft one.
pub fn soft(e: u8) -> Purge {
    purge(e, 0, Fleet, false)
}

/// A purge of something else.
pub fn other(e: u8) -> Purge {
    Purge { e, w: 0, acknowledge: Fleet, hard: true, covers: false }
}

/// The second Envoy is cut off while purges go through the first.
pub fn cut() -> Setting {
    Setting {
        partitions: 1,
        partitioned: 2,
        silent: true,
        fetches: [1, 2, 0],
        purges: vec![hard(0), hard(0)],
        ..plain()
    }
}

/// Two workers on the second Envoy, whose watcher changes.
pub fn two_workers() -> Setting {
    Setting { workers: [1, 2, 1], fetches: [0, 2, 0], purges: vec![hard(0), hard(0)], ..plain() }
}

/// Etcd is wiped while the second Envoy may be cut off.
pub fn wipe() -> Setting {
    Setting {
        wipes: 1,
        partitions: 1,
        partitioned: 2,
        fetches: [0, 2, 0],
        purges: vec![hard(0), hard(0)],
        max_barriers: 3,
        once: false,
        ..plain()
    }
}

/// Etcd is restored from a backup while the second Envoy may be cut off.
pub fn restore() -> Setting {
    Setting {
        restores: 1,
        publish_loss: true,
        partitions: 1,
        partitioned: 2,
        fetches: [0, 2, 0],
        purges: vec![hard(0), hard(0)],
        max_barriers: 3,
        once: false,
        ..plain()
    }
}

/// Etcd is wiped, and a worker of the second Envoy goes on though another has taken its lease.
pub fn zombie() -> Setting {
    Setting {
        workers: [1, 2, 1],
        wipes: 1,
        stolen_leases: 1,
        fetches: [0, 1, 0],
        purges: vec![hard(0), hard(0)],
        max_barriers: 3,
        once: false,
        ..plain()
    }
}

/// Time passes, and the second Envoy may be cut off.
pub fn timed() -> Setting {
    Setting {
        ticks: 3,
        lag: 1,
        heartbeats: [0, 2, 0],
        fetches: [0, 2, 0],
        purges: vec![hard(0)],
        partitions: 1,
        partitioned: 2,
        ..plain()
    }
}

/// Answered when it holds everywhere, and nothing is served out of contact.
pub fn strict() -> Setting {
    Setting {
        ticks: 3,
        lag: 1,
        ttl: 1,
        heartbeats: [0, 2, 0],
        members: true,
        lagging: Lagging::Bypass,
        fetches: [0, 1, 0],
        purges: vec![purge(0, 0, Everywhere, true)],
        partitions: 1,
        partitioned: 2,
        ..plain()
    }
}

/// The same while the second Envoy joins.
pub fn joins() -> Setting {
    Setting { joined: false, partitions: 0, heartbeats: [0, 1, 0], ticks: 2, ..strict() }
}

/// The second Envoy is the home of the key, the first an edge.
pub fn tier() -> Setting {
    Setting { home: [1, NO_HOME, NO_HOME], fetches: [2, 2, 0], purges: vec![hard(0), hard(0)], ..plain() }
}

/// The same with an etcd that is wiped.
pub fn tier_wiped() -> Setting {
    Setting {
        wipes: 1,
        partitions: 1,
        partitioned: 2,
        max_barriers: 3,
        once: false,
        fetches: [1, 1, 0],
        purges: vec![hard(0)],
        ..tier()
    }
}

/// A third Envoy purges, edge and home are cut off and have no heartbeats left.
pub fn apart() -> Setting {
    Setting {
        envoys: 3,
        ticks: 4,
        lag: 1,
        partitions: 2,
        partitioned: 3,
        fetches: [1, 1, 0],
        purges: vec![hard(2)],
        ..tier()
    }
}
