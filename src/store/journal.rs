//! The bounded journal of invalidations in shared data, and each worker's mirror of it.
//!
//! The journal is a ring of segments. Segment `no ≥ 1` lives under `j/<no mod SEGMENTS>` and record `i` of it has
//! the position (`seq`) `(no - 1) * RECORDS + i + 1`. A segment is full when it has so many records, or so many bytes of
//! them; positions that it has not used stay unused. The head is where the first segment is that is not full:
//! there is no head key. A segment is recycled by the same compare-and-set that appends to it, and carries on the
//! newest position of a hard record that was ever forgotten, so that forgetting makes older responses stale or
//! gone, never fresh (protocol §1.3 and §1.4).

mod fleet;
mod heal;
mod segment;
mod tail;

pub use fleet::{Applied, Joined, Unshipped};
pub use segment::LogPosition;
pub use tail::Covering;

use core::cell::Cell;
use core::convert::Infallible;

use segment::{Segment, UNNAMED, key};

use super::sizes::sizes;
use super::{SharedData, TRIES};
use crate::invalidation::{Index, Invalidation, Mode, Subject, Verdict, Work, decode, encode};

/// Segments in the ring. Beyond it the oldest is overwritten, and a worker that had not read it forgets it: what was stored
/// before its records is validated before it is used, or fetched anew if a hard purge was among them.
pub const SEGMENTS: u64 = 256;
/// The most records in a segment. Beyond it the next segment begins.
pub const RECORDS: u64 = 64;
/// So many bytes of records fill a segment, however few they are. Beyond it the next segment begins: the ring takes at most
/// 256 times these and one record of [`RECORD_BYTES_MAX`](crate::invalidation::RECORD_BYTES_MAX) more, 12 MiB.
pub const SEGMENT_BYTES: usize = 32 << 10;

/// What a worker knows of the journal.
pub struct Mirror {
    /// The epoch at the last complete reading.
    seen: Option<u64>,
    nonce: Option<u64>,
    /// The segment that is being read, and how many of its records are indexed.
    cur: u64,
    indexed: usize,
    head: u64,
    floor: u64,
    hard_below: u64,
    newest_hard: u64,
    /// Where the logs of fleets stood in the newest segment that was read.
    logs: Vec<LogPosition>,
    index: Index,
    records_max: usize,
    secret: (u64, u64),
    healed: Cell<u64>,
}

/// What reading the journal came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Synced {
    /// The mirror is as new as the journal was when the callback began.
    Current,
    /// The same, but the journal is another one than before: nothing known from before counts.
    Renewed,
    /// The journal could not be read: this request does not use the cache.
    Unavailable,
}

/// An invalidation could not be appended, because too many others were at it; nothing was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Busy;

impl Mirror {
    /// A mirror that has read nothing, whose index holds at most `records_max` records.
    #[must_use]
    pub fn new(records_max: usize) -> Self {
        Mirror::with_secret(records_max, (0, 0))
    }

    /// The same with an index whose hashes nobody can predict who does not know the secret.
    #[must_use]
    pub fn with_secret(records_max: usize, secret: (u64, u64)) -> Self {
        Mirror {
            seen: None,
            nonce: None,
            cur: 1,
            indexed: 0,
            head: 0,
            floor: 0,
            hard_below: 0,
            newest_hard: 0,
            logs: Vec::new(),
            index: Index::with_secret(records_max, secret),
            records_max,
            secret,
            healed: Cell::new(0),
        }
    }

    /// The position of the newest record that is indexed: the stamp of what is fetched on this mirror's word.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Everything stamped below must be validated, because records before it are forgotten.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Everything stamped below the floor and below this is gone: a hard record among those forgotten may cover it.
    #[must_use]
    pub fn hard_below(&self) -> u64 {
        self.hard_below
    }

    /// The position of the newest record that made anything go, as far as that is known.
    #[must_use]
    pub fn newest_hard(&self) -> u64 {
        self.newest_hard.max(self.hard_below)
    }

    /// How many records are indexed.
    #[must_use]
    pub fn records(&self) -> usize {
        self.index.len()
    }

    /// Whether these can be indexed without anything being forgotten, by callers who may not purge everything.
    #[must_use]
    pub fn has_room_for(&self, invalidations: &[Invalidation]) -> bool {
        self.index.has_room_for(invalidations.iter().map(|invalidation| &invalidation.selector))
    }

    /// How many damaged segments have been replaced since this was last asked.
    pub fn take_healed(&self) -> u64 {
        self.healed.take()
    }

    /// Makes the mirror re-read the journal at the next [`Mirror::sync`], whatever the epoch says.
    pub fn distrust(&mut self) {
        self.seen = None;
    }

