//! A VM that dies while it leads flights: who waits on other workers is served within the lease, who waited on it hangs
//! no longer than Envoy's own timeout, and what is stored stays right.

use std::time::{Duration, Instant};

use super::load::{Client, Edge, Protocol};
use super::process::{Setup, TRAP, module};
use crate::scenarios::telling::{commanding, with_admin};
use crate::stand::{OriginRequest, Reply, Request};

/// Flights that the dead VM leads.
const FLIGHTS: usize = 10;
/// Who waits for each, on each worker.
const WAITING: usize = 5;
/// `stream_idle_timeout` here.
const IDLE: Duration = Duration::from_secs(8);
/// How long a fetch is waited for after the last sign of its worker, unless configured.
const LEASE: Duration = Duration::from_secs(2);
/// What the origin and a busy machine may take on top. That nobody has gone to the origin by himself meanwhile shows that
/// the lease it was.
const SLACK: Duration = Duration::from_secs(25);

/// Whose fetches die.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fetches {
    /// Requests of clients.
    Inline,
    /// Calls of the VM's root, for pages that are known.
    Dispatched,
}

#[test]
fn when_the_leaders_vm_dies_its_followers_on_the_other_worker_are_served_within_the_lease() {
    play(2, Fetches::Inline);
}

#[test]
fn when_the_leaders_vm_dies_its_followers_on_three_other_workers_are_served_within_the_lease() {
    play(4, Fetches::Inline);
}

#[test]
fn when_a_vm_dies_that_fetches_by_itself_the_followers_on_other_workers_are_served_within_the_lease() {
    play(4, Fetches::Dispatched);
}

#[test]
fn what_a_dead_vm_was_refreshing_is_served_stale_and_refreshed_by_another() {
    let edge = start(2);
    let paths: Vec<String> = (0..FLIGHTS).map(|n| format!("/refreshed/{n}")).collect();
    let [dying, living] = [0, 1].map(|worker| edge.clients_of(worker, 2 * FLIGHTS + 1));
    let (mut dying, mut living) = (dying.into_iter(), living.into_iter());
    let ask = |clients: &mut dyn Iterator<Item = Client>| {
        let asked = clients.take(FLIGHTS).zip(&paths).map(|(client, path)| (client, Request::get(path)));
        let answers = edge.ask(asked.collect()).into_iter();
        answers.map(|answer| answer.expect("nobody waits")).collect::<Vec<_>>()
    };
    edge.origin.answer_by(|request| page(request, "old"));
    ask(&mut dying);
    purge(&edge, "soft");
    edge.origin.answer_by(|request| page(request, "lost").delay(Duration::from_secs(20)));
    assert!(ask(&mut dying).iter().all(|answer| answer.is_hit()), "served stale");
    edge.until("all refreshes are at the origin", || edge.origin.log().len() == 2 * FLIGHTS);
    edge.origin.answer_by(|request| page(request, "new"));
    let _ = edge.ask(vec![(dying.next().unwrap(), Request::get("/").field(TRAP, "1"))]);
    let death = Instant::now();
    let stale = ask(&mut living);
    assert!(stale.iter().all(|answer| answer.is_hit() && answer.text().starts_with("old")), "{stale:?}");
    let mut client = living.next().unwrap();
    for path in &paths {
        while !edge.runtime.block_on(client.send(&Request::get(path))).unwrap().text().starts_with("new") {
            assert!(death.elapsed() < LEASE + SLACK, "{path} is still what it was");
            edge.pass(Duration::from_millis(20));
        }
        assert_eq!(edge.origin_count(path), 3, "{path}: made, lost, and refreshed by another");
    }
    expect_consistency(&edge, 2, &paths);
    edge.check_idle();
}

