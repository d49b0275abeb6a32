//! Envoy as Istio and Envoy Gateway configure it: no `allow_on_headers_stop_iteration`, no `vm_id`, and one plugin on
//! listeners of both directions.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::load::{Edge, Protocol};
use super::process::{Setup, replace};
use super::real_envoy::RealEnvoy;
use super::wire::{Content, Head, Until, head};
use crate::scenarios::telling::{commanding, page, with_admin};
use crate::stand::{Reply, Request, Response, Stand};

const FLAG: &str = "allow_on_headers_stop_iteration: true";
const NO_FLAG: &str = "allow_on_headers_stop_iteration: false";
/// Far from the five seconds for which a body is waited for, and more than any machine needs.
const AT_ONCE: Duration = Duration::from_millis(2500);

fn query(path: &str) -> Request {
    Request::new("QUERY", path).field("content-type", "text/plain").body("q")
}

fn graphql(n: usize) -> Request {
    Request::new("POST", "/graphql").field("content-type", "application/json").body(format!("{{{n}}}"))
}

fn purge() -> Request {
    commanding("POST", "/_larder/purge", r#"{"selectors": [{"tag": "t"}]}"#)
}

fn is_bypass(response: &Response) -> bool {
    response.field("cache-status") == "larder; fwd=bypass; detail=request-body"
}

#[test]
fn nothing_stalls_where_bodies_are_kept_back_until_they_are_not() {
    let mut edge = Edge::start(&Setup { replaced: vec![(FLAG, NO_FLAG)], ..Setup::default() });
    let configuration = with_admin(r#""rules": [{"match": {"path": "/graphql"}, "post_as_query": true}],"#);
    edge.push(&configuration);
    edge.origin.answer_by(|_| page("found"));
    // Many at once, before anything is known, of every kind and over both protocols.
    let asked = |edge: &Edge| {
        let mut asked = Vec::new();
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let clients = edge.clients(protocol, 40).into_iter().enumerate();
            asked.extend(clients.map(|(n, client)| match n % 4 {
                // A path of its own, or the first response would be a hit for the next where bodies are shown.
                0 => (client, query(&format!("/found/{n}/{protocol:?}"))),
                1 => (client, graphql(n + 100 * protocol as usize)),
                2 => (client, purge()),
                _ => (client, Request::get("/page")),
            }));
        }
        let (began, answers) = (Instant::now(), edge.ask(asked));
        let took = began.elapsed();
        let answers = answers.into_iter().enumerate();
        let answers = answers.map(|(n, answer)| answer.unwrap_or_else(|error| panic!("{n}: {error}")));
        let answers: Vec<_> = answers.collect();
        assert!(took < AT_ONCE, "they took {took:?}");
        answers
    };
    let mut slowest = Vec::new();
    for round in 0..3 {
        let began = Instant::now();
        for (n, response) in asked(&edge).into_iter().enumerate() {
            match n % 4 {
                0 | 1 => assert!(is_bypass(&response), "{round} {n}: {}", response.field("cache-status")),
                2 => {
                    assert_eq!(response.status, 501, "{}", response.text());
                    assert!(
                        response.text().contains("allow_on_headers_stop_iteration"),
                        "{}",
                        response.text()
                    );
                }
                _ => assert_eq!(response.status, 200),
            }
        }
        slowest.push(began.elapsed());
    }
    let short = commanding("POST", "/_larder/purge?tag=t&mode=hard", "");
    let client = edge.clients(Protocol::Http1, 1).remove(0);
    assert_eq!(edge.ask(vec![(client, short)]).remove(0).unwrap().status, 200);
    println!("80 requests without the flag, three times over: {slowest:?}");
    let log = edge.envoy.log();
    assert!((1..=2).contains(&log.matches("cannot read request bodies").count()), "once on each worker");

    edge.envoy.replace(NO_FLAG, FLAG);
    edge.push(&configuration.replace("{\"rules\"", "{\"name\": \"larder\", \"rules\""));
    for (n, response) in asked(&edge).into_iter().enumerate() {
        match n % 4 {
            0 | 1 => assert!(!is_bypass(&response), "{n}: {}", response.field("cache-status")),
            _ => assert_eq!(response.status, 200, "{n}: {}", response.text()),
        }
    }
    edge.check_settled();
}

/// As many as one callback gives up, and a few more or less: the worker has to know when nothing is left to do, or it
/// never looks at its sockets again.
#[test]
fn a_worker_goes_on_when_it_has_given_up_on_a_callback_full_of_bodies() {
    for count in [31, 32, 33, 64] {
        let edge = Edge::start(&Setup { replaced: vec![(FLAG, NO_FLAG)], ..Setup::default() });
        edge.origin.answer_by(|_| page("found"));
        let clients = edge.clients_of(0, count).into_iter().enumerate();
        let answers = edge.ask(clients.map(|(n, client)| (client, query(&format!("/full/{n}")))).collect());
        for (n, answer) in answers.into_iter().enumerate() {
            let answer = answer.unwrap_or_else(|error| panic!("{n} of {count}: {error}"));
            assert!(is_bypass(&answer), "{n} of {count}: {}", answer.field("cache-status"));
        }
        let client = edge.clients_of(0, 1).remove(0);
        assert_eq!(edge.ask(vec![(client, Request::get("/after"))]).remove(0).unwrap().status, 200);
        edge.check_settled();
    }
}

/// Sends a request to a listener of its own connection.
fn send(to: SocketAddr, method: &str, target: &str, authorization: &str) -> (String, String) {
    let mut stream = TcpStream::connect(to).unwrap();
    let fields = [("host", "shop.example"), ("authorization", authorization), ("connection", "close")];
    let fields: Vec<_> = fields
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        .collect();
    stream.write_all(&head(&format!("{method} {target} HTTP/1.1"), &fields)).unwrap();
    let mut from = BufReader::new(Until { stream, deadline: Instant::now() + Duration::from_secs(60) });
    let head = Head::read(&mut from).unwrap().expect("an answer");
    let content = Content::read(&mut from, head.response_framing(method));
    let status = head.all("cache-status").next().unwrap_or_default();
    (status, String::from_utf8_lossy(&content.bytes).into_owned())
}

/// The plugin configuration in `envoy.yaml`.
const SHIPPED_THERE: &str = "                    { \"collapse\": { \"cluster\": \"route_loop\" } }\n";

/// Makes a sidecar of `envoy.yaml`: the listener is for what comes in, and another like it for what goes out.
fn sidecar(yaml: &mut String) {
    replace(yaml, "vm_id: larder", "vm_id: \"\"");
    replace(yaml, SHIPPED_THERE, &format!("                    {}\n", with_admin("")));
    let start = yaml.find("  - name: larder\n    address:").unwrap();
    let end = start + yaml[start..].find("\n  # Where Larder's own fetches").unwrap() + 1;
    let facing = |name: &str, direction: &str| {
        let listener = yaml[start..end].replacen("- name: larder\n", &format!("- name: {name}\n"), 1);
        let stats = format!("    stat_prefix: {name}\n    traffic_direction: {direction}\n");
        listener.replacen("    stat_prefix: larder\n", &stats, 1)
    };
    let (inbound, outbound) = (facing("larder", "INBOUND"), facing("outbound", "OUTBOUND"));
    let outbound = outbound.replace("&routes", "&routes_out");
    yaml.replace_range(start..end, &[inbound, outbound].concat());
}

fn second_listener(envoy: &RealEnvoy) -> SocketAddr {
    let wait = Instant::now() + Duration::from_secs(60);
    loop {
        match envoy.envoy().listening("outbound") {
            Some(address) => return address,
            None => assert!(Instant::now() < wait, "no second listener"),
        }
    }
}

#[test]
fn the_two_sides_of_a_sidecar_do_not_answer_for_each_other() {
    let mut envoy = RealEnvoy::start_as_written("envoy.yaml", sidecar);
    let outbound = second_listener(&envoy);
    let get = |path: &str| send(outbound, "GET", path, "");
    envoy.origin("/both", ["from within", "from elsewhere"].into_iter().map(page).collect());
    assert_eq!(envoy.send(0, Request::get("/both")).text(), "from within");
    let (status, body) = get("/both");
    assert_eq!((status.as_str(), body.as_str()), ("larder; fwd=uri-miss; stored", "from elsewhere"));
    for worker in [0, 1] {
        let hit = envoy.send(worker, Request::get("/both"));
        assert_eq!((hit.is_hit(), hit.text().as_str()), (true, "from within"));
        let (status, body) = get("/both");
        assert!(status.contains("; hit"), "{status}");
        assert_eq!(body, "from elsewhere");
    }
    // A purge on either side holds on both, and each can have fetched again what is the other's.
    let command = |target: &str| send(outbound, "POST", target, "Bearer open sesame").1;
    envoy.origin("/both", vec![Reply::ok("new").field("cache-control", "max-age=600")]);
    let answer = command("/_larder/purge?url=http://shop.example/both&mode=soft&refresh=true");
    assert!(answer.contains("\"receipt\""), "{answer}");
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["refresh"]["refreshing"].as_array().unwrap().len(), 2, "{answer}");
    let deadline = Instant::now() + Duration::from_secs(60);
    while envoy.send(0, Request::get("/both")).text() != "new" || get("/both").1 != "new" {
        assert!(Instant::now() < deadline, "what is soft-purged is refreshed");
    }
    envoy.check();
}

