//! What configuration says about one exchange, once its rules have been matched.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::credentials::Credentials;
use super::text::keywords;
use super::unkeyed::Unkeyed;
use crate::http::coding::{Coding, Codings};

/// The caching options in force for one exchange: the defaults overlaid by the rules that match it.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    /// Go to the origin and store nothing.
    pub bypass: bool,
    /// Overrides the freshness lifetime that the origin gave.
    pub ttl: Option<Duration>,
    /// The freshness lifetime of a response whose origin gave none.
    pub ttl_default: Option<Duration>,
    /// The shortest freshness lifetime of a response that may be stored.
    pub ttl_min: Option<Duration>,
    /// The longest freshness lifetime.
    pub ttl_max: Option<Duration>,
    /// Freshness lifetimes by status code, for responses whose origin gave none (negative caching).
    pub ttl_status: Vec<(u16, Duration)>,
    /// Heuristic freshness (RFC 9111 §4.2.2).
    pub heuristics: Heuristics,
    /// The stale-while-revalidate window (RFC 5861 §3) where the origin gave none.
    pub stale_while_revalidate: Duration,
    /// The stale-if-error window (RFC 5861 §4) where the origin gave none.
    pub stale_if_error: Duration,
    /// `s-maxage` does not forbid the stale windows that the same response names.
    pub stale_despite_s_maxage: bool,
    /// How long a stale response is served while its cluster is taken to be down.
    pub stale_if_down: Duration,
    /// How eagerly what is in demand is refreshed before it expires, in percent; 0 turns it off.
    pub refresh_ahead_percent: u32,
    /// How long after a soft purge a response that was fresh may be served stale while it is refreshed.
    pub soft_purge_grace: Duration,
    /// How long a stale response is kept for its validators beyond every serving window.
    pub keep: Duration,
    /// What becomes of request cache directives.
    pub request_directives: RequestDirectives,
    /// What becomes of responses with `Set-Cookie`.
    pub set_cookie: SetCookie,
    /// Store responses to requests with `Cookie` only when the response says `public` or `s-maxage`.
    pub cookies_need_public: bool,
    /// Which request fields and which metadata say who sends a request.
    pub credentials: Credentials,
    /// Field names of targeted cache control (RFC 9213), most specific first, in lower case.
    pub targeted: Vec<String>,
    /// Obey and strip `Surrogate-Control`.
    pub surrogate_control: bool,
    /// The name by which `Surrogate-Control` may address this cache.
    pub surrogate_device: Option<String>,
    /// What the cache key is made of.
    pub key: KeyOptions,
    /// Store POST responses that carry explicit freshness and a matching `Content-Location` (RFC 9110 §9.3.3).
    pub store_post: bool,
    /// A POST only asks: it is treated like a `QUERY` (RFC 10008).
    pub post_as_query: bool,
    /// The largest body of a response that is stored, in bytes.
    pub object_bytes_max: u64,
    /// The most variants that are stored for one URL.
    pub variants_max: u32,
    /// Store a response only when its key was asked for so often.
    pub min_uses: u8,
    /// Wait for a fetch of the same key that is already under way.
    pub collapse: bool,
    /// Tags that the rules add to a stored response. Those with captures are only known in the response phase.
    pub tags: Vec<String>,
    /// The names of the rules that matched, in order; nameless ones are left out.
    pub rules: Vec<String>,
}

/// Heuristic freshness (RFC 9111 §4.2.2).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Heuristics {
    /// The part of the time since `Last-Modified` that counts as fresh, in percent; 0 turns heuristics off.
    pub percent: u8,
    /// The longest heuristic lifetime.
    pub max: Duration,
}

/// What becomes of request cache directives (RFC 9111 §5.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestDirectives {
    /// All are obeyed.
    Honor,
    /// Those that ask for something newer (`no-cache`, `max-age`, `min-fresh`, `Pragma`) are ignored.
    IgnoreRevalidation,
    /// All are ignored, but for `only-if-cached`.
    Ignore,
}

