//! The journal as an index: what it says about a stored response, without looking at each record.
//!
//! Selectors that name something are filed under hashes of the name, with the newest position for each mode; to
//! judge a response is to look up its own names. Conjunctions and globs are filed among those of one of their
//! names where they have one. Only what is left over, patterns over any host and ages, is a list; it is bounded.

use hashbrown::HashMap;

use super::key::{Filed, Keys, Used};
use super::matcher::Matcher;
use super::{Invalidation, Mode, Selector, Subject};
use crate::time::Timestamp;

/// The most selectors of one list: that many have to be held against a response one by one.
const LIST_MAX: usize = 512;

/// The most regular expressions, which take much more memory than anything else here.
const REGEXES_MAX: usize = 512;

/// The most soft positions that are remembered for one name.
const SOFT_MAX: usize = 4;

/// What the journal says about a stored response. The stronger is the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// Nothing has covered it since it was requested.
    Valid,
    /// It is stale.
    Soft {
        /// Since then.
        at: Timestamp,
    },
    /// It must be validated before it is used.
    Revalidate,
    /// It is gone.
    Hard,
}

/// The index has no room for the record, which is not in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// What the records that were inserted say about stored responses.
#[derive(Debug)]
pub struct Index {
    limit: usize,
    keys: Keys,
    used: Used,
    /// The newest position of any record.
    newest: u64,
    everything: Since,
    named: HashMap<u64, Since>,
    among: HashMap<u64, Vec<Matching>>,
    apart: Vec<Matching>,
    matchers: usize,
    regexes: usize,
}

/// A selector that has to be held against a response. In a list they are ordered by their newest position.
#[derive(Debug)]
struct Matching {
    selector: Selector,
    matcher: Matcher,
    since: Since,
}

/// The newest positions of each mode; 0 is none.
#[derive(Clone, Default, Debug)]
struct Since {
    hard: u64,
    revalidate: u64,
    /// The newest soft positions, ascending, each with the time since when what it covers is stale.
    soft: Vec<(u64, Timestamp)>,
}

impl Index {
    /// An empty index that takes in at most `limit` names and selectors.
    #[must_use]
    pub fn new(limit: usize) -> Index {
        Index::with_secret(limit, (0, 0))
    }

    /// An empty index whose hashes nobody can predict who does not know the secret.
    #[must_use]
    pub fn with_secret(limit: usize, secret: (u64, u64)) -> Index {
        Index {
            limit,
            keys: Keys::new(secret),
            used: Used::default(),
            newest: 0,
            everything: Since::default(),
            named: HashMap::new(),
            among: HashMap::new(),
            apart: Vec::new(),
            matchers: 0,
            regexes: 0,
        }
    }

    /// Takes in the record at position `seq`. Records may come in any order.
    ///
    /// # Errors
    /// When the limit is reached; then the caller must remember by other means what the record covers.
    pub fn insert(&mut self, seq: u64, invalidation: &Invalidation) -> Result<(), Full> {
        let filed = self.keys.file(&invalidation.selector, &mut self.used);
        let add = |since: &mut Since| since.add(seq, invalidation);
        match filed {
            Filed::Everything => {
                add(&mut self.everything);
                self.forget_before(self.everything.hard);
            }
            Filed::Under(keys) => {
                let new = keys.iter().filter(|key| !self.named.contains_key(*key)).count();
                if new > 0 && self.len() + new > self.limit {
                    return Err(Full);
                }
                keys.into_iter().for_each(|key| add(self.named.entry(key).or_default()));
            }
            Filed::Among(key) => self.insert_matcher(Some(key), &invalidation.selector, add)?,
            Filed::Apart => self.insert_matcher(None, &invalidation.selector, add)?,
        }
        self.newest = self.newest.max(seq);
        Ok(())
    }

    /// Forgets what was said before a hard purge of everything: it says the same of all that is concerned.
    fn forget_before(&mut self, seq: u64) {
        let is_newer = |matching: &Matching| matching.since.newest() > seq;
        self.named.retain(|_, since| since.newest() > seq);
        self.apart.retain(is_newer);
        self.among.retain(|_, list| {
            list.retain(is_newer);
            !list.is_empty()
        });
        let left = || self.apart.iter().chain(self.among.values().flatten());
        let (matchers, regexes) = (left().count(), left().map(|matching| matching.matcher.regexes()).sum());
        (self.matchers, self.regexes) = (matchers, regexes);
    }

