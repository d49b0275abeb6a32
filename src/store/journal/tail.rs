//! The journal read backwards, for people: a bounded number of its newest records.

use super::{Mirror, Segment};
use crate::invalidation::{CALLBACK_WORK_MAX, Invalidation, Matcher, Subject, Work, decode};
use crate::store::SharedData;
use crate::store::sizes::sizes;

/// The most records that are held against one stored response to explain it. Beyond it the list is said to be incomplete.
const RECORDS_HELD_MAX: usize = 2048;

/// How much matching takes as long as making a regular expression ready for it.
const COMPILING: u64 = 512;

/// The invalidations that cover a stored response.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Covering {
    /// The newest of them with their positions, in ascending order.
    pub records: Vec<(u64, Invalidation)>,
    /// Whether all records since its stamp have been looked at: none was forgotten or too old to look at.
    pub complete: bool,
}

impl Mirror {
    /// The newest records before a position, or before the end of the journal, in ascending order. Records that the
    /// ring has recycled are not there any more.
    pub fn tail(
        &self,
        data: &impl SharedData,
        before: Option<u64>,
        limit: usize,
    ) -> Vec<(u64, Invalidation)> {
        let mut records: Vec<_> = self.backwards(data, before).take(limit).collect();
        records.reverse();
        records
    }

    /// The newest records that cover a response with this stamp, at most `limit` of them.
    pub fn covering(
        &self,
        data: &impl SharedData,
        subject: &Subject<'_>,
        stamp: u64,
        limit: usize,
    ) -> Covering {
        let mut covering = Covering { records: Vec::new(), complete: stamp >= self.head() };
        let mut oldest = self.head() + 1;
        let (work, mut reaches) = (Work::of(CALLBACK_WORK_MAX), false);
        for (seq, record) in self.backwards(data, None).take(RECORDS_HELD_MAX) {
            reaches = seq <= stamp;
            if reaches || covering.records.len() >= limit {
                break;
            }
            let matcher = Matcher::new(&record.selector);
            work.take(matcher.regexes() as u64 * COMPILING);
            let covers = matcher.covers_within(subject, &work);
            if work.is_done() {
                break;
            }
            oldest = seq;
            if covers {
                covering.records.push((seq, record));
            }
        }
        covering.complete |= reaches || oldest <= stamp + 1;
        covering.records.reverse();
        covering
    }

    /// The records before a position, the newest first. Reads each segment of the ring once at the most.
    fn backwards<'a>(
        &'a self,
        data: &'a impl SharedData,
        before: Option<u64>,
    ) -> impl Iterator<Item = (u64, Invalidation)> + 'a {
        let last = before.map_or(self.head(), |before| before.saturating_sub(1).min(self.head()));
        let newest = last.div_ceil(sizes().records);
        let numbers = (newest.saturating_sub(sizes().segments) + 1..=newest).rev();
        // A segment that has been recycled has another number; so have all that are older.
        let segments = numbers.map_while(|no| Segment::read(data, no)?.segment.filter(|s| s.no == no));
        segments
            .flat_map(|segment| {
                let first = (segment.no - 1) * sizes().records + 1;
                let records = (first..).zip(segment.records.iter().map(<[u8]>::to_vec));
                records.collect::<Vec<_>>().into_iter().rev()
            })
            .filter(move |(seq, _)| *seq <= last)
            .map(|(seq, record)| (seq, decode(&record)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{RECORDS, SEGMENTS};
    use super::*;
    use crate::invalidation::{Mode, Selector, Source, Tag};
    use crate::store::Memory;
    use crate::time::Timestamp;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn journal(records: u64) -> (Memory, Mirror) {
        let (data, mut mirror) = (Memory::default(), Mirror::new(100_000));
        for n in 0..records {
            let name = if n % 2 == 0 { "even" } else { "odd" };
            let record = Invalidation {
                mode: Mode::Soft,
                selector: Selector::Tags(vec![Tag::new(name).unwrap()]),
                issued_at: Timestamp(n),
                source: Source::UnsafeMethod,
                reason: None,
            };
            mirror.sync(&data);
            mirror.append(&data, &record, 1).unwrap();
        }
        mirror.sync(&data);
        (data, mirror)
    }

    #[test]
    fn the_newest_records_come_in_their_order() {
        let (data, mirror) = journal(2 * RECORDS + 3);
        let seqs =
            |before, limit| mirror.tail(&data, before, limit).iter().map(|(seq, _)| *seq).collect::<Vec<_>>();
        assert_eq!(seqs(None, 5), [127, 128, 129, 130, 131]);
        assert_eq!(seqs(Some(66), 3), [63, 64, 65]);
        assert_eq!(seqs(Some(3), 9), [1, 2]);
        assert!(seqs(Some(1), 9).is_empty());
        assert_eq!(seqs(Some(u64::MAX), 1), [131]);
        assert_eq!(mirror.tail(&data, None, 1)[0].1.issued_at, Timestamp(130));
        assert_eq!(journal(0).1.tail(&data, None, 5), []);
    }

    #[test]
    fn what_the_ring_has_recycled_is_not_there() {
        let (data, mirror) = journal(SEGMENTS * RECORDS + 1);
        let all = mirror.tail(&data, None, usize::MAX);
        assert_eq!(all.first().map(|(seq, _)| *seq), Some(RECORDS + 1));
        assert_eq!(all.len() as u64, (SEGMENTS - 1) * RECORDS + 1);
    }

    #[test]
    fn the_records_that_cover_a_response_are_found() {
        let (data, mirror) = journal(10);
        let tags = [Tag::new("odd").unwrap()];
        let stored_at = Timestamp(0);
        let subject = Subject { uri: b"h/", tags: &tags, status: 200, content_type: b"", stored_at };
        let of = |stamp, limit| {
            let covering = mirror.covering(&data, &subject, stamp, limit);
            (covering.records.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), covering.complete)
        };
        assert_eq!(of(5, 9), (vec![6, 8, 10], true));
        assert_eq!(of(5, 2), (vec![8, 10], false));
        assert_eq!(of(10, 9), (vec![], true));
    }
}
