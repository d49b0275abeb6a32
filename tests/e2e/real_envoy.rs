//! `Stand` on a real Envoy: its own process, a scripted origin, and client connections that stay with their worker.

use std::collections::HashMap;
use std::io::{BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::origin::Origin;
use super::process::{Envoy, Setup};
use super::wire::{Content, Fields, Framing, Head, Until, chunked, head};
use crate::stand::{Exchange, OriginRequest, Reply, Request, Response, Stand};

/// How long a client waits for its response.
const PATIENCE: Duration = Duration::from_secs(10);
const WORKERS: [&str; 2] =
    ["listener.larder.worker_0.downstream_cx_", "listener.larder.worker_1.downstream_cx_"];

pub struct RealEnvoy {
    envoy: Envoy,
    origin: Origin,
    /// Connections that wait for their next request, by worker.
    idle: [Vec<TcpStream>; 2],
    under_way: HashMap<Exchange, UnderWay>,
    started: usize,
    /// Which scenario is being played, and which one has scripted a path.
    scenario: usize,
    paths: HashMap<String, usize>,
    pushes: usize,
    is_default: bool,
}

/// A request that was sent.
struct UnderWay {
    stream: TcpStream,
    worker: usize,
    method: String,
}

impl RealEnvoy {
    /// An Envoy with the configuration that is in the repository, Larder configured with `{}`.
    pub fn start() -> Self {
        Self::start_with(&Setup::default())
    }

    pub fn start_with(setup: &Setup) -> Self {
        let origin = Origin::start();
        let envoy = Envoy::start(origin.port(), setup);
        RealEnvoy {
            envoy,
            origin,
            idle: Default::default(),
            under_way: HashMap::new(),
            started: 0,
            scenario: 0,
            paths: HashMap::new(),
            pushes: 0,
            is_default: true,
        }
    }

    /// Another scenario begins, with the configuration `{}` and an origin that knows nothing. What the ones before it
    /// have stored is still there.
    pub fn begin(&mut self) {
        self.scenario += 1;
        self.under_way.clear();
        self.origin.listen(false);
        self.origin.listen(true);
        self.origin.clear();
        if !self.is_default {
            self.configure("{}").expect("the empty configuration");
            self.is_default = true;
        }
    }

    /// The process, for what the trait has no words for.
    pub fn envoy(&self) -> &Envoy {
        &self.envoy
    }

    /// Sends these bytes over a connection of this worker and reads the response, as if to a request of this method.
    pub fn send_raw(&mut self, worker: usize, method: &str, bytes: &[u8]) -> Result<Response, String> {
        let exchange = self.start_raw(worker, method, bytes);
        self.receive(exchange)
    }

    /// Panics when a VM died or a request hangs that nobody waits for.
    pub fn check(&mut self) {
        let reloads = self.envoy.stats("wasm.larder.vm_reload");
        assert!(reloads.values().all(|count| *count == 0), "a VM died: {reloads:?}");
        let waited_for = self.under_way.len() as u64;
        let active = "http.larder.downstream_rq_active";
        assert!(self.envoy.soon(|envoy| envoy.stat(active) <= waited_for), "a request hangs");
    }

    fn start_raw(&mut self, worker: usize, method: &str, bytes: &[u8]) -> Exchange {
        let mut stream = self.connection(worker);
        let begun = self.envoy.stat(BEGUN);
        stream.write_all(bytes).expect("Envoy takes the request");
        // Only when Envoy has begun with it may the next one start, or the two could overtake each other. (A request
        // that Envoy cannot parse is never counted.)
        let _ = self.envoy.within(Duration::from_millis(200), |envoy| envoy.stat(BEGUN) > begun);
        self.started += 1;
        let exchange = Exchange(self.started);
        self.under_way.insert(exchange, UnderWay { stream, worker, method: method.into() });
        exchange
    }

    fn receive(&mut self, exchange: Exchange) -> Result<Response, String> {
        let exchange = self.under_way.remove(&exchange).expect("a request under way");
        let UnderWay { stream, worker, method } = exchange;
        let until = Until { stream: stream.try_clone().unwrap(), deadline: Instant::now() + PATIENCE };
        let mut from = BufReader::new(until);
        let head = final_head(&mut from)?;
        let framing = head.response_framing(&method);
        let content = Content::read(&mut from, framing);
        if content.complete && framing != Framing::UntilClose && !head.has("connection", "close") {
            self.idle[worker].push(stream);
        }
        let status = head.status();
        Ok(Response { status, fields: head.fields, body: content.bytes, complete: content.complete })
    }

    /// A connection of this worker: an idle one, or new ones until the kernel gives one to that worker.
    fn connection(&mut self, worker: usize) -> TcpStream {
        for _ in 0..100 {
            if let Some(stream) = self.idle[worker].pop() {
                return stream;
            }
            let (stream, accepted_by) = self.connect();
            self.idle[accepted_by].push(stream);
        }
        panic!("worker {worker} accepted none of 100 connections");
    }

    /// Opens a connection and finds out which worker accepted it.
    fn connect(&self) -> (TcpStream, usize) {
        let before = self.accepted();
        let stream = TcpStream::connect(self.envoy.listener).expect("Envoy listens");
        stream.set_nodelay(true).unwrap();
        assert!(self.envoy.soon(|_| self.accepted() != before), "no worker accepts a connection");
        let worker = usize::from(self.accepted()[0] == before[0]);
        (stream, worker)
    }

    fn accepted(&self) -> [u64; 2] {
        let stats = self.envoy.stats("listener.larder.worker_..downstream_cx_total");
        WORKERS.map(|worker| stats.get(&format!("{worker}total")).copied().unwrap_or(0))
    }
}

/// Requests that Envoy has begun with.
const BEGUN: &str = "http.larder.downstream_rq_total";

impl Stand for RealEnvoy {
    fn name(&self) -> &'static str {
        "Envoy"
    }

    fn origin(&mut self, path: &str, replies: Vec<Reply>) {
        let owner = *self.paths.entry(path.into()).or_insert(self.scenario);
        assert_eq!(owner, self.scenario, "{path} is another scenario's");
        self.origin.script(path, replies);
    }

    fn origin_listens(&mut self, listens: bool) {
        self.origin.listen(listens);
    }

    fn start(&mut self, worker: usize, request: Request) -> Exchange {
        self.start_raw(worker, &request.method, &bytes(&request))
    }

    fn finish(&mut self, exchange: Exchange) -> Response {
        self.receive(exchange).unwrap_or_else(|error| panic!("{error}"))
    }

    fn leave(&mut self, exchange: Exchange) {
        let UnderWay { stream, worker, .. } = self.under_way.remove(&exchange).expect("a request under way");
        let active = format!("{}active", WORKERS[worker]);
        let before = self.envoy.stat(&active);
        let _ = stream.shutdown(Shutdown::Both);
        drop(stream);
        assert!(
            self.envoy.soon(|envoy| envoy.stat(&active) < before),
            "Envoy does not notice that a client left"
        );
    }

    fn pass(&mut self, time: Duration) {
        thread::sleep(time);
    }

    fn origin_log(&mut self) -> Vec<OriginRequest> {
        self.origin.log()
    }

    fn configure(&mut self, configuration: &str) -> Result<(), String> {
        self.is_default = false;
        // No two are alike: Envoy remembers its verdict on a configuration, and takes up an old one as it was.
        self.pushes += 1;
        self.envoy.configure(&format!("{configuration}{}", " ".repeat(self.pushes)))?;
        self.idle = Default::default(); // They belong to the listener as it was.
        Ok(())
    }

    fn metric(&mut self, name: &str) -> u64 {
        self.envoy.stat(&format!("wasmcustom.larder_{name}"))
    }
}

