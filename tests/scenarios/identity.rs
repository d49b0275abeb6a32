//! Who asks: credentials by whatever name, cookies, and the pages of other origins. Nobody is given what is another's.

use std::time::Duration;

use super::telling::{
    admin, await_origin, command, date, expect_hit, expect_miss, get, page, pages, purge_url, stale_page,
    with_admin,
};
use crate::stand::{Reply, Request, Response, Stand};

/// What filters, proxies and applications say in, beside `Authorization`.
const CREDENTIALS: [(&str, &str); 12] = [
    ("x-forwarded-tls-client-cert", "MII"),
    ("x-api-key", "key-of-"),
    ("x-jwt-payload", "eyJzdWIiOi"),
    ("x-forwarded-email", "at.example-"),
    ("x-auth-request-user", ""),
    ("x-jwt-claim-sub", ""),
    ("x-amzn-oidc-identity", ""),
    ("x-goog-authenticated-user-email", "accounts.google.com:"),
    ("cf-access-jwt-assertion", ""),
    ("remote-user", ""),
    ("proxy-authorization", "Basic "),
    // No list knows this one.
    ("x-acme", "Bearer "),
];

fn ask(path: &str, field: (&str, &str)) -> Request {
    Request::get(path).field(field.0, field.1)
}

/// A page for each who asks, in the order in which they do.
fn for_each(control: &str, more: &[(&str, &str)]) -> Vec<Reply> {
    let reply = |body: &&str| {
        let reply = Reply::ok(body).field("cache-control", control);
        more.iter().fold(reply, |reply, (name, value)| reply.field(name, value))
    };
    ["for alice", "for bob", "third", "fourth", "fifth"].iter().map(reply).collect()
}

pub fn identity_fields_prevent_sharing(stand: &mut dyn Stand) {
    for (name, start) in CREDENTIALS {
        let path = format!("/identity/{name}");
        let of = |who: &str| ask(&path, (name, &format!("{start}{who}")));
        stand.origin(&path, for_each("max-age=600", &[]));
        let alice = stand.send(0, of("alice"));
        assert_eq!(alice.field("cache-status"), "larder; fwd=uri-miss; detail=authorization", "{name}");
        for (worker, body) in [(0, "for bob"), (1, "third")] {
            let bob = stand.send(worker, of("bob"));
            assert_eq!((bob.is_hit(), bob.text().as_str()), (false, body), "{name}");
        }
        expect_miss(stand, 0, &path, "fourth");
        expect_hit(stand, 1, &path, "fourth");
        assert_eq!(stand.origin_count(&path), 4, "{name}");
        // What was asked for without any is for all, those with some included (RFC 9111 §3.5).
        let path = format!("/identity/open-{name}");
        stand.origin(&path, pages(&["open", "wrong"]));
        get(stand, 0, &path);
        let hit = stand.send(1, ask(&path, (name, &format!("{start}alice"))));
        assert_eq!((hit.is_hit(), hit.text().as_str()), (true, "open"), "{name}");
    }
}

pub fn the_origin_may_allow_sharing_responses_to_credentials(stand: &mut dyn Stand) {
    for (n, control) in
        ["public, max-age=600", "s-maxage=600", "max-age=600, must-revalidate"].iter().enumerate()
    {
        let path = format!("/identity/shared-{n}");
        stand.origin(&path, for_each(control, &[]));
        stand.send(0, ask(&path, ("x-forwarded-user", "alice")));
        let bob = stand.send(1, ask(&path, ("x-forwarded-user", "bob")));
        assert_eq!((bob.is_hit(), bob.text().as_str()), (true, "for alice"), "{control}");
    }
}