    fn insert_matcher(
        &mut self,
        key: Option<u64>,
        selector: &Selector,
        add: impl FnOnce(&mut Since),
    ) -> Result<(), Full> {
        let full = self.len() >= self.limit;
        let list = match key {
            Some(key) => self.among.entry(key).or_default(),
            None => &mut self.apart,
        };
        let mut matching = match list.iter().position(|m| m.selector == *selector) {
            Some(at) => list.remove(at),
            None if full || list.len() >= LIST_MAX => return Err(Full),
            None => {
                let new = Matching::new(selector);
                let regexes = new.matcher.regexes();
                if self.regexes + regexes > REGEXES_MAX {
                    return Err(Full);
                }
                self.matchers += 1;
                self.regexes += regexes;
                new
            }
        };
        add(&mut matching.since);
        let at = list.partition_point(|m| m.since.newest() <= matching.since.newest());
        list.insert(at, matching);
        Ok(())
    }

    /// Whether so many more patterns can be taken in.
    #[must_use]
    pub fn has_room_for(&self, patterns: usize) -> bool {
        self.apart.len() + patterns <= LIST_MAX
            && self.regexes + patterns <= REGEXES_MAX
            && self.len() + patterns <= self.limit
    }

    /// What the records after position `stamp` say about a stored response: the strongest that covers it.
    #[must_use]
    pub fn verdict(&self, subject: &Subject<'_>, stamp: u64) -> Verdict {
        if stamp >= self.newest {
            return Verdict::Valid;
        }
        let mut found = Found { stamp, verdict: Verdict::Valid };
        found.add(&self.everything);
        if !self.named.is_empty() || !self.among.is_empty() {
            self.keys.visit(subject, self.used, |key| {
                if let Some(since) = self.named.get(&key) {
                    found.add(since);
                }
                if !self.among.is_empty()
                    && let Some(list) = self.among.get(&key)
                {
                    found.add_matching(list, subject);
                }
            });
        }
        found.add_matching(&self.apart, subject);
        found.verdict
    }

    /// How many selectors it holds that have to be held against responses.
    #[must_use]
    pub fn matchers(&self) -> usize {
        self.matchers
    }

    /// How many names and selectors it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.named.len() + self.matchers
    }

    /// Whether it holds nothing, not even a purge of everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.newest == 0
    }

    /// Forgets all records.
    pub fn clear(&mut self) {
        *self = Index { keys: self.keys, ..Index::new(self.limit) };
    }
}

impl Matching {
    fn new(selector: &Selector) -> Matching {
        Matching { selector: selector.clone(), matcher: Matcher::new(selector), since: Since::default() }
    }
}

impl Since {
    fn add(&mut self, seq: u64, invalidation: &Invalidation) {
        match invalidation.mode {
            Mode::Hard => self.hard = self.hard.max(seq),
            Mode::Revalidate => self.revalidate = self.revalidate.max(seq),
            Mode::Soft => self.add_soft(seq, invalidation.issued_at),
        }
    }

    /// Of more positions than can be remembered the two oldest become one, with the position of the newer and the
    /// time of the older: what lies between them may be served stale for a shorter time than it could.
    fn add_soft(&mut self, seq: u64, at: Timestamp) {
        let place = self.soft.partition_point(|(other, _)| *other < seq);
        self.soft.insert(place, (seq, at));
        if self.soft.len() > SOFT_MAX {
            let (_, oldest) = self.soft.remove(0);
            if let Some((_, at)) = self.soft.first_mut() {
                *at = oldest.min(*at);
            }
        }
    }

    fn newest(&self) -> u64 {
        let soft = self.soft.last().map_or(0, |(seq, _)| *seq);
        soft.max(self.hard).max(self.revalidate)
    }
}

/// The strongest verdict so far.
struct Found {
    stamp: u64,
    verdict: Verdict,
}

