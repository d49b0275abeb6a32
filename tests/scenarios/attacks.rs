//! What attackers of caches try: to poison what others get, to be given what is others', to make it useless.
//!
//! `tests/e2e/CHECKLIST.md` says which attack is tried where.

use std::time::Duration;

use larder::config::Options;
use larder::http::{Fields, RequestHead};
use larder::policy;
use larder::store::Seed;

use super::telling::{expect_hit, expect_miss, get, page, pages, with_admin};
use crate::stand::{Reply, Request, Stand};

/// What ends one part of a key never counts as the beginning of the next, however a client divides it between them.
pub fn parts_of_a_key_do_not_run_into_each_other(stand: &mut dyn Stand) {
    stand.configure(r#"{"key": {"headers": ["x-a", "x-b"], "cookies": ["c", "d"]}}"#).unwrap();
    let plain = || Request::get("/parts");
    let asked = [
        plain().field("x-a", "1").field("x-b", "23"),
        plain().field("x-a", "12").field("x-b", "3"),
        plain().field("x-a", "123").field("x-b", ""),
        plain().field("x-a", "123"),
        plain().field("x-b", "123"),
        plain().field("x-a", "1").field("x-a", "23"),
        plain().field("x-a", "x-b").field("x-b", "1"),
        plain().field("x-a", "x-bx-b1"),
        plain().field("cookie", "c=1; d=23"),
        plain().field("cookie", "c=12; d=3"),
        plain().field("cookie", "c=123"),
        plain().field("cookie", "c=1d23"),
        plain(),
        Request::get("/parts?x-a=123"),
        Request::get("/parts?c=123"),
        plain().host("shop.example:8").field("x-a", "1"),
        plain().host("shop.example:81"),
    ];
    let bodies: Vec<String> = (0..asked.len()).map(|n| n.to_string()).collect();
    stand.origin("/parts", bodies.iter().map(page).collect());
    for worker in [0, 1] {
        for (request, body) in asked.iter().zip(&bodies) {
            let response = stand.send(worker, request.clone());
            assert_eq!((response.text(), response.is_hit()), (body.clone(), worker == 1), "{request:?}");
        }
    }
}

/// Paths on `shop.example` that all belong to one set of the store, if this is the secret and there are so many sets.
pub fn paths_aimed_at_one_set(seed: Seed, sets: u64, count: usize) -> Vec<String> {
    let key = |path: &str| {
        let target =
            [(":method", "GET"), (":scheme", "http"), (":authority", "shop.example"), (":path", path)];
        let fields = target.into_iter().chain([("x-forwarded-proto", "http")]);
        let fields = Fields::from_iter(fields.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        policy::primary(&RequestHead { fields, has_body: false }, &Options::default())
    };
    let paths = (0..).map(|n| format!("/aimed/{n}"));
    paths.filter(|path| seed.fingerprint(&key(path)).0.is_multiple_of(sets)).take(count).collect()
}

/// Fetches all of these on one worker; returns how many of them the store then has for the other.
pub fn kept_of(stand: &mut dyn Stand, paths: &[String]) -> usize {
    for path in paths {
        stand.origin(path, pages(&["page"]));
        get(stand, 0, path);
    }
    paths.iter().filter(|path| get(stand, 1, path).is_hit()).count()
}

/// What depends on a client's cookies is for that client, however the origin says it.
pub fn a_response_that_varies_by_cookie_is_served_to_that_cookie_only(stand: &mut dyn Stand) {
    let of = |path: &str, name: &str| Request::get(path).field("cookie", format!("session={name}"));
    let asked = |stand: &mut dyn Stand, path: &str| {
        let clients = [(0, "alice"), (1, "bob"), (0, "bob"), (1, "alice")];
        clients.map(|(worker, name)| stand.send(worker, of(path, name)).text())
    };
    let own = |control: &str| {
        let reply = |body: &str| Reply::ok(body).field("cache-control", control);
        ["for alice", "for bob", "for bob, anew", "for alice, anew"].map(reply).to_vec()
    };
    stand.origin("/cookie/private", own("private, max-age=60"));
    stand
        .origin("/cookie/varies", own("max-age=60").into_iter().map(|r| r.field("vary", "cookie")).collect());
    stand.origin("/cookie/silent", own("max-age=60"));
    let anew = ["for alice", "for bob", "for bob, anew", "for alice, anew"].map(String::from);
    let known = ["for alice", "for bob", "for bob", "for alice"].map(String::from);
    assert_eq!(asked(stand, "/cookie/private"), anew);
    assert_eq!(asked(stand, "/cookie/varies"), known);
    stand.configure(r#"{"cookies_need_public": true}"#).unwrap();
    assert_eq!(asked(stand, "/cookie/silent"), anew);
    stand.configure(r#"{"key": {"cookies": ["session"]}}"#).unwrap();
    stand.origin("/cookie/silent", own("max-age=60"));
    assert_eq!(asked(stand, "/cookie/silent"), known);
}

/// A body of a GET is part of nothing: such a request neither leaves anything behind nor gets anything stored.
pub fn a_get_with_a_body_cannot_poison_the_cache(stand: &mut dyn Stand) {
    stand.origin("/fat", pages(&["poisoned", "good"]));
    let fat = || Request::get("/fat?a=1").field("content-length", "9").body("a=poisond");
    assert_eq!(stand.send(0, fat()).text(), "poisoned");
    expect_miss(stand, 0, "/fat?a=1", "good");
    expect_hit(stand, 1, "/fat?a=1", "good");
    assert!(!stand.send(1, fat()).is_hit());
}

/// A parameter cannot hide behind another: `;` separates nothing here, whatever the origin thinks.
pub fn a_hidden_parameter_does_not_get_past_the_key(stand: &mut dyn Stand) {
    stand
        .configure(r#"{"key": {"query": {"drop": ["utm_*"]}, "forward_dropped": true}}"#)
        .expect("the configuration is right");
    stand.origin("/cloak", pages(&["poisoned", "good"]));
    assert_eq!(get(stand, 0, "/cloak?a=1&utm_x=1;a=evil").text(), "poisoned");
    expect_miss(stand, 0, "/cloak?a=1&utm_x=1", "good");
    expect_hit(stand, 1, "/cloak?a=1&utm_y=2", "good");
    stand.configure(r#"{"key": {"query": {"drop": ["utm_*"]}}}"#).unwrap();
    stand.origin("/dropped", pages(&["one"]));
    get(stand, 0, "/dropped?a=1&utm_x=1;a=evil&utm%5Fy=2");
    assert_eq!(stand.origin_log().pop().unwrap().target, "/dropped?a=1", "what does not count is not sent");
}

/// Two spellings of a path are two resources, and the origin gets the one that was asked for.
pub fn a_path_is_keyed_as_it_was_sent(stand: &mut dyn Stand) {
    stand.origin("/spelt/Page", pages(&["1"]));
    stand.origin("/spelt/page", pages(&["2"]));
    stand.origin("/spelt/page;x", pages(&["3"]));
    stand.origin("/spelt/page%20", pages(&["4"]));
    stand.origin("/spelt/page%3fa=1", pages(&["5"]));
    stand.origin("/spelt/page%23", pages(&["6"]));
    let targets = ["Page", "page", "page;x", "page%20", "page%3fa=1", "page%23"];
    for worker in [0, 1] {
        for (n, target) in targets.iter().enumerate() {
            let target = format!("/spelt/{target}");
            assert_eq!(get(stand, worker, &target).text(), (n + 1).to_string(), "{target}");
        }
    }
    assert!(targets.iter().all(|t| stand.origin_count(&format!("/spelt/{t}")) == 1));
}

/// An origin that decodes a path before it goes up finds the page that a rule keeps out of the cache.
pub fn a_way_up_in_disguise_does_not_get_past_a_bypass(stand: &mut dyn Stand) {
    stand.configure(r#"{"rules": [{"match": {"path": "/up/account"}, "bypass": true}]}"#).unwrap();
    for (path, is_stored) in [
        ("/up/%2520/%252e%252e/account", false),
        ("/up/;/%252e%252e/account", false),
        ("/x%253F/%252e%252e/up/account", false),
        ("/x%2523/%252e%252e/up/account", false),
        ("/up/%252e%252e/elsewhere", true),
    ] {
        stand.origin(path, vec![page("account")]);
        get(stand, 0, path);
        assert_eq!(get(stand, 1, path).is_hit(), is_stored, "{path}");
    }
}

/// Nobody gets another's page by putting an extension behind it.
pub fn a_private_page_is_not_stored_for_its_disguise(stand: &mut dyn Stand) {
    let rule = r#"{"match": {"path": "/**/*.css"}, "ttl": "1h"}"#;
    stand.configure(&format!(r#"{{"rules": [{rule}]}}"#)).unwrap();
    let account =
        || Reply::ok("my account").field("content-type", "text/html").field("cache-control", "private");
    for disguise in ["/me/account/x.css", "/me/account;x.css", "/me/account%2fx.css", "/me/account%0ax.css"] {
        stand.origin(disguise, vec![account()]);
        for worker in [0, 1] {
            assert!(!get(stand, worker, disguise).is_hit(), "{disguise}");
        }
        // Not even where the origin says nothing about it.
        stand.origin(disguise, vec![Reply::ok("my account").field("content-type", "text/html")]);
        for worker in [0, 1] {
            assert!(!get(stand, worker, disguise).is_hit(), "{disguise}");
        }
    }
    stand.origin("/me/real.css", vec![Reply::ok("a {}").field("content-type", "text/css")]);
    get(stand, 0, "/me/real.css");
    expect_hit(stand, 1, "/me/real.css", "a {}");
    // No lifetime of a rule makes shared what the origin calls private.
    stand.origin("/me/own.css", vec![account().field("content-type", "text/css")]);
    get(stand, 0, "/me/own.css");
    assert!(!get(stand, 1, "/me/own.css").is_hit());
}

/// What a confirmation of a stored response says to one client is not said to the next.
pub fn a_304_leaks_no_fields_of_the_client_that_validated(stand: &mut dyn Stand) {
    let confirmed = Reply::status(304).field("etag", "\"v\"").field("set-cookie", "session=secret");
    let stale =
        Reply::ok("page").field("cache-control", "max-age=60").field("age", "100").field("etag", "\"v\"");
    stand.origin("/leak", vec![stale, confirmed.field("cache-control", "max-age=600"), page("anew")]);
    get(stand, 0, "/leak");
    get(stand, 0, "/leak");
    for worker in [0, 1] {
        let response = get(stand, worker, "/leak");
        assert!(response.all("set-cookie").is_empty(), "{response:?}");
    }
}

/// An error that one client provokes with an odd request is not stored for others (CPDoS).
pub fn a_provoked_error_is_served_only_to_the_client_that_provoked_it(stand: &mut dyn Stand) {
    let error = |status: u16| Reply::status(status).field("cache-control", "max-age=600").body("error");
    let odd = [
        ("long", Request::get("/odd/long").field("x-oversize", "x".repeat(5_000)), 400),
        ("many", (0..60).fold(Request::get("/odd/many"), |r, n| r.field(&format!("x-{n}"), "1")), 400),
        ("meta", Request::get("/odd/meta").field("x-meta", b"\x01\x07"), 400),
        ("bytes", Request::get("/odd/bytes").field("x-meta", b"\xff"), 400),
        ("override", Request::get("/odd/override").field("x-http-method-override", "POST"), 405),
        ("upgrade", Request::get("/odd/upgrade").field("x-http-method", "BREW"), 501),
    ];
    for (name, request, status) in odd {
        let path = format!("/odd/{name}");
        stand.origin(&path, vec![error(status), page("good")]);
        // Envoy turns some away itself; then the origin is not asked at all.
        stand.send(0, request);
        if stand.origin_count(&path) == 0 {
            get(stand, 0, &path);
            continue;
        }
        expect_miss(stand, 1, &path, "good");
        expect_hit(stand, 0, &path, "good");
    }
    for status in [408, 413, 416, 421, 425, 429, 431, 500, 502, 503] {
        let path = format!("/odd/{status}");
        stand.origin(&path, vec![Reply::status(status).field("etag", "\"e\""), page("good")]);
        get(stand, 0, &path);
        expect_miss(stand, 1, &path, "good");
    }
}

/// Other methods leave nothing behind that a GET would get.
pub fn other_methods_cannot_store_responses_for_get(stand: &mut dyn Stand) {
    for method in ["HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"] {
        let path = format!("/method/{method}");
        stand.origin(&path, pages(&["of another method", "good"]));
        stand.send(0, Request::new(method, &path));
        expect_miss(stand, 1, &path, "good");
    }
}

/// More requests than may wait at once do not wait: they go to the origin by themselves.
pub fn waiting_is_bounded(stand: &mut dyn Stand) {
    stand.configure(r#"{"collapse": {"waiters_max": 2}}"#).unwrap();
    stand.origin("/crowd", vec![page("page").delay(Duration::from_secs(5))]);
    let crowd: Vec<_> = (0..8).map(|_| stand.start(0, Request::get("/crowd"))).collect();
    for client in crowd {
        assert_eq!(stand.finish(client).text(), "page");
    }
    assert_eq!(stand.origin_count("/crowd"), 6, "one fetches, two wait, five go by themselves");
    assert_eq!(stand.metric("forwarded_bypass_not_shared"), 5);
}

/// A response with credentials in the request answers nobody else, stored or waited for.
pub fn responses_to_credentials_are_not_shared(stand: &mut dyn Stand) {
    let slow = |body: &str| page(body).delay(Duration::from_millis(300));
    stand.origin("/mine", vec![slow("alice"), slow("bob"), page("nobody")]);
    let of = |name: &str| Request::get("/mine").field("authorization", format!("Basic {name}"));
    let alice = stand.start(0, of("alice"));
    stand.pass(Duration::from_millis(50));
    let bob = stand.start(1, of("bob"));
    assert_eq!((stand.finish(alice).text(), stand.finish(bob).text()), ("alice".into(), "bob".into()));
    expect_miss(stand, 0, "/mine", "nobody");
}

/// Clients learn neither keys nor tags.
pub fn clients_learn_neither_keys_nor_tags(stand: &mut dyn Stand) {
    stand.configure(&with_admin("")).unwrap();
    let tagged = page("page").field("cache-tag", "secret-tag").field("surrogate-key", "secret-key");
    stand.origin("/hidden", vec![tagged.field("xkey", "secret-x")]);
    for worker in [0, 0, 1] {
        let request = Request::get("/hidden?id=7").field("larder-debug", "wrong");
        let response = stand.send(worker, request);
        let said = format!(
            "{:?}",
            response.fields.iter().map(|(n, v)| (n, v.escape_ascii().to_string())).collect::<Vec<_>>()
        );
        assert!(
            !said.contains("secret") && !said.contains("key=") && !said.contains("larder-debug"),
            "{said}"
        );
        assert!(!response.field("cache-status").contains("hidden"), "{said}");
    }
}
