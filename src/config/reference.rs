//! All options of the configuration in one table, from which the README's is rendered.

use core::fmt::Write;

/// An option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Where it stands in the configuration; `[]` stands for each element of a list.
    pub path: &'static str,
    /// How its value is written.
    pub kind: &'static str,
    /// Its default in JSON; empty when it has none.
    pub default: &'static str,
    /// Whether rules may set it as well as the top level.
    pub in_rules: bool,
    /// Some value in JSON that is not the default.
    pub example: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

const fn top(
    path: &'static str,
    kind: &'static str,
    default: &'static str,
    example: &'static str,
    meaning: &'static str,
) -> Row {
    Row { path, kind, default, in_rules: false, example, meaning }
}

const fn policy(
    path: &'static str,
    kind: &'static str,
    default: &'static str,
    example: &'static str,
    meaning: &'static str,
) -> Row {
    Row { path, kind, default, in_rules: true, example, meaning }
}

/// All options, in the order in which the README shows them.
#[rustfmt::skip] // One option after another, whatever their length.
pub const REFERENCE: &[Row] = &[
    policy("bypass", "boolean", "false", "true",
        "Bypass the cache: forward the request and store nothing. A rule with `bypass` also matches other spellings \
         that an origin may take for one of its paths: `/Account`, `/account;x`, `//account`, `/account%2Fme`."),
    policy("ttl", "duration or `null`", "null", r#""1h""#,
        "Short for `ttl.override`."),
    policy("ttl.override", "duration or `null`", "null", r#""1h""#,
        "The freshness lifetime, overriding the origin's."),
    policy("ttl.default", "duration or `null`", "null", r#""5m""#,
        "The freshness lifetime of a response without one from the origin. It applies to requests with `Cookie` too: \
         for pages that depend on a cookie, set `bypass`, `cookies_need_public` or `key.cookies` as well."),
    policy("ttl.min", "duration or `null`", "null", r#""10s""#,
        "The shortest freshness lifetime of a response that may be stored."),
    policy("ttl.max", "duration or `null`", "null", r#""30d""#,
        "The longest freshness lifetime."),
    policy("ttl.status", "object: status codes to durations", "{}", r#"{"404": "10s", "5xx": "1s"}"#,
        "Freshness lifetimes by status code where the origin gave none (negative caching). Keys are codes, classes \
         (`4xx`) or ranges (`500-504`); the narrowest counts. Of 4xx, classes and \
         ranges cover 404, 405, 410, 414 and 451; any other may depend on the client, has to be listed as a single \
             code, and is stored for requests with the same `User-Agent`, `Accept`, `Accept-Language`, `Origin` and \
             `Referer` and without `Cookie`."),
    policy("heuristics.percent", "0 to 100", "10", "0",
        "Heuristic freshness (RFC 9111 §4.2.2): the part of the time since `Last-Modified`; 0 turns it off. The \
         response to a request with `Cookie` gets none, so without another lifetime it is not stored, unless it says \
         `public` or `no-cache`."),
    policy("heuristics.max", "duration", r#""1d""#, r#""1h""#,
        "The longest heuristic lifetime."),
    policy("stale_while_revalidate", "duration", r#""0s""#, r#""30s""#,
        "How long a stale response is served while it is refreshed, where the origin gave no window (RFC 5861 §3)."),
    policy("stale_if_error", "duration", r#""0s""#, r#""10m""#,
        "How long a stale response is served when the origin fails, where the origin gave no window (RFC 5861 §4). A \
         stored 404 or 410 may be served like any other response; a stored 5xx is never served stale."),
    policy("stale_despite_s_maxage", "boolean", "false", "true",
        "`s-maxage` forbids serving a response stale, as `proxy-revalidate` does (RFC 9111 §5.2.2.10). `true`: it \
         does not where the same response has `stale-while-revalidate` or `stale-if-error`, as many origins intend."),
    policy("stale_if_down", "duration", r#""0s""#, r#""1d""#,
        "How long a stale response is served while the circuit breaker of its cluster is open, where that is longer than \
         its window for errors (see `breaker`)."),
    policy("refresh_ahead.percent", "0 to 10000", "100", "0",
        "How early a popular response is refreshed before it expires (β of XFetch, times 100): 200 begins twice as \
         early as 100. The time is relative to how long the last fetch took, and never in the first half of the \
         lifetime; 0 turns it off."),
    policy("soft_purge_grace", "duration", r#""60s""#, r#""5m""#,
        "How long after a soft purge the response is served stale while it is refreshed."),
    policy("keep", "duration", r#""1h""#, r#""1d""#,
        "How long a stale response is kept for its validators, beyond every window in which it may be served."),
    policy("request_directives", "`honor`, `ignore_revalidation`, `ignore`", r#""honor""#, r#""ignore""#,
        "How to treat cache directives in requests. `ignore_revalidation` ignores those that ask for something newer \
         (`no-cache`, `max-age`, `min-fresh`, `Pragma`), `ignore` all but `only-if-cached`."),
    policy("set_cookie", "`refuse`, `strip`, `store`", r#""refuse""#, r#""strip""#,
        "How to treat responses with `Set-Cookie`: `refuse` does not store them, `strip` stores them without the \
         field, `store` stores them with it where RFC 9111 §3 allows."),
    policy("cookies_need_public", "boolean", "false", "true",
        "Store responses to requests with `Cookie` only when they say `public` or `s-maxage`."),
    policy("credentials.fields", "object: header field to `guard`, `key` or `ignore`", "{}", r#"{"x-acme-user": "guard", "x-api-key": "key"}"#,
        "Request fields that identify the sender, so that responses to one sender are not served to another. Names \
         may end in `*`; the most specific one applies. `guard`: the response is stored only where RFC 9111 §3.5 \
         allows that for `Authorization` (`public`, `s-maxage`, `must-revalidate`), and Larder's own fetches omit \
             the field. `key`: its value is part of the key, so that each sender has separate responses, as in a \
             private cache; `private` responses are still not stored. A field in `key.headers` counts as `key`. \
             `ignore`: not a credential; not allowed for `authorization`. \
         Unless configured, guarded: fields with one of these words set off by hyphens, such as `x-forwarded-user` \
         and `x-auth-request-email` (but not `x-user-agent` or `x-user-country`): `authorization`, \
         `authenticated`, `user`, `username`, `userid`, `userinfo`, `email`, `groups`, `roles`, `principal`, \
         `identity`, `claim`, `claims`, `jwt`, `oauth`, `oidc`, `saml`, `sso`, `api-key`, `apikey`, `api-token`, \
         `access-token`, `auth-token`, `id-token`, `refresh-token`, `session-token`, `client-cert`, `clientcert`, \
         `client-dn`; then `authorization`, `dpop`, `signature`, `auth-*`, `x-auth`, `x-auth-*`, `token`, \
         `x-token`, `x-token-*`, `private-token`, `job-token`, `x-vault-token`, `x-amz-security-token`, \
         `x-functions-key`, `ocp-apim-subscription-key`, `x-rapidapi-key`, `x-client-id`, `x-client-secret`, \
         `x-account-id`, `x-customer-id`, `x-subject`, `x-hasura-*`, `ssl-client-*`, `ssl_client_*`, \
         `x-ssl-client-*`, `x-ssl-cert`, `remote-name`, `x-authentik-*`, `x-pomerium-*`, `x-vouch-*`, \
         `x-kratos-*`, `x-consumer-*`, `x-credential-*`, `x-webauth-*`, `x-remote-name`, `x-remote-uid`, \
         `x-remote-group`, `x-remote-extra-*`, `impersonate-*`, `x-oauth2-*`, `x-goog-iap-*`, `x-amzn-oidc-*`, \
         `cf-access-*`, `x-ms-token-*`, `x-zumo-auth`, `shib-*`, `x-shib-*`, `eppn`, `sm_*`, `oam_*`, `osso-*`, \
         `iv-creds`; and any other field whose value is a bearer token, a JSON web token or the claims of one."),
    policy("credentials.metadata", "object: name to `guard` or `ignore`", "{}", r#"{"envoy.filters.http.ext_authz": "ignore"}"#,
        "Dynamic metadata that says that a filter knows who sends the request, by the names under which filters \
         leave it: `guard` or `ignore`, as for `credentials.fields`. Looked at only when a response would \
         otherwise be stored or fetched anew, so that hits cost nothing. A credential that is part of the key \
         speaks for the metadata too. Unless configured, guarded: `envoy.filters.http.api_key_auth`, \
         `envoy.filters.http.basic_auth`, `envoy.filters.http.ext_authz`, `envoy.filters.http.jwt_authn`, \
         `envoy.filters.http.oauth2`, `istio_authn`."),
    policy("targeted", "list of header fields", r#"["cdn-cache-control"]"#, r#"["acme-cache-control"]"#,
        "The fields of targeted cache control that are obeyed (RFC 9213), most specific first."),
    policy("surrogate_control", "boolean", "false", "true",
        "Obey and strip `Surrogate-Control`."),
    policy("surrogate_device", "token or `null`", "null", r#""edge-1""#,
        "The name by which `Surrogate-Control` may address this cache, as in `max-age=60;edge-1`."),
    policy("key.query", "`all`", r#""all""#, r#""all""#,
        "Which query parameters are part of the cache key: `all`, or those selected by `keep` or `drop`."),
    policy("key.query.keep", "list of names, which may end in `*`", "", r#"["page"]"#,
        "Only these query parameters are part of the key."),
    policy("key.query.drop", "list of names, which may end in `*`", "", r#"["utm_*"]"#,
        "All query parameters but these are part of the key."),
    policy("key.query_sorted", "boolean", "false", "true",
        "Sort query parameters by name, in the key and in the request to the origin, so that their order does not \
         matter."),
    policy("key.forward_dropped", "boolean", "false", "true",
        "Forward query parameters that are not part of the key. An origin that uses them then allows cache poisoning."),
    policy("key.headers", "list of header fields", "[]", r#"["x-tenant"]"#,
        "Request header fields whose values are part of the key, as they are sent to the origin."),
    policy("key.cookies", "list of names", "[]", r#"["currency"]"#,
        "Cookies whose values are part of the key. If a cookie is repeated, or servers may parse it differently, all \
         of its text is part of the key."),
    policy("key.cookies_drop", "list of names, which may end in `*`", "[]", r#"["_ga*", "_gid", "_fbp"]"#,
        "Cookies that do not change responses, such as those of analytics: `Vary: Cookie` ignores them, and they are \
         removed from cacheable requests."),
    policy("key.accept_encoding", "list of `gzip`, `deflate`, `br`, `zstd`; or `as_sent`", r#"["gzip", "br"]"#, r#"["gzip", "br", "zstd"]"#,
        "The content codings to normalise `Accept-Encoding` to. The origin is sent only those of them that the \
         client accepts, and variants are selected by them, so that browsers share variants: `gzip, deflate, br, \
         zstd` becomes `gzip, br`, and a client that accepts none becomes `identity`. A request without the field \
         stays without it. `as_sent`: the field is not changed."),
    policy("key.content_bytes_max", "size, up to 1MiB", r#""64KiB""#, r#""256KiB""#,
        "The largest content of a `QUERY` (RFC 10008) that can be part of the key; a request with more bypasses the \
         cache. \
         Must not be more than Envoy's `per_connection_buffer_limit_bytes`."),
    policy("key.partition", "name, or null", "null", r#""checkout""#,
        "A name that is part of the key, for configurations that share a `vm_id` and so one store (as all in Istio \
         do), but must not share responses. Purges cover all partitions. Requests that come through listeners with \
         `traffic_direction` `INBOUND` and `OUTBOUND` are kept apart without it."),
    policy("key.unkeyed", "object: header field to `key`, `strip`, `bypass` or `ignore`", "{}", r#"{"forwarded": "strip"}"#,
        "How to treat request fields that change responses without being named in `Vary` (protection against cache \
         poisoning): `key` makes the value part of the key, `strip` removes the field, `bypass` makes the request \
         bypass the cache, `ignore` does nothing. Defaults: `key` for `x-forwarded-host`, \
         `x-forwarded-port`, `x-forwarded-prefix`, `x-forwarded-proto` (where it is not the scheme), \
         `x-forwarded-protocol`, `x-forwarded-scheme`, `x-forwarded-server`, `x-forwarded-ssl`, `x-host`, \
         `x-http-host-override`, `x-url-scheme`, `front-end-https`. `bypass` for `forwarded`, \
         `x-original-url`, `x-rewrite-url`, `x-http-method`, `x-http-method-override`, `x-method-override`. `ignore` \
             for all others, such as `x-forwarded-for`; an origin whose responses depend on the client's address has \
             to send `private`."),
    policy("store_post", "boolean", "false", "true",
        "Store POST responses that have explicit freshness and a matching `Content-Location`, for later GETs (RFC 9110 \
         §9.3.3)."),
    policy("post_as_query", "boolean", "false", "true",
        "Treat POST like `QUERY`, for GraphQL or searches: it invalidates nothing, and its response is served to \
         later requests with the same content. It is stored if the origin or `ttl` gives it a lifetime."),
    policy("variants_max", "1 to 1000", "16", "4",
        "The most variants that are stored for one URL. One more evicts the least used variant."),
    policy("min_uses", "1 to 8", "1", "2",
        "Store a response only once it was requested this often (scan resistance). Counts are kept for recently \
         requested URLs only; rarer ones start over."),

    top("route_metadata", "boolean", "false", "true",
        "Whether a route may have a rule in its metadata, under `filter_metadata.larder`, which takes precedence \
         over all other rules. Costs one call to Envoy per request. Requests on a route with an invalid rule bypass \
         the cache, and Envoy's log says why."),
    top("rules", "list of rules", "[]", r#"[{"match": {"path": "/img/**"}, "ttl": "1h"}]"#,
        "Tried in order. Each option comes from the first rule that matches and sets it, else from the top level; \
         tags of all rules that match add up."),
    top("rules[].name", "letters, digits, `-_.`", "", r#""images""#,
        "Names the rule, and tags what it matches with `rule:` and the name."),
    top("rules[].match.host", "one or a list", "", r#"["shop.example", "*.example.com"]"#,
        "Hosts, on any port unless one is given. `*` stands for any text."),
    top("rules[].match.path", "one or a list", "", r#"["/img/**", "/users/{id}"]"#,
        "Paths, without query, as they are on the wire. `*` stands for any text in a segment, `**` for any number \
         of segments, `{name}` for text in a segment that tags may use. Against web cache deception a pattern for any \
         file with an extension (`/**/*.css`) does not match disguised delimiters (`%2f`, `;`) or a content type that \
         disagrees, but for rules that set `bypass`."),
    top("rules[].match.method", "one or a list", "", r#"["GET", "HEAD"]"#,
        "Methods."),
    top("rules[].match.header", "object: header field to condition", "", r#"{"x-preview": true, "user-agent": "Bot/*"}"#,
        "Request header fields: `true` (present), `false` (absent), a value or a list of values in which `*` stands \
         for any text and `\\*` for a star."),
    top("rules[].match.status", "one or a list", "", r#"[404, "5xx", "300-308"]"#,
        "Status codes of the response."),
    top("rules[].match.content_type", "one or a list", "", r#"["text/html", "image/*"]"#,
        "Media types of the response, without parameters."),
    top("rules[].tags", "list of tags", "[]", r#"["images"]"#,
        "Tags for the response, with captures of the path where they say `{name}`, such as `user:{id}`."),
    top("rules[].invalidates.tags", "list of tags", "[]", r#"["users"]"#,
        "Mutation rule: after a successful response to a matching unsafe request (`PUT`, `POST`, …), stored \
         responses with one of these tags are validated before their next use. May have captures, such as \
         `user:{id}`."),
    top("rules[].invalidates.paths", "list of paths", "[]", r#"["/users"]"#,
        "The same for these paths on the host of the request, with any query."),
    top("rules[].invalidates.prefixes", "list of paths", "[]", r#"["/users"]"#,
        "The same for these paths and all below them."),
    top("rules[].object_bytes_max", "size", "", r#""64KiB""#,
        "The largest body of a response that is stored, at most `store.object_bytes_max`."),
    top("rules[].collapse", "boolean", "", "false",
        "Whether requests for the same key become one fetch, as `collapse.enabled` says for all."),

    top("name", "token", r#""larder""#, r#""edge-1""#,
        "The cache's name in `Cache-Status`."),
    top("cache_status.enabled", "boolean", "true", "false",
        "Whether responses carry `Cache-Status` (RFC 9211)."),

    top("store.bytes_max", "size, 1MiB to 64GiB", r#""256MiB""#, r#""1GiB""#,
        "The size of the cache in shared data, for all workers together. Each worker may exceed it briefly by 16 KiB."),
    top("store.object_bytes_max", "size, up to 64MiB", r#""1MiB""#, r#""512KiB""#,
        "The largest body of a response that is stored."),
    top("store.entries_max", "64 to 16777216", "65536", "1024",
        "The most stored responses. A change moves most keys to another place, so most stored responses become \
         misses; after it is lowered, the surplus is evicted in the background."),
    top("store.host_bytes_max", "size, 64KiB or more, or `null`", "null", r#""16MiB""#,
        "The most bytes of one host's responses in shared data, so that one host does not evict the others. A \
         response beyond it evicts others of its host; where too few are found it is not stored (`host-quota`). \
         Responses stored before this was set do not count."),
    top("store.worker_bytes_max", "size, up to 512MiB", r#""64MiB""#, "0",
        "The size of the first-level cache (copies of stored responses) in each worker's memory; 0 turns it off."),
    top("store.in_flight_bytes_max", "size, 64KiB to 512MiB", r#""256MiB""#, r#""64MiB""#,
        "The most memory for requests and responses in flight, in each worker. Beyond it requests bypass the cache \
         (`memory`), and the largest responses being captured are not stored (`memory`). With \
         `store.worker_bytes_max` at most 768MiB, since Envoy gives a VM 1 GiB."),

    top("tags.headers", "list of header fields",
        r#"["cache-tag", "surrogate-key", "cache-groups", "xkey", "cache-tags", "edge-cache-tag", "purge-cache-tags", "typo3-pid", "typo3-sitename", "x-acquia-purge-tags", "x-cache-tag", "x-cache-tags", "x-magento-tags"]"#,
        r#"["cache-tag", "x-own-tags"]"#,
        "The response header fields that tags are read from. Commas separate tags; in `xkey`, `surrogate-key`, \
         `purge-cache-tags` and `x-acquia-purge-tags` blanks too, and in fields that are not named here, `cache-tags` and \
         `x-cache-tags` where there is no comma. `cache-groups` is a list of strings (RFC 9875)."),
    top("tags.strip", "boolean", "true", "false",
        "Remove these fields from responses to clients."),
    top("tags.count_max", "1 to 1024", "1024", "16",
        "The most tags of one stored response; one with more is not stored."),
    top("tags.length_max", "1 to 1024", "256", "64",
        "The longest tag, in bytes; a response with a longer one is not stored."),
    top("tags.parents", "object: tag to one or a list", "{}", r#"{"user": ["data"], "order": "data"}"#,
        "Which tags are part of which: purging `data` purges what is tagged `user` too, at any depth."),

    top("collapse.enabled", "boolean", "true", "false",
        "Whether requests for the same key become one fetch."),
    top("collapse.lease", "duration, 300ms to 1m", r#""2s""#, r#""1s""#,
        "How long waiters wait for a fetch after the last sign of life of its worker."),
    top("collapse.wait_max", "duration, 900ms to 10m", r#""10s""#, r#""20s""#,
        "How long a request waits for another request's fetch before it is forwarded itself; at least three times \
         `collapse.lease`."),
    top("collapse.fetch_timeout", "duration, 100ms to 10m", r#""30s""#, r#""5s""#,
        "The timeout of a dispatched fetch."),
    top("collapse.fetch", "`auto`, `inline`, `dispatched`", r#""auto""#, r#""inline""#,
        "How a miss is fetched: `inline` forwards the first client's request and captures the response; `dispatched` \
         sends an upstream request of Larder's own; `auto` dispatches for keys that are known to be cacheable. \
         Without `collapse.cluster` all are inline. Background refreshes are dispatched, except with `inline`."),
    top("collapse.cluster", "cluster or `null`", "null", r#""origin""#,
        "The cluster that leads Larder's own fetches to the route table, by way of an internal listener, as in \
         `envoy/envoy.yaml`: so that they take routes like any request. Without it, misses are fetched inline, and a \
             refresh uses the route that an earlier request took, while that is certain to be unchanged: for a \
             minute, with the same route name, cluster and metadata, no purge since, and nothing \
         added to the request. If Envoy lacks the cluster, its log and `health` say so, and misses are fetched \
             inline."),
    top("collapse.waiters_max", "1 to 1000000", "4096", "100",
        "The most waiting requests on one worker; further ones are forwarded."),
    top("collapse.key_waiters_max", "1 to 1000000", "1024", "50",
        "The most waiting requests for one key."),
    top("collapse.refresh_concurrency_max", "1 to 10000", "32", "8",
        "The most concurrent refreshes on one worker."),

    top("breaker.enabled", "boolean", "true", "false",
        "Circuit breaker: whether a cluster that keeps failing counts as down. While it does, stale responses are \
         served where allowed without a request to it, and one request at a time probes whether it has recovered."),
    top("breaker.failures", "1 to 1000", "5", "20",
        "How many failures of a cluster in a row, as seen by one worker, open its breaker: 500, 502, 503, 504, and \
         requests without a response."),
    top("breaker.window", "duration, 1s to 10m", r#""10s""#, r#""1m""#,
        "Within what time after the first of them."),
    top("breaker.probe_interval", "duration, 100ms to 10m", r#""5s""#, r#""1s""#,
        "How often a request probes the origin, and the timeout of a probe."),

    top("admin.path", "path with a slash at both ends", r#""/_larder/""#, r#""/cache/""#,
        "The path of the admin route."),
    top("admin.methods", "boolean", "false", "true",
        "Whether the methods `PURGE`, `PURGEKEYS`, `PURGETAGS`, `BAN` and `REFRESH` are commands on any path."),
    top("admin.body_bytes_max", "size, 1KiB to 1MiB", r#""64KiB""#, r#""8KiB""#,
        "The largest body of a command."),
    top("admin.selectors_max", "1 to 10000", "1024", "16",
        "The most selectors in one command."),
    top("admin.rate.per_minute", "1 to 1000000", "6000", "60",
        "How many commands a token may send to one worker in a minute; a purge counts as many times as it takes records \
         of the journal. Beyond it: 429 with `Retry-After`."),
    top("admin.rate.burst", "1 to 1000000", "1000", "10",
        "How many of them at once."),
    top("admin.networks", "list of addresses and blocks", "[]", r#"["10.0.0.0/8", "fd00::/8"]"#,
        "The networks that may use the admin route, by Envoy's `source.address`; empty allows all. For others the \
         route does not exist, whatever their token."),
    top("admin.client_names", "list of names", "[]", r#"["spiffe://example/ops"]"#,
        "The names in client certificates that may use the admin route (first URI or DNS subject alternative name); \
         empty allows all. \
         Envoy has to validate the certificates (`trusted_ca`)."),
    top("admin.strangers", "`forbid`, `pass`", r#""forbid""#, r#""pass""#,
        "How to treat `PURGE`, `BAN` and `REFRESH` without a valid token, where `admin.methods` is on: `forbid` \
         answers 403 without a token and 401 with a wrong one, `pass` forwards them to the origin."),
    top("admin.tokens", "list of tokens", "[]", "[]",
        "The tokens for the admin route; without any there is no admin route."),
    top("admin.tokens[].name", "letters, digits, `-_.`", "", r#""ops""#,
        "Who the token belongs to; named in receipts and logs."),
    top("admin.tokens[].sha256", "64 hex digits", "", r#""2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b""#,
        "The SHA-256 digest of the token (`printf %s \"$TOKEN\" | sha256sum`), because Envoy shows configurations \
         in its config dump."),
    top("admin.tokens[].scopes", "list of `read`, `purge`, `purge_all`", r#"["read", "purge", "purge_all"]"#, r#"["read"]"#,
        "What the token allows. `purge` is for selectors that name something: a URL, a path, a host, a tag, a media \
         type, an error status, a pattern with three literal characters; all others need `purge_all`."),

    top("unsafe_methods.per_minute", "1 to 1000000", "6000", "600",
        "How many invalidations by unsafe methods (RFC 9111 §4.4) one worker may write in a minute, so that clients \
         cannot flood the journal; each rule with `invalidates` has a separate rate. Invalidations beyond the rate \
         are not lost: they are merged, and written within 50 ms as a few records that cover them all, such as one \
         for the whole host. Hosts without such requests are not affected."),
    top("unsafe_methods.burst", "1 to 1000000", "1000", "100",
        "How many of them at once."),

    top("fleet.name", "letters, digits, `-_.`, or `null`", "null", r#""prod""#,
        "The fleet that this Envoy belongs to: Envoys of one name share their invalidations through etcd. Without one \
         an invalidation holds in this process alone. See the page on fleets."),
    top("fleet.member", "letters, digits, `-_.`, or `null`", "null", r#""gw-a""#,
        "How this Envoy is called in records and answers that others see. Unless configured, Envoy's `node.id`."),
    top("fleet.cluster", "text", r#""etcd""#, r#""etcd_log""#,
        "The Envoy cluster of etcd, with HTTP/2."),
    top("fleet.prefix", "text that ends in `/`", r#""/larder/""#, r#""/caches/""#,
        "What the keys in etcd begin with; the name of the fleet and a `/` follow."),
    top("fleet.acknowledge", "`fleet`, `local`, `everywhere`", r#""fleet""#, r#""local""#,
        "When a command is answered, unless it says so itself (`acknowledge`). `fleet`: when etcd has committed it, else 503. \
         `local`: when it holds on this Envoy; it is lost to the others if this process ends before it was sent. \
         `everywhere`: when every living member has applied it (needs `fleet.members`), else 202 with the names of those \
         that have not."),
    top("fleet.acknowledge_timeout", "duration, 100ms to 1m", r#""2s""#, r#""500ms""#,
        "How long a command waits for etcd. Beyond it: 503 with `Retry-After`; the command holds on this Envoy, reaches \
         the others when etcd is back, and may be repeated."),
    top("fleet.everywhere_timeout", "duration, 100ms to 1m", r#""10s""#, r#""3s""#,
        "How long a command waits for all members with `everywhere`. Beyond it: 202, with who is missing."),
    top("fleet.members", "boolean", "false", "true",
        "Whether this Envoy lists itself in etcd under a lease, with what it has applied: for `everywhere`, and to be seen \
         (`GET fleet`). Its user in etcd needs to write `m/` then."),
    top("fleet.max_lag", "duration, 3s to 10m", r#""30s""#, r#""5s""#,
        "How long after a purge was committed its responses may still be served here, whatever happens to etcd, to the network \
         or to this Envoy. So long after it has last heard of etcd, `when_lagging` applies."),
    top("fleet.when_lagging", "`serve`, `stale`, `revalidate`, `bypass`", r#""revalidate""#, r#""bypass""#,
        "What becomes of stored responses then. `revalidate`: one that was fetched or validated longer than `max_lag` ago \
         is validated before it is used, which costs the origin one request for each URL and `max_lag` at most. `stale`: \
         the same counts as soft purged since then. `bypass`: each use asks the origin. `serve`: nothing changes, and \
         purges may be missed for as long."),
    top("fleet.history_lost", "`revalidate`, `hard`", r#""revalidate""#, r#""hard""#,
        "What becomes of everything stored where it cannot be known which purges were missed: etcd was wiped, restored, or \
         compacted while this Envoy was away. `hard` where the origin's validators cannot be trusted."),
    top("fleet.share", "list of `admin`, `mutation-rule`, `cache-group`, `unsafe-method`", r#"["admin", "mutation-rule", "cache-group"]"#, r#"["admin"]"#,
        "Which invalidations travel: commands, rules with `invalidates`, `Cache-Group-Invalidation`, and the targets of \
         unsafe requests (RFC 9111 §4.4), which clients can cause at will."),
    top("fleet.share_rate.per_minute", "1 to 1000000", "600", "60",
        "How many invalidations that clients' requests cause travel in a minute from each worker. What is beyond is gathered, \
         and travels as a few records that cover it all."),
    top("fleet.share_rate.burst", "1 to 1000000", "100", "10",
        "How many of them at once."),
    top("fleet.apply_rate.per_minute", "1 to 1000000", "60000", "600",
        "How many records of others are written to the journal one by one in a minute. What is beyond becomes one \
         invalidation of everything."),
    top("fleet.apply_rate.burst", "1 to 1000000", "5000", "100",
        "How many of them at once."),
    top("fleet.replay_max", "1 to 8192", "8192", "100",
        "How many batches may have been missed and are read one by one. Beyond it `history_lost` applies."),
    top("fleet.role", "`member`, `reader`", r#""member""#, r#""reader""#,
        "`reader`: this Envoy hears of invalidations and writes nothing, for a user of etcd that may only read."),
];