    /// Brings the mirror up to the journal. To be called at the start of every callback that decides.
    ///
    /// The epoch is read before the journal: a purge appends first and changes the epoch then, so that whoever
    /// sees the old epoch decides before that purge was acknowledged (I1, M09).
    pub fn sync(&mut self, data: &impl SharedData) -> Synced {
        let epoch = data.epoch();
        if self.seen == Some(epoch) {
            return Synced::Current;
        }
        let synced = self.read(data);
        if synced != Synced::Unavailable {
            self.seen = Some(epoch);
        }
        synced
    }

    /// Reads on from where it was left.
    fn read(&mut self, data: &impl SharedData) -> Synced {
        let mut synced = Synced::Current;
        for _ in 0..2 * sizes().segments + 4 {
            let Some(found) = self.segment(data, self.cur) else { return Synced::Unavailable };
            if self.is_another_journal(found.segment.as_ref()) {
                *self = Mirror::with_secret(self.records_max, self.secret);
                synced = Synced::Renewed;
                continue;
            }
            let Some(segment) = found.segment.filter(|s| s.no >= self.cur) else {
                // Nothing is written here yet: the segment before is the last one, and full.
                return synced;
            };
            if segment.nonce != UNNAMED {
                self.nonce = Some(segment.nonce);
            }
            self.hard_below = self.hard_below.max(segment.hard_below);
            if segment.no > self.cur {
                self.overtaken_by(segment.no);
                continue;
            }
            self.index(&segment);
            self.logs.clone_from(&segment.logs);
            if !segment.is_full() {
                return synced;
            }
            self.cur += 1;
            self.indexed = 0;
        }
        // Writers lapped this reader again and again.
        Synced::Unavailable
    }

    /// What the journal says of a response with this stamp.
    #[must_use]
    pub fn verdict(&self, subject: &Subject<'_>, stamp: u64) -> Verdict {
        self.verdict_within(subject, stamp, &Work::of_a_verdict())
    }

    /// The same with no more work than this: what is still to be matched then counts as covering.
    #[must_use]
    pub fn verdict_within(&self, subject: &Subject<'_>, stamp: u64, work: &Work) -> Verdict {
        if stamp < self.floor && stamp < self.hard_below {
            return Verdict::Hard;
        }
        let verdict = self.index.verdict_within(subject, stamp, work);
        // A forgotten record may have asked for a validation, and when a soft one was issued is forgotten as well.
        if stamp < self.floor { verdict.max(Verdict::Revalidate) } else { verdict }
    }

    /// Appends an invalidation and changes the epoch. Once this returns a position, no worker serves what the
    /// invalidation covers. `nonce` names the journal if this is its first record.
    ///
    /// # Errors
    /// [`Busy`] when the compare-and-set failed too often; nothing was appended then.
    pub fn append(
        &self,
        data: &impl SharedData,
        invalidation: &Invalidation,
        nonce: u64,
    ) -> Result<u64, Busy> {
        let record = encode(invalidation);
        self.extend(data, nonce, |tail| {
            tail.records.push(&record);
            Ok(tail.end())
        })
        .map(|written| written.unwrap_or_else(|never: Infallible| match never {}))
    }

    /// Changes the segment where the journal ends by one compare-and-set, and the epoch with it. `change` may leave it as it
    /// is, by an error of its own; it is asked anew where another was faster.
    fn extend<T, E>(
        &self,
        data: &impl SharedData,
        nonce: u64,
        mut change: impl FnMut(&mut Segment) -> Result<T, E>,
    ) -> Result<Result<T, E>, Busy> {
        let (mut cur, mut hard_below, mut logs) = (self.cur, self.hard_below, self.logs.clone());
        let mut tries = 0;
        // Walking to the end of the ring is not a try, but it is bounded as well.
        for _ in 0..sizes().segments + 4 + 2 * TRIES as u64 {
            let found = self.segment(data, cur).ok_or(Busy)?;
            let mut next = match found.segment {
                Some(s) if s.no > cur => {
                    hard_below = hard_below.max(s.hard_below);
                    cur = s.no;
                    continue;
                }
                Some(s) if s.no == cur && s.is_full() => {
                    hard_below = hard_below.max(s.hard_below);
                    logs = s.logs;
                    cur += 1;
                    continue;
                }
                Some(s) if s.no == cur => s,
                old => Segment::after(old, cur, hard_below, logs.clone(), self.nonce.unwrap_or(nonce)),
            };
            let changed = match change(&mut next) {
                Ok(changed) => changed,
                Err(left) => return Ok(Err(left)),
            };
            if data.compare_and_set(&key(cur), &next.encode(), found.cas) {
                // Not before the write: a worker that read the journal in between would take it for current (I1, M10).
                data.advance_epoch();
                return Ok(Ok(changed));
            }
            tries += 1;
            if tries == 2 * TRIES {
                break;
            }
        }
        // No acknowledgement: no record of the purge was written, so nothing would hold it (I8, M11).
        Err(Busy)
    }

