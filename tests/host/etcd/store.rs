//! What etcd keeps: keys with their history, and leases.

use std::collections::BTreeMap;

use super::messages::{Event, KeyValue};
use super::refusal::{self, Refusal};

/// `MaxLeaseTTL` in seconds.
const TTL_MAX: i64 = 9_000_000_000;
/// The shortest lease: one and a half election timeouts of 1 s, rounded up.
const TTL_MIN: i64 = 2;

/// Some keys: one, or those from one to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Keys {
    pub from: Vec<u8>,
    /// The first that is not among them; none: to the end.
    pub to: Option<Vec<u8>>,
}

impl Keys {
    /// As requests name them.
    pub fn new(key: &[u8], range_end: &[u8]) -> Keys {
        let to = match range_end {
            [] => Some([key, b"\0"].concat()),
            [0] => None,
            end => Some(end.to_vec()),
        };
        Keys { from: key.to_vec(), to }
    }

    /// All that begin with this.
    pub fn with_prefix(prefix: &str) -> Keys {
        let mut to = prefix.as_bytes().to_vec();
        while to.last() == Some(&0xff) {
            to.pop();
        }
        if let Some(last) = to.last_mut() {
            *last += 1;
        }
        Keys { from: prefix.into(), to: (!to.is_empty()).then_some(to) }
    }

    pub fn have(&self, key: &[u8]) -> bool {
        *self.from <= *key && self.to.as_ref().is_none_or(|to| key < to.as_slice())
    }

    pub fn have_all(&self, others: &Keys) -> bool {
        let ends = match (&self.to, &others.to) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(other)) => other <= own,
        };
        self.from <= others.from && ends
    }
}

/// A lease in etcd.
#[derive(Clone, Debug)]
pub struct Lease {
    pub ttl: i64,
    /// When it runs out, in milliseconds.
    pub until: u64,
}

/// Keys with all that has happened to them since the last compaction.
#[derive(Clone, Debug)]
pub struct Store {
    pub revision: i64,
    /// Revisions below this one are not there any more; 0: never compacted.
    pub compacted: i64,
    /// In the order in which it happened; `mod_revision` says when.
    pub history: Vec<Event>,
    /// What the history comes to.
    current: BTreeMap<Vec<u8>, KeyValue>,
    pub leases: BTreeMap<i64, Lease>,
    next_lease: i64,
}

impl Store {
    pub fn new() -> Store {
        Store {
            revision: 1,
            compacted: 0,
            history: Vec::new(),
            current: BTreeMap::new(),
            leases: BTreeMap::new(),
            next_lease: 0x1000_0001,
        }
    }

    /// The keys as they are.
    pub fn now(&self, keys: &Keys) -> Vec<KeyValue> {
        self.current
            .range(keys.from.clone()..)
            .map(|(_, kv)| kv)
            .take_while(|kv| keys.have(&kv.key))
            .cloned()
            .collect()
    }

    /// The keys as they were at a revision.
    pub fn at(&self, revision: i64, keys: &Keys) -> Vec<KeyValue> {
        let mut found = BTreeMap::new();
        for event in self.history.iter().take_while(|event| revision_of(event) <= revision) {
            let Some(kv) = event.kv.as_ref().filter(|kv| keys.have(&kv.key)) else { continue };
            match event.kind {
                0 => found.insert(&kv.key, kv),
                _ => found.remove(&kv.key),
            };
        }
        found.into_values().cloned().collect()
    }

    pub fn get(&self, key: &[u8]) -> Option<KeyValue> {
        self.current.get(key).cloned()
    }

    /// Whether a revision can be asked for. 0 is the newest.
    pub fn check_revision(&self, revision: i64) -> Result<(), Refusal> {
        match revision {
            ..=0 => Ok(()),
            _ if revision > self.revision => refusal::future(),
            _ if revision < self.compacted => refusal::compacted(),
            _ => Ok(()),
        }
    }

