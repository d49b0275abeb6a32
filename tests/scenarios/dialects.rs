//! The languages of others, as their clients send them: Varnish and FOSHttpCache, nginx, Fastly, Cloudflare, Souin.

use serde_json::json;

use super::operating::{configure, fill, is_hit, json, page};
use crate::stand::{Request, Response, Stand};

const PAGES: [&str; 4] = ["/blog/1", "/blog/2", "/img/a.png", "/shop/7"];

fn begin(stand: &mut dyn Stand) {
    configure(stand, r#", "methods": true"#, "");
    for path in PAGES {
        let kind = if path.ends_with("png") { "image/png" } else { "text/html" };
        let tags = format!("{}, page:{}", &path[1..4], &path[path.len() - 1..]);
        stand.origin(path, vec![page("v", &tags).field("content-type", kind)]);
    }
}

/// Fills the cache, sends a command, and looks which pages are gone.
fn gone_after(stand: &mut dyn Stand, request: Request) -> (Response, Vec<&'static str>) {
    fill(stand, &PAGES);
    let response = stand.send(1, request);
    let gone = PAGES.into_iter().filter(|path| !is_hit(stand, 0, path)).collect();
    (response, gone)
}

fn bearer(method: &str, target: &str) -> Request {
    Request::new(method, target).field("authorization", "Bearer all")
}

/// `PURGE`, `BAN`, `PURGEKEYS`, `xkey-purge` as Varnish, FOSHttpCache and nginx have them.
pub fn varnish_foshttpcache_and_nginx_purge(stand: &mut dyn Stand) {
    begin(stand);
    let all = PAGES.to_vec();
    for (request, expected) in [
        (bearer("PURGE", "/blog/1"), vec!["/blog/1"]),
        (bearer("PURGE", "/blog/*"), vec!["/blog/1", "/blog/2"]),
        (bearer("PURGE", "/bl*"), vec!["/blog/1", "/blog/2"]),
        (bearer("PURGE", "/").field("xkey-purge", "img page:7"), vec!["/img/a.png", "/shop/7"]),
        (bearer("PURGE", "/").field("xkey", "sho"), vec!["/shop/7"]),
        (bearer("PURGEKEYS", "/").field("xkey-purge", "blo"), vec!["/blog/1", "/blog/2"]),
        (
            bearer("BAN", "/")
                .field("x-host", ".*")
                .field("x-url", "^/blog/[2-9]")
                .field("x-content-type", ".*"),
            vec!["/blog/2"],
        ),
        (
            bearer("BAN", "/")
                .field("x-host", "^shop\\.example$")
                .field("x-url", ".*")
                .field("x-content-type", "^image/"),
            vec!["/img/a.png"],
        ),
        (
            bearer("BAN", "/")
                .field("x-host", ".*")
                .field("x-url", ".*")
                .field("x-cache-tags", "(^|,)(page\\:7|page\\:1)(,|$)"),
            vec!["/blog/1", "/shop/7"],
        ),
        (bearer("BAN", "/blog/"), vec!["/blog/1", "/blog/2"]),
        (
            bearer("BAN", "/").field("x-host", ".*").field("x-url", ".*").field("x-content-type", ".*"),
            all.clone(),
        ),
    ] {
        let shown = format!("{} {} {:?}", request.method, request.target, request.fields);
        let (response, gone) = gone_after(stand, request);
        assert_eq!((response.status, gone), (200, expected), "{shown}: {}", response.text());
    }
    let (response, _) = gone_after(stand, bearer("BAN", "/").field("x-url", "("));
    assert_eq!(response.status, 400);
}

/// A soft purge by key, and a refresh: served stale while it is fetched again.
pub fn soft_purges_and_refreshes_of_varnish(stand: &mut dyn Stand) {
    begin(stand);
    fill(stand, &PAGES);
    stand.send(1, bearer("PURGEKEYS", "/").field("xkey-softpurge", "sho"));
    let stale = stand.send(0, Request::get("/shop/7"));
    assert!(stale.is_hit() && stale.field("cache-status").contains("soft-purged"), "{stale:?}");
    let before = stand.origin_count("/blog/1");
    let refreshed = stand.send(1, bearer("REFRESH", "/blog/1"));
    assert_eq!((refreshed.status, refreshed.text().as_str()), (200, "Refreshing\n"));
    super::telling::await_origin(stand, "/blog/1", before + 1);
    assert!(is_hit(stand, 0, "/blog/1"));
    assert_eq!(stand.origin_count("/blog/1"), before + 1);
}

/// Fastly's API, by URL, by key, by many keys in a field or in the body, everything; hard and soft.
pub fn fastly_purges(stand: &mut dyn Stand) {
    begin(stand);
    let fastly = |method: &str, target: &str| Request::new(method, target).field("fastly-key", "all");
    let all = PAGES.to_vec();
    for (request, expected) in [
        (fastly("PURGE", "/blog/1"), vec!["/blog/1"]),
        (fastly("POST", "/purge/shop.example/blog/2"), vec!["/blog/2"]),
        (fastly("POST", "/service/SU1/purge/page:7"), vec!["/shop/7"]),
        (
            fastly("POST", "/service/SU1/purge").field("surrogate-key", "blo img"),
            vec!["/blog/1", "/blog/2", "/img/a.png"],
        ),
        (fastly("POST", "/service/SU1/purge").body(r#"{"surrogate_keys": ["sho"]}"#), vec!["/shop/7"]),
        (fastly("POST", "/service/SU1/purge_all"), all),
    ] {
        let shown = format!("{} {}", request.method, request.target);
        let (response, gone) = gone_after(stand, request);
        assert_eq!((response.status, gone), (200, expected), "{shown}: {}", response.text());
        assert!(
            json(&response).as_object().unwrap().values().all(|id| id.is_string()),
            "{}",
            response.text()
        );
    }
    fill(stand, &PAGES);
    stand.send(1, fastly("POST", "/service/SU1/purge/sho").field("fastly-soft-purge", "1"));
    assert!(stand.send(0, Request::get("/shop/7")).field("cache-status").contains("soft-purged"));
}

/// Cloudflare's API: files, tags, hosts, prefixes, everything.
pub fn cloudflare_purges(stand: &mut dyn Stand) {
    begin(stand);
    let blog = vec!["/blog/1", "/blog/2"];
    for (body, expected) in [
        (r#"{"files": ["http://shop.example/blog/1"]}"#, vec!["/blog/1"]),
        (
            r#"{"files": [{"url": "http://shop.example/blog/2", "headers": {"CF-Device-Type": "mobile"}}]}"#,
            vec!["/blog/2"],
        ),
        (r#"{"tags": ["blo", "page:7"]}"#, vec!["/blog/1", "/blog/2", "/shop/7"]),
        (r#"{"prefixes": ["shop.example/blog"]}"#, blog),
        (r#"{"hosts": ["shop.example"]}"#, PAGES.to_vec()),
        (r#"{"purge_everything": true}"#, PAGES.to_vec()),
    ] {
        let (response, gone) =
            gone_after(stand, bearer("POST", "/client/v4/zones/023e105f/purge_cache").body(body));
        assert_eq!((response.status, gone), (200, expected), "{body}: {}", response.text());
        assert_eq!(json(&response)["success"], true);
    }
    let (response, gone) =
        gone_after(stand, bearer("POST", "/client/v4/zones/023e105f/purge_cache").body(r#"{"tag": []}"#));
    assert_eq!((response.status, &json(&response)["success"], gone), (400, &json!(false), vec![]));
}

/// Souin's API and the draft that it speaks.
pub fn souin_purges(stand: &mut dyn Stand) {
    begin(stand);
    const API: &str = "/souin-api/souin";
    for (request, status, expected) in [
        (bearer("PURGE", &format!("{API}/GET-http-shop.example-/blog/1")), 204, vec!["/blog/1"]),
        (bearer("PURGE", &format!("{API}/.%2Bblog/2")), 204, vec!["/blog/2"]),
        (bearer("PURGE", API).field("surrogate-key", "img, sho"), 204, vec!["/img/a.png", "/shop/7"]),
        (
            bearer("POST", API).body(r#"{"type": "group", "groups": ["blo"], "purge": true}"#),
            200,
            vec!["/blog/1", "/blog/2"],
        ),
        (
            bearer("POST", API).body(r#"{"type": "uri", "selectors": ["http://shop.example/shop/7"]}"#),
            200,
            vec!["/shop/7"],
        ),
        (bearer("PURGE", &format!("{API}/flush")), 204, PAGES.to_vec()),
    ] {
        let shown = format!("{} {}", request.method, request.target);
        let (response, gone) = gone_after(stand, request);
        assert_eq!((response.status, gone), (status, expected), "{shown}: {}", response.text());
    }
    fill(stand, &PAGES);
    let keys = json(&stand.send(0, bearer("GET", API)));
    assert!(keys.as_array().unwrap().contains(&json!("GET-http-shop.example-/blog/1")), "{keys}");
    let by_tag = json(&stand.send(0, bearer("GET", &format!("{API}/surrogate_keys"))));
    let keys = by_tag["page:7"].as_str().unwrap_or_default();
    assert!(keys.split(',').any(|key| key == "GET-http-shop.example-/shop/7"), "{by_tag}");
}