    fn is_another_journal(&self, found: Option<&Segment>) -> bool {
        let Some(nonce) = self.nonce else { return false };
        match found {
            Some(segment) => {
                (segment.nonce != nonce && segment.nonce != UNNAMED)
                    || (segment.no == self.cur && segment.records.len() < self.indexed)
                    || (segment.no < self.cur && self.indexed > 0)
            }
            None => self.indexed > 0 || self.cur > sizes().segments,
        }
    }

    /// The ring has gone round since this mirror was last read: what was forgotten meanwhile lies below the
    /// floor, and what was stored before the floor is not served without a check (I1, M12).
    fn overtaken_by(&mut self, no: u64) {
        let floor = no.saturating_sub(sizes().segments) * sizes().records;
        self.floor = floor;
        self.head = self.head.max(floor);
        self.cur = no.saturating_sub(sizes().segments) + 1;
        self.indexed = 0;
    }

    fn index(&mut self, segment: &Segment) {
        let first = (segment.no - 1) * sizes().records;
        for (n, record) in segment.records.iter().enumerate().skip(self.indexed) {
            self.index_record(first + n as u64 + 1, &decode(record));
        }
        self.indexed = self.indexed.max(segment.records.len());
        self.head = self.head.max(first + segment.records.len() as u64);
    }

    fn index_record(&mut self, seq: u64, invalidation: &Invalidation) {
        let mut inserted = self.index.insert(seq, invalidation);
        if inserted.is_err() {
            self.forget_up_to(seq - 1);
            inserted = self.index.insert(seq, invalidation);
        }
        if invalidation.mode == Mode::Hard {
            self.newest_hard = self.newest_hard.max(seq);
        }
        if inserted.is_err() {
            // One record alone is more than an index may hold.
            self.forget_up_to(seq);
        }
    }

