//! Structured fields (RFC 9651) as caching uses them: lists and dictionaries without their parameters, and on top of them
//! targeted cache control (RFC 9213) and lists of strings such as `Cache-Groups` (RFC 9875). A field that does not parse is
//! as good as absent.

use core::convert::Infallible;

use sfv::visitor::{
    DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ListVisitor, ParameterVisitor,
};
use sfv::{BareItemFromInput, KeyRef, Parser};

use super::cache_control::CacheControl;

/// A member of a list or a dictionary.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Member {
    /// One item.
    Item(Item),
    /// An inner list.
    List(Vec<Item>),
}

/// A bare item, with the types that Larder uses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// A boolean.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A string.
    String(String),
    /// Any other.
    Other,
}

impl Item {
    /// The string that it is.
    #[must_use]
    pub fn string(self) -> Option<String> {
        match self {
            Item::String(text) => Some(text),
            Item::Boolean(_) | Item::Integer(_) | Item::Other => None,
        }
    }
}

impl Member {
    /// The string that it is.
    #[must_use]
    pub fn string(self) -> Option<String> {
        match self {
            Member::Item(item) => item.string(),
            Member::List(_) => None,
        }
    }
}

/// The members of a list; none when it does not parse.
#[must_use]
pub fn list(value: &[u8]) -> Option<Vec<Member>> {
    Parser::new(value).parse_list_with_visitor(List::default()).ok()
}

/// Those members of a dictionary whose keys are known, each with its last value (RFC 9651 §3.2: of equal keys the last one
/// counts); none when it does not parse or has no member at all.
#[must_use]
pub fn dictionary(value: &[u8], known: &[&'static str]) -> Option<Vec<(&'static str, Member)>> {
    let visitor = Dictionary { known, members: Vec::new(), is_empty: true };
    Parser::new(value).parse_dictionary_with_visitor(visitor).ok().flatten()
}

/// Reads a list of strings, e.g. `Cache-Groups`; none when it does not parse, or when a member is no string.
#[must_use]
pub fn strings(value: &[u8]) -> Option<Vec<String>> {
    list(value)?.into_iter().map(Member::string).collect()
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

/// Reads a targeted cache control field; none when it is empty or not a dictionary (RFC 9213 §2.1: then it "MUST be
/// ignored").
///
/// A lifetime that is no integer counts as zero, as in `Cache-Control`.
#[must_use]
pub fn targeted(value: &[u8]) -> Option<CacheControl> {
    let mut control = CacheControl::default();
    for (name, member) in dictionary(value, &DIRECTIVES)? {
        let argument = match member {
            Member::Item(Item::Boolean(false)) => continue,
            Member::Item(Item::Integer(number)) => Some(number.to_string()),
            Member::Item(Item::String(names)) if matches!(name, "no-cache" | "private") => Some(names),
            // What cannot be read of a field that parses is as restrictive as may be.
            Member::Item(_) | Member::List(_) => None,
        };
        control.directive(name.as_bytes(), argument.as_deref().map(str::as_bytes));
    }
    Some(control)
}

#[derive(Default)]
struct List(Vec<Member>);

impl<'de> ListVisitor<'de> for List {
    type Out = Vec<Member>;
    type Error = Infallible;

    fn entry(&mut self) -> Result<impl EntryVisitor<'de>, Infallible> {
        self.0.push(Slot::EMPTY);
        Ok(self.0.last_mut().map(Slot))
    }

    fn finish(self) -> Result<Vec<Member>, Infallible> {
        Ok(self.0)
    }
}

struct Dictionary<'k> {
    known: &'k [&'static str],
    members: Vec<(&'static str, Member)>,
    is_empty: bool,
}

impl<'de> DictionaryVisitor<'de> for Dictionary<'_> {
    type Out = Option<Vec<(&'static str, Member)>>;
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        self.is_empty = false;
        let Some(name) = self.known.iter().find(|name| **name == key.as_str()) else { return Ok(None) };
        self.members.retain(|(known, _)| known != name);
        self.members.push((name, Slot::EMPTY));
        Ok(self.members.last_mut().map(|(_, member)| Slot(member)))
    }

    fn finish(self) -> Result<Self::Out, Infallible> {
        Ok((!self.is_empty).then_some(self.members))
    }
}

/// Where a member is put while it is read.
struct Slot<'a>(&'a mut Member);

impl Slot<'_> {
    const EMPTY: Member = Member::Item(Item::Other);
}

impl<'de> EntryVisitor<'de> for Slot<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        *self.0 = Member::List(Vec::new());
        Ok(self)
    }
}

impl<'de> InnerListVisitor<'de> for Slot<'_> {
    type Error = Infallible;

    fn item(&mut self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(Slot(self.0))
    }

    fn finish(self) -> Result<impl ParameterVisitor<'de>, Infallible> {
        Ok(Ignored)
    }
}

impl<'de> ItemVisitor<'de> for Slot<'_> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        self,
        item: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de, Out = ()>, Infallible> {
        let item = match item {
            BareItemFromInput::Boolean(value) => Item::Boolean(value),
            BareItemFromInput::Integer(number) => Item::Integer(number.into()),
            BareItemFromInput::String(text) => Item::String(text.as_str().to_owned()),
            _ => Item::Other,
        };
        match self.0 {
            Member::List(items) => items.push(item),
            member @ Member::Item(_) => *member = Member::Item(item),
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
    fn members_are_items_or_lists_of_them_without_their_parameters() {
        let text = |text: &str| Item::String(text.into());
        let (one, flag) = (Member::Item(Item::Integer(1)), Member::Item(Item::Boolean(true)));
        assert_eq!(
            list(br#""a";p, 1, t, 1.5, ?1, ("b" 2;q c);r, ()"#),
            Some(vec![
                Member::Item(text("a")),
                one.clone(),
                Member::Item(Item::Other),
                Member::Item(Item::Other),
                flag.clone(),
                Member::List(vec![text("b"), Item::Integer(2), Item::Other]),
                Member::List(vec![]),
            ])
        );
        let read = |value: &[u8]| dictionary(value, &["a", "b"]);
        assert_eq!(read(b"b, a=(1), c=2, a=1"), Some(vec![("b", flag), ("a", one)]));
        assert_eq!((read(b"c"), read(b""), read(b"a=")), (Some(vec![]), None, None));
    }

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
