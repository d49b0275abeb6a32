//! Who may read and write which keys.

use super::refusal::{self, Refusal};
use super::store::Keys;

/// What a role allows.
#[derive(Clone, Debug)]
pub struct Grant {
    keys: Keys,
    writes: bool,
}

impl Grant {
    /// `etcdctl role grant-permission … read --prefix`.
    pub fn read(prefix: &str) -> Grant {
        Grant { keys: Keys::with_prefix(prefix), writes: false }
    }

    /// `etcdctl role grant-permission … readwrite --prefix`.
    pub fn readwrite(prefix: &str) -> Grant {
        Grant { keys: Keys::with_prefix(prefix), writes: true }
    }
}

/// Whom etcd takes a client for.
#[derive(Clone, Debug)]
pub enum User {
    /// Nobody has asked for names yet, or it is the administrator.
    Root,
    /// No certificate, though users have been named.
    Nobody,
    Named(Vec<Grant>),
}

impl User {
    pub fn may_read(&self, keys: &Keys) -> Result<(), Refusal> {
        self.may(keys, |_| true)
    }

    pub fn may_write(&self, keys: &Keys) -> Result<(), Refusal> {
        self.may(keys, |grant| grant.writes)
    }

    pub fn may_write_all(&self, keys: Vec<Vec<u8>>) -> Result<(), Refusal> {
        keys.iter().try_for_each(|key| self.may_write(&Keys::new(key, b"")))
    }

    fn may(&self, keys: &Keys, by: impl Fn(&Grant) -> bool) -> Result<(), Refusal> {
        match self {
            User::Root => Ok(()),
            User::Nobody => refusal::refuse(3, "etcdserver: user name is empty"),
            User::Named(grants) if grants.iter().any(|grant| by(grant) && grant.keys.have_all(keys)) => {
                Ok(())
            }
            User::Named(_) => refusal::permission_denied(),
        }
    }
}
