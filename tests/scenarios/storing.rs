//! What is stored, and in what form (RFC 9111 §3).

use std::time::Duration;

use super::telling::{await_origin, expect_hit, expect_miss, get, page, purge, with_admin};
use crate::stand::{Ending, Reply, Request, Stand};

pub fn a_response_stored_by_one_worker_is_a_hit_on_both(stand: &mut dyn Stand) {
    stand.origin("/store/both", vec![page("one"), page("two")]);
    let miss = expect_miss(stand, 0, "/store/both", "one");
    assert_eq!(miss.field("cache-status"), "larder; fwd=uri-miss; stored");
    for worker in [0, 1, 1, 0] {
        expect_hit(stand, worker, "/store/both", "one");
    }
    assert_eq!(stand.origin_count("/store/both"), 1);
}

pub fn an_uncacheable_response_is_fetched_each_time(stand: &mut dyn Stand) {
    let cases: &[(&str, &str, &str, &str)] = &[
        ("no-store", "cache-control", "no-store, max-age=60", "no-store"),
        ("private", "cache-control", "private, max-age=60", "private"),
        ("any-vary", "vary", "*", "vary-any"),
        ("cookie", "set-cookie", "a=b", "set-cookie"),
        ("nothing", "x-nothing", "at all", "no-freshness"),
        ("expired", "expires", "0", "no-freshness"),
        ("zero", "cache-control", "max-age=0", "no-freshness"),
        ("overruled", "cache-control", "s-maxage=0, max-age=60", "no-freshness"),
    ];
    for (name, field, value, why) in cases {
        let path = format!("/store/not-{name}");
        let fresh = ["any-vary", "cookie"].contains(name).then_some(("cache-control", "max-age=60"));
        let reply =
            fresh.into_iter().fold(Reply::ok("for you").field(field, value), |r, (n, v)| r.field(n, v));
        stand.origin(&path, vec![reply]);
        for (worker, count) in [(0, 1), (0, 2), (1, 3)] {
            let response = expect_miss(stand, worker, &path, "for you");
            if count == 1 {
                assert_eq!(response.field("cache-status"), format!("larder; fwd=uri-miss; detail={why}"));
            }
            assert_eq!(stand.origin_count(&path), count, "{name}");
        }
    }
}

pub fn responses_to_credentials_need_an_explicit_directive(stand: &mut dyn Stand) {
    let cases = [
        ("max-age=60", false),
        ("max-age=60, public", true),
        ("s-maxage=60", true),
        ("max-age=60, must-revalidate", true),
        ("max-age=60, private", false),
    ];
    for (n, (control, shared)) in cases.into_iter().enumerate() {
        let path = format!("/store/credentials-{n}");
        stand.origin(&path, vec![Reply::ok("secret").field("cache-control", control)]);
        stand.send(0, Request::get(&path).field("authorization", "Basic YTpi"));
        assert_eq!(get(stand, 1, &path).is_hit(), shared, "{control}");
    }
}

pub fn no_store_in_a_request_prevents_storing(stand: &mut dyn Stand) {
    stand.origin("/store/request", vec![page("one"), page("two")]);
    let response = stand.send(0, Request::get("/store/request").field("cache-control", "no-store"));
    assert_eq!(response.field("cache-status"), "larder; fwd=uri-miss; detail=request-no-store");
    expect_miss(stand, 0, "/store/request", "two");
}

pub fn a_qualified_private_or_no_cache_withholds_the_fields_it_names(stand: &mut dyn Stand) {
    for (n, directive) in ["private=\"x-user\"", "no-cache=\"X-User, x-other\""].into_iter().enumerate() {
        let path = format!("/store/qualified-{n}");
        let control = format!("max-age=60, {directive}");
        stand.origin(&path, vec![Reply::ok("all").field("cache-control", control).field("x-user", "me")]);
        assert_eq!(get(stand, 0, &path).field("x-user"), "me");
        assert_eq!(expect_hit(stand, 1, &path, "all").all("x-user"), [""; 0]);
    }
}

