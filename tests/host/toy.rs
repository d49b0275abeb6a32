//! A small filter written with the SDK: it does what a request's path asks for, so that the facts can be shown.

use std::{cell::RefCell, rc::Rc, time::Duration};

use proxy_wasm::{
    hostcalls,
    traits::{Context, HttpContext, RootContext},
    types::{Action, ContextType, MapType, MetricType, Status},
};

use super::vm::NewVm;

/// What the contexts of one VM share.
#[derive(Default)]
pub struct Inside {
    /// Streams that wait for somebody else.
    parked: Vec<u32>,
    /// What callbacks have happened, in order.
    seen: Vec<String>,
}

/// A serialized `GrpcService` with the cluster `etcd`.
const ETCD: &str = "\n\x06\n\x04etcd";

type Vm = Rc<RefCell<Inside>>;

/// Makes a VM of the toy.
pub fn toy() -> NewVm {
    let vm = Vm::default();
    Rc::new(move |id| {
        Box::new(Root {
            id,
            vm: Rc::clone(&vm),
            queue: 0,
            then: None,
            wish: String::new(),
            watch: None,
            then_cancel: None,
        })
    })
}

struct Root {
    id: u32,
    vm: Vm,
    queue: u32,
    /// What the next call response is for.
    then: Option<u32>,
    /// Its configuration.
    wish: String,
    /// Its stream to etcd.
    watch: Option<u32>,
    /// A stream that it cancels with the next tick, or closes.
    then_cancel: Option<(u32, bool)>,
}

struct Stream {
    id: u32,
    vm: Vm,
    path: String,
}

impl Root {
    fn note(&self, what: &str) {
        self.vm.borrow_mut().seen.push(what.into());
    }

    /// Watches a key in etcd, as the configuration says.
    fn gossip(&mut self) {
        match self.then_cancel.take() {
            Some((stream, true)) => drop(hostcalls::close_grpc_stream(stream)),
            Some((stream, false)) => drop(hostcalls::cancel_grpc_stream(stream)),
            None => {}
        }
        if !self.wish.contains("watch") || self.watch.is_some() {
            return;
        }
        let opened = self.open_grpc_stream(ETCD, "etcdserverpb.Watch", "Watch", vec![("hasleader", b"true")]);
        self.watch = opened.ok();
        match self.watch {
            Some(stream) => self.send_grpc_stream_message(stream, Some(b"\x0a\x03\x0a\x01k"), false),
            None => self.tell("not opened"),
        }
    }

    /// Adds a line to what the test reads.
    fn tell(&self, what: &str) {
        let (told, _) = self.get_shared_data("told");
        let told = [told.unwrap_or_default().as_slice(), what.as_bytes(), b"\n"].concat();
        let _ = self.set_shared_data("told", Some(&told), None);
    }

    fn answer_parked(&self) {
        let parked = std::mem::take(&mut self.vm.borrow_mut().parked);
        for stream in parked {
            match hostcalls::set_effective_context(stream) {
                Ok(()) => reply(200, &[], Some(b"answered")),
                Err(status) => {
                    let _ = hostcalls::log(proxy_wasm::types::LogLevel::Info, &format!("gone: {status:?}"));
                }
            }
        }
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, _: u32, headers: usize, body: usize, _: usize) {
        self.note(&format!("root call response {headers} {body}"));
        if let Some(stream) = self.then.take() {
            self.vm.borrow_mut().parked.push(stream);
        }
        self.answer_parked();
    }

    fn on_grpc_stream_initial_metadata(&mut self, _: u32, fields: u32) {
        self.tell(&format!("headers {fields} {}", self.get_grpc_stream_initial_metadata().len()));
    }

