//! Configuration pushes over LDS to an Envoy that is serving: nobody notices but the operator.

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::real_envoy::RealEnvoy;
use super::wire::{Content, Head, Until, head};
use crate::stand::{Reply, Request, Stand};

const PUSHES: usize = 200;
const PATHS: usize = 50;
const CLIENTS: usize = 4;
/// What keeps the load on a shared machine bounded.
const PAUSE: Duration = Duration::from_millis(2);

#[test]
fn two_hundred_pushes_under_load_cost_no_request_and_no_stored_response() {
    let mut envoy = RealEnvoy::start();
    let paths: Vec<String> = (0..PATHS).map(|n| format!("/page/{n}")).collect();
    for path in &paths {
        envoy.origin(path, vec![Reply::ok(path).field("cache-control", "max-age=600")]);
        envoy.send(0, Request::get(path));
    }
    let (address, stop, answered) = (envoy.envoy().listener, AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let _stopped_whatever_happens = Stop(&stop);
        let (paths, stop, answered) = (&paths, &stop, &answered);
        let clients: Vec<_> =
            (0..CLIENTS).map(|n| scope.spawn(move || client(n, address, paths, stop, answered))).collect();
        for push in 0..PUSHES {
            check_push(&mut envoy, push);
        }
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().unwrap();
        }
    });
    assert!(answered.into_inner() > PUSHES, "there was load all the time");
    for path in &paths {
        assert_eq!(envoy.origin_count(path), 1, "{path} was asked for again");
    }
    envoy.check();
}

/// Every tenth configuration is wrong. No two are alike: Envoy remembers its verdict on a plugin configuration, so that
/// Larder would see it only once.
fn check_push(envoy: &mut RealEnvoy, push: usize) {
    if push % 10 != 9 {
        return assert_eq!(envoy.configure(&format!("{}{{}}", " ".repeat(push))), Ok(()), "push {push}");
    }
    let refusal =
        envoy.configure(&format!(r#"{{"broken": {push}}}"#)).expect_err("a wrong configuration is refused");
    assert!(refusal.contains("broken"), "push {push}: {refusal}");
}

/// Asks for one path after the other, over a connection that changes every now and then.
fn client(first: usize, address: SocketAddr, paths: &[String], stop: &AtomicBool, answered: &AtomicUsize) {
    let mut connection = None;
    for (count, path) in paths.iter().cycle().skip(first * PATHS / CLIENTS).enumerate() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if count % 20 == 0 {
            connection = None;
        }
        connection =
            fetch(connection.take(), address, path).unwrap_or_else(|error| panic!("{path}: {error}"));
        answered.fetch_add(1, Ordering::Relaxed);
        thread::sleep(PAUSE);
    }
}

/// One request; the connection when it can be used again.
fn fetch(
    from: Option<BufReader<Until>>,
    address: SocketAddr,
    path: &str,
) -> io::Result<Option<BufReader<Until>>> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut from = match from {
        Some(from) => from,
        None => BufReader::new(Until { stream: TcpStream::connect(address)?, deadline }),
    };
    from.get_mut().deadline = deadline;
    let host = ("host".to_string(), b"shop.example".to_vec());
    from.get_mut().stream.write_all(&head(&format!("GET {path} HTTP/1.1"), &[host]))?;
    let head = Head::read(&mut from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let content = Content::read(&mut from, head.response_framing("GET"));
    let right = head.status() == 200 && content.complete && content.bytes == path.as_bytes();
    assert!(right, "{path}: {} with {} bytes", head.start, content.bytes.len());
    Ok((!head.has("connection", "close")).then_some(from))
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
