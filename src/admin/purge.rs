//! A purge: what was asked for, and the records of the journal that it takes.

use serde_json::Value;

use super::dialects::url::all_forms;
use super::{Caller, Dialect, Problem, Reader, Refreshed, Wanted};
use crate::config::Scope;
use crate::invalidation::{
    Invalidation, Matcher, Mode, RECORD_BYTES_MAX, Selector, Source, Subject, Work, record_bytes,
};

/// The most records of one command. Beyond it the command is refused with a 400.
const RECORDS_MAX: usize = 10_000;

/// The most patterns of one command: each has to be held against what is stored, one by one. Beyond it the command is
/// refused with a 400.
const PATTERNS_MAX: usize = 256;

/// How many stored responses a purge covers, as far as they were looked at.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Covered {
    /// For each of those asked for.
    pub each: Vec<u64>,
    /// All together, each response once.
    pub total: u64,
    /// Whether these are all. If not, there are at least so many.
    pub complete: bool,
}

impl Covered {
    /// As a header field: an item of structured fields (RFC 9651).
    #[must_use]
    pub fn field(&self) -> String {
        format!("{}{}", self.total, if self.complete { "" } else { ";complete=?0" })
    }
}

/// The journal took no record: too many others were appending at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JournalBusy;

/// Invalidations to append, in order, each acknowledged by its position in the journal.
#[derive(Clone, PartialEq, Debug)]
pub struct Purge {
    /// What to append.
    pub invalidations: Vec<Invalidation>,
    /// What was asked for, in the words of the dialect; the purge of a tag with very many descendants takes several
    /// invalidations.
    pub asked: Vec<Value>,
    /// The language of the answer.
    pub dialect: Dialect,
    /// Only say what would be covered; append nothing.
    pub dry_run: bool,
    /// Fetch again what is covered, right away.
    pub refresh: bool,
    /// What it wants of the fleet.
    pub wanted: Wanted,
    /// A name for this command: with one that is already known, the first answer is repeated.
    pub idempotency_key: Option<String>,
    /// Whether all is meant where nothing is stored for the host that it names.
    pub or_everything: bool,
    /// How much it covers.
    pub covered: Option<Covered>,
    /// What came of fetching it again.
    pub refreshed: Option<Refreshed>,
    /// For each invalidation, which of those asked for it belongs to.
    of: Vec<usize>,
}

impl Purge {
    /// A purge without extras of what was asked for.
    pub(super) fn new(
        asked: Vec<(Value, Selector)>,
        mode: Mode,
        dialect: Dialect,
        caller: &Caller,
        reader: &Reader<'_>,
    ) -> Purge {
        let asked = asked.into_iter().map(|(value, selector)| (value, mode, selector)).collect();
        Purge::in_modes(asked, dialect, caller, reader)
    }

    /// A purge of which each part has a mode of its own.
    pub(super) fn in_modes(
        asked: Vec<(Value, Mode, Selector)>,
        dialect: Dialect,
        caller: &Caller,
        reader: &Reader<'_>,
    ) -> Purge {
        let mut purge = Purge {
            invalidations: Vec::new(),
            asked: Vec::new(),
            dialect,
            dry_run: false,
            refresh: false,
            wanted: Wanted::default(),
            idempotency_key: None,
            or_everything: false,
            covered: None,
            refreshed: None,
            of: Vec::new(),
        };
        for (number, (asked, mode, selector)) in asked.into_iter().enumerate() {
            purge.asked.push(asked);
            let forms = reader.all_forms(selector).into_iter();
            for selector in forms.flat_map(|selector| selector.expanded(reader.hierarchy)) {
                purge.of.push(number);
                purge.invalidations.push(Invalidation {
                    mode,
                    selector,
                    issued_at: reader.now,
                    source: Source::Admin { token: caller.name.clone() },
                    reason: None,
                });
            }
        }
        purge
    }

    /// Makes it a purge of everything: nothing is stored for the host that it names, as when a client speaks to the
    /// cache by the cache's own name.
    ///
    /// # Errors
    /// When the caller may not do that.
    pub fn widen(&mut self, caller: &Caller) -> Result<(), Problem> {
        if !caller.may(Scope::PurgeAll) {
            return Err(Problem::new(
                403,
                "nothing is stored for this host, so that everything is meant; the token does not have the scope \
                 `purge_all`",
            ));
        }
        for record in &mut self.invalidations {
            record.selector = Selector::All;
        }
        Ok(())
    }

    /// Whether it fits into the journal.
    pub(super) fn fits(&self) -> Result<(), Problem> {
        if self.invalidations.iter().any(|record| record_bytes(record) > RECORD_BYTES_MAX) {
            return Err(Problem::bad(format!(
                "a selector with all its tags takes more than {RECORD_BYTES_MAX} bytes"
            )));
        }
        if self.invalidations.len() > RECORDS_MAX {
            return Err(Problem::bad(format!(
                "the command takes more than {RECORDS_MAX} records of the journal"
            )));
        }
        if self.patterns() > PATTERNS_MAX {
            return Err(Problem::bad(format!("expected at most {PATTERNS_MAX} patterns in a command")));
        }
        Ok(())
    }