    fn on_grpc_stream_message(&mut self, stream: u32, size: usize) {
        let message = self.get_grpc_stream_message(0, size).unwrap_or_default();
        self.tell(&format!("message {}", message.len() == size));
        if self.wish.contains("cancel at once") {
            let _ = hostcalls::cancel_grpc_stream(stream);
        }
        if self.wish.contains("cancel on tick") {
            self.then_cancel = Some((stream, false));
        }
        if self.wish.contains("half") {
            let _ = hostcalls::close_grpc_stream(stream);
        }
    }

    fn on_grpc_stream_trailing_metadata(&mut self, _: u32, fields: u32) {
        self.tell(&format!("trailers {fields}"));
    }

    fn on_grpc_stream_close(&mut self, stream: u32, status: u32) {
        let (code, text) = self.get_grpc_status();
        self.tell(&format!("closed {status} {code} {}", text.unwrap_or_default()));
        if self.wish.contains("tidy") {
            let _ = hostcalls::cancel_grpc_stream(stream);
        }
        if self.wish.contains("too late") {
            self.then_cancel = Some((stream, true));
        }
        if self.wish.contains("again") {
            self.watch = None;
        }
    }

    fn on_done(&mut self) -> bool {
        self.note("root done");
        true
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let configuration = self.get_plugin_configuration().unwrap_or_default();
        let configuration = String::from_utf8_lossy(&configuration).into_owned();
        self.note("configure");
        bump("configured");
        self.wish.clone_from(&configuration);
        let _ = hostcalls::set_shared_data("configured", Some(configuration.as_bytes()), None);
        if configuration.contains("queue") {
            self.queue = self.register_shared_queue("toy");
        }
        if configuration.contains("tick") {
            self.set_tick_period(Duration::from_millis(100));
        }
        if configuration.contains("refuse") {
            let _ = hostcalls::log(proxy_wasm::types::LogLevel::Error, "$.refuse: expected nothing");
        }
        !configuration.contains("refuse")
    }

    fn on_tick(&mut self) {
        bump("ticks");
        self.gossip();
        self.answer_parked();
    }

