//! The fleet: several Envoys that share their invalidations through one log in etcd.

use core::time::Duration;

use super::names::Name;
use super::sections::Rate;
use super::text::{keywords, text};
use super::units::{count, duration_within, show_duration};
use crate::json::{At, Json, Object, Read, boolean};

/// How invalidations reach the other Envoys. Without a name there is no fleet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FleetConfig {
    /// The fleet that this Envoy belongs to; part of the keys in etcd.
    pub name: Option<String>,
    /// How this Envoy is called in what others see of it; by the id of its node unless configured.
    pub member: Option<String>,
    /// The Envoy cluster of etcd.
    pub cluster: String,
    /// What all keys in etcd begin with, before the name of the fleet.
    pub prefix: String,
    /// When a command is answered, unless it says so itself.
    pub acknowledge: Acknowledge,
    /// How long a command waits until the fleet has its record.
    pub acknowledge_timeout: Duration,
    /// How long a command waits until every living member has applied it.
    pub everywhere_timeout: Duration,
    /// Whether members list themselves in etcd, with what they have applied.
    pub members: bool,
    /// How long after a purge was committed its responses may still be served here, whatever happens.
    pub max_lag: Duration,
    /// What becomes of stored responses while this Envoy has not heard of etcd for so long.
    pub when_lagging: WhenLagging,
    /// What becomes of what is stored when nobody can say which purges were missed.
    pub history_lost: HistoryLost,
    /// Which invalidations travel.
    pub share: Vec<Share>,
    /// How many invalidations that clients' requests cause travel.
    pub share_rate: Rate,
    /// How many records of others are written one by one.
    pub apply_rate: Rate,
    /// How many batches may have been missed before everything is validated instead.
    pub replay_max: u32,
    /// Whether this Envoy writes to the log.
    pub role: Role,
}

/// When a command is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acknowledge {
    /// When it holds on this Envoy.
    Local,
    /// When etcd has committed it as well.
    Fleet,
    /// When every living member has applied it, too.
    Everywhere,
}

keywords! {
    Acknowledge, "when a command is answered":
    "local" => Acknowledge::Local,
    "fleet" => Acknowledge::Fleet,
    "everywhere" => Acknowledge::Everywhere
}

/// What becomes of stored responses while this Envoy is out of contact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhenLagging {
    /// They are served as ever.
    Serve,
    /// What was fetched or validated longer than `max_lag` ago counts as soft purged since then.
    Stale,
    /// The same counts as purged with `revalidate`.
    Revalidate,
    /// Nothing is served without asking the origin.
    Bypass,
}

keywords! {
    WhenLagging, "what becomes of stored responses":
    "serve" => WhenLagging::Serve,
    "stale" => WhenLagging::Stale,
    "revalidate" => WhenLagging::Revalidate,
    "bypass" => WhenLagging::Bypass
}

/// How strict the invalidation of everything is that stands for purges that nobody can name any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HistoryLost {
    /// Everything is validated before its next use.
    Revalidate,
    /// Everything is gone.
    Hard,
}

keywords! {
    HistoryLost, "what becomes of what is stored":
    "revalidate" => HistoryLost::Revalidate,
    "hard" => HistoryLost::Hard
}

/// A kind of invalidation that may travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    /// Commands of the admin route.
    Admin,
    /// What rules with `invalidates` cause.
    MutationRule,
    /// What `Cache-Group-Invalidation` causes (RFC 9875 §3).
    CacheGroup,
    /// The target of a successful unsafe request (RFC 9111 §4.4).
    UnsafeMethod,
}

keywords! {
    Share, "a kind of invalidation":
    "admin" => Share::Admin,
    "mutation-rule" => Share::MutationRule,
    "cache-group" => Share::CacheGroup,
    "unsafe-method" => Share::UnsafeMethod
}

/// What an Envoy does in the fleet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It hears of invalidations and shares its own.
    Member,
    /// It hears of them and writes nothing: its user in etcd may read only.
    Reader,
}

