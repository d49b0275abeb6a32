//! What was said to have changed: the records of the journal and their verdict on a stored response.
//!
//! Every purge, ban, tag command, unsafe method (RFC 9111 §4.4), group invalidation (RFC 9875 §3) and fleet event
//! is one [`Invalidation`]. A stored response carries the position in the journal at which it was requested, its
//! stamp, and is judged by the records after it through the [`Index`]: nothing is ever scanned. Where the journal
//! lives, how it is bounded and how workers read it is not known here.

mod backlog;
mod crowd;
mod hierarchy;
mod index;
mod key;
mod literal;
mod matcher;
mod names;
mod pattern;
mod selector;
mod since;
mod tag;
mod work;

pub use backlog::Backlog;
pub use index::{Full, Index};
pub use literal::said;
pub use matcher::Matcher;
pub use pattern::{Matched, PATTERN_BYTES_MAX, Pattern};
pub use selector::{Part, Selector, Subject, Term, media_range, status};
pub use since::Verdict;
pub use tag::{Separators, TAG_BYTES_MAX, Tag, TagLimit, fact, groups_of, tags_of};
pub use work::{CALLBACK_WORK_MAX, Pace, TICK_WORK_MAX, VERDICT_WORK_MAX, Work};

use serde::{Deserialize, Serialize};

use crate::config::Share;
use crate::time::Timestamp;

/// The longest encoded record in bytes. Beyond it a command is refused with a 400, and what others cause is written as an
/// invalidation of everything.
pub const RECORD_BYTES_MAX: usize = 16 << 10;

/// The longest URI in a record in bytes. Beyond it the record names its path with any query, or a path above it.
const URI_BYTES_MAX: usize = 4 << 10;
/// The longest URI in a record that strangers can cause, in bytes. Beyond it the record names its path with any query, or a
/// path above it.
const STRANGERS_URI_BYTES_MAX: usize = 1 << 10;

/// The longest reason in a record in bytes. Beyond it the reason is cut.
const REASON_BYTES_MAX: usize = 256;

/// The first byte of a record. A reader that does not know it takes the record for a hard purge of everything.
const VERSION: u8 = 1;

/// One record of the journal: from its position on, what it covers has changed.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct Invalidation {
    /// What becomes of what it covers.
    pub mode: Mode,
    /// What it covers.
    pub selector: Selector,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Who said so.
    pub source: Source,
    /// Why, in the words of the command.
    pub reason: Option<String>,
}

/// What becomes of the stored responses that an invalidation covers.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mode {
    /// Stale now; may be served while it is refreshed, within its grace.
    Soft,
    /// Validated before its next use, never served stale (RFC 9111 §4.4).
    Revalidate,
    /// Never used again, not even as a validator.
    Hard,
}

/// Who issued an invalidation.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// A caller of the admin route.
    Admin {
        /// The name of its token.
        token: String,
    },
    /// A successful request with an unsafe method (RFC 9111 §4.4).
    UnsafeMethod,
    /// A mutation rule of the configuration.
    MutationRule,
    /// `Cache-Group-Invalidation` (RFC 9875 §3).
    CacheGroup,
    /// Another Envoy of the fleet.
    Fleet {
        /// The revision of its log.
        revision: u64,
        /// Who gave it, in the words of whoever shared it.
        by: String,
    },
    /// A record that could not be read.
    Unreadable,
    /// A wall clock that was set back.
    Clock,
}

impl Invalidation {
    /// Whether strangers can cause such records, by requests that the origin has carried out.
    #[must_use]
    pub fn is_strangers(&self) -> bool {
        let by_request =
            matches!(self.source, Source::UnsafeMethod | Source::MutationRule | Source::CacheGroup);
        by_request && self.mode == Mode::Revalidate
    }
}

impl Mode {
    /// All modes.
    pub const ALL: [Mode; 3] = [Mode::Soft, Mode::Revalidate, Mode::Hard];

    /// The mode in one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Soft => "soft",
            Mode::Revalidate => "revalidate",
            Mode::Hard => "hard",
        }
    }
}

