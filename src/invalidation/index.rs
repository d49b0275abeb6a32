//! The journal as an index: what it says about a stored response, without looking at each record.
//!
//! Selectors that name something are filed under hashes of the name, with the newest position for each mode; to
//! judge a response is to look up its own names. Conjunctions and globs are filed among those of one of their
//! names where they have one. Only what is left over, patterns over any host and ages, is a list; it is bounded.

use hashbrown::HashMap;

use super::crowd::Crowd;
use super::key::{Filed, Keys, Kind, Used};
use super::matcher::Matcher;
use super::names::Names;
use super::since::{Since, Verdict};
use super::work::Work;
use super::{Invalidation, Selector, Subject};

/// The most selectors of one list, which have to be held against a response one by one. Beyond it the index forgets all
/// records: what was stored before them is validated before it is used, or fetched anew if a hard purge was among them. A
/// token without `purge_all` gets a 429 at half of it.
const LIST_MAX: usize = 512;

/// The most regular expressions, which take much more memory than anything else here. Beyond it the index forgets all
/// records likewise.
const REGEXES_MAX: usize = 512;

/// The most names from strangers' requests. Beyond it hosts stand for their URLs, and at last places by hash for hosts:
/// more is validated than they invalidated. They have a room of their own: whatever strangers do, nothing that an operator
/// said is forgotten for it.
const STRANGERS_MAX: usize = 32_768;
/// The most names from strangers' requests of one host. Beyond it the host stands for them.
const STRANGERS_OF_A_HOST_MAX: usize = 1_024;

/// What part of the patterns may be those of callers who may not purge everything. The rest is for those who may.
const LIMITED_SHARE: usize = 2;

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
    named: Names,
    /// What strangers' requests have invalidated by name.
    strangers: Names,
    /// The hosts of strangers' names that were too many.
    crowd: Crowd,
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

impl Index {
    /// An empty index that takes in at most `limit` names and selectors.
    #[must_use]
    pub fn new(limit: usize) -> Index {
        Index::with_secret(limit, (0, 0))
    }

