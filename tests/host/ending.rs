//! How exchanges end: local replies, failures, resets, clients that leave, timeouts; then log, done and delete.

use super::{
    World,
    events::Event,
    guest::exports,
    hcm::{self, LocalReply},
    state::host,
    stream::{ClientState, FLAG_CLIENT_LEFT, Part, Side},
};

impl World {
    /// The filter answers a stream by itself.
    pub(super) fn reply_of_filter(&mut self, vm: usize, context: u32, reply: LocalReply) {
        if host(|h| h.vms[vm].contexts.get(&context).is_some_and(|c| c.deleted)) {
            host(|h| {
                h.violate(format!(
                    "a reply to context {context}, which the filter has dropped (envoy-facts §20.1)"
                ))
            });
            return;
        }
        let Some(id) = self.stream_of(vm, context) else { return };
        if host(|h| std::mem::replace(&mut h.streams[id].replied, true)) {
            return;
        }
        if (100..200).contains(&reply.status) {
            host(|h| h.violate(format!("exchange {id}: a local reply with {} ends it", reply.status)));
        }
        self.local_reply(id, reply);
    }

    /// Envoy answers by itself: through the filters while no response has begun, past them while its headers are
    /// held back, not at all once they are out.
    pub(super) fn local_reply(&mut self, id: usize, reply: LocalReply) {
        let (started, sent) = host(|h| {
            let stream = &mut h.streams[id];
            stream.upstream = None;
            stream.request.aborted = true;
            stream.details = reply.details.replace(|c: char| c.is_ascii_whitespace(), "_");
            stream.flags |= reply.flags;
            let (status, details) = (reply.status, stream.details.clone());
            let before = (stream.response_started, stream.response_sent);
            h.tell(|| format!("exchange {id}: local reply {status} {details}"));
            before
        });
        if sent {
            return self.reset_stream(id, &reply.details);
        }
        let (body, end) = host(|h| {
            let (route, stream) = (&h.settings.route, &mut h.streams[id]);
            let (headers, body) = hcm::local_reply(&reply, &stream.request.headers, route);
            stream.response.headers = headers;
            stream.response.held = None;
            stream.response.headers_pending = false;
            stream.response.aborted = started;
            let end = body.is_empty() || stream.wanted.method == "HEAD";
            (body, end)
        });
        let through_filter = !started && host(|h| h.streams[id].context.is_some());
        let send: fn(&mut World, usize, Side, Part) =
            if through_filter { World::arrive } else { World::pass_on };
        send(self, id, Side::Response, Part::Headers { end });
        if !end {
            send(self, id, Side::Response, Part::Data { bytes: body, end: true });
        }
    }

    /// The filter of this stream is dead: 503 while that is possible, else the connection breaks.
    pub(super) fn fail_stream(&mut self, id: usize) {
        let first = host(|h| {
            let stream = &mut h.streams[id];
            stream.context = None;
            stream.alive && !std::mem::replace(&mut stream.replied, true)
        });
        if first {
            self.local_reply(id, failed_filter());
        }
    }

    /// The filter resets a stream.
    pub(super) fn close(&mut self, vm: usize, context: u32) {
        if let Some(id) = self.stream_of(vm, context) {
            self.reset_stream(id, "wasm_close_stream");
        }
    }

    /// The connection to the client breaks.
    pub(super) fn reset_stream(&mut self, id: usize, details: &str) {
        host(|h| {
            let stream = &mut h.streams[id];
            if !stream.alive {
                return;
            }
            stream.details = details.to_owned();
            stream.client = ClientState::Broken;
            h.tell(|| format!("exchange {id}: reset, {details}"));
        });
        self.end_stream(id);
    }

    /// The client goes away.
    pub(super) fn client_leaves(&mut self, id: usize) {
        let alive = host(|h| {
            let stream = &mut h.streams[id];
            if stream.client == ClientState::Open {
                stream.client = ClientState::Left;
            }
            if stream.alive {
                (stream.details, stream.flags) = match h.settings.http2 {
                    true => ("http2.remote_reset".into(), stream.flags),
                    false => ("downstream_remote_disconnect".into(), stream.flags | FLAG_CLIENT_LEFT),
                };
            }
            let alive = stream.alive;
            h.tell(|| format!("exchange {id}: the client leaves"));
            alive
        });
        if alive {
            self.end_stream(id);
        }
    }

    /// The stream is over: the filter logs it, and is told to drop its context.
    pub(super) fn end_stream(&mut self, id: usize) {
        let was_alive = host(|h| {
            let stream = &mut h.streams[id];
            stream.upstream = None;
            stream.sending.clear();
            stream.request.aborted = true;
            stream.response.aborted = true;
            stream.logging = true;
            let (details, alive) = (stream.details.clone(), stream.alive);
            if alive {
                h.tell(|| format!("exchange {id}: over, {details}"));
            }
            let stream = &mut h.streams[id];
            std::mem::replace(&mut stream.alive, false)
        });
        let Some(vm) = host(|h| h.streams[id].vm).filter(|vm| was_alive && host(|h| h.vms[*vm].alive)) else {
            return;
        };
        if host(|h| h.streams[id].context.is_none()) {
            // A request that no filter saw is logged all the same.
            self.create_context(id);
        }
        let Some(context) = host(|h| h.streams[id].context) else { return };
        let logged = self.notify(vm, context, "on_log", || exports::proxy_on_log(context));
        host(|h| h.streams[id].logging = false);
        let done = || {
            exports::proxy_on_done(context);
        };
        if logged && self.notify(vm, context, "on_done", done) {
            self.delete_context(vm, context);
        }
    }

    pub(super) fn watch_idle(&mut self, id: usize) {
        host(|h| {
            if let Some(timeout) = h.settings.idle_timeout {
                let at = h.streams[id].active_at + timeout.as_nanos() as u64;
                h.events.add(at, None, Event::Idle(id));
            }
        });
    }

    /// `stream_idle_timeout`: 504 while no response has begun, else the connection breaks.
    pub(super) fn idle(&mut self, id: usize) {
        let idle = host(|h| {
            let timeout = h.settings.idle_timeout?;
            let stream = &h.streams[id];
            stream.alive.then_some(h.now >= stream.active_at + timeout.as_nanos() as u64)
        });
        match idle {
            Some(true) => {
                let status = if host(|h| h.streams[id].request_whole) { 504 } else { 408 };
                let reply = LocalReply {
                    status,
                    body: b"stream timeout".to_vec(),
                    details: "stream_idle_timeout".into(),
                    ..LocalReply::default()
                };
                self.local_reply(id, reply);
            }
            Some(false) => self.watch_idle(id),
            None => {}
        }
    }
}

pub fn failed_filter() -> LocalReply {
    LocalReply { status: 503, details: "wasm_fail_stream".into(), ..LocalReply::default() }
}
