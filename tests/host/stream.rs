//! One exchange between a client, the filter and what lies behind it: its state, and how it begins.

use std::collections::{BTreeMap, VecDeque};

use super::{
    World,
    ending::failed_filter,
    events::{Event, Lane},
    guest::exports,
    hcm::Route,
    headers::HeaderMap,
    ingress,
    state::host,
    upstream::Upstream,
    vm::ContextKind,
};
use crate::stand::{Request, Response};

pub const FLAG_CLIENT_LEFT: u64 = 0x4000;
pub const FLAG_UPSTREAM_BROKE: u64 = 0x80_0000;

/// The two halves of an exchange.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Side {
    Request,
    Response,
}

/// What moves along one side.
#[derive(Debug)]
pub enum Part {
    /// The header section, which stands in [`Half::headers`].
    Headers {
        end: bool,
    },
    Data {
        bytes: Vec<u8>,
        end: bool,
    },
    Trailers(HeaderMap),
}

/// Where one side of a stream is.
#[derive(Default)]
pub struct Half {
    pub headers: HeaderMap,
    /// The filter may read the headers now.
    pub headers_visible: bool,
    pub trailers: HeaderMap,
    pub trailers_visible: bool,
    /// The part of the body that the filter looks at, with what is held before it.
    pub body: Vec<u8>,
    pub body_visible: bool,
    pub held: Option<Held>,
    /// The header section is held as well, while the filter looks at what follows it.
    pub headers_pending: bool,
    pub waiting: VecDeque<Part>,
    /// Nothing of this side goes through the filters any more.
    pub aborted: bool,
}

/// What the filter holds back.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Held {
    Headers { end: bool },
    Body { end: bool },
    Trailers,
}

/// How an exchange looks from the client.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ClientState {
    Open,
    /// The response has come whole.
    Done,
    /// The connection broke.
    Broken,
    /// The client has gone away.
    Left,
}

/// One exchange.
pub struct Stream {
    pub id: usize,
    pub worker: usize,
    pub alive: bool,
    pub vm: Option<usize>,
    pub root: u32,
    /// The context in the filter, once it is created.
    pub context: Option<u32>,
    /// Parts of the request that the client has still to send.
    pub sending: VecDeque<Part>,
    pub wanted: Request,
    pub request: Half,
    pub response: Half,
    /// The route that was chosen for it, as it was then.
    pub route: Route,
    pub upstream: Option<Upstream>,
    pub attempts: u32,
    /// The filter has answered by itself.
    pub replied: bool,
    pub response_started: bool,
    pub response_sent: bool,
    pub request_whole: bool,
    /// Bytes of the request's body that have arrived, shown to the filter or not.
    pub received: u64,
    /// The `traffic_direction` of its listener.
    pub direction: u64,
    /// The connection is closed after the response.
    pub close: bool,
    /// The connection may turn into something else.
    pub upgrade: bool,
    pub logging: bool,
    pub client: ClientState,
    pub seen: Response,
    pub details: String,
    pub flags: u64,
    /// Overrides and additions to what `proxy_get_property` says.
    pub properties: BTreeMap<String, Vec<u8>>,
    /// What filters have left in dynamic metadata, a serialised `envoy.config.core.v3.Metadata`.
    pub metadata: Vec<u8>,
    /// What the filter has set with `proxy_set_property`.
    pub filter_state: BTreeMap<String, Vec<u8>>,
    pub started_at: u64,
    pub active_at: u64,
}

impl Stream {
    pub fn new(id: usize, worker: usize, wanted: Request, now: u64) -> Self {
        Stream {
            id,
            worker,
            alive: true,
            vm: None,
            root: 0,
            context: None,
            sending: VecDeque::new(),
            wanted,
            request: Half::default(),
            response: Half::default(),
            route: Route::default(),
            upstream: None,
            attempts: 0,
            replied: false,
            response_started: false,
            response_sent: false,
            request_whole: false,
            received: 0,
            direction: 0,
            close: false,
            upgrade: false,
            logging: false,
            client: ClientState::Open,
            seen: super::hcm::client_response(&HeaderMap::new()),
            details: String::new(),
            flags: 0,
            properties: BTreeMap::new(),
            metadata: Vec::new(),
            filter_state: BTreeMap::new(),
            started_at: now,
            active_at: now,
        }
    }

