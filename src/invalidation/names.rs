//! Names under which something was invalidated, within a bound. Where a host has too many, one for the whole host
//! stands for them: that covers more of that host, and nothing of any other.

use hashbrown::HashMap;

use super::since::Since;

/// What part of the room has to be free once room was made: else it would be made again for each of the next names.
const FREE_OF: usize = 8;

/// Names, each with the positions from which on it is covered. They are known by their hashes.
#[derive(Debug)]
pub(super) struct Names {
    limit: usize,
    of_a_host_max: usize,
    since: HashMap<u64, Since>,
    /// By the hash of a host, which of the names are of that host.
    of_hosts: HashMap<u64, Vec<u64>>,
}

impl Names {
    /// No names yet: at most so many, and so many of one host.
    pub(super) fn new(limit: usize, of_a_host_max: usize) -> Names {
        Names { limit, of_a_host_max, since: HashMap::new(), of_hosts: HashMap::new() }
    }

    pub(super) fn get(&self, name: u64) -> Option<&Since> {
        if self.since.is_empty() { None } else { self.since.get(&name) }
    }

    pub(super) fn len(&self) -> usize {
        self.since.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.since.is_empty()
    }

    /// Whether one name more is too many.
    pub(super) fn is_full(&self) -> bool {
        self.since.len() >= self.limit
    }

    pub(super) fn knows(&self, name: u64) -> bool {
        self.since.contains_key(&name)
    }

    /// The positions of a name, which is one of this host.
    pub(super) fn entry(&mut self, name: u64, host: Option<u64>) -> &mut Since {
        if let Some(host) = host
            && !self.since.contains_key(&name)
        {
            let names = self.of_hosts.entry(host).or_default();
            if names.len() >= self.of_a_host_max {
                self.fold(host);
                return self.since.entry(host).or_default();
            }
            names.push(name);
        }
        self.since.entry(name).or_default()
    }

    /// Has hosts stand for their names, those with the most first; whether that was of any use.
    pub(super) fn make_room(&mut self) -> bool {
        let most = self.of_hosts.values().map(Vec::len).max().unwrap_or(0);
        let many = (most / 2).max(2);
        let hosts: Vec<u64> =
            self.of_hosts.iter().filter(|(_, names)| names.len() >= many).map(|(host, _)| *host).collect();
        hosts.into_iter().for_each(|host| self.fold(host));
        self.since.len() < self.limit && self.since.len() <= self.limit - self.limit / FREE_OF
    }

    fn fold(&mut self, host: u64) {
        let names = self.of_hosts.remove(&host).unwrap_or_default();
        let mut all = self.since.remove(&host).unwrap_or_default();
        names.iter().filter_map(|name| self.since.remove(name)).for_each(|since| all.merge(&since));
        self.since.insert(host, all);
    }

    /// Gives up all names: each as that of its host, where it has one, with its newest position.
    pub(super) fn give_up(&mut self) -> Vec<(u64, u64)> {
        let hosts: Vec<u64> = self.of_hosts.keys().copied().collect();
        hosts.into_iter().for_each(|host| self.fold(host));
        core::mem::take(&mut self.since).into_iter().map(|(name, since)| (name, since.newest())).collect()
    }

    /// Forgets what was said up to this position.
    pub(super) fn forget_before(&mut self, seq: u64) {
        self.since.retain(|_, since| since.newest() > seq);
        self.of_hosts.retain(|_, names| {
            names.retain(|name| self.since.contains_key(name));
            !names.is_empty()
        });
    }
}
