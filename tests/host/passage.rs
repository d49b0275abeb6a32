//! How parts of a message move through the filter: delivered, held, resumed, passed on.
//!
//! ```text
//! client ──► arrive ──► deliver ──► pass_on ──► router        (Side::Request)
//! client ◄── pass_on ◄── deliver ◄── arrive ◄── router, local reply  (Side::Response)
//! ```
//! `deliver` calls the filter. When it pauses (or its callback sent a local reply) the side is held: at headers
//! nothing more is delivered (unless `body_while_headers_held`), at the body more bytes add up. `resume` lets it go
//! on, and so does a later part that the filter lets go.

use super::{
    World,
    guest::{Verdict, exports},
    hcm::{self, LocalReply},
    headers::HeaderMap,
    state::{Frame, host},
    stream::{ClientState, Held, Part, Side},
};

impl World {
    /// A part arrives from the outside.
    pub(super) fn arrive(&mut self, id: usize, side: Side, part: Part) {
        let goes = host(|h| {
            let now = h.now;
            let stream = &mut h.streams[id];
            stream.active_at = now;
            if side == Side::Response {
                stream.response_started = true;
            }
            let half = stream.side(side);
            match half.held {
                _ if half.aborted => None,
                Some(Held::Headers { .. }) if !half.headers_pending => {
                    half.waiting.push_back(part);
                    None
                }
                _ => Some(part),
            }
        });
        if let Some(part) = goes
            && host(|h| h.streams[id].alive)
        {
            self.deliver(id, side, part);
        }
    }

    fn deliver(&mut self, id: usize, side: Side, part: Part) {
        let Some((vm, context)) = host(|h| h.streams[id].vm.zip(h.streams[id].context)) else {
            return self.pass_on(id, side, part);
        };
        match part {
            Part::Headers { end } => self.deliver_headers(id, side, vm, context, end),
            Part::Data { bytes, end } => self.deliver_data(id, side, vm, context, bytes, end),
            Part::Trailers(trailers) => self.deliver_trailers(id, side, vm, context, trailers),
        }
    }

    fn deliver_headers(&mut self, id: usize, side: Side, vm: usize, context: u32, end: bool) {
        let count = host(|h| {
            if side == Side::Request && h.settings.authenticates {
                hcm::authenticate(&mut h.streams[id]);
            }
            if let (Side::Request, Some(field)) = (side, h.settings.chooses_endpoints_by) {
                hcm::choose_endpoints(&mut h.streams[id], field);
            }
            let half = h.streams[id].side(side);
            half.headers_visible = true;
            half.headers.len()
        });
        let verdict = self.filter(id, vm, context, side, "headers", || match side {
            Side::Request => exports::proxy_on_request_headers(context, count, end),
            Side::Response => exports::proxy_on_response_headers(context, count, end),
        });
        match verdict {
            Some(Verdict::Continue) => {
                host(|h| h.streams[id].side(side).headers_visible = false);
                self.pass_on(id, side, Part::Headers { end });
            }
            Some(Verdict::Stop) => host(|h| {
                let pending = h.settings.body_while_headers_held && !end;
                let half = h.streams[id].side(side);
                half.held = Some(Held::Headers { end });
                half.headers_pending = pending;
            }),
            None => {}
        }
    }

    fn deliver_data(&mut self, id: usize, side: Side, vm: usize, context: u32, bytes: Vec<u8>, end: bool) {
        let len = host(|h| {
            let half = h.streams[id].side(side);
            half.body.extend_from_slice(&bytes);
            half.body_visible = true;
            half.body.len()
        });
        let verdict = self.filter(id, vm, context, side, "body", || match side {
            Side::Request => exports::proxy_on_request_body(context, len, end),
            Side::Response => exports::proxy_on_response_body(context, len, end),
        });
        match verdict {
            Some(Verdict::Continue) => {
                self.pass_on_pending_headers(id, side);
                let bytes = host(|h| {
                    let half = h.streams[id].side(side);
                    half.body_visible = false;
                    half.held = None;
                    std::mem::take(&mut half.body)
                });
                self.pass_on(id, side, Part::Data { bytes, end });
            }
            Some(Verdict::Stop) => {
                host(|h| h.streams[id].side(side).held = Some(Held::Body { end }));
                self.check_buffer(id, side);
            }
            None => {}
        }
    }

    fn deliver_trailers(&mut self, id: usize, side: Side, vm: usize, context: u32, trailers: HeaderMap) {
        let count = trailers.len();
        host(|h| {
            let half = h.streams[id].side(side);
            half.trailers = trailers;
            half.trailers_visible = true;
        });
        let verdict = self.filter(id, vm, context, side, "trailers", || match side {
            Side::Request => exports::proxy_on_request_trailers(context, count),
            Side::Response => exports::proxy_on_response_trailers(context, count),
        });
        match verdict {
            Some(Verdict::Continue) => self.pass_on_trailers(id, side),
            Some(Verdict::Stop) => host(|h| h.streams[id].side(side).held = Some(Held::Trailers)),
            None => {}
        }
    }

    /// Calls the filter for one part. Nothing is returned when this side of the stream does not go on.
    fn filter(
        &mut self,
        id: usize,
        vm: usize,
        context: u32,
        side: Side,
        what: &str,
        call: impl FnOnce() -> u32,
    ) -> Option<Verdict> {
        let callback = callback_name(side, what);
        if !host(|h| h.vms[vm].alive) {
            self.fail_stream(id);
            return None;
        }
        let Some((action, verdict)) = self.guest(Frame::new(vm, context, callback), call) else {
            if !host(|h| h.vms[vm].alive) {
                self.fail_stream(id);
            }
            return None;
        };
        let verdict = if action == 0 { verdict } else { Verdict::Stop };
        host(|h| h.tell(|| format!("exchange {id}: {callback} → {verdict:?}")));
        let goes_on = host(|h| h.streams[id].alive && !h.streams[id].side(side).aborted);
        goes_on.then_some(verdict)
    }

