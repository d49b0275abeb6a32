//! Queries that differ in what makes no difference (`No-Vary-Search`).

use std::time::Duration;

use serde_json::{Value, json};

use super::telling::{
    admin, await_hit, await_origin, command, expect_hit, expect_miss, get, page, purge_url, with_admin,
};
use crate::stand::{Reply, Request, Stand};

fn one_for(body: &str, no_vary_search: &str) -> Reply {
    page(body).field("no-vary-search", no_vary_search)
}

pub fn queries_that_differ_in_insignificant_parameters_share_a_response(stand: &mut dyn Stand) {
    let path = "/search/same";
    let reply = |body| one_for(body, "params=(\"utm\"), key-order");
    stand.origin(path, vec![reply("one"), reply("two"), reply("three")]);
    expect_miss(stand, 0, "/search/same?a=1&b=2&utm=x", "one");
    for worker in [0, 1] {
        for query in ["?a=1&b=2&utm=x", "?a=1&b=2", "?b=2&utm=y&a=%31", "?a=1&&b=2"] {
            expect_hit(stand, worker, &format!("{path}{query}"), "one");
        }
        let conditional = Request::get("/search/same?b=2&a=1").field("range", "bytes=0-1");
        assert_eq!(stand.send(worker, conditional).text(), "on");
        assert_eq!(stand.send(worker, Request::new("HEAD", "/search/same?b=2&a=1")).status, 200);
    }
    expect_miss(stand, 1, "/search/same?a=2&b=2", "two");
    expect_miss(stand, 0, "/search/same", "three");
    for worker in [0, 1] {
        expect_hit(stand, worker, "/search/same?utm=z", "three");
        expect_hit(stand, worker, "/search/same?b=2&a=2", "two");
    }
    let asked: Vec<_> = stand.origin_log().into_iter().map(|request| request.target).collect();
    assert_eq!(asked, ["/search/same?a=1&b=2&utm=x", "/search/same?a=2&b=2", "/search/same"]);
}

pub fn no_vary_search_must_be_valid_and_applies_to_its_path(stand: &mut dyn Stand) {
    for (n, field) in ["params=?0", "params=(a)", "except=(\"a\")", "params, , x"].into_iter().enumerate() {
        let path = format!("/search/wrong-{n}");
        stand.origin(&path, vec![one_for("one", field), one_for("two", field)]);
        expect_miss(stand, 0, &format!("{path}?a=1"), "one");
        expect_miss(stand, 1, &format!("{path}?a=2"), "two");
    }
    stand.origin("/search/all", vec![one_for("one", "params")]);
    stand.origin("/search/all/below", vec![page("two"), page("three")]);
    expect_miss(stand, 0, "/search/all?a=1", "one");
    expect_hit(stand, 1, "/search/all", "one");
    expect_miss(stand, 0, "/search/all/below?a=1", "two");
    expect_miss(stand, 0, "/search/all/below?a=2", "three");
    let other = stand.send(1, Request::get("/search/all?a=3").host("other.example"));
    assert!(!other.is_hit(), "another origin's word is not taken");
}

pub fn a_purge_of_either_url_holds_for_both(stand: &mut dyn Stand) {
    admin(stand);
    let path = "/search/purged";
    stand.origin(path, (0..5).map(|n| one_for(&n.to_string(), "params")).collect());
    expect_miss(stand, 0, "/search/purged?a=1", "0");
    for (n, purged) in ["/search/purged?a=1", "/search/purged?a=2"].into_iter().enumerate() {
        for worker in [0, 1] {
            expect_hit(stand, worker, "/search/purged?a=2", &n.to_string());
        }
        purge_url(stand, 1, purged, "hard");
        expect_miss(stand, 0, "/search/purged?a=2", &(n + 1).to_string());
        expect_hit(stand, 1, "/search/purged?a=1", &(n + 1).to_string());
    }
    purge_url(stand, 0, "/search/purged?a=7", "soft");
    let soft = expect_hit(stand, 1, "/search/purged?a=7", "2");
    assert!(soft.field("cache-status").ends_with("detail=soft-purged"), "{}", soft.field("cache-status"));
    stand.origin(
        "/search/changed",
        vec![one_for("old", "params"), Reply::status(204), one_for("new", "params")],
    );
    expect_miss(stand, 0, "/search/changed?a=1", "old");
    stand.send(1, Request::new("POST", "/search/changed?a=2").body("x"));
    expect_miss(stand, 0, "/search/changed?a=2", "new");
}

pub fn equivalent_queries_are_one_fetch(stand: &mut dyn Stand) {
    let slow = |body: &str| one_for(body, "params").delay(Duration::from_millis(300));
    stand.origin(
        "/search/slow",
        vec![one_for("old", "params").field("age", "599"), slow("new"), slow("newer")],
    );
    get(stand, 0, "/search/slow?first");
    stand.pass(Duration::from_millis(1500));
    let clients: Vec<_> =
        (0..6).map(|n| stand.start(n % 2, Request::get(&format!("/search/slow?{n}")))).collect();
    for client in clients {
        assert_eq!(stand.finish(client).text(), "new");
    }
    assert_eq!(stand.origin_count("/search/slow"), 2);
    expect_hit(stand, 1, "/search/slow?last", "new");
}

