//! Why a response is not stored: each reason is the true one, is explained, and its advice leads to a hit.

use std::time::Duration;

use serde_json::Value;

use super::operating::{configuration, json};
use super::telling::{await_origin, get, page};
use crate::stand::{Ending, Reply, Request, Stand};

/// A story of one reason: what is configured, asked and answered, and the same once the advice has been followed.
struct Story {
    word: &'static str,
    wrong: Case,
    /// None where there is nothing to be done.
    right: Option<Case>,
}

#[derive(Clone)]
struct Case {
    rules: &'static str,
    fields: &'static [(&'static str, &'static str)],
    reply: Reply,
}

fn case(reply: Reply) -> Case {
    Case { rules: "", fields: &[], reply }
}

impl Case {
    fn rules(self, rules: &'static str) -> Self {
        Case { rules, ..self }
    }

    fn asked(self, fields: &'static [(&'static str, &'static str)]) -> Self {
        Case { fields, ..self }
    }
}

fn stories() -> Vec<Story> {
    let control = |value: &str| Reply::ok("page").field("cache-control", value);
    let story = |word, wrong, right| Story { word, wrong, right };
    let fine = || Some(case(page("page")));
    let large = || page(vec![b'x'; 3_000]);
    let part = |etag: &str| {
        let reply = page("012").status_code(206).field("content-range", "bytes 0-2/3");
        reply.field("etag", etag)
    };
    let authorized: &[_] = &[("authorization", "Basic YTpi")];
    let odd: &[_] = &[("x-odd", "\u{e9}")];
    let missing = || page("none").status_code(404);
    vec![
        story("no-store", case(control("no-store")), fine()),
        story(
            "request-no-store",
            case(page("page")).asked(&[("cache-control", "no-store")]),
            Some(
                case(page("page"))
                    .asked(&[("cache-control", "no-store")])
                    .rules(r#", "rules": [{"request_directives": "ignore"}]"#),
            ),
        ),
        story("private", case(control("private, max-age=60")), Some(case(control("public, max-age=60")))),
        story(
            "authorization",
            case(page("page")).asked(authorized),
            Some(case(control("public, max-age=60")).asked(authorized)),
        ),
        story(
            "set-cookie",
            case(page("page").field("set-cookie", "a=1")),
            Some(
                case(page("page").field("set-cookie", "a=1"))
                    .rules(r#", "rules": [{"set_cookie": "strip"}]"#),
            ),
        ),
        story(
            "cookie",
            case(page("page")).asked(&[("cookie", "a=1")]).rules(r#", "cookies_need_public": true"#),
            Some(
                case(control("public, max-age=60"))
                    .asked(&[("cookie", "a=1")])
                    .rules(r#", "cookies_need_public": true"#),
            ),
        ),
        story("no-freshness", case(Reply::ok("page")), fine()),
        story(
            "no-freshness",
            case(Reply::ok("page")),
            Some(case(Reply::ok("page")).rules(r#", "rules": [{"ttl": "1m"}]"#)),
        ),
        story("vary-any", case(page("page").field("vary", "*")), fine()),
        story(
            "limits",
            case(page("page").field("cache-tag", "a,b,c")).rules(r#", "tags": {"count_max": 2}"#),
            Some(case(page("page").field("cache-tag", "a,b,c"))),
        ),
        story(
            "too-large",
            case(large()).rules(r#", "rules": [{"object_bytes_max": 2000}]"#),
            Some(case(large()).rules(r#", "rules": [{"object_bytes_max": 4000}]"#)),
        ),
        story(
            "too-large",
            case(large()).rules(r#", "store": {"object_bytes_max": 2000}"#),
            Some(case(large()).rules(r#", "store": {"object_bytes_max": 4000}"#)),
        ),
        story(
            "partial",
            case(part("W/\"v\"")).asked(&[("range", "bytes=0-2")]),
            Some(case(part("\"v\"")).asked(&[("range", "bytes=0-2")])),
        ),
        story("provoked", case(missing()).asked(odd), Some(case(missing()))),
        story(
            "error",
            case(Reply::status(500).body("failed")),
            Some(
                case(Reply::status(500).body("failed"))
                    .rules(r#", "rules": [{"ttl": {"status": {"500": "1m"}}}]"#),
            ),
        ),
        story("status", case(page("slow down").status_code(429)), None),
        story(
            "status",
            case(control("max-age=60, must-understand").status_code(299)),
            Some(case(control("max-age=60").status_code(299))),
        ),
        story(
            "rule",
            case(missing()).rules(r#", "rules": [{"match": {"status": 404}, "bypass": true}]"#),
            Some(case(missing())),
        ),
        story(
            "no-cache",
            case(control("no-cache, max-age=60")).rules(r#", "rules": [{"ttl": "1m"}]"#),
            fine(),
        ),
        story("clock-behind", case(page("page").field("date", "Sun, 06 Nov 1994 08:49:37 GMT")), fine()),
        story("admission", case(page("page")).rules(r#", "min_uses": 2"#), fine()),
        story(
            "host-quota",
            case(page(vec![b'x'; 100_000])).rules(r#", "store": {"host_bytes_max": "64KiB"}"#),
            Some(case(page(vec![b'x'; 100_000])).rules(r#", "store": {"host_bytes_max": "1MiB"}"#)),
        ),
    ]
}

pub fn each_reason_is_true_and_its_advice_leads_to_a_hit(stand: &mut dyn Stand) {
    for (n, Story { word, wrong, right }) in stories().into_iter().enumerate() {
        // What was stored before must not make room.
        let host = format!("n{n}.shop.example");
        let request = |case: &Case, path: &str| {
            let request = Request::get(path).host(&host).field("larder-debug", "all");
            case.fields.iter().fold(request, |request, (name, value)| request.field(name, value))
        };
        let (path, fixed) = (format!("/reason/{word}-{n}"), format!("/reason/{word}-{n}-fixed"));
        stand.origin(&path, vec![wrong.reply.clone()]);
        stand.configure(&configuration("", wrong.rules)).unwrap();
        let response = stand.send(0, request(&wrong, &path));
        let status = response.field("cache-status");
        assert_eq!(status, format!("larder; fwd=uri-miss; detail={word}"), "{n}");
        let explained = response.field("larder-debug");
        assert!(explained.contains("Not stored: "), "{word}: {explained}");
        assert!(!stand.send(0, request(&wrong, &path)).is_hit(), "{word}");
        let Some(right) = right else { continue };
        stand.origin(&fixed, vec![right.reply.clone()]);
        stand.configure(&configuration("", right.rules)).unwrap();
        stand.send(0, request(&right, &fixed));
        let hit = stand.send(1, request(&right, &fixed));
        assert!(hit.is_hit(), "{word} {n}: {}", hit.field("cache-status"));
    }
}

/// What `explain` says of a URL whose response was not stored.
pub fn the_reason_that_is_remembered_is_explained(stand: &mut dyn Stand) {
    stand.configure(&configuration("", "")).unwrap();
    let explain = |stand: &mut dyn Stand, path: &str| -> Value {
        let target = format!("/_larder/explain?url=http://shop.example{path}");
        json(&stand.send(1, Request::get(&target).field("authorization", "Bearer read")))
    };
    for (word, control) in [("no-store", "no-store"), ("private", "private")] {
        let path = format!("/explain/{word}");
        let before = explain(stand, &path);
        let advice = before["advice"][0].as_str().unwrap();
        assert!(before["last_not_stored"].is_null() && advice.starts_with("Request it"), "{before}");
        stand.origin(&path, vec![Reply::ok("page").field("cache-control", control)]);
        get(stand, 0, &path);
        let after = explain(stand, &path);
        assert_eq!(after["last_not_stored"]["reason"], word);
        assert_eq!(after["advice"].as_array().unwrap().len(), 1, "{after}");
        assert_eq!(after["advice"][0], after["last_not_stored"]["advice"]);
    }
}

pub fn a_response_beside_a_flight_is_not_stored(stand: &mut dyn Stand) {
    stand.configure(&configuration("", r#", "rules": [{"collapse": false}]"#)).unwrap();
    stand.origin("/reason/beside", vec![page("page").delay(Duration::from_millis(600))]);
    let first = stand.start(0, Request::get("/reason/beside"));
    await_origin(stand, "/reason/beside", 1);
    let second = get(stand, 1, "/reason/beside");
    assert_eq!(second.field("cache-status"), "larder; fwd=uri-miss; detail=no-flight");
    stand.finish(first);
    assert!(get(stand, 1, "/reason/beside").is_hit());
}

pub fn a_truncated_response_is_counted_as_incomplete(stand: &mut dyn Stand) {
    let torn = page("0123456789").ending(Ending::ResetAfter(4));
    stand.origin("/reason/torn", vec![torn, page("whole")]);
    let before = stand.metric("not_stored_incomplete");
    assert!(!get(stand, 0, "/reason/torn").complete);
    for _ in 0..20 {
        if stand.metric("not_stored_incomplete") == before {
            stand.pass(Duration::from_millis(50));
        }
    }
    assert_eq!(stand.metric("not_stored_incomplete"), before + 1);
}