/// The request on the wire.
fn bytes(request: &Request) -> Vec<u8> {
    let mut fields: Fields = vec![("host".into(), request.host.clone().into_bytes())];
    fields.extend_from_slice(&request.fields);
    let framed = fields.iter().any(|(name, _)| name == "content-length" || name == "transfer-encoding");
    let expects_body = matches!(request.method.as_str(), "POST" | "PUT" | "PATCH");
    if !request.trailers.is_empty() {
        fields.push(("transfer-encoding".into(), b"chunked".to_vec()));
        let mut bytes = head(&format!("{} {} HTTP/1.1", request.method, request.target), &fields);
        chunked(&mut bytes, &request.body, &request.trailers);
        return bytes;
    }
    if !framed && (expects_body || !request.body.is_empty()) {
        fields.push(("content-length".into(), request.body.len().to_string().into_bytes()));
    }
    let mut bytes = head(&format!("{} {} HTTP/1.1", request.method, request.target), &fields);
    bytes.extend_from_slice(&request.body);
    bytes
}

/// The head of the final response, interim ones (but for 101) read over.
fn final_head(from: &mut BufReader<Until>) -> Result<Head, String> {
    loop {
        match Head::read(from) {
            Ok(Some(head)) if head.status() != 101 && head.status() < 200 => {}
            Ok(Some(head)) => return Ok(head),
            Ok(None) => return Err("the connection ended without a response".into()),
            Err(error) => return Err(format!("no response within {PATIENCE:?}: {error}")),
        }
    }
}
