//! What Envoy's HTTP connection manager, codecs and router do to header sections around the filter.

use std::{
    collections::BTreeMap,
    time::{Duration, UNIX_EPOCH},
};

use super::{headers::HeaderMap, stream::Stream};
use crate::stand::{OriginRequest, Response};

/// The route that every request takes, but those with the field of the canary.
#[derive(Clone, Debug)]
pub struct Route {
    pub name: String,
    /// A serialised `envoy.config.core.v3.Metadata`.
    pub metadata: Vec<u8>,
    pub cluster: String,
    /// The status of a route that answers by itself, and asks no cluster.
    pub direct_response: Option<u16>,
    pub host_rewrite: Option<String>,
    /// A prefix and what takes its place.
    pub prefix_rewrite: Option<(String, String)>,
    pub request_headers_to_add: Vec<(String, String)>,
    /// Added to responses of the origin and to local replies, both before the filter sees them.
    pub response_headers_to_add: Vec<(String, String)>,
    /// Added to the same by a filter behind ours, at the end.
    pub response_headers_appended: Vec<(String, String)>,
    pub timeout: Duration,
    /// Clusters that exist and how they are.
    pub clusters: BTreeMap<String, Cluster>,
    /// Largest header section of a request and most fields in it; beyond is 431.
    pub request_headers_bytes_max: usize,
    pub request_headers_max: usize,
    /// Protocols that a connection may be upgraded to (`upgrade_configs`).
    pub upgrades: Vec<String>,
    /// A request field, and the name of the route to the cluster `blue` that requests with it take.
    pub canary: Option<(String, String)>,
}

/// How a cluster is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cluster {
    /// Its requests reach the scripted origin.
    Up,
    /// An internal listener with the same route behind it.
    RouteLoop,
    NoHosts,
    ConnectionRefused,
}

/// A response that Envoy makes itself.
#[derive(Clone, Debug, Default)]
pub struct LocalReply {
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub details: String,
    pub flags: u64,
}

impl Default for Route {
    fn default() -> Self {
        Route {
            name: "default".into(),
            metadata: Vec::new(),
            cluster: "origin".into(),
            direct_response: None,
            host_rewrite: None,
            prefix_rewrite: None,
            request_headers_to_add: Vec::new(),
            response_headers_to_add: Vec::new(),
            response_headers_appended: Vec::new(),
            timeout: Duration::ZERO,
            clusters: [("origin", Cluster::Up), ("blue", Cluster::Up), ("route_loop", Cluster::RouteLoop)]
                .map(|(name, cluster)| (name.to_owned(), cluster))
                .into(),
            request_headers_bytes_max: 60 * 1024,
            request_headers_max: 100,
            upgrades: vec!["websocket".into()],
            canary: None,
        }
    }
}

impl Route {
    /// The route that a request takes which has the fields that this says.
    pub fn taken_by(&self, has: impl FnOnce(&str) -> bool) -> Route {
        match &self.canary {
            Some((field, name)) if has(field) => Route {
                name: name.clone(),
                cluster: "blue".into(),
                host_rewrite: Some("blue.internal".into()),
                request_headers_to_add: Vec::new(),
                direct_response: None,
                ..self.clone()
            },
            _ => self.clone(),
        }
    }

    /// What the router does to the request headers before it sends them.
    pub fn rewrite(&self, headers: &mut HeaderMap) {
        let path = headers.text(":path");
        if let Some((prefix, with)) = &self.prefix_rewrite
            && let Some(rest) = path.strip_prefix(prefix.as_str())
        {
            headers.set("x-envoy-original-path", &path);
            headers.set(":path", format!("{with}{rest}"));
        }
        if let Some(host) = &self.host_rewrite {
            headers.set("x-envoy-original-host", headers.text(":authority"));
            headers.set(":authority", host);
        }
        for (name, value) in &self.request_headers_to_add {
            headers.add(name, value);
        }
        if !self.timeout.is_zero() {
            headers.set("x-envoy-expected-rq-timeout-ms", self.timeout.as_millis().to_string());
        }
    }

    fn add_response_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.response_headers_to_add {
            headers.add(name, value);
        }
    }

    fn append_response_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.response_headers_appended {
            headers.add(name, value);
        }
    }
}

/// A request as the origin sees it.
pub fn request_out(headers: &HeaderMap, body: Vec<u8>) -> OriginRequest {
    let mut fields = vec![("host".to_owned(), headers.get(":authority").unwrap_or_default().to_vec())];
    fields.extend(headers.0.iter().filter(|(n, _)| !n.starts_with(':')).cloned());
    if !body.is_empty() && !headers.contains("content-length") && !headers.contains("transfer-encoding") {
        fields.push(("transfer-encoding".into(), b"chunked".to_vec()));
    }
    let method = headers.text(":method");
    let may_lack_length = matches!(method.as_str(), "GET" | "HEAD" | "DELETE" | "TRACE" | "CONNECT");
    if body.is_empty() && !may_lack_length && !headers.contains("content-length") {
        fields.push(("content-length".into(), b"0".to_vec()));
    }
    OriginRequest { method, target: headers.text(":path"), fields, body }
}

