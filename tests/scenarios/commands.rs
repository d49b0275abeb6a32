//! Larder's own language.

use serde_json::{Value, json};

use super::operating::{command, configure, fill, is_hit, json, page, purge, told};
use super::telling::{await_hit, await_origin};
use crate::stand::{Reply, Request, Response, Stand};
use std::time::Duration;

const HOST: &str = "http://shop.example";

/// A purge holds on every worker, its receipt counts what it touched, and the journal tells of it.
pub fn a_purge_is_followed_by_its_receipt(stand: &mut dyn Stand) {
    configure(stand, "", "");
    for n in 0..5 {
        stand.origin(&format!("/p/{n}"), vec![page("v", if n < 3 { "few, all" } else { "all" })]);
        fill(stand, &[&format!("/p/{n}")]);
    }
    let receipt = purge(stand, "hard", r#"{"tag": "few"}"#);
    let answer = told(stand, "GET", &format!("/_larder/receipts/{receipt}"), "");
    assert_eq!(answer["holds"], true);
    // Ticks give room back, so where time passes by itself fewer may be left.
    let still_stored = |answer: &Value| answer["touched"]["still_stored"].as_u64().unwrap();
    let fewest = |count| if stand.name() == "Envoy" { 0 } else { count };
    let (three, one) = (fewest(3)..=3, fewest(1)..=1);
    assert!(three.contains(&still_stored(&answer)), "{answer}");
    assert_eq!(answer["touched"]["complete"], true);
    assert_eq!(answer["record"]["selector"], json!({"tag": "few"}));
    assert!(!is_hit(stand, 0, "/p/0") && !is_hit(stand, 1, "/p/1") && is_hit(stand, 1, "/p/4"));
    let answer = told(stand, "GET", &format!("/_larder/receipts/{receipt}"), "");
    assert!(one.contains(&still_stored(&answer)), "two have been fetched again: {answer}");
    let journal = told(stand, "GET", "/_larder/journal?limit=1", "");
    assert_eq!(journal["records"][0]["receipt"], receipt);
    assert_eq!(journal["records"][0]["token"], "all");
    assert_eq!(command(stand, "GET", &format!("/_larder/receipts/{}", receipt + 1), "").status, 404);
}

/// What JSON says in members can be said in the query, without a body.
pub fn a_command_needs_no_body(stand: &mut dyn Stand) {
    configure(stand, "", "");
    for path in ["/q/a", "/q/b", "/q/c+d", "/q/e%20f"] {
        stand.origin(path, vec![page("v", "q, user 42")]);
    }
    let all = ["/q/a", "/q/b?x=1&y", "/q/c+d", "/q/e%20f"];
    for (query, covers) in [
        ("tag=q", &all[..]),
        ("tag=user+42", &all),
        ("tag=user%2042&not.host=other.example", &all),
        ("tags=none,q", &all),
        ("tags_all=none,q", &[]),
        ("url=http://shop.example/q/a", &all[..1]),
        ("host=shop.example&path=/q/b%3Fx=1%26y", &all[1..2]),
        ("host=shop.example&path=/q/b", &[]),
        ("url_any_query=http://shop.example/q/b", &all[1..2]),
        ("url=http://shop.example/q/c+d", &all[2..3]),
        ("url=http://shop.example/q/e%2520f", &all[3..]),
        ("prefix=http://shop.example/q/&not.glob=/q/a", &all[1..]),
        ("host=shop.example&status=404&tag=q", &[]),
    ] {
        fill(stand, &all);
        let dry = told(stand, "POST", &format!("/_larder/purge?{query}&dry_run=true"), "");
        assert_eq!(dry["selectors"][0]["covers"], covers.len(), "{query}: {dry}");
        let answer = told(stand, "POST", &format!("/_larder/purge?{query}&mode=hard&reason=told+so"), "");
        assert!(answer["receipt"].is_u64(), "{answer}");
        for (n, path) in all.iter().enumerate() {
            assert_eq!(is_hit(stand, n % 2, path), !covers.contains(path), "{query}: {path}");
        }
    }
    let journal = told(stand, "GET", "/_larder/journal?limit=1", "");
    assert_eq!(journal["records"][0]["reason"], "told so");
    for (command, name) in [
        ("purge?tag=q&tag=r", "tag"),
        ("purge?tag=", "tag"),
        ("purge?tga=q", "tga"),
        ("purge?tag=q&mode=gone", "mode"),
        ("refresh?urls=http://shop.example/q/a", "url"),
        ("namespaces?tag=q&x=1", "x"),
    ] {
        let response = command_without_body(stand, command);
        assert_eq!((response.status, &json(&response)["error"]["path"]), (400, &json!(name)), "{command}");
    }
    let both = command(stand, "POST", "/_larder/purge?tag=q", r#"{"selectors": [{"tag": "none"}]}"#);
    assert!(both.status == 400 && both.text().contains("either a body or parameters"), "{}", both.text());
    assert!(is_hit(stand, 0, all[0]), "nothing is done by halves");
    // The same command under the same key is answered again; another one under it is refused.
    let once = |more: &str| format!("purge?tag=none&idempotency_key=once{more}");
    let first = command_without_body(stand, &once(""));
    assert_eq!(command_without_body(stand, &once("")).body, first.body);
    assert_eq!(command_without_body(stand, &once("&mode=hard")).status, 409);
}

/// URLs are fetched again and versions are raised without a body, too.
pub fn a_refresh_and_a_namespace_need_no_body(stand: &mut dyn Stand) {
    configure(stand, "", "");
    stand.origin("/r/a", vec![page("one", "t"), page("two", "t"), page("three", "t")]);
    fill(stand, &["/r/a"]);
    fill(stand, &["/r/a"]);
    let answer = told(stand, "POST", "/_larder/refresh?url=http://shop.example/r/a", "");
    assert_eq!(answer["urls"], json!(["shop.example/r/a"]), "{answer}");
    await_origin(stand, "/r/a", 2);
    let answer = told(stand, "POST", "/_larder/namespaces?prefix=http://shop.example/r/", "");
    assert_eq!(
        (&answer["version"], &answer["namespace"]),
        (&json!(1), &json!({"prefix": "shop.example/r/"}))
    );
    assert!(!is_hit(stand, 1, "/r/a"));
    let answer = told(stand, "POST", "/_larder/namespaces?tag=t&version=7&mode=soft", "");
    assert_eq!(answer["version"], 7, "{answer}");
}

fn command_without_body(stand: &mut dyn Stand, what: &str) -> Response {
    command(stand, "POST", &format!("/_larder/{what}"), "")
}

/// A dry run says what would be covered, and covers nothing.
pub fn a_dry_run_purges_nothing(stand: &mut dyn Stand) {
    configure(stand, "", "");
    for path in ["/dry/a", "/dry/b"] {
        stand.origin(path, vec![page("v", "dry")]);
    }
    fill(stand, &["/dry/a", "/dry/b"]);
    let body = r#"{"selectors": [{"tag": "dry"}, {"url": "http://shop.example/dry/a"}, {"tag": "none"}], "dry_run": true}"#;
    let answer = told(stand, "POST", "/_larder/purge", body);
    let covers: Vec<_> =
        answer["selectors"].as_array().unwrap().iter().map(|s| s["covers"].as_u64()).collect();
    assert_eq!((covers, &answer["complete"]), (vec![Some(2), Some(1), Some(0)], &json!(true)));
    assert!(is_hit(stand, 0, "/dry/a"));
}

/// What is stored can be listed page by page, and one URL seen in full.
pub fn stored_responses_can_be_listed(stand: &mut dyn Stand) {
    configure(
        stand,
        "",
        r#", "rules": [{"name": "listed", "match": {"path": "/list/**"}, "tags": ["ruled"]}]"#,
    );
    for n in 0..7 {
        stand.origin(&format!("/list/{n}"), vec![page("v", "listed")]);
        fill(stand, &[&format!("/list/{n}")]);
    }
    let (mut seen, mut next) = (Vec::new(), String::new());
    for _ in 0..9 {
        let answer = told(stand, "GET", &format!("/_larder/entries?tag=listed&limit=3{next}"), "");
        let entries = answer["entries"].as_array().unwrap();
        assert!(entries.len() <= 3);
        seen.extend(entries.iter().map(|entry| entry["url"].as_str().unwrap().to_owned()));
        match answer["next"].as_u64() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    seen.sort();
    assert_eq!(seen, (0..7).map(|n| format!("shop.example/list/{n}")).collect::<Vec<_>>());
    for query in
        ["prefix=http://shop.example/list", "tag=rule:listed", "tag=ruled&prefix=http://shop.example/list"]
    {
        let answer = told(stand, "GET", &format!("/_larder/entries?{query}"), "");
        assert_eq!(answer["entries"].as_array().unwrap().len(), 7, "{query}");
    }
    let answer = told(stand, "GET", "/_larder/entry?url=http://shop.example/list/3", "");
    let entry = &answer["entries"][0];
    assert_eq!((&entry["key"], &entry["state"]), (&json!("http://shop.example/list/3"), &json!("fresh")));
    assert_eq!(entry["tags"], json!(["listed", "rule:listed", "ruled"]));
    assert_eq!(command(stand, "GET", "/_larder/entry?url=http://shop.example/list/99", "").status, 404);
}

/// Variants of one URL are shown one by one, with what selects them.
pub fn the_variants_of_a_url_are_shown(stand: &mut dyn Stand) {
    configure(stand, "", "");
    stand.origin("/vary", vec![page("v", "vary").field("vary", "accept-language")]);
    for language in ["de", "en"] {
        stand.send(0, Request::get("/vary").field("accept-language", language));
    }
    let answer = told(stand, "GET", "/_larder/entry?url=http://shop.example/vary", "");
    let mut variants: Vec<_> = answer["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["variant"]["accept-language"].clone())
        .collect();
    variants.sort_by_key(ToString::to_string);
    assert_eq!(variants, [json!("de"), json!("en")], "{answer}");
    let of = |stand: &mut dyn Stand, language: &str| {
        told(
            stand,
            "GET",
            &format!("/_larder/explain?url=http://shop.example/vary&header=accept-language:{language}"),
            "",
        )
    };
    assert_eq!(of(stand, "de")["hit"], true);
    let french = of(stand, "fr");
    assert_eq!((&french["hit"], &french["stored"]), (&json!(false), &json!(false)));
    assert!(
        french["why"][0].as_str().unwrap().contains("other values of the request fields that Vary names"),
        "{french}"
    );
}

/// An explanation says what a request would find, which purges hit it, and what to change.
pub fn a_url_is_explained(stand: &mut dyn Stand) {
    configure(stand, "", r#", "rules": [{"name": "why", "match": {"path": "/why/**"}}]"#);
    stand.origin("/why/page", vec![page("v", "why")]);
    stand.origin("/why/private", vec![page("v", "why").field("cache-control", "private")]);
    stand.origin("/why/cookie", vec![page("v", "why").field("set-cookie", "a=b")]);
    let of = |stand: &mut dyn Stand, path: &str| {
        told(stand, "GET", &format!("/_larder/explain?url={HOST}{path}"), "")
    };
    let before = of(stand, "/why/page");
    assert_eq!(
        (&before["stored"], &before["why"][0].as_str().unwrap().contains("No response is stored")),
        (&json!(false), &true)
    );
    fill(stand, &["/why/page", "/why/private", "/why/cookie"]);
    let stored = of(stand, "/why/page");
    assert_eq!((&stored["hit"], &stored["key"]), (&json!(true), &json!("http://shop.example/why/page")));
    assert_eq!(stored["rules"], json!(["why"]));
    assert!(stored["why"][0].as_str().unwrap().contains("RFC 9111 §4.2"), "{stored}");
    let private = of(stand, "/why/private");
    assert_eq!(private["last_not_stored"]["section"], "RFC 9111 §5.2.2.7", "{private}");
    assert_eq!(of(stand, "/why/cookie")["last_not_stored"]["reason"], "set-cookie");
    purge(stand, "soft", r#"{"tag": "why"}"#);
    let receipt = purge(stand, "hard", r#"{"prefix": "http://shop.example/why/"}"#);
    let purged = of(stand, "/why/page");
    assert_eq!((&purged["hit"], &purged["invalidations_complete"]), (&json!(false), &json!(true)));
    assert_eq!(purged["invalidations"].as_array().unwrap().len(), 2, "{purged}");
    assert_eq!(purged["invalidations"][1]["receipt"], receipt);
}

/// A live request with the debug field is explained in its own response, and the origin does not see the field.
pub fn a_live_request_explains_itself(stand: &mut dyn Stand) {
    configure(stand, "", "");
    stand.origin("/live", vec![page("v", "live, page")]);
    let ask = |stand: &mut dyn Stand, token: &str| {
        stand.send(0, Request::get("/live").field("larder-debug", token))
    };
    let miss = ask(stand, "read").field("larder-debug");
    assert!(
        miss.contains("No response is stored for this URL") && miss.contains("The response is stored"),
        "{miss}"
    );
    let hit = ask(stand, "all").field("larder-debug");
    assert!(hit.starts_with("Fresh for another") && hit.contains("Tags: live, page."), "{hit}");
    for stranger in ["purge", "wrong", ""] {
        assert_eq!(ask(stand, stranger).field("larder-debug"), "", "{stranger}");
    }
    purge(stand, "hard", r#"{"tag": "live"}"#);
    ask(stand, "wrong");
    let log = stand.origin_log();
    assert!(log.iter().all(|request| request.field("larder-debug").is_empty()), "{log:?}");
    assert_eq!(stand.origin_count("/live"), 2);
}

/// The version of a namespace is raised, set and shown; what was stored under the old one is gone.
pub fn a_namespace_is_bumped(stand: &mut dyn Stand) {
    configure(stand, "", "");
    for path in ["/ns/a", "/other"] {
        stand.origin(path, vec![page("v", "ns")]);
    }
    fill(stand, &["/ns/a", "/other"]);
    let bump = |stand: &mut dyn Stand, more: &str| {
        told(
            stand,
            "POST",
            "/_larder/namespaces",
            &format!(r#"{{"namespace": {{"prefix": "http://shop.example/ns"}}{more}}}"#),
        )
    };
    assert_eq!(bump(stand, "")["version"], 1);
    assert!(!is_hit(stand, 0, "/ns/a") && is_hit(stand, 0, "/other"));
    assert_eq!(bump(stand, r#", "version": 1"#)["version"], 1);
    assert!(is_hit(stand, 1, "/ns/a"), "it has that version already");
    assert_eq!(bump(stand, r#", "version": 7"#)["version"], 7);
    assert!(!is_hit(stand, 1, "/ns/a"));
    let all = told(stand, "GET", "/_larder/namespaces", "");
    let of_ours = |n: &&Value| n["namespace"]["prefix"] == "shop.example/ns";
    assert_eq!(all["namespaces"].as_array().unwrap().iter().find(of_ours).unwrap()["version"], 7, "{all}");
}

/// A refresh fetches again right away: who asks meanwhile is served what there was, who asks later finds the new one.
pub fn a_refresh_fetches_again_by_itself(stand: &mut dyn Stand) {
    configure(stand, "", "");
    stand.origin("/again", vec![page("one", "again"), page("two", "again")]);
    fill(stand, &["/again"]);
    let answer = told(
        stand,
        "POST",
        "/_larder/refresh",
        r#"{"urls": ["http://shop.example/again", "http://shop.example/unknown"]}"#,
    );
    assert_eq!(answer["refreshing"], json!(["http://shop.example/again"]), "{answer}");
    assert_eq!(answer["left"][0]["why"], "nothing is stored for it");
    await_hit(stand, 0, "/again", "two");
    assert_eq!(stand.origin_count("/again"), 2);
}

/// A purge can fetch again what it covers, even what is gone.
pub fn a_purge_can_refresh(stand: &mut dyn Stand) {
    configure(stand, "", "");
    for path in ["/warm/a", "/warm/b"] {
        stand.origin(path, vec![page("one", "warm"), page("two", "warm")]);
    }
    stand.origin("/warm/c", vec![page("one", "cold")]);
    fill(stand, &["/warm/a", "/warm/b", "/warm/c"]);
    let body = r#"{"selectors": [{"tag": "warm"}], "mode": "hard", "refresh": true}"#;
    let answer = told(stand, "POST", "/_larder/purge", body);
    assert_eq!(answer["refresh"]["refreshing"].as_array().unwrap().len(), 2, "{answer}");
    // Whoever asks meanwhile waits for that fetch.
    for path in ["/warm/a", "/warm/b"] {
        await_origin(stand, path, 2);
        await_hit(stand, 0, path, "two");
        assert_eq!(stand.origin_count(path), 2);
    }
    assert_eq!(stand.origin_count("/warm/c"), 1);
}

/// However much a purge covers, no more of it is fetched at a time than may be, and all of it in the end; whoever asks
/// meanwhile gets what there was.
pub fn a_purge_of_much_is_refreshed_bit_by_bit(stand: &mut dyn Stand) {
    const PAGES: usize = 40;
    configure(stand, "", r#", "collapse": {"cluster": "route_loop", "refresh_concurrency_max": 3}"#);
    let paths: Vec<String> = (0..PAGES).map(|n| format!("/much/{n}")).collect();
    for path in &paths {
        let slow = page("two", "much").delay(Duration::from_millis(200));
        stand.origin(path, vec![page("one", "much"), slow]);
    }
    fill(stand, &paths.iter().map(String::as_str).collect::<Vec<_>>());
    let body = r#"{"selectors": [{"tag": "much"}], "refresh": true}"#;
    let answer = told(stand, "POST", "/_larder/purge", body);
    assert_eq!(answer["refresh"]["refreshing"].as_array().unwrap().len(), 3, "{answer}");
    let went_on = (&answer["refresh"]["complete"], &answer["refresh"]["continues"]);
    assert_eq!(went_on, (&json!(false), &json!(true)));
    let asked = |stand: &mut dyn Stand| {
        let log = stand.origin_log();
        log.iter().filter(|request| request.target.starts_with("/much/")).count() - PAGES
    };
    let mut last = 0;
    for step in 1..60 {
        let response = stand.send(0, Request::get(&paths[step % PAGES]));
        assert!(response.is_hit(), "{}", response.field("cache-status"));
        stand.pass(Duration::from_millis(100));
        let now = asked(stand);
        // Three on each of two workers, every 200 ms; a slow machine does more between two looks.
        if stand.name() == "emulated host" {
            assert!(now - last <= 6, "{} in 100 ms", now - last);
        }
        last = now;
    }
    for path in &paths {
        let response = stand.send(1, Request::get(path));
        assert_eq!((response.text().as_str(), response.is_hit()), ("two", true), "{path}");
        assert_eq!(stand.origin_count(path), 2, "{path}");
    }
}

/// A command that is repeated under its key is answered again and not carried out again.
pub fn a_command_with_a_key_is_carried_out_once(stand: &mut dyn Stand) {
    configure(stand, "", "");
    let body = r#"{"selectors": [{"tag": "once"}], "idempotency_key": "k1"}"#;
    let purge = Request::new("POST", "/_larder/purge").field("authorization", "Bearer all").body(body);
    let first = json(&stand.send(0, purge));
    assert_eq!(told(stand, "POST", "/_larder/purge", body), first, "on the other worker");
    let other = body.replace("once", "twice");
    assert_eq!(command(stand, "POST", "/_larder/purge", &other).status, 409);
    let head = told(stand, "GET", "/_larder/journal", "")["head"].clone();
    assert_eq!(head, first["receipt"]);
}

/// The configuration is shown as it was pushed, without the digests of tokens.
pub fn the_configuration_is_shown(stand: &mut dyn Stand) {
    configure(stand, r#", "methods": true"#, r#", "ttl": "7s""#);
    let shown = told(stand, "GET", "/_larder/config", "");
    assert_eq!((&shown["ttl"], &shown["admin"]["methods"]), (&json!("7s"), &json!(true)));
    assert_eq!(shown["admin"]["tokens"][0]["sha256"], "(hidden)");
    let health = command(stand, "GET", "/_larder/health", "");
    assert_eq!((health.status, &json(&health)["status"]), (200, &json!("ok")));
    let stats = told(stand, "GET", "/_larder/stats", "");
    assert!(stats["larder_hits"].is_u64(), "{stats}");
}

/// What a configuration says without effect is no error, but nobody has to find that out by himself.
pub fn options_without_effect_are_reported_as_warnings(stand: &mut dyn Stand) {
    let warnings = |stand: &mut dyn Stand| told(stand, "GET", "/_larder/health", "")["warnings"].clone();
    configure(stand, "", "");
    assert_eq!(warnings(stand), json!([]));
    configure(
        stand,
        "",
        r#", "rules": [{"match": {"path": "/*.css"}, "ttl": "1h"}, {"match": {"path": "/a"}}]"#,
    );
    let shown = warnings(stand);
    assert_eq!(shown.as_array().unwrap().len(), 2, "{shown}");
    assert!(shown[0].as_str().unwrap().starts_with("rules[0].match.path: \"/*.css\" matches"), "{shown}");
    assert_eq!(shown[1], "rules[1]: has no effect: it sets nothing");
    assert_eq!(told(stand, "GET", "/_larder/health", "")["status"], "ok");
}

/// Each selector, in each mode, covers what it names, and nothing else.
pub fn each_selector_covers_the_responses_that_it_names(stand: &mut dyn Stand) {
    configure(stand, "", r#", "rules": [{"name": "shoes", "match": {"path": "/sel/shoes/**"}}]"#);
    let typed = |reply: Reply, content_type: &str| reply.field("content-type", content_type);
    stand.origin("/sel/shoes/1", vec![typed(page("shoe", "shoe, sale"), "text/html")]);
    stand.origin("/sel/hats/1", vec![typed(page("hat", "hat, sale"), "image/png")]);
    stand.origin("/sel/gone", vec![Reply { status: 404, ..typed(page("gone", "gone"), "text/html") }]);
    let pages = ["/sel/shoes/1", "/sel/shoes/1?q=a", "/sel/hats/1", "/sel/gone"];
    let cases: &[(&str, &[usize])] = &[
        (r#"{"url": "http://shop.example/sel/shoes/1"}"#, &[0]),
        (r#"{"url_any_query": "http://shop.example/sel/shoes/1"}"#, &[0, 1]),
        (r#"{"prefix": "http://shop.example/sel/shoes"}"#, &[0, 1]),
        (r#"{"host": "shop.example"}"#, &[0, 1, 2, 3]),
        (r#"{"host": "other.example"}"#, &[]),
        (r#"{"tag": "hat"}"#, &[2]),
        (r#"{"tags": ["hat", "gone"]}"#, &[2, 3]),
        (r#"{"tags_all": ["shoe", "sale"]}"#, &[0, 1]),
        // With its query or without.
        (r#"{"glob": "/sel/*/1"}"#, &[0, 1, 2]),
        (r#"{"glob": "/sel/*/1?q=?"}"#, &[1]),
        (r#"{"regex": "/sel/(hats|gone)"}"#, &[2, 3]),
        (r#"{"type": "image/*"}"#, &[2]),
        (r#"{"type_regex": "^text/"}"#, &[0, 1, 3]),
        (r#"{"tag_regex": "ha[st]"}"#, &[2]),
        (r#"{"status": 404}"#, &[3]),
        (r#"{"status": "4xx"}"#, &[3]),
        (r#"{"rule": "shoes"}"#, &[0, 1]),
        (r#"{"tag": "rule:shoes"}"#, &[0, 1]),
        (r#"{"tag": "status:404"}"#, &[3]),
        (r#"{"tag": "type:image/png"}"#, &[2]),
        (r#"{"tag": "host:shop.example"}"#, &[0, 1, 2, 3]),
        (r#"{"older_than": "1ms", "all": true}"#, &[0, 1, 2, 3]),
        (r#"{"older_than": "1h", "all": true}"#, &[]),
        (r#"{"stored_before": 1000, "all": true}"#, &[]),
        (r#"{"tag": "sale", "type": "text/html"}"#, &[0, 1]),
        (r#"{"host": "shop.example", "not": {"tag": "sale"}}"#, &[3]),
        (r#"{"all": true}"#, &[0, 1, 2, 3]),
    ];
    for (n, (selector, covered)) in cases.iter().enumerate() {
        for mode in ["hard", "soft", "revalidate"] {
            purge(stand, "hard", r#"{"prefix": "http://shop.example/sel/"}"#);
            for path in pages {
                stand.send(0, Request::get(path));
                assert!(is_hit(stand, 1, path), "{path} is stored");
            }
            stand.pass(Duration::from_millis(5));
            purge(stand, mode, selector);
            for (page, path) in pages.into_iter().enumerate() {
                let status = stand.send((n + page) % 2, Request::get(path)).field("cache-status");
                let expected = match (covered.contains(&page), mode) {
                    (false, _) => "larder; hit; ttl=",
                    (true, "hard") => "larder; fwd=uri-miss; stored; detail=purged",
                    (true, "soft") => "; detail=soft-purged",
                    (true, _) => "larder; fwd=stale; stored; detail=invalidated",
                };
                let fits = status.contains(expected) && status.contains("detail=") == covered.contains(&page);
                assert!(fits, "{mode} {selector}: {path} says {status}");
            }
        }
    }
}

/// The answer to a purge says how many stored responses it covers, in each dialect.
pub fn a_purge_says_how_much_it_covers(stand: &mut dyn Stand) {
    configure(stand, r#", "methods": true"#, "");
    let pages = ["/c/1", "/c/2", "/c/3"];
    for path in pages {
        stand.origin(path, vec![page("v", &format!("covered, page{}", &path[3..]))]);
    }
    fill(stand, &pages);
    let body = |selectors: &str| format!(r#"{{"selectors": [{selectors}], "mode": "hard"}}"#);
    let purge =
        |stand: &mut dyn Stand, selectors: &str| told(stand, "POST", "/_larder/purge", &body(selectors));
    let url = r#"{"url": "http://shop.example/c/1"}"#;
    let answer = purge(stand, &format!(r#"{url}, {{"url": "http://shop.example/never"}}"#));
    let covers = |answer: &Value, n: usize| answer["selectors"][n]["covers"].as_u64();
    assert_eq!(
        (covers(&answer, 0), covers(&answer, 1), &answer["complete"]),
        (Some(1), Some(0), &json!(true)),
        "{answer}"
    );
    // What is gone is not covered again.
    assert_eq!(covers(&purge(stand, url), 0), Some(0));
    fill(stand, &["/c/1"]);
    let answer = purge(stand, r#"{"tag": "page2"}, {"tag": "covered"}, {"tag": "never"}"#);
    assert!(answer["complete"].is_boolean(), "{answer}");
    if answer["complete"] == true {
        assert_eq!([0, 1, 2].map(|n| covers(&answer, n)), [Some(1), Some(3), Some(0)], "{answer}");
    }
    fill(stand, &pages);
    for (method, target, field, covers) in [
        ("PURGE", "/c/1", ("x-plain", "1"), "1"),
        ("PURGE", "/c/9", ("x-plain", "1"), "0"),
        ("PURGE", "/c/2", ("fastly-key", "all"), "1"),
    ] {
        let request =
            Request::new(method, target).field("authorization", "Bearer all").field(field.0, field.1);
        let answer = stand.send(1, request);
        assert_eq!(
            (answer.status, answer.field("larder-covers").as_str()),
            (200, covers),
            "{method} {target}"
        );
    }
    let answer = command(stand, "POST", "/client/v4/zones/z/purge_cache", r#"{"hosts": ["shop.example"]}"#);
    assert!(!answer.field("larder-covers").is_empty(), "{answer:?}");
}

/// A host with a port is that one; a URL with another port is another URL.
pub fn a_selector_with_a_port_covers_that_port_only(stand: &mut dyn Stand) {
    configure(stand, "", "");
    stand.origin("/port", vec![page("v", "t")]);
    let hosts = ["shop.example", "shop.example:8080"];
    for (selector, gone) in [
        (r#"{"host": "shop.example:8080"}"#, [false, true]),
        (r#"{"host": "shop.example:80"}"#, [true, false]),
        (r#"{"host": "shop.example"}"#, [true, true]),
        (r#"{"host": "shop.example:27711"}"#, [false, false]),
        (r#"{"url": "http://shop.example:8080/port"}"#, [false, true]),
        (r#"{"url": "http://shop.example:80/port"}"#, [true, false]),
        (r#"{"url": "http://shop.example:27711/port"}"#, [false, false]),
        (r#"{"prefix": "http://shop.example:8080/"}"#, [false, true]),
    ] {
        for host in hosts {
            stand.send(0, Request::get("/port").host(host));
        }
        purge(stand, "hard", selector);
        let hits = hosts.map(|host| stand.send(1, Request::get("/port").host(host)).is_hit());
        assert_eq!(hits, gone.map(|gone| !gone), "{selector}");
    }
}

/// What was never stored needs no record in the journal.
pub fn a_refresh_of_an_unstored_url_has_no_effect(stand: &mut dyn Stand) {
    configure(stand, r#", "methods": true"#, "");
    let head = |stand: &mut dyn Stand| told(stand, "GET", "/_larder/journal", "")["head"].clone();
    let before = head(stand);
    let urls = r#"{"urls": ["http://shop.example/never", "http://shop.example/nor"]}"#;
    let answer = told(stand, "POST", "/_larder/refresh", urls);
    assert_eq!(
        (&answer["receipt"], answer["left"].as_array().map(Vec::len)),
        (&json!(null), Some(2)),
        "{answer}"
    );
    assert_eq!(command(stand, "REFRESH", "/never", "").text(), "No response is stored for it\n");
    assert_eq!(head(stand), before);
}

/// Whatever rule the request met by which something was stored, a purge of its URL finds it.
pub fn a_url_is_purged_by_whatever_rule_it_was_stored(stand: &mut dyn Stand) {
    let rules = r#", "rules": [
        {"match": {"path": "/r/**", "header": {"x-app": true}}, "key": {"query": {"drop": ["utm_*"]}}},
        {"match": {"path": "/r/**", "header": {"x-only": true}}, "key": {"query": {"keep": ["q"]}, "query_sorted": true}},
        {"match": {"path": "/s/**", "method": "GET"}, "key": {"query_sorted": true}}
    ]"#;
    configure(stand, r#", "methods": true"#, rules);
    let get = |target: &str, field: &str| Request::get(target).field(field, "1");
    for (n, (stored, purged, field)) in [
        ("/r/a?q=1&utm_source=mail", "/r/a?q=1&utm_source=mail", "x-app"),
        ("/r/b?q=1&utm_source=mail", "/r/b?q=1", "x-app"),
        ("/r/c?q=1&utm_source=mail", "/r/c?utm_campaign=x&q=1&utm_source=other", "x-app"),
        ("/r/d?z=1&q=2&y=3", "/r/d?y=3&q=2", "x-only"),
        ("/r/e?z=1", "/r/e?y=3", "x-only"),
        ("/s/f?b=1&a=2", "/s/f?a=2&b=1", "x-app"),
        ("/s/g?b=1&a=2", "/s/g?b=1&a=2", "x-plain"),
        ("/r/h?q=1&utm_source=mail", "/r/h?q=1&utm_source=mail", "x-plain"),
    ]
    .into_iter()
    .enumerate()
    {
        stand.origin(stored.split('?').next().unwrap(), vec![page("v", "t")]);
        stand.send(0, get(stored, field));
        assert!(stand.send(1, get(stored, field)).is_hit(), "{stored}");
        if n % 2 == 0 {
            purge(stand, "hard", &format!(r#"{{"url": "http://shop.example{purged}"}}"#));
        } else {
            assert_eq!(command(stand, "PURGE", purged, "").status, 200);
        }
        assert!(!stand.send(1, get(stored, field)).is_hit(), "{stored} after a purge of {purged}");
    }
    // No more than was said.
    stand.origin("/r/i", vec![page("v", "t")]);
    stand.send(0, get("/r/i?q=1", "x-app"));
    purge(stand, "hard", r#"{"url": "http://shop.example/r/i?q=2&utm_source=mail"}"#);
    assert!(stand.send(1, get("/r/i?q=1", "x-app")).is_hit());
}

/// Who may look at what is stored sees no client's session.
pub fn entries_are_listed_without_values_that_identify_a_client(stand: &mut dyn Stand) {
    configure(stand, "", "");
    stand.origin("/vary", vec![page("v", "t").field("vary", "cookie")]);
    stand.send(0, Request::get("/vary").field("cookie", "session=s3cret"));
    for target in ["/_larder/entries?tag=t", "/_larder/entry?url=http://shop.example/vary"] {
        let answer = command(stand, "GET", target, "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!answer.text().contains("s3cret"), "{}", answer.text());
    }
}

/// Each path says which methods it has, whatever is sent to it; an example of each kind of path.
pub fn a_wrong_method_gets_405_with_the_allowed_methods(stand: &mut dyn Stand) {
    configure(stand, r#", "methods": true"#, "");
    let receipt = purge(stand, "hard", r#"{"tag": "never"}"#);
    let receipts = format!("/_larder/receipts/{receipt}");
    for (method, target, body, allow) in [
        ("POST", &receipts[..], "", "GET"),
        ("POST", &receipts, r#"{"cursor": 7}"#, "GET"),
        ("DELETE", &receipts, "", "GET"),
        ("PUT", "/_larder/stats", "", "GET"),
        ("POST", "/_larder/", "", "GET"),
        ("GET", "/_larder/purge?tag=never", "", "POST"),
        ("DELETE", "/_larder/namespaces", "", "GET, POST"),
        ("DELETE", "/souin-api/souin/flush", "", "GET, POST, PURGE"),
        ("GET", "/client/v4/zones/z/purge_cache", "", "POST"),
    ] {
        let answer = command(stand, method, target, body);
        let allowed = (answer.status, answer.field("allow"));
        assert_eq!(allowed, (405, allow.to_owned()), "{method} {target}: {}", answer.text());
        let options = command(stand, "OPTIONS", target, "");
        assert_eq!((options.status, options.field("allow")), (204, format!("{allow}, OPTIONS")), "{target}");
    }
    for target in ["/service/s/purge_all", "/service/s/purge/never", "/purge/shop.example/never"] {
        let answer = stand.send(1, Request::new("GET", target).field("fastly-key", "all"));
        assert_eq!((answer.status, answer.field("allow")), (405, "POST, PUT".to_owned()), "{target}");
        assert_eq!(stand.origin_count(target), 0, "{target}: the token is left at the origin");
    }
    for method in ["GET", "POST", "DELETE", "OPTIONS"] {
        assert_eq!(command(stand, method, "/_larder/nothing", "").status, 404, "{method}");
    }
    let index = told(stand, "GET", "/_larder/", "");
    assert!(
        index["GET"].as_array().unwrap().contains(&json!("/_larder/receipts/{receipt}?cursor=")),
        "{index}"
    );
}

/// A selector that the journal or a receipt shows can be sent as one, and covers the same.
pub fn a_selector_shown_by_the_journal_can_be_sent_as_a_command(stand: &mut dyn Stand) {
    let parents = r#", "tags": {"parents": {"b1": "blog", "b2": "blog", "blog": "site"}}"#;
    configure(stand, r#", "methods": true"#, parents);
    stand.origin("/back/in", vec![page("v", "b1, x")]);
    stand.origin("/back/out", vec![page("v", "other")]);
    let mut receipts = Vec::new();
    for selector in [
        r#"{"tag": "site", "host": "shop.example", "not": {"tag": "other"}}"#,
        r#"{"tags_all": ["site", "x"], "status": "2xx"}"#,
        r#"{"and": [{"tag": "site"}, {"not": {"url": "http://shop.example/back/out"}}]}"#,
        r#"{"tag_glob": "b?"}"#,
        r#"{"tag": "site"}"#,
        r#"{"all": true, "stored_before": 9000000000.5, "not": {"tag": "other"}}"#,
        r#"{"prefix": "http://shop.example/back/in"}"#,
    ] {
        fill(stand, &["/back/in", "/back/out"]);
        receipts.push(purge(stand, "hard", selector));
        assert!(!is_hit(stand, 1, "/back/in"), "{selector}");
        assert!(is_hit(stand, 1, "/back/out"), "{selector}");
    }
    let ban = [("x-host", "^shop"), ("x-url", "^/back/i"), ("x-cache-tags", "b1")];
    let ban = ban.iter().fold(Request::new("BAN", "/"), |ban, (name, value)| ban.field(name, *value));
    let answer = stand.send(1, ban.field("authorization", "Bearer all"));
    receipts.push(answer.field("larder-receipt").parse().unwrap());
    for receipt in receipts {
        fill(stand, &["/back/in", "/back/out"]);
        assert!(is_hit(stand, 0, "/back/in"));
        let record = told(stand, "GET", &format!("/_larder/receipts/{receipt}"), "")["record"].clone();
        let again = purge(stand, "hard", &record["selector"].to_string());
        assert!(!is_hit(stand, 1, "/back/in"), "{record}");
        assert!(is_hit(stand, 1, "/back/out"), "{record}");
        let journal = told(stand, "GET", &format!("/_larder/journal?before={}&limit=1", again + 1), "");
        assert_eq!(journal["records"][0]["selector"], record["selector"]);
    }
}

/// No form of a selector lets a token purge everything that may purge what it names.
pub fn no_form_of_everything_is_for_a_limited_token(stand: &mut dyn Stand) {
    configure(stand, "", "");
    stand.origin("/kept", vec![page("v", "t")]);
    fill(stand, &["/kept"]);
    for (selector, status) in [
        (r#"{"and": []}"#, 400),
        (r#"{"and": [], "all": true}"#, 400),
        (r#"{"and": [{"all": true}], "all": true}"#, 403),
        (r#"{"and": [{"glob": "*"}]}"#, 400),
        (r#"{"and": [{"glob": "*"}, {"tag_glob": "*"}], "all": true}"#, 403),
        (r#"{"and": [{"not": {"tag": "nobody's"}}], "all": true}"#, 403),
        (r#"{"tag_glob": "*", "all": true}"#, 403),
        (r#"{"type_glob": "*", "all": true}"#, 403),
    ] {
        let body = format!(r#"{{"selectors": [{selector}], "mode": "hard"}}"#);
        let request = Request::new("POST", "/_larder/purge").field("authorization", "Bearer purge");
        let answer = stand.send(0, request.body(&*body));
        assert_eq!(answer.status, status, "{selector}: {}", answer.text());
        assert!(is_hit(stand, 1, "/kept"), "{selector}");
    }
}
