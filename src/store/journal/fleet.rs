//! What of the journal belongs to a fleet: which records are to be shared, and how far the log of the fleet has been
//! applied.
//!
//! The journal is also the outbox: a command is appended with a mark first, and whoever ships it looks for marks. So a
//! record is never in two minds: what is appended is shared, after the death of a worker and after an outage, and coarser
//! where the ring has overwritten it meanwhile.

use super::segment::{LogPosition, Segment};
use super::{Busy, Mirror};
use crate::invalidation::{Invalidation, Mode, encode};
use crate::store::SharedData;
use crate::store::sizes::sizes;

/// What came of joining the history of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Joined {
    /// The barrier has this position.
    At(u64),
    /// Another worker has joined meanwhile.
    ByAnother,
}

/// What came of applying a revision of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applied {
    /// Its last record has this position.
    At(u64),
    /// It has been applied before.
    Before,
    /// The journal has joined the log anew since the stream began that brought the revision.
    OfAnotherJoin,
}

/// What the fleet has not heard of yet.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Unshipped {
    /// The records with their positions, in ascending order.
    pub records: Vec<(u64, Invalidation)>,
    /// Up to which position they are all that is to be shared.
    pub upto: u64,
    /// The strictest that may have been among what the ring has overwritten; none where it has overwritten nothing.
    pub forgotten: Option<Mode>,
}

impl Mirror {
    /// Where the log of the fleet stands, as far as the journal has been read.
    #[must_use]
    pub fn log(&self) -> Option<&LogPosition> {
        self.logs.first()
    }

    /// The name of this journal: another one begins when shared data was lost. None before its first record.
    #[must_use]
    pub fn nonce(&self) -> Option<u64> {
        self.nonce
    }

    /// The same as [`Mirror::append`] for an invalidation that is to be shared with the fleet.
    ///
    /// # Errors
    /// [`Busy`] when the compare-and-set failed too often; nothing was appended then.
    pub fn append_shared(
        &self,
        data: &impl SharedData,
        invalidation: &Invalidation,
        nonce: u64,
    ) -> Result<u64, Busy> {
        let record = encode(invalidation);
        let written = self.extend(data, nonce, |tail| {
            tail.records.push_shared(&record);
            Ok::<_, core::convert::Infallible>(tail.end())
        })?;
        Ok(written.unwrap_or_else(|never| match never {}))
    }

    /// Begins anew with the history of a log: appends a barrier, which stands for all that was not heard of, and says in
    /// the same compare-and-set which history it is and that everything up to a revision lies before the barrier. `before`
    /// is the position of the barrier before, as it was when the revision was asked for; 0 for none.
    ///
    /// # Errors
    /// [`Busy`] when the compare-and-set failed too often.
    pub fn join(
        &self,
        data: &impl SharedData,
        barrier: &Invalidation,
        (before, tag, revision): (u64, [u8; 16], u64),
        nonce: u64,
    ) -> Result<Joined, Busy> {
        let record = encode(barrier);
        let joined = self.extend(data, nonce, |tail| {
            // J3: two barriers would do no harm, but the second would be one flush too many.
            if tail.logs.first().map_or(0, |log| log.join) != before {
                return Err(Joined::ByAnother);
            }
            tail.records.push(&record);
            let log = LogPosition { tag, join: tail.end(), applied: revision };
            match tail.logs.first_mut() {
                Some(first) => *first = log,
                None => tail.logs.push(log),
            }
            Ok(Joined::At(tail.end()))
        })?;
        Ok(joined.unwrap_or_else(|by_another| by_another))
    }

    /// Appends what a revision of the log says, and that it has been applied, in one compare-and-set with its last record.
    /// `join` is the barrier that the stream belongs to which has brought it; `done` counts the records that are appended
    /// already, so that a further try goes on where one has ended.
    ///
    /// # Errors
    /// [`Busy`] when a compare-and-set failed too often.
    pub fn apply(
        &self,
        data: &impl SharedData,
        (join, revision): (u64, u64),
        records: &[Vec<u8>],
        done: &mut usize,
        nonce: u64,
    ) -> Result<Applied, Busy> {
        loop {
            let from = *done;
            let written = self.extend(data, nonce, |tail| {
                let mut upto = from;
                let position = position(tail, join, revision)?;
                while upto < records.len() && !tail.is_full() {
                    tail.records.push(records.get(upto).map_or(&[][..], Vec::as_slice));
                    upto += 1;
                }
                // A5: with an earlier record it would be lost when the worker dies in between.
                if upto == records.len()
                    && let Some(log) = tail.logs.get_mut(position)
                {
                    log.applied = revision;
                }
                Ok((upto, tail.end()))
            })?;
            match written {
                Err(left) => return Ok(left),
                Ok((upto, end)) => {
                    *done = upto;
                    if upto == records.len() {
                        return Ok(Applied::At(end));
                    }
                }
            }
        }
    }