    pub fn side(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Request => &mut self.request,
            Side::Response => &mut self.response,
        }
    }

    /// Whether the filter holds a side back now.
    pub fn is_held(&self, side: Side) -> bool {
        match side {
            Side::Request => self.request.held.is_some(),
            Side::Response => self.response.held.is_some(),
        }
    }

    /// Whether the client has got the header section of a response.
    pub fn response_sent(&self) -> bool {
        self.response_sent
    }
}

impl World {
    /// The next part of a client's request reaches Envoy.
    pub(super) fn client_sends(&mut self, id: usize) {
        let Some(part) = host(|h| h.streams[id].alive.then(|| h.streams[id].sending.pop_front()).flatten())
        else {
            return;
        };
        host(|h| {
            if !h.streams[id].sending.is_empty() {
                h.after(h.settings.network, Some(Lane::Stream(id)), Event::Client(id));
            }
            let whole = matches!(
                part,
                Part::Headers { end: true } | Part::Data { end: true, .. } | Part::Trailers(_)
            );
            h.streams[id].request_whole |= whole;
            if let Part::Data { bytes, .. } = &part {
                h.streams[id].received += bytes.len() as u64;
            }
        });
        if matches!(part, Part::Headers { .. }) && !self.begin(id) {
            return;
        }
        match part {
            // Bytes for the other end may follow at any time.
            Part::Headers { .. } if host(|h| h.streams[id].upgrade) => {
                self.arrive(id, Side::Request, Part::Headers { end: false });
            }
            part => self.arrive(id, Side::Request, part),
        }
    }

    /// The connection manager makes a stream of a request; false when it refuses it before any filter runs.
    fn begin(&mut self, id: usize) -> bool {
        let parsed = host(|h| {
            let request_id = h.random.next();
            let wanted = &h.streams[id].wanted;
            let (method, target) = (wanted.method.clone(), wanted.target.clone());
            let worker = h.streams[id].worker;
            let has = |field: &str| wanted.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(field));
            h.streams[id].route = h.settings.route.taken_by(has);
            h.tell(|| format!("exchange {id}: {method} {target} to worker {worker}"));
            ingress::request_in(&h.streams[id].wanted, &h.settings.route, request_id)
        });
        let worker = host(|h| h.streams[id].worker);
        let filter = self.root_for_stream(worker);
        if let Some(Ok((vm, root))) = filter {
            host(|h| (h.streams[id].vm, h.streams[id].root) = (Some(vm), root));
        }
        match (parsed, filter) {
            (Err(refusal), _) => {
                host(|h| h.streams[id].close = refusal.close);
                self.local_reply(id, refusal.reply);
                false
            }
            (Ok(_), Some(Err(()))) => {
                self.local_reply(id, failed_filter());
                false
            }
            (Ok(inbound), _) => {
                host(|h| {
                    let stream = &mut h.streams[id];
                    stream.request.headers = inbound.headers;
                    stream.close = inbound.close;
                    stream.upgrade = inbound.upgrade;
                });
                self.watch_idle(id);
                self.create_context(id)
            }
        }
    }

    /// Creates the filter's context of a stream, where there is a filter.
    pub(super) fn create_context(&mut self, id: usize) -> bool {
        let Some((vm, root)) = host(|h| h.streams[id].vm.map(|vm| (vm, h.streams[id].root))) else {
            return true;
        };
        let context = host(|h| {
            let context = h.new_context(vm, ContextKind::Stream { exchange: id, root });
            h.streams[id].context = Some(context);
            h.tell(|| format!("exchange {id} is context {context}"));
            context
        });
        let created = || exports::proxy_on_context_create(context, root);
        if !self.notify(vm, context, "on_context_create", created) {
            self.fail_stream(id);
            return false;
        }
        true
    }
}
