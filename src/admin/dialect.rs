//! The languages that callers speak.

/// The language that a caller speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// Larder's own, below its path prefix.
    Own,
    /// The methods `PURGE`, `PURGEKEYS`, `BAN` and `REFRESH` on any path: Varnish, FOSHttpCache, nginx.
    Varnish,
    /// Fastly's purging API.
    Fastly,
    /// Cloudflare's purging API.
    Cloudflare,
    /// Souin's API, and the JSON of the expired draft on HTTP invalidation.
    Souin,
}

impl Dialect {
    /// The name of what is spoken so.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Dialect::Own => "Larder",
            Dialect::Varnish => "Varnish",
            Dialect::Fastly => "Fastly",
            Dialect::Cloudflare => "Cloudflare",
            Dialect::Souin => "Souin",
        }
    }
}
