//! One stream: callbacks become events, steps become calls to the host.

use core::cell::RefCell;
use log::warn;
use proxy_wasm::traits::{Context as _, HttpContext};
use proxy_wasm::types::Action;
use std::rc::Rc;

use super::abi::{self, Buffer, Map};
use super::bodies::Bodies;
use super::listeners::Listeners;
use super::root::call_response;
use super::vm::Vm;
use larder::admin::BodyMissing;
use larder::cache::{Call, CallResponse, Context, StreamId};
use larder::config::Config;
use larder::exchange::{Edit, Ending, Exchange, Reply, Step};
use larder::http::{Fields, RequestHead, ResponseHead};

/// More than any body that is read. Nothing is beyond it: `admin.body_bytes_max` and `key.content_bytes_max` are at most 1
/// MiB.
const BODY_BYTES_MAX: usize = 16 << 20;

/// The filter of one stream.
pub struct Filter {
    stream: StreamId,
    vm: Rc<Vm>,
    listeners: Rc<Listeners>,
    bodies: Rc<Bodies>,
    /// The configuration for its listener and route, once those are known.
    config: Rc<Config>,
    exchange: Rc<RefCell<Exchange>>,
}

impl Filter {
    pub(super) fn new(stream: StreamId, vm: Rc<Vm>, listeners: Rc<Listeners>, bodies: Rc<Bodies>) -> Self {
        let config = Rc::clone(listeners.config());
        Filter {
            stream,
            vm,
            listeners,
            bodies,
            config,
            exchange: Rc::new(RefCell::new(Exchange::new(stream))),
        }
    }

    /// Says once what filters behind this one do twice. Without names: some of them may be the origin's.
    fn tell_twice(&self, what: Vec<String>) {
        if !what.is_empty()
            && self.vm.with_cache(&self.config, |cx, _| cx.cache.twice_mut().found(what, cx.turn.now.mono))
                == Some(true)
        {
            warn!(
                "a filter behind larder changes responses from the cache a second time: list it before larder; \
                 GET health of the admin route says what it changes"
            );
        }
    }

    /// Does what the machine wants, in a callback of the stream itself.
    fn perform(&self, map: Map, step: Option<Step>) -> Action {
        let action = match step {
            None => Action::Continue,
            Some(Step::Continue(edits)) => {
                apply(map, &edits);
                Action::Continue
            }
            Some(Step::Wait) => {
                self.vm.park(self.stream, &self.exchange);
                Action::Pause
            }
            Some(Step::Hold) => return self.hold(map),
            Some(Step::Call(call)) => return self.call(map, &call),
            Some(Step::Reply(reply)) => {
                send(&reply);
                Action::Pause
            }
        };
        self.vm.kick();
        action
    }

    /// Holds the response until a call of this stream's own has come back; who leaves meanwhile takes it along.
    fn call(&self, map: Map, call: &Call) -> Action {
        let fields = call.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if self.dispatch_http_call(&call.cluster, fields, None, Vec::new(), call.timeout).is_ok() {
            self.vm.kick();
            return Action::Pause;
        }
        self.perform(map, self.answered_again(None))
    }

    fn answered_again(&self, call_response: Option<CallResponse>) -> Option<Step> {
        let answered =
            |cx: &mut Context<'_, _>, _: &mut _| self.exchange.borrow_mut().answered_again(cx, call_response);
        self.vm.with_cache(&self.config, answered).flatten()
    }

    /// Waits for more of the request's body, unless it will not come.
    fn hold(&self, map: Map) -> Action {
        let held = self.vm.hold(self.stream, &self.config, &self.exchange, &self.bodies);
        let missing = |cx: &mut Context<'_, _>, kept: &mut _| {
            self.exchange.borrow_mut().body_missing(cx, kept, BodyMissing::KeptBack)
        };
        let step = if held { None } else { self.vm.with_cache(&self.config, missing) };
        match step {
            None | Some(Step::Hold) => {
                self.vm.kick();
                Action::Pause
            }
            step => self.perform(map, step),
        }
    }
}

/// Does what the machine wants for a stream that waits, from a callback of the root.
pub(super) fn perform_elsewhere(vm: &Vm, stream: StreamId, exchange: &Rc<RefCell<Exchange>>, step: Step) {
    // Deciding may have looked at other streams.
    if !abi::set_effective_context(stream) {
        return;
    }
    match step {
        Step::Continue(edits) => {
            apply(Map::Request, &edits);
            abi::continue_request();
        }
        // Only a response is held for a call, and that is at hand in its own callbacks alone.
        Step::Wait | Step::Hold | Step::Call(_) => vm.park(stream, exchange),
        Step::Reply(reply) => send(&reply),
    }
}

