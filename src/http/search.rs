//! `No-Vary-Search` (draft-ietf-httpbis-no-vary-search): which parts of a query make no difference to the response.

use core::fmt;

use super::structured::{Item, Member, dictionary};
use super::{Fields, percent};
use crate::heap::texts;
use crate::sorting::sort_by;

/// The most parameters that `No-Vary-Search` may name. Beyond it the field is as good as absent.
const NAMES_MAX: usize = 64;

/// What of a query selects the response (§4). The default: all of it, byte for byte.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SearchVariance {
    params: Params,
    any_order: bool,
}

/// Which parameters select the response; names without their escapes, sorted.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Params {
    AllBut(Vec<String>),
    Only(Vec<String>),
}

impl Default for SearchVariance {
    fn default() -> Self {
        SearchVariance { params: Params::AllBut(Vec::new()), any_order: false }
    }
}

impl SearchVariance {
    /// The bytes of memory that it takes beside itself.
    #[must_use]
    pub fn held(&self) -> u64 {
        match &self.params {
            Params::AllBut(names) | Params::Only(names) => texts(names),
        }
    }

    /// What a response says; none when the whole query selects it.
    #[must_use]
    pub fn of(fields: &Fields) -> Option<Self> {
        let variance = SearchVariance::parse(&fields.combined("no-vary-search")?);
        (!variance.is_default()).then_some(variance)
    }

    /// Reads the field, its lines joined; what does not parse, or says something else than it may, is the default (§5.1).
    #[must_use]
    pub fn parse(value: &[u8]) -> Self {
        SearchVariance::read(value).unwrap_or_default()
    }

    fn read(value: &[u8]) -> Option<Self> {
        let mut members = dictionary(value, &["key-order", "params", "except"])?;
        let mut take = |name| {
            let at = members.iter().position(|(known, _)| *known == name)?;
            Some(members.remove(at).1)
        };
        let any_order = match take("key-order") {
            None => false,
            Some(Member::Item(Item::Boolean(any))) => any,
            Some(_) => return None,
        };
        let params = match (take("params"), take("except")) {
            (None | Some(Member::Item(Item::Boolean(false))), None) => Params::AllBut(Vec::new()),
            (Some(Member::List(names)), None) => Params::AllBut(names_of(names)?),
            (Some(Member::Item(Item::Boolean(true))), None) => Params::Only(Vec::new()),
            (Some(Member::Item(Item::Boolean(true))), Some(Member::List(names))) => {
                Params::Only(names_of(names)?)
            }
            _ => return None,
        };
        Some(SearchVariance { params, any_order })
    }

    /// Whether the whole query selects, as if there were no such field.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == SearchVariance::default()
    }

    /// The query reduced to what selects: the same for two queries when, and only when, they are equivalent (§6).
    #[must_use]
    pub fn canonical(&self, query: Option<&[u8]>) -> Option<Vec<u8>> {
        if self.is_default() {
            return query.map(<[u8]>::to_vec);
        }
        let pieces = query.unwrap_or_default().split(|b| *b == b'&').filter(|piece| !piece.is_empty());
        let pairs = pieces.map(|piece| match piece.iter().position(|b| *b == b'=') {
            Some(at) => (piece.get(..at).unwrap_or_default(), piece.get(at + 1..).unwrap_or_default()),
            None => (piece, &[][..]),
        });
        let mut pairs: Vec<(String, &[u8])> = pairs
            .map(|(name, value)| (decoded(name), value))
            .filter(|(name, _)| self.selects(name))
            .collect();
        if self.any_order {
            // Stable: the order of the values of one name still counts.
            sort_by(&mut pairs, |(a, _), (b, _)| a.cmp(b));
        }
        let mut canonical = Vec::new();
        for (i, (name, value)) in pairs.iter().enumerate() {
            if i > 0 {
                canonical.push(b'&');
            }
            percent::push_escaped(&mut canonical, name.as_bytes());
            canonical.push(b'=');
            percent::push_escaped(&mut canonical, decoded(value).as_bytes());
        }
        Some(canonical)
    }

    fn selects(&self, name: &String) -> bool {
        match &self.params {
            Params::AllBut(names) => names.binary_search(name).is_err(),
            Params::Only(names) => names.binary_search(name).is_ok(),
        }
    }
}