keywords! {
    Role, "a role":
    "member" => Role::Member,
    "reader" => Role::Reader
}

impl Default for FleetConfig {
    fn default() -> Self {
        FleetConfig {
            name: None,
            member: None,
            cluster: "etcd".into(),
            prefix: "/larder/".into(),
            acknowledge: Acknowledge::Fleet,
            acknowledge_timeout: Duration::from_secs(2),
            everywhere_timeout: Duration::from_secs(10),
            members: false,
            max_lag: Duration::from_secs(30),
            when_lagging: WhenLagging::Revalidate,
            history_lost: HistoryLost::Revalidate,
            share: vec![Share::Admin, Share::MutationRule, Share::CacheGroup],
            share_rate: Rate { per_minute: 600, burst: 100 },
            apply_rate: Rate { per_minute: 60_000, burst: 5_000 },
            replay_max: 8_192,
            role: Role::Member,
        }
    }
}

impl FleetConfig {
    pub(super) fn read(&mut self, object: &mut Object<'_>) -> Read<()> {
        object.field("name", &mut self.name, |at| at.or_null(|at| text(at).map(|Name(name)| name)))?;
        object.field("member", &mut self.member, |at| at.or_null(|at| text(at).map(|Name(name)| name)))?;
        object.field("cluster", &mut self.cluster, cluster)?;
        object.field("prefix", &mut self.prefix, prefix)?;
        object.field("acknowledge", &mut self.acknowledge, text)?;
        object.field("acknowledge_timeout", &mut self.acknowledge_timeout, |at| {
            duration_within(at, 100, 60_000)
        })?;
        object.field("everywhere_timeout", &mut self.everywhere_timeout, |at| {
            duration_within(at, 100, 60_000)
        })?;
        object.field("members", &mut self.members, boolean)?;
        object.field("max_lag", &mut self.max_lag, |at| duration_within(at, 3_000, 600_000))?;
        object.field("when_lagging", &mut self.when_lagging, text)?;
        object.field("history_lost", &mut self.history_lost, text)?;
        object.field("share", &mut self.share, |at| at.list(text))?;
        object.section("share_rate", |object| self.share_rate.read(object))?;
        object.section("apply_rate", |object| self.apply_rate.read(object))?;
        object.field("replay_max", &mut self.replay_max, |at| count(at, 1, 8_192))?;
        object.field("role", &mut self.role, text)?;
        if self.acknowledge == Acknowledge::Everywhere && !self.members {
            let message = "\"everywhere\" needs fleet.members, by which members say what they have applied";
            return Err(object.error("acknowledge", message));
        }
        if self.acknowledge_timeout > self.max_lag {
            let (timeout, lag) = (show_duration(self.acknowledge_timeout), show_duration(self.max_lag));
            let message = format!("{timeout} is more than fleet.max_lag, which is {lag}");
            return Err(object.error("acknowledge_timeout", message));
        }
        Ok(())
    }

    /// Whether invalidations of a kind travel; those of none never do.
    #[must_use]
    pub fn shares(&self, kind: Option<Share>) -> bool {
        let shares = |kind| self.share.contains(&kind);
        self.name.is_some() && self.role == Role::Member && kind.is_some_and(shares)
    }
}

fn cluster(at: &At<'_>) -> Read<String> {
    match at.value {
        Json::Text(name) if !name.is_empty() => Ok(name.clone()),
        _ => Err(at.wrong("a cluster", "the name of one")),
    }
}

fn prefix(at: &At<'_>) -> Read<String> {
    let plain = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
    match at.value {
        Json::Text(text) if text.ends_with('/') && text.len() <= 128 && text.bytes().all(plain) => {
            Ok(text.clone())
        }
        _ => {
            Err(at.wrong("a prefix of keys", "printable ASCII with a slash at the end, such as \"/larder/\""))
        }
    }
}