    /// A body that is held and larger than the buffer limit ends the exchange.
    fn check_buffer(&mut self, id: usize, side: Side) {
        let over = host(|h| h.streams[id].side(side).body.len() > h.settings.buffer_bytes_max);
        match side {
            _ if !over => {}
            Side::Request => {
                let reply = LocalReply {
                    status: 413,
                    body: b"Payload Too Large".to_vec(),
                    details: "request_payload_too_large".into(),
                    ..LocalReply::default()
                };
                self.local_reply(id, reply);
            }
            Side::Response => self.reset_stream(id, "response_payload_too_large"),
        }
    }

    /// The filter lets a side go on that it has held.
    pub(super) fn resume(&mut self, vm: usize, context: u32, side: Side) {
        let Some(id) = self.stream_of(vm, context) else { return };
        let held = host(|h| {
            let half = h.streams[id].side(side);
            if half.aborted {
                return None;
            }
            let held = half.held.take();
            half.headers_visible = false;
            half.body_visible = false;
            half.trailers_visible = false;
            if held.is_none() {
                h.violate(format!("exchange {id}: {side:?} is resumed and was not held"));
            }
            held
        });
        let Some(held) = held else { return };
        host(|h| h.tell(|| format!("exchange {id}: {side:?} goes on")));
        match held {
            Held::Headers { end } => {
                host(|h| h.streams[id].side(side).headers_pending = false);
                self.pass_on(id, side, Part::Headers { end });
                self.deliver_waiting(id, side);
            }
            Held::Body { end } => {
                self.pass_on_pending_headers(id, side);
                let bytes = host(|h| std::mem::take(&mut h.streams[id].side(side).body));
                self.pass_on(id, side, Part::Data { bytes, end });
            }
            Held::Trailers => self.pass_on_trailers(id, side),
        }
    }

    /// What arrived while headers were held, bytes as one part.
    fn deliver_waiting(&mut self, id: usize, side: Side) {
        let mut waiting = host(|h| std::mem::take(&mut h.streams[id].side(side).waiting));
        let (mut all, mut ends) = (Vec::new(), None);
        while let Some(Part::Data { bytes, end }) = waiting.pop_front_if(|p| matches!(p, Part::Data { .. })) {
            all.extend_from_slice(&bytes);
            ends = Some(end);
        }
        if let Some(end) = ends {
            self.arrive(id, side, Part::Data { bytes: all, end });
        }
        while let Some(part) = waiting.pop_front() {
            self.arrive(id, side, part);
        }
    }

    pub(super) fn pass_on(&mut self, id: usize, side: Side, part: Part) {
        if !host(|h| h.streams[id].alive) {
            return;
        }
        match side {
            Side::Request => self.route(id, part),
            Side::Response => self.send_to_client(id, part),
        }
    }

    /// The header section that was held while the filter looked at what follows it.
    fn pass_on_pending_headers(&mut self, id: usize, side: Side) {
        if host(|h| std::mem::take(&mut h.streams[id].side(side).headers_pending)) {
            self.pass_on(id, side, Part::Headers { end: false });
        }
    }

    fn pass_on_trailers(&mut self, id: usize, side: Side) {
        self.pass_on_pending_headers(id, side);
        let (body, trailers) = host(|h| {
            let half = h.streams[id].side(side);
            half.trailers_visible = false;
            half.held = None;
            (std::mem::take(&mut half.body), half.trailers.clone())
        });
        if !body.is_empty() {
            self.pass_on(id, side, Part::Data { bytes: body, end: false });
        }
        self.pass_on(id, side, Part::Trailers(trailers));
    }

    fn send_to_client(&mut self, id: usize, part: Part) {
        let end = host(|h| {
            let (now, wall) = (h.now, h.wall());
            let stream = &mut h.streams[id];
            stream.active_at = now;
            match part {
                Part::Headers { end } => {
                    let tunnel = stream.response.headers.text(":status") == "101";
                    let close = (stream.close || stream.upgrade || !stream.request_whole) && !tunnel;
                    hcm::response_out(
                        &mut stream.response.headers,
                        &stream.request.headers,
                        wall,
                        end,
                        close,
                    );
                    let interim = std::mem::take(&mut stream.seen.interim);
                    stream.seen =
                        crate::stand::Response { interim, ..hcm::client_response(&stream.response.headers) };
                    stream.response_sent = true;
                    end
                }
                Part::Data { bytes, end } => {
                    stream.seen.body.extend_from_slice(&bytes);
                    end
                }
                Part::Trailers(trailers) => {
                    stream.seen.trailers = trailers.0;
                    true
                }
            }
        });
        if end {
            host(|h| {
                let stream = &mut h.streams[id];
                stream.client = ClientState::Done;
                stream.seen.complete = true;
                let (status, bytes) = (stream.seen.status, stream.seen.body.len());
                h.tell(|| format!("exchange {id}: the client has {status} with {bytes} bytes"));
            });
            self.end_stream(id);
        }
    }
}

fn callback_name(side: Side, what: &str) -> &'static str {
    match (side, what) {
        (Side::Request, "headers") => "on_request_headers",
        (Side::Request, "body") => "on_request_body",
        (Side::Request, _) => "on_request_trailers",
        (Side::Response, "headers") => "on_response_headers",
        (Side::Response, "body") => "on_response_body",
        (Side::Response, _) => "on_response_trailers",
    }
}
