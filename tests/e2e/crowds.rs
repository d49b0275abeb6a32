//! Five hundred clients at once, on one worker, two and four, over HTTP/1.1 and HTTP/2: what can be shared is fetched
//! once, what cannot is waited for by nobody, and nobody is forgotten.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::load::{Client, Edge, Protocol};
use super::process::Setup;
use crate::stand::{OriginRequest, Reply, Request, Response};

const CLIENTS: usize = 500;
const KEYS: usize = 50;
const CLIENTS_PER_KEY: usize = 40;
/// How long the origin takes.
const SLOW: Duration = Duration::from_millis(300);

#[test]
fn crowds_on_one_worker_are_one_origin_request_per_key() {
    play(1);
}

#[test]
fn crowds_on_two_workers_are_one_origin_request_per_key() {
    play(2);
}

#[test]
fn crowds_on_four_workers_are_one_origin_request_per_key() {
    play(4);
}

fn play(workers: u64) {
    let edge = Edge::start(&Setup { workers, ..Setup::default() });
    for (n, protocol) in [Protocol::Http1, Protocol::Http2].into_iter().enumerate() {
        for story in [one_key, one_key_whose_first_client_leaves, many_keys, what_cannot_be_shared] {
            let told = story(&edge, protocol, &format!("/crowd/{n}"));
            edge.check_settled();
            println!("{workers} workers, {protocol:?}: {told}, 0 requests left");
        }
    }
}

/// A page that says for which request it was made.
fn page(request: &OriginRequest, n: usize) -> Reply {
    Reply::ok(text(&request.target, n)).field("cache-control", "max-age=600").delay(SLOW)
}

fn text(path: &str, n: usize) -> String {
    format!("{path} {n} {}", "x".repeat(10_000))
}

/// The same for each of these clients.
fn all_ask(clients: Vec<Client>, path: &str) -> Vec<(Client, Request)> {
    clients.into_iter().map(|client| (client, Request::get(path))).collect()
}

#[track_caller]
fn expect(response: &Result<Response, String>, body: &str) {
    let response = response.as_ref().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((response.status, response.text() == body), (200, true), "{:?}", response.fields);
}

fn one_key(edge: &Edge, protocol: Protocol, path: &str) -> String {
    edge.origin.answer_by(|request| page(request, 0));
    let path = &format!("{path}/one");
    for response in edge.ask(all_ask(edge.clients(protocol, CLIENTS), path)) {
        expect(&response, &text(path, 0));
    }
    let fetches = edge.origin_count(path);
    assert_eq!(fetches, 1);
    format!("{CLIENTS} clients on one key: {fetches} origin request")
}

/// The first one's response never comes, so that its leaving cannot be too late.
fn one_key_whose_first_client_leaves(edge: &Edge, protocol: Protocol, path: &str) -> String {
    let path = &format!("{path}/leaves");
    let served = Mutex::new(0);
    edge.origin.answer_by(move |request| {
        let mut served = served.lock().unwrap();
        *served += 1;
        let page = page(request, *served);
        if *served == 1 { page.delay(Duration::from_secs(30)) } else { page }
    });
    let mut clients = edge.clients(protocol, CLIENTS);
    let (first, others) = (clients.remove(0), all_ask(clients, path));
    let leader = edge.begin(first, Request::get(path));
    edge.until("the first is at the origin", || edge.origin_count(path) == 1);
    edge.runtime.spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        leader.abort();
    });
    for response in edge.ask(others) {
        expect(&response, &text(path, 2));
    }
    let fetches = edge.origin_count(path);
    assert_eq!(fetches, 2, "one for the client that left and one for all others");
    format!("{CLIENTS} clients on one key, the first leaves: {fetches} origin requests")
}

fn many_keys(edge: &Edge, protocol: Protocol, path: &str) -> String {
    edge.origin.answer_by(|request| page(request, 0));
    let paths: Vec<String> = (0..KEYS).map(|n| format!("{path}/key-{n}")).collect();
    let clients = edge.clients(protocol, KEYS * CLIENTS_PER_KEY);
    let asked = clients.into_iter().enumerate().map(|(n, c)| (c, Request::get(&paths[n % KEYS]))).collect();
    for (n, response) in edge.ask(asked).iter().enumerate() {
        expect(response, &text(&paths[n % KEYS], 0));
    }
    let fetches: Vec<usize> = paths.iter().map(|path| edge.origin_count(path)).collect();
    assert_eq!(fetches, [1; KEYS]);
    format!("{KEYS} keys × {CLIENTS_PER_KEY} clients: {} origin requests", fetches.len())
}

/// The origin answers the first, which nobody can share, and then none before all others have come: who waited for
/// another would wait for ever. The second time, each worker knows.
fn what_cannot_be_shared(edge: &Edge, protocol: Protocol, path: &str) -> String {
    let path = &format!("{path}/private");
    for (round, alone) in [(1, 1), (2, 0)] {
        let gate = Gate::new(CLIENTS - alone);
        let first = Mutex::new(alone > 0);
        edge.origin.answer_by(move |request| {
            let page = Reply::ok(text(&request.target, 0)).field("cache-control", "private, max-age=600");
            if std::mem::take(&mut *first.lock().unwrap()) { page.delay(SLOW) } else { gate.pass(page) }
        });
        for response in edge.ask(all_ask(edge.clients(protocol, CLIENTS), path)) {
            expect(&response, &text(path, 0));
            let said = response.unwrap().field("cache-status");
            assert!(round == 1 || said == "larder; fwd=uri-miss; detail=private", "{said}");
        }
        assert_eq!(edge.origin_count(path), round * CLIENTS);
    }
    format!("2 × {CLIENTS} clients on what is private: all at the origin at the same time")
}

/// Opens when so many have come.
struct Gate {
    missing: Mutex<usize>,
    opened: Condvar,
}

impl Gate {
    fn new(count: usize) -> Arc<Gate> {
        Arc::new(Gate { missing: Mutex::new(count), opened: Condvar::new() })
    }

    /// The reply, once the gate is open; a failure when it stays shut.
    fn pass(&self, reply: Reply) -> Reply {
        let mut missing = self.missing.lock().unwrap();
        *missing = missing.saturating_sub(1);
        self.opened.notify_all();
        let (missing, _) =
            self.opened.wait_timeout_while(missing, Duration::from_secs(50), |missing| *missing > 0).unwrap();
        if *missing == 0 { reply } else { Reply::status(599).body(format!("{missing} have not come")) }
    }
}
