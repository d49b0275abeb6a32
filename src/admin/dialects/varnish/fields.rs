//! The fields by which a purge selects: which there are, and with which methods their clients send them.
//!
//! What a client means by a field stands in the configuration that its makers ship for Varnish. A field that looks like
//! a selector and is in none of them is refused: an answer of 200 to something else would leave its site stale.

use super::tags::META;
use crate::admin::Problem;
use crate::http::RequestHead;
use crate::invalidation::{Mode, Part, Separators};

/// What a field says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Says {
    /// Tags by their names.
    Names(Mode),
    /// Tags by their names, or by a regular expression.
    NamesOrPattern,
    /// A regular expression for a part of what is stored.
    Pattern(Part),
    /// A regular expression for URLs; with `PURGE` for those of the request's own host.
    OwnUrls,
    /// How the path is meant: [`super::path::By`].
    PathIs,
    /// What the path goes on with: only `.*`.
    PathGoesOn,
    /// Everything, where it is `true` or `1`.
    Everything,
    /// TYPO3's, which belong together.
    Typo3,
    /// Acquia's name of a site: no selector, as there is one site here, but where nothing else is said.
    Site,
    /// That it is a soft purge.
    Softly,
    /// A credential.
    Nothing,
}

/// With which methods a field is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum With {
    Any,
    Purge,
    Ban,
    PurgeOrBan,
}

const HARD: Says = Says::Names(Mode::Hard);

/// All that are known.
const FIELDS: [(&str, Says, With); 37] = [
    // vmod_xkey, Shopware, Ibexa, API Platform, FOSHttpCache, TYPO3, Fastly's, Cloudflare's and Akamai's.
    ("xkey", HARD, With::Any),
    ("xkey-purge", HARD, With::Any),
    ("xkey-softpurge", Says::Names(Mode::Soft), With::Any),
    ("key", HARD, With::Any),
    ("surrogate-key", HARD, With::Any),
    ("cache-tag", HARD, With::Any),
    ("edge-cache-tag", HARD, With::Any),
    ("x-cache-tag", HARD, With::Any),
    // FOSHttpCache, Drupal, Magento, Proxy Cache Purge, API Platform.
    ("x-cache-tags", Says::NamesOrPattern, With::Any),
    ("cache-tags", Says::NamesOrPattern, With::Any),
    ("purge-cache-tags", Says::NamesOrPattern, With::Any),
    ("x-acquia-purge-tags", Says::NamesOrPattern, With::Any),
    ("x-magento-tags-pattern", Says::NamesOrPattern, With::Any),
    ("x-cache-tags-pattern", Says::NamesOrPattern, With::Any),
    ("apiplatform-ban-regex", Says::NamesOrPattern, With::Ban),
    // FOSHttpCache, and the example of Varnish's own documentation.
    ("x-host", Says::Pattern(Part::Host), With::Ban),
    ("x-url", Says::Pattern(Part::Url), With::Ban),
    ("x-content-type", Says::Pattern(Part::ContentType), With::Ban),
    ("x-ban-host", Says::Pattern(Part::Host), With::Ban),
    ("x-ban-url", Says::Pattern(Part::Url), With::Ban),
    ("x-ban-content-type", Says::Pattern(Part::ContentType), With::Ban),
    // Proxy Cache Purge, WP Rocket and others of WordPress.
    ("x-ban-regex", Says::OwnUrls, With::PurgeOrBan),
    ("x-purge-method", Says::PathIs, With::PurgeOrBan),
    ("x-purge-regex", Says::PathGoesOn, With::Purge),
    ("x-vc-purge-key", Says::Nothing, With::Any),
    // FOSHttpCache for Symfony's own cache.
    ("clear-cache", Says::Everything, With::Purge),
    ("varnish-ban-all", Says::Typo3, With::Ban),
    ("varnish-ban-typo3-pid", Says::Typo3, With::Ban),
    ("varnish-ban-typo3-sitename", Says::Typo3, With::Ban),
    ("varnish-ban-typo3-tag", Says::Typo3, With::Ban),
    ("x-acquia-purge", Says::Site, With::PurgeOrBan),
    ("fastly-soft-purge", Says::Softly, With::Any),
    // Where a token is, and what other proxies add.
    ("fastly-key", Says::Nothing, With::Any),
    ("x-auth-key", Says::Nothing, With::Any),
    ("x-api-key", Says::Nothing, With::Any),
    ("idempotency-key", Says::Nothing, With::Any),
    ("x-datadog-tags", Says::Nothing, With::Any),
];