/// The number that the receiver of the dead VM's messages had is a stream's in the VM that comes after it.
#[test]
fn a_message_for_a_dead_vm_does_not_kill_its_heir() {
    const STREAMS: usize = 60;
    let edge = start(2);
    let [living, dying] = [0, 1].map(|worker| edge.clients_of(worker, STREAMS));
    let (mut living, mut dying) = (living.into_iter(), dying.into_iter());
    edge.origin.answer_by(|request| match request.target.as_str() {
        "/kept" => page(request, "kept"),
        _ => Reply::ok("slow").field("cache-control", "no-store").delay(Duration::from_secs(5)),
    });
    let one = |client: Option<Client>, request: Request| edge.ask(vec![(client.unwrap(), request)]).remove(0);
    one(dying.next(), Request::get("/kept")).unwrap();
    let _ = one(dying.next(), Request::get("/").field(TRAP, "1"));
    // Until the heir is there, its requests are answered with 503. The first one that is not has the number.
    let begin = |n: usize, client| edge.begin(client, Request::get(&format!("/slow/{n}")));
    let is_at_origin = |n: usize| edge.origin_count(&format!("/slow/{n}")) == 1;
    let mut slow = Vec::new();
    for (n, client) in dying.by_ref().take(STREAMS / 2).enumerate() {
        let first = begin(n, client);
        edge.until("it is at the origin, or refused", || is_at_origin(n) || first.is_finished());
        if !first.is_finished() {
            slow.push(first);
            break;
        }
        assert_eq!(edge.answers(vec![first]).remove(0).unwrap().status, 503);
        edge.pass(Duration::from_millis(20));
    }
    assert!(!slow.is_empty(), "the worker has no VM");
    slow.extend(dying.zip(STREAMS..).map(|(client, n)| begin(n, client)));
    edge.until("all are at the origin", || edge.origin.log().len() > slow.len());
    // What replaces a fresh response is told to every worker, and for a while the dead one counts as such.
    let replacing = Request::get("/kept").field("cache-control", "no-cache");
    assert_eq!(one(living.next(), replacing).unwrap().text(), "kept /kept");
    for response in edge.answers(slow) {
        assert_eq!(response.expect("nobody hangs").text(), "slow");
    }
    let log = edge.envoy.log();
    assert_eq!(log.matches("unreachable").count(), 1, "{log}");
    edge.check_idle();
}

#[test]
fn what_is_shipped_cannot_be_killed_by_a_request() {
    let has = |with_trap, text: &str| {
        let module = std::fs::read(module(with_trap)).expect("run `make e2e`");
        module.windows(text.len()).any(|bytes| bytes == text.as_bytes())
    };
    assert!(has(true, TRAP) && !has(false, TRAP));
    // Our own callback goes by the host's name for it.
    assert!(has(false, "proxy_on_queue_ready") && !has(false, "larder_on_queue_ready"));
}

fn start(workers: u64) -> Edge {
    let replaced = vec![("stream_idle_timeout: 60s", "stream_idle_timeout: 8s")];
    let mut edge = Edge::start(&Setup { workers, with_trap: true, replaced, ..Setup::default() });
    edge.envoy.configure(&with_admin("")).unwrap();
    edge
}

