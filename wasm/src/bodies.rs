//! Whether Envoy shows a root the bodies of requests that it holds at their heads.
//!
//! Without `allow_on_headers_stop_iteration` it keeps them back until the request goes on, and nothing says so: there
//! is no property to ask for, and neither Istio's `WasmPlugin` nor Envoy Gateway can set it. What tells is a request
//! that is held: Envoy counts what has arrived of it (`request.total_size`), so where that grows and the callback for
//! bodies does not come, bodies are kept back. Then no later request waits for its body. That nothing has arrived tells
//! nothing: the client may be slow, or may have had nothing to send but the end. So until a body has come, later
//! requests are held for a shorter time than the first one.
//!
//! ```text
//!   Unknown ── nothing comes ──► Doubtful
//!      │ │                          │ │
//!      │ └────── a body comes ──────┼─┴──► Shown     as long as the root lives: another value of the flag is another root
//!      ▼                            ▼        ▲
//!   one is there and is not shown: KeptBack ─┘       one request in a while is held all the same, to see
//! ```

use core::cell::Cell;
use core::time::Duration;
use log::warn;

use super::abi;
use larder::time::Monotonic;

/// How long something of a body must have been there without being shown. A filter in front may look at it meanwhile.
const UNSEEN_FOR: Duration = Duration::from_millis(40);
/// How often a request is held although bodies are kept back.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long something of a body is waited for: by itself, while none has come and one did not, and where none is expected.
const WITHIN: Duration = Duration::from_secs(5);
const WITHIN_IN_DOUBT: Duration = Duration::from_secs(1);
const LOOK_FOR: Duration = Duration::from_millis(250);

/// What is known about bodies, for all streams of one root.
#[derive(Default)]
pub struct Bodies(Cell<Known>);

#[derive(Clone, Copy, Default)]
enum Known {
    #[default]
    Unknown,
    Doubtful,
    Shown,
    KeptBack {
        look_at: Monotonic,
    },
}

impl Bodies {
    /// A body has come while its request was held at the head.
    pub fn shown(&self) {
        self.0.set(Known::Shown);
    }

    /// Whether there is nothing to find out about them.
    pub fn are_shown(&self) -> bool {
        matches!(self.0.get(), Known::Shown)
    }

    /// Whether they are known not to come.
    pub fn are_kept_back(&self) -> bool {
        matches!(self.0.get(), Known::KeptBack { .. })
    }

    /// Nothing of a body has come in time.
    pub fn missed(&self) {
        if matches!(self.0.get(), Known::Unknown) {
            self.0.set(Known::Doubtful);
        }
    }

    /// How long to hold a request for its body; not at all when that will not come, but for a look in a while.
    pub fn hold(&self, now: Monotonic) -> Option<Duration> {
        match self.0.get() {
            Known::Unknown | Known::Shown => Some(WITHIN),
            Known::Doubtful => Some(WITHIN_IN_DOUBT),
            Known::KeptBack { look_at } if now < look_at => None,
            Known::KeptBack { .. } => {
                self.0.set(Known::KeptBack { look_at: now.after(LOOK_EVERY) });
                Some(LOOK_FOR)
            }
        }
    }

    fn keep_back(&self, now: Monotonic) {
        if !self.are_kept_back() {
            warn!(
                "larder cannot read request bodies: QUERY and post_as_query go to the origin, and commands take \
                 their parameters in the query only, until allow_on_headers_stop_iteration is set in the filter's \
                 configuration (Envoy up to 1.39 takes that up only with another plugin name or configuration)"
            );
        }
        self.0.set(Known::KeptBack { look_at: now.after(LOOK_EVERY) });
    }
}

/// What has arrived of one request that is held.
#[derive(Default)]
pub struct Arrival {
    at_head: Option<u64>,
    /// Since when more is there than the head.
    since: Option<Monotonic>,
}

impl Arrival {
    /// Of the stream at hand, of which the head has been seen.
    pub fn of_head() -> Arrival {
        Arrival { at_head: size(), since: None }
    }

    /// Whether something was there at the last look.
    pub const fn has_begun(&self) -> bool {
        self.since.is_some()
    }

    /// Looks at the effective stream again; whether its body is there and is not shown.
    pub fn look(&mut self, bodies: &Bodies, now: Monotonic) -> bool {
        if self.at_head.zip(size()).is_none_or(|(head, size)| size <= head) {
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let unseen = since.after(UNSEEN_FOR) <= now;
        if unseen {
            bodies.keep_back(now);
        }
        unseen
    }
}

/// The bytes of the effective stream's request, head and body, that Envoy has so far.
fn size() -> Option<u64> {
    let bytes = abi::property("request\0total_size")?;
    bytes.try_into().ok().map(u64::from_le_bytes)
}