fn apply(map: Map, edits: &[Edit]) {
    for edit in edits {
        match edit {
            Edit::Set(name, value) => abi::map_set(map, name, value),
            Edit::Add(name, value) => abi::map_add(map, name, value),
            Edit::Lines(name, values) => {
                abi::map_remove(map, name);
                values.iter().for_each(|value| abi::map_add(map, name, value));
            }
            Edit::Remove(name) => abi::map_remove(map, name),
        }
    }
}

/// Answers the effective stream.
fn send(reply: &Reply) {
    abi::reply(reply.status, reply.details, reply.fields.wire(), reply.body.bytes());
}

impl proxy_wasm::traits::Context for Filter {
    fn on_http_call_response(&mut self, _token: u32, fields: usize, body_size: usize, _trailers: usize) {
        let step = self.answered_again(Some(call_response(fields, body_size)));
        self.perform(Map::Response, step);
    }
}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, _count: usize, ends: bool) -> Action {
        let fields = abi::map(Map::Request).map(Fields::from_wire).unwrap_or_default();
        // HTTP/2 may say in a frame of its own that there is no more.
        let has_body = !ends && fields.get("content-length") != Some(b"0");
        let request = RequestHead { fields, has_body };
        self.config = self.listeners.here(self.vm.host());
        #[cfg(all(feature = "trap", target_arch = "wasm32"))]
        if request.fields.contains("x-larder-trap") {
            core::arch::wasm32::unreachable();
        }
        let step = self
            .vm
            .with_cache(&self.config, |cx, kept| self.exchange.borrow_mut().request_head(cx, kept, request));
        self.perform(Map::Request, step)
    }

    fn on_http_request_body(&mut self, size: usize, ends: bool) -> Action {
        if !self.exchange.borrow().collects() {
            return Action::Continue;
        }
        self.bodies.shown();
        self.vm.unpark(self.stream);
        let body = || abi::body(Buffer::RequestBody, size);
        let step = self.vm.with_cache(&self.config, |cx, kept| {
            self.exchange.borrow_mut().request_body(cx, kept, size, ends, body)
        });
        self.perform(Map::Request, step)
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        // The end of a chunked body. Let go, a command would reach the origin, token and all. What is too large has
        // been found out before.
        if !self.exchange.borrow().collects() {
            return Action::Continue;
        }
        self.bodies.shown();
        self.vm.unpark(self.stream);
        let body = abi::buffer(Buffer::RequestBody, 0, BODY_BYTES_MAX);
        let size = body.as_ref().map_or(0, Vec::len);
        let step = self.vm.with_cache(&self.config, |cx, kept| {
            self.exchange.borrow_mut().request_body(cx, kept, size, true, || body)
        });
        self.perform(Map::Request, step)
    }

    fn on_http_response_headers(&mut self, count: usize, ends: bool) -> Action {
        let fields = || abi::map(Map::Response).map(Fields::from_wire).unwrap_or_default();
        let passed = self.exchange.borrow_mut().own_reply(count, fields);
        if let Some(passed) = passed {
            apply(Map::Response, &passed.edits);
            self.tell_twice(passed.twice);
            return Action::Continue;
        }
        let Some(response) = ResponseHead::from_fields(fields()) else { return Action::Continue };
        let step = self.vm.with_cache(&self.config, |cx, kept| {
            self.exchange.borrow_mut().response_head(cx, &mut kept.unsafe_methods, &response, ends)
        });
        self.perform(Map::Response, step)
    }

    fn on_http_response_body(&mut self, size: usize, ends: bool) -> Action {
        if self.exchange.borrow().captures() {
            let chunk = abi::body(Buffer::ResponseBody, size);
            self.vm
                .with_cache(&self.config, |cx, _| self.exchange.borrow_mut().response_body(cx, chunk, ends));
            self.vm.kick();
        }
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        if self.exchange.borrow().captures() {
            self.vm.with_cache(&self.config, |cx, _| self.exchange.borrow_mut().response_end(cx));
            self.vm.kick();
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        if self.exchange.borrow().is_over() {
            return;
        }
        self.vm.unpark(self.stream);
        let ending = if self.exchange.borrow().is_fetching() { ending() } else { Ending::ClientLeft };
        self.vm.with_cache(&self.config, |cx, _| self.exchange.borrow_mut().end(cx, ending));
        self.vm.kick();
    }
}

/// Why the stream is over although its response is not. A client that leaves closes its connection or, in HTTP/2 and
/// HTTP/3, resets its stream; one that stays may be too slow. All else is told of the upstream.
fn ending() -> Ending {
    let details = abi::property("response\0code_details").unwrap_or_default();
    let of_upstream = [&b"upstream"[..], b"via_upstream"].iter().any(|prefix| details.starts_with(prefix));
    if of_upstream { Ending::ResponseBroke } else { Ending::ClientLeft }
}

impl Drop for Filter {
    fn drop(&mut self) {
        self.vm.unpark(self.stream);
    }
}
