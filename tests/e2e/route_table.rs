//! How fetches reach their origin on a real Envoy: Larder's own through the whole route table, by way of an internal
//! listener, and where there is none, as the route would send the request that asks for a refresh.

use std::collections::HashMap;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::process::Setup;
use super::real_envoy::RealEnvoy;
use super::wire::{Content, Head, Until};
use crate::scenarios::telling::soon;
use crate::stand::{OriginRequest, Reply, Request, Route, SHIPPED, Stand};

const NO_TABLE: &str = r#"{"collapse": {"cluster": null}}"#;

/// What stands before the one route that `envoy.yaml` has.
const ROUTE: &str = "              - match: { prefix: / }\n";
/// Routes that rewrite, remove, retry and choose among clusters.
const ROUTES: &str = r#"              - name: shop
                match: { prefix: /shop/ }
                route:
                  prefix_rewrite: /
                  host_rewrite_literal: origin.internal
                  cluster: origin
                  retry_policy: { retry_on: "5xx,reset,connect-failure", num_retries: 2 }
                request_headers_to_remove: [x-drop]
              - name: weighted
                match: { prefix: /weighted/ }
                route:
                  weighted_clusters: { clusters: [
                    { name: origin, weight: 50, host_rewrite_literal: origin.internal },
                    { name: blue, weight: 50, host_rewrite_literal: blue.internal }
                  ] }
              - match: { prefix: / }
"#;

/// A page that is stale from the beginning, but for half an hour served while it is refreshed.
fn stale_page() -> Reply {
    let fields = Reply::ok("old").field("cache-control", "max-age=60, stale-while-revalidate=1800");
    fields.field("age", "100").field("etag", "\"old\"")
}

fn new_page() -> Reply {
    Reply::ok("new").field("cache-control", "max-age=600")
}

/// All requests that the origin has seen for a path.
fn seen(envoy: &mut RealEnvoy, path: &str) -> Vec<OriginRequest> {
    envoy.origin_log().into_iter().filter(|request| request.target.starts_with(path)).collect()
}

/// Waits until a path has been asked for so often; all requests for it.
fn asked(envoy: &mut RealEnvoy, path: &str, times: usize) -> Vec<OriginRequest> {
    let often = soon(envoy, |stand| {
        stand.origin_log().iter().filter(|request| request.target.starts_with(path)).count() >= times
    });
    assert!(often, "the origin was never asked for {path} {times} times");
    seen(envoy, path)
}

