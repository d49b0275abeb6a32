//! A soft purge of a thousand responses that are all in demand is no stampede: nobody waits for the origin, which gets
//! one request for each, and only so many at the same time.

use std::time::Duration;

use super::load::{Edge, Protocol};
use super::process::Setup;
use crate::scenarios::telling::{commanding, with_admin};
use crate::stand::{Reply, Request, Response};

const ENTRIES: usize = 1_000;
const CLIENTS: usize = 24;
const WORKERS: usize = 2;
/// `collapse.refresh_concurrency_max`, which each worker keeps to.
const REFRESHES_MAX: usize = 8;

#[test]
fn a_thousand_soft_purged_responses_are_refreshed_one_by_one_without_waiting() {
    let mut edge = Edge::start(&Setup { workers: WORKERS as u64, ..Setup::default() });
    let collapse =
        format!(r#""collapse": {{"cluster": "route_loop", "refresh_concurrency_max": {REFRESHES_MAX}}},"#);
    edge.envoy.configure(&with_admin(&collapse)).unwrap();
    let page = |body: &str| Reply::ok(body).field("cache-control", "max-age=600").field("cache-tag", "hot");
    edge.origin.answer_by(move |_| page("old"));
    let paths: Vec<String> = (0..ENTRIES).map(|n| format!("/hot/{n}")).collect();
    let fill = edge.clients(Protocol::Http2, ENTRIES).into_iter().zip(paths.iter().map(|p| Request::get(p)));
    for response in edge.ask(fill.collect()) {
        assert_eq!(response.unwrap().status, 200);
    }
    edge.origin.answer_by(move |_| page("new").delay(Duration::from_millis(20)));
    edge.origin.most_active();

    let demand = edge.demand(CLIENTS, &paths, expect_hit);
    let purge = commanding("POST", "/_larder/purge", r#"{"selectors": [{"tag": "hot"}], "mode": "soft"}"#);
    let admin = edge.clients(Protocol::Http1, 1).remove(0);
    assert_eq!(edge.ask(vec![(admin, purge)]).remove(0).unwrap().status, 200);
    edge.until("everything is refreshed", || edge.origin.log().len() >= 2 * ENTRIES);
    // Whoever refreshes one of them again would do so now.
    edge.pass(Duration::from_millis(300));
    let requests = edge.stop(demand);
    edge.check_settled();
    let most = edge.origin.most_active();
    assert!(most <= REFRESHES_MAX * WORKERS, "{most} at the same time");
    let mut counts = vec![0; ENTRIES];
    for request in edge.origin.log() {
        counts[request.target.rsplit('/').next().unwrap().parse::<usize>().unwrap()] += 1;
    }
    assert!(counts.iter().all(|count| *count == 2), "each is stored once and refreshed once: {counts:?}");
    println!(
        "{ENTRIES} responses soft purged under load: {requests} requests, all hits; {} refreshes, at most {most} at the same \
         time where {} may be",
        edge.origin.log().len() - ENTRIES,
        REFRESHES_MAX * WORKERS
    );
}

#[track_caller]
fn expect_hit(response: &Response) {
    let said = response.field("cache-status");
    assert!(response.status == 200 && response.is_hit(), "{} {said}", response.status);
}