pub fn final_status_codes_are_stored_where_a_lifetime_may_be_given(stand: &mut dyn Stand) {
    let cases = [
        (200, true),
        (203, true),
        (301, true),
        (302, true),
        (307, true),
        (404, true),
        (410, true),
        (418, true),
        (206, false),
        (408, false),
        (429, false),
        (511, false),
    ];
    for (status, stored) in cases {
        let path = format!("/store/status-{status}");
        stand.origin(&path, vec![Reply::status(status).body("page").field("cache-control", "max-age=60")]);
        assert_eq!(get(stand, 0, &path).status, status);
        let again = get(stand, 1, &path);
        let seen = (again.status, again.text().as_str() == "page", again.is_hit());
        assert_eq!(seen, (status, true, stored), "{}", again.field("cache-status"));
    }
}

pub fn a_response_without_a_body_is_stored_too(stand: &mut dyn Stand) {
    for (status, length) in [(204, vec![]), (200, vec!["0".to_string()]), (301, vec!["0".into()])] {
        let path = format!("/store/empty-{status}");
        let reply =
            Reply::status(status).field("cache-control", "max-age=60").field("content-type", "text/css");
        stand.origin(&path, vec![reply.field("location", "/elsewhere")]);
        get(stand, 0, &path);
        let hit = get(stand, 1, &path);
        assert!(hit.is_hit() && hit.complete && hit.body.is_empty(), "{status}");
        assert_eq!((hit.status, hit.all("content-length")), (status, length));
        assert_eq!(
            (hit.field("content-type").as_str(), hit.field("location").as_str()),
            ("text/css", "/elsewhere")
        );
    }
}

pub fn fields_come_back_as_the_origin_sent_them(stand: &mut dyn Stand) {
    let reply = page("page").field("x-twice", "1").field("x-bytes", b"caf\xe9 \xff").field("x-twice", "2");
    stand.origin("/store/fields", vec![reply.field("link", "</a>; rel=preload").field("x-empty", "")]);
    get(stand, 0, "/store/fields");
    for worker in [0, 1] {
        let hit = expect_hit(stand, worker, "/store/fields", "page");
        assert_eq!(hit.all("x-twice"), ["1", "2"]);
        assert!(hit.fields.contains(&("x-bytes".into(), b"caf\xe9 \xff".to_vec())));
        assert_eq!(
            (hit.field("link").as_str(), hit.all("x-empty")),
            ("</a>; rel=preload", vec![String::new()])
        );
        assert_eq!(hit.all("content-type"), [""; 0], "the origin gave none");
        assert_eq!((hit.all("content-length"), hit.all("transfer-encoding")), (vec!["4".into()], vec![]));
        assert_eq!(hit.all("date").len(), 1);
    }
}

pub fn fields_of_one_connection_are_not_stored(stand: &mut dyn Stand) {
    let reply =
        page("page").field("connection", "x-hop").field("x-hop", "1").field("proxy-authenticate", "Basic");
    stand.origin("/store/hops", vec![reply.field("keep-alive", "timeout=5").field("x-end", "2")]);
    get(stand, 0, "/store/hops");
    let hit = expect_hit(stand, 1, "/store/hops", "page");
    assert_eq!(hit.field("x-end"), "2");
    for name in ["x-hop", "proxy-authenticate", "keep-alive", "x-envoy-upstream-service-time"] {
        assert_eq!(hit.all(name), [""; 0], "{name}");
    }
}

pub fn directives_that_envoy_joined_go_out_readable(stand: &mut dyn Stand) {
    let reply = Reply::ok("page").field("cache-control", "public").field("cache-control", "max-age=60");
    stand.origin("/store/joined", vec![reply]);
    get(stand, 0, "/store/joined");
    assert_eq!(expect_hit(stand, 1, "/store/joined", "page").field("cache-control"), "public, max-age=60");
}

