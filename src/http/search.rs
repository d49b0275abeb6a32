//! `No-Vary-Search` (draft-ietf-httpbis-no-vary-search): which parts of a query make no difference to the response.

use core::convert::Infallible;
use core::fmt;

use sfv::visitor::{
    DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor,
};
use sfv::{BareItemFromInput, KeyRef, Parser};

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
        let parsed = Parser::new(value).parse_dictionary_with_visitor(Members::default());
        parsed.ok().and_then(Members::variance).unwrap_or_default()
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

/// The value of a member of the dictionary.
#[derive(Default)]
enum Member {
    #[default]
    Absent,
    Flag(bool),
    Names(Vec<String>),
    Other,
}

/// The members that mean something, each with its last value (RFC 9651 §3.2); others are ignored.
#[derive(Default)]
struct Members {
    key_order: Member,
    params: Member,
    except: Member,
}

impl Members {
    fn variance(self) -> Option<SearchVariance> {
        let any_order = match self.key_order {
            Member::Absent => false,
            Member::Flag(any) => any,
            Member::Names(_) | Member::Other => return None,
        };
        let params = match (self.params, self.except) {
            (Member::Absent | Member::Flag(false), Member::Absent) => Params::AllBut(Vec::new()),
            (Member::Names(names), Member::Absent) => Params::AllBut(names_of(names)?),
            (Member::Flag(true), Member::Absent) => Params::Only(Vec::new()),
            (Member::Flag(true), Member::Names(names)) => Params::Only(names_of(names)?),
            _ => return None,
        };
        Some(SearchVariance { params, any_order })
    }
}

fn names_of(names: Vec<String>) -> Option<Vec<String>> {
    let mut names: Vec<String> = names.iter().map(|name| decoded(name.as_bytes())).collect();
    sort_by(&mut names, Ord::cmp);
    names.dedup();
    (names.len() <= NAMES_MAX).then_some(names)
}

impl<'de> DictionaryVisitor<'de> for Members {
    type Out = Members;
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        Ok(match key.as_str() {
            "key-order" => Some(Value(&mut self.key_order)),
            "params" => Some(Value(&mut self.params)),
            "except" => Some(Value(&mut self.except)),
            _ => None,
        })
    }

    fn finish(self) -> Result<Members, Infallible> {
        Ok(self)
    }
}

struct Value<'a>(&'a mut Member);

impl<'de> EntryVisitor<'de> for Value<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Infallible> {
        *self.0 = Member::Other;
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        *self.0 = Member::Names(Vec::new());
        Ok(self)
    }
}

impl<'de> ItemVisitor<'de> for Value<'_> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        self,
        item: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de, Out = ()>, Infallible> {
        match (item, &mut *self.0) {
            (BareItemFromInput::String(name), Member::Names(names)) => names.push(name.as_str().to_owned()),
            (BareItemFromInput::Boolean(flag), Member::Other) => *self.0 = Member::Flag(flag),
            (_, member) => *member = Member::Other,
        }
        Ok(Ignored)
    }
}

impl<'de> InnerListVisitor<'de> for Value<'_> {
    type Error = Infallible;

    fn item(&mut self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(Value(self.0))
    }

    fn finish(self) -> Result<impl ParameterVisitor<'de>, Infallible> {
        Ok(Ignored)
    }
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
