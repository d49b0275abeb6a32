//! The router: a request on Envoy's own path to the origin, and its response on the way back.

use super::{
    World,
    events::{Event, Lane},
    hcm::{self, Cluster, LocalReply},
    origin::{OriginStep, Plan},
    state::host,
    stream::{FLAG_UPSTREAM_BROKE, Part, Side},
};

/// A request that the router has sent or is sending.
pub struct Upstream {
    pub attempt: u32,
    body: Vec<u8>,
    /// What of the response is still to come, once the origin has the request.
    plan: Option<Plan>,
    response_begun: bool,
}

impl World {
    /// The filter has let a part of the request go.
    pub(super) fn route(&mut self, id: usize, part: Part) {
        let end = match part {
            Part::Headers { end } => {
                if !self.open_upstream(id) {
                    return;
                }
                end || host(|h| h.streams[id].upgrade)
            }
            Part::Data { bytes, end } => {
                host(|h| {
                    if let Some(upstream) = &mut h.streams[id].upstream {
                        upstream.body.extend_from_slice(&bytes);
                    }
                });
                end
            }
            Part::Trailers(_) => true,
        };
        if end {
            self.request_is_sent(id);
        }
    }

    /// Chooses the cluster; false when there is nobody to ask, which is answered at once.
    fn open_upstream(&mut self, id: usize) -> bool {
        let cluster = host(|h| {
            let (clusters, stream) = (&h.settings.route.clusters, &mut h.streams[id]);
            let route = &stream.route;
            if !stream.request.headers.text(":path").starts_with('/') {
                return Err(router_reply(404, "", "route_not_found"));
            }
            if let Some(status) = route.direct_response {
                return Err(direct_response(status));
            }
            route.rewrite(&mut stream.request.headers);
            stream.attempts += 1;
            let attempt = stream.attempts;
            stream.upstream = Some(Upstream { attempt, body: Vec::new(), plan: None, response_begun: false });
            Ok(clusters.get(&route.cluster).copied())
        });
        let reply = match cluster {
            Ok(Some(Cluster::Up | Cluster::RouteLoop)) => return true,
            Ok(Some(Cluster::NoHosts)) => no_healthy_upstream(),
            Ok(Some(Cluster::ConnectionRefused)) => connection_refused(),
            Ok(None) => cluster_not_found(),
            Err(no_route) => no_route,
        };
        self.local_reply(id, reply);
        false
    }

    fn request_is_sent(&mut self, id: usize) {
        host(|h| {
            let Some(attempt) = h.streams[id].upstream.as_ref().map(|u| u.attempt) else { return };
            let (network, timeout) = (h.settings.network, h.settings.route.timeout);
            h.after(network, Some(Lane::Origin(id)), Event::Origin { stream: id, attempt });
            if !timeout.is_zero() {
                let at = h.now + timeout.as_nanos() as u64;
                h.events.add(at, None, Event::RouteTimeout { stream: id, attempt });
            }
        });
    }

    /// The origin gets the request, or the next part of its response reaches Envoy.
    pub(super) fn origin_acts(&mut self, id: usize, attempt: u32) {
        let current =
            |h: &super::state::Host| h.streams[id].upstream.as_ref().is_some_and(|u| u.attempt == attempt);
        if !host(|h| current(h)) {
            return;
        }
        let step = host(|h| {
            let upstream = h.streams[id].upstream.as_mut()?;
            match &mut upstream.plan {
                Some(plan) => plan.pop_front().map(|(_, step)| step),
                None => {
                    let body = std::mem::take(&mut upstream.body);
                    let request = hcm::request_out(&h.streams[id].request.headers, body);
                    h.tell(|| format!("exchange {id}: the origin is asked for {}", request.target));
                    let random = h.shuffled.then_some(&mut h.random);
                    let plan = h.origin.answer(request, h.now, &h.settings, random);
                    h.streams[id].upstream.as_mut()?.plan = Some(plan);
                    None
                }
            }
        });
        match step {
            None => {}
            // Past all filters, and only the first of them.
            Some(OriginStep::Interim(interim)) => host(|h| {
                let seen = &mut h.streams[id].seen.interim;
                if seen.is_empty() {
                    seen.push(interim);
                }
            }),
            Some(OriginStep::Headers { headers, end }) => {
                host(|h| {
                    let (route, stream) = (&h.settings.route, &mut h.streams[id]);
                    stream.details = "via_upstream".into();
                    stream.response.headers = hcm::routed_response_in(headers, route);
                    if stream.upgrade {
                        // Only added once the request is whole.
                        stream.response.headers.remove("x-envoy-upstream-service-time");
                    }
                    if let Some(upstream) = &mut stream.upstream {
                        upstream.response_begun = true;
                    }
                });
                self.schedule_origin(id, attempt);
                return self.arrive(id, Side::Response, Part::Headers { end });
            }
            Some(OriginStep::Data { bytes, end }) => {
                self.schedule_origin(id, attempt);
                return self.arrive(id, Side::Response, Part::Data { bytes, end });
            }
            Some(OriginStep::Trailers(trailers)) => {
                return self.arrive(id, Side::Response, Part::Trailers(trailers));
            }
            Some(OriginStep::Reset) => return self.upstream_breaks(id),
        }
        self.schedule_origin(id, attempt);
    }

    fn schedule_origin(&mut self, id: usize, attempt: u32) {
        host(|h| {
            let plan = h.streams[id].upstream.as_ref().and_then(|u| u.plan.as_ref());
            if let Some((delay, _)) = plan.and_then(|plan| plan.front()) {
                let delay = *delay;
                h.after(delay, Some(Lane::Origin(id)), Event::Origin { stream: id, attempt });
            }
        });
    }

    fn upstream_breaks(&mut self, id: usize) {
        let begun = host(|h| h.streams[id].upstream.as_ref().is_some_and(|u| u.response_begun));
        if begun {
            host(|h| h.streams[id].flags |= FLAG_UPSTREAM_BROKE);
            self.reset_stream(id, "upstream_reset_after_response_started{protocol_error}");
        } else {
            self.local_reply(id, connection_terminated());
        }
    }

    /// The route's timeout: 504 while no response has begun, else the connection breaks.
    pub(super) fn route_timeout(&mut self, id: usize, attempt: u32) {
        let begun = host(|h| {
            let upstream = h.streams[id].upstream.as_ref().filter(|u| u.attempt == attempt)?;
            Some(upstream.response_begun)
        });
        match begun {
            Some(true) => self.reset_stream(id, "response_timeout"),
            Some(false) => self.local_reply(id, request_timeout()),
            None => {}
        }
    }
}

fn router_reply(status: u16, body: &str, details: &str) -> LocalReply {
    LocalReply { status, body: body.as_bytes().to_vec(), details: details.into(), ..LocalReply::default() }
}

pub fn direct_response(status: u16) -> LocalReply {
    router_reply(status, "", "direct_response")
}

pub fn no_healthy_upstream() -> LocalReply {
    router_reply(503, "no healthy upstream", "no_healthy_upstream")
}

pub fn cluster_not_found() -> LocalReply {
    router_reply(503, "", "cluster_not_found")
}

pub fn connection_terminated() -> LocalReply {
    router_reply(
        503,
        "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
        "upstream_reset_before_response_started{connection_termination}",
    )
}

pub fn connection_refused() -> LocalReply {
    router_reply(
        503,
        "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
        "upstream_reset_before_response_started{remote_connection_failure}",
    )
}

pub fn request_timeout() -> LocalReply {
    router_reply(504, "upstream request timeout", "response_timeout")
}
