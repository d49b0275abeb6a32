//! The admin route: who may use it and what it says of a wrong command.

use super::telling::{
    TOKEN, admin, command, commanding, expect_hit, expect_miss, get, page, pages, with_admin,
};
use crate::stand::{Request, Stand};

pub fn without_a_token_the_route_is_a_missing_page(stand: &mut dyn Stand) {
    admin(stand);
    let strangers = [
        Request::new("POST", "/_larder/purge").body("{}"),
        Request::get("/_larder/stats"),
        Request::get("/_larder/"),
        Request::get("/_larder"),
        Request::get("/_larder/stats").field("authorization", ""),
    ];
    let seen = |stand: &mut dyn Stand, request: &Request| {
        let mut response = stand.send(0, request.clone());
        response.fields.retain(|(name, _)| name != "date" && name != "x-envoy-upstream-service-time");
        response
    };
    for request in strangers {
        let elsewhere = Request { target: request.target.replace("_larder", "_nothing"), ..request.clone() };
        assert_eq!(seen(stand, &request), seen(stand, &elsewhere), "{request:?}");
        assert_eq!(seen(stand, &request).status, 404);
        assert_eq!(stand.origin_log().pop().unwrap().target, request.target);
    }
}

/// A wrong token never reaches the origin, whose 200 would look like success, and is answered in the client's own words.
pub fn a_wrong_token_gets_401_and_does_not_reach_the_origin(stand: &mut dyn Stand) {
    admin(stand);
    let before = stand.metric("admin_unauthorized");
    let wrong = ("authorization", "Bearer wrong");
    let requests = [
        (Request::get("/_larder/stats"), wrong, "message"),
        (Request::new("POST", "/_larder/purge").body("{}"), wrong, "message"),
        (Request::get("/_larder"), wrong, "message"),
        (Request::get("/_larder/?x"), ("authorization", "Basic b3BzOm9wcw=="), "message"),
        (Request::new("POST", "/client/v4/zones/z/purge_cache").body("{}"), wrong, "\"success\":false"),
        (
            Request::new("POST", "/client/v4/zones/z/purge_cache").body("{}"),
            ("x-auth-key", "k"),
            "\"success\":false",
        ),
        (Request::new("POST", "/service/SU1/purge_all"), ("fastly-key", "wrong"), "\"msg\""),
        (Request::new("PURGE", "/page"), ("fastly-key", "wrong"), "\"msg\""),
        (Request::new("PURGE", "/souin-api/souin/flush"), wrong, "message"),
    ];
    let sent = requests.len() as u64;
    for (request, (name, value), shape) in requests {
        let response = stand.send(0, request.clone().field(name, value));
        assert_eq!(response.status, 401, "{request:?}: {}", response.text());
        assert!(response.text().contains(shape), "{request:?}: {}", response.text());
        assert!(!response.text().contains("wrong"), "{}", response.text());
        assert!(response.field("www-authenticate").starts_with("Bearer"), "{response:?}");
    }
    for value in [&TOKEN.as_bytes()[..10], b"\xff"] {
        let value = [b"Bearer ", value].concat();
        assert_eq!(stand.send(1, Request::get("/_larder/stats").field("authorization", value)).status, 401);
    }
    assert_eq!(stand.origin_log().len(), 0);
    assert_eq!(stand.metric("admin_unauthorized"), before + sent + 2);
}

