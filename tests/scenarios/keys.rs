//! What the key makes equal, the origin sees as equal: spellings of hosts, codings, languages, cookies and queries.

use std::time::Duration;

use super::telling::{admin, await_origin, expect_hit, get, page, pages, purge_url};
use crate::stand::{OriginRequest, Reply, Request, Response, Stand};

fn ask(stand: &mut dyn Stand, worker: usize, path: &str, field: (&str, &str)) -> Response {
    stand.send(worker, Request::get(path).field(field.0, field.1))
}

/// What the origin has been sent last.
fn last(stand: &mut dyn Stand) -> OriginRequest {
    stand.origin_log().pop().expect("a request to the origin")
}

/// A page in a content coding, as an origin has it that only looks for the name.
fn coded(coding: &str) -> Reply {
    let body = if coding.is_empty() { "plain" } else { coding };
    let reply = page(body).field("vary", "accept-encoding");
    if coding.is_empty() { reply } else { reply.field("content-encoding", coding) }
}

pub fn a_refused_coding_is_not_sent_to_origins_that_only_look_for_its_name(stand: &mut dyn Stand) {
    let cases: [(&str, &str, &[&str]); 8] = [
        ("gzip;q=0", "identity", &["identity", "gzip;q=0.000", ""]),
        ("*;q=0, identity", "identity", &["identity"]),
        ("gzip, deflate;q=0", "gzip", &["gzip"]),
        ("gzip, deflate, br;q=0", "gzip", &["gzip, deflate"]),
        ("br;q=0, gzip;q=0, deflate", "identity", &["deflate"]),
        ("gzip;q=0.1, identity;q=0.5", "identity", &["identity"]),
        ("GZIP", "gzip", &["gzip"]),
        ("gzip;q=x", "identity", &["identity"]),
    ];
    for (n, (first, sent, others)) in cases.into_iter().enumerate() {
        let path = format!("/keys/coding-{n}");
        stand.origin(&path, vec![page("page").field("vary", "accept-encoding")]);
        ask(stand, 0, &path, ("accept-encoding", first));
        assert_eq!(last(stand).field("accept-encoding"), sent, "{first}");
        for other in others {
            assert!(ask(stand, 1, &path, ("accept-encoding", other)).is_hit(), "{first} and {other}");
        }
    }
    // Who says nothing of it says nothing to the origin either, and is another's neighbour.
    stand.origin("/keys/coding", vec![page("page").field("vary", "accept-encoding")]);
    ask(stand, 0, "/keys/coding", ("accept-encoding", "identity"));
    assert!(!get(stand, 0, "/keys/coding").is_hit());
    assert_eq!(last(stand).field("accept-encoding"), "");
}

pub fn browsers_share_variants_by_normalised_accept_encoding(stand: &mut dyn Stand) {
    stand.origin("/keys/browsers", vec![coded("gzip")]);
    ask(stand, 0, "/keys/browsers", ("accept-encoding", "gzip, deflate, br, zstd"));
    for worker in [0, 1] {
        // The last three accept less than the origin could choose from, and what it chose.
        for accepted in ["gzip, deflate, br", "br, gzip", "gzip, deflate", "x-gzip", "gzip, br;q=0"] {
            let hit = ask(stand, worker, "/keys/browsers", ("accept-encoding", accepted));
            assert!(hit.is_hit() && hit.text() == "gzip", "{accepted}: {}", hit.field("cache-status"));
        }
    }
    assert_eq!(stand.origin_count("/keys/browsers"), 1);
    assert_eq!(last(stand).field("accept-encoding"), "gzip, br");
}