/// Without escapes, as a form's data is read: what is not UTF-8 becomes U+FFFD.
fn decoded(component: &[u8]) -> String {
    let bytes: Vec<u8> = percent::form_decoded(component).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl fmt::Display for SearchVariance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String]| {
            let mut text = Vec::new();
            for (i, name) in names.iter().enumerate() {
                text.extend_from_slice(if i == 0 { b"\"" } else { b" \"" });
                percent::push_escaped(&mut text, name.as_bytes());
                text.push(b'"');
            }
            String::from_utf8_lossy(&text).into_owned()
        };
        let order = if self.any_order { "key-order" } else { "" };
        let and = if self.any_order { ", " } else { "" };
        match &self.params {
            Params::AllBut(names) if names.is_empty() => f.write_str(order),
            Params::AllBut(names) => write!(f, "{order}{and}params=({})", list(names)),
            Params::Only(names) if names.is_empty() => write!(f, "{order}{and}params"),
            Params::Only(names) => write!(f, "{order}{and}params, except=({})", list(names)),
        }
    }
}

/// The names in a list of strings.
fn names_of(items: Vec<Item>) -> Option<Vec<String>> {
    let name = |item: Item| item.string().map(|name| decoded(name.as_bytes()));
    let mut names: Vec<String> = items.into_iter().map(name).collect::<Option<_>>()?;
    sort_by(&mut names, Ord::cmp);
    names.dedup();
    (names.len() <= NAMES_MAX).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn equivalent(field: &str, a: &str, b: &str) -> bool {
        let variance = SearchVariance::parse(field.as_bytes());
        // A target without a question mark has no query.
        let of = |target: &str| variance.canonical(target.strip_prefix('?').map(str::as_bytes));
        of(a) == of(b)
    }

    #[test]
    fn the_field_is_read_strictly() {
        for (field, printed) in [
            ("params", "params"),
            ("params=?1", "params"),
            ("params=(\"a\")", "params=(\"a\")"),
            ("params=(\"b\" \"a\" \"b\");x", "params=(\"a\" \"b\")"),
            ("params, except=(\"x\")", "params, except=(\"x\")"),
            ("except=(\"x\"), key-order, params", "key-order, params, except=(\"x\")"),
            ("params, except=()", "params"),
            ("key-order", "key-order"),
            ("key-order, unknown=1", "key-order"),
            ("params=1, params", "params"),
            ("params=(\"%C3%A9+%E6%B0%97\")", "params=(\"%C3%A9%20%E6%B0%97\")"),
        ] {
            assert_eq!(SearchVariance::parse(field.as_bytes()).to_string(), printed, "{field}");
            assert_eq!(SearchVariance::parse(printed.as_bytes()).to_string(), printed);
        }
        for field in [
            "",
            "unknown",
            "params=?0",
            "params=()",
            "key-order=?0",
            "key-order=\"x\"",
            "params=\"x\"",
            "params=(x)",
            "params=(\"a\" x)",
            "params=(\"a\"), except=(\"x\")",
            "params=(), except=()",
            "params=?0, except=(\"x\")",
            "params, except=(x)",
            "params, except=\"x\"",
            "params, except=?1",
            "except=(\"x\")",
            "key-order, params=1",
            "params, ,",
        ] {
            assert!(SearchVariance::parse(field.as_bytes()).is_default(), "{field}");
        }
        let many = format!("params=({})", (0..65).map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(" "));
        assert!(SearchVariance::parse(many.as_bytes()).is_default());
    }

    #[test]
    fn queries_are_equivalent_as_the_draft_has_it() {
        for (field, a, b, expected) in [
            ("", "?a", "?a", true),
            ("", "", "?", false),
            ("", "?a=b&&&c", "?a=b&c=", false),
            ("key-order", "", "?", true),
            ("key-order", "?a=x", "?%61=%78", true),
            ("key-order", "?a=\u{e9}", "?a=%C3%A9", true),
            ("key-order", "?a=%f6", "?a=%ef%bf%bd", true),
            ("key-order", "?a=x&&&&", "?a=x", true),
            ("key-order", "?a=", "?a", true),
            ("key-order", "?a=%20", "?a=+", true),
            ("key-order", "?a=1&b=2", "?b=2&a=1", true),
            ("key-order", "?a=1&a=2", "?a=2&a=1", false),
            ("key-order", "?a=1", "?a=2", false),
            ("key-order", "?a=1%26b=2", "?a=1&b=2", false),
            ("params=(\"a\")", "?a=1&b=2", "?b=2&a=3", true),
            ("params=(\"a\")", "?b=2&c=1", "?c=1&b=2", false),
            ("params=(\"a\")", "?%61=1", "", true),
            ("params", "?a=1", "", true),
            ("params, except=(\"id\")", "?id=1&x", "?y&id=1", true),
            ("params, except=(\"id\")", "?id=1", "?id=2", false),
            ("params, except=(\"id\")", "?id=1", "", false),
            ("params=(\"%C3%A9+x\")", "?\u{e9} x=1", "?%C3%A9%20x=2", true),
        ] {
            assert_eq!(equivalent(field, a, b), expected, "{field}: {a} and {b}");
        }
    }
}
