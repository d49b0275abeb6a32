//! A client's request on its way to the filters: refusals, the normal form of its target, hop-by-hop fields, and
//! what the connection manager adds.

use super::{
    hcm::{LocalReply, Route},
    headers::HeaderMap,
};
use crate::stand::Request;

/// Where all clients are.
const CLIENT: &str = "127.0.0.1";

/// Fields that mean something to Envoy and that an external client cannot set.
const INTERNAL: &[&str] = &[
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-is-timeout-retry",
    "x-envoy-max-retries",
    "x-envoy-original-path",
    "x-envoy-original-host",
    "x-envoy-original-url",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-stream-duration-ms",
];

/// A request that the filters get to see.
pub struct Inbound {
    pub headers: HeaderMap,
    /// The client wants the connection closed.
    pub close: bool,
    /// The connection turns into something else when the origin agrees.
    pub upgrade: bool,
}

/// A refusal before any filter.
pub struct Refusal {
    pub reply: LocalReply,
    /// Whether it closes the connection.
    pub close: bool,
}

/// What the connection manager makes of a request.
pub fn request_in(request: &Request, route: &Route, id: u64) -> Result<Inbound, Refusal> {
    let mut headers = codec(request, route)?;
    if request.method == "QUERY" && !headers.contains("content-type") {
        return Err(refuse(400, "", "query_missing_content_type", true));
    }
    let wanted = headers.members("connection");
    let close = wanted.contains(&"close".to_owned());
    let mut upgrade = None;
    if wanted.contains(&"upgrade".to_owned())
        && let Some(protocol) = headers.get("upgrade").filter(|p| !p.eq_ignore_ascii_case(b"h2c"))
    {
        let protocol = String::from_utf8_lossy(protocol).into_owned();
        if !route.upgrades.contains(&protocol) {
            return Err(refuse(403, "", "upgrade_failed", true));
        }
        upgrade = Some((headers.text("connection"), protocol));
    }
    normalize(&mut headers)?;
    remove_hop_by_hop(&mut headers);
    if let Some((connection, protocol)) = &upgrade {
        headers.add("connection", connection);
        headers.add("upgrade", protocol);
    }
    headers.retain(|name| !INTERNAL.contains(&name));
    // `forward_client_cert_details: SANITIZE`, the default.
    headers.remove("x-forwarded-client-cert");
    headers.add("x-forwarded-for", CLIENT);
    headers.set("x-forwarded-proto", "http");
    headers.set("x-envoy-external-address", CLIENT);
    headers.set("x-request-id", format!("00000000-0000-4000-8000-{:012x}", id & 0xffff_ffff_ffff));
    Ok(Inbound { headers, close, upgrade: upgrade.is_some() })
}

