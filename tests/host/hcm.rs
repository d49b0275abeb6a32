//! What Envoy's HTTP connection manager, codecs and router do to header sections around the filter.

use std::{
    collections::BTreeMap,
    time::{Duration, UNIX_EPOCH},
};

use super::headers::HeaderMap;
use crate::stand::{OriginRequest, Request, Response};

/// The one route that every request takes.
#[derive(Clone, Debug)]
pub struct Route {
    pub name: String,
    pub cluster: String,
    pub host_rewrite: Option<String>,
    /// A prefix and what takes its place.
    pub prefix_rewrite: Option<(String, String)>,
    pub request_headers_to_add: Vec<(String, String)>,
    /// Added to responses of the origin and to local replies, both before the filter sees them.
    pub response_headers_to_add: Vec<(String, String)>,
    pub timeout: Duration,
    /// Clusters that exist and how they are.
    pub clusters: BTreeMap<String, Cluster>,
    /// Largest header section of a request and most fields in it; beyond is 431.
    pub request_headers_bytes_max: usize,
    pub request_headers_max: usize,
}

/// How a cluster is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cluster {
    /// Its requests reach the scripted origin.
    Up,
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
            cluster: "origin".into(),
            host_rewrite: None,
            prefix_rewrite: None,
            request_headers_to_add: Vec::new(),
            response_headers_to_add: Vec::new(),
            timeout: Duration::from_secs(15),
            clusters: [("origin".to_owned(), Cluster::Up)].into(),
            request_headers_bytes_max: 60 * 1024,
            request_headers_max: 100,
        }
    }
}

impl Route {
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
}

/// A client's request as the filter gets it, or the status and details of a refusal before any filter.
pub fn request_in(request: &Request, route: &Route, id: u64) -> Result<HeaderMap, (u16, &'static str)> {
    let (authority, path) = target(request)?;
    let mut headers = HeaderMap::new();
    headers.add(":authority", authority);
    headers.add(":path", path);
    headers.add(":method", &request.method);
    headers.add(":scheme", "http");
    for (name, value) in &request.fields {
        let name = name.to_ascii_lowercase();
        headers.add(if name == "host" { ":authority" } else { &name }, trim(value));
    }
    let expects_body = matches!(request.method.as_str(), "POST" | "PUT" | "PATCH");
    if !request.trailers.is_empty() {
        headers.set("transfer-encoding", "chunked");
    } else if (expects_body || !request.body.is_empty()) && !headers.contains("transfer-encoding") {
        headers.set("content-length", request.body.len().to_string());
    }
    let bytes: usize = headers.iter().map(|(n, v)| n.len() + v.len()).sum();
    if bytes > route.request_headers_bytes_max || headers.len() > route.request_headers_max + 4 {
        return Err((431, "http1.headers_too_large"));
    }
    let upgrade = headers.members("connection").contains(&"upgrade".to_owned());
    if upgrade && headers.contains("upgrade") && headers.text("upgrade") != "h2c" {
        return Err((403, "upgrade_failed"));
    }
    remove_hop_by_hop(&mut headers);
    headers.retain(|name| !name.starts_with("x-envoy-"));
    if !headers.contains("x-forwarded-proto") {
        headers.add("x-forwarded-proto", "http");
    }
    if !headers.contains("x-request-id") {
        headers.add("x-request-id", format!("00000000-0000-4000-8000-{:012x}", id & 0xffff_ffff_ffff));
    }
    Ok(headers)
}

fn target(request: &Request) -> Result<(String, String), (u16, &'static str)> {
    let target = request.target.split('#').next().unwrap_or_default();
    if target.starts_with('/') || (target == "*" && request.method == "OPTIONS") {
        return Ok((request.host.clone(), target.to_owned()));
    }
    let rest = target.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"));
    match rest {
        Some((_, rest)) => {
            let at = rest.find(['/', '?']).unwrap_or(rest.len());
            let path = &rest[at..];
            let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
            Ok((rest[..at].to_owned(), path))
        }
        None if request.method == "CONNECT" => Err((404, "route_not_found")),
        None => Err((400, "http1.codec_error")),
    }
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let nominated = headers.members("connection");
    let te = headers.members("te").contains(&"trailers".to_owned());
    headers.retain(|name| {
        !matches!(
            name,
            "connection" | "keep-alive" | "proxy-connection" | "upgrade" | "te" | "http2-settings"
        ) && !nominated.iter().any(|n| n == name)
    });
    if te {
        headers.add("te", "trailers");
    }
}

fn trim(value: &[u8]) -> &[u8] {
    value.trim_ascii()
}

/// A request as the origin sees it.
pub fn request_out(headers: &HeaderMap, body: Vec<u8>) -> OriginRequest {
    let mut fields = vec![("host".to_owned(), headers.get(":authority").unwrap_or_default().to_vec())];
    fields.extend(headers.0.iter().filter(|(n, _)| !n.starts_with(':')).cloned());
    if !body.is_empty() && !headers.contains("content-length") && !headers.contains("transfer-encoding") {
        fields.push(("transfer-encoding".into(), b"chunked".to_vec()));
    }
    OriginRequest { method: headers.text(":method"), target: headers.text(":path"), fields, body }
}

/// The origin's header section as the filter gets it.
pub fn response_in(status: u16, fields: &[(String, Vec<u8>)], served_ms: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.add(":status", status.to_string());
    for (name, value) in fields {
        headers.add(name, trim(value));
    }
    headers.remove("keep-alive");
    headers.set("x-envoy-upstream-service-time", served_ms.to_string());
    headers
}

/// The same on Envoy's own path, where the router adds the route's fields.
pub fn routed_response_in(mut headers: HeaderMap, route: &Route) -> HeaderMap {
    route.add_response_headers(&mut headers);
    headers
}

/// What a local reply looks like when it enters the filters: its header section and body.
pub fn local_reply(reply: &LocalReply, request: &HeaderMap, route: &Route) -> (HeaderMap, Vec<u8>) {
    if request.text("content-type").starts_with("application/grpc") {
        return (grpc_reply(reply), Vec::new());
    }
    let mut headers = HeaderMap::new();
    headers.add(":status", reply.status.to_string());
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
    route.add_response_headers(&mut headers);
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
    for name in ["transfer-encoding", "connection", "keep-alive", "proxy-connection"] {
        headers.remove(name);
    }
    if !headers.contains("date") {
        let now = UNIX_EPOCH + Duration::from_nanos(wall_ns);
        headers.set("date", httpdate::fmt_http_date(now));
    }
    headers.set("server", "envoy");
    let status = headers.text(":status");
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
        body: Vec::new(),
        complete: false,
    }
}