    fn on_queue_ready(&mut self, queue: u32) {
        bump("queue_ready");
        let message = self.dequeue_shared_queue(queue).ok().flatten();
        match message.as_deref() {
            None => bump("queue_empty"),
            Some([b'c', id @ ..]) => {
                self.then = id.try_into().ok().map(u32::from_le_bytes);
                let _ = call(self, "/called");
            }
            Some(_) => self.answer_parked(),
        }
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream { id, vm: Rc::clone(&self.vm), path: String::new() }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Stream {
    fn note(&self, what: &str) {
        let mut inside = self.vm.borrow_mut();
        inside.seen.push(format!("{} {what}", self.path));
    }

    /// Puts `k`.
    fn put(&self, service: &str, method: &str) -> Result<u32, Status> {
        let request = Some(b"\x0a\x01k\x12\x01v".as_slice());
        self.dispatch_grpc_call(service, "etcdserverpb.KV", method, vec![], request, Duration::from_secs(1))
    }

    fn park(&self) -> Action {
        self.vm.borrow_mut().parked.push(self.id);
        Action::Pause
    }

    /// Runs the request's wish in the request phase.
    fn wish(&mut self) -> Action {
        match self.path.as_str() {
            "/reply" => reply(200, &[("cache-control", "x"), ("vary", "a"), ("vary", "b")], Some(b"local")),
            "/reply-empty" => {
                reply(304, &[("etag", "e"), ("content-type", "t"), ("content-length", "9")], None)
            }
            "/reply-twice" => {
                reply(200, &[], Some(b"first"));
                reply(200, &[], Some(b"second"));
            }
            "/reply-early-hints" => reply(103, &[], None),
            "/reply-many" => {
                let many: Vec<_> = (0..1025).map(|_| ("x", "y")).collect();
                reply(200, &many, None);
            }
            "/park" => return self.park(),
            "/wake" => {
                let queue = self.resolve_shared_queue("", "toy").expect("the queue is registered");
                self.enqueue_shared_queue(queue, Some(b"wake")).expect("the queue is there");
            }
            "/register" => {
                self.register_shared_queue("toy");
            }
            "/own-call" => {
                let _ = call(self, "/called");
                return Action::Pause;
            }
            "/root-call" => {
                let mut message = vec![b'c'];
                message.extend_from_slice(&self.id.to_le_bytes());
                let queue = self.register_shared_queue("toy");
                self.enqueue_shared_queue(queue, Some(&message)).expect("the queue is there");
                return Action::Pause;
            }
            "/facts" => facts(self),
            "/grpc-facts" => grpc_facts(self),
            "/put" => {
                let put = self.put(ETCD, "Put");
                let _ = put.map_err(|status| reply(500, &[], Some(format!("{status:?}").as_bytes())));
                return Action::Pause;
            }
            "/no-method" => {
                let _ = self.put(ETCD, "Nope");
                return Action::Pause;
            }
            "/bare-name" => drop(self.put("etcd1", "Put")),
            _ => {}
        }
        Action::Continue
    }
}

/// The same about gRPC.
fn grpc_facts(stream: &Stream) {
    let mut said = Vec::new();
    let mut say = |what: &str, value: &dyn std::fmt::Debug| said.push(format!("{what}={value:?}"));
    say("name", &stream.put("etcd", "Put").is_ok());
    say("unknown-cluster", &stream.put("\n\x07\n\x05other", "Put"));
    say("send-to-nobody", &hostcalls::send_grpc_stream_message(123_456_788, None, false));
    say("send-to-a-call", &hostcalls::send_grpc_stream_message(123_456_789, None, false));
    say("cancel-nothing", &hostcalls::cancel_grpc_stream(123_456_788));
    say("close-nothing", &hostcalls::close_grpc_stream(123_456_788));
    say("status", &hostcalls::get_grpc_status());
    reply(200, &[], Some(said.join("\n").as_bytes()));
}

/// Facts about shared data and calls that one callback can find out; the answer's body has them.
fn facts(stream: &dyn Context) {
    let mut said = Vec::new();
    let mut say = |what: &str, value: &dyn std::fmt::Debug| said.push(format!("{what}={value:?}"));
    say("absent", &stream.get_shared_data("k"));
    say("absent-cas-any", &stream.set_shared_data("k", Some(b"v"), Some(77)));
    say("insert-if-absent", &stream.set_shared_data("k", Some(b"w"), Some(u32::MAX)));
    let (_, cas) = stream.get_shared_data("k");
    say("cas", &stream.set_shared_data("k", Some(b"x"), cas));
    say("stale-cas", &stream.set_shared_data("k", Some(b"y"), cas));
    let _ = stream.set_shared_data("empty", None, None);
    let (value, cas) = stream.get_shared_data("empty");
    say("empty", &(value, cas.is_some()));
    say("unknown-cluster", &dispatch(stream, "nowhere", "/called"));
    say("no-hosts", &dispatch(stream, "empty", "/called"));
    say(
        "no-path",
        &stream.dispatch_http_call("origin", vec![(":method", "GET")], None, vec![], Duration::ZERO),
    );
    say("dead-context", &hostcalls::set_effective_context(123_456_789));
    reply(200, &[], Some(said.join("\n").as_bytes()));
}

impl Context for Stream {
    fn on_http_call_response(&mut self, _: u32, headers: usize, _: usize, _: usize) {
        let details = self.get_http_call_response_headers_bytes();
        let status = details.iter().find(|(n, _)| n == ":status").map(|(_, v)| v.clone()).unwrap_or_default();
        let body = self.get_http_call_response_body(0, usize::MAX).unwrap_or_default();
        let text =
            format!("{headers} {} {}", String::from_utf8_lossy(&status), String::from_utf8_lossy(&body));
        reply(200, &[], Some(text.as_bytes()));
    }

    fn on_grpc_call_response(&mut self, _: u32, status: u32, size: usize) {
        let body = self.get_grpc_call_response_body(0, usize::MAX).unwrap_or_default();
        let (_, text) = self.get_grpc_status();
        let text = format!("{status} {} {}", body.len() == size, text.unwrap_or_default());
        reply(200, &[], Some(text.as_bytes()));
    }

    fn on_done(&mut self) -> bool {
        self.note("done");
        true
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, end: bool) -> Action {
        let path = self.get_http_request_header_bytes(":path").unwrap_or_default();
        self.path = String::from_utf8_lossy(&path).into_owned();
        self.note(&format!("request headers {end}"));
        bump("requests");
        self.wish()
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        self.note(&format!("request body {size} {end}"));
        if self.path == "/hold-body" && !end { Action::Pause } else { Action::Continue }
    }

    fn on_http_response_headers(&mut self, _: usize, end: bool) -> Action {
        let details = self.get_property(vec!["response", "code_details"]).unwrap_or_default();
        self.note(&format!("response headers {end} {}", String::from_utf8_lossy(&details)));
        let maps = hostcalls::get_map_bytes(MapType::HttpRequestHeaders).unwrap_or_default();
        self.note(&format!("request map {}", maps.len()));
        match self.path.as_str() {
            "/reply-empty" => self.set_http_response_header("content-length", Some("777")),
            "/lead" => {
                let parked = std::mem::take(&mut self.vm.borrow_mut().parked);
                for follower in parked {
                    if hostcalls::set_effective_context(follower).is_ok() {
                        reply(200, &[], Some(b"from the leader"));
                    }
                }
            }
            "/replace" => {
                reply(200, &[], Some(b"replaced"));
                return Action::Pause;
            }
            _ => {}
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        self.note(&format!("response body {size} {end}"));
        if self.path == "/reply-late" {
            reply(500, &[], None);
        }
        if self.path == "/hold-response" && !end { Action::Pause } else { Action::Continue }
    }

    fn on_http_response_trailers(&mut self, count: usize) -> Action {
        self.note(&format!("response trailers {count}"));
        Action::Continue
    }

    fn on_log(&mut self) {
        let details = self.get_property(vec!["response", "code_details"]).unwrap_or_default();
        let path = self.get_http_request_header_bytes(":path").unwrap_or_default();
        self.note(&format!("log {} {}", String::from_utf8_lossy(&details), String::from_utf8_lossy(&path)));
        if !self.path.is_empty() {
            self.set_property(vec!["toy_path"], Some(self.path.as_bytes()));
        }
        let seen = self.vm.borrow().seen.join("\n");
        let _ = hostcalls::set_shared_data("seen", Some(seen.as_bytes()), None);
        if self.path == "/answers-others-on-log" {
            let parked = std::mem::take(&mut self.vm.borrow_mut().parked);
            for stream in parked {
                if hostcalls::set_effective_context(stream).is_ok() {
                    reply(200, &[], Some(b"on log"));
                }
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.note("deleted");
        let seen = self.vm.borrow().seen.join("\n");
        let _ = hostcalls::set_shared_data("seen", Some(seen.as_bytes()), None);
    }
}

fn call(context: &dyn Context, path: &str) -> Result<u32, Status> {
    dispatch(context, "origin", path)
}

fn dispatch(context: &dyn Context, cluster: &str, path: &str) -> Result<u32, Status> {
    let headers = vec![(":method", "GET"), (":path", path), (":authority", "shop.example"), ("te", "gzip")];
    context.dispatch_http_call(cluster, headers, None, vec![], Duration::from_secs(1))
}

fn reply(status: u32, headers: &[(&str, &str)], body: Option<&[u8]>) {
    let _ = hostcalls::send_http_response(status, headers.to_vec(), body);
}

fn bump(name: &str) {
    if let Ok(id) = hostcalls::define_metric(MetricType::Counter, name) {
        let _ = hostcalls::increment_metric(id, 1);
    }
}