pub fn a_chunked_body_with_trailers_is_stored_without_them(stand: &mut dyn Stand) {
    let trailers = vec![("x-sum".to_string(), b"abc".to_vec())];
    stand.origin(
        "/store/trailers",
        vec![page("in chunks").ending(Ending::Trailers(trailers.clone())), page("again")],
    );
    let miss = expect_miss(stand, 0, "/store/trailers", "in chunks");
    assert!(miss.complete && miss.field("content-length").is_empty());
    assert_eq!(miss.trailers, trailers);
    let hit = expect_hit(stand, 1, "/store/trailers", "in chunks");
    assert_eq!((hit.field("content-length").as_str(), hit.trailers.len()), ("9", 0));
}

pub fn interim_responses_reach_the_client_and_are_not_stored(stand: &mut dyn Stand) {
    for status in [102, 103] {
        let path = format!("/store/interim-{status}");
        let reply = page("page").interim(status, "link", "</a.css>; rel=preload");
        // Of several Envoy forwards the first.
        stand.origin(&path, vec![reply.interim(103, "link", "</b.css>; rel=preload")]);
        let miss = expect_miss(stand, 0, &path, "page");
        assert_eq!(miss.interim, [(status, vec![("link".to_owned(), b"</a.css>; rel=preload".to_vec())])]);
        assert_eq!(miss.field("link"), "", "it belongs to the interim response");
        for worker in [0, 1] {
            let hit = expect_hit(stand, worker, &path, "page");
            assert_eq!((hit.interim.len(), hit.field("link").as_str()), (0, ""));
        }
    }
}