impl Found {
    fn add(&mut self, since: &Since) {
        let verdict = if since.hard > self.stamp {
            Verdict::Hard
        } else if since.revalidate > self.stamp {
            Verdict::Revalidate
        } else {
            // The first of them, or a later one from after the clock was set back.
            let after = since.soft.iter().filter(|(seq, _)| *seq > self.stamp);
            match after.map(|(_, at)| *at).min() {
                Some(at) => Verdict::Soft { at },
                None => return,
            }
        };
        self.verdict = match (self.verdict, verdict) {
            // Stale since the first of them.
            (Verdict::Soft { at: one }, Verdict::Soft { at: other }) => Verdict::Soft { at: one.min(other) },
            (one, other) => one.max(other),
        };
    }

    fn add_matching(&mut self, list: &[Matching], subject: &Subject<'_>) {
        for matching in list.iter().rev() {
            if matching.since.newest() <= self.stamp || self.verdict == Verdict::Hard {
                break;
            }
            if matching.matcher.covers(subject) {
                self.add(&matching.since);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invalidation::{Origin, Part, Tag, Term};
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn tag(name: &str) -> Tag {
        Tag::new(name).unwrap()
    }

    fn record(mode: Mode, selector: Selector) -> Invalidation {
        Invalidation {
            mode,
            selector,
            issued_at: Timestamp(1000),
            origin: Origin::UnsafeMethod,
            reason: None,
        }
    }

    fn subject<'a>(uri: &'a str, tags: &'a [Tag]) -> Subject<'a> {
        Subject {
            uri: uri.as_bytes(),
            tags,
            status: 200,
            content_type: b"text/html",
            stored_at: Timestamp(500),
        }
    }

    #[test]
    fn only_what_was_requested_before_a_record_is_covered() {
        let mut index = Index::new(100);
        let page = subject("h/a", &[]);
        index.insert(5, &record(Mode::Hard, Selector::Uri(b"h/a".to_vec()))).unwrap();
        index.insert(7, &record(Mode::Soft, Selector::Host(b"h".to_vec()))).unwrap();
        index.insert(6, &record(Mode::Revalidate, Selector::Hostname(b"h".to_vec()))).unwrap();
        let verdicts = [4, 5, 6, 7, 8].map(|stamp| index.verdict(&page, stamp));
        let soft = Verdict::Soft { at: Timestamp(1000) };
        assert_eq!(verdicts, [Verdict::Hard, Verdict::Revalidate, soft, Verdict::Valid, Verdict::Valid]);
        assert_eq!(index.verdict(&subject("other/a", &[]), 0), Verdict::Valid);
    }

    #[test]
    fn a_response_is_stale_since_the_first_soft_purge_after_its_stamp() {
        let mut index = Index::new(100);
        for seq in 1..=8 {
            let at = Timestamp(seq * 100);
            index.insert(seq, &Invalidation { issued_at: at, ..record(Mode::Soft, Selector::All) }).unwrap();
        }
        let since = |stamp| match index.verdict(&subject("h/", &[]), stamp) {
            Verdict::Soft { at } => at.0,
            other => panic!("{other:?}"),
        };
        // The last three are exact, before them the oldest counts.
        assert_eq!([0, 3, 5, 6, 7].map(since), [100, 100, 600, 700, 800]);
    }

    #[test]
    fn a_soft_purge_from_before_the_clock_was_set_back_lengthens_no_grace() {
        let mut index = Index::new(100);
        for (seq, at) in [(1, 9000), (2, 100)] {
            let record = Invalidation { issued_at: Timestamp(at), ..record(Mode::Soft, Selector::All) };
            index.insert(seq, &record).unwrap();
        }
        assert_eq!(index.verdict(&subject("h/", &[]), 0), Verdict::Soft { at: Timestamp(100) });
    }

    #[test]
    fn a_full_index_refuses_new_names_but_not_known_ones() {
        let mut index = Index::new(2);
        let host = |n: u64| record(Mode::Hard, Selector::Host(format!("h{n}").into_bytes()));
        index.insert(1, &host(1)).unwrap();
        index.insert(2, &record(Mode::Soft, Selector::Regex(Part::Url, "a".into()))).unwrap();
        assert_eq!(index.insert(3, &host(2)), Err(Full));
        assert_eq!(index.insert(3, &record(Mode::Soft, Selector::StoredBefore(Timestamp(1)))), Err(Full));
        index.insert(4, &host(1)).unwrap();
        index.insert(5, &record(Mode::Hard, Selector::Regex(Part::Url, "a".into()))).unwrap();
        index.insert(6, &record(Mode::Soft, Selector::All)).unwrap();
        assert_eq!(index.len(), 2);
        assert_eq!(index.verdict(&subject("h9/", &[]), 6), Verdict::Valid);
        index.clear();
        assert!(index.is_empty());
        index.insert(3, &host(2)).unwrap();
    }

    #[test]
    fn a_hard_purge_of_everything_makes_room() {
        let mut index = Index::new(1000);
        let regex = |n: u64| record(Mode::Soft, Selector::Regex(Part::Url, format!("^/{n}$").into()));
        (1..=9).for_each(|n| index.insert(n, &regex(n)).unwrap());
        index.insert(10, &record(Mode::Hard, Selector::Host(b"h".to_vec()))).unwrap();
        index.insert(12, &regex(1)).unwrap();
        assert!(index.has_room_for(LIST_MAX - 9) && !index.has_room_for(LIST_MAX - 8));
        index.insert(11, &record(Mode::Hard, Selector::All)).unwrap();
        assert_eq!(index.len(), 1);
        assert!(index.has_room_for(LIST_MAX - 1));
        let page = subject("h/2", &[]);
        assert_eq!(
            [0, 10, 11].map(|stamp| index.verdict(&page, stamp)),
            [Verdict::Hard, Verdict::Hard, Verdict::Valid]
        );
        assert_eq!(index.verdict(&subject("h/1", &[]), 11), Verdict::Soft { at: Timestamp(1000) });
    }

    #[test]
    fn lists_of_patterns_are_bounded() {
        let mut index = Index::new(100_000);
        let pattern = |n: usize| record(Mode::Hard, Selector::Regex(Part::Url, format!("^/{n}$").into()));
        for n in 0..REGEXES_MAX {
            index.insert(n as u64 + 1, &pattern(n)).unwrap();
        }
        assert_eq!(index.insert(9999, &pattern(REGEXES_MAX)), Err(Full));
        index.insert(9999, &pattern(0)).unwrap();
        assert_eq!(index.verdict(&subject("h/0", &[]), 9000), Verdict::Hard);
        assert_eq!(index.verdict(&subject("h/1", &[]), 1), Verdict::Hard);
        assert_eq!(index.verdict(&subject("h/1", &[]), 2), Verdict::Valid);
        let older = |n: u64| record(Mode::Hard, Selector::StoredBefore(Timestamp(n)));
        let mut index = Index::new(100_000);
        assert!((0..LIST_MAX as u64).all(|n| index.insert(n + 1, &older(n)).is_ok()));
        assert_eq!(index.insert(9999, &older(9999)), Err(Full));
        // Globs that name their host are not in that list.
        let glob = |n: u64| record(Mode::Hard, Selector::Glob(Part::Url, format!("h{n}/*.png").into()));
        assert!((0..9000).all(|n| index.insert(n + 1, &glob(n)).is_ok()));
        assert_eq!(index.verdict(&subject("h8999/a.png", &[]), 8999), Verdict::Hard);
    }

    #[test]
    fn a_deep_path_is_covered_by_every_path_above_it() {
        let deep = format!("h{}", "/a".repeat(200));
        for depth in [1, 2, 63, 64, 65, 199, 200] {
            let mut index = Index::new(10);
            let prefix = format!("h{}", "/a".repeat(depth)).into_bytes();
            index.insert(1, &record(Mode::Hard, Selector::Prefix(prefix.clone()))).unwrap();
            assert_eq!(index.verdict(&subject(&deep, &[]), 0), Verdict::Hard, "{depth}");
        }
    }

    /// A small generator, so that a failure can be played again from its seed.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % sides
        }
        fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
            of[self.roll(of.len())]
        }
    }