/// Two listeners with a `vm_id` each, so that each has a store of its own.
fn two_stores(yaml: &mut String) {
    sidecar(yaml);
    let outbound = yaml.find("- name: outbound\n").unwrap();
    let other = yaml[outbound..].replacen("vm_id: \"\"", "vm_id: other", 1);
    yaml.replace_range(outbound.., &other);
}

#[test]
fn gauges_are_sums_over_all_stores() {
    let mut envoy = RealEnvoy::start_as_written("envoy.yaml", two_stores);
    let outbound = second_listener(&envoy);
    let gauge = |envoy: &RealEnvoy, name: &str, is: RangeInclusive<u64>| {
        let name = format!("wasmcustom.larder_{name}");
        let is_so = envoy.envoy().soon(|envoy| is.contains(&envoy.stat(&name)));
        assert!(is_so, "{name} is {} and not in {is:?}", envoy.envoy().stat(&name));
    };
    for n in 0..3 {
        let path = format!("/gauges/{n}");
        envoy.origin(&path, vec![page("page")]);
        assert_eq!(envoy.send(n % 2, Request::get(&path)).text(), "page");
        assert!(envoy.send(n % 2, Request::get(&path)).is_hit());
    }
    gauge(&envoy, "stored_entries", 3..=3);
    for n in 0..2 {
        assert_eq!(send(outbound, "GET", &format!("/gauges/{n}"), "").1, "page");
    }
    gauge(&envoy, "stored_entries", 5..=5);
    let purge = send(outbound, "POST", "/_larder/purge?all=true&mode=hard", "Bearer open sesame").1;
    assert!(purge.contains("receipt"), "{purge}");
    // The other store is as it was.
    gauge(&envoy, "stored_entries", 3..=3);
    gauge(&envoy, "stored_bytes", 1_000..=100_000);
    gauge(&envoy, "worker_bytes", 1_000..=100_000);
    gauge(&envoy, "in_flight_bytes", 0..=0);
    envoy.check();
}