pub fn a_coding_is_served_only_to_clients_that_accept_it(stand: &mut dyn Stand) {
    stand.origin("/keys/own", ["br", "gzip", ""].map(coded).to_vec());
    let clients = [
        ("gzip, deflate, br", "br"),
        ("gzip, deflate", "gzip"),
        ("identity", "plain"),
        ("gzip;q=0", "plain"),
        ("zstd, gzip", "gzip"),
        ("*", "plain"),
    ];
    for worker in [0, 1] {
        for (accepted, body) in clients {
            let response = ask(stand, worker, "/keys/own", ("accept-encoding", accepted));
            assert_eq!(response.text(), body, "{accepted}: {}", response.field("cache-status"));
        }
    }
    assert_eq!(stand.origin_count("/keys/own"), 3);
    // What was chosen from less says nothing about who accepts more.
    stand.origin("/keys/more", ["gzip", "br"].map(coded).to_vec());
    ask(stand, 0, "/keys/more", ("accept-encoding", "gzip"));
    assert_eq!(ask(stand, 0, "/keys/more", ("accept-encoding", "gzip, br")).text(), "br");
    assert_eq!(ask(stand, 0, "/keys/more", ("accept-encoding", "gzip")).text(), "gzip");
}

pub fn which_codings_count_is_configured(stand: &mut dyn Stand) {
    let of = |path: &str, codings: &str| {
        format!(r#"{{"match": {{"path": "{path}"}}, "key": {{"accept_encoding": {codings}}}}}"#)
    };
    let rules = [of("/keys/gzip", r#"["gzip"]"#), of("/keys/none", "[]"), of("/keys/sent", r#""as_sent""#)];
    let zstd = r#"{"key": {"accept_encoding": ["gzip", "br", "zstd"]}"#;
    stand.configure(&format!(r#"{zstd}, "rules": [{}]}}"#, rules.join(","))).unwrap();
    let browser = "gzip, deflate, br, zstd";
    for (path, sent) in [
        ("/keys/gzip", "gzip"),
        ("/keys/none", "identity"),
        ("/keys/sent", browser),
        ("/keys/zstd", "gzip, br, zstd"),
    ] {
        stand.origin(path, vec![page("page").field("vary", "accept-encoding")]);
        ask(stand, 0, path, ("accept-encoding", browser));
        assert_eq!(last(stand).field("accept-encoding"), sent, "{path}");
        assert!(ask(stand, 1, path, ("accept-encoding", browser)).is_hit());
    }
    assert!(!ask(stand, 0, "/keys/sent", ("accept-encoding", "gzip,deflate,br,zstd")).is_hit());
    assert!(!ask(stand, 0, "/keys/zstd", ("accept-encoding", "gzip, br")).is_hit());
}

/// Envoy chooses the virtual host by it, and origins their redirects, links and errors.
pub fn a_spelling_of_the_host_answers_only_itself(stand: &mut dyn Stand) {
    admin(stand);
    let spellings =
        ["SHOP.example", "shop.example:80", "shop.example:", "shop.example:0080", "Shop.example:80"];
    stand.origin("/keys/host", ["1", "2", "3", "4", "5", "own"].map(page).to_vec());
    for spelling in spellings {
        assert!(!stand.send(0, Request::get("/keys/host").host(spelling)).is_hit(), "{spelling}");
    }
    assert_eq!(get(stand, 0, "/keys/host").text(), "own");
    for worker in [0, 1] {
        expect_hit(stand, worker, "/keys/host", "own");
        assert_eq!(stand.send(worker, Request::get("/keys/host").host(spellings[1])).text(), "2");
    }
    // A purge of the URL is one of all its spellings.
    purge_url(stand, 1, "/keys/host", "hard");
    for spelling in spellings.into_iter().chain(["shop.example"]) {
        assert!(!stand.send(0, Request::get("/keys/host").host(spelling)).is_hit(), "{spelling}");
    }
}

pub fn languages_of_equal_weight_keep_their_order(stand: &mut dyn Stand) {
    let pages = ["german", "english"].map(|body| page(body).field("vary", "accept-language"));
    stand.origin("/keys/language", pages.to_vec());
    assert_eq!(ask(stand, 0, "/keys/language", ("accept-language", "de, EN")).text(), "german");
    assert_eq!(last(stand).field("accept-language"), "de,en");
    assert_eq!(ask(stand, 0, "/keys/language", ("accept-language", "en, de")).text(), "english");
    for worker in [0, 1] {
        for (asked, body) in [("DE,en", "german"), ("en , de", "english"), ("de, en;q=1.0", "german")] {
            let hit = ask(stand, worker, "/keys/language", ("accept-language", asked));
            assert_eq!((hit.is_hit(), hit.text().as_str()), (true, body), "{asked}");
        }
    }
    // What browsers send goes on as it is.
    stand.origin("/keys/browser", vec![page("page")]);
    let browser = "zh-Hant-TW,zh;q=0.9,en-US;q=0.8,en;q=0.7";
    ask(stand, 0, "/keys/browser", ("accept-language", browser));
    assert_eq!(last(stand).field("accept-language"), browser);
}

/// Of a name that comes twice some origins take the first cookie and some the last, and not all read names alike.
pub fn an_ambiguous_cookie_is_keyed_whole(stand: &mut dyn Stand) {
    stand.configure(r#"{"key": {"cookies": ["lang"]}}"#).unwrap();
    let odd = [
        "lang=de; lang=xx",
        "lang=xx; lang=de",
        "lang =xx",
        "a=1; lang\t=xx",
        "Lang=xx",
        "l%61ng=xx",
        "lang",
        "a=1, lang=xx",
        "a=1;lang=xx",
        "a=\"1; lang=de\"; lang=xx",
        "lang=\"de\"",
    ];
    let bodies: Vec<String> = (0..odd.len()).map(|n| n.to_string()).collect();
    let pages_of = bodies.iter().map(page).chain(pages(&["german", "default"])).collect();
    stand.origin("/keys/cookie", pages_of);
    for (cookie, body) in odd.iter().zip(&bodies) {
        assert_eq!(ask(stand, 0, "/keys/cookie", ("cookie", cookie)).text(), *body, "{cookie}");
    }
    assert_eq!(ask(stand, 0, "/keys/cookie", ("cookie", "lang=de")).text(), "german");
    assert_eq!(get(stand, 0, "/keys/cookie").text(), "default");
    for worker in [0, 1] {
        for (cookie, body) in [("id=7; lang=de; x=\"y\"", "german"), ("language=xx; id=lang", "default")] {
            let hit = ask(stand, worker, "/keys/cookie", ("cookie", cookie));
            assert_eq!((hit.is_hit(), hit.text().as_str()), (true, body), "{cookie}");
        }
    }
    stand.origin("/keys/cookies", pages(&["lines", "line"]));
    let lines = || Request::get("/keys/cookies").field("cookie", "id=8").field("cookie", "lang=de");
    stand.send(0, lines());
    assert_eq!(ask(stand, 0, "/keys/cookies", ("cookie", "id=8; lang=de")).text(), "line");
    assert_eq!(stand.send(1, lines()).text(), "lines");
}

pub fn cookies_of_analytics_make_no_variants(stand: &mut dyn Stand) {
    stand.configure(r#"{"key": {"cookies_drop": ["_ga*", "_fbp"]}}"#).unwrap();
    let reply = |body: &str| page(body).field("vary", "cookie");
    stand.origin("/keys/analytics", ["anybody", "dark"].map(reply).to_vec());
    assert_eq!(ask(stand, 0, "/keys/analytics", ("cookie", "_ga=GA1.1.2; _ga_X=GS1")).text(), "anybody");
    assert_eq!(last(stand).field("cookie"), "", "none is left");
    assert_eq!(ask(stand, 0, "/keys/analytics", ("cookie", "_ga=3; theme=dark; _fbp=fb.1")).text(), "dark");
    assert_eq!(last(stand).field("cookie"), "theme=dark");
    for worker in [0, 1] {
        for (cookie, body) in [
            ("_fbp=4", "anybody"),
            ("_ga=5; _fbp=6", "anybody"),
            ("theme=dark", "dark"),
            ("theme=dark; _gat=7", "dark"),
        ] {
            let hit = ask(stand, worker, "/keys/analytics", ("cookie", cookie));
            assert_eq!((hit.is_hit(), hit.text().as_str()), (true, body), "{cookie}");
        }
        expect_hit(stand, worker, "/keys/analytics", "anybody");
    }
    assert_eq!(stand.origin_count("/keys/analytics"), 2);
}

/// An origin that redirects to its own order would else redirect to itself.
pub fn a_query_is_sent_in_the_order_of_the_key(stand: &mut dyn Stand) {
    stand.configure(r#"{"key": {"query_sorted": true}}"#).unwrap();
    stand.origin("/keys/sorted", pages(&["page"]));
    get(stand, 0, "/keys/sorted?b=1&a=2&%61=1&c");
    assert_eq!(last(stand).target, "/keys/sorted?a=2&%61=1&b=1&c");
    expect_hit(stand, 1, "/keys/sorted?c&a=2&b=1&%61=1", "page");
    let all = r#"{"key": {"query_sorted": true, "query": {"drop": ["utm_*"]}, "forward_dropped": true}}"#;
    stand.configure(all).unwrap();
    stand.origin("/keys/sorted-all", pages(&["page"]));
    get(stand, 0, "/keys/sorted-all?utm_x=1&b=1&a=2");
    assert_eq!(last(stand).target, "/keys/sorted-all?a=2&b=1&utm_x=1");
}

/// Fields that have no form of their own are what they are, and so are their keys.
pub fn a_field_is_part_of_the_key_as_it_is_sent(stand: &mut dyn Stand) {
    stand.configure(r#"{"key": {"headers": ["x-list", "accept-language", "accept-encoding"]}}"#).unwrap();
    stand.origin("/keys/fields", pages(&["1", "2", "3"]));
    let values = ["a, b", "a,b", "a ,b"];
    for (worker, is_hit) in [(0, false), (1, true)] {
        for (value, body) in values.iter().zip(["1", "2", "3"]) {
            let response = ask(stand, worker, "/keys/fields", ("x-list", value));
            assert_eq!((response.is_hit(), response.text().as_str()), (is_hit, body), "{value}");
        }
    }
    stand.origin("/keys/formed", pages(&["one"]));
    for (worker, language, encoding) in [(0, "de, en", "gzip, deflate, br"), (1, "DE,EN", "br, zstd, gzip")] {
        let request = Request::get("/keys/formed").field("accept-language", language);
        let response = stand.send(worker, request.field("accept-encoding", encoding));
        assert_eq!((response.is_hit(), response.text().as_str()), (worker == 1, "one"));
    }
}

/// Whoever asks for what is refreshed: the client's own request, or a call in its stead.
pub fn a_refresh_asks_in_the_form_of_the_key(stand: &mut dyn Stand) {
    stand.configure(r#"{"key": {"query_sorted": true}}"#).unwrap();
    let stale =
        page("old").field("cache-control", "max-age=60, stale-while-revalidate=600").field("age", "100");
    let vary = "accept-encoding, accept-language";
    let reply = Reply { fields: stale.fields.into_iter().skip(1).collect(), ..stale };
    stand.origin("/keys/refresh", vec![reply.field("vary", vary), page("new").field("vary", vary)]);
    let request = || {
        let request = Request::get("/keys/refresh?b=1&a=2").field("accept-language", "de , EN-gb;q=0.50");
        request.field("accept-encoding", "zstd, br, gzip;q=0.5, deflate")
    };
    stand.send(0, request());
    stand.pass(Duration::from_millis(50));
    stand.send(0, request());
    await_origin(stand, "/keys/refresh", 2);
    for asked in stand.origin_log() {
        let fields = [asked.field("accept-encoding"), asked.field("accept-language")];
        assert_eq!(asked.target, "/keys/refresh?a=2&b=1");
        assert_eq!(fields, ["gzip, br", "de,en-GB;q=0.5"]);
    }
    stand.pass(Duration::from_millis(50));
    let hit = stand.send(1, request());
    assert_eq!((hit.is_hit(), hit.text().as_str()), (true, "new"));
}