    const URIS: [&str; 9] =
        ["h/", "h/a", "h/a/", "h/a/b", "h/a/b?q=1", "h/a?q=/b", "h:81/a", "h/ab", "[::1]:81/a/b/c"];
    const TAGS: [&str; 7] = ["a", "b", "c:1", "status:404", "host:h", "type:text/html", "status:2xx"];

    fn some_selector(dice: &mut Dice, nested: bool) -> Selector {
        let uri = dice.pick(&URIS);
        let bare = uri.split('?').next().unwrap().as_bytes().to_vec();
        match dice.roll(if nested { 13 } else { 15 }) {
            0 => Selector::Uri(uri.into()),
            1 => Selector::UriAnyQuery(bare),
            2 | 3 => Selector::Prefix(bare),
            4 => Selector::Host(dice.pick(&["h", "h:81", "[::1]:81"]).into()),
            5 => Selector::Hostname(dice.pick(&["h", "[::1]", "x"]).into()),
            6 | 7 => Selector::Tags((0..=dice.roll(2)).map(|_| tag(dice.pick(&TAGS))).collect()),
            8 => Selector::Glob(
                Part::Url,
                dice.pick(&["/a*", "h/a*", "h*", "*b?q=1", "h:81/*", "/a/?"]).into(),
            ),
            9 => Selector::Regex(Part::Url, dice.pick(&["^/a", "b$", "^h/", "x"]).into()),
            10 => Selector::ContentType(dice.pick(&["text/html", "text/*", "image/*"]).into()),
            11 => Selector::Status([200, 404][dice.roll(2)]),
            12 => Selector::StoredBefore(Timestamp(dice.roll(3) as u64)),
            13 => Selector::StatusClass(dice.roll(5) as u8 + 1),
            _ => Selector::And(
                (0..=dice.roll(3))
                    .map(|_| Term { negated: dice.roll(3) == 0, selector: some_selector(dice, true) })
                    .collect(),
            ),
        }
    }