#[test]
fn the_configurations_for_kubernetes_are_accepted() {
    let mut envoy = RealEnvoy::borrow();
    for (n, (file, json)) in crate::tidy::kubernetes_configurations().into_iter().enumerate() {
        envoy.configure(&json).unwrap_or_else(|error| panic!("{file}: {error}"));
        let path = format!("/img/{n}");
        envoy.origin(&path, vec![Reply::ok("picture").field("cache-tag", "t")]);
        envoy.send(0, Request::get(&path));
        assert!(envoy.send(1, Request::get(&path)).is_hit(), "{file}");
        let purge =
            Request::new("POST", "/_larder/purge?tag=t&mode=hard").field("authorization", "Bearer change me");
        assert_eq!(envoy.send(0, purge).status, 200, "{file}");
        assert!(!envoy.send(1, Request::get(&path)).is_hit(), "{file}");
    }
    envoy.check();
    envoy.give_back();
}

#[test]
fn a_configuration_that_is_a_struct_is_read() {
    let mut envoy = RealEnvoy::start_as_written("envoy.yaml", |yaml| {
        replace(yaml, "google.protobuf.StringValue", "google.protobuf.Struct");
        let value = "                  value: { ttl: { default: 60s }, store: { entries_max: 128 } }\n";
        replace(yaml, &["                  value: |\n", SHIPPED_THERE].concat(), value);
    });
    envoy.origin("/page", vec![Reply::ok("page")]);
    envoy.send(0, Request::get("/page"));
    assert!(envoy.send(1, Request::get("/page")).is_hit());
    envoy.check();
}