    /// Adds records for other forms of its URLs; from which record on they are.
    pub fn also(&mut self, forms: &dyn Fn(&[u8]) -> Vec<Selector>) -> usize {
        let before = self.invalidations.len();
        for (asked, record) in self.of.clone().into_iter().zip(self.invalidations.clone()) {
            for selector in all_forms(record.selector.clone(), forms) {
                let known = self.of.iter().zip(&self.invalidations);
                if !known.into_iter().any(|(of, known)| *of == asked && known.selector == selector)
                    && self.invalidations.len() < RECORDS_MAX
                {
                    self.of.push(asked);
                    self.invalidations.push(Invalidation { selector, ..record.clone() });
                }
            }
        }
        before
    }

    /// The URLs that are asked for, each with its number; none when it asks for anything else.
    #[must_use]
    pub fn urls(&self) -> Option<Vec<(usize, &[u8])>> {
        let mut urls: Vec<(usize, &[u8])> = Vec::new();
        for (asked, record) in self.of.iter().zip(&self.invalidations) {
            match &record.selector {
                // The others are forms of it.
                _ if urls.last().is_some_and(|(last, _)| last == asked) => {}
                Selector::Uri(uri) => urls.push((*asked, uri)),
                _ => return None,
            }
        }
        Some(urls)
    }

    /// How many patterns it holds.
    #[must_use]
    pub fn patterns(&self) -> usize {
        self.invalidations.iter().filter(|record| Matcher::new(&record.selector).has_pattern()).count()
    }

    /// The mode of all its invalidations.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.invalidations.first().map_or(Mode::Soft, |record| record.mode)
    }

    /// A way to tell which of those asked for cover a stored response.
    #[must_use]
    pub fn matchers(&self) -> Matchers {
        let records = self.of.iter().zip(&self.invalidations);
        Matchers(records.map(|(asked, record)| (*asked, Matcher::new(&record.selector))).collect())
    }

    /// For each of those asked for its receipt: the position of its last record, if all of them were appended.
    #[must_use]
    pub fn receipts(&self, results: &[Result<u64, JournalBusy>]) -> Vec<Result<u64, JournalBusy>> {
        let mut receipts = vec![Err(JournalBusy); self.asked.len()];
        let mut seen = vec![false; self.asked.len()];
        for (number, result) in self.of.iter().zip(results) {
            let (Some(receipt), Some(seen)) = (receipts.get_mut(*number), seen.get_mut(*number)) else {
                continue;
            };
            *receipt = match (*seen, *receipt, *result) {
                (false, _, result) => result,
                (true, Ok(one), Ok(other)) => Ok(one.max(other)),
                (true, _, _) => Err(JournalBusy),
            };
            *seen = true;
        }
        receipts
    }
}

/// The selectors of a purge, ready to be held against many stored responses.
#[derive(Debug)]
pub struct Matchers(Vec<(usize, Matcher)>);

impl Matchers {
    /// Whether any of them covers this, with no more work than may be done: in doubt one does.
    #[must_use]
    pub fn cover(&self, subject: &Subject<'_>, work: &Work) -> bool {
        self.0.iter().any(|(_, matcher)| matcher.covers_within(subject, work))
    }

    /// Counts for each of those asked for how many of these it covers; and whether there was work enough to count all.
    #[must_use]
    pub fn counts<'s>(
        &self,
        asked: usize,
        subjects: impl Iterator<Item = Subject<'s>>,
        work: &Work,
    ) -> (Vec<u64>, bool) {
        let mut counts = vec![0; asked];
        for subject in subjects {
            let mut last = None;
            for (asked, matcher) in &self.0 {
                // The parts of one selector follow each other, and count once.
                let covers = last != Some(*asked) && matcher.covers_within(&subject, work);
                if work.is_done() {
                    return (counts, false);
                }
                if covers && let Some(count) = counts.get_mut(*asked) {
                    *count += 1;
                    last = Some(*asked);
                }
            }
        }
        (counts, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture::{caller, tags, with_reader};
    use crate::invalidation::Tag;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_receipt_is_given_when_all_its_records_are_in_the_journal() {
        let many = Selector::Tags((0..4000).filter_map(|n| Tag::new(&format!("tag:{n}"))).collect());
        let asked = vec![(Value::Null, tags(&["a"])), (Value::Null, many), (Value::Null, tags(&["b"]))];
        let purge = with_reader(|reader| Purge::new(asked, Mode::Hard, Dialect::Own, &caller(), reader));
        let parts = purge.invalidations.len() - 2;
        assert!(parts > 1 && purge.fits().is_ok());
        let mut results: Vec<_> = (1..).take(parts + 2).map(Ok).collect();
        let last = parts as u64 + 1;
        assert_eq!(purge.receipts(&results), [Ok(1), Ok(last), Ok(last + 1)]);
        results[1] = Err(JournalBusy);
        assert_eq!(purge.receipts(&results), [Ok(1), Err(JournalBusy), Ok(last + 1)]);
        assert_eq!(purge.receipts(&[Ok(1)]), [Ok(1), Err(JournalBusy), Err(JournalBusy)]);
    }

    #[test]
    fn a_selector_that_no_record_can_hold_is_refused() {
        let long = (0..40).map(|n| Tag::new(&format!("{n:01000}")).unwrap()).collect();
        let both = Selector::And(vec![crate::invalidation::Term::is(Selector::Tags(long))]);
        let purge = |selector| {
            with_reader(|c| Purge::new(vec![(Value::Null, selector)], Mode::Hard, Dialect::Own, &caller(), c))
        };
        assert!(purge(both).fits().is_err());
        assert!(purge(Selector::All).fits().is_ok());
    }
}