    /// What is to be shared of the records after a position, at most so many and so many bytes of them. To be asked after
    /// [`Mirror::sync`].
    pub fn unshipped(&self, data: &impl SharedData, after: u64, (count, bytes): (usize, usize)) -> Unshipped {
        let (records, head) = (sizes().records, self.head());
        let mut found = Unshipped { upto: after, ..Unshipped::default() };
        if after >= head {
            return found;
        }
        let last = head.div_ceil(records);
        let oldest = last.saturating_sub(sizes().segments) + 1;
        let mut no = after / records + 1;
        if no < oldest {
            found.forgotten = Some(self.strictest_forgotten(after));
            no = oldest;
        }
        let mut taken = 0;
        while no <= last {
            // What cannot be read is healed by the next reading of the journal, and shared then.
            let Some(segment) = Segment::read(data, no).and_then(|found| found.segment) else { return found };
            if segment.no != no {
                // Overwritten since the journal was read.
                found.forgotten = Some(Mode::Hard);
                no += 1;
                continue;
            }
            let first = (no - 1) * records + 1;
            for (n, record) in segment.records.shared() {
                let position = first + n as u64;
                if position <= after || position > head {
                    continue;
                }
                if found.records.len() == count || taken + record.len() > bytes {
                    return found;
                }
                taken += record.len();
                found.upto = position;
                found.records.push((position, crate::invalidation::decode(record)));
            }
            found.upto = (no * records).min(head).max(found.upto);
            no += 1;
        }
        found
    }

    /// The strictest record that may have been among those after a position that are forgotten.
    fn strictest_forgotten(&self, after: u64) -> Mode {
        if self.hard_below > after { Mode::Hard } else { Mode::Revalidate }
    }
}

