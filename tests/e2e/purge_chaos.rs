//! Purges raced against fills, hits, configuration pushes and VMs that die, on a real Envoy: after the acknowledgement
//! of a purge, no client sees what it covers.
//!
//! The origin writes into each response when it was asked for it, by a clock that ticks with every event. What it was
//! asked for before a purge was sent is covered by that purge, so a request that begins after the acknowledgement must
//! get something younger. `make purge-chaos PURGES=20000` goes on until there were so many.

use std::env;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::load::{Client, Edge, Protocol};
use super::process::{Setup, TRAP};
use crate::chance::Chance;
use crate::scenarios::telling::{commanding, with_admin};
use crate::stand::{OriginRequest, Reply, Request, Response};

const HOSTS: [&str; 2] = ["a.example", "b.example"];
const FOLDERS: u64 = 3;
const PAGES: u64 = 6;
const CLIENTS: usize = 16;
const PURGERS: usize = 4;
/// So many purges in a row, then so long none, for there to be something to purge.
const IN_A_ROW: u64 = 50;
const REST: Duration = Duration::from_millis(500);
/// How long it goes on where nobody says how many purges there shall be.
const FOR: Duration = Duration::from_secs(6);
/// How much longer it may take.
const LONGEST: Duration = Duration::from_secs(60);

#[test]
fn no_client_of_two_workers_sees_what_an_acknowledged_purge_covers() {
    play(2);
}

#[test]
fn no_client_of_four_workers_sees_what_an_acknowledged_purge_covers() {
    play(4);
}

fn play(workers: u64) {
    // Nothing wakes a request that waited in a VM that died.
    let replaced = vec![("stream_idle_timeout: 60s", "stream_idle_timeout: 2s")];
    let mut edge = Edge::start(&Setup { workers, with_trap: true, replaced, ..Setup::default() });
    edge.envoy.configure(&configuration(0)).unwrap();
    let race = Arc::new(Race::default());
    let author = Arc::clone(&race);
    edge.origin.answer_by(move |request| author.answer(request));
    let tasks: Vec<_> = (0..CLIENTS + PURGERS)
        .map(|n| {
            let (race, address) = (Arc::clone(&race), edge.envoy.listener);
            let chance = Chance::new(workers << 32 | n as u64);
            let purges = n < PURGERS;
            edge.runtime.spawn(async move {
                if purges { race.purge_on(address, chance).await } else { race.ask_on(address, chance).await }
            })
        })
        .collect();
    let until = env::var("PURGES").ok().and_then(|purges| purges.parse().ok());
    let (pushes, deaths) = disturb(&mut edge, &race, until);
    race.stop.store(true, SeqCst);
    edge.runtime.block_on(async {
        for task in tasks {
            task.await.expect("nothing forbidden was seen");
        }
    });
    edge.check_idle();
    // Leases of VMs that were killed run out, and keys whose fetches failed with them are shared again.
    edge.pass(Duration::from_secs(3));
    expect_calm(&edge, &race);
    let [purges, refused, requests, hits, failed] =
        [&race.purges, &race.refused, &race.requests, &race.hits, &race.failed].map(|n| n.load(SeqCst));
    assert!(purges > 20 && hits > 20, "{purges} purges, {hits} hits");
    println!(
        "{workers} workers: {purges} purges acknowledged ({refused} not), {requests} requests, {hits} hits, {} origin \
         requests, {pushes} configuration pushes, {deaths} VMs killed ({failed} requests failed with them); nothing \
         covered was seen",
        edge.origin.log().len()
    );
}

/// Pushes configurations and kills VMs until it is enough; how many of each.
fn disturb(edge: &mut Edge, race: &Race, purges: Option<u64>) -> (usize, usize) {
    let (end, address) = (Instant::now() + FOR, edge.envoy.listener);
    let (mut pushes, mut deaths) = (0, 0);
    // A busy machine takes longer for as much.
    let raced = || race.purges.load(SeqCst) > 20 && race.hits.load(SeqCst) > 20;
    let timed = || (Instant::now() > end && raced()) || Instant::now() > end + LONGEST;
    let enough = || purges.map_or_else(timed, |purges| race.purges.load(SeqCst) >= purges);
    while !enough() {
        edge.pass(Duration::from_millis(300));
        pushes += 1;
        edge.push(&configuration(pushes));
        edge.pass(Duration::from_millis(300));
        deaths += usize::from(kill_a_vm(address));
    }
    (pushes, deaths)
}