fn play(workers: u64, fetches: Fetches) {
    let edge = start(workers);
    let paths: Vec<String> = (0..FLIGHTS).map(|n| format!("/dies/{n}")).collect();
    let clients = |worker| edge.clients_of(worker, FLIGHTS * WAITING);
    let waiting: Vec<Vec<Client>> = (0..workers).map(clients).collect();
    let leading = edge.clients_of(0, FLIGHTS + 1);
    let ask = |clients: Vec<Client>| {
        let asked = clients.into_iter().zip(paths.iter().cycle());
        asked.map(|(client, path)| edge.begin(client, Request::get(path))).collect::<Vec<_>>()
    };

    // Gone, but known: the root fetches them, and who leads waits like all others.
    let is_dispatched = fetches == Fetches::Dispatched;
    if is_dispatched {
        edge.origin.answer_by(|request| page(request, "gone"));
        edge.answers(ask(edge.clients(Protocol::Http1, FLIGHTS)));
        purge(&edge, "hard");
        edge.origin.forget();
    }
    // Nobody ever sees the answer that the dead VM waits for.
    edge.origin.answer_by(|request| page(request, "lost").delay(Duration::from_secs(20)));
    let mut leading = leading.into_iter();
    let leaders = ask(leading.by_ref().take(FLIGHTS).collect());
    edge.until("all leaders are at the origin", || edge.origin.log().len() == FLIGHTS);
    edge.origin.answer_by(|request| page(request, "found").delay(Duration::from_millis(300)));
    let mut waiting = waiting.into_iter().map(ask);
    let (hopeless, others): (Vec<_>, Vec<_>) = (waiting.next().unwrap(), waiting.flatten().collect());
    let all = workers as usize * FLIGHTS * WAITING + if is_dispatched { FLIGHTS } else { 0 };
    edge.until("all followers wait", || edge.envoy.stat("wasmcustom.larder_waited") == all as u64);
    let calls = edge.envoy.stat("wasmcustom.larder_dispatched");
    assert_eq!(calls, if is_dispatched { FLIGHTS as u64 } else { 0 });

    let death = Instant::now();
    let fatal = Request::get("/").field(TRAP, "1");
    let _ = edge.ask(vec![(leading.next().unwrap(), fatal)]);
    let served = others.len();
    for response in edge.answers(others) {
        let response = response.expect("a follower on another worker is answered");
        assert_eq!((response.status, response.text().split(' ').next()), (200, Some("found")));
    }
    let until_served = death.elapsed();
    assert!(until_served < LEASE + SLACK, "the followers waited for {until_served:?}");
    let left = leaders.len() + hopeless.len();
    let _ = edge.answers(leaders.into_iter().chain(hopeless).collect());
    assert!(death.elapsed() < IDLE + LEASE + SLACK, "somebody hung for {:?}", death.elapsed());
    for path in &paths {
        assert_eq!(edge.origin_count(path), 2, "{path}: one fetch was lost and one took over");
    }
    expect_consistency(&edge, workers, &paths);
    // A call of the dead VM's root ends with it, when a request has started another.
    edge.check_idle();
    println!(
        "{workers} workers: the VM that led {FLIGHTS} flights ({fetches:?}) died; {served} followers on other workers were served \
         {until_served:?} later, {} origin requests; {left} requests of the dead VM ended by themselves",
        2 * FLIGHTS
    );
}

/// Every worker has what was stored, the one with the new VM as well, and purges still hold on all of them.
fn expect_consistency(edge: &Edge, workers: u64, paths: &[String]) {
    let mut clients: Vec<Client> = (0..workers).map(|worker| edge.clients_of(worker, 1).remove(0)).collect();
    let mut get = |worker: u64, path: &str| {
        let response = edge.runtime.block_on(clients[worker as usize].send(&Request::get(path)));
        response.unwrap_or_else(|error| panic!("{path} on worker {worker}: {error}"))
    };
    for path in paths {
        for worker in 0..workers {
            assert!(get(worker, path).is_hit(), "{path} on worker {worker}");
        }
    }
    edge.origin.answer_by(|request| page(request, "new"));
    purge(edge, "hard");
    for path in paths {
        for worker in 0..workers {
            let response = get(worker, path);
            assert_eq!(response.text(), format!("new {path}"), "{path} on worker {worker}");
            assert_eq!(response.is_hit(), worker > 0, "{path} on worker {worker}");
        }
    }
}

fn purge(edge: &Edge, mode: &str) {
    let body = format!(r#"{{"selectors": [{{"tag": "t"}}], "mode": "{mode}"}}"#);
    let admin = edge.clients(Protocol::Http1, 1).remove(0);
    let answers = edge.ask(vec![(admin, commanding("POST", "/_larder/purge", &body))]);
    assert_eq!(answers[0].as_ref().unwrap().status, 200);
}

fn page(request: &OriginRequest, word: &str) -> Reply {
    let body = format!("{word} {}", request.target);
    Reply::ok(body).field("cache-control", "max-age=600").field("cache-tag", "t")
}
