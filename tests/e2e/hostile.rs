//! Requests and responses that no filter likes: with Larder, both sides see what they see without it, and no VM dies.

use larder::store::Seed;
use larder::store::set::WAYS;

use super::process::Setup;
use super::real_envoy::RealEnvoy;
use super::wire::field;
use crate::scenarios::attacks::{kept_of, paths_aimed_at_one_set};
use crate::stand::{OriginRequest, Reply, Request, Response, Stand};

/// Room for what Envoy's defaults would turn away before the filter sees it.
const ROOMY: [(&str, &str); 3] = [
    ("max_request_headers_kb: 60", "max_request_headers_kb: 96"),
    ("max_headers_count: 100, ", "max_headers_count: 2000, "),
    (
        "explicit_http_config: {",
        "common_http_protocol_options: { max_headers_count: 2000 }\n        explicit_http_config: {",
    ),
];

/// Not UTF-8 in any way: a lone continuation byte, an overlong form, a byte that never occurs, then Latin-1.
const BYTES: &[u8] = b"\x80\xc0\xaf\xff caf\xe9";

/// Status, fields, body, whether it was whole.
type ClientView = (u16, Vec<String>, String, bool);
/// Method and target, fields, body.
type OriginView = (String, Vec<String>, String);

/// One request on the wire.
struct Case {
    name: String,
    bytes: Vec<u8>,
}

#[test]
fn the_origin_sees_what_it_would_have_seen_without_larder() {
    let (mut with, mut without) = (envoy(false), envoy(true));
    let mut differences = Vec::new();
    for case in requests() {
        let [seen, should] = [&mut with, &mut without].map(|envoy| exchange(envoy, &case));
        if seen != should {
            differences.push(format!("{}: {seen:#?} instead of {should:#?}", case.name));
        }
    }
    check_same(&mut with, &differences);
}

#[test]
fn the_client_sees_what_it_would_have_seen_without_larder() {
    let (mut with, mut without) = (envoy(false), envoy(true));
    let mut differences = Vec::new();
    for (name, reply) in responses() {
        let path = format!("/{}", slug(&name));
        let [seen, should] = [&mut with, &mut without].map(|envoy| {
            envoy.origin(&path, vec![reply.clone()]);
            // Twice on one worker and once on the other: it may have been stored.
            [0, 0, 1].map(|worker| seen_by_client(envoy.send(worker, Request::get(&path))))
        });
        if seen != should {
            differences.push(format!("{name}: {seen:#?} instead of {should:#?}"));
        }
    }
    check_same(&mut with, &differences);
}

#[test]
fn an_upgraded_connection_is_left_alone() {
    let mut envoy = envoy(false);
    let reply = Reply::status(101).field("connection", "upgrade").field("upgrade", "websocket");
    envoy.origin("/socket", vec![reply.body("through the tunnel")]);
    let request = Request::get("/socket").field("connection", "upgrade").field("upgrade", "websocket");
    for worker in [0, 1] {
        let response = envoy.send(worker, request.clone());
        assert_eq!((response.status, response.text().as_str()), (101, "through the tunnel"));
    }
    assert_eq!(envoy.origin_count("/socket"), 2);
    envoy.check();
}

#[test]
fn an_ambiguous_request_cannot_poison_the_cache() {
    let mut envoy = envoy(false);
    let page = |body: &str| Reply::ok(body).field("cache-control", "max-age=600");
    let requests: [(&str, String, &str); 7] = [
        ("absolute", "GET http://evil.example/absolute".into(), "host: shop.example"),
        ("absolute-port", "GET http://shop.example:81/absolute-port".into(), "host: shop.example"),
        ("two-hosts", "GET /two-hosts".into(), "host: shop.example\r\nhost: evil.example"),
        ("user", "GET /user".into(), "host: evil@shop.example"),
        ("list", "GET /list".into(), "host: shop.example, evil.example"),
        ("no-host", "GET /no-host".into(), "host:"),
        ("backslash", "GET \\backslash".into(), "host: shop.example"),
    ];
    for (name, line, hosts) in requests {
        let path = format!("/{name}");
        envoy.origin(&path, vec![page("poisoned"), page("good")]);
        let bytes = format!("{line} HTTP/1.1\r\n{hosts}\r\n\r\n");
        let answer = envoy.send_raw(0, "GET", bytes.as_bytes());
        // Where Envoy turned it away, the first page is still to come.
        let expected = if envoy.origin_count(&path) == 0 { "poisoned" } else { "good" };
        for worker in [1, 0] {
            assert_eq!(envoy.send(worker, Request::get(&path)).text(), expected, "{name}: {answer:?}");
        }
    }
    envoy.check();
}

