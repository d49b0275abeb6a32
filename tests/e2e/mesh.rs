//! Envoy as Istio and Envoy Gateway configure it: no `allow_on_headers_stop_iteration`.

use std::time::{Duration, Instant};

use super::load::{Edge, Protocol};
use super::process::Setup;
use crate::scenarios::telling::{commanding, page, with_admin};
use crate::stand::{Request, Response};

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
    assert!(
        (1..=2).contains(&log.matches("is not shown the bodies of requests").count()),
        "once on each worker"
    );

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