keywords! {
    RequestDirectives, "a way to treat request directives":
    "honor" => RequestDirectives::Honor,
    "ignore_revalidation" => RequestDirectives::IgnoreRevalidation,
    "ignore" => RequestDirectives::Ignore
}

/// What becomes of responses with `Set-Cookie`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetCookie {
    /// They are not stored.
    Refuse,
    /// They are stored without the field.
    Strip,
    /// They are stored whole when RFC 9111 §3 allows it.
    Store,
}

keywords! {
    SetCookie, "a way to treat Set-Cookie":
    "refuse" => SetCookie::Refuse,
    "strip" => SetCookie::Strip,
    "store" => SetCookie::Store
}

/// What the cache key is made of, beside scheme, authority and path.
#[derive(Clone, PartialEq, Debug)]
pub struct KeyOptions {
    /// Which query parameters count.
    pub query: QueryKey,
    /// Whether the parameters are sorted by name before they are compared.
    pub query_sorted: bool,
    /// Whether parameters that do not count still go to the origin.
    pub forward_dropped: bool,
    /// Request header fields (lower case) whose values are part of the key.
    pub headers: Vec<String>,
    /// Cookies whose values are part of the key.
    pub cookies: Vec<String>,
    /// Cookies that neither select a response nor reach the origin. Names may end in `*`.
    pub cookies_drop: Vec<String>,
    /// The codings that count of those in `Accept-Encoding`, for the key and for the origin; none when the field is
    /// what the client makes it.
    pub accept_encoding: Option<Codings>,
    /// Request fields that are known to change responses without being named in `Vary`.
    pub unkeyed: Unkeyed,
    /// The largest content that is part of the key, in bytes, where content is (`QUERY`).
    pub content_bytes_max: u64,
    /// What tells the responses of this configuration from those of others in the same store.
    pub partition: Option<String>,
    /// The direction of the listener that the request came through. It is not configured here.
    pub direction: Option<Direction>,
}

/// Which way the requests of a listener go (`traffic_direction`), as meshes set it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// To the workload beside this Envoy.
    Inbound,
    /// Away from it.
    Outbound,
}

impl Direction {
    /// In one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
        }
    }
}

keywords! {
    Coding, "a content coding":
    "gzip" => Coding::Gzip,
    "deflate" => Coding::Deflate,
    "br" => Coding::Br,
    "zstd" => Coding::Zstd
}

/// Which query parameters are part of the key. Names may end in `*`.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub enum QueryKey {
    /// The query as it is.
    All,
    /// Only these parameters.
    Keep(Vec<String>),
    /// All parameters but these.
    Drop(Vec<String>),
}

impl Default for Options {
    fn default() -> Self {
        Options {
            bypass: false,
            ttl: None,
            ttl_default: None,
            ttl_min: None,
            ttl_max: None,
            ttl_status: Vec::new(),
            heuristics: Heuristics { percent: 10, max: Duration::from_secs(86_400) },
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            stale_despite_s_maxage: false,
            stale_if_down: Duration::ZERO,
            refresh_ahead_percent: 100,
            soft_purge_grace: Duration::from_secs(60),
            keep: Duration::from_secs(3_600),
            request_directives: RequestDirectives::Honor,
            set_cookie: SetCookie::Refuse,
            cookies_need_public: false,
            credentials: Credentials::default(),
            targeted: vec!["cdn-cache-control".into()],
            surrogate_control: false,
            surrogate_device: None,
            key: KeyOptions::default(),
            store_post: false,
            post_as_query: false,
            object_bytes_max: 1 << 20,
            variants_max: 16,
            min_uses: 1,
            collapse: true,
            tags: Vec::new(),
            rules: Vec::new(),
        }
    }
}

impl Default for KeyOptions {
    fn default() -> Self {
        KeyOptions {
            query: QueryKey::All,
            query_sorted: false,
            forward_dropped: false,
            headers: Vec::new(),
            cookies: Vec::new(),
            cookies_drop: Vec::new(),
            accept_encoding: Some([Coding::Gzip, Coding::Br].into_iter().collect()),
            unkeyed: Unkeyed::default(),
            content_bytes_max: 64 << 10,
            partition: None,
            direction: None,
        }
    }
}
