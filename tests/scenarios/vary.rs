//! Responses that differ by request fields (RFC 9111 §4.1).

use std::time::Duration;

use super::telling::{admin, command, expect_miss, get, page, purge_url, with_admin};
use crate::stand::{Reply, Request, Response, Stand};

fn ask(stand: &mut dyn Stand, worker: usize, path: &str, field: (&str, &str)) -> Response {
    stand.send(worker, Request::get(path).field(field.0, field.1))
}

fn varying(body: &str, vary: &str) -> Reply {
    page(body).field("vary", vary)
}

pub fn each_variant_is_stored_and_answers_its_own_requests(stand: &mut dyn Stand) {
    stand.origin(
        "/vary/two",
        vec![varying("german", "x-lang"), varying("english", "x-lang"), varying("none", "X-Lang")],
    );
    let first = ask(stand, 0, "/vary/two", ("x-lang", "de"));
    assert_eq!(
        (first.text().as_str(), first.field("cache-status").as_str()),
        ("german", "larder; fwd=uri-miss; stored")
    );
    let second = ask(stand, 1, "/vary/two", ("x-lang", "en"));
    assert_eq!(
        (second.text().as_str(), second.field("cache-status").as_str()),
        ("english", "larder; fwd=vary-miss; stored")
    );
    expect_miss(stand, 0, "/vary/two", "none");
    for worker in [0, 1] {
        for (lang, body) in [(Some("de"), "german"), (Some("en"), "english"), (None, "none")] {
            let request = lang.iter().fold(Request::get("/vary/two"), |r, lang| r.field("x-lang", lang));
            let hit = stand.send(worker, request);
            assert_eq!((hit.is_hit(), hit.text().as_str()), (true, body), "{}", hit.field("cache-status"));
        }
    }
    assert_eq!(stand.origin_count("/vary/two"), 3);
}

pub fn equivalent_request_fields_share_a_variant(stand: &mut dyn Stand) {
    let cases: [(&str, &str, &[&str]); 5] = [
        ("accept-encoding", "gzip, br", &["br,gzip", "gzip;q=1.0 , BR", "br, gzip, zstd;q=0"]),
        (
            "accept-encoding",
            "gzip, deflate, br",
            &["gzip, deflate, br, zstd", "br;q=1.0, gzip;q=0.8, *;q=0.1"],
        ),
        (
            "accept-encoding",
            "gzip",
            &["gzip, deflate", "x-gzip", "GZIP;q=0.5", "gzip, br;q=0", "gzip;q=0.9, zstd"],
        ),
        (
            "accept-encoding",
            "identity",
            &["", "identity;q=1", "gzip;q=0", "identity;q=1, *;q=0", "deflate", "*"],
        ),
        ("accept-language", "de, en-GB;q=0.5", &["en-gb;q=0.5,de", "DE,en-GB;q=0.50", "de , en-gb; q=0.500"]),
    ];
    for (n, (field, value, others)) in cases.into_iter().enumerate() {
        let path = format!("/vary/same-{n}");
        stand.origin(&path, vec![varying("one", field), varying("two", field)]);
        ask(stand, 0, &path, (field, value));
        for other in others {
            let response = ask(stand, 1, &path, (field, other));
            assert_eq!((response.is_hit(), response.text().as_str()), (true, "one"), "{field}: {other}");
        }
    }
}

pub fn different_request_fields_never_share_a_variant(stand: &mut dyn Stand) {
    let cases = [
        ("accept-encoding", "gzip", "br"),
        ("accept-encoding", "gzip", "gzip;q=0.5, br"),
        ("accept-encoding", "gzip", "gzip;q=0"),
        ("accept-encoding", "gzip", "gzip, identity;q=0"),
        ("accept-encoding", "identity", "*;q=0"),
        ("accept-language", "de, en;q=0.5", "en, de;q=0.5"),
        ("accept-language", "de, en", "en, de"),
        ("accept-language", "de, en;q=0", "de"),
        ("x-list", "a, b", "b, a"),
        ("x-list", "a, b", "a,b"),
        ("user-agent", "a (b;  c)", "a (b; c)"),
        ("x-case", "a", "A"),
        ("cookie", "a=1", "a=2"),
    ];
    for (n, (field, one, two)) in cases.into_iter().enumerate() {
        let path = format!("/vary/other-{n}");
        stand.origin(&path, vec![varying("one", field), varying("two", field)]);
        assert_eq!(ask(stand, 0, &path, (field, one)).text(), "one");
        assert_eq!(ask(stand, 0, &path, (field, two)).text(), "two", "{field}: {two}");
        assert_eq!(ask(stand, 1, &path, (field, one)).text(), "one");
    }
}

pub fn a_response_may_change_its_vary(stand: &mut dyn Stand) {
    admin(stand);
    let path = "/vary/changes";
    stand.origin(path, vec![page("for all"), varying("a", "x-a"), varying("b", "x-b"), varying("c", "x-b")]);
    assert_eq!(ask(stand, 0, path, ("x-a", "1")).text(), "for all");
    assert!(ask(stand, 1, path, ("x-a", "2")).is_hit());
    purge_url(stand, 1, path, "hard");
    assert_eq!(ask(stand, 0, path, ("x-a", "1")).text(), "a");
    assert_eq!(ask(stand, 1, path, ("x-a", "1")).text(), "a");
    // Another value of x-a, and now the origin varies by x-b.
    assert_eq!(ask(stand, 0, path, ("x-a", "2")).text(), "b");
    assert_eq!(ask(stand, 1, path, ("x-b", "2")).text(), "c");
    for worker in [0, 1] {
        let hit = ask(stand, worker, path, ("x-b", "2"));
        assert_eq!((hit.is_hit(), hit.text().as_str()), (true, "c"));
        let hit = ask(stand, worker, path, ("x-a", "3"));
        assert_eq!((hit.is_hit(), hit.text().as_str()), (true, "b"), "x-a does not count any more");
    }
}