pub fn large_bodies_are_the_same_bytes_on_both_workers(stand: &mut dyn Stand) {
    for bytes in [600_000, 1 << 20] {
        let path = format!("/store/large-{bytes}");
        let body: Vec<u8> = (0..bytes as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        stand.origin(&path, vec![page(&body)]);
        assert!(get(stand, 0, &path).body == body, "the first of {bytes} bytes");
        for worker in [1, 0, 1] {
            let hit = get(stand, worker, &path);
            assert!(hit.is_hit() && hit.complete, "{}", hit.field("cache-status"));
            assert!(hit.body == body, "{bytes} bytes on worker {worker}");
        }
        assert_eq!(stand.origin_count(&path), 1);
    }
}

pub fn a_too_large_response_streams_through(stand: &mut dyn Stand) {
    let body = vec![b'x'; (1 << 20) + 1];
    stand.origin("/store/too-large", vec![page(&body)]);
    stand.origin("/store/too-large-chunked", vec![page(&body).ending(Ending::Trailers(Vec::new()))]);
    for (path, statuses) in [
        ("/store/too-large", ["larder; fwd=uri-miss; detail=too-large"; 2]),
        // Without a length nobody knows beforehand, but for what came of it before.
        (
            "/store/too-large-chunked",
            ["larder; fwd=uri-miss; detail=storing", "larder; fwd=uri-miss; detail=too-large"],
        ),
    ] {
        for (worker, status) in statuses.into_iter().enumerate() {
            let response = get(stand, worker, path);
            assert!(response.complete && response.body == body, "{path}");
            assert_eq!(response.field("cache-status"), status);
            assert_eq!(stand.origin_count(path), worker + 1);
        }
    }
}

pub fn a_response_without_content_length_is_stored_at_its_end(stand: &mut dyn Stand) {
    stand.origin("/store/chunked", vec![page("page").ending(Ending::Trailers(Vec::new()))]);
    let response = get(stand, 0, "/store/chunked");
    assert_eq!(response.field("cache-status"), "larder; fwd=uri-miss; detail=storing");
    expect_hit(stand, 1, "/store/chunked", "page");
    // A rule for this kind of response counts as well, once the body has grown beyond it.
    let rule = r#"{"rules": [{"match": {"content_type": "text/css"}, "object_bytes_max": 1000}]}"#;
    stand.configure(rule).unwrap();
    let css = page(vec![b'x'; 1_500]).field("content-type", "text/css").ending(Ending::Trailers(Vec::new()));
    stand.origin("/store/css", vec![css]);
    for status in ["larder; fwd=uri-miss; detail=storing", "larder; fwd=uri-miss; detail=too-large"] {
        assert_eq!(get(stand, 0, "/store/css").field("cache-status"), status);
    }
}

pub fn rules_decide_about_cookies(stand: &mut dyn Stand) {
    let rule =
        |path: &str, what: &str| format!(r#"{{"match": {{"path": "{path}"}}, "set_cookie": "{what}"}}"#);
    let rules = [rule("/store/strip", "strip"), rule("/store/keep", "store")].join(",");
    stand.configure(&format!(r#"{{"rules": [{rules}]}}"#)).unwrap();
    for (path, cookies) in [("/store/strip", vec![]), ("/store/keep", vec!["a=1".to_string(), "b=2".into()])]
    {
        stand.origin(path, vec![page("page").field("set-cookie", "a=1").field("set-cookie", "b=2")]);
        assert_eq!(get(stand, 0, path).all("set-cookie").len(), 2);
        assert_eq!(expect_hit(stand, 1, path, "page").all("set-cookie"), cookies);
    }
}

pub fn host_and_query_tell_resources_apart(stand: &mut dyn Stand) {
    stand.origin("/store/apart", pages_by_number(4));
    let requests = [
        Request::get("/store/apart"),
        Request::get("/store/apart?a=1"),
        Request::get("/store/apart?a=2"),
        Request::get("/store/apart").host("other.example"),
    ];
    for worker in [0, 1] {
        for (n, request) in requests.iter().enumerate() {
            assert_eq!(stand.send(worker, request.clone()).text(), n.to_string());
        }
    }
}

pub fn parameters_that_do_not_count_do_not_reach_the_origin(stand: &mut dyn Stand) {
    let rule = r#"{"rules": [{"match": {"path": "/store/utm"}, "key": {"query": {"drop": ["utm_*"]}, "query_sorted": true}}]}"#;
    stand.configure(rule).unwrap();
    stand.origin("/store/utm", pages_by_number(2));
    assert_eq!(get(stand, 0, "/store/utm?utm_source=a&b=1&a=2").text(), "0");
    for target in ["/store/utm?a=2&b=1", "/store/utm?b=1&utm_x=y&a=2"] {
        expect_hit(stand, 1, target, "0");
    }
    expect_miss(stand, 1, "/store/utm?a=1&b=2", "1");
    assert_eq!(stand.origin_log()[0].target, "/store/utm?a=2&b=1");
}

pub fn parameters_that_do_not_count_reach_the_origin_where_a_rule_says_so(stand: &mut dyn Stand) {
    stand.configure(r#"{"key": {"query": {"keep": ["page"]}, "forward_dropped": true}}"#).unwrap();
    stand.origin("/store/kept", pages_by_number(2));
    assert_eq!(get(stand, 0, "/store/kept?utm_source=a&page=1").text(), "0");
    expect_hit(stand, 1, "/store/kept?page=1", "0");
    expect_miss(stand, 1, "/store/kept?page=2", "1");
    assert_eq!(stand.origin_log()[0].target, "/store/kept?utm_source=a&page=1");
}

pub fn fields_and_cookies_tell_resources_apart_where_a_rule_says_so(stand: &mut dyn Stand) {
    stand.configure(r#"{"key": {"headers": ["x-tenant"], "cookies": ["lang"]}}"#).unwrap();
    stand.origin("/store/parts", pages_by_number(3));
    let ask = |tenant: &str, cookie: &str| {
        Request::get("/store/parts").field("x-tenant", tenant).field("cookie", cookie)
    };
    assert_eq!(stand.send(0, ask("a", "lang=de; id=1")).text(), "0");
    assert_eq!(stand.send(0, ask("b", "lang=de; id=1")).text(), "1");
    assert_eq!(stand.send(0, ask("a", "lang=en; id=1")).text(), "2");
    for worker in [0, 1] {
        let hit = stand.send(worker, ask("a", "id=2; lang=de"));
        assert_eq!((hit.is_hit(), hit.text().as_str()), (true, "0"));
    }
}

pub fn a_status_code_that_must_be_understood_is_stored_if_it_is(stand: &mut dyn Stand) {
    for (status, control, stored) in [
        (200, "max-age=60, must-understand, no-store", true),
        (200, "max-age=60, no-store", false),
        (299, "max-age=60, must-understand", false),
        (299, "max-age=60", true),
    ] {
        let path = format!("/store/understood-{status}-{stored}");
        stand.origin(&path, vec![Reply::status(status).body("page").field("cache-control", control)]);
        get(stand, 0, &path);
        assert_eq!(get(stand, 1, &path).is_hit(), stored, "{status} {control}");
    }
}

pub fn requests_with_cookies_are_treated_as_configured(stand: &mut dyn Stand) {
    let ask = |path: &str| Request::get(path).field("cookie", "id=1");
    stand.origin("/store/with-cookie", vec![page("page")]);
    stand.send(0, ask("/store/with-cookie"));
    assert!(get(stand, 1, "/store/with-cookie").is_hit(), "a cookie alone makes no difference");
    stand.configure(r#"{"cookies_need_public": true}"#).unwrap();
    for (n, control) in ["max-age=60", "public, max-age=60", "s-maxage=60"].into_iter().enumerate() {
        let path = format!("/store/cookie-{n}");
        stand.origin(&path, vec![Reply::ok("page").field("cache-control", control)]);
        stand.send(0, ask(&path));
        assert_eq!(get(stand, 1, &path).is_hit(), n > 0, "{control}");
    }
}

pub fn the_answer_to_a_post_is_stored_for_gets_where_that_is_wanted(stand: &mut dyn Stand) {
    let post = |path: &str| Request::new("POST", path).body("x");
    let made = |path: &str| page("made").field("content-location", path);
    for (n, (reply, stored)) in [
        (made("/store/post-0"), true),
        (made("/store/elsewhere"), false),
        (page("made"), false),
        (Reply::ok("made").field("content-location", "/store/post-3").field("etag", "\"v\""), false),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/store/post-{n}");
        stand.configure(r#"{"store_post": true}"#).unwrap();
        stand.origin(&path, vec![reply, page("got")]);
        assert_eq!(stand.send(0, post(&path)).text(), "made");
        assert_eq!(get(stand, 1, &path).is_hit(), stored, "{n}");
    }
    stand.origin("/store/post-0", vec![made("/store/post-0")]);
    assert!(!stand.send(1, post("/store/post-0")).is_hit(), "it never answers another POST");
    for field in ["x-http-method-override", "x-original-url"] {
        let path = format!("/store/post-{field}");
        stand.origin(&path, vec![made(&path), page("got")]);
        stand.send(0, post(&path).field(field, "HEAD"));
        assert_eq!(get(stand, 1, &path).text(), "got", "{field}: it may be the answer to something else");
    }
}

/// It was made before the purge, whenever it arrives.
pub fn a_purge_holds_for_the_answer_to_a_post_that_is_under_way(stand: &mut dyn Stand) {
    stand.configure(&with_admin(r#""store_post": true,"#)).unwrap();
    let made = |path: &str| page("made").field("content-location", path).field("cache-tag", "made");
    for (name, selector) in [
        ("url", r#"{"url": "http://shop.example/store/purged-url"}"#),
        ("tag", r#"{"tag": "made"}"#),
        ("all", r#"{"all": true}"#),
        ("other", r#"{"tag": "another"}"#),
    ] {
        let path = format!("/store/purged-{name}");
        stand.origin(&path, vec![made(&path).delay(Duration::from_millis(700)), page("got")]);
        let posted = stand.start(0, Request::new("POST", &path).body("x"));
        await_origin(stand, &path, 1);
        purge(stand, 1, selector, "hard");
        assert_eq!(stand.finish(posted).text(), "made");
        let expected = if name == "other" { "made" } else { "got" };
        assert_eq!(get(stand, 1, &path).text(), expected, "{name}");
    }
}

/// `Surrogate-Control` is for caches like this one, and stays here on every way that a response may go.
pub fn fields_for_caches_are_not_sent_to_clients(stand: &mut dyn Stand) {
    let rules = r#"[{"match": {"path": "/store/surrogate-rule"}, "bypass": true}]"#;
    stand.configure(&format!(r#"{{"surrogate_control": true, "rules": {rules}}}"#)).unwrap();
    let reply = page("page").field("surrogate-control", "max-age=600");
    for name in ["stored", "rule", "options", "post", "body", "upgrade", "unkeyed", "range"] {
        let path = format!("/store/surrogate-{name}");
        stand.origin(&path, vec![reply.clone()]);
        let request = match name {
            "options" => Request::new("OPTIONS", &path),
            "post" => Request::new("POST", &path),
            "body" => Request::get(&path).body("content"),
            "upgrade" => Request::get(&path).field("content-type", "application/grpc"),
            "unkeyed" => Request::get(&path).field("x-original-url", "/else"),
            "range" => Request::get(&path).field("range", "bytes=0-1"),
            _ => Request::get(&path),
        };
        for worker in [0, 1] {
            assert_eq!(stand.send(worker, request.clone()).all("surrogate-control"), [""; 0], "{name}");
        }
    }
}

fn pages_by_number(count: usize) -> Vec<Reply> {
    (0..count).map(|n| page(n.to_string())).collect()
}

pub fn a_response_below_min_uses_is_not_stored(stand: &mut dyn Stand) {
    stand.configure(r#"{"rules": [{"match": {"path": "/store/rare/**"}, "min_uses": 3}]}"#).unwrap();
    stand.origin("/store/rare/a", vec![page("a")]);
    stand.origin("/store/often", vec![page("b")]);
    for (worker, status) in [
        (0, "larder; fwd=uri-miss; detail=admission"),
        (1, "larder; fwd=uri-miss; detail=admission"),
        (0, "larder; fwd=uri-miss; stored"),
    ] {
        assert_eq!(get(stand, worker, "/store/rare/a").field("cache-status"), status);
    }
    for worker in [0, 1] {
        expect_hit(stand, worker, "/store/rare/a", "a");
    }
    assert_eq!(stand.origin_count("/store/rare/a"), 3);
    assert_eq!(get(stand, 0, "/store/often").field("cache-status"), "larder; fwd=uri-miss; stored");
}

pub fn a_host_does_not_push_out_another(stand: &mut dyn Stand) {
    stand.configure(r#"{"store": {"entries_max": 64, "host_bytes_max": "64KiB"}}"#).unwrap();
    let large = |bytes: usize| page(vec![b'x'; bytes]);
    stand.origin("/share/quiet", vec![page("quiet")]);
    get(stand, 0, "/share/quiet");
    let loud = |n: usize| Request::get(&format!("/share/loud?{n}")).host("loud.example");
    stand.origin("/share/loud", vec![large(4_000)]);
    for n in 0..100 {
        stand.send(n % 2, loud(n));
    }
    let kept =
        (0..100).filter(|n| stand.send(n % 2, loud(*n).field("cache-control", "only-if-cached")).is_hit());
    let kept = kept.count();
    assert!((8..=13).contains(&kept), "{kept} of 4,000 bytes each, which take 4,832, in 64 KiB");
    expect_hit(stand, 1, "/share/quiet", "quiet");
    stand.origin("/share/huge", vec![large(70_000)]);
    stand.send(0, Request::get("/share/huge").host("loud.example"));
    assert_eq!(stand.metric("not_stored_host_quota"), 1);
}

pub fn lowering_entries_max_evicts_the_surplus(stand: &mut dyn Stand) {
    stand.origin("/store/beyond", vec![page("beyond")]);
    let request = |n: usize| Request::get(&format!("/store/beyond?{n}"));
    for n in 0..20 {
        stand.send(n % 2, request(n));
    }
    stand.configure(r#"{"store": {"entries_max": 64}}"#).unwrap();
    stand.pass(Duration::from_secs(8));
    // Were it still there, it would be found again now, however old it may be by then.
    stand.configure("{}").unwrap();
    let kept =
        (0..20).filter(|n| stand.send(n % 2, request(*n).field("cache-control", "only-if-cached")).is_hit());
    let kept = kept.count();
    assert!(kept <= 2, "{kept} of 20 were in one of 4 sets of 4,096");
}