impl Source {
    /// As what it travels to the other Envoys of a fleet; none for what never does.
    #[must_use]
    pub const fn share(&self) -> Option<Share> {
        match self {
            Source::Admin { .. } => Some(Share::Admin),
            Source::MutationRule => Some(Share::MutationRule),
            Source::CacheGroup => Some(Share::CacheGroup),
            Source::UnsafeMethod => Some(Share::UnsafeMethod),
            // What came from the fleet would go round for ever; a clock is each Envoy's own.
            Source::Fleet { .. } | Source::Unreadable | Source::Clock => None,
        }
    }

    /// The kind of source in one word.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Source::Admin { .. } => "admin",
            Source::UnsafeMethod => "unsafe-method",
            Source::MutationRule => "mutation-rule",
            Source::CacheGroup => "cache-group",
            Source::Fleet { .. } => "fleet",
            Source::Unreadable => "unreadable",
            Source::Clock => "clock",
        }
    }
}

/// How many bytes a record takes before any bound is applied.
#[must_use]
pub fn record_bytes(invalidation: &Invalidation) -> usize {
    postcard::to_allocvec(invalidation).map_or(usize::MAX, |bytes| bytes.len() + 1)
}

/// The bytes of a record, at most [`RECORD_BYTES_MAX`]: a selector too long for it is replaced by a coarser one.
#[must_use]
pub fn encode(invalidation: &Invalidation) -> Vec<u8> {
    let write = |record: &Invalidation| {
        let mut bytes = vec![VERSION];
        bytes.extend(postcard::to_allocvec(record).ok()?);
        (bytes.len() <= RECORD_BYTES_MAX).then_some(bytes)
    };
    let record = bounded(invalidation);
    write(&record)
        .or_else(|| write(&Invalidation { selector: Selector::All, source: Source::Unreadable, ..record }))
        // An unknown record is a hard purge of everything.
        .unwrap_or_default()
}

/// The record in these bytes. What cannot be read, or comes from a later version with a selector or mode unknown
/// here, is a hard purge of everything.
#[must_use]
pub fn decode(bytes: &[u8]) -> Invalidation {
    match bytes.split_first() {
        Some((&VERSION, record)) => match postcard::take_from_bytes(record) {
            Ok((invalidation, [])) => invalidation,
            Ok(_) | Err(_) => unreadable(),
        },
        Some(_) | None => unreadable(),
    }
}

fn unreadable() -> Invalidation {
    Invalidation {
        mode: Mode::Hard,
        selector: Selector::All,
        issued_at: Timestamp::default(),
        source: Source::Unreadable,
        reason: None,
    }
}

/// The same invalidation within the bounds of a record: reasons are cut, and for a long URI stands a path above it.
fn bounded(invalidation: &Invalidation) -> Invalidation {
    let mut record = invalidation.clone();
    if let Some(reason) = &mut record.reason {
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
    }
    let most = if record.is_strangers() { STRANGERS_URI_BYTES_MAX } else { URI_BYTES_MAX };
    match &record.selector {
        Selector::Uri(uri) | Selector::UriAnyQuery(uri) | Selector::Prefix(uri) if uri.len() > most => {
            record.selector = coarser(uri, most);
        }
        _ => {}
    }
    record
}