/// Each way to fetch in turn.
fn configuration(push: usize) -> String {
    let fetch = ["auto", "inline", "dispatched"][push % 3];
    let plain = with_admin(&format!(r#""collapse": {{"fetch": "{fetch}"}},"#));
    plain.replace(r#""admin": {"#, r#""admin": {"rate": {"per_minute": 1000000, "burst": 1000000}, "#)
}

fn kill_a_vm(address: SocketAddr) -> bool {
    let fatal = format!("GET / HTTP/1.1\r\nhost: a.example\r\n{TRAP}: 1\r\nconnection: close\r\n\r\n");
    let send = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(fatal.as_bytes())?;
        stream.read(&mut [0; 16]).map(drop)
    };
    send().is_ok()
}

/// Without disturbances, every key is fetched anew after a purge of everything, once.
fn expect_calm(edge: &Edge, race: &Race) {
    let mut client = edge.clients(Protocol::Http1, 1).remove(0);
    let mut send = |request: Request| edge.runtime.block_on(client.send(&request)).unwrap();
    let sent = race.tick();
    let purge = commanding("POST", "/_larder/purge", r#"{"selectors": [{"all": true}], "mode": "hard"}"#);
    assert_eq!(send(purge).status, 200);
    for key in Key::all() {
        for asked in 0..3 {
            let response = send(key.request());
            assert!(key.made(&response) > sent, "{key:?}: {}", response.text());
            assert_eq!(response.is_hit(), asked > 0, "{key:?}: {}", response.field("cache-status"));
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Key {
    host: usize,
    folder: u64,
    page: u64,
}

impl Key {
    fn all() -> impl Iterator<Item = Key> {
        let of = |host| (0..FOLDERS * PAGES).map(move |n| Key { host, folder: n / PAGES, page: n % PAGES });
        (0..HOSTS.len()).flat_map(of)
    }

    fn any(chance: &mut Chance) -> Key {
        let host = chance.below(HOSTS.len() as u64) as usize;
        Key { host, folder: chance.below(FOLDERS), page: chance.below(PAGES) }
    }

    fn number(self) -> usize {
        (self.host as u64 * FOLDERS * PAGES + self.folder * PAGES + self.page) as usize
    }

    fn path(self) -> String {
        format!("/{}/{}", self.folder, self.page)
    }

    fn request(self) -> Request {
        Request::get(&self.path()).host(HOSTS[self.host])
    }

    /// Whether the origin confirms what is stored, now and then.
    fn is_confirmed(self) -> bool {
        self.page == 0
    }

    /// When the origin was asked for what this response holds.
    fn made(self, response: &Response) -> u64 {
        let text = response.text();
        let at = text.strip_prefix(&format!("{}{} ", HOSTS[self.host], self.path()));
        at.and_then(|at| at.parse().ok()).unwrap_or_else(|| panic!("{self:?} was answered with {text:?}"))
    }
}

/// What happened so far.
#[derive(Default)]
struct Race {
    clock: AtomicU64,
    /// By key: when the newest acknowledged purge of each mode was sent.
    hard: Floors,
    soft: Floors,
    stop: AtomicBool,
    purges: AtomicU64,
    refused: AtomicU64,
    requests: AtomicU64,
    hits: AtomicU64,
    failed: AtomicU64,
}

struct Floors(Vec<AtomicU64>);

impl Default for Floors {
    fn default() -> Self {
        Floors(Key::all().map(|_| AtomicU64::new(0)).collect())
    }
}

impl Race {
    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, SeqCst) + 1
    }

    fn answer(&self, request: &OriginRequest) -> Reply {
        let asked = self.tick();
        let host = request.field("host");
        let mut chance = Chance::new(asked);
        let delay = Duration::from_millis(chance.below(30));
        let is_confirmed = request.target.ends_with("/0");
        if is_confirmed && !request.field("if-none-match").is_empty() && chance.odds(50) {
            return Reply::status(304)
                .field("etag", "\"e\"")
                .field("cache-control", "max-age=600")
                .delay(delay);
        }
        let folder = request.target.split('/').nth(1).unwrap_or_default();
        let page = request.target.split('/').nth(2).unwrap_or_default();
        let reply = Reply::ok(format!("{host}{} {asked}", request.target))
            .field("cache-control", "max-age=600")
            .field("cache-tag", format!("folder-{folder}, page-{page}"))
            .delay(delay);
        if is_confirmed { reply.field("etag", "\"e\"") } else { reply }
    }

    /// Asks for one key after the other, and checks each answer.
    async fn ask_on(&self, address: SocketAddr, mut chance: Chance) {
        let mut client = None;
        while !self.stop.load(SeqCst) {
            let key = Key::any(&mut chance);
            let floor = |of: &Floors| of.0[key.number()].load(SeqCst);
            let (hard, soft) = (floor(&self.hard), floor(&self.soft));
            // A new connection now and then, for another worker and the newest listener.
            let mut current = connected(client.take().filter(|_| !chance.odds(3)), address).await;
            let response = current.send(&key.request()).await;
            self.requests.fetch_add(1, SeqCst);
            match response {
                Ok(response) if response.status == 200 => {
                    self.check(key, &response, (hard, soft));
                    client = Some(current);
                }
                // It was with a VM that died.
                Ok(response) if matches!(response.status, 408 | 503 | 504) => {
                    self.failed.fetch_add(1, SeqCst);
                }
                Ok(response) => panic!("{key:?} was answered with {} {}", response.status, response.text()),
                Err(_) => {
                    self.failed.fetch_add(1, SeqCst);
                }
            }
        }
    }

    fn check(&self, key: Key, response: &Response, (hard, soft): (u64, u64)) {
        let (made, said) = (key.made(response), response.field("cache-status"));
        assert!(made > hard, "{key:?} of {made} was seen after a purge of {hard}: {said}");
        let is_fresh = response.is_hit() && !said.contains("detail=");
        let is_confirmed = key.is_confirmed();
        assert!(made > soft || !is_fresh || is_confirmed, "{key:?} of {made}, soft purged at {soft}: {said}");
        self.hits.fetch_add(u64::from(response.is_hit()), SeqCst);
    }

    /// Purges one thing after the other, and notes what must not be seen any more.
    async fn purge_on(&self, address: SocketAddr, mut chance: Chance) {
        let mut client = None;
        for n in 1.. {
            if self.stop.load(SeqCst) {
                break;
            }
            let (selector, covered) = selector(&mut chance);
            let mode = *chance.pick(&["hard", "hard", "hard", "soft", "revalidate"]);
            let body = format!(r#"{{"selectors": [{selector}], "mode": "{mode}"}}"#);
            let mut current = connected(client.take().filter(|_| !chance.odds(3)), address).await;
            let sent = self.tick();
            let response = current.send(&commanding("POST", "/_larder/purge", &body)).await;
            if response.as_ref().is_ok_and(|response| response.status == 200) {
                let floors = if mode == "hard" { &self.hard } else { &self.soft };
                for key in Key::all().filter(|key| covered(*key)) {
                    floors.0[key.number()].fetch_max(sent, SeqCst);
                }
                self.purges.fetch_add(1, SeqCst);
                client = Some(current);
            } else {
                let may_fail = response.as_ref().map_or(true, |r| matches!(r.status, 408 | 503 | 504));
                assert!(may_fail, "{body}: {response:?}");
                self.refused.fetch_add(1, SeqCst);
            }
            let rests = n % IN_A_ROW == 0;
            let pause = if rests { REST } else { Duration::from_millis(chance.below(4)) };
            tokio::time::sleep(pause).await;
        }
    }
}

/// Some selector in Larder's own language, and what it covers.
fn selector(chance: &mut Chance) -> (String, Box<dyn Fn(Key) -> bool + Send>) {
    let one = Key::any(chance);
    let (host, folder, page) = (HOSTS[one.host], one.folder, one.page);
    match chance.below(20) {
        0 => (r#"{"all": true}"#.into(), Box::new(|_| true)),
        1 => (format!(r#"{{"host": "{host}"}}"#), Box::new(move |key| key.host == one.host)),
        2..4 => (
            format!(r#"{{"prefix": "http://{host}/{folder}/"}}"#),
            Box::new(move |key| (key.host, key.folder) == (one.host, folder)),
        ),
        4..6 => (
            format!(r#"{{"host": "{host}", "tag": "folder-{folder}"}}"#),
            Box::new(move |key| (key.host, key.folder) == (one.host, folder)),
        ),
        6..8 => (
            format!(r#"{{"regex": "/{page}$", "host": "{host}"}}"#),
            Box::new(move |key| (key.host, key.page) == (one.host, page)),
        ),
        8..13 => (format!(r#"{{"tag": "page-{page}"}}"#), Box::new(move |key| key.page == page)),
        _ => (
            format!(r#"{{"url": "http://{host}{}"}}"#, one.path()),
            Box::new(move |key| key.number() == one.number()),
        ),
    }
}

/// This client, or one with a connection of its own.
async fn connected(client: Option<Client>, address: SocketAddr) -> Client {
    match client {
        Some(client) => client,
        None => Client::over_http1(address).await,
    }
}