/// Which of the logs of a segment a revision belongs to, when it is still to be applied.
fn position(tail: &Segment, join: u64, revision: u64) -> Result<usize, Applied> {
    match tail.logs.first() {
        // A3: by another watcher, or by this one before it was interrupted.
        Some(log) if log.join == join && log.applied >= revision => Err(Applied::Before),
        Some(log) if log.join == join => Ok(0),
        // A2: a revision of the history before would set `applied` too high, and new purges would be skipped.
        Some(_) | None => Err(Applied::OfAnotherJoin),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{RECORDS, SEGMENT_BYTES, SEGMENTS, Synced};
    use super::*;
    use crate::invalidation::{Selector, Source, Tag};
    use crate::store::Memory;
    use crate::time::Timestamp;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const TAG: [u8; 16] = [7; 16];

    fn purge(mode: Mode, tag: &str) -> Invalidation {
        Invalidation {
            mode,
            selector: Selector::Tags(vec![Tag::new(tag).unwrap()]),
            issued_at: Timestamp(5),
            source: Source::UnsafeMethod,
            reason: None,
        }
    }

    fn everything() -> Invalidation {
        Invalidation { selector: Selector::All, ..purge(Mode::Revalidate, "t") }
    }

    fn mirror(data: &Memory) -> Mirror {
        let mut mirror = Mirror::new(100_000);
        mirror.sync(data);
        mirror
    }

    fn record(tag: &str) -> Vec<u8> {
        encode(&purge(Mode::Hard, tag))
    }

    fn apply(data: &Memory, join: u64, revision: u64, records: &[Vec<u8>]) -> Applied {
        mirror(data).apply(data, (join, revision), records, &mut 0, 1).unwrap()
    }

    fn log(data: &Memory) -> LogPosition {
        mirror(data).log().unwrap().clone()
    }

    #[test]
    fn joining_says_the_history_and_the_revision_with_the_barrier() {
        let data = Memory::default();
        assert_eq!(mirror(&data).log(), None);
        mirror(&data).append(&data, &purge(Mode::Soft, "a"), 1).unwrap();
        let joined = mirror(&data).join(&data, &everything(), (0, TAG, 41), 1);
        assert_eq!(joined, Ok(Joined::At(2)));
        assert_eq!(log(&data), LogPosition { tag: TAG, join: 2, applied: 41 });
        let again = mirror(&data).join(&data, &everything(), (0, [8; 16], 50), 1);
        assert_eq!(
            (again, log(&data).applied),
            (Ok(Joined::ByAnother), 41),
            "the first has seen another tail"
        );
        let anew = mirror(&data).join(&data, &everything(), (2, [8; 16], 3), 1);
        assert_eq!(anew, Ok(Joined::At(3)));
        assert_eq!(log(&data), LogPosition { tag: [8; 16], join: 3, applied: 3 });
    }

    #[test]
    fn a_revision_is_applied_once_and_only_to_its_own_history() {
        let data = Memory::default();
        assert_eq!(apply(&data, 1, 5, &[record("a")]), Applied::OfAnotherJoin);
        mirror(&data).join(&data, &everything(), (0, TAG, 4), 1).unwrap();
        assert_eq!(apply(&data, 1, 4, &[record("a")]), Applied::Before);
        assert_eq!(apply(&data, 1, 5, &[record("a"), record("b")]), Applied::At(3));
        assert_eq!(apply(&data, 1, 5, &[record("a"), record("b")]), Applied::Before);
        assert_eq!(apply(&data, 2, 6, &[record("a")]), Applied::OfAnotherJoin);
        assert_eq!((mirror(&data).head(), log(&data).applied), (3, 5));
    }

    #[test]
    fn a_revision_of_many_records_has_been_applied_with_its_last_one() {
        let data = Memory::default();
        mirror(&data).join(&data, &everything(), (0, TAG, 4), 1).unwrap();
        let records: Vec<_> = (0..3 * RECORDS).map(|n| record(&format!("t{n}"))).collect();
        let reader = mirror(&data);
        let mut done = 0;
        assert_eq!(reader.apply(&data, (1, 9), &records, &mut done, 1), Ok(Applied::At(3 * RECORDS + 1)));
        assert_eq!((done as u64, log(&data).applied), (3 * RECORDS, 9));
        let first = Segment::read(&data, 1).unwrap().segment.unwrap();
        assert_eq!((first.records.len() as u64, first.logs[0].applied), (RECORDS, 4));
    }

    #[test]
    fn a_new_segment_goes_on_with_the_log_whoever_begins_it() {
        let data = Memory::default();
        mirror(&data).join(&data, &everything(), (0, TAG, 4), 1).unwrap();
        let mut reader = mirror(&data);
        for n in 0..SEGMENTS * RECORDS + 9 {
            reader.append(&data, &purge(Mode::Soft, "t"), 1).unwrap();
            if n % 50 == 0 {
                assert_eq!(reader.sync(&data), Synced::Current);
            }
            if n % 61 == 0 {
                assert_eq!(log(&data), LogPosition { tag: TAG, join: 1, applied: 4 }, "{n}");
            }
        }
        // Who has slept through a whole round, too.
        let late = Mirror::new(1000);
        let joined = late.join(&data, &everything(), (1, TAG, 8), 1);
        assert_eq!(joined, Ok(Joined::At(SEGMENTS * RECORDS + 11)));
        assert_eq!(log(&data).applied, 8);
    }

    #[test]
    fn a_damaged_segment_is_healed_with_the_log_of_the_one_before() {
        let data = Memory::default();
        mirror(&data).join(&data, &everything(), (0, TAG, 4), 1).unwrap();
        for _ in 0..RECORDS {
            mirror(&data).append_shared(&data, &purge(Mode::Soft, "t"), 1).unwrap();
        }
        assert_eq!(apply(&data, 1, 9, &[record("a")]), Applied::At(RECORDS + 2));
        let mut bytes = data.get("j/2").unwrap().bytes;
        *bytes.last_mut().unwrap() ^= 1;
        data.set("j/2", &bytes);
        assert_eq!(log(&data), LogPosition { tag: TAG, join: 1, applied: 4 }, "revision 9 is applied again");
        let unshipped = mirror(&data).unshipped(&data, RECORDS, (1000, 1 << 20));
        assert_eq!(unshipped.records.len() as u64, RECORDS, "nobody knows what was to be shared");
        assert!(unshipped.records.iter().all(|(_, r)| r.mode == Mode::Hard && r.selector == Selector::All));
    }

    #[test]
    fn of_the_first_segment_nothing_is_known_so_all_of_it_is_shared() {
        let data = Memory::default();
        mirror(&data).append_shared(&data, &purge(Mode::Soft, "t"), 1).unwrap();
        data.set("j/1", b"?");
        assert_eq!(mirror(&data).log(), None, "the log is joined anew");
        let unshipped = mirror(&data).unshipped(&data, 0, (1000, 1 << 20));
        assert_eq!(unshipped.records.len() as u64, RECORDS);
        assert!(unshipped.records.iter().all(|(_, r)| r.mode == Mode::Hard && r.selector == Selector::All));
    }

    #[test]
    fn a_journal_without_a_fleet_lies_there_as_it_always_did() {
        let data = Memory::default();
        mirror(&data).append(&data, &purge(Mode::Soft, "a"), 1).unwrap();
        assert_eq!(data.get("j/1").unwrap().bytes[0], 2);
        mirror(&data).append_shared(&data, &purge(Mode::Soft, "a"), 1).unwrap();
        assert_eq!(data.get("j/1").unwrap().bytes[0], 3);
        assert_eq!(mirror(&data).head(), 2);
    }

    fn shipped(data: &Memory, after: u64, most: (usize, usize)) -> (Vec<u64>, u64, Option<Mode>) {
        let Unshipped { records, upto, forgotten } = mirror(data).unshipped(data, after, most);
        (records.into_iter().map(|(position, _)| position).collect(), upto, forgotten)
    }

    #[test]
    fn what_is_to_be_shared_is_found_and_nothing_else() {
        let data = Memory::default();
        assert_eq!(shipped(&data, 0, (9, 9999)), (vec![], 0, None));
        for n in 1..=2 * RECORDS + 5 {
            if n % 10 == 0 {
                mirror(&data).append_shared(&data, &purge(Mode::Soft, "t"), 1).unwrap();
            } else {
                mirror(&data).append(&data, &purge(Mode::Soft, "t"), 1).unwrap();
            }
        }
        let head = 2 * RECORDS + 5;
        let all: Vec<u64> = (1..=head).filter(|n| n % 10 == 0).collect();
        assert_eq!(shipped(&data, 0, (99, 9999)), (all, head, None));
        assert_eq!(shipped(&data, 30, (2, 9999)), (vec![40, 50], 50, None));
        assert_eq!(shipped(&data, 130, (2, 9999)), (vec![], head, None), "nothing is left to be shared");
        assert_eq!(shipped(&data, head, (2, 9999)), (vec![], head, None));
        let one = record("t").len();
        assert_eq!(shipped(&data, 0, (99, 2 * one)), (vec![10, 20], 20, None));
    }

    #[test]
    fn what_the_ring_has_overwritten_is_not_forgotten() {
        for (mode, strictest) in [(Mode::Soft, Mode::Revalidate), (Mode::Hard, Mode::Hard)] {
            let data = Memory::default();
            let mut writer = mirror(&data);
            for _ in 0..(SEGMENTS + 1) * RECORDS {
                writer.append_shared(&data, &purge(mode, "t"), 1).unwrap();
                writer.sync(&data);
            }
            let (records, upto, forgotten) = shipped(&data, 3, (5, 9999));
            assert_eq!((records.len(), records[0], upto), (5, RECORDS + 1, RECORDS + 5));
            assert_eq!(forgotten, Some(strictest));
            assert_eq!(shipped(&data, RECORDS, (5, 9999)).2, None);
        }
    }

    #[test]
    fn long_records_leave_positions_unused_and_are_shared_all_the_same() {
        let data = Memory::default();
        let long = Invalidation {
            source: Source::Admin { token: "ops".into() },
            selector: Selector::Uri([b"h/", vec![b'a'; 3 << 10].as_slice()].concat()),
            ..everything()
        };
        for _ in 0..30 {
            mirror(&data).append_shared(&data, &long, 1).unwrap();
        }
        let per_segment = SEGMENT_BYTES.div_ceil(encode(&long).len());
        let (records, upto, _) = shipped(&data, 0, (99, 1 << 20));
        assert_eq!(records.len(), 30);
        assert_eq!(records[per_segment], RECORDS + 1);
        assert_eq!(upto, mirror(&data).head());
    }
}
