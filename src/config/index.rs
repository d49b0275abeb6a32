//! Which rules can match a request at all, found without looking at the others.
//!
//! Each rule is filed under the literal beginning or end of its paths, or the literal end of its hosts, whichever
//! it shares with the fewest other rules. A request then meets the rules filed under what it begins and ends
//! with, and those that say nothing literal.

use std::collections::BTreeMap;

use super::matcher::{Match, Target};

/// Where a rule is filed.
#[derive(Clone, Copy, PartialEq, Debug)]
enum File {
    PathPrefix,
    PathSuffix,
    HostSuffix,
}

const FILES: [File; 3] = [File::PathPrefix, File::PathSuffix, File::HostSuffix];

#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Index {
    path_prefix: PrefixTable,
    /// Reversed, as the next one.
    path_suffix: PrefixTable,
    host_suffix: PrefixTable,
    /// The rules that any request may match.
    any: Vec<u32>,
}

impl Index {
    pub(super) fn new<'m>(matches: impl Iterator<Item = &'m Match>) -> Self {
        let keys: Vec<[Vec<Vec<u8>>; 3]> = matches.map(|of| FILES.map(|file| keys(of, file))).collect();
        let mut shared: [BTreeMap<&[u8], usize>; 3] = Default::default();
        for rule in &keys {
            for (keys, shared) in rule.iter().zip(&mut shared) {
                keys.iter().for_each(|key| *shared.entry(key).or_default() += 1);
            }
        }
        let mut filed: [BTreeMap<Vec<u8>, Vec<u32>>; 3] = Default::default();
        let mut any = Vec::new();
        for (rule, keys) in (0..).zip(&keys) {
            let cost = |keys: &[Vec<u8>], shared: &BTreeMap<&[u8], usize>| {
                keys.iter().filter_map(|key| shared.get(&**key)).sum::<usize>()
            };
            let files = keys.iter().zip(&shared).zip(&mut filed).filter(|((keys, _), _)| !keys.is_empty());
            match files.min_by_key(|((keys, shared), _)| cost(keys, shared)) {
                Some(((keys, _), file)) => {
                    keys.iter().for_each(|key| file.entry(key.clone()).or_default().push(rule));
                }
                None => any.push(rule),
            }
        }
        let [path_prefix, path_suffix, host_suffix] = filed.map(PrefixTable::new);
        Index { path_prefix, path_suffix, host_suffix, any }
    }

    /// Puts the rules that the request may match into `found`, in order. `reversed` is room to work in.
    pub(super) fn find(&self, target: &Target<'_>, found: &mut Vec<u32>, reversed: &mut Vec<u8>) {
        found.clear();
        found.extend_from_slice(&self.any);
        self.path_prefix.find(target.path, found);
        for (table, text) in [(&self.path_suffix, target.path), (&self.host_suffix, target.host())] {
            if !table.is_empty() {
                reversed.clear();
                reversed.extend(text.iter().rev());
                table.find(reversed, found);
            }
        }
        found.sort_unstable();
        found.dedup();
    }
}

/// What the rule can be filed under; empty when one of its alternatives has nothing literal there.
fn keys(of: &Match, file: File) -> Vec<Vec<u8>> {
    let paths = of.path.iter().flat_map(|alternatives| &alternatives.0);
    let keys: Vec<Vec<u8>> = match file {
        File::PathPrefix => paths.map(|path| path.prefix()).collect(),
        File::PathSuffix => paths.map(|path| reversed(&path.suffix())).collect(),
        File::HostSuffix => {
            let hosts = of.host.iter().flat_map(|alternatives| &alternatives.0);
            hosts.map(|host| reversed(host.suffix())).collect()
        }
    };
    if keys.iter().any(Vec::is_empty) { Vec::new() } else { keys }
}

fn reversed(text: &[u8]) -> Vec<u8> {
    text.iter().rev().copied().collect()
}

/// Rules by a literal that texts begin with.
#[derive(Clone, PartialEq, Debug, Default)]
struct PrefixTable {
    /// In the order of their keys.
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Debug)]
struct Entry {
    key: Vec<u8>,
    /// The entry of the longest other key that this key begins with.
    parent: Option<usize>,
    rules: Vec<u32>,
}

impl PrefixTable {
    fn new(rules: BTreeMap<Vec<u8>, Vec<u32>>) -> Self {
        let mut entries: Vec<Entry> = Vec::with_capacity(rules.len());
        for (key, rules) in rules {
            let parent = prefix_of(&entries, &key, entries.len().checked_sub(1));
            entries.push(Entry { key, parent, rules });
        }
        PrefixTable { entries }
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds the rules of all keys that `text` begins with. All of them are ancestors of the last key that is not
    /// after `text`, or that key itself: whatever lies between a prefix of `text` and `text` begins with it too.
    fn find(&self, text: &[u8], found: &mut Vec<u32>) {
        let last = self.entries.partition_point(|entry| entry.key.as_slice() <= text).checked_sub(1);
        let mut at = prefix_of(&self.entries, text, last);
        while let Some(entry) = at.and_then(|at| self.entries.get(at)) {
            found.extend_from_slice(&entry.rules);
            at = entry.parent;
        }
    }
}

/// The first of this entry and its ancestors whose key `text` begins with.
fn prefix_of(entries: &[Entry], text: &[u8], mut at: Option<usize>) -> Option<usize> {
    while let Some(entry) = at.and_then(|at| entries.get(at)) {
        if text.starts_with(&entry.key) {
            break;
        }
        at = entry.parent;
    }
    at
}
