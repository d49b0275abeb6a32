//! Structured fields (RFC 9651) as caching uses them: targeted cache control (RFC 9213) and lists of strings such as
//! `Cache-Groups` (RFC 9875). A field that does not parse is as good as absent.

use core::convert::Infallible;

use sfv::visitor::{
    DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ListVisitor, ParameterVisitor,
};
use sfv::{BareItemFromInput, KeyRef, Parser};

use super::cache_control::CacheControl;

/// Reads a targeted cache control field; none when it is empty or not a dictionary (RFC 9213 §2.1: then it "MUST be
/// ignored").
///
/// A lifetime that is no integer counts as zero, as in `Cache-Control`.
#[must_use]
pub fn targeted(value: &[u8]) -> Option<CacheControl> {
    Parser::new(value).parse_dictionary_with_visitor(Targeted::default()).ok().flatten()
}

/// Reads a list of strings, e.g. `Cache-Groups`; none when it does not parse, or when a member is no string.
#[must_use]
pub fn strings(value: &[u8]) -> Option<Vec<String>> {
    Parser::new(value).parse_list_with_visitor(Strings::default()).ok().flatten()
}

/// The directives we know, each with its last value (RFC 9651 §3.2: of equal keys the last one counts).
#[derive(Default)]
struct Targeted {
    members: Vec<(&'static str, Argument)>,
    empty: Option<()>,
}

enum Argument {
    Absent,
    None,
    Text(Vec<u8>),
}

const DIRECTIVES: [&str; 12] = [
    "max-age",
    "s-maxage",
    "no-store",
    "no-cache",
    "private",
    "public",
    "must-revalidate",
    "proxy-revalidate",
    "must-understand",
    "immutable",
    "stale-while-revalidate",
    "stale-if-error",
];

impl<'de> DictionaryVisitor<'de> for Targeted {
    type Out = Option<CacheControl>;
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        self.empty = Some(());
        let known = DIRECTIVES.iter().find(|directive| **directive == key.as_str());
        Ok(known.map(|directive| {
            self.members.retain(|(name, _)| name != directive);
            Entry { directive, members: &mut self.members }
        }))
    }

    fn finish(self) -> Result<Option<CacheControl>, Infallible> {
        let mut control = CacheControl::default();
        for (name, argument) in self.members {
            let argument = match argument {
                Argument::Absent => continue,
                Argument::None => None,
                Argument::Text(text) => Some(text),
            };
            // What cannot be read of a field that parses is as restrictive as may be.
            control.directive(name.as_bytes(), argument.as_deref());
        }
        Ok(self.empty.map(|()| control))
    }
}

struct Entry<'a> {
    directive: &'static str,
    members: &'a mut Vec<(&'static str, Argument)>,
}

impl<'de> EntryVisitor<'de> for Entry<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        self.members.push((self.directive, Argument::None));
        Ok(Ignored)
    }
}

impl<'de> ItemVisitor<'de> for Entry<'_> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        self,
        item: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de, Out = ()>, Infallible> {
        let argument = match item {
            BareItemFromInput::Boolean(false) => Argument::Absent,
            BareItemFromInput::Integer(n) => Argument::Text(i64::from(n).to_string().into_bytes()),
            BareItemFromInput::String(text) if matches!(self.directive, "no-cache" | "private") => {
                Argument::Text(text.as_str().as_bytes().to_vec())
            }
            _ => Argument::None,
        };
        self.members.push((self.directive, argument));
        Ok(Ignored)
    }
}

/// None in place of the strings once a member was something else.
struct Strings(Option<Vec<String>>);

impl Default for Strings {
    fn default() -> Self {
        Strings(Some(Vec::new()))
    }
}

impl<'de> ListVisitor<'de> for Strings {
    type Out = Option<Vec<String>>;
    type Error = Infallible;

    fn entry(&mut self) -> Result<impl EntryVisitor<'de>, Infallible> {
        Ok(&mut *self)
    }

    fn finish(self) -> Result<Self::Out, Infallible> {
        Ok(self.0)
    }
}

impl<'de> EntryVisitor<'de> for &mut Strings {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        self.0 = None;
        Ok(Ignored)
    }
}

impl<'de> ItemVisitor<'de> for &mut Strings {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        self,
        item: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de, Out = ()>, Infallible> {
        match (item, &mut self.0) {
            (BareItemFromInput::String(text), Some(strings)) => strings.push(text.as_str().to_owned()),
            _ => self.0 = None,
        }
        Ok(Ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::cache_control::Part;
    use core::time::Duration;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn targeted_lifetimes_are_integers() {
        for (value, expected) in [
            ("max-age=60", Some(60)),
            ("max-age=60;param=1, public", Some(60)),
            ("max-age=1, max-age=60", Some(60)),
            ("max-age=-5", Some(0)),
            ("max-age=1.5", Some(0)),
            ("max-age=\"60\"", Some(0)),
            ("max-age=(60)", Some(0)),
            ("max-age", Some(0)),
            ("public", None),
        ] {
            let control = targeted(value.as_bytes()).unwrap();
            assert_eq!(control.max_age, expected.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn a_field_that_is_empty_or_does_not_parse_is_ignored() {
        for value in ["", "  ", "Max-Age=60", "max-age=60,", "max-age=60 public", "max-age=\u{e9}", "=1"] {
            assert_eq!(targeted(value.as_bytes()), None, "{value}");
        }
        assert_eq!(targeted(b"\xff"), None);
        assert_eq!(targeted(b"unknown=1"), Some(CacheControl::default()));
    }

    #[test]
    fn targeted_flags_and_field_names_are_read() {
        let control = targeted(b"no-store, private=\"set-cookie\", public=?0, no-cache").unwrap();
        assert!(control.no_store && !control.public);
        assert_eq!(control.private, Part::Fields(vec!["set-cookie".into()]));
        assert_eq!(control.no_cache, Part::All);
    }

    #[test]
    fn lists_of_strings_are_read_whole_or_not_at_all() {
        assert_eq!(strings(br#""a", "B b";x=1"#), Some(vec!["a".into(), "B b".into()]));
        assert_eq!(strings(br#"" \"q\\ ""#), Some(vec![" \"q\\ ".into()]));
        assert_eq!(strings(b""), Some(Vec::new()));
        for bad in [&br#""a", b"#[..], br#"("a")"#, b"1", br#""a"#, b"\xff"] {
            assert_eq!(strings(bad), None);
        }
    }
}