    #[test]
    fn the_index_says_what_looking_at_every_record_would_say() {
        for seed in 0..2000 {
            let mut dice = Dice(seed);
            let modes = [Mode::Soft, Mode::Revalidate, Mode::Hard];
            let journal: Vec<(u64, Invalidation)> = (1..=1 + dice.roll(6) as u64)
                .map(|seq| {
                    let mode = modes[dice.roll(3)];
                    let at = Timestamp(dice.roll(100) as u64);
                    (seq, Invalidation { issued_at: at, ..record(mode, some_selector(&mut dice, false)) })
                })
                .collect();
            let mut index = Index::with_secret(1000, (seed, 7));
            journal.iter().for_each(|(seq, record)| index.insert(*seq, record).unwrap());
            for _ in 0..20 {
                let tags: Vec<Tag> = (0..dice.roll(3)).map(|_| tag(dice.pick(&TAGS))).collect();
                let subject = Subject {
                    uri: dice.pick(&URIS).as_bytes(),
                    tags: &tags,
                    status: [200, 404, 500][dice.roll(3)],
                    content_type: dice
                        .pick(&["text/html; charset=utf-8", "Text/Plain", "image/png", ""])
                        .as_bytes(),
                    stored_at: Timestamp(dice.roll(3) as u64),
                };
                let stamp = dice.roll(7) as u64;
                let expected = journal
                    .iter()
                    .filter(|(seq, record)| *seq > stamp && record.selector.covers(&subject))
                    .map(|(_, record)| match record.mode {
                        Mode::Soft => Verdict::Soft { at: record.issued_at },
                        Mode::Revalidate => Verdict::Revalidate,
                        Mode::Hard => Verdict::Hard,
                    })
                    .fold(Verdict::Valid, |one, other| match (one, other) {
                        // Records of different selectors: the earliest counts. Of one selector: the first one.
                        (Verdict::Soft { at: a }, Verdict::Soft { at: b }) => Verdict::Soft { at: a.min(b) },
                        (one, other) => one.max(other),
                    });
                let verdict = index.verdict(&subject, stamp);
                match (expected, verdict) {
                    // Clocks may go back: of several records of one selector the first in order counts.
                    (Verdict::Soft { .. }, Verdict::Soft { .. }) => {}
                    _ => {
                        assert_eq!(verdict, expected, "seed {seed}: {subject:?} at {stamp} under {journal:?}")
                    }
                }
            }
        }
    }
}