/// The path of a long URI with any query, or one above it.
fn coarser(uri: &[u8], most: usize) -> Selector {
    let path = uri.split(|b| *b == b'?').next().unwrap_or_default();
    if path.len() <= most && path.len() < uri.len() {
        return Selector::UriAnyQuery(path.to_vec());
    }
    let start = path.get(..most).unwrap_or(path);
    match start.iter().rposition(|b| *b == b'/') {
        Some(slash) => Selector::Prefix(start.get(..=slash).unwrap_or_default().to_vec()),
        None => Selector::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn soft(selector: Selector) -> Invalidation {
        Invalidation {
            mode: Mode::Soft,
            selector,
            issued_at: Timestamp(7),
            source: Source::Admin { token: "ops".into() },
            reason: Some("deploy".into()),
        }
    }

    fn selectors() -> Vec<Selector> {
        let tag = |name| Tag::new(name).unwrap();
        vec![
            Selector::All,
            Selector::Uri(b"h/\xff".to_vec()),
            Selector::UriAnyQuery(b"h/a".to_vec()),
            Selector::Prefix(b"h/a/".to_vec()),
            Selector::Host(b"h:81".to_vec()),
            Selector::Hostname(b"h".to_vec()),
            Selector::Tags(vec![tag("a"), tag("b c")]),
            Selector::Glob(Part::Url, "/a*".into()),
            Selector::Regex(Part::Host, "^a".into()),
            Selector::ContentType("text/html".into()),
            Selector::Status(404),
            Selector::StatusClass(5),
            Selector::StoredBefore(Timestamp(9)),
            Selector::And(vec![
                Term::is(Selector::Status(200)),
                Term { negated: true, selector: Selector::All },
            ]),
        ]
    }

    #[test]
    fn records_round_trip() {
        for selector in selectors() {
            let record = soft(selector);
            assert_eq!(decode(&encode(&record)), record);
        }
    }

    #[test]
    fn what_cannot_be_read_is_a_hard_purge_of_everything() {
        for selector in selectors() {
            let bytes = encode(&soft(selector));
            for cut in 0..bytes.len() {
                let read = decode(&bytes[..cut]);
                assert_eq!((read.mode, read.selector), (Mode::Hard, Selector::All));
            }
            let longer = [&bytes[..], b"x"].concat();
            assert_eq!(decode(&longer).selector, Selector::All);
        }
        // A mode and a selector of a later version, and a later version of the record.
        let bytes = encode(&soft(Selector::All));
        for (at, value) in [(1, 9), (2, 99), (0, 2)] {
            let mut later = bytes.clone();
            later[at] = value;
            assert_eq!(decode(&later), unreadable());
        }
    }

    #[test]
    fn no_damage_makes_decoding_panic() {
        for selector in selectors() {
            let bytes = encode(&soft(selector));
            for at in 0..bytes.len() {
                for flip in [1, 0x40, 0x80, 0xff] {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= flip;
                    let _ = decode(&damaged);
                }
            }
        }
        let _ = decode(&[VERSION, 2, 0].repeat(10_000));
    }

    #[test]
    fn a_record_is_bounded_and_covers_no_less_then() {
        let long = format!("h/a/{}?{}", "b".repeat(URI_BYTES_MAX), "c".repeat(100));
        let short = decode(&encode(&soft(Selector::Uri(long.into_bytes()))));
        assert_eq!(short.selector, Selector::Prefix(b"h/a/".to_vec()));
        let query = format!("h/a/x?{}", "c".repeat(URI_BYTES_MAX));
        let short = decode(&encode(&soft(Selector::Uri(query.into_bytes()))));
        assert_eq!(short.selector, Selector::UriAnyQuery(b"h/a/x".to_vec()));
        let query = Selector::Uri(format!("h/a/x?{}", "c".repeat(STRANGERS_URI_BYTES_MAX)).into_bytes());
        let by_strangers =
            Invalidation { mode: Mode::Revalidate, source: Source::UnsafeMethod, ..soft(query.clone()) };
        assert_eq!(decode(&encode(&by_strangers)).selector, Selector::UriAnyQuery(b"h/a/x".to_vec()));
        assert_eq!(decode(&encode(&soft(query.clone()))).selector, query);
        let tags = (0..5000).map(|n| Tag::new(&format!("tag{n}")).unwrap()).collect();
        let bytes = encode(&soft(Selector::Tags(tags)));
        assert!(bytes.len() <= RECORD_BYTES_MAX);
        assert_eq!(decode(&bytes).selector, Selector::All);
        let mut wordy = soft(Selector::All);
        wordy.reason = Some("é".repeat(1000));
        assert_eq!(decode(&encode(&wordy)).reason.unwrap().len(), REASON_BYTES_MAX);
    }
}