    /// Changes several keys at one revision.
    pub fn write<R>(&mut self, act: impl FnOnce(&mut Write<'_>) -> R) -> R {
        let mut write = Write { revision: self.revision + 1, changed: false, store: self };
        let result = act(&mut write);
        if write.changed {
            self.revision += 1;
        }
        result
    }

    /// Forgets what is older than this revision, but for what each key had then.
    pub fn compact(&mut self, revision: i64) -> Result<(), Refusal> {
        if revision <= self.compacted {
            return refusal::compacted();
        }
        if revision > self.revision {
            return refusal::future();
        }
        self.compacted = revision;
        let kept = self.at(revision, &Keys::new(b"\0", b"\0"));
        let newer = |event: &Event| revision_of(event) > revision;
        self.history.retain(|event| {
            newer(event) || event.kind == 0 && kept.iter().any(|kv| event.kv.as_ref() == Some(kv))
        });
        Ok(())
    }

    /// `etcdutl snapshot restore --bump-revision --mark-compacted`.
    pub fn raise(&mut self, by: i64) {
        self.revision += by;
        self.compacted = self.revision;
    }

    pub fn grant(&mut self, id: i64, ttl: i64, now: u64) -> Result<(i64, i64), Refusal> {
        if ttl > TTL_MAX {
            return refusal::refuse(11, "etcdserver: too large lease TTL");
        }
        if self.leases.contains_key(&id) {
            return refusal::refuse(9, "etcdserver: lease already exists");
        }
        let id = if id == 0 { self.next_lease } else { id };
        self.next_lease += 1;
        let ttl = ttl.max(TTL_MIN);
        self.leases.insert(id, Lease { ttl, until: now + ttl as u64 * 1000 });
        Ok((id, ttl))
    }

    /// Its lifetime begins again; none when there is no such lease.
    pub fn keep_alive(&mut self, id: i64, now: u64) -> Option<i64> {
        let lease = self.leases.get_mut(&id)?;
        lease.until = now + lease.ttl as u64 * 1000;
        Some(lease.ttl)
    }

    /// All leases live their whole time again: what a new leader does.
    pub fn promote(&mut self, now: u64) {
        for lease in self.leases.values_mut() {
            lease.until = now + lease.ttl as u64 * 1000;
        }
    }

    /// The keys that live as long as a lease.
    pub fn keys_of(&self, lease: i64) -> Vec<Vec<u8>> {
        let all = self.current.values();
        all.filter(|kv| kv.lease == lease).map(|kv| kv.key.clone()).collect()
    }

    /// A lease ends, and its keys with it, at one revision.
    pub fn revoke(&mut self, id: i64) -> Result<(), Refusal> {
        if self.leases.remove(&id).is_none() {
            return refusal::no_lease();
        }
        let keys = self.keys_of(id);
        self.write(|write| {
            for key in keys {
                write.delete(&Keys::new(&key, b""));
            }
        });
        Ok(())
    }

    /// The lease that runs out first, and when.
    pub fn next_expiry(&self) -> Option<(u64, i64)> {
        self.leases.iter().map(|(id, lease)| (lease.until, *id)).min()
    }
}

/// A change under way.
pub struct Write<'a> {
    pub store: &'a mut Store,
    /// The revision of what it changes.
    revision: i64,
    changed: bool,
}

impl Write<'_> {
    /// What headers say in the midst of it.
    pub fn seen_revision(&self) -> i64 {
        self.revision - i64::from(!self.changed)
    }

    pub fn put(&mut self, key: &[u8], value: &[u8], lease: i64) -> Result<(), Refusal> {
        if lease != 0 && !self.store.leases.contains_key(&lease) {
            return refusal::no_lease();
        }
        let before = self.store.get(key);
        let kv = KeyValue {
            key: key.to_vec(),
            create_revision: before.as_ref().map_or(self.revision, |kv| kv.create_revision),
            mod_revision: self.revision,
            version: before.map_or(0, |kv| kv.version) + 1,
            value: value.to_vec(),
            lease,
        };
        self.changed = true;
        self.store.current.insert(kv.key.clone(), kv.clone());
        self.store.history.push(Event { kind: 0, kv: Some(kv) });
        Ok(())
    }

    /// How many there were.
    pub fn delete(&mut self, keys: &Keys) -> i64 {
        let found = self.store.now(keys);
        for kv in &found {
            self.changed = true;
            self.store.current.remove(&kv.key);
            let gone = KeyValue { key: kv.key.clone(), mod_revision: self.revision, ..KeyValue::default() };
            self.store.history.push(Event { kind: 1, kv: Some(gone) });
        }
        found.len() as i64
    }
}

/// When something happened.
pub fn revision_of(event: &Event) -> i64 {
    event.kv.as_ref().map_or(0, |kv| kv.mod_revision)
}