pub fn each_sender_has_answers_of_its_own_where_credentials_are_part_of_the_key(stand: &mut dyn Stand) {
    for (n, (name, config)) in [
        ("x-jwt-payload", r#"{"credentials": {"fields": {"x-jwt-payload": "key"}}}"#),
        ("x-acme-user", r#"{"credentials": {"fields": {"x-acme-*": "key"}}}"#),
        ("authorization", r#"{"credentials": {"fields": {"authorization": "key"}}}"#),
        ("authorization", r#"{"key": {"headers": ["authorization"]}}"#),
        ("x-api-key", r#"{"key": {"headers": ["x-api-key"]}}"#),
        ("x-api-key", r#"{"key": {"unkeyed": {"x-api-key": "key"}}}"#),
        ("x-user", r#"{"rules": [{"match": {"path": "/identity/**"}, "credentials": {"fields": {"x-user": "key"}}}]}"#),
    ]
    .into_iter()
    .enumerate()
    {
        stand.configure(config).unwrap();
        let path = format!("/identity/keyed-{n}");
        let of = |who: &str| ask(&path, (name, &format!("Basic {who}")));
        stand.origin(&path, for_each("max-age=600", &[]));
        assert_eq!(stand.send(0, of("alice")).field("cache-status"), "larder; fwd=uri-miss; stored", "{config}");
        assert_eq!(stand.send(0, of("bob")).text(), "for bob", "{config}");
        for worker in [0, 1] {
            for (who, body) in [("alice", "for alice"), ("bob", "for bob")] {
                let hit = stand.send(worker, of(who));
                assert_eq!((hit.is_hit(), hit.text().as_str()), (true, body), "{config}");
            }
        }
        expect_miss(stand, 1, &path, "third");
        // Another credential that is not part of the key is one all the same.
        let both = stand.send(0, of("alice").field("x-forwarded-groups", "admins"));
        assert_eq!(both.text(), "for alice", "what was stored for alice answers her");
        let new = format!("/identity/keyed-{n}-both");
        stand.origin(&new, for_each("max-age=600", &[]));
        let both = ask(&new, (name, "Basic alice")).field("x-forwarded-groups", "admins");
        assert_eq!(stand.send(0, both).field("cache-status"), "larder; fwd=uri-miss; detail=authorization", "{config}");
        // What is private is nothing for a shared cache, whatever its keys.
        let private = format!("/identity/keyed-{n}-private");
        stand.origin(&private, for_each("private, max-age=600", &[]));
        for body in ["for alice", "for bob"] {
            let response = stand.send(0, ask(&private, (name, "Basic alice")));
            assert_eq!((response.is_hit(), response.text().as_str()), (false, body), "{config}");
        }
    }
}

pub fn a_rule_may_say_that_a_field_is_no_credential(stand: &mut dyn Stand) {
    let config = r#"{"rules": [{"match": {"path": "/identity/open/**"}, "credentials": {"fields":
        {"x-api-key": "ignore", "x-forwarded-*": "ignore", "x-acme": "ignore"}}}]}"#;
    stand.configure(config).unwrap();
    for (n, (name, value)) in
        [("x-api-key", "a"), ("x-forwarded-email", "a@b.example"), ("x-acme", "Bearer a")]
            .into_iter()
            .enumerate()
    {
        for (path, shared) in
            [(format!("/identity/open/{n}"), true), (format!("/identity/closed/{n}"), false)]
        {
            stand.origin(&path, for_each("max-age=600", &[]));
            stand.send(0, ask(&path, (name, value)));
            assert_eq!(get(stand, 1, &path).is_hit(), shared, "{path} {name}");
        }
    }
    let error = stand.configure(r#"{"credentials": {"fields": {"authorization": "ignore"}}}"#).unwrap_err();
    assert!(error.contains("credentials.fields.authorization"), "{error}");
}

/// Whoever waits for the fetch of another competes anew when that comes to nothing for others.
pub fn a_waiter_is_not_given_a_response_to_other_credentials(stand: &mut dyn Stand) {
    let path = "/identity/waited";
    let slow = for_each("max-age=600", &[]).into_iter().map(|reply| reply.delay(Duration::from_millis(300)));
    stand.origin(path, slow.collect());
    let of = |who: &str| ask(path, ("x-auth-request-email", who));
    let alice = stand.start(0, of("alice"));
    await_origin(stand, path, 1);
    let others = [stand.start(0, of("bob")), stand.start(1, of("carol")), stand.start(1, Request::get(path))];
    assert_eq!(stand.finish(alice).text(), "for alice");
    let mut seen: Vec<String> = others.into_iter().map(|exchange| stand.finish(exchange).text()).collect();
    seen.sort();
    assert!(!seen.contains(&"for alice".to_owned()), "{seen:?}");
    assert!(
        stand.origin_count(path) >= 3,
        "bob and carol have each asked, or were given what anybody may have"
    );
}

pub fn a_refresh_carries_no_credentials(stand: &mut dyn Stand) {
    for (n, (name, start)) in CREDENTIALS.into_iter().enumerate() {
        let path = format!("/identity/refresh-{n}");
        stand.origin(&path, vec![stale_page("old", ", stale-while-revalidate=600"), page("new")]);
        get(stand, 0, &path);
        let hit = stand.send(1, ask(&path, (name, &format!("{start}alice"))).field("accept", "text/html"));
        assert_eq!((hit.is_hit(), hit.text().as_str()), (true, "old"), "{name}");
        await_origin(stand, &path, 2);
        let log = stand.origin_log();
        let refresh = log.iter().rfind(|request| request.target == path).unwrap();
        assert_eq!((refresh.field(name).as_str(), refresh.field("accept").as_str()), ("", "text/html"));
        stand.pass(Duration::from_millis(50));
        expect_hit(stand, 0, &path, "new");
    }
}

/// Every way that leads into the store: a confirmation, a part, a HEAD, a POST, a QUERY.
pub fn every_way_of_storing_checks_credentials(stand: &mut dyn Stand) {
    let alice = ("x-forwarded-user", "alice");
    let tagged = |body: &str, age: &str| {
        let reply = Reply::ok(body).field("cache-control", "max-age=60").field("etag", "\"v\"");
        if age.is_empty() { reply } else { reply.field("age", age) }
    };
    let confirmed = Reply::status(304).field("etag", "\"v\"").field("cache-control", "max-age=60");
    stand.origin(
        "/identity/304",
        vec![tagged("page", "100"), confirmed.clone(), confirmed, tagged("new", "")],
    );
    get(stand, 0, "/identity/304");
    let once = stand.send(0, ask("/identity/304", alice));
    assert_eq!((once.status, once.text().as_str()), (200, "page"));
    assert_eq!(once.field("cache-status"), "larder; fwd=stale; fwd-status=304; detail=authorization");
    assert!(!get(stand, 1, "/identity/304").is_hit(), "it is as stale as before");

    let part = Reply::status(206).body("01").field("content-range", "bytes 0-1/4").field("etag", "\"v\"");
    stand.origin("/identity/206", vec![part.field("cache-control", "max-age=60")]);
    let first = || Request::get("/identity/206").field("range", "bytes=0-1");
    stand.send(0, first().field(alice.0, alice.1));
    assert!(!stand.send(1, first()).is_hit());
    assert!(stand.send(0, first()).is_hit(), "asked for by nobody in particular, it is stored");

    stand.origin("/identity/head", vec![tagged("page", "100"), tagged("page", ""), tagged("page", "")]);
    get(stand, 0, "/identity/head");
    stand.send(0, Request::new("HEAD", "/identity/head").field(alice.0, alice.1));
    assert!(!get(stand, 1, "/identity/head").is_hit(), "her HEAD has made nothing fresh");

    stand.configure(r#"{"store_post": true, "rules": [{"match": {"path": "/identity/asks"}, "post_as_query": true}]}"#).unwrap();
    stand.origin(
        "/identity/post",
        vec![page("made").field("content-location", "/identity/post"), page("got")],
    );
    stand.send(0, Request::new("POST", "/identity/post").body("x").field(alice.0, alice.1));
    expect_miss(stand, 1, "/identity/post", "got");
    for (method, path) in [("QUERY", "/identity/query"), ("POST", "/identity/asks")] {
        stand.origin(path, pages(&["for alice", "for all", "wrong"]));
        let question = || Request::new(method, path).body("q").field("content-type", "text/plain");
        assert_eq!(stand.send(0, question().field(alice.0, alice.1)).text(), "for alice");
        assert_eq!(stand.send(0, question()).text(), "for all", "{method}");
        assert!(stand.send(1, question()).is_hit(), "{method}");
    }
}

/// Files that an origin guards by a cookie look like any others, and nginx and Varnish store none of them.
pub fn no_heuristic_lifetime_for_a_request_with_a_cookie(stand: &mut dyn Stand) {
    let modified = date(stand, -100_000);
    let file = |body: &str| Reply::ok(body).field("last-modified", &modified).field("etag", "\"v\"");
    let refused = Reply::status(403).body("no");
    let alice = |path: &str| ask(path, ("cookie", "session=alice"));
    stand.origin("/identity/file", vec![file("for alice"), file("for alice"), refused.clone()]);
    for worker in [0, 1] {
        let response = stand.send(worker, alice("/identity/file"));
        assert_eq!(response.field("cache-status"), "larder; fwd=uri-miss; detail=cookie");
    }
    let stranger = || Request::get("/identity/file");
    for request in [
        stranger(),
        ask("/identity/file", ("cookie", "session=bob")),
        stranger().field("cache-control", "max-stale"),
    ] {
        let response = stand.send(0, request);
        assert_eq!((response.status, response.text().as_str()), (403, "no"));
    }
    // What was stored for anybody is not made fresh by who has a cookie.
    stand.origin("/identity/open", vec![file("file"), Reply::status(304), file("file")]);
    get(stand, 0, "/identity/open");
    let again = stand.send(1, alice("/identity/open").field("cache-control", "no-cache"));
    assert_eq!(again.field("cache-status"), "larder; fwd=request; fwd-status=304; detail=cookie");
    // The origin's word and the operator's count as ever.
    for (n, (control, config)) in [
        ("max-age=600", "{}"),
        ("public", "{}"),
        ("", r#"{"ttl": {"default": "10m"}}"#),
        ("", r#"{"ttl": "10m"}"#),
        ("", r#"{"ttl": {"status": {"200": "10m"}}}"#),
    ]
    .into_iter()
    .enumerate()
    {
        stand.configure(config).unwrap();
        let path = format!("/identity/said-{n}");
        let reply =
            if control.is_empty() { file("file") } else { file("file").field("cache-control", control) };
        stand.origin(&path, vec![reply]);
        stand.send(0, alice(&path));
        expect_hit(stand, 1, &path, "file");
    }
}

const ALLOW: &str = "access-control-allow-origin";

fn from(path: &str, origin: &str) -> Request {
    ask(path, ("origin", origin))
}

fn allowing(body: &str, origin: &str) -> Reply {
    page(body).field(ALLOW, origin)
}

#[track_caller]
fn expect(
    stand: &mut dyn Stand,
    worker: usize,
    request: Request,
    hit: bool,
    body: &str,
    allowed: &str,
) -> Response {
    let response = stand.send(worker, request);
    let seen = (response.is_hit(), response.text(), response.field(ALLOW));
    assert_eq!(seen, (hit, body.to_owned(), allowed.to_owned()), "{}", response.field("cache-status"));
    response
}

pub fn a_page_that_one_origin_may_read_is_for_that_origin(stand: &mut dyn Stand) {
    stand.configure(&with_admin("")).unwrap();
    let (a, b, path) = ("https://a.example", "https://b.example", "/cors/one");
    stand.origin(
        path,
        vec![allowing("for a", a), allowing("for b", b), page("for none"), allowing("null", "null")],
    );
    expect(stand, 0, from(path, a), false, "for a", a);
    let other = expect(stand, 0, from(path, b), false, "for b", b);
    assert_eq!(other.field("cache-status"), "larder; fwd=vary-miss; stored");
    expect(stand, 1, Request::get(path), false, "for none", "");
    expect(stand, 1, from(path, "null"), false, "null", "null");
    for worker in [0, 1] {
        for (request, body, allowed) in [
            (from(path, a), "for a", a),
            (from(path, b), "for b", b),
            (Request::get(path), "for none", ""),
            (from(path, "null"), "null", "null"),
        ] {
            expect(stand, worker, request.clone(), true, body, allowed);
            let head = stand.send(worker, Request { method: "HEAD".into(), ..request });
            assert_eq!((head.is_hit(), head.field(ALLOW).as_str()), (true, allowed));
        }
    }
    let shown = command(stand, 0, "GET", "/_larder/entries?url=http://shop.example/cors/one", "").text();
    assert_eq!(shown.matches("\"origin\":").count(), 3, "{shown}");
    purge_url(stand, 1, path, "hard");
    stand.origin(path, vec![allowing("new for b", b)]);
    expect(stand, 0, from(path, b), false, "new for b", b);
}

pub fn a_page_that_all_origins_may_read_is_one_for_all(stand: &mut dyn Stand) {
    stand.origin("/cors/all", vec![allowing("all", "*"), page("wrong")]);
    expect(stand, 0, from("/cors/all", "https://a.example"), false, "all", "*");
    expect(stand, 1, from("/cors/all", "https://b.example"), true, "all", "*");
    expect(stand, 0, Request::get("/cors/all"), true, "all", "*");
    stand.origin("/cors/all-first", vec![allowing("all", "*"), page("wrong")]);
    expect(stand, 0, Request::get("/cors/all-first"), false, "all", "*");
    expect(stand, 1, from("/cors/all-first", "https://a.example"), true, "all", "*");
    // A page of the same origin needs nobody's leave.
    stand.origin("/cors/own", vec![page("own"), page("wrong")]);
    expect(stand, 0, Request::get("/cors/own"), false, "own", "");
    expect(stand, 1, from("/cors/own", "http://shop.example"), true, "own", "");
}

/// As object stores do it: who does not say where it comes from gets no leave, and no `Vary` that told of it.
pub fn a_page_first_asked_for_without_an_origin_is_asked_for_again_with_one(stand: &mut dyn Stand) {
    let (a, path) = ("https://a.example", "/cors/first-without");
    let font = |reply: Reply| reply.field("etag", "\"v\"");
    stand
        .origin(path, vec![font(page("font")), font(allowing("font", a)), font(page("font")), page("wrong")]);
    expect(stand, 0, Request::get(path), false, "font", "");
    let asked = expect(stand, 0, from(path, a), false, "font", a);
    assert_eq!(asked.field("cache-status"), "larder; fwd=vary-miss; stored");
    let log = stand.origin_log();
    assert_eq!(log.last().unwrap().field("if-none-match"), "", "a 304 would confirm the other one");
    expect(stand, 1, from(path, a), true, "font", a);
    // Whoever asks without one is told apart from now on, and puts nobody else out.
    expect(stand, 1, Request::get(path), false, "font", "");
    for worker in [0, 1] {
        expect(stand, worker, Request::get(path), true, "font", "");
        expect(stand, worker, from(path, a), true, "font", a);
    }
    assert_eq!(stand.origin_count(path), 3);
}

/// A page whose origin is refused does not take the leave from the others.
pub fn a_refused_cors_origin_does_not_affect_others(stand: &mut dyn Stand) {
    let (a, path) = ("https://a.example", "/cors/refused");
    stand.origin(path, vec![page("no leave"), allowing("leave", a), page("wrong")]);
    expect(stand, 0, from(path, "https://evil.example"), false, "no leave", "");
    expect(stand, 0, from(path, a), false, "leave", a);
    for worker in [0, 1] {
        expect(stand, worker, from(path, a), true, "leave", a);
        expect(stand, worker, from(path, "https://evil.example"), true, "no leave", "");
    }
}

/// A confirmation says nothing of what only some responses show, and moves nothing.
pub fn a_304_keeps_cors_variants_apart(stand: &mut dyn Stand) {
    admin(stand);
    let (a, path) = ("https://a.example", "/cors/confirmed");
    let confirmed = Reply::status(304).field("etag", "\"v\"");
    let tagged = |reply: Reply| reply.field("etag", "\"v\"");
    let replies =
        vec![tagged(allowing("a", a)), tagged(page("none")), confirmed.clone(), confirmed, page("wrong")];
    stand.origin(path, replies);
    expect(stand, 0, from(path, a), false, "a", a);
    expect(stand, 0, Request::get(path), false, "none", "");
    let reload = |request: Request| request.field("cache-control", "no-cache");
    expect(stand, 0, reload(Request::get(path)), false, "none", "");
    expect(stand, 1, reload(from(path, a)), false, "a", a);
    for worker in [0, 1] {
        expect(stand, worker, Request::get(path), true, "none", "");
        expect(stand, worker, from(path, a), true, "a", a);
    }
    assert_eq!(stand.origin_count(path), 4);
}

pub fn an_encoded_body_is_served_only_where_it_is_accepted(stand: &mut dyn Stand) {
    let asks = |path: &str, coding: &str| ask(path, ("accept-encoding", coding));
    let coded = |body: &str, coding: &str| page(body).field("content-encoding", coding);
    for (n, coding) in ["br", "gzip", "X-GZIP", "identity, br"].into_iter().enumerate() {
        let path = format!("/coded/{n}");
        stand.origin(
            &path,
            vec![coded("coded", coding), page("plain"), coded("coded", coding), page("wrong")],
        );
        assert_eq!(stand.send(0, asks(&path, "br, gzip")).text(), "coded");
        let plain = get(stand, 0, &path);
        assert_eq!(
            (plain.text().as_str(), plain.field("cache-status").as_str()),
            ("plain", "larder; fwd=vary-miss; stored")
        );
        for worker in [0, 1] {
            expect_hit(stand, worker, &path, "plain");
            let hit = stand.send(worker, asks(&path, "br, gzip"));
            assert_eq!((hit.is_hit(), hit.text().as_str()), (true, "coded"), "{coding}");
        }
    }
    stand.origin("/coded/not", vec![coded("plain", "identity"), page("wrong")]);
    stand.send(0, asks("/coded/not", "br"));
    expect_hit(stand, 1, "/coded/not", "plain");
    // Parts of two codings are no parts of one body, even with one tag.
    let part = |body: &str, range: &str| {
        let reply = Reply::status(206).body(body).field("content-range", range).field("etag", "\"v\"");
        reply.field("cache-control", "max-age=600")
    };
    let path = "/coded/parts";
    let first = part("zz", "bytes 0-1/4").field("content-encoding", "gzip");
    stand.origin(path, vec![first, part("23", "bytes 2-3/4"), page("whole")]);
    stand.send(0, asks(path, "gzip").field("range", "bytes=0-1"));
    stand.send(0, Request::get(path).field("range", "bytes=2-3"));
    assert_eq!(get(stand, 1, path).text(), "whole");
}

pub fn a_preference_applied_counts_as_vary_prefer(stand: &mut dyn Stand) {
    let minimal = page("minimal").field("preference-applied", "return=minimal");
    stand.origin("/prefer", vec![minimal, page("full"), page("wrong")]);
    let prefers = || ask("/prefer", ("prefer", "return=minimal"));
    assert_eq!(stand.send(0, prefers()).text(), "minimal");
    expect_miss(stand, 0, "/prefer", "full");
    expect_hit(stand, 1, "/prefer", "full");
}