    /// An empty index, whose hashes cannot be predicted without the secret.
    #[must_use]
    pub fn with_secret(limit: usize, secret: (u64, u64)) -> Index {
        Index {
            limit,
            keys: Keys::new(secret),
            used: Used::default(),
            newest: 0,
            everything: Since::default(),
            named: Names::new(limit, usize::MAX),
            strangers: Names::new(STRANGERS_MAX, STRANGERS_OF_A_HOST_MAX),
            crowd: Crowd::default(),
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
                let host = self.keys.host(&invalidation.selector);
                // Names may be folded into their host at any time.
                self.used.add_if(host.is_some(), Kind::Host);
                if invalidation.is_strangers() {
                    self.insert_strangers(keys, host, seq);
                } else {
                    self.insert_names(keys, host, add)?;
                }
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
        self.named.forget_before(seq);
        self.strangers.forget_before(seq);
        self.crowd.forget_before(seq);
        self.apart.retain(is_newer);
        self.among.retain(|_, list| {
            list.retain(is_newer);
            !list.is_empty()
        });
        let left = || self.apart.iter().chain(self.among.values().flatten());
        let (matchers, regexes) = (left().count(), left().map(|matching| matching.matcher.regexes()).sum());
        (self.matchers, self.regexes) = (matchers, regexes);
    }

    fn insert_names(
        &mut self,
        keys: Vec<u64>,
        host: Option<u64>,
        add: impl Fn(&mut Since),
    ) -> Result<(), Full> {
        let new = keys.iter().filter(|key| !self.named.knows(**key)).count();
        let is_full = |named: &Names| new > 0 && named.len() + self.matchers + new > self.limit;
        if is_full(&self.named) && (!self.named.make_room() || is_full(&self.named)) {
            return Err(Full);
        }
        keys.into_iter().for_each(|key| add(self.named.entry(key, host)));
        Ok(())
    }

    /// Always finds room: first hosts stand for their URLs, those that were flooded first. Where there are too many
    /// hosts, they are only told apart roughly.
    fn insert_strangers(&mut self, keys: Vec<u64>, host: Option<u64>, seq: u64) {
        for key in keys {
            if self.strangers.is_full() && !self.strangers.knows(key) && !self.strangers.make_room() {
                self.crowd.take_in(self.strangers.give_up());
            }
            self.strangers.entry(key, host).revalidate(seq);
        }
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

    /// Whether these can be taken in without anything being forgotten, and leave the share of those who may purge
    /// everything.
    #[must_use]
    pub fn has_room_for<'a>(&self, selectors: impl IntoIterator<Item = &'a Selector>) -> bool {
        let (mut regexes, mut matchers) = (0, 0);
        let mut lists: HashMap<Option<u64>, usize> = HashMap::new();
        for selector in selectors {
            let key = match self.keys.file(selector, &mut self.used.clone()) {
                Filed::Everything | Filed::Under(_) => continue,
                Filed::Among(key) => Some(key),
                Filed::Apart => None,
            };
            let list = key.map_or(Some(&self.apart), |key| self.among.get(&key));
            if list.is_some_and(|list| list.iter().any(|known| known.selector == *selector)) {
                continue;
            }
            let count = lists.entry(key).or_insert_with(|| list.map_or(0, Vec::len));
            *count += 1;
            matchers += 1;
            regexes += Matcher::new(selector).regexes();
        }
        lists.values().all(|count| *count <= LIST_MAX / LIMITED_SHARE)
            && (regexes == 0 || self.regexes + regexes <= REGEXES_MAX / LIMITED_SHARE)
            && (matchers == 0 || self.len() + matchers <= self.limit / LIMITED_SHARE)
    }

    /// What the records after position `stamp` say about a stored response: the strongest that covers it.
    #[must_use]
    pub fn verdict(&self, subject: &Subject<'_>, stamp: u64) -> Verdict {
        self.verdict_within(subject, stamp, &Work::of_a_verdict())
    }

    /// The same with no more work than this: what is still to be matched then counts as covering.
    #[must_use]
    pub fn verdict_within(&self, subject: &Subject<'_>, stamp: u64, work: &Work) -> Verdict {
        if stamp >= self.newest {
            return Verdict::Valid;
        }
        let mut found = Found { stamp, verdict: Verdict::Valid };
        found.add(&self.everything);
        if !self.named.is_empty()
            || !self.among.is_empty()
            || !self.strangers.is_empty()
            || !self.crowd.is_empty()
        {
            self.keys.visit(subject, self.used, |kind, key| {
                let named = [self.named.get(key), self.strangers.get(key)];
                named.into_iter().flatten().for_each(|since| found.add(since));
                if self.crowd.newest(kind, key) > stamp {
                    found.verdict = found.verdict.and(Verdict::Revalidate);
                }
                if !self.among.is_empty()
                    && let Some(list) = self.among.get(&key)
                {
                    found.add_matching(list, subject, work);
                }
            });
        }
        found.add_matching(&self.apart, subject, work);
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
        self.named.len() + self.strangers.len() + self.matchers
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

/// The strongest verdict so far.
struct Found {
    stamp: u64,
    verdict: Verdict,
}

impl Found {
    fn add(&mut self, since: &Since) {
        self.verdict = self.verdict.and(since.verdict(self.stamp));
    }

    fn add_matching(&mut self, list: &[Matching], subject: &Subject<'_>, work: &Work) {
        for matching in list.iter().rev() {
            if matching.since.newest() <= self.stamp || self.verdict == Verdict::Hard {
                break;
            }
            if matching.matcher.covers_within(subject, work) {
                self.add(&matching.since);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invalidation::{Mode, Part, Source, Tag, Term, VERDICT_WORK_MAX};
    use crate::time::Timestamp;
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
            source: Source::UnsafeMethod,
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
        let more = |count: u64| (100..100 + count).map(|n| regex(n).selector).collect::<Vec<_>>();
        let share = (LIST_MAX / LIMITED_SHARE) as u64;
        assert!(index.has_room_for(&more(share - 9)) && !index.has_room_for(&more(share - 8)));
        index.insert(11, &record(Mode::Hard, Selector::All)).unwrap();
        assert_eq!(index.len(), 1);
        assert!(index.has_room_for(&more(share - 1)));
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
    fn half_of_every_list_is_reserved_for_purge_all() {
        let of_a_tag = |n: u64| {
            let older = Term::is(Selector::StoredBefore(Timestamp(n)));
            Selector::And(vec![Term::is(Selector::Tags(vec![tag("a")])), older])
        };
        let glob = |n: u64| Selector::Glob(Part::Url, format!("/never/{n}*").into());
        let of_a_host = |n: u64| Selector::Glob(Part::Url, format!("h/never/{n}*").into());
        let regex = |n: u64| {
            let regex = Selector::Regex(Part::Url, format!("^/never/{n}$").into());
            Selector::And(vec![Term::is(Selector::Host(format!("h{n}").into())), Term::is(regex)])
        };
        for selector in [&of_a_tag as &dyn Fn(u64) -> Selector, &glob, &of_a_host, &regex] {
            let (mut index, mut taken) = (Index::new(100_000), 0);
            while index.has_room_for(&[selector(taken)]) {
                taken += 1;
                index.insert(taken, &record(Mode::Hard, selector(taken - 1))).unwrap();
            }
            assert_eq!(taken, 256, "{:?}", selector(0));
            assert!(index.has_room_for(&[selector(0)]), "what is known takes no room");
            assert!(index.has_room_for(&[Selector::Uri(b"h/".to_vec()), Selector::All]));
            assert!((500..600).all(|n| index.insert(n, &record(Mode::Hard, selector(n))).is_ok()));
        }
    }

    #[test]
    fn a_verdict_takes_so_much_work_and_no_more() {
        for regex in ["[0-9]{3}-", "^/products/[0-9]+/", "[a-z]{1,100}-", "-"] {
            let mut index = Index::new(100_000);
            for n in 1..=500 {
                let text = format!("{regex}{n}$").into();
                index.insert(n, &record(Mode::Hard, Selector::Regex(Part::Url, text))).unwrap();
            }
            let short = subject("shop.example/products/12345?size=7", &[]);
            let long = format!("shop.example/products/12345?q={}", "a".repeat(8 << 10));
            for subject in [short, subject(&long, &[])] {
                let work = Work::of_a_verdict();
                let _ = index.verdict_within(&subject, 0, &work);
                assert!(work.spent() <= VERDICT_WORK_MAX, "{regex}: {}", work.spent());
            }
            // Only what is new is looked at by whoever knows the rest.
            index.insert(501, &record(Mode::Revalidate, Selector::Uri(b"h/".to_vec()))).unwrap();
            let work = Work::of_a_verdict();
            assert_eq!(index.verdict_within(&subject(&long, &[]), 500, &work), Verdict::Valid);
            assert_eq!(work.spent(), 0);
        }
    }

    #[test]
    fn five_hundred_usual_patterns_are_held_against_a_usual_url() {
        let mut index = Index::new(100_000);
        for n in 1..=500 {
            let text = format!(r"^/products/[0-9]+/part-{n}(\?|$)").into();
            index.insert(n, &record(Mode::Hard, Selector::Regex(Part::Url, text))).unwrap();
        }
        let long = format!("shop.example/products/12345/{}/part-501", "a".repeat(900));
        for uri in ["shop.example/products/12345/part-9999?colour=red&size=xl", &long] {
            let work = Work::of_a_verdict();
            assert_eq!(index.verdict_within(&subject(uri, &[]), 0, &work), Verdict::Valid);
            assert!(!work.is_done());
        }
    }

    #[test]
    fn a_flood_of_one_host_does_not_displace_invalidations_of_others() {
        let mut index = Index::with_secret(100_000, (1, 2));
        index.insert(1, &record(Mode::Hard, Selector::Tags(vec![tag("recalled")]))).unwrap();
        index.insert(2, &record(Mode::Revalidate, Selector::Uri(b"calm.test/changed".to_vec()))).unwrap();
        for n in 3..160_000 {
            let uri = format!("flood.test/{n}").into_bytes();
            index.insert(n, &record(Mode::Revalidate, Selector::Uri(uri))).unwrap();
        }
        assert!(index.len() < 2_000, "{}", index.len());
        let recalled = [tag("recalled")];
        for (uri, tags, expected) in [
            ("victim.test/", &[][..], Verdict::Valid),
            ("victim.test/", &recalled, Verdict::Hard),
            ("calm.test/changed", &[], Verdict::Revalidate),
            ("calm.test/", &[], Verdict::Valid),
            ("flood.test/3", &[], Verdict::Revalidate),
            ("flood.test/159999", &[], Verdict::Revalidate),
            ("flood.test/never", &[], Verdict::Revalidate),
        ] {
            assert_eq!(index.verdict(&subject(uri, tags), 0), expected, "{uri} {tags:?}");
        }
        assert_eq!(index.verdict(&subject("flood.test/159999", &[]), 159_999), Verdict::Valid);
    }

    #[test]
    fn a_flood_of_many_hosts_does_not_displace_operators_purges() {
        let mut index = Index::with_secret(100_000, (1, 2));
        index.insert(1, &record(Mode::Hard, Selector::Tags(vec![tag("recalled")]))).unwrap();
        for n in 2..50_000 {
            let uri = format!("h{n}.test/{n}").into_bytes();
            index.insert(n, &record(Mode::Revalidate, Selector::Uri(uri))).unwrap();
        }
        assert!(index.len() <= STRANGERS_MAX + 1);
        assert_eq!(index.verdict(&subject("victim.test/", &[tag("recalled")]), 0), Verdict::Hard);
        for n in [2, 1000, 33_000, 49_999] {
            let verdict = index.verdict(&subject(&format!("h{n}.test/{n}"), &[]), n - 1);
            assert_eq!(verdict, Verdict::Revalidate, "{n}");
        }
        let touched = (0..1000)
            .filter(|n| index.verdict(&subject(&format!("other{n}.test/"), &[]), 0) != Verdict::Valid);
        // Beyond so many hosts they are only told apart roughly.
        assert!(touched.count() < 200);
    }

    #[test]
    fn where_operators_name_too_much_hosts_stand_for_it() {
        let mut index = Index::new(1_000);
        for n in 1..5_000 {
            let uri = format!("big.test/{n}").into_bytes();
            index.insert(n, &record(Mode::Hard, Selector::Uri(uri))).unwrap();
        }
        assert_eq!(index.verdict(&subject("big.test/1", &[]), 0), Verdict::Hard);
        assert_eq!(index.verdict(&subject("other.test/1", &[]), 0), Verdict::Valid);
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
                // Whoever has judged it before needs only the later records.
                let (earlier, head) = (Index::with_secret(1000, (seed, 7)), stamp + dice.roll(7) as u64);
                let earlier =
                    journal.iter().filter(|(seq, _)| *seq <= head).fold(earlier, |mut index, one| {
                        index.insert(one.0, &one.1).unwrap();
                        index
                    });
                assert_eq!(
                    earlier.verdict(&subject, stamp).and(index.verdict(&subject, head)),
                    index.verdict(&subject, stamp),
                    "seed {seed}: {journal:?} on {subject:?} at {stamp} by {head}"
                );
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
