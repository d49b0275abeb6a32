//! The origin is gone for a while, under load: with grace configured, nobody gets an error for what was cached, and
//! when it is back, so is what it says now.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::load::{Edge, Protocol};
use super::process::Setup;
use crate::stand::{Reply, Request, Response};

const ENTRIES: usize = 100;
const CLIENTS: usize = 16;
/// One request in this time looks whether the origin is back.
const PROBE: Duration = Duration::from_secs(1);
/// What a busy machine may take on top, and for how long a key rests whose fetch has failed.
const SLACK: Duration = Duration::from_secs(40);

#[test]
fn while_the_origin_is_down_cached_urls_give_no_errors() {
    let seconds = env::var("OUTAGE_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(3);
    let mut edge = Edge::start(&Setup::default());
    let breaker = format!(r#"{{"failures": 3, "probe_interval": "{}ms"}}"#, PROBE.as_millis());
    edge.envoy.configure(&format!(r#"{{"stale_if_error": "5m", "breaker": {breaker}}}"#)).unwrap();
    let version = Arc::new(AtomicUsize::new(0));
    let said = Arc::clone(&version);
    edge.origin.answer_by(move |_| {
        Reply::ok(said.load(Ordering::Relaxed).to_string()).field("cache-control", "max-age=1")
    });
    let paths: Vec<String> = (0..ENTRIES).map(|n| format!("/outage/{n}")).collect();
    let fill = edge.clients(Protocol::Http2, ENTRIES).into_iter().zip(paths.iter().map(|p| Request::get(p)));
    for response in edge.ask(fill.collect()) {
        expect_no_error(&response.unwrap());
    }

    let demand = edge.demand(CLIENTS, &paths, expect_no_error);
    edge.pass(Duration::from_millis(500));
    edge.origin.listen(false);
    edge.pass(Duration::from_secs(seconds));
    let (during, asked) = (demand.answered(), edge.envoy.stat("cluster.origin.upstream_cx_connect_fail"));
    let breaker = |edge: &Edge, of: &str| edge.envoy.stat(&format!("wasmcustom.larder_{of}"));
    edge.until("the breaker has opened", || breaker(&edge, "breaker_opened") == 1);
    assert_eq!((breaker(&edge, "breaker_opened"), breaker(&edge, "breaker_closed")), (1, 0));
    version.store(1, Ordering::Relaxed);
    edge.origin.listen(true);
    let (back, probes) = (Instant::now(), breaker(&edge, "breaker_probes"));
    edge.until("the breaker has closed", || breaker(&edge, "breaker_closed") == 1);
    let closed = back.elapsed();
    // The first probe after its return finds it, an interval after the last one at the latest.
    let more = breaker(&edge, "breaker_probes") - probes;
    assert!(more <= 1 && closed < PROBE + SLACK, "closed after {more} more probes and {closed:?}");
    let mut client = edge.clients(Protocol::Http1, 1).remove(0);
    for path in &paths {
        while edge.runtime.block_on(client.send(&Request::get(path))).unwrap().text() != "1" {
            assert!(back.elapsed() < PROBE + SLACK, "{path} is still what it was");
            edge.pass(Duration::from_millis(10));
        }
    }
    let recovered = back.elapsed();
    edge.stop(demand);
    edge.check_settled();
    println!(
        "the origin was gone for {seconds} s: {during} requests for {ENTRIES} cached responses, no error, it was tried \
         {asked} times, {probes} of them probes; the breaker closed {closed:?} after its return, with {more} probe(s), and \
         everything was up to date after {recovered:?}"
    );
}

#[track_caller]
fn expect_no_error(response: &Response) {
    assert_eq!(response.status, 200, "{}", response.field("cache-status"));
}