/// What cannot be read is told at once and clearly.
pub fn an_unreadable_command_gets_an_error_with_the_reason(stand: &mut dyn Stand) {
    admin(stand);
    for (name, value, status) in [
        ("content-encoding", "gzip", 415),
        ("content-type", "multipart/form-data; boundary=x", 415),
        ("content-type", "application/xml", 415),
        ("content-type", "text/plain", 200),
    ] {
        let body = r#"{"selectors": [{"tag": "t"}]}"#;
        let mut request = commanding("POST", "/_larder/purge", body);
        request.fields.retain(|(known, _)| known != name);
        let response = stand.send(0, request.field(name, value));
        assert_eq!(response.status, status, "{name}: {value}: {}", response.text());
    }
    let options = command(stand, 0, "OPTIONS", "/_larder/purge", "");
    assert_eq!((options.status, options.field("allow").as_str()), (204, "POST, OPTIONS"));
    for (body, named) in [
        (r#"{"selectors": [{"tag": "a"}], "mode": "hard", "mode": "soft"}"#, "mode"),
        (r#"{"selectors": [{"tag": "a", "tag": "b"}]}"#, "tag"),
        (r#"{"selectors": [{"tag": "a"}], "hosts": []}"#, "hosts"),
    ] {
        let response = command(stand, 1, "POST", "/_larder/purge", body);
        assert_eq!(response.status, 400, "{body}");
        assert!(response.text().contains(named), "{body}: {}", response.text());
    }
    assert_eq!(stand.origin_log().len(), 0);
}

pub fn without_a_configured_token_there_is_no_route(stand: &mut dyn Stand) {
    assert_eq!(command(stand, 0, "GET", "/_larder/stats", "").status, 404);
    assert_eq!(stand.origin_count("/_larder/stats"), 1);
}

pub fn commands_never_reach_the_origin(stand: &mut dyn Stand) {
    admin(stand);
    let url = r#"{"selectors": [{"url": "http://shop.example/a"}]}"#;
    for (method, path, body, status) in [
        ("GET", "/_larder/stats", "", 200),
        ("GET", "/_larder/health", "", 200),
        ("POST", "/_larder/purge", url, 200),
        ("GET", "/_larder/purge", "", 405),
        ("POST", "/_larder/stats", "", 405),
        ("DELETE", "/_larder/purge", "", 405),
        ("GET", "/_larder/unknown", "", 404),
        ("POST", "/_larder/purge", "", 400),
    ] {
        for worker in [0, 1] {
            let response = command(stand, worker, method, path, body);
            assert_eq!(response.status, status, "{method} {path}: {}", response.text());
            assert_eq!(response.field("cache-control"), "no-store");
            assert!(
                serde_json::from_slice::<serde_json::Value>(&response.body).is_ok(),
                "{}",
                response.text()
            );
        }
    }
    assert_eq!(stand.origin_log().len(), 0);
}

pub fn a_wrong_command_gets_an_error_with_the_place_and_has_no_effect(stand: &mut dyn Stand) {
    admin(stand);
    stand.origin("/admin/kept", pages(&["old", "new"]));
    get(stand, 0, "/admin/kept");
    let good = r#"{"url": "http://shop.example/admin/kept"}"#;
    let cases = [
        ("{".to_string(), "", "not valid JSON"),
        ("[]".into(), "", "a list is not an object"),
        ("{}".into(), "selectors", "is missing"),
        (r#"{"selectors": {}}"#.into(), "selectors", "an object is not a list"),
        (r#"{"selectors": []}"#.into(), "selectors", "0 elements; expected 1 to"),
        (format!(r#"{{"selectors": [{good}, 7]}}"#), "selectors[1]", "7 is not an object"),
        (
            format!(r#"{{"selectors": [{good}, {{"uri": "x"}}]}}"#),
            "selectors[1].uri",
            "unknown field; expected one of url, ",
        ),
        (
            format!(r#"{{"selectors": [{good}, {{"url": ""}}]}}"#),
            "selectors[1].url",
            "is empty; expected a value",
        ),
        (
            format!(r#"{{"selectors": [{good}, {{"tag": 5}}]}}"#),
            "selectors[1].tag",
            "5 is not a string; expected",
        ),
        (format!(r#"{{"selectors": [{good}, {{"regex": "("}}]}}"#), "selectors[1].regex", ""),
        (
            format!(r#"{{"selectors": [{good}], "mode": "softly"}}"#),
            "mode",
            "\"softly\" is not a mode; expected one of",
        ),
        (
            format!(r#"{{"selectors": [{good}], "moode": "hard"}}"#),
            "moode",
            "unknown field; expected one of mode, ",
        ),
    ];
    for (body, path, message) in cases {
        let response = command(stand, 1, "POST", "/_larder/purge", &body);
        let answer: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        let error = &answer["error"];
        assert_eq!(
            (response.status, error["path"].as_str().unwrap_or_default()),
            (400, path),
            "{body}: {answer}"
        );
        assert!(error["message"].as_str().unwrap().contains(message), "{body}: {answer}");
    }
    expect_hit(stand, 0, "/admin/kept", "old");
}

pub fn a_command_may_come_in_pieces(stand: &mut dyn Stand) {
    admin(stand);
    stand.origin("/admin/pieces", pages(&["0", "1", "2", "3"]));
    get(stand, 0, "/admin/pieces");
    let body = |bytes: usize| {
        let command = r#"{"selectors": [{"url": "http://shop.example/admin/pieces"}], "mode": "hard"}"#;
        format!("{}{command}", " ".repeat(bytes))
    };
    for (n, bytes) in [(1, 40_000), (2, 0)] {
        assert_eq!(command(stand, 1, "POST", "/_larder/purge", &body(bytes)).status, 200, "{bytes}");
        expect_miss(stand, 0, "/admin/pieces", &n.to_string());
    }
    let chunked = commanding("POST", "/_larder/purge", &body(40_000)).trailer("x-end", "1");
    assert_eq!(stand.send(0, chunked).status, 200, "chunked, with trailers");
    expect_miss(stand, 1, "/admin/pieces", "3");
    let nothing = commanding("GET", "/_larder/stats", "").trailer("x-end", "1");
    assert_eq!(stand.send(0, nothing).status, 200, "trailers and nothing else");
    assert_eq!(stand.origin_count("/_larder/purge"), 0);
}

pub fn a_command_may_not_be_too_long(stand: &mut dyn Stand) {
    admin(stand);
    for bytes in [70_000, 200_000] {
        let response = command(stand, 0, "POST", "/_larder/purge", &" ".repeat(bytes));
        assert_eq!(response.status, 413, "{bytes}");
        assert!(response.text().contains("65536"), "{}", response.text());
    }
    assert_eq!(stand.origin_count("/_larder/purge"), 0);
    assert_eq!(command(stand, 0, "GET", "/_larder/stats", "").status, 200);
}

pub fn statistics_are_numbers_by_name(stand: &mut dyn Stand) {
    admin(stand);
    stand.origin("/admin/counted", vec![page("page")]);
    let hits = |stand: &mut dyn Stand| {
        let response = command(stand, 1, "GET", "/_larder/stats", "");
        assert_eq!(response.field("content-type"), "application/json");
        let stats: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        stats["larder_hits"].as_u64().expect("a number")
    };
    let before = (hits(stand), stand.metric("hits"));
    get(stand, 0, "/admin/counted");
    get(stand, 1, "/admin/counted");
    assert_eq!((hits(stand), stand.metric("hits")), (before.0 + 1, before.1 + 1));
}

pub fn scopes_limit_what_a_token_may_do(stand: &mut dyn Stand) {
    let tokens = with_admin("").replace(r#""ops","#, r#""reader", "scopes": ["read"],"#);
    stand.configure(&tokens).unwrap();
    assert_eq!(command(stand, 0, "GET", "/_larder/stats", "").status, 200);
    let response = command(stand, 0, "POST", "/_larder/purge", r#"{"selectors": [{"tag": "a"}]}"#);
    assert_eq!(response.status, 403);
    assert!(response.text().contains("purge"), "{}", response.text());
}

pub fn the_path_can_be_another(stand: &mut dyn Stand) {
    let moved = with_admin("").replace(r#""admin": {"#, r#""admin": {"path": "/secret/","#);
    stand.configure(&moved).unwrap();
    assert_eq!(command(stand, 0, "GET", "/secret/stats", "").status, 200);
    assert_eq!(command(stand, 0, "GET", "/_larder/stats", "").status, 404);
}

pub fn a_strangers_purge_is_a_request_like_any_other(stand: &mut dyn Stand) {
    let methods = with_admin("").replace(r#""admin": {"#, r#""admin": {"methods": true,"#);
    stand.configure(&methods).unwrap();
    stand.origin("/admin/stranger", pages(&["old", "new"]));
    get(stand, 0, "/admin/stranger");
    assert_eq!(command(stand, 0, "REPORT", "/admin/stranger", "").status, 200);
    get(stand, 0, "/admin/stranger");
}
