//! Clocks of origins that are behind: which, and by how much. Larder obeys RFC 9111 §4.2.3, by which all that such an origin
//! sends is older than it is; so somebody has to be told why nothing of it is ever fresh.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::host::Host;
use crate::http::{RequestHead, ResponseHead};
use crate::outcome::NotStored;
use crate::outcome::metrics::Counter;
use crate::policy::{apparent_age, clock_behind};
use crate::store::record::Response;
use crate::store::{SharedData, shared_key};
use crate::time::Timestamp;
use crate::turn::Turn;

/// The most hosts whose clocks are remembered. Beyond it the one seen the longest ago is forgotten.
const HOSTS_MAX: usize = 16;
/// The longest name of a host that is remembered, in bytes. Beyond it the clock of the host is counted and not remembered.
const HOST_BYTES_MAX: usize = 255;
/// How long it is remembered that a clock was behind.
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);
/// How often it is noted anew as long as nothing changes.
const NOTED_EVERY: Duration = Duration::from_secs(60);

/// A clock that is behind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Clock {
    host: Vec<u8>,
    behind_secs: u64,
    seen: Timestamp,
}

/// A response has come that may be stored or not: if its `Date` alone has made it stale, it is counted, and remembered
/// for whoever asks.
pub(super) fn watch_origin_clock(
    turn: Turn<'_, impl Host>,
    request: &RequestHead,
    response: &ResponseHead,
    assessed: &Result<Response, NotStored>,
) {
    let behind = match assessed {
        Ok(response) => clock_behind(&response.stored),
        Err(NotStored::ClockBehind) => Some(apparent_age(&response.fields, turn.now.wall)),
        Err(_) => None,
    };
    let Some(behind) = behind else { return };
    turn.host.count(Counter::OriginClockBehind);
    let clock = Clock {
        host: request.authority().to_ascii_lowercase(),
        behind_secs: behind.as_secs(),
        seen: turn.now.wall,
    };
    if clock.host.len() <= HOST_BYTES_MAX {
        note(turn.host, clock);
    }
}

/// By how much the clock of the origin of a request was behind, and when that was seen, as far as it is remembered.
#[must_use]
pub fn origin_clock(turn: Turn<'_, impl Host>, request: &RequestHead) -> Option<(Duration, Timestamp)> {
    let clocks = read(turn.host).into_iter();
    let mut lately = clocks.filter(|clock| turn.now.wall.since(clock.seen) < REMEMBERED_FOR);
    let clock = lately.find(|clock| clock.host.eq_ignore_ascii_case(request.authority()))?;
    Some((Duration::from_secs(clock.behind_secs), clock.seen))
}

/// Remembers a clock, before the others. A plain write: what is lost is seen again.
fn note(data: &impl SharedData, clock: Clock) {
    let mut clocks = read(data);
    let known = clocks.iter().position(|known| known.host == clock.host).map(|at| clocks.remove(at));
    let is_known = known.is_some_and(|known| {
        known.behind_secs.abs_diff(clock.behind_secs) <= 1 && clock.seen.since(known.seen) < NOTED_EVERY
    });
    if is_known {
        return;
    }
    clocks.insert(0, clock);
    clocks.truncate(HOSTS_MAX);
    data.set(&key(), &postcard::to_allocvec(&clocks).unwrap_or_default());
}

fn read(data: &impl SharedData) -> Vec<Clock> {
    data.get(&key()).and_then(|found| postcard::from_bytes(&found.bytes).ok()).unwrap_or_default()
}

fn key() -> String {
    shared_key("clocks", &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn clock(host: &str, behind_secs: u64, seen: u64) -> Clock {
        Clock { host: host.into(), behind_secs, seen: Timestamp::from_secs(seen) }
    }

    #[test]
    fn the_last_hosts_are_remembered_each_once() {
        let data = Memory::default();
        for n in 0..20 {
            note(&data, clock(&format!("h{n}"), 90, n));
        }
        assert_eq!((read(&data).len(), &*read(&data)[0].host), (HOSTS_MAX, &b"h19"[..]));
        note(&data, clock("h18", 91, 30));
        assert_eq!(&*read(&data)[0].host, b"h19", "that is no news");
        note(&data, clock("h18", 95, 30));
        assert_eq!((read(&data).len(), &read(&data)[0]), (HOSTS_MAX, &clock("h18", 95, 30)));
        note(&data, clock("h18", 95, 91));
        assert_eq!(read(&data)[0].seen, Timestamp::from_secs(91));
    }

    #[test]
    fn what_nobody_has_written_is_nothing() {
        let data = Memory::default();
        data.set(&key(), b"\xff\xff\xff");
        assert_eq!(read(&data), []);
    }
}
