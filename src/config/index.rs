//! Which rules can match a request at all, found without looking at the others.
//!
//! Each rule is filed under the literal beginning or end of its paths, the literal end of its hosts, or a request
//! header field that it wants, whichever it shares with the fewest other rules. A request then meets the rules that
//! are filed under what it has, and those that say nothing literal.

use std::collections::BinaryHeap;

use hashbrown::HashMap;

use super::matcher::{FieldCondition, Match, Target};

/// Rules by a literal that what they match begins with. The first byte of a key says what kind of key it is.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Index {
    /// In the order of their keys.
    entries: Vec<Entry>,
    /// The kinds of keys that there are.
    kinds: Vec<u8>,
    /// The header fields that rules are filed under, sorted.
    header_names: Vec<Vec<u8>>,
    /// The rules that any request may match.
    any: Vec<u32>,
    /// How many rules there are.
    rules: usize,
}

#[derive(Clone, PartialEq, Debug)]
struct Entry {
    key: Vec<u8>,
    /// The entry of the longest other key that this key begins with.
    parent: Option<usize>,
    rules: Vec<u32>,
}

/// The path.
const PATH: u8 = b'/';
/// The path, read backwards.
const PATH_END: u8 = b'$';
/// The host, read backwards.
const HOST_END: u8 = b'@';
/// A header field's name, a colon, which no name has, and its value.
const HEADER: u8 = b':';

impl Index {
    pub(super) fn new<'m>(matches: impl Iterator<Item = &'m Match>) -> Self {
        let choices: Vec<[Keys; 4]> = matches.map(choices).collect();
        let mut shared: HashMap<&[u8], usize> = HashMap::new();
        choices.iter().flatten().flatten().for_each(|key| *shared.entry(key).or_default() += 1);
        let shared = |key: &Vec<u8>| shared.get(key.as_slice()).copied().unwrap_or_default();
        let mut index = Index { rules: choices.len(), ..Index::default() };
        // A heap, because it sorts in fewer bytes of code than a slice does, and it is done once.
        let mut filed: BinaryHeap<(Vec<u8>, u32)> = BinaryHeap::new();
        for (rule, choices) in (0..).zip(&choices) {
            let usable = choices.iter().filter(|keys| !keys.is_empty());
            match usable.min_by_key(|keys| keys.iter().map(shared).sum::<usize>()) {
                Some(keys) => filed.extend(keys.iter().map(|key| (key.clone(), rule))),
                None => index.any.push(rule),
            }
        }
        filed.into_sorted_vec().into_iter().for_each(|(key, rule)| index.file(key, rule));
        index
    }

    /// Files a rule under a key; keys come in order.
    fn file(&mut self, key: Vec<u8>, rule: u32) {
        if let Some(entry) = self.entries.last_mut().filter(|entry| entry.key == key) {
            entry.rules.push(rule);
            return;
        }
        let kind = key.first().copied().unwrap_or_default();
        if self.kinds.last() != Some(&kind) {
            self.kinds.push(kind);
        }
        if kind == HEADER {
            let name = key.split(|&b| b == b':').nth(1).unwrap_or_default();
            if self.header_names.last().is_none_or(|last| last != name) {
                self.header_names.push(name.to_vec());
            }
        }
        let parent = self.prefix_of(&key, self.entries.len().checked_sub(1));
        self.entries.push(Entry { key, parent, rules: vec![rule] });
    }

    /// Marks the rules that the request may match. `key` is room to work in.
    pub(super) fn find(&self, target: &Target<'_>, found: &mut Candidates, key: &mut Vec<u8>) {
        found.clear(self.rules);
        found.mark(&self.any);
        for &kind in &self.kinds {
            key.clear();
            key.push(kind);
            match kind {
                PATH => key.extend_from_slice(target.path),
                PATH_END => key.extend(target.path.iter().rev()),
                HOST_END => key.extend(target.host().iter().rev()),
                _ => {
                    self.find_by_header(target, found, key);
                    continue;
                }
            }
            self.find_by_key(key, found);
        }
    }

    fn find_by_header(&self, target: &Target<'_>, found: &mut Candidates, key: &mut Vec<u8>) {
        let wanted =
            |name: &[u8]| self.header_names.binary_search_by(|known| known.as_slice().cmp(name)).is_ok();
        for (name, value) in target.request.fields.iter().filter(|(name, _)| wanted(name)) {
            header_key(name, value, key);
            self.find_by_key(key, found);
        }
    }

    /// Adds the rules of all keys that `text` begins with. All of them are ancestors of the last key that is not
    /// after `text`, or that key itself: whatever lies between a prefix of `text` and `text` begins with it too.
    fn find_by_key(&self, text: &[u8], found: &mut Candidates) {
        let last = self.entries.partition_point(|entry| entry.key.as_slice() <= text).checked_sub(1);
        let mut at = self.prefix_of(text, last);
        while let Some(entry) = at.and_then(|at| self.entries.get(at)) {
            found.mark(&entry.rules);
            at = entry.parent;
        }
    }

    /// The first of this entry and its ancestors whose key `text` begins with.
    fn prefix_of(&self, text: &[u8], mut at: Option<usize>) -> Option<usize> {
        while let Some(entry) = at.and_then(|at| self.entries.get(at)) {
            if text.starts_with(&entry.key) {
                break;
            }
            at = entry.parent;
        }
        at
    }
}

