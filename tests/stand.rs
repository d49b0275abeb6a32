//! Where a scenario is played: the emulated host or a real Envoy. A scenario says what client and origin see.

use std::time::Duration;

/// A request as the client sends it.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Target as sent on the wire, e.g. `/a?b=c`.
    pub target: String,
    pub host: String,
    /// Raw bytes are allowed in values.
    pub fields: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// Sent after the body, which is chunked then.
    pub trailers: Vec<(String, Vec<u8>)>,
}

/// A response as the client saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    pub status: u16,
    /// Names in lower case, in the order received.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Status and fields of the interim responses (1xx) before it.
    pub interim: Vec<Interim>,
    pub body: Vec<u8>,
    /// What came behind the body.
    pub trailers: Vec<(String, Vec<u8>)>,
    /// False when the connection broke before the body was whole.
    pub complete: bool,
}

/// Status and fields of an interim response (RFC 9110 §15.2).
pub type Interim = (u16, Vec<(String, Vec<u8>)>);

/// What the origin does with a request.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub fields: Vec<(String, Vec<u8>)>,
    /// Sent before it.
    pub interim: Vec<Interim>,
    pub body: Vec<u8>,
    /// Time before the response header section is sent.
    pub delay: Duration,
    pub ending: Ending,
}

/// How the origin ends a response.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// Whole, with `Content-Length`.
    Whole,
    /// Whole, chunked, with these trailers.
    Trailers(Vec<(String, Vec<u8>)>),
    /// Whole, with `Content-Length`, but after this many bytes of the body nothing comes for so long.
    StallsAfter(usize, Duration),
    /// The connection is reset after this many bytes of the body.
    ResetAfter(usize),
    /// The connection is closed without any response.
    NoResponse,
}

/// A request as the origin saw it.
#[derive(Clone, Debug)]
pub struct OriginRequest {
    pub method: String,
    pub target: String,
    pub fields: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

/// The route that a stand has for all requests, but those that `canary` takes. The clusters `origin` and `blue` both lead to the scripted origin.
#[derive(Clone, Debug)]
pub struct Route {
    pub name: &'static str,
    pub cluster: &'static str,
    /// What it makes of the host.
    pub host: Option<&'static str>,
    /// Fields that it adds to requests.
    pub adds: Vec<(&'static str, &'static str)>,
    /// The status that it answers with by itself.
    pub answers: Option<u16>,
    /// Requests with a field of this name take a route of this name to the cluster `blue`, under the host `blue.internal`.
    pub canary: Option<(&'static str, &'static str)>,
}

impl Default for Route {
    fn default() -> Self {
        Route { name: "", cluster: "origin", host: None, adds: Vec::new(), answers: None, canary: None }
    }
}

/// A client's request under way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Exchange(pub usize);

/// The plugin configuration that is shipped (`envoy/envoy.yaml`).
pub const SHIPPED: &str = r#"{"collapse": {"cluster": "route_loop"}}"#;

/// A place where clients, Larder and an origin meet. Both stands run the filter with two workers.
pub trait Stand {
    /// `emulated host` or `Envoy`.
    fn name(&self) -> &'static str;
    /// From now on the origin answers requests for `path` (query not looked at) like this. Several replies are used
    /// up one by one, the last one stays. A path without replies is a 404 without freshness.
    fn origin(&mut self, path: &str, replies: Vec<Reply>);
    /// Whether the origin takes connections at all; those that it has are closed when it does not.
    fn origin_listens(&mut self, listens: bool);
    /// Pushes another route, which holds for all requests that come after it.
    fn route(&mut self, route: Route);
    /// Sends a request over a connection of this worker (0 or 1) and does not wait.
    fn start(&mut self, worker: usize, request: Request) -> Exchange;
    /// Waits for the response, ten seconds of virtual time or a minute of real time at the most; panics when there is none.
    fn finish(&mut self, exchange: Exchange) -> Response;
    /// The client goes away without waiting.
    fn leave(&mut self, exchange: Exchange);
    /// Lets time pass: virtual on the emulated host, real on Envoy (keep it short).
    fn pass(&mut self, time: Duration);
    /// The stand's clock, which only tells how much later something was.
    fn now(&mut self) -> Duration;
    /// How long what happens by itself may take: longer where others use the machine as well.
    fn patience(&self) -> Duration {
        Duration::from_secs(3)
    }
    /// All requests that the origin has seen so far, in order.
    fn origin_log(&mut self) -> Vec<OriginRequest>;
    /// Pushes another plugin configuration; the message of the refusal when it is refused.
    fn configure(&mut self, configuration: &str) -> Result<(), String>;
    /// `%RESPONSE_CODE_DETAILS%` of the responses to requests for this target so far, sorted.
    fn details(&mut self, target: &str) -> Vec<String>;
    /// The value of a counter or gauge of Larder, by its name without prefix, 0 when it does not exist.
    fn metric(&mut self, name: &str) -> u64;

    /// Sends a request and waits for its response.
    fn send(&mut self, worker: usize, request: Request) -> Response {
        let exchange = self.start(worker, request);
        self.finish(exchange)
    }
    /// How many requests the origin has seen for this path.
    fn origin_count(&mut self, path: &str) -> usize {
        self.origin_log().iter().filter(|r| r.target.split('?').next() == Some(path)).count()
    }
}

impl Request {
    /// A GET of `target` on the host `shop.example`.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }
    pub fn new(method: &str, target: &str) -> Self {
        Request {
            method: method.into(),
            target: target.into(),
            host: "shop.example".into(),
            fields: Vec::new(),
            body: Vec::new(),
            trailers: Vec::new(),
        }
    }
    pub fn host(mut self, host: &str) -> Self {
        self.host = host.into();
        self
    }
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
        self
    }
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }
    /// Sends the body chunked, with this trailer field.
    pub fn trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.trailers.push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
        self
    }
}

impl Reply {
    /// 200 with this body.
    pub fn ok(body: impl AsRef<[u8]>) -> Self {
        Self::status(200).body(body)
    }
    pub fn status(status: u16) -> Self {
        Reply {
            status,
            fields: Vec::new(),
            interim: Vec::new(),
            body: Vec::new(),
            delay: Duration::ZERO,
            ending: Ending::Whole,
        }
    }
    /// The same with another status.
    pub fn status_code(self, status: u16) -> Self {
        Reply { status, ..self }
    }
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
        self
    }
    /// An interim response with this field before it.
    pub fn interim(mut self, status: u16, name: &str, value: &str) -> Self {
        self.interim.push((status, vec![(name.into(), value.into())]));
        self
    }
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
    pub fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }
}

impl Response {
    /// The first value of a field, as text; empty when absent.
    pub fn field(&self, name: &str) -> String {
        self.all(name).into_iter().next().unwrap_or_default()
    }
    pub fn all(&self, name: &str) -> Vec<String> {
        self.fields
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, v)| String::from_utf8_lossy(v).into_owned())
            .collect()
    }
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    /// Whether `Cache-Status` says that it came from the cache.
    pub fn is_hit(&self) -> bool {
        self.field("cache-status").contains("; hit")
    }
}

impl OriginRequest {
    pub fn field(&self, name: &str) -> String {
        self.fields
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| String::from_utf8_lossy(v).into_owned())
            .unwrap_or_default()
    }
}