/// The table in Markdown, as the README shows it, with a line break at the end.
#[must_use]
pub fn reference_markdown() -> String {
    let mut table = String::from("| Option | Type | Default | In rules | Meaning |\n|---|---|---|---|---|\n");
    for Row { path, kind, default, in_rules, meaning, .. } in REFERENCE {
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        let meaning = meaning.replace('|', "\\|");
        let in_rules = if *in_rules { "yes" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| `{path}` | {kind} | {default} | {in_rules} | {meaning} |");
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Map, Value, json};

    use super::*;
    use crate::config::Config;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const DIGEST: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

    /// The configuration that sets `path` to `value` and nothing else that it need not.
    fn setting(path: &str, value: &Value) -> Value {
        let mut path_parts = path.rsplit('.');
        let last = path_parts.next().unwrap();
        let mut parents: Vec<&str> = path_parts.collect();
        let mut inner = field(last, value.clone());
        while !parents.is_empty() {
            let name = parents.remove(0);
            if name == "tokens[]" {
                let own = inner.as_object_mut().unwrap();
                own.entry("name").or_insert(json!("ops"));
                own.entry("sha256").or_insert(json!(DIGEST));
            }
            inner = field(name, inner);
        }
        inner
    }

    fn field(name: &str, value: Value) -> Value {
        let (name, value) = match name.strip_suffix("[]") {
            Some(name) => (name, Value::Array(vec![value])),
            None => (name, value),
        };
        Value::Object(Map::from_iter([(name.to_owned(), value)]))
    }

    fn parse(config: &Value) -> Result<Config, String> {
        Config::parse(config.to_string().as_bytes()).map_err(|error| format!("{config}: {error}"))
    }

    #[test]
    fn every_default_is_what_leaving_the_option_out_means() {
        for row in REFERENCE.iter().filter(|row| !row.default.is_empty()) {
            let default = serde_json::from_str(row.default).expect(row.path);
            let set = parse(&setting(row.path, &default)).unwrap();
            // Within a list there is no configuration without the element to compare with.
            if !row.path.contains("[]") {
                assert_eq!(set, Config::default(), "{}", row.path);
            }
        }
    }

    #[test]
    fn every_example_is_accepted_and_changes_something() {
        for row in REFERENCE {
            let example = serde_json::from_str(row.example).expect(row.path);
            let set = parse(&setting(row.path, &example)).unwrap();
            assert_eq!(
                set == Config::default(),
                row.example == row.default || row.path == "key.query",
                "{}",
                row.path
            );
        }
    }

    #[test]
    fn rules_may_set_what_the_table_says_and_nothing_else() {
        for row in REFERENCE.iter().filter(|row| !row.path.starts_with("rules")) {
            let path = format!("rules[].{}", row.path);
            let example = serde_json::from_str(row.example).expect(row.path);
            let in_rules = row.in_rules || REFERENCE.iter().any(|own| own.path == path);
            assert_eq!(parse(&setting(&path, &example)).is_ok(), in_rules, "{path}");
        }
    }

    #[test]
    fn every_field_that_the_parser_knows_is_in_the_table() {
        let paths: BTreeSet<&str> = REFERENCE.iter().map(|row| row.path).collect();
        assert_eq!(paths.len(), REFERENCE.len(), "each option once");
        let mut fields = Vec::new();
        leaves("", &mut fields);
        for known in ["key.query.drop", "ttl.status", "rules[].match.status", "admin.tokens[].scopes"] {
            assert!(fields.iter().any(|field| field == known), "{known} is not found: {fields:?}");
        }
        for field in fields {
            let row = match field.strip_prefix("rules[].") {
                Some(option) => REFERENCE.iter().any(|row| row.path == option && row.in_rules),
                None => false,
            };
            assert!(row || paths.contains(&*field), "{field} is not in the table");
        }
    }

    /// The paths of all fields below `path` that are no sections, found by asking for a field that none of them has.
    fn leaves(path: &str, found: &mut Vec<String>) {
        for name in known_fields(path) {
            let inner = if path.is_empty() { name } else { format!("{path}.{name}") };
            let list = format!("{inner}[]");
            if !known_fields(&inner).is_empty() {
                leaves(&inner, found);
            } else if !known_fields(&list).is_empty() {
                found.push(inner);
                leaves(&list, found);
            } else {
                found.push(inner);
            }
        }
    }

    /// The fields of the section at `path`; none when there is no section.
    fn known_fields(path: &str) -> Vec<String> {
        let unknown = if path.is_empty() { "?".to_owned() } else { format!("{path}.?") };
        let Err(error) = parse(&setting(&unknown, &Value::Null)) else { return Vec::new() };
        let Some((_, known)) = error.split_once("unknown field; expected one of ") else {
            return Vec::new();
        };
        known.split(", ").map(String::from).collect()
    }

    #[test]
    fn the_markdown_has_a_line_for_each_option_and_no_stray_column() {
        let table = reference_markdown();
        assert_eq!(table.lines().count(), REFERENCE.len() + 2);
        assert!(table.lines().all(|line| line.replace("\\|", "").matches('|').count() == 6), "{table}");
    }
}
