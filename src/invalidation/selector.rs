//! What an invalidation covers, and what of a stored response is looked at to tell.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Tag;
use crate::http::uri;
use crate::time::Timestamp;

/// Which stored responses an invalidation covers.
///
/// URIs are in canonical form without scheme, `host[:port]/path?query`: an invalidation covers all schemes and all
/// variants. Every selector covers only what was requested before it.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub enum Selector {
    /// Responses that meet all of these terms. Stays the first variant: see [`Term`].
    And(Vec<Term>),
    /// Everything.
    All,
    /// One URI, its query included.
    Uri(Vec<u8>),
    /// One URI with any query; the value has none.
    UriAnyQuery(Vec<u8>),
    /// A path and all below it: `host/blog` covers `/blog`, `/blog?page=2` and `/blog/a`, but not `/blogger`;
    /// `host/blog/` covers only what is below.
    Prefix(Vec<u8>),
    /// A host with its port, where that is not the default one.
    Host(Vec<u8>),
    /// A host name, with any port.
    Hostname(Vec<u8>),
    /// Responses that carry one of these tags, or are described by it: `host:…`, `status:…`, `type:…`.
    Tags(Vec<Tag>),
    /// A glob.
    Glob(Part, Box<str>),
    /// A regular expression.
    Regex(Part, Box<str>),
    /// A media type, `text/html`, or a range of them, `image/*`; in lower case.
    ContentType(Box<str>),
    /// A status code.
    Status(u16),
    /// A class of status codes by its first digit.
    StatusClass(u8),
    /// Responses that were stored before this time.
    StoredBefore(Timestamp),
}

/// What a pattern is matched against.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Host and path, or the path alone, each with or without query: it is enough that one of them matches.
    Url,
    /// The host with its port.
    Host,
    /// The value of `Content-Type`.
    ContentType,
    /// The tags: each of them, and all of them joined by commas.
    Tags,
}

/// One condition of a [`Selector::And`].
#[derive(Clone, PartialEq, Debug)]
pub struct Term {
    /// Whether the selector must not cover the response.
    pub negated: bool,
    /// Any selector but `And`.
    pub selector: Selector,
}

impl Term {
    /// The condition that a selector covers the response.
    #[must_use]
    pub const fn is(selector: Selector) -> Term {
        Term { negated: false, selector }
    }
}

/// The number of [`Selector::And`] on the wire.
const AND: u8 = 0;

// A term is written as bytes of its own, so that a reader can refuse an `And` within an `And` before it descends:
// no record, however damaged, can exhaust the stack.
impl Serialize for Term {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = postcard::to_allocvec(&self.selector).map_err(serde::ser::Error::custom)?;
        (self.negated, bytes).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Term {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (negated, bytes) = <(bool, Vec<u8>)>::deserialize(deserializer)?;
        if bytes.first() == Some(&AND) {
            return Err(serde::de::Error::custom("a conjunction within a conjunction"));
        }
        match postcard::take_from_bytes(&bytes) {
            Ok((selector, [])) => Ok(Term { negated, selector }),
            _ => Err(serde::de::Error::custom("not a selector")),
        }
    }
}

/// What a verdict looks at: the facts of a stored response that selectors speak of.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The canonical URI, `host[:port]/path?query`.
    pub uri: &'a [u8],
    /// The tags of the response and of the rules that matched it, `rule:…` among them.
    pub tags: &'a [Tag],
    /// The status code.
    pub status: u16,
    /// The value of `Content-Type`; empty when there is none.
    pub content_type: &'a [u8],
    /// When the response was stored.
    pub stored_at: Timestamp,
}

impl<'a> Subject<'a> {
    /// Host and port.
    #[must_use]
    pub fn authority(&self) -> &'a [u8] {
        uri::authority(self.uri)
    }

    /// The URI without its query.
    #[must_use]
    pub fn without_query(&self) -> &'a [u8] {
        self.uri.split(|b| *b == b'?').next().unwrap_or_default()
    }

    /// The media type without parameters, in lower case.
    #[must_use]
    pub fn media_type(&self) -> Vec<u8> {
        media_type(self.content_type).to_ascii_lowercase()
    }

    /// The tags that every response has without carrying them: `host:…`, `status:…` and `type:…`.
    #[must_use]
    pub fn automatic_tags(&self) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut tags = vec![format!("host:{}", text(self.authority())), format!("status:{}", self.status)];
        if !self.content_type.is_empty() {
            tags.push(format!("type:{}", text(&self.media_type())));
        }
        tags
    }
}

/// The media type without its parameters.
pub(super) fn media_type(content_type: &[u8]) -> &[u8] {
    content_type.split(|b| *b == b';').next().unwrap_or_default().trim_ascii()
}

/// The selector that an automatic tag stands for: `host:…`, `status:…`, `type:…`.
pub(super) fn automatic(tag: &Tag) -> Option<Selector> {
    let (kind, value) = tag.as_str().split_once(':')?;
    match kind {
        "host" => {
            let host = value.to_ascii_lowercase().into_bytes();
            let has_port = uri::hostname(&host).len() < host.len();
            Some(if has_port { Selector::Host(host) } else { Selector::Hostname(host) })
        }
        "status" => status(value),
        "type" => media_range(value),
        _ => None,
    }
}

/// The selector for a media type, `text/html`, or all of one kind, `image/*`.
#[must_use]
pub fn media_range(text: &str) -> Option<Selector> {
    let (kind, name) = text.split_once('/')?;
    let token = |part: &str| !part.is_empty() && !part.contains(['*', ' ', ';', ',', '/']);
    let fits = token(kind) && (name == "*" || token(name));
    fits.then(|| Selector::ContentType(text.to_ascii_lowercase().into()))
}

/// The selector for a status code, `404`, or a class of them, `4xx`.
#[must_use]
pub fn status(text: &str) -> Option<Selector> {
    let class = text.strip_suffix("xx").and_then(|digit| digit.parse().ok());
    match (class, text.parse()) {
        (Some(class @ 1..=5), _) => Some(Selector::StatusClass(class)),
        (None, Ok(code @ 100..=599)) => Some(Selector::Status(code)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn automatic_tags_stand_for_selectors() {
        let of = |name| automatic(&Tag::new(name).unwrap());
        assert_eq!(of("host:A.example"), Some(Selector::Hostname(b"a.example".to_vec())));
        assert_eq!(of("host:a.example:81"), Some(Selector::Host(b"a.example:81".to_vec())));
        assert_eq!(of("status:404"), Some(Selector::Status(404)));
        assert_eq!(of("status:4xx"), Some(Selector::StatusClass(4)));
        assert_eq!(of("type:text/HTML"), Some(Selector::ContentType("text/html".into())));
        for plain in
            ["user:42", "status:", "status:9xx", "status:99", "host", "type:*", "type:*/*", "rule:images"]
        {
            assert_eq!(of(plain), None, "{plain}");
        }
    }

    #[test]
    fn a_conjunction_is_the_first_variant_and_cannot_be_nested() {
        let and = |terms| Selector::And(terms);
        let bytes = postcard::to_allocvec(&and(vec![Term::is(Selector::All)])).unwrap();
        assert_eq!(bytes[0], AND);
        assert_eq!(postcard::from_bytes::<Selector>(&bytes).unwrap(), and(vec![Term::is(Selector::All)]));
        let nested = postcard::to_allocvec(&and(vec![Term::is(and(vec![]))])).unwrap();
        assert!(postcard::from_bytes::<Selector>(&nested).is_err());
    }
}