    /// Empties the index, remembering only that there were records up to this position, and hard ones among them.
    fn forget_up_to(&mut self, seq: u64) {
        self.floor = self.floor.max(seq);
        self.hard_below = self.hard_below.max(self.newest_hard);
        self.index.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invalidation::{Selector, Source, Tag};
    use crate::store::Memory;
    use crate::time::Timestamp;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn purge(mode: Mode, tag: &str) -> Invalidation {
        Invalidation {
            mode,
            selector: Selector::Tags(vec![Tag::new(tag).unwrap()]),
            issued_at: Timestamp(5),
            source: Source::UnsafeMethod,
            reason: None,
        }
    }

    fn verdict(mirror: &Mirror, tag: &str, stamp: u64) -> Verdict {
        let tags = [Tag::new(tag).unwrap()];
        let stored_at = Timestamp(1);
        mirror.verdict(&Subject { uri: b"h/", tags: &tags, status: 200, content_type: b"", stored_at }, stamp)
    }

    fn append(data: &Memory, mirror: &mut Mirror, mode: Mode, tag: &str) -> u64 {
        mirror.sync(data);
        mirror.append(data, &purge(mode, tag), 1).unwrap()
    }

    #[test]
    fn an_appended_invalidation_holds_on_every_mirror_for_what_was_stamped_before() {
        let data = Memory::default();
        let (mut a, mut b) = (Mirror::new(1000), Mirror::new(1000));
        assert_eq!(b.sync(&data), Synced::Current);
        assert_eq!(append(&data, &mut a, Mode::Hard, "t"), 1);
        assert_eq!(append(&data, &mut a, Mode::Soft, "u"), 2);
        assert_eq!(b.sync(&data), Synced::Current);
        assert_eq!(b.head(), 2);
        assert_eq!(verdict(&b, "t", 0), Verdict::Hard);
        assert_eq!(verdict(&b, "t", 1), Verdict::Valid);
        assert_eq!(verdict(&b, "u", 1), Verdict::Soft { at: Timestamp(5) });
        assert_eq!(verdict(&b, "v", 0), Verdict::Valid);
    }

    #[test]
    fn a_mirror_that_was_lapped_forgets_to_the_safe_side() {
        let data = Memory::default();
        let (mut writer, mut late) = (Mirror::new(100_000), Mirror::new(100_000));
        late.sync(&data);
        append(&data, &mut writer, Mode::Hard, "t");
        for _ in 0..SEGMENTS * RECORDS + 5 {
            append(&data, &mut writer, Mode::Soft, "other");
        }
        assert_eq!(late.sync(&data), Synced::Current);
        assert_eq!(late.head(), writer.head() + 1);
        assert_eq!(verdict(&late, "t", 0), Verdict::Hard);
        assert_eq!(verdict(&late, "t", 1), Verdict::Revalidate);
        assert_eq!(verdict(&late, "other", 1), Verdict::Revalidate, "what is remembered is weaker");
        assert_eq!(verdict(&late, "t", late.floor()), Verdict::Valid);
        // Who kept up has forgotten nothing.
        writer.sync(&data);
        assert_eq!((verdict(&writer, "t", 0), verdict(&writer, "t", 1)), (Verdict::Hard, Verdict::Valid));
        // Who starts now reads the same.
        let mut new = Mirror::new(100_000);
        new.sync(&data);
        assert_eq!((new.head(), new.floor()), (late.head(), late.floor()));
    }

    #[test]
    fn long_records_fill_segments_and_no_position_is_used_twice() {
        let data = Memory::default();
        let (mut writer, mut reader) = (Mirror::new(100_000), Mirror::new(100_000));
        let uri = |n: u64| format!("h/{}?{n}", "a".repeat(4000)).into_bytes();
        let mut positions = Vec::new();
        for n in 0..SEGMENTS * 12 {
            let source = Source::Admin { token: "ops".into() };
            let selector = Selector::Uri(uri(n));
            let record = Invalidation { selector, source, ..purge(Mode::Revalidate, "t") };
            writer.sync(&data);
            positions.push(writer.append(&data, &record, 1).unwrap());
            assert_eq!(reader.sync(&data), Synced::Current);
            assert_eq!(reader.head(), *positions.last().unwrap());
        }
        assert!(positions.is_sorted_by(|one, next| one < next));
        let bytes: usize = (0..SEGMENTS).map(|no| data.get(&key(no)).unwrap().bytes.len()).sum();
        assert!(bytes < 256 * 40_000, "{bytes}");
        // Who kept up knows all of them, and who starts now has the older ones validated.
        let judge = |mirror: &Mirror, n: usize, before: u64| {
            let uri = uri(n as u64);
            let subject =
                Subject { uri: &uri, tags: &[], status: 200, content_type: b"", stored_at: Timestamp(1) };
            mirror.verdict(&subject, positions[n] - before)
        };
        let mut new = Mirror::new(100_000);
        new.sync(&data);
        assert_eq!((new.head(), reader.floor()), (reader.head(), 0));
        for n in [0, 1, 700, positions.len() - 1] {
            for mirror in [&reader, &new] {
                assert_eq!(judge(mirror, n, 1), Verdict::Revalidate, "{n}");
            }
            assert_eq!(judge(&reader, n, 0), Verdict::Valid, "{n}");
        }
        assert_eq!(judge(&new, positions.len() - 1, 0), Verdict::Valid);
    }

    #[test]
    fn a_full_index_forgets_to_the_safe_side() {
        let data = Memory::default();
        let (mut writer, mut small) = (Mirror::new(100_000), Mirror::new(10));
        append(&data, &mut writer, Mode::Hard, "t");
        for n in 0..25 {
            append(&data, &mut writer, Mode::Soft, &format!("n{n}"));
        }
        small.sync(&data);
        assert_eq!(verdict(&small, "t", 0), Verdict::Hard);
        assert_eq!(verdict(&small, "t", 1), Verdict::Revalidate);
        assert_eq!(verdict(&small, "n24", 25), Verdict::Soft { at: Timestamp(5) });
        assert_eq!(verdict(&small, "t", 26), Verdict::Valid);
    }

    #[test]
    fn two_purgers_at_once_both_get_a_position() {
        let data = Memory::default();
        let (mut a, mut b) = (Mirror::new(1000), Mirror::new(1000));
        a.sync(&data);
        b.sync(&data);
        // Neither has seen the other's record.
        assert_eq!(a.append(&data, &purge(Mode::Hard, "a"), 1), Ok(1));
        assert_eq!(b.append(&data, &purge(Mode::Hard, "b"), 2), Ok(2));
        a.sync(&data);
        assert_eq!((verdict(&a, "a", 0), verdict(&a, "b", 0)), (Verdict::Hard, Verdict::Hard));
    }

    #[test]
    fn a_journal_that_began_anew_is_noticed() {
        let data = Memory::default();
        let mut mirror = Mirror::new(1000);
        append(&data, &mut mirror, Mode::Hard, "t");
        mirror.sync(&data);
        let lost = Memory::default();
        lost.advance_epoch();
        lost.advance_epoch();
        assert_eq!(mirror.sync(&lost), Synced::Renewed);
        assert_eq!(mirror.head(), 0);
    }
}
