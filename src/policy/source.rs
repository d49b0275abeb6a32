//! Where a freshness lifetime comes from, for those who ask why something is fresh for as long as it is.

use serde::{Deserialize, Serialize};

/// What has given a stored response its freshness lifetime.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum LifetimeSource {
    /// Nothing: it has none.
    #[default]
    Nothing,
    /// `s-maxage`.
    SMaxage,
    /// `max-age`.
    MaxAge,
    /// A field for caches like this one (`CDN-Cache-Control`, `Surrogate-Control`).
    Targeted,
    /// `Expires`.
    Expires,
    /// Something that cannot be read.
    Malformed,
    /// A part of the time since `Last-Modified` (§4.2.2).
    Heuristic,
    /// `ttl.override`, or `ttl` for short.
    Override,
    /// `ttl.default`.
    Default,
    /// `ttl.status`.
    Status,
    /// `ttl.min`.
    Min,
    /// `ttl.max`.
    Max,
    /// The answer to a HEAD, which has shown that the representation changed: it is over (§4.3.5).
    Head,
}

impl LifetimeSource {
    /// The source as the field, the directive or the option is called.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            LifetimeSource::Nothing => "nothing",
            LifetimeSource::SMaxage => "s-maxage",
            LifetimeSource::MaxAge => "max-age",
            LifetimeSource::Targeted => "targeted",
            LifetimeSource::Expires => "expires",
            LifetimeSource::Malformed => "malformed",
            LifetimeSource::Heuristic => "heuristic",
            LifetimeSource::Override => "ttl.override",
            LifetimeSource::Default => "ttl.default",
            LifetimeSource::Status => "ttl.status",
            LifetimeSource::Min => "ttl.min",
            LifetimeSource::Max => "ttl.max",
            LifetimeSource::Head => "head",
        }
    }
}