/// Words in the name of a field that selects.
const WORDS: [&str; 29] = [
    "ban",
    "banned",
    "bans",
    "clear",
    "expression",
    "flush",
    "group",
    "groups",
    "invalidate",
    "invalidation",
    "key",
    "keys",
    "location",
    "pattern",
    "pid",
    "pool",
    "prefix",
    "purge",
    "purger",
    "purges",
    "regex",
    "regexp",
    "selector",
    "site",
    "sitename",
    "softpurge",
    "tag",
    "tags",
    "xkey",
];

/// Names that select where they stand alone or behind `x-`.
const PARTS: [&str; 9] = ["content-type", "domain", "glob", "host", "path", "status", "uri", "url", "urls"];

/// A field that selects, and its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Selecting {
    pub(super) name: &'static str,
    pub(super) says: Says,
    pub(super) value: String,
}

/// The fields of a request that say something about what is to be purged, in the order of the table above.
///
/// # Errors
/// When one is not known, or not with this method, or is empty, or stands there twice and is no list.
pub(super) fn selecting(request: &RequestHead) -> Result<Vec<Selecting>, Problem> {
    let method = String::from_utf8_lossy(request.method()).into_owned();
    for (name, _) in request.fields.iter() {
        let Ok(name) = core::str::from_utf8(name) else { continue };
        match FIELDS.iter().find(|(known, _, _)| *known == name) {
            None if looks_like_a_selector(name) => {
                return Err(Problem::bad(format!("the field {name} is not known: nothing has been purged")));
            }
            Some((_, _, with)) if !with.allows(request.method()) => {
                return Err(Problem::bad(format!(
                    "the field {name} is not known with {method}: nothing has been purged"
                )));
            }
            Some(_) | None => {}
        }
    }
    let there =
        FIELDS.into_iter().filter(|(name, says, _)| *says != Says::Nothing && request.fields.contains(name));
    there.map(|(name, says, _)| Ok(Selecting { name, says, value: value(request, name, says)? })).collect()
}

fn value(request: &RequestHead, name: &str, says: Says) -> Result<String, Problem> {
    let lines: Vec<&[u8]> = request.fields.get_all(name).map(<[u8]>::trim_ascii).collect();
    if lines.iter().any(|line| line.is_empty()) {
        return Err(Problem::bad(format!("{name} is empty: nothing has been purged")));
    }
    let has_commas = lines.iter().any(|line| line.contains(&b','));
    let separator = if has_commas || Separators::of(name) == Separators::Commas { b',' } else { b' ' };
    let value = String::from_utf8(lines.join(&separator))
        .map_err(|_| Problem::bad(format!("{name} is not UTF-8")))?;
    let is_list = match says {
        Says::Names(_) => true,
        Says::NamesOrPattern => !value.contains(META),
        _ => false,
    };
    if lines.len() > 1 && !is_list {
        return Err(Problem::bad(format!("duplicate field {name}")));
    }
    Ok(value)
}

fn looks_like_a_selector(name: &str) -> bool {
    let names_a_part = PARTS.iter().any(|part| name.strip_prefix("x-") == Some(part) || name == *part);
    let is_of_http = matches!(name, "host" | "content-type") || name.starts_with(':');
    let is_of_the_connection =
        ["sec-", "proxy-", "x-forwarded-", "x-envoy-", "x-amz", "x-b3-", "cf-", "x-original-"];
    if is_of_http || is_of_the_connection.iter().any(|start| name.starts_with(start)) {
        return false;
    }
    names_a_part || name.split(['-', '_']).any(|word| WORDS.contains(&word))
}

impl With {
    fn allows(self, method: &[u8]) -> bool {
        match self {
            With::Any => method != b"REFRESH",
            With::Purge => method == b"PURGE",
            With::Ban => method == b"BAN",
            With::PurgeOrBan => matches!(method, b"PURGE" | b"BAN"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn selecting_fields_are_distinguished_from_ordinary_ones() {
        let selecting = "x-purge-regex-2 x-purge-tags x-tags tags ban x-ban-expression x-uri surrogate-keys \
            x-xkey-purge x-location-id x-pool x-site x-purge-host varnish-ban-foo x-cache-purge purge-type x-key \
            x-invalidate x-litespeed-purge x-flush x-path x-status my_tag x-ban-tags cache-groups";
        for name in selecting.split_whitespace() {
            assert!(looks_like_a_selector(name), "{name}");
        }
        let others = "host content-type accept accept-encoding user-agent cookie x-forwarded-host x-forwarded-for \
            x-request-id traceparent tracestate x-envoy-original-path x-real-ip cache-control content-length via \
            forwarded authorization connection te x-b3-traceid if-none-match if-match origin referer x-original-url \
            sec-websocket-key x-amzn-trace-id baggage x-client-data expect range x-bandwidth :path surrogate-capability";
        for name in others.split_whitespace() {
            assert!(!looks_like_a_selector(name), "{name}");
        }
    }
}