/// What `jwt_authn` makes of a request: whose token it was is left in dynamic metadata, and the token is gone
/// (`payload_in_metadata`, `forward: false`).
pub fn authenticate(stream: &mut Stream) {
    let bytes = |number: u8, value: &[u8]| [&[number << 3 | 2, value.len() as u8], value].concat();
    let entry = |name: &str, value: &[u8]| bytes(1, &[bytes(1, name.as_bytes()), bytes(2, value)].concat());
    if let Some(whose) = stream.request.headers.get("authorization") {
        let payload = entry("sub", &bytes(3, whose));
        stream.metadata = entry("envoy.filters.http.jwt_authn", &payload);
        stream.request.headers.remove("authorization");
    }
}

/// What `header_to_metadata` makes of a request: the endpoints that it may go to are those whose `version` this field has.
pub fn choose_endpoints(stream: &mut Stream, field: &str) {
    let bytes = |number: u8, value: &[u8]| [&[number << 3 | 2, value.len() as u8], value].concat();
    let entry = |name: &str, value: &[u8]| bytes(1, &[bytes(1, name.as_bytes()), bytes(2, value)].concat());
    if let Some(version) = stream.request.headers.get(field) {
        stream.metadata.extend(entry("envoy.lb", &entry("version", &bytes(3, version))));
    }
}

/// The origin's header section as the filter gets it.
pub fn response_in(status: u16, fields: &[(String, Vec<u8>)], served_ms: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.add(":status", status.to_string());
    for (name, value) in fields {
        headers.add(name, value.trim_ascii());
    }
    headers.remove("keep-alive");
    headers.set("x-envoy-upstream-service-time", served_ms.to_string());
    headers
}

/// The same on Envoy's own path, where the router adds the route's fields.
pub fn routed_response_in(mut headers: HeaderMap, route: &Route) -> HeaderMap {
    route.add_response_headers(&mut headers);
    route.append_response_headers(&mut headers);
    headers
}

/// What a local reply looks like when it enters the filters: its header section and body.
pub fn local_reply(reply: &LocalReply, request: &HeaderMap, route: &Route) -> (HeaderMap, Vec<u8>) {
    if request.text("content-type").starts_with("application/grpc") {
        return (grpc_reply(reply), Vec::new());
    }
    let mut headers = HeaderMap::new();
    headers.add(":status", reply.status.to_string());
    // Before there is anything that they could replace, whatever their `append_action`.
    route.add_response_headers(&mut headers);
    for (name, value) in &reply.headers {
        headers.add(name, value);
    }
    if reply.body.is_empty() {
        headers.remove("content-length");
        headers.remove("content-type");
    } else {
        headers.set("content-length", reply.body.len().to_string());
        if !headers.contains("content-type") {
            headers.set("content-type", "text/plain");
        }
    }
    // Local replies run through all filters, those behind the one that replies as well.
    route.append_response_headers(&mut headers);
    (headers, reply.body.clone())
}

/// A gRPC client gets trailers only.
fn grpc_reply(reply: &LocalReply) -> HeaderMap {
    let code = match reply.status {
        200 => 0,
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    };
    let mut headers = HeaderMap::new();
    headers.add(":status", "200");
    headers.add("content-type", "application/grpc");
    headers.add("grpc-status", code.to_string());
    if !reply.body.is_empty() {
        headers.add("grpc-message", &reply.body);
    }
    headers
}

/// The last touch before a response goes to the client: Envoy's own fields and the framing.
pub fn response_out(headers: &mut HeaderMap, request: &HeaderMap, wall_ns: u64, end: bool, close: bool) {
    let status = headers.text(":status");
    for name in ["transfer-encoding", "connection", "keep-alive", "proxy-connection"] {
        if status != "101" || name != "connection" {
            headers.remove(name);
        }
    }
    if !headers.contains("date") {
        let now = UNIX_EPOCH + Duration::from_nanos(wall_ns);
        headers.set("date", httpdate::fmt_http_date(now));
    }
    headers.set("server", "envoy");
    let bodiless = status.starts_with('1') || status == "204" || status == "304";
    if status.starts_with('1') || status == "204" {
        headers.remove("content-length");
    } else if !bodiless && !headers.contains("content-length") {
        if end && request.text(":method") != "HEAD" {
            headers.set("content-length", "0");
        } else {
            headers.set("transfer-encoding", "chunked");
        }
    }
    if close {
        headers.set("connection", "close");
    }
}

/// The header section as the client reads it.
pub fn client_response(headers: &HeaderMap) -> Response {
    Response {
        status: headers.text(":status").parse().unwrap_or(0),
        fields: headers.0.iter().filter(|(n, _)| !n.starts_with(':')).cloned().collect(),
        interim: Vec::new(),
        body: Vec::new(),
        trailers: Vec::new(),
        complete: false,
    }
}