pub fn the_newest_word_about_queries_counts(stand: &mut dyn Stand) {
    let path = "/search/newest";
    let varying = |body: &str| one_for(body, "params=(\"b\")").field("vary", "x-lang");
    stand.origin(
        path,
        vec![page("a"), one_for("b", "params"), page("c"), page("d"), varying("e"), varying("f")],
    );
    expect_miss(stand, 0, "/search/newest?a=1", "a");
    expect_hit(stand, 1, "/search/newest?a=1", "a");
    // A reload brings another response, which is good for all.
    let reload = |query: &str| Request::get(&format!("{path}{query}")).field("cache-control", "no-cache");
    assert_eq!(stand.send(0, reload("?a=1")).text(), "b");
    for worker in [0, 1] {
        await_hit(stand, worker, "/search/newest?a=1", "b");
        expect_hit(stand, worker, "/search/newest?a=2", "b");
    }
    // And then one that is good for its own URL only.
    assert_eq!(stand.send(1, reload("?a=1")).text(), "c");
    for worker in [0, 1] {
        await_hit(stand, worker, "/search/newest?a=1", "c");
    }
    expect_miss(stand, 0, "/search/newest?a=2", "d");
    // Variants are told apart below that.
    let ask = |query: &str, lang: &str| Request::get(&format!("{path}{query}")).field("x-lang", lang);
    assert_eq!(stand.send(0, ask("?a=3&b=1", "de")).text(), "e");
    assert_eq!(stand.send(1, ask("?a=3&b=2", "en")).text(), "f");
    for worker in [0, 1] {
        for (lang, body) in [("de", "e"), ("en", "f")] {
            let hit = stand.send(worker, ask("?b=3&a=3", lang));
            assert_eq!((hit.is_hit(), hit.text().as_str()), (true, body));
        }
    }
}

pub fn explain_and_refresh_ignore_insignificant_parameters(stand: &mut dyn Stand) {
    admin(stand);
    let path = "/search/told";
    stand.origin(path, (0..4).map(|n| one_for(&n.to_string(), "params=(\"utm\")")).collect());
    expect_miss(stand, 0, "/search/told?a=1&utm=x", "0");
    let told = |stand: &mut dyn Stand, what: &str, body: &str| -> Value {
        let (method, status) = if body.is_empty() { ("GET", 200) } else { ("POST", 202) };
        let response = command(stand, 1, method, &format!("/_larder/{what}"), body);
        assert_eq!(response.status, status, "{}", response.text());
        serde_json::from_slice(&response.body).unwrap()
    };
    let explain = "explain?url=http://shop.example/search/told%3Fa=1%26utm=y";
    let found = told(stand, explain, "");
    assert_eq!((&found["hit"], &found["stored"]), (&json!(true), &json!(true)), "{found}");
    let other = told(stand, &explain.replace("a=1", "a=2"), "");
    assert_eq!((&other["hit"], &other["stored"]), (&json!(false), &json!(false)), "{other}");
    let refresh = r#"{"urls": ["http://shop.example/search/told?utm=z&a=1"]}"#;
    let answer = told(stand, "refresh", refresh);
    assert_eq!(answer["left"], json!([]), "{answer}");
    await_origin(stand, path, 2);
    expect_hit(stand, 0, "/search/told?a=1", "1");
    purge_url(stand, 0, "/search/told?a=1&utm=y", "revalidate");
    let purged = told(stand, explain, "");
    assert_eq!((&purged["hit"], &purged["stored"]), (&json!(false), &json!(true)), "{purged}");
    assert_eq!(purged["entry"]["state"], "invalidated", "{purged}");
}

pub fn a_purge_of_either_url_holds_while_the_origin_is_down(stand: &mut dyn Stand) {
    let breaker = r#""breaker": {"failures": 3, "probe_interval": "1m"}, "stale_if_down": "1d","#;
    stand.configure(&with_admin(breaker)).unwrap();
    stand.origin("/search/down", vec![one_for("old", "params").field("age", "599")]);
    get(stand, 0, "/search/down?a=1");
    stand.pass(Duration::from_millis(1100));
    stand.origin_listens(false);
    for n in 0..3 {
        assert_eq!(get(stand, n % 2, &format!("/search/never-{n}")).status, 503);
    }
    for worker in [0, 1] {
        let stale = expect_hit(stand, worker, "/search/down?a=2", "old");
        assert!(stale.field("cache-status").ends_with("detail=stale-if-down"));
    }
    purge_url(stand, 0, "/search/down?a=2", "revalidate");
    for worker in [0, 1] {
        assert_eq!(get(stand, worker, "/search/down?a=2").status, 503);
    }
}
