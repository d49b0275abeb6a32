//! Who is let in, and how often.

use super::operating::{command, configure, fill, is_hit, json, page};
use crate::stand::{Reply, Request, Stand};

/// Without a token the route is a page like any other, and where it is wanted purging methods go to the origin.
pub fn strangers_meet_the_origin(stand: &mut dyn Stand) {
    configure(stand, r#", "methods": true, "strangers": "pass""#, "");
    stand.origin("/page", vec![page("v", "t")]);
    fill(stand, &["/page"]);
    stand.origin("/page", vec![Reply::status(405)]);
    for (token, methods) in
        [(None, &["PURGE", "BAN", "REFRESH"][..]), (Some("Bearer wrong"), &["PURGE", "BAN", "REFRESH"])]
    {
        for method in methods {
            let mut request = Request::new(method, "/page");
            if let Some(token) = token {
                request = request.field("authorization", token);
            }
            assert_eq!(stand.send(0, request).status, 405, "{method} {token:?}");
        }
    }
    for target in ["/_larder/stats", "/nothing"] {
        assert_eq!(stand.send(0, Request::get(target)).status, 404, "{target}");
    }
    let log = stand.origin_log();
    assert_eq!(log.iter().filter(|r| r.method == "PURGE" && r.target == "/page").count(), 2);
    assert!(command(stand, "GET", "/_larder/stats", "").status == 200);
}

/// A stranger's purge does not purge. (As an unsafe method that succeeded it would invalidate, RFC 9111 §4.4.)
pub fn a_strangers_purge_purges_nothing(stand: &mut dyn Stand) {
    configure(stand, r#", "methods": true, "strangers": "pass""#, "");
    stand.origin("/kept", vec![page("v", "t"), Reply::status(405)]);
    fill(stand, &["/kept"]);
    assert_eq!(stand.send(0, Request::new("PURGE", "/kept")).status, 405);
    assert!(is_hit(stand, 1, "/kept"));
}

/// Unless the operator wants it otherwise, a stranger's purge ends at the cache.
pub fn strangers_purges_are_forbidden(stand: &mut dyn Stand) {
    configure(stand, r#", "methods": true"#, "");
    stand.origin("/page", vec![page("v", "t")]);
    for method in ["PURGE", "BAN", "PURGEKEYS", "PURGETAGS", "REFRESH"] {
        for (name, value, status) in
            [("x-nothing", "", 403), ("authorization", "Bearer wrong", 401), ("fastly-key", "wrong", 401)]
        {
            let response = stand.send(0, Request::new(method, "/page").field(name, value));
            assert_eq!(response.status, status, "{method} {name}");
        }
    }
    assert_eq!(stand.origin_count("/page"), 0);
    assert_eq!(command(stand, "PURGE", "/page", "").status, 200);
}

/// A token counts for nothing from a network where no caller is.
pub fn callers_come_from_their_networks(stand: &mut dyn Stand) {
    let stats = |stand: &mut dyn Stand| command(stand, "GET", "/_larder/stats", "").status;
    for (networks, status) in [
        (r#"["127.0.0.0/8", "::1"]"#, 200),
        (r#"["192.0.2.0/24"]"#, 404),
        (r#"["192.0.2.1", "127.0.0.1"]"#, 200),
    ] {
        configure(stand, &format!(r#", "networks": {networks}"#), "");
        assert_eq!(stats(stand), status, "{networks}");
        assert_eq!(stand.origin_count("/_larder/stats"), 0, "no token reaches the origin");
    }
    // No certificate, no name.
    configure(stand, r#", "client_names": ["spiffe://example/ops"]"#, "");
    assert_eq!(stats(stand), 404);
}

/// Too many commands are answered with 429 and when to come again.
pub fn commands_have_a_rate(stand: &mut dyn Stand) {
    configure(stand, r#", "rate": {"per_minute": 60, "burst": 3}"#, "");
    // One more is let through for each second that a busy machine takes.
    let began = stand.now();
    let mut let_through = 0;
    let response = loop {
        let response = command(stand, "GET", "/_larder/stats", "");
        if response.status != 200 {
            break response;
        }
        let_through += 1;
        let most = 3 + (stand.now() - began).as_secs();
        assert!(let_through <= most, "{let_through} of {most}");
    };
    assert!(let_through >= 3, "{let_through}");
    assert_eq!(response.status, 429);
    assert!(matches!(response.field("retry-after").as_str(), "1"), "{response:?}");
    let other = stand.send(1, Request::get("/_larder/stats").field("authorization", "Bearer read"));
    assert_eq!(other.status, 200, "another token has its own rate");
    stand.pass(std::time::Duration::from_millis(1100));
    assert_eq!(command(stand, "GET", "/_larder/stats", "").status, 200);
}

/// Patterns that fill the journal would make everything be asked for again: a token that may not purge everything
/// cannot do that with many purges either.
pub fn patterns_of_a_limited_token_flush_nothing(stand: &mut dyn Stand) {
    configure(stand, r#", "rate": {"per_minute": 100000, "burst": 10000}"#, "");
    stand.origin("/kept", vec![page("v", "t")]);
    fill(stand, &["/kept"]);
    let send = |stand: &mut dyn Stand, token: &str, from: usize, count: usize| {
        let patterns: Vec<String> =
            (from..from + count).map(|n| format!(r#"{{"regex": "^/never/{n}$"}}"#)).collect();
        let body = format!(r#"{{"selectors": [{}], "mode": "hard"}}"#, patterns.join(","));
        let request =
            Request::new("POST", "/_larder/purge").field("authorization", format!("Bearer {token}"));
        stand.send(1, request.body(body)).status
    };
    assert_eq!(send(stand, "purge", 0, 300), 400, "so many in one command");
    let statuses: Vec<u16> = (0..4).map(|n| send(stand, "purge", n * 200, 200)).collect();
    assert_eq!(statuses, [200, 429, 429, 429]);
    assert!(is_hit(stand, 0, "/kept") && is_hit(stand, 1, "/kept"));
    let purge = |stand: &mut dyn Stand, token: &str, selector: &str| {
        let body = format!(r#"{{"selectors": [{selector}], "mode": "hard"}}"#);
        let request =
            Request::new("POST", "/_larder/purge").field("authorization", format!("Bearer {token}"));
        stand.send(1, request.body(body)).status
    };
    // Conditions are held against responses one by one as well.
    let statuses: Vec<u16> = (0..300)
        .map(|n| purge(stand, "purge", &format!(r#"{{"tag": "never", "stored_before": {n}}}"#)))
        .collect();
    assert_eq!(statuses.iter().position(|status| *status != 200), Some(256));
    assert_eq!(statuses.last(), Some(&429));
    assert!(is_hit(stand, 0, "/kept") && is_hit(stand, 1, "/kept"));
    for everything in [
        r#"{"regex": "[a-z]"}"#,
        r#"{"regex": "e"}"#,
        r#"{"regex": "."}"#,
        r#"{"regex": "[a-z]/"}"#,
        r#"{"glob": "*e*"}"#,
        r#"{"status": 200}"#,
        r#"{"tag": "status:2xx"}"#,
        r#"{"all": true, "regex": "[a-z]"}"#,
    ] {
        let status = purge(stand, "purge", everything);
        assert!(matches!(status, 400 | 403), "{everything}: {status}");
    }
    assert!(is_hit(stand, 1, "/kept"));
    // There is room for those who may purge everything, and for what has a name.
    assert_eq!(send(stand, "all", 900, 50), 200);
    assert_eq!(purge(stand, "purge", r#"{"tag": "never"}"#), 200);
    assert!(is_hit(stand, 1, "/kept"));
    // A purge of everything makes room again.
    assert_eq!(
        command(stand, "POST", "/_larder/purge", r#"{"selectors": [{"all": true}], "mode": "hard"}"#).status,
        200
    );
    assert_eq!(send(stand, "purge", 0, 200), 200);
}

/// A token does what its scopes allow, and a command that is wrong anywhere does nothing at all.
pub fn a_wrong_command_is_not_carried_out_in_part(stand: &mut dyn Stand) {
    configure(stand, r#", "selectors_max": 3, "body_bytes_max": 1024"#, "");
    stand.origin("/half", vec![page("v", "half")]);
    fill(stand, &["/half"]);
    let send = |stand: &mut dyn Stand, token: &str, body: &str| {
        let request =
            Request::new("POST", "/_larder/purge").field("authorization", format!("Bearer {token}"));
        stand.send(1, request.body(body))
    };
    let long = "x".repeat(2000);
    let cases = [
        ("read", r#"{"selectors": [{"tag": "half"}]}"#.to_owned(), 403, None),
        ("purge", r#"{"selectors": [{"tag": "half"}, {"all": true}]}"#.into(), 403, None),
        (
            "all",
            r#"{"selectors": [{"tag": "half"}, {"regex": "("}]}"#.into(),
            400,
            Some("selectors[1].regex"),
        ),
        ("all", r#"{"selectors": [{"tag": "half"}], "mood": "hard"}"#.into(), 400, Some("mood")),
        ("all", r#"{"selectors": [{"tag": "half"}"#.into(), 400, None),
        (
            "all",
            r#"{"selectors": [{"tag": "half"}, {"tag": "b"}, {"tag": "c"}, {"tag": "d"}]}"#.into(),
            400,
            Some("selectors"),
        ),
        ("all", format!(r#"{{"selectors": [{{"tag": "half"}}], "reason": "{long}"}}"#), 413, None),
    ];
    for (token, body, status, path) in cases {
        let response = send(stand, token, &body);
        assert_eq!(response.status, status, "{token} {body}: {}", response.text());
        if let Some(path) = path {
            assert_eq!(json(&response)["error"]["path"], path, "{body}");
        }
    }
    assert!(is_hit(stand, 0, "/half"));
}

/// What an origin says of itself on the word of a client (`X-Forwarded-Host` and its kin) is for that client alone.
pub fn clients_cannot_choose_the_links_in_shared_responses(stand: &mut dyn Stand) {
    let fields = "x-forwarded-host x-forwarded-port x-forwarded-prefix x-forwarded-protocol x-forwarded-scheme \
        x-forwarded-server x-forwarded-ssl x-host x-http-host-override x-url-scheme front-end-https forwarded \
        x-original-url x-rewrite-url x-http-method x-http-method-override x-method-override";
    for name in fields.split_whitespace() {
        let path = format!("/links/{name}");
        let fresh = |body: &str| Reply::ok(body).field("cache-control", "max-age=600");
        stand.origin(&path, vec![fresh("links to evil"), fresh("good")]);
        let poisoned = stand.send(0, Request::get(&path).field(name, "evil"));
        assert_eq!(poisoned.text(), "links to evil", "{name} reaches the origin");
        for worker in [0, 1] {
            assert_eq!(stand.send(worker, Request::get(&path)).text(), "good", "{name}");
        }
    }
}

/// The operator may say what becomes of such fields.
pub fn unkeyed_fields_are_treated_as_configured(stand: &mut dyn Stand) {
    let unkeyed = r#"{"x-host": "strip", "x-a": "bypass", "x-b": "key", "forwarded": "ignore"}"#;
    stand.configure(&format!(r#"{{"key": {{"unkeyed": {unkeyed}}}}}"#)).unwrap();
    let fresh = |body: &str| Reply::ok(body).field("cache-control", "max-age=600");
    let with = |stand: &mut dyn Stand, worker, path: &str, name: &str, value: &str| {
        let response = stand.send(worker, Request::get(path).field(name, value));
        (response.text(), response.field("cache-status"))
    };
    stand.origin("/strip", vec![fresh("one"), fresh("two")]);
    assert_eq!(with(stand, 0, "/strip", "x-host", "evil").0, "one");
    assert_eq!(with(stand, 1, "/strip", "x-host", "other").0, "one");
    assert_eq!(stand.origin_log().pop().unwrap().field("x-host"), "", "the origin does not see it");
    stand.origin("/bypass", vec![fresh("one"), fresh("two")]);
    assert!(with(stand, 0, "/bypass", "x-a", "1").1.contains("fwd=bypass; detail=unkeyed"));
    assert_eq!(with(stand, 0, "/bypass", "x-a", "1").0, "two");
    assert_eq!(stand.origin_log().pop().unwrap().field("x-a"), "1");
    stand.origin("/key", vec![fresh("one"), fresh("two")]);
    assert_eq!(with(stand, 0, "/key", "x-b", "1").0, "one");
    assert_eq!(with(stand, 1, "/key", "x-b", "2").0, "two");
    assert_eq!(with(stand, 1, "/key", "x-b", "1").0, "one");
    stand.origin("/ignore", vec![fresh("one"), fresh("two")]);
    assert_eq!(with(stand, 0, "/ignore", "forwarded", "for=192.0.2.1").0, "one");
    assert_eq!(with(stand, 1, "/ignore", "forwarded", "for=192.0.2.2").0, "one");
}
