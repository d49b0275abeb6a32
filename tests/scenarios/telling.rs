//! What scenarios have in common: the usual page, the admin's token, and questions that many of them ask.

use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use crate::stand::{Reply, Request, Response, Stand};

/// The admin's token, of which configurations know the digest.
pub const TOKEN: &str = "open sesame";

/// Leads what Larder fetches by itself to the routes, as the configuration does that is shipped.
pub const TABLE: &str = r#""collapse": {"cluster": "route_loop"},"#;

/// A configuration with an admin route and these other members, each with a comma behind it. What Larder fetches by itself
/// goes through the routes, unless these say something else of it.
pub fn with_admin(more: &str) -> String {
    let table = if more.contains("\"collapse\"") { "" } else { TABLE };
    let sha256 = "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb";
    format!(r#"{{{more} {table} "admin": {{"tokens": [{{"name": "ops", "sha256": "{sha256}"}}]}}}}"#)
}

/// Configures the stand with an admin route and nothing else.
pub fn admin(stand: &mut dyn Stand) {
    stand.configure(&with_admin("")).unwrap();
}

/// A page that is fresh for ten minutes.
pub fn page(body: impl AsRef<[u8]>) -> Reply {
    Reply::ok(body).field("cache-control", "max-age=600")
}

/// Pages with these bodies, one after the other.
pub fn pages(bodies: &[&str]) -> Vec<Reply> {
    bodies.iter().map(page).collect()
}

/// A page that was fresh for a minute, 100 seconds ago, with a validator.
pub fn stale_page(body: impl AsRef<[u8]>, more: &str) -> Reply {
    Reply::ok(body)
        .field("cache-control", format!("max-age=60{more}"))
        .field("age", "100")
        .field("etag", "\"old\"")
}

/// Gets a target from a worker.
pub fn get(stand: &mut dyn Stand, worker: usize, target: &str) -> Response {
    stand.send(worker, Request::get(target))
}

/// Gets a target, which must come from the cache with this body.
#[track_caller]
pub fn expect_hit(stand: &mut dyn Stand, worker: usize, target: &str, body: &str) -> Response {
    let response = get(stand, worker, target);
    let status = response.field("cache-status");
    assert!(response.is_hit(), "{target} on worker {worker} should be a hit: {status}");
    assert_eq!((response.status, response.text().as_str()), (200, body), "{target} on worker {worker}");
    response
}

/// Gets a target, which must come from the origin with this body.
#[track_caller]
pub fn expect_miss(stand: &mut dyn Stand, worker: usize, target: &str, body: &str) -> Response {
    let response = get(stand, worker, target);
    let status = response.field("cache-status");
    assert!(!response.is_hit(), "{target} on worker {worker} should be no hit: {status}");
    assert_eq!((response.status, response.text().as_str()), (200, body), "{target} on worker {worker}");
    response
}

/// Sends a command to the admin route of a worker, with the token.
pub fn command(stand: &mut dyn Stand, worker: usize, method: &str, path: &str, body: &str) -> Response {
    stand.send(worker, commanding(method, path, body))
}

/// A command for the admin route, with the token.
pub fn commanding(method: &str, path: &str, body: &str) -> Request {
    let request = Request::new(method, path).field("authorization", format!("Bearer {TOKEN}"));
    request.field("content-type", "application/json").body(body)
}

/// Purges this path of `shop.example`, which must be acknowledged.
#[track_caller]
pub fn purge_url(stand: &mut dyn Stand, worker: usize, path: &str, mode: &str) -> u64 {
    purge(stand, worker, &format!(r#"{{"url": "http://shop.example{path}"}}"#), mode)
}

/// Purges a tag, which must be acknowledged.
#[track_caller]
pub fn purge_tag(stand: &mut dyn Stand, worker: usize, tag: &str, mode: &str) -> u64 {
    purge(stand, worker, &format!(r#"{{"tag": "{tag}"}}"#), mode)
}

/// Purges by one selector, which must be acknowledged; the receipt.
#[track_caller]
pub fn purge(stand: &mut dyn Stand, worker: usize, selector: &str, mode: &str) -> u64 {
    let body = format!(r#"{{"selectors": [{selector}], "mode": "{mode}"}}"#);
    let response = command(stand, worker, "POST", "/_larder/purge", &body);
    assert_eq!(response.status, 200, "{}", response.text());
    let answer: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    answer["receipt"].as_u64().expect("a receipt")
}

/// The date so many seconds from now, as header fields have it.
pub fn date(stand: &mut dyn Stand, seconds: i64) -> String {
    let now = httpdate::parse_http_date(&get(stand, 0, "/what-time-is-it").field("date")).unwrap();
    let offset = Duration::from_secs(seconds.unsigned_abs());
    let at: SystemTime = if seconds < 0 { now - offset } else { now + offset };
    httpdate::fmt_http_date(at)
}

/// Waits until a path has been asked for so many times.
#[track_caller]
pub fn await_origin(stand: &mut dyn Stand, path: &str, count: usize) {
    let asked = soon(stand, |stand| stand.origin_count(path) >= count);
    assert!(asked, "the origin was asked for {path} {} times, not {count}", stand.origin_count(path));
}

/// Waits until a target comes from the cache with this body, as it does when a refresh behind the back of its clients is
/// over: what it replaces is served until then.
#[track_caller]
pub fn await_hit(stand: &mut dyn Stand, worker: usize, target: &str, body: &str) -> Response {
    soon(stand, |stand| {
        let response = get(stand, worker, target);
        response.is_hit() && response.text() == body
    });
    expect_hit(stand, worker, target, body)
}

/// Waits until no worker fetches anything any more, so that what nobody waits for has come to its end as well. Needs the
/// admin route.
#[track_caller]
pub fn settle(stand: &mut dyn Stand) {
    for worker in [0, 1] {
        let settled = soon(stand, |stand| {
            let health = command(stand, worker, "GET", "/_larder/health", "");
            let health: serde_json::Value = serde_json::from_slice(&health.body).expect("facts");
            health["facts"]["worker_fetches"] == 0
        });
        assert!(settled, "worker {worker} goes on fetching");
    }
}

/// Waits until something has happened by itself; false when it does not.
pub fn soon(stand: &mut dyn Stand, mut has: impl FnMut(&mut dyn Stand) -> bool) -> bool {
    let began = stand.now();
    while !has(stand) {
        if stand.now() - began > stand.patience() {
            return false;
        }
        stand.pass(Duration::from_millis(20));
    }
    true
}

/// What somebody sees who looks within this time: before a lifetime is over, or while something is remembered. On a machine
/// that was too busy for it, the same once more, under another number, so that nothing is left of what was.
#[track_caller]
pub fn in_time<T>(
    stand: &mut dyn Stand,
    time: Duration,
    mut look: impl FnMut(&mut dyn Stand, usize) -> T,
) -> T {
    for number in 0..50 {
        let began = stand.now();
        let seen = look(stand, number);
        if stand.now() - began < time {
            return seen;
        }
    }
    panic!("the machine is too busy for what takes {time:?}");
}

/// What may be left of a lifetime that began after `began`.
pub fn left_of(stand: &mut dyn Stand, began: Duration, lifetime: i64) -> RangeInclusive<i64> {
    let passed = i64::try_from((stand.now() - began).as_secs()).unwrap();
    lifetime - 2 - passed..=lifetime
}

/// The remaining freshness lifetime that `Cache-Status` tells.
#[track_caller]
pub fn ttl(response: &Response) -> i64 {
    let status = response.field("cache-status");
    let found = status.split("; ").find_map(|parameter| parameter.strip_prefix("ttl="));
    found.and_then(|ttl| ttl.parse().ok()).unwrap_or_else(|| panic!("no ttl in {status:?}"))
}
