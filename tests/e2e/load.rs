//! Clients by the hundred, over HTTP/1.1 and HTTP/2, each a task of one thread, and what they ask.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::origin::Origin;
use super::process::{Envoy, Setup};
use crate::chance::Chance;
use crate::stand::{Request, Response};

/// How long a client waits for its response.
const PATIENCE: Duration = Duration::from_secs(60);
/// Clients that share a connection where that is possible.
const SHARING: usize = 20;

/// An Envoy with its origin, for clients that come in crowds.
pub struct Edge {
    pub envoy: Envoy,
    pub origin: Origin,
    pub runtime: Runtime,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    Http1,
    Http2,
}

/// A client with its connection, or its share of one. Dropped while a request is under way, it has left.
pub struct Client {
    sender: Sender,
    _connection: Arc<Connection>,
}

enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

/// Clients that ask again and again, each over its connection, until they are stopped.
pub struct Demand {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

/// Ends when nobody shares it any more.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Edge {
    pub fn start(setup: &Setup) -> Edge {
        let origin = Origin::start();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        Edge { envoy: Envoy::start(origin.port(), setup), origin, runtime }
    }

    /// As many clients, all connected.
    pub fn clients(&self, protocol: Protocol, count: usize) -> Vec<Client> {
        let address = self.envoy.listener;
        self.runtime.block_on(async {
            let mut clients = Vec::with_capacity(count);
            while clients.len() < count {
                match protocol {
                    Protocol::Http1 => clients.push(Client::over_http1(address).await),
                    Protocol::Http2 => {
                        let sharing = SHARING.min(count - clients.len());
                        clients.extend(Client::over_http2(address, sharing).await);
                    }
                }
            }
            clients
        })
    }

    /// As many clients, over one HTTP/2 connection that this worker has accepted. Nobody else may connect meanwhile.
    pub fn clients_of(&self, worker: u64, count: usize) -> Vec<Client> {
        let accepted = |by: &str| self.envoy.stat(&format!("listener.larder.{by}downstream_cx_total"));
        let by_worker = format!("worker_{worker}.");
        for _ in 0..200 {
            let before = (accepted(""), accepted(&by_worker));
            let address = self.envoy.listener;
            let clients = self.runtime.block_on(Client::over_http2(address, count));
            assert!(self.envoy.soon(|_| accepted("") > before.0), "no worker accepts a connection");
            if accepted(&by_worker) > before.1 {
                return clients;
            }
        }
        panic!("worker {worker} accepted none of 200 connections");
    }

    /// Sends a request and does not wait. The task may be aborted: its client has left then.
    pub fn begin(&self, mut client: Client, request: Request) -> JoinHandle<Result<Response, String>> {
        self.runtime.spawn(async move { client.send(&request).await })
    }

    /// Pushes a plugin configuration while the clients go on.
    pub fn push(&mut self, configuration: &str) {
        let Edge { envoy, runtime, .. } = self;
        std::thread::scope(|scope| {
            let push = scope.spawn(|| envoy.configure(configuration));
            while !push.is_finished() {
                runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
            }
            push.join().unwrap().expect("the configuration is right");
        });
    }

    /// So many clients that ask for one of these paths after the other, at random, and check each response.
    pub fn demand(&self, clients: usize, paths: &[String], check: fn(&Response)) -> Demand {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let paths: Arc<[String]> = paths.into();
        let ask_on = |(n, mut client): (usize, Client)| {
            let (stop, answered, paths) = (Arc::clone(&stop), Arc::clone(&answered), Arc::clone(&paths));
            let mut chance = Chance::new(n as u64);
            self.runtime.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    check(&client.send(&Request::get(chance.pick::<String>(&paths))).await.unwrap());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let clients = self.clients(Protocol::Http1, clients).into_iter().enumerate().map(ask_on).collect();
        Demand { stop, answered, clients }
    }

    /// Ends it; how many requests there were.
    #[track_caller]
    pub fn stop(&self, demand: Demand) -> usize {
        demand.stop.store(true, Ordering::Relaxed);
        self.runtime.block_on(async {
            for client in demand.clients {
                client.await.expect("every response was right");
            }
        });
        demand.answered.load(Ordering::Relaxed)
    }

    /// Lets the clients go on for so long.
    pub fn pass(&self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    /// Sends all these requests at once; the responses in the same order.
    pub fn ask(&self, asked: Vec<(Client, Request)>) -> Vec<Result<Response, String>> {
        self.answers(asked.into_iter().map(|(client, request)| self.begin(client, request)).collect())
    }

    /// Waits for the responses.
    pub fn answers(&self, tasks: Vec<JoinHandle<Result<Response, String>>>) -> Vec<Result<Response, String>> {
        self.runtime.block_on(async {
            let mut responses = Vec::with_capacity(tasks.len());
            for task in tasks {
                responses.push(task.await.expect("no client panics"));
            }
            responses
        })
    }

    /// Waits until this holds, while the clients go on.
    #[track_caller]
    pub fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
            self.pass(Duration::from_millis(10));
        }
    }

