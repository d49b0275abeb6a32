//! Entity tags and how they compare (RFC 9110 §8.8.3).

use super::list;

/// An entity tag as a validator. What is written without quotes, against the grammar, still counts as a weak one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntityTag<'a> {
    /// Written `W/"…"`.
    pub weak: bool,
    opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// Reads one entity tag; none when there is nothing.
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let value = value.trim_ascii();
        let (weak, tag) = match value.strip_prefix(b"W/").or_else(|| value.strip_prefix(b"w/")) {
            Some(tag) => (true, tag),
            None => (false, value),
        };
        match tag.strip_prefix(b"\"").and_then(|t| t.strip_suffix(b"\"")) {
            Some(opaque) => Some(EntityTag { weak, opaque }),
            None if value.is_empty() => None,
            None => Some(EntityTag { weak: true, opaque: value }),
        }
    }

    /// The strong comparison: both are strong and the same (§8.8.3.2).
    #[must_use]
    pub fn strong_eq(&self, other: &EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// The weak comparison: the same, weak or not (§8.8.3.2).
    #[must_use]
    pub fn weak_eq(&self, other: &EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }
}

/// Whether `If-None-Match` names the entity tag (weak comparison) or is `*` (RFC 9110 §13.1.2).
#[must_use]
pub fn listed<'a>(if_none_match: impl Iterator<Item = &'a [u8]>, etag: Option<&[u8]>) -> bool {
    let current = etag.and_then(EntityTag::parse);
    if_none_match.flat_map(list::entity_tags).any(|member| {
        member == b"*"
            || current
                .is_some_and(|current| EntityTag::parse(member).is_some_and(|tag| tag.weak_eq(&current)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn tags_compare_as_the_table_in_rfc_9110_has_it() {
        for (a, b, strong, weak) in [
            (r#"W/"1""#, r#"W/"1""#, false, true),
            (r#"W/"1""#, r#"W/"2""#, false, false),
            (r#"W/"1""#, r#""1""#, false, true),
            (r#""1""#, r#""1""#, true, true),
            ("1", "1", false, true),
            ("1", r#""1""#, false, true),
            (r#"W\"1""#, r#"W\"1""#, false, true),
        ] {
            let (a, b) = (EntityTag::parse(a.as_bytes()).unwrap(), EntityTag::parse(b.as_bytes()).unwrap());
            assert_eq!((a.strong_eq(&b), a.weak_eq(&b)), (strong, weak), "{a:?} {b:?}");
        }
        assert_eq!(EntityTag::parse(b" "), None);
    }

    #[test]
    fn if_none_match_names_a_tag_in_any_place_of_its_list() {
        for (field, etag, expected) in [
            (r#""a", "b", "c""#, Some(r#""b""#), true),
            (r#""a", W/"b""#, Some(r#""b""#), true),
            (r#""a,b""#, Some(r#""a""#), false),
            ("*", None, true),
            ("*", Some(r#""x""#), true),
            (r#""a""#, None, false),
            ("", Some(r#""""#), false),
            ("a", Some(r#""a""#), true),
        ] {
            assert_eq!(
                listed([field.as_bytes()].into_iter(), etag.map(str::as_bytes)),
                expected,
                "{field} {etag:?}"
            );
        }
    }
}
