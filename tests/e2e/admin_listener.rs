//! `envoy/envoy-admin-listener.yaml`: what is said on the listener for operators holds on the one for clients, where
//! there is no admin route at all.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::real_envoy::RealEnvoy;
use super::wire::{Content, Head, Until, head};
use crate::stand::{Reply, Request, Stand};

/// Sends a command to the listener for operators, with the token of the file unless another is given.
fn command(to: SocketAddr, method: &str, target: &str, token: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(to).unwrap();
    let fields = [
        ("host", "shop.example"),
        ("authorization", token),
        ("content-length", &body.len().to_string()),
        ("connection", "close"),
    ];
    let fields: Vec<_> = fields.map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec())).into();
    stream.write_all(&head(&format!("{method} {target} HTTP/1.1"), &fields)).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut from = BufReader::new(Until { stream, deadline: Instant::now() + Duration::from_secs(60) });
    let head = Head::read(&mut from).unwrap().expect("an answer");
    let content = Content::read(&mut from, head.response_framing(method));
    (head.status(), String::from_utf8_lossy(&content.bytes).into_owned())
}

#[test]
fn operators_purge_on_their_own_listener_and_clients_have_no_admin_route() {
    const TOKEN: &str = "Bearer change me";
    let mut envoy = RealEnvoy::start_as_written("envoy-admin-listener.yaml", |_| ());
    let operators = envoy.envoy().listening("larder-admin").expect("a listener for operators");
    let page = |body: &str| Reply::ok(body).field("cache-control", "max-age=600").field("cache-tag", "t");
    let mut version = 0;
    for (method, target, body) in [
        ("POST", "/_larder/purge", r#"{"selectors": [{"tag": "t"}], "mode": "hard"}"#),
        ("PURGE", "/page", ""),
        ("BAN", "/", ""),
    ] {
        version += 1;
        envoy.origin("/page", vec![page(&format!("v{version}"))]);
        envoy.send(0, Request::get("/page"));
        assert!(envoy.send(1, Request::get("/page")).is_hit(), "stored");
        let (status, text) = command(operators, method, target, TOKEN, body);
        assert_eq!(status, 200, "{method} {target}: {text}");
        envoy.origin("/page", vec![page(&format!("after {version}"))]);
        for worker in [0, 1] {
            assert_eq!(
                envoy.send(worker, Request::get("/page")).text(),
                format!("after {version}"),
                "{method}"
            );
        }
        command(operators, "BAN", "/", TOKEN, "");
    }
    assert_eq!(command(operators, "GET", "/_larder/stats", TOKEN, "").0, 200);
    assert_eq!(command(operators, "GET", "/_larder/stats", "Bearer wrong", "").0, 401);
    assert_eq!(command(operators, "GET", "/page", TOKEN, "").0, 404, "it serves no pages");
    for (method, target) in [("GET", "/_larder/stats"), ("POST", "/_larder/purge")] {
        let request = Request::new(method, target).field("authorization", TOKEN).body("{}");
        assert_eq!(envoy.send(0, request).status, 404, "{method} {target} is the origin's");
    }
    assert_eq!(envoy.origin_count("/_larder/stats"), 1);
    envoy.check();
}