pub fn a_page_that_no_longer_varies_is_one_for_all(stand: &mut dyn Stand) {
    admin(stand);
    stand.origin("/vary/ends", vec![varying("a", "x-a"), page("for all"), page("wrong")]);
    ask(stand, 0, "/vary/ends", ("x-a", "1"));
    purge_url(stand, 0, "/vary/ends", "hard");
    ask(stand, 1, "/vary/ends", ("x-a", "1"));
    for worker in [0, 1] {
        for value in ["1", "2"] {
            let hit = ask(stand, worker, "/vary/ends", ("x-a", value));
            assert_eq!((hit.is_hit(), hit.text().as_str()), (true, "for all"));
        }
    }
}

/// Whether a variant is stored: a question that stores nothing itself.
fn is_stored(stand: &mut dyn Stand, worker: usize, path: &str, field: (&str, &str)) -> bool {
    let request = Request::get(path).field(field.0, field.1).field("cache-control", "only-if-cached");
    stand.send(worker, request).is_hit()
}

pub fn variants_are_bounded(stand: &mut dyn Stand) {
    stand.configure(r#"{"variants_max": 3}"#).unwrap();
    stand.origin("/vary/bounded", vec![varying("page", "x-any")]);
    for n in 0..6 {
        let response = ask(stand, n % 2, "/vary/bounded", ("x-any", &n.to_string()));
        assert_eq!((response.status, response.text().as_str()), (200, "page"));
        let status = response.field("cache-status");
        assert!(status.ends_with("-miss; stored"), "{status}");
        assert!(is_stored(stand, (n + 1) % 2, "/vary/bounded", ("x-any", &n.to_string())), "{n}");
    }
    let stored: Vec<usize> =
        (0..6).filter(|n| is_stored(stand, 0, "/vary/bounded", ("x-any", &n.to_string()))).collect();
    assert_eq!(stored, [3, 4, 5]);
}

pub fn a_popular_variant_evicts_the_least_used_one(stand: &mut dyn Stand) {
    admin(stand);
    let path = "/vary/demand";
    stand.origin(path, vec![varying("page", "x-agent")]);
    let agent = |n: usize| format!("odd-{n}");
    for n in 0..16 {
        ask(stand, n % 2, path, ("x-agent", &agent(n)));
    }
    // All sixteen places are taken, and the popular one comes last.
    ask(stand, 0, path, ("x-agent", "popular"));
    for n in 0..6 {
        assert!(ask(stand, n % 2, path, ("x-agent", "popular")).is_hit(), "{n}");
    }
    // What workers used of their own copies, they tell at their ticks.
    stand.pass(Duration::from_millis(300));
    let evicted = stand.metric("evicted");
    for n in 16..56 {
        let response = ask(stand, n % 2, path, ("x-agent", &agent(n)));
        assert_eq!(response.field("cache-status"), "larder; fwd=vary-miss; stored", "{n}");
    }
    // Those that were displaced have given back what they took.
    assert!(stand.metric("evicted") >= evicted + 40, "{}", stand.metric("evicted") - evicted);
    for worker in [0, 1] {
        assert!(is_stored(stand, worker, path, ("x-agent", "popular")), "worker {worker}");
    }
    let odd = (0..56).filter(|n| is_stored(stand, 0, path, ("x-agent", &agent(*n)))).count();
    assert_eq!(odd, 15);
    let answer = command(stand, 0, "GET", &format!("/_larder/entry?url=http://shop.example{path}"), "");
    let shown: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(shown["entries"].as_array().unwrap().len(), 16, "{shown}");
}

pub fn a_purge_of_a_full_list_makes_room_for_all(stand: &mut dyn Stand) {
    stand.configure(&with_admin(r#""variants_max": 4,"#)).unwrap();
    let path = "/vary/refilled";
    stand.origin(path, vec![varying("page", "x-n")]);
    for round in 0..3 {
        for n in 0..4 {
            let response = ask(stand, n % 2, path, ("x-n", &n.to_string()));
            assert!(!response.is_hit(), "{round}, {n}");
        }
        let stored = (0..4).filter(|n| is_stored(stand, 1, path, ("x-n", &n.to_string()))).count();
        assert_eq!(stored, 4, "{round}");
        purge_url(stand, 1, path, "hard");
    }
}

pub fn vary_star_is_never_reused(stand: &mut dyn Stand) {
    stand.origin("/vary/any", vec![varying("page", "x-a, *")]);
    let response = get(stand, 0, "/vary/any");
    assert_eq!(response.field("cache-status"), "larder; fwd=uri-miss; detail=vary-any");
    for (worker, count) in [(0, 2), (1, 3)] {
        expect_miss(stand, worker, "/vary/any", "page");
        assert_eq!(stand.origin_count("/vary/any"), count);
    }
}