/// Needs an Envoy that has stored nothing yet.
#[test]
fn a_flood_of_urls_fills_the_store_and_no_more() {
    const MAX: u64 = 1 << 20;
    // What each of the two workers may have stored without the other knowing.
    const UNTOLD: u64 = 2 * (16 << 10);
    let mut envoy = RealEnvoy::start();
    envoy
        .configure(r#"{"store": {"bytes_max": "1MiB", "entries_max": 64, "worker_bytes_max": "1MiB"}}"#)
        .unwrap();
    let page = Reply::ok(vec![b'x'; 60_000]).field("cache-control", "max-age=600");
    envoy.origin("/flood", vec![page]);
    let mut most = 0;
    for n in 0..60 {
        assert!(envoy.send(n % 2, Request::get(&format!("/flood?{n}"))).complete);
        most = most.max(envoy.metric("stored_bytes"));
    }
    assert!((MAX / 4..=MAX + UNTOLD).contains(&most), "{most}");
    assert_eq!(envoy.send(1, Request::get("/flood?59")).body.len(), 60_000);
    envoy.check();
}

/// Without the secret of this Envoy nobody finds URLs that push each other out of the store.
#[test]
fn a_set_of_the_store_cannot_be_targeted() {
    let mut envoy = RealEnvoy::start();
    envoy.configure(r#"{"store": {"entries_max": 1024}}"#).unwrap();
    let paths = paths_aimed_at_one_set(Seed(0, 0), 1024 / WAYS as u64, 3 * WAYS);
    assert_eq!(kept_of(&mut envoy, &paths), paths.len());
    envoy.check();
}

#[test]
fn nothing_that_a_client_sends_is_logged() {
    let mut envoy = envoy(false);
    let secret = |what: &str| format!("s3cret-{what}");
    let page =
        Reply::ok(secret("body")).field("cache-control", "max-age=600").field("cache-tag", secret("tag"));
    envoy.origin(&format!("/{}", secret("path")), vec![page, Reply::status(503)]);
    for worker in [0, 0, 1] {
        let target = format!("/{}?{}", secret("path"), secret("query"));
        let request = Request::get(&target)
            .field("authorization", format!("Bearer {}", secret("token")))
            .field("cookie", secret("cookie"))
            .field("larder-debug", secret("debug"));
        envoy.send(worker, request.clone());
        envoy.send(worker, Request { method: "PURGE".into(), ..request.clone() });
        envoy.send(worker, Request { method: "POST".into(), ..request }.body(secret("content")));
        let token = format!("Bearer {}", secret("token"));
        let command = Request::new("POST", "/_larder/purge").field("authorization", token);
        envoy.send(worker, command.body(secret("command")));
    }
    let log = envoy.envoy().log();
    assert!(log.contains("larder 0.") && log.contains("is configured"), "Larder does log: {log}");
    // The access log is the operator's affair.
    let told: Vec<&str> =
        log.lines().filter(|line| line.contains("s3cret") && !line.contains("cache-status=")).collect();
    assert!(told.is_empty(), "{told:#?}");
    envoy.check();
}

fn envoy(without_filter: bool) -> RealEnvoy {
    let mut envoy =
        RealEnvoy::start_with(&Setup { without_filter, replaced: ROOMY.to_vec(), ..Setup::default() });
    if !without_filter {
        let token = format!(r#"{{"name": "nobody", "sha256": "{}"}}"#, "0".repeat(64));
        envoy
            .configure(&format!(
                r#"{{"admin": {{"path": "/_elsewhere/", "methods": true, "strangers": "pass", "tokens": [{token}]}}}}"#
            ))
            .unwrap();
    }
    envoy
}

/// What client and origin see of one exchange.
fn exchange(envoy: &mut RealEnvoy, case: &Case) -> (Result<ClientView, String>, Vec<OriginView>) {
    let method = case.bytes.split(|b| *b == b' ').next().unwrap();
    let before = envoy.origin_log().len();
    let response = envoy.send_raw(0, &String::from_utf8_lossy(method), &case.bytes);
    let asked = envoy.origin_log().split_off(before);
    (response.map(seen_by_client), asked.into_iter().map(seen_by_origin).collect())
}

/// Nothing differed, and both workers still serve.
fn check_same(envoy: &mut RealEnvoy, differences: &[String]) {
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    for worker in [0, 1] {
        assert_eq!(envoy.send(worker, Request::get("/alive")).status, 404);
    }
    envoy.check();
}

/// What the origin saw, but for what differs from one request to the next, for the conditions of clients (Larder asks for
/// the whole response, in order to store it, and looks at the conditions itself), and for the codings, of which it is
/// told in few forms.
fn seen_by_origin(request: OriginRequest) -> OriginView {
    let own = ["x-request-id", "if-none-match", "if-modified-since", "if-range", "accept-encoding"];
    (
        format!("{} {}", request.method, request.target),
        readable(&joined(&request.fields), &own),
        shortened(&request.body),
    )
}

/// Several lines of a field are one list, which Larder may have joined (RFC 9110 §5.3).
fn joined(fields: &[(String, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, line) in fields {
        match all.iter_mut().find(|(known, _)| known == name && name != "cookie") {
            Some((_, value)) => value.extend([b", ".as_slice(), line].concat()),
            None => all.push((name.clone(), line.clone())),
        }
    }
    all
}

/// What the client saw, but for what differs from one response to the next, what Larder says about itself, the tags,
/// which are for Larder alone, and the framing: the body is compared.
fn seen_by_client(response: Response) -> ClientView {
    let own = "date x-envoy-upstream-service-time cache-status age cache-tag surrogate-key xkey cache-groups \
        content-length transfer-encoding";
    let mut fields = readable(&response.fields, &own.split(' ').collect::<Vec<_>>());
    fields.sort(); // A cache keeps the order of lines of one name, not of all.
    (response.status, fields, shortened(&response.body), response.complete)
}

/// A long body by its length: what it is made of is one byte over and over.
fn shortened(body: &[u8]) -> String {
    if body.len() > 100 { format!("{} bytes", body.len()) } else { body.escape_ascii().to_string() }
}

fn readable(fields: &[(String, Vec<u8>)], without: &[&str]) -> Vec<String> {
    let kept = fields.iter().filter(|(name, _)| !without.contains(&name.as_str()));
    // Whether there is white space after the comma of a list makes no difference.
    kept.map(|(name, value)| format!("{name}: {}", value.escape_ascii()).replace(", ", ",")).collect()
}

fn requests() -> Vec<Case> {
    let mut cases = odd_fields();
    cases.extend(odd_targets());
    cases.extend(odd_hosts());
    cases.extend(odd_uses());
    cases
}

/// Bytes that are not UTF-8 in every field that a cache looks at, and more and longer fields than it will want to.
fn odd_fields() -> Vec<Case> {
    let names = "accept accept-encoding accept-language authorization cache-control connection content-encoding \
        content-type cookie expect if-match if-modified-since if-none-match if-range if-unmodified-since origin \
        pragma range referer surrogate-capability te user-agent via x-anything x-forwarded-for x-http-method-override";
    let mut cases: Vec<Case> = names
        .split_whitespace()
        .map(|name| case(&format!("bytes in {name}"), "GET", name, &[(name, BYTES)], b""))
        .collect();
    let values: [(&str, &[u8]); 14] = [
        ("cache-control", b"max-age=99999999999999999999999, min-fresh=-1, ,=,\"no-cache"),
        ("cache-control", b"no-store=\xff"),
        ("cookie", b""),
        ("range", b"bytes=-0,5-4,99999999999999999999-"),
        ("range", b"bytes=0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0"),
        ("if-none-match", b"W/\"\xff\", \"unterminated"),
        ("if-none-match", b"*, *"),
        ("if-modified-since", b"Thu, 31 Feb 1900 25:61:61 GMT"),
        ("if-range", b"\"\x80\""),
        ("accept-encoding", b"gzip;q=9.9999, \xff;q=,,;;,"),
        ("connection", b"cache-control, x-anything, \xff"),
        ("te", b"trailers"),
        ("x-tab", b"a\tb"),
        ("x-http-method-override", b"PURGE"),
    ];
    for (n, (name, value)) in values.into_iter().enumerate() {
        cases.push(case(&format!("odd {name} {n}"), "GET", &format!("odd-{n}"), &[(name, value)], b""));
    }
    let many: Vec<(String, Vec<u8>)> = (0..1000).map(|n| (format!("x-{n}"), b"v".to_vec())).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
    cases.push(case("1,000 fields", "GET", "many", &many, b""));
    cases.push(case("1,000 lines of one field", "GET", "lines", &[("cookie", b"a=b" as &[u8]); 1000], b""));
    cases.push(case("50 KB in one field", "GET", "long", &[("x-long", &[b'x'; 50_000])], b""));
    cases
}

fn odd_targets() -> Vec<Case> {
    let long = "x".repeat(60_000);
    let targets: [(&str, Vec<u8>); 14] = [
        ("60 KB of path", format!("/{long}").into_bytes()),
        ("60 KB of query", format!("/query?{long}").into_bytes()),
        ("10,000 parameters", format!("/parameters?{}", "a=b&".repeat(10_000)).into_bytes()),
        ("absolute form", b"http://shop.example/absolute?q".to_vec()),
        ("absolute form of another host", b"http://other.example:8080/absolute".to_vec()),
        ("absolute form without a path", b"http://shop.example".to_vec()),
        ("https in absolute form", b"https://shop.example/absolute".to_vec()),
        ("user information", b"http://user:secret@shop.example/absolute".to_vec()),
        ("bytes in the path", b"/caf\xe9".to_vec()),
        ("an escaped NUL", b"/a%00b".to_vec()),
        ("broken escapes", b"/a%zz%f".to_vec()),
        ("dot segments and slashes", b"/a/./b/..//c///d".to_vec()),
        ("no path", b"?query".to_vec()),
        ("an empty query", b"/empty?".to_vec()),
    ];
    targets.into_iter().map(|(name, target)| raw(name, "GET", &target, b"shop.example", &[], b"")).collect()
}

fn odd_hosts() -> Vec<Case> {
    let host =
        |name: &str, host: &[u8]| raw(name, "GET", format!("/{}", slug(name)).as_bytes(), host, &[], b"");
    let lines = |name: &str, lines: &str| Case {
        name: name.into(),
        bytes: format!("GET /{} HTTP/1.1\r\n{lines}\r\n", slug(name)).into_bytes(),
    };
    vec![
        host("empty host", b""),
        host("bytes in host", BYTES),
        host("host with user information", b"user@shop.example"),
        host("host with a port", b"SHOP.example:80"),
        host("host with a bad port", b"shop.example:99999"),
        host("host that is a list", b"shop.example, other.example"),
        host("host with a slash", b"shop.example/a"),
        host("IPv6 host", b"[::1]:8080"),
        host("8 KB of host", &[b'h'; 8192]),
        lines("no host", ""),
        lines("two hosts", "host: shop.example\r\nhost: other.example\r\n"),
        lines("the same host twice", "host: shop.example\r\nhost: shop.example\r\n"),
        lines("two hosts and one empty", "host: shop.example\r\nhost: \r\n"),
    ]
}

/// Methods, bodies and uses of the connection that are not a cache's.
fn odd_uses() -> Vec<Case> {
    let grpc: &[(&str, &[u8])] = &[("content-type", b"application/grpc+proto"), ("te", b"trailers")];
    let upgrade: &[(&str, &[u8])] = &[("connection", b"Upgrade"), ("upgrade", b"websocket")];
    let h2c: &[(&str, &[u8])] =
        &[("connection", b"Upgrade, HTTP2-Settings"), ("upgrade", b"h2c"), ("http2-settings", b"AAMAAABk")];
    let chunked: &[(&str, &[u8])] = &[("transfer-encoding", b"chunked")];
    let mut cases = vec![
        case("body on GET", "GET", "body", &[("content-length", b"5")], b"hello"),
        case("chunked body on GET", "GET", "chunks", chunked, b"5\r\nhello\r\n0\r\n\r\n"),
        case("trailers of a request", "POST", "trailers", chunked, b"5\r\nhello\r\n0\r\nx-sum: \xff\r\n\r\n"),
        case("empty chunked body on GET", "GET", "no-chunks", chunked, b"0\r\n\r\n"),
        case("body on HEAD", "HEAD", "head-body", &[("content-length", b"5")], b"hello"),
        case("100 KB posted", "POST", "large", &[("content-length", b"100000")], &[b'x'; 100_000]),
        case(
            "expectation",
            "POST",
            "expect",
            &[("expect", b"100-continue"), ("content-length", b"2")],
            b"ok",
        ),
        case("upgrade", "GET", "upgrade", upgrade, b""),
        case("upgrade to h2c", "GET", "h2c", h2c, b""),
        case("gRPC", "POST", "grpc", &[grpc, &[("content-length", b"5")]].concat(), b"\0\0\0\0\0"),
        case("gRPC on GET", "GET", "grpc-get", grpc, b""),
        case("two lengths", "POST", "lengths", &[("content-length", b"1"), ("content-length", b"2")], b"ab"),
        case("both framings", "POST", "both", &[("content-length", b"9"), chunked[0]], b"0\r\n\r\n"),
        raw("OPTIONS *", "OPTIONS", b"*", b"shop.example", &[], b""),
        raw("CONNECT", "CONNECT", b"shop.example:443", b"shop.example:443", &[], b""),
        Case { name: "HTTP/1.0".into(), bytes: b"GET /old HTTP/1.0\r\nhost: shop.example\r\n\r\n".to_vec() },
        Case {
            name: "no request at all".into(),
            bytes: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
        },
    ];
    for method in ["OPTIONS", "TRACE", "DELETE", "PURGE", "BAN", "REFRESH", "QUERY", "PROPFIND", "get", "X"] {
        cases.push(case(method, method, &format!("method-{method}"), &[], b""));
    }
    for path in ["_larder", "_larder/", "_larder/purge", "_larder/stats?x"] {
        cases.push(case(
            &format!("/{path} without credentials"),
            "POST",
            path,
            &[("content-length", b"2")],
            b"{}",
        ));
        cases.push(case(
            &format!("/{path} with bytes"),
            "GET",
            path,
            &[("authorization", b"Bearer \xff")],
            b"",
        ));
    }
    cases
}

fn responses() -> Vec<(String, Reply)> {
    let fresh = |name: &str, reply: Reply| (name.to_string(), reply.field("cache-control", "max-age=60"));
    let page = || Reply::ok("a page");
    let mut all: Vec<_> =
        "cache-control age expires date vary etag last-modified cache-tag surrogate-key xkey \
        cache-groups content-type content-encoding content-language set-cookie cdn-cache-control \
        surrogate-control cache-status x-anything"
            .split_whitespace()
            .map(|name| fresh(&format!("bytes in {name}"), page().field(name, BYTES)))
            .collect();
    let many = (0..900).fold(page(), |reply, n| reply.field(&format!("x-{n}"), "v"));
    all.push(fresh("many fields", many));
    all.push(fresh("long field", page().field("x-long", [b'x'; 30_000])));
    all.push(fresh("many tags", page().field("cache-tag", "tag,".repeat(5_000))));
    all.push(fresh("much variance", page().field("vary", "a,".repeat(2_000))));
    all.push(fresh("empty", Reply::ok("")));
    all.push(fresh("no content", Reply::status(204)));
    all.push(fresh("unknown status", Reply::status(299).body("what")));
    all.push(fresh("last status", Reply::status(599).body("what")));
    all.push(fresh("large", Reply::ok(vec![b'x'; 3 << 20])));
    all.push(fresh(
        "odd directives",
        page().field("cache-control", b"max-age=\"\xff, s-maxage=1e9,,=;private=\""),
    ));
    all.push(fresh(
        "trailers",
        page().ending(crate::stand::Ending::Trailers(vec![("x-sum".into(), BYTES.to_vec())])),
    ));
    all
}

/// A request for a path of its own on `shop.example`.
fn case(name: &str, method: &str, path: &str, fields: &[(&str, &[u8])], body: &[u8]) -> Case {
    raw(name, method, format!("/{path}").as_bytes(), b"shop.example", fields, body)
}

fn raw(name: &str, method: &str, target: &[u8], host: &[u8], fields: &[(&str, &[u8])], body: &[u8]) -> Case {
    let mut bytes = [method.as_bytes(), b" ", target, b" HTTP/1.1\r\n"].concat();
    field(&mut bytes, "host", host);
    for (name, value) in fields {
        field(&mut bytes, name, value);
    }
    Case { name: name.into(), bytes: [&bytes, b"\r\n" as &[u8], body].concat() }
}

fn slug(name: &str) -> String {
    name.replace(' ', "-")
}