/// Rules that have been marked, a bit for each.
#[derive(Default)]
pub(super) struct Candidates {
    words: Vec<u64>,
}

impl Candidates {
    fn clear(&mut self, rules: usize) {
        self.words.clear();
        self.words.resize(rules.div_ceil(64), 0);
    }

    fn mark(&mut self, rules: &[u32]) {
        for rule in rules {
            if let Some(word) = self.words.get_mut(*rule as usize / 64) {
                *word |= 1 << (rule % 64);
            }
        }
    }

    /// The rules that are marked, in order, each once.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = u32> {
        let words = (0..).step_by(64).zip(self.words.iter_mut());
        words.filter(|(_, word)| **word != 0).flat_map(|(first, word)| {
            core::iter::from_fn(move || {
                let bit = word.trailing_zeros();
                *word &= word.wrapping_sub(1);
                (bit < 64).then_some(first + bit)
            })
        })
    }
}

/// A key for each alternative of a condition.
type Keys = Vec<Vec<u8>>;

/// What the rule can be filed under; empty when an alternative has nothing literal there.
fn choices(of: &Match) -> [Keys; 4] {
    let paths = || of.path.iter().flatten();
    let hosts = of.host.iter().flatten();
    [
        all_literal(paths().map(|path| path.prefix()), |prefix, key| {
            key.push(PATH);
            key.extend_from_slice(prefix);
        }),
        all_literal(paths().map(|path| path.suffix()), |suffix, key| {
            key.push(PATH_END);
            key.extend(suffix.iter().rev());
        }),
        all_literal(hosts.map(|host| host.suffix().to_vec()), |suffix, key| {
            key.push(HOST_END);
            key.extend(suffix.iter().rev());
        }),
        of.header.iter().find_map(|(name, condition)| header_keys(name, condition)).unwrap_or_default(),
    ]
}

fn all_literal(literals: impl Iterator<Item = Vec<u8>>, write: impl Fn(&[u8], &mut Vec<u8>)) -> Keys {
    let mut keys = Vec::new();
    for literal in literals {
        if literal.is_empty() {
            return Vec::new();
        }
        let mut key = Vec::with_capacity(literal.len() + 1);
        write(&literal, &mut key);
        keys.push(key);
    }
    keys
}

/// What a rule can be filed under that has this condition; none when it wants the field to be absent.
fn header_keys(name: &str, condition: &FieldCondition) -> Option<Keys> {
    let key = |value: &[u8]| {
        let mut key = Vec::new();
        header_key(name.as_bytes(), value, &mut key);
        key
    };
    match condition {
        FieldCondition::Present(false) => None,
        FieldCondition::Present(true) => Some(vec![key(b"")]),
        FieldCondition::Value(patterns) => {
            Some(patterns.iter().map(|pattern| key(pattern.prefix())).collect())
        }
    }
}

fn header_key(name: &[u8], value: &[u8], key: &mut Vec<u8>) {
    key.clear();
    key.push(HEADER);
    key.extend_from_slice(name);
    key.push(b':');
    key.extend_from_slice(value);
}