/// The status and the body of a GET over a connection of its own.
fn got(address: SocketAddr, target: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("Envoy listens");
    let head = format!("GET {target} HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut from = BufReader::new(Until { stream, deadline });
    let head = Head::read(&mut from).ok().flatten().expect("a response");
    let content = Content::read(&mut from, head.response_framing("GET"));
    (head.status(), String::from_utf8_lossy(&content.bytes).into_owned())
}

fn with_routes() -> RealEnvoy {
    RealEnvoy::start_with(&Setup { replaced: vec![(ROUTE, ROUTES)], ..Setup::default() })
}

#[test]
fn a_refresh_goes_through_the_route_table_and_does_not_meet_the_cache_again() {
    let mut envoy = with_routes();
    envoy.origin("/loop", vec![stale_page(), Reply::status(503).body("busy"), new_page()]);
    let ask =
        |client: &str| Request::get("/shop/loop?a=1").field("x-drop", client).field("accept-language", "de");
    envoy.send(0, ask("one"));
    assert!(envoy.send(1, ask("two").field("cookie", "two")).is_hit());
    for (n, request) in asked(&mut envoy, "/loop", 3).iter().enumerate() {
        assert_eq!(
            (request.target.as_str(), request.field("host").as_str()),
            ("/loop?a=1", "origin.internal"),
            "request {n}"
        );
        assert_eq!((request.field("accept-language").as_str(), request.field("x-drop").as_str()), ("de", ""));
        assert_eq!(request.field("cookie"), "", "request {n}");
    }
    let mut clients = 2;
    let refreshed = soon(&mut envoy, |stand| {
        clients += 1;
        let hit = stand.send(0, ask("three"));
        assert!(hit.is_hit(), "{}", hit.field("cache-status"));
        hit.text() == "new"
    });
    assert!(refreshed, "what was fetched is stored");
    assert_eq!(envoy.origin_log().len(), 3, "the route retries what failed");
    let stat = |name: &str| envoy.envoy().stat(name);
    assert_eq!(stat("http.route_loop.downstream_rq_total"), 1);
    assert_eq!(stat("http.larder.downstream_rq_total"), clients, "only clients meet the cache");
    assert_eq!((stat("wasmcustom.larder_dispatched"), stat("wasmcustom.larder_dispatched_failed")), (1, 0));
    envoy.check();
}

#[test]
fn without_the_table_a_refresh_goes_as_the_route_sends_the_request_that_asks_for_it() {
    let mut envoy = with_routes();
    envoy.configure(NO_TABLE).unwrap();
    for n in 0..4 {
        let path = format!("/page-{n}");
        envoy.origin(&path, vec![stale_page(), new_page()]);
        let ask = |client: &str| {
            let request = Request::get(&format!("/shop{path}?a=1")).field("x-drop", client);
            request.field("cookie", format!("session={client}")).field("accept-language", "de")
        };
        envoy.send(0, ask("one"));
        let hit = envoy.send(1, ask("two"));
        assert!(hit.is_hit() && hit.text() == "old", "{}", hit.field("cache-status"));
        let seen = asked(&mut envoy, &path, 2);
        let [first, second] = &seen[..] else { panic!("{seen:?}") };
        for (name, expected) in [("host", "origin.internal"), ("x-drop", ""), ("accept-language", "de")] {
            assert_eq!((first.field(name), second.field(name)), (expected.into(), expected.into()), "{name}");
        }
        assert_eq!((&*first.target, &*second.target), (&*format!("{path}?a=1"), &*format!("{path}?a=1")));
        assert_eq!(second.field("if-none-match"), "\"old\"");
        for name in ["cookie", "x-forwarded-for", "x-request-id", "x-envoy-original-path"] {
            assert_eq!(second.field(name), "", "{name} is the first client's own affair");
        }
    }
    assert_eq!(envoy.envoy().stat("wasmcustom.larder_dispatched"), 4);
    envoy.check();
}

#[test]
fn a_cluster_that_envoy_lacks_is_named_in_its_log_until_it_is_there() {
    let mut envoy = RealEnvoy::start();
    envoy.configure(r#"{"collapse": {"cluster": "nowhere"}}"#).unwrap();
    envoy.origin("/lacking", vec![stale_page(), stale_page(), new_page()]);
    // One of the first tries in vain to have it refreshed; then clients do that.
    let mut round = 0;
    let fetched = soon(&mut envoy, |stand| {
        round += 1;
        stand.send(round % 2, Request::get("/lacking"));
        stand.origin_count("/lacking") >= 2
    });
    assert!(fetched, "clients fetch");
    let said = "Envoy has no cluster \"nowhere\", which collapse.cluster names";
    // By whoever finds out before it has heard of it.
    let named = |envoy: &super::process::Envoy| (1..=2).contains(&envoy.log().matches(said).count());
    assert!(envoy.envoy().within(Duration::from_secs(10), named), "{}", envoy.envoy().log());
    let seen = seen(&mut envoy, "/lacking");
    assert!(seen.iter().all(|request| !request.field("x-forwarded-for").is_empty()), "clients fetch");
    envoy.check();
}

/// A known URL is not tied to the cluster that once answered for it.
#[test]
fn weighted_clusters_do_not_stick_to_a_cached_url() {
    for configuration in [SHIPPED, NO_TABLE] {
        let mut envoy = with_routes();
        envoy.configure(configuration).unwrap();
        envoy.origin("/weighted/page", vec![stale_page()]);
        let mut round = 0;
        let fetched = soon(&mut envoy, |stand| {
            round += 1;
            stand.send(round % 2, Request::get("/weighted/page"));
            stand.origin_count("/weighted/page") >= 30
        });
        assert!(fetched, "each expiry is a fetch");
        let log = seen(&mut envoy, "/weighted/page");
        let blue = log.iter().filter(|request| request.field("host") == "blue.internal").count();
        assert!(blue > 3 && blue < log.len() - 3, "{blue} of {}: {configuration}", log.len());
        envoy.check();
    }
}

/// What the origin was asked for by the pages of a test, whose number is [`PAGES`].
#[derive(Default)]
struct Fetches {
    by_page: HashMap<String, usize>,
    /// Those that came by the old cluster, and when the last one did.
    of_old: usize,
    last_of_old: Option<Instant>,
}

const PAGES: usize = 20;

impl Fetches {
    fn count(&mut self, page: &str, is_new: bool) {
        *self.by_page.entry(page.to_owned()).or_default() += 1;
        if !is_new {
            self.of_old += 1;
            self.last_of_old = Some(Instant::now());
        }
    }

    /// Whether every page was fetched so often.
    fn all(&self, times: usize) -> bool {
        self.by_page.len() == PAGES && self.by_page.values().all(|count| *count >= times)
    }

    /// Whether nothing came by the old cluster for some time.
    fn is_quiet(&self) -> bool {
        self.last_of_old.is_none_or(|last| last.elapsed() > Duration::from_millis(500))
    }

    /// Counts anew.
    fn begin(&mut self) {
        *self = Fetches::default();
    }
}

/// The cluster switch of a deployment, under load: whatever is asked of the origin after it was pushed comes by the new
/// route.
#[test]
fn after_a_switch_of_clusters_under_load_nothing_is_fetched_from_the_old_one() {
    for configuration in [SHIPPED, NO_TABLE] {
        let mut envoy = RealEnvoy::start();
        envoy.configure(configuration).unwrap();
        let fetches = Arc::new(Mutex::new(Fetches::default()));
        let counted = Arc::clone(&fetches);
        envoy.answer_by(move |request| {
            let cluster = request.field("host");
            counted.lock().unwrap().count(&request.target, cluster == "blue.internal");
            // Fresh for a second, then served stale while it is refreshed; some have to be asked for each time.
            let window = if request.target.ends_with('0') { "" } else { ", stale-while-revalidate=300" };
            Reply::ok(cluster).field("cache-control", format!("max-age=1{window}"))
        });
        // Beside others nobody could tell which worker takes a new connection.
        for worker in [0, 1] {
            envoy.send(worker, Request::get("/switch/0"));
        }
        let address = envoy.envoy().listener;
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..8)
            .map(|client| {
                let stop = Arc::clone(&stop);
                thread::spawn(move || {
                    let mut answers = Vec::new();
                    let mut n = client;
                    while !stop.load(Ordering::SeqCst) {
                        n += 1;
                        answers.push(got(address, &format!("/switch/{}", n % PAGES)));
                    }
                    answers
                })
            })
            .collect();
        let all_fetched = |times: usize| {
            let fetches = Arc::clone(&fetches);
            move |_: &mut dyn Stand| fetches.lock().unwrap().all(times)
        };
        assert!(soon(&mut envoy, all_fetched(2)), "all expire and are fetched again");
        envoy.route(Route { cluster: "blue", host: Some("blue.internal"), ..Route::default() });
        // What was under way when the push arrived comes to its end.
        let quiet = Arc::clone(&fetches);
        let is_quiet = soon(&mut envoy, |_| quiet.lock().unwrap().is_quiet());
        assert!(is_quiet, "{configuration}: the old cluster is asked on and on");
        fetches.lock().unwrap().begin();
        assert!(soon(&mut envoy, all_fetched(2)), "all expire and are fetched again");
        stop.store(true, Ordering::SeqCst);
        let answers: Vec<(u16, String)> =
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        assert!(answers.len() > 200 && answers.iter().all(|(status, _)| *status == 200), "{}", answers.len());
        assert!(answers.iter().any(|(_, cluster)| cluster == "blue.internal"));
        assert_eq!(fetches.lock().unwrap().of_old, 0, "{configuration}");
        envoy.check();
    }
}
