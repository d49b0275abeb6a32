//! Which rules can match a request at all, found without looking at the others.
//!
//! Each rule is filed under the literal beginning or end of its paths, the literal end of its hosts, or a request
//! header field that it wants, whichever it shares with the fewest other rules. A request then meets the rules that
//! are filed under what it has, and those that say nothing literal.

use std::collections::{BTreeMap, BTreeSet};

use super::matcher::{FieldCondition, Match, Target};

/// Where a rule is filed.
#[derive(Clone, Copy, PartialEq, Debug)]
enum File {
    PathPrefix,
    PathSuffix,
    HostSuffix,
    Header,
}

const FILES: [File; 4] = [File::PathPrefix, File::PathSuffix, File::HostSuffix, File::Header];

#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Index {
    path_prefix: PrefixTable,
    /// Reversed, as the next one.
    path_suffix: PrefixTable,
    host_suffix: PrefixTable,
    /// By [`header_key`].
    header: PrefixTable,
    /// The header fields that rules are filed under.
    header_names: BTreeSet<Vec<u8>>,
    /// The rules that any request may match.
    any: Vec<u32>,
    /// How many rules there are.
    rules: usize,
}

impl Index {
    pub(super) fn new<'m>(matches: impl Iterator<Item = &'m Match>) -> Self {
        let keys: Vec<[Vec<Vec<u8>>; 4]> = matches.map(|of| FILES.map(|file| keys(of, file))).collect();
        let mut shared: [BTreeMap<&[u8], usize>; 4] = Default::default();
        for rule in &keys {
            for (keys, shared) in rule.iter().zip(&mut shared) {
                keys.iter().for_each(|key| *shared.entry(key).or_default() += 1);
            }
        }
        let mut filed: [BTreeMap<Vec<u8>, Vec<u32>>; 4] = Default::default();
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
        let [path_prefix, path_suffix, host_suffix, header] = filed.map(PrefixTable::new);
        let header_names = header.entries.iter().map(|entry| header_name(&entry.key)).collect();
        Index { path_prefix, path_suffix, host_suffix, header, header_names, any, rules: keys.len() }
    }

    /// Puts the rules that the request may match into `found`, in order. `text` is room to work in.
    pub(super) fn find(&self, target: &Target<'_>, found: &mut Vec<u32>, text: &mut Vec<u8>) {
        found.clear();
        found.extend_from_slice(&self.any);
        self.path_prefix.find(target.path, found);
        for (table, ending) in [(&self.path_suffix, target.path), (&self.host_suffix, target.host())] {
            if !table.entries.is_empty() {
                text.clear();
                text.extend(ending.iter().rev());
                table.find(text, found);
            }
        }
        if !self.header_names.is_empty() {
            self.find_by_header(target, found, text);
        }
        sort_once(found);
    }

    fn find_by_header(&self, target: &Target<'_>, found: &mut Vec<u32>, text: &mut Vec<u8>) {
        let fields = target.request.fields.iter().filter(|(name, _)| self.header_names.contains(*name));
        for (name, value) in fields {
            header_key(name, value, text);
            self.header.find(text, found);
            // A field that is repeated a thousand times must not fill the list a thousand times.
            if found.len() > 2 * self.rules {
                sort_once(found);
            }
        }
    }
}

fn sort_once(found: &mut Vec<u32>) {
    found.sort_unstable();
    found.dedup();
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
        File::Header => {
            of.header.iter().find_map(|(name, condition)| header_keys(&name.0, condition)).unwrap_or_default()
        }
    };
    if keys.iter().any(Vec::is_empty) { Vec::new() } else { keys }
}

/// What a rule can be filed under that has this condition; none when it wants the field to be absent.
fn header_keys(name: &str, condition: &FieldCondition) -> Option<Vec<Vec<u8>>> {
    let key = |value: &[u8]| {
        let mut key = Vec::new();
        header_key(name.as_bytes(), value, &mut key);
        key
    };
    match condition {
        FieldCondition::Present(false) => None,
        FieldCondition::Present(true) => Some(vec![key(b"")]),
        FieldCondition::Value(patterns) => {
            Some(patterns.0.iter().map(|pattern| key(pattern.prefix())).collect())
        }
    }
}

/// Makes `key` the name and the value, with a byte between them that no name has.
fn header_key(name: &[u8], value: &[u8], key: &mut Vec<u8>) {
    key.clear();
    key.extend_from_slice(name);
    key.push(b':');
    key.extend_from_slice(value);
}

fn header_name(key: &[u8]) -> Vec<u8> {
    key.iter().copied().take_while(|&b| b != b':').collect()
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