/// What the HTTP/1 codec reads from the wire.
fn codec(request: &Request, route: &Route) -> Result<HeaderMap, Refusal> {
    let (authority, path) = target(request)?;
    let mut headers = HeaderMap::new();
    headers.add(":authority", authority);
    headers.add(":path", path);
    headers.add(":method", &request.method);
    headers.add(":scheme", "http");
    for (name, value) in &request.fields {
        let name = name.to_ascii_lowercase();
        headers.add(if name == "host" { ":authority" } else { &name }, value.trim_ascii());
    }
    // What clients of the real stand do, too.
    let expects_body = matches!(request.method.as_str(), "POST" | "PUT" | "PATCH");
    if !request.trailers.is_empty() {
        headers.set("transfer-encoding", "chunked");
    } else if (expects_body || !request.body.is_empty())
        && !headers.contains("content-length")
        && !headers.contains("transfer-encoding")
    {
        headers.set("content-length", request.body.len().to_string());
    }
    let bytes: usize = headers.iter().map(|(n, v)| n.len() + v.len()).sum();
    if bytes > route.request_headers_bytes_max || request.fields.len() + 1 > route.request_headers_max {
        return Err(refuse(431, "Request Header Fields Too Large", "http1.headers_too_large", true));
    }
    let authority = headers.get(":authority").unwrap_or_default();
    let odd = |b: &u8| !(b.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:@[]".contains(b));
    if authority.iter().any(odd) {
        return Err(refuse(400, "Bad Request", "http1.invalid_host", true));
    }
    Ok(headers)
}

/// The authority and path of a target, in whichever form it came.
fn target(request: &Request) -> Result<(String, String), Refusal> {
    let target = request.target.as_str();
    if target.starts_with('/') || (target == "*" && request.method == "OPTIONS") {
        return Ok((request.host.clone(), target.to_owned()));
    }
    match target.split_once("://") {
        Some(("http", rest)) => {
            let at = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(at);
            let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
            Ok((authority.to_owned(), path))
        }
        Some(("https", _)) => Err(refuse(403, "Forbidden", "scheme_mismatch", true)),
        _ if request.method == "CONNECT" => Err(refuse(404, "", "route_not_found", false)),
        _ => Err(refuse(400, "Bad Request", "http1.codec_error", true)),
    }
}

/// One spelling per path (`normalize_path`, `merge_slashes`), or a redirect to it (`UNESCAPE_AND_REDIRECT`).
fn normalize(headers: &mut HeaderMap) -> Result<(), Refusal> {
    let whole = headers.text(":path");
    if !whole.starts_with('/') {
        return Ok(());
    }
    if whole.contains('#') || whole.contains("%00") {
        return Err(refuse(400, "", "path_normalization_failed", true));
    }
    let (path, query) = whole.split_at(whole.find('?').unwrap_or(whole.len()));
    let redirected = ["%2f", "%5c"].iter().any(|escape| path.to_ascii_lowercase().contains(escape));
    let normal = format!("{}{query}", normal_path(path));
    if redirected {
        let mut refusal = refuse(307, "", "path_normalization_failed", false);
        refusal.reply.headers.push(("location".into(), normal.into_bytes()));
        return Err(refusal);
    }
    headers.set(":path", normal);
    Ok(())
}

/// The one spelling that Envoy sends on.
pub fn normal_path(path: &str) -> String {
    canonical(&unescape(path))
}

/// Unreserved characters, slashes and backslashes without their escapes, and escapes for what needs them.
fn unescape(path: &str) -> String {
    let mut plain = String::new();
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        plain.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok()).map(char::from);
        match code.filter(|c| c.is_ascii_alphanumeric() || "-._~/\\".contains(*c)) {
            Some(c) => {
                plain.push(c);
                rest = &rest[at + 3..];
            }
            None => {
                plain.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    plain.push_str(rest);
    let escaped = plain.chars().map(|c| match c {
        '"' | '<' | '>' | '^' | '`' | '{' | '|' | '}' => format!("%{:02X}", c as u32),
        c if c.is_ascii() => c.to_string(),
        c => c.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect(),
    });
    escaped.collect()
}

/// Without dot segments, backslashes and doubled slashes.
fn canonical(path: &str) -> String {
    let path = path.replace('\\', "/");
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (n, segment) in segments.iter().enumerate() {
        if *segment == ".." {
            kept.pop();
        }
        match *segment {
            "." | ".." if n + 1 == segments.len() => kept.push(""),
            "." | ".." => {}
            segment => kept.push(segment),
        }
    }
    let path = format!("/{}", kept.join("/"));
    if !path.contains("//") {
        return path;
    }
    kept.retain(|segment| !segment.is_empty());
    // Two slashes alone stay two: Envoy keeps one at each end.
    format!("/{}{}", kept.join("/"), if path.ends_with('/') { "/" } else { "" })
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

fn refuse(status: u16, body: &str, details: &str, close: bool) -> Refusal {
    let reply = LocalReply {
        status,
        body: body.as_bytes().to_vec(),
        details: details.into(),
        ..LocalReply::default()
    };
    Refusal { reply, close }
}
