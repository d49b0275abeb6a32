//! `Stand` on a real Envoy: its own process, a scripted origin, and client connections that stay with their worker.

use std::collections::HashMap;
use std::io::{BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::alias::Alias;
use super::origin::Origin;
use super::process::{Envoy, Setup};
use super::wire::{Content, Fields, Framing, Head, Until, chunked, head};
use crate::stand::{Exchange, Interim, OriginRequest, Reply, Request, Response, Route, SHIPPED, Stand};

/// How long a client waits for its response, on a machine that others use as well.
const PATIENCE: Duration = Duration::from_secs(60);
const WORKERS: [&str; 2] =
    ["listener.larder.worker_0.downstream_cx_", "listener.larder.worker_1.downstream_cx_"];

pub struct RealEnvoy {
    envoy: Envoy,
    origin: Origin,
    /// The hosts of this scenario.
    alias: Alias,
    /// Larder's counters as the scenario found them.
    counted: HashMap<String, u64>,
    /// Connections that wait for their next request, by worker.
    idle: [Vec<TcpStream>; 2],
    under_way: HashMap<Exchange, UnderWay>,
    started: usize,
    /// How many tables of routes were pushed.
    routes: usize,
    began: Instant,
}

/// Those that have played a scenario and can play another: compiling the module takes seconds.
static WAITING: Mutex<Vec<(Envoy, Origin)>> = Mutex::new(Vec::new());

/// A request that was sent.
struct UnderWay {
    stream: TcpStream,
    worker: usize,
    method: String,
}

impl RealEnvoy {
    /// An Envoy that others may have used before, with Larder configured as it is shipped. What they stored is still there,
    /// under hosts that this scenario does not know.
    pub fn borrow() -> Self {
        let waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some((mut envoy, origin)) = waiting else {
            let fresh = Self::start();
            return RealEnvoy { alias: Alias::new(), ..fresh };
        };
        envoy.configure(SHIPPED).expect("the shipped configuration is right");
        let mut lent = Self::new(envoy, origin);
        // Whatever trouble the origin was in for others, it answers now.
        lent.send(0, Request::get("/well"));
        lent.origin.forget();
        let counted = lent.envoy.stats(METRICS);
        RealEnvoy { alias: Alias::new(), counted, ..lent }
    }

    /// Gives it to the next scenario, unless something is still going on in it.
    pub fn give_back(self) {
        drop((self.idle, self.under_way));
        let quiet = |envoy: &Envoy| envoy.stats(ACTIVE).values().sum::<u64>() == 0;
        // What is slow on purpose is not waited for.
        if self.routes == 0 && self.envoy.within(Duration::from_secs(2), quiet) {
            let mut origin = self.origin;
            origin.listen(true);
            origin.forget();
            WAITING.lock().unwrap_or_else(PoisonError::into_inner).push((self.envoy, origin));
        }
    }

    /// A new Envoy with the configuration that is in the repository.
    pub fn start() -> Self {
        Self::start_with(&Setup::default())
    }

    /// A new Envoy with the configuration that is in the repository, but for this.
    pub fn start_with(setup: &Setup) -> Self {
        let origin = Origin::start();
        Self::new(Envoy::start(origin.port(), setup), origin)
    }

    /// A new Envoy with another configuration that is in the repository, but for what the test changes.
    pub fn start_as_written(file: &str, change: impl FnOnce(&mut String)) -> Self {
        let origin = Origin::start();
        Self::new(Envoy::start_as_written(file, origin.port(), change), origin)
    }

    fn new(envoy: Envoy, origin: Origin) -> Self {
        RealEnvoy {
            envoy,
            origin,
            alias: Alias::NONE,
            counted: HashMap::new(),
            idle: Default::default(),
            under_way: HashMap::new(),
            started: 0,
            routes: 0,
            began: Instant::now(),
        }
    }

    /// The process, for what the trait has no words for.
    pub fn envoy(&self) -> &Envoy {
        &self.envoy
    }

    /// From now on clients come to this listener, which has the statistics of the one that they came to.
    pub fn face(&mut self, listener: &str) {
        self.envoy.listener = self.envoy.listening(listener).expect("a listener of this name");
        self.idle = Default::default();
    }

    /// The origin was never asked for anything.
    pub fn forget_requests(&self) {
        self.origin.forget_requests("/");
    }

    /// From now on the origin answers every request like this.
    pub fn answer_by(&self, author: impl Fn(&OriginRequest) -> Reply + Send + Sync + 'static) {
        self.origin.answer_by(author);
    }

    /// Sends these bytes over a connection of this worker and reads the response, as if to a request of this method.
    pub fn send_raw(&mut self, worker: usize, method: &str, bytes: &[u8]) -> Result<Response, String> {
        // It may be none that Envoy ever begins with, and there is no other to overtake.
        let exchange = self.start_raw(worker, method, bytes, Duration::ZERO);
        self.receive(exchange)
    }

    /// Panics when a VM died or a request hangs that nobody waits for.
    pub fn check(&mut self) {
        let reloads = self.envoy.stats("wasm.larder.vm_reload");
        assert!(reloads.values().all(|count| *count == 0), "a VM died: {reloads:?}");
        let waited_for = self.under_way.len() as u64;
        let hung = |envoy: &Envoy| envoy.stat("http.larder.downstream_rq_active") > waited_for;
        assert!(self.envoy.soon(|envoy| !hung(envoy)), "a request hangs");
    }

    fn start_raw(&mut self, worker: usize, method: &str, bytes: &[u8], begun_within: Duration) -> Exchange {
        let mut stream = self.connection(worker);
        let begun = self.envoy.stat(BEGUN);
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&self.alias.out(bytes.to_vec())).expect("Envoy takes the request");
        // Only when Envoy has begun with it may the next one start, or the two could overtake each other. One that it
        // cannot parse is never counted, but answered.
        stream.set_nonblocking(true).unwrap();
        let is_answered = || stream.peek(&mut [0]).is_ok();
        let _ = self.envoy.within(begun_within, |envoy| envoy.stat(BEGUN) > begun || is_answered());
        stream.set_nonblocking(false).unwrap();
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
        let (interim, head) = heads(&mut from)?;
        let framing = head.response_framing(&method);
        let content = Content::read(&mut from, framing);
        if content.complete && framing != Framing::UntilClose && !head.has("connection", "close") {
            self.idle[worker].push(stream);
        }
        let status = head.status();
        let response = Response {
            status,
            fields: head.fields,
            interim,
            body: content.bytes,
            trailers: content.trailers,
            complete: content.complete,
        };
        Ok(self.alias.response(response))
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

/// How long Envoy may take to begin with a request.
const BEGUN_WITHIN: Duration = Duration::from_secs(10);
/// Requests that Envoy has begun with.
const BEGUN: &str = "http.larder.downstream_rq_total";
/// Requests under way, of clients and to the origin.
const ACTIVE: &str = "(http.larder.downstream|cluster.origin.upstream)_rq_active$";
const METRICS: &str = "wasmcustom.larder_";

impl Stand for RealEnvoy {
    fn name(&self) -> &'static str {
        "Envoy"
    }

    fn origin(&mut self, path: &str, replies: Vec<Reply>) {
        let replies = replies.into_iter().map(|reply| self.alias.reply(reply)).collect();
        self.origin.script(path, replies);
    }

    fn origin_listens(&mut self, listens: bool) {
        self.origin.listen(listens);
    }

    fn route(&mut self, route: Route) {
        self.routes += 1;
        let token = format!("/stand-routes-{}", self.routes);
        let known = format!(
            "    - {{ match: {{ path: {token} }}, direct_response: {{ status: 200, body: {{ inline_string: known }} }} }}\n"
        );
        self.envoy.push_routes(&(known + &route_yaml(&route)));
        // It holds once both workers have heard of it. Nothing looks up an OPTIONS.
        for worker in [0, 1] {
            let heard = (0..500).any(|_| {
                let known = self.send(worker, Request::new("OPTIONS", &token)).text() == "known";
                known || {
                    self.pass(Duration::from_millis(10));
                    false
                }
            });
            assert!(heard, "worker {worker} does not hear of its routes");
        }
        self.origin.forget_requests("/stand-routes-");
    }

    fn start(&mut self, worker: usize, request: Request) -> Exchange {
        self.start_raw(worker, &request.method, &bytes(&request), BEGUN_WITHIN)
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

    fn now(&mut self) -> Duration {
        self.began.elapsed()
    }

    fn patience(&self) -> Duration {
        PATIENCE / 2
    }

    fn origin_log(&mut self) -> Vec<OriginRequest> {
        self.origin.log().into_iter().map(|request| self.alias.request(request)).collect()
    }

    fn configure(&mut self, configuration: &str) -> Result<(), String> {
        let alias = self.alias;
        self.envoy.configure(&alias.text_out(configuration)).map_err(|error| alias.text_back(&error))?;
        self.idle = Default::default(); // They belong to the listener as it was.
        Ok(())
    }

    fn details(&mut self, target: &str) -> Vec<String> {
        // Envoy writes its access log ten times a second.
        thread::sleep(Duration::from_millis(500));
        let log = self.envoy.log();
        let lines = log.lines().filter(|line| line.contains(&format!(" {target}\" ")));
        let details = lines.filter_map(|line| line.split_once(" details=")?.1.split(' ').next());
        let mut details: Vec<String> = details.map(str::to_owned).collect();
        details.sort();
        details
    }

    fn metric(&mut self, name: &str) -> u64 {
        let name = format!("{METRICS}{name}");
        let before = self.counted.get(&name).copied().unwrap_or(0);
        self.envoy.stat(&name).saturating_sub(before)
    }
}

fn route_yaml(route: &Route) -> String {
    let Some((field, name)) = route.canary else { return one_route_yaml(route, "") };
    let blue = Route { name, cluster: "blue", host: Some("blue.internal"), ..Route::default() };
    let with_field = format!(", headers: [{{ name: {field}, present_match: true }}]");
    one_route_yaml(&blue, &with_field) + &one_route_yaml(route, "")
}

fn one_route_yaml(route: &Route, matching: &str) -> String {
    let name = if route.name.is_empty() { String::new() } else { format!("name: {}, ", route.name) };
    if let Some(status) = route.answers {
        return format!(
            "    - {{ {name}match: {{ prefix: /{matching} }}, direct_response: {{ status: {status} }} }}\n"
        );
    }
    let host = route.host.map(|host| format!(", host_rewrite_literal: {host}")).unwrap_or_default();
    let added = |(name, value): &(&str, &str)| format!("{{ header: {{ key: {name}, value: {value:?} }} }}");
    let adds = route.adds.iter().map(added).collect::<Vec<_>>().join(", ");
    format!(
        "    - {{ {name}match: {{ prefix: /{matching} }}, route: {{ cluster: {}, timeout: 0s{host} }}, request_headers_to_add: [{adds}] }}\n",
        route.cluster
    )
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

/// The heads of the interim responses (all but 101) and of the final one.
fn heads(from: &mut BufReader<Until>) -> Result<(Vec<Interim>, Head), String> {
    let mut interim = Vec::new();
    loop {
        match Head::read(from) {
            Ok(Some(head)) if head.status() != 101 && head.status() < 200 => {
                interim.push((head.status(), head.fields));
            }
            Ok(Some(head)) => return Ok((interim, head)),
            Ok(None) => return Err("the connection ended without a response".into()),
            Err(error) => return Err(format!("no response within {PATIENCE:?}: {error}")),
        }
    }
}