    /// How many requests the origin has seen for this path.
    pub fn origin_count(&self, path: &str) -> usize {
        self.origin.log().iter().filter(|request| request.target == path).count()
    }

    /// Panics unless, soon, no request is under way any more, of clients or to the origin, and no VM has died.
    #[track_caller]
    pub fn check_settled(&self) {
        self.check_idle();
        let reloads = self.envoy.stats("wasm.larder.vm_reload");
        assert!(reloads.values().all(|count| *count == 0), "a VM died: {reloads:?}");
    }

    /// Panics unless, soon, no request is under way any more, of clients or to the origin.
    #[track_caller]
    pub fn check_idle(&self) {
        let active =
            |envoy: &Envoy| envoy.stats("(http.larder.downstream|cluster.origin.upstream)_rq_active$");
        let settled = self.envoy.within(Duration::from_secs(60), |e| active(e).values().all(|n| *n == 0));
        assert!(settled, "requests hang: {:?}", active(&self.envoy));
    }
}

impl Demand {
    /// How many requests there were so far.
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }
}

impl Client {
    pub async fn over_http1(address: SocketAddr) -> Client {
        let (sender, connection) = http1::handshake(socket(address).await).await.unwrap();
        let connection = tokio::spawn(async { drop(connection.await) });
        Client { sender: Sender::One(sender), _connection: Arc::new(Connection(connection)) }
    }

    async fn over_http2(address: SocketAddr, sharing: usize) -> Vec<Client> {
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), socket(address).await).await.unwrap();
        let connection = Arc::new(Connection(tokio::spawn(async { drop(connection.await) })));
        let share = || Client { sender: Sender::Two(sender.clone()), _connection: Arc::clone(&connection) };
        (0..sharing).map(|_| share()).collect()
    }

    /// Sends a request and waits for the whole response.
    pub async fn send(&mut self, request: &Request) -> Result<Response, String> {
        let answer = timeout(PATIENCE, self.exchange(request)).await;
        answer.map_err(|_| format!("no response within {PATIENCE:?}"))?.map_err(|error| error.to_string())
    }

    async fn exchange(&mut self, request: &Request) -> hyper::Result<Response> {
        let response = match &mut self.sender {
            Sender::One(sender) => {
                sender.ready().await?;
                sender.send_request(message(request, Protocol::Http1)).await?
            }
            Sender::Two(sender) => {
                sender.ready().await?;
                sender.send_request(message(request, Protocol::Http2)).await?
            }
        };
        let (head, body) = response.into_parts();
        let fields = head.headers.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect();
        let body = body.collect().await?.to_bytes().to_vec();
        let (interim, trailers) = (Vec::new(), Vec::new());
        Ok(Response { status: head.status.as_u16(), fields, interim, body, trailers, complete: true })
    }
}

async fn socket(address: SocketAddr) -> TokioIo<TcpStream> {
    let stream = TcpStream::connect(address).await.expect("Envoy listens");
    stream.set_nodelay(true).unwrap();
    TokioIo::new(stream)
}

fn message(request: &Request, protocol: Protocol) -> http::Request<Full<Bytes>> {
    let uri = match protocol {
        Protocol::Http1 => request.target.clone(),
        Protocol::Http2 => format!("http://{}{}", request.host, request.target),
    };
    let mut message = http::Request::builder().method(request.method.as_str()).uri(uri);
    if protocol == Protocol::Http1 {
        message = message.header("host", &request.host);
    }
    for (name, value) in &request.fields {
        message = message.header(name, value.as_slice());
    }
    message.body(Full::new(Bytes::from(request.body.clone()))).expect("a request")
}
