//! Clients that speak HTTP/1.0, such as `ab` and proxies with old defaults.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::real_envoy::RealEnvoy;
use super::wire::{Content, Head, Until, head};
use crate::scenarios::telling::page;
use crate::stand::{Ending, Stand};

#[test]
fn http_1_0_clients_get_hits_too() {
    let mut envoy = RealEnvoy::start();
    envoy.origin("/old/page", vec![page("page")]);
    envoy.origin("/old/chunked", vec![page("chunked").ending(Ending::Trailers(Vec::new()))]);
    let to = envoy.envoy().listening("larder").expect("a listener for clients");
    let ask = |target: &str| {
        let mut stream = TcpStream::connect(to).unwrap();
        let fields = [("host".to_owned(), b"shop.example".to_vec())];
        stream.write_all(&head(&format!("GET {target} HTTP/1.0"), &fields)).unwrap();
        let mut from = BufReader::new(Until { stream, deadline: Instant::now() + Duration::from_secs(60) });
        let head = Head::read(&mut from).unwrap().expect("an answer");
        let content = Content::read(&mut from, head.response_framing("GET"));
        (head.status(), String::from_utf8_lossy(&content.bytes).into_owned())
    };
    for (target, body) in [("/old/page", "page"), ("/old/chunked", "chunked")] {
        for _ in 0..3 {
            assert_eq!(ask(target), (200, body.to_owned()), "{target}");
        }
        assert!(envoy.origin_count(target) <= 2, "each worker asks once at most");
    }
}
