//! What Envoy hands over as it is on the wire: metadata, a serialised `envoy.config.core.v3.Metadata` (of routes, the
//! struct in it that is ours, as JSON; of requests, who has left some), and a plugin configuration that is a
//! `google.protobuf.Struct`, as JSON.

use crate::json::Json;
use crate::protobuf::{Fields, Wire};

/// How deep structs may lie in each other. Beyond it the metadata of a route count as none, and a whole configuration is
/// refused.
const DEPTH_MAX: u8 = 16;

/// What `filter_metadata` holds under a name; none when it holds nothing, or when the message is none.
pub(super) fn filter_metadata(message: &[u8], name: &str) -> Option<Json> {
    let (_, found) = entries(message, 1).find(|(key, _)| *key == name.as_bytes())?;
    structure(found, DEPTH_MAX)
}

/// A message that is a `google.protobuf.Struct` with something in it, and nothing else. No text in JSON is one: its first
/// entry would have to be as long as an opening brace is, and its name to begin behind a line feed within that brace.
pub(super) fn message(message: &[u8]) -> Option<Json> {
    let mut fields = Fields::of(message);
    let are_entries = fields.by_ref().all(|(number, value)| number == 1 && value.bytes().is_some());
    if !are_entries || !fields.is_whole() {
        return None;
    }
    structure(message, DEPTH_MAX).filter(|value| *value != Json::Object(Vec::new()))
}

/// What filters have said of the endpoints that a request may go to (subsets of a cluster), as it is on the wire; empty when
/// they have said nothing.
#[must_use]
pub fn subset(message: &[u8]) -> &[u8] {
    entries(message, 1).find(|(name, _)| *name == b"envoy.lb").map_or(&[], |(_, subset)| subset)
}

/// The names under which there is something, whether as a struct or as another message.
pub(super) fn namespaces(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    let structs = entries(message, 1).chain(entries(message, 2));
    structs.filter(|(_, value)| !value.is_empty()).map(|(name, _)| name)
}

/// `google.protobuf.Struct`.
fn structure(message: &[u8], depth: u8) -> Option<Json> {
    let named = |(name, value)| {
        let name: &[u8] = name;
        Some((String::from_utf8(name.to_vec()).ok()?, json(value, depth)?))
    };
    entries(message, 1).map(named).collect::<Option<_>>().map(Json::Object)
}

/// `google.protobuf.Value`. Of a oneof the last one counts.
fn json(message: &[u8], depth: u8) -> Option<Json> {
    let depth = depth.checked_sub(1)?;
    match Fields::of(message).last()? {
        (1, Wire::Number(_)) => Some(Json::Null),
        (2, Wire::Number(bits)) => Some(Json::Number(f64::from_bits(bits))),
        (3, Wire::Bytes(text)) => String::from_utf8(text.to_vec()).ok().map(Json::Text),
        (4, Wire::Number(value)) => Some(Json::Bool(value != 0)),
        (5, Wire::Bytes(value)) => structure(value, depth),
        (6, Wire::Bytes(list)) => {
            let values = Fields::of(list).filter_map(|(number, value)| value.bytes().filter(|_| number == 1));
            values.map(|value| json(value, depth)).collect::<Option<_>>().map(Json::List)
        }
        _ => None,
    }
}

/// The entries of a map field whose values are messages.
fn entries(message: &[u8], number: u64) -> impl Iterator<Item = (&[u8], &[u8])> {
    let entries = Fields::of(message).filter_map(move |(of, entry)| entry.bytes().filter(|_| of == number));
    entries.map(|entry| {
        let last = |number| {
            Fields::of(entry).filter_map(|(of, value)| value.bytes().filter(|_| of == number)).last()
        };
        (last(1).unwrap_or_default(), last(2).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// A field of bytes, as short as they are here.
    fn bytes(number: u8, value: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(value.len()).unwrap()], value].concat()
    }

    fn entry(name: &str, value: &[u8]) -> Vec<u8> {
        bytes(1, &[bytes(1, name.as_bytes()), bytes(2, value)].concat())
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let half = [&[2 << 3 | 1][..], &0.5_f64.to_le_bytes()].concat();
        let list = bytes(6, &[bytes(1, &bytes(3, b"a")), bytes(1, &[4 << 3, 1])].concat());
        let inner = bytes(5, &entry("none", &[1 << 3, 0]));
        let fields = [
            entry("text", &bytes(3, b"1h")),
            entry("half", &half),
            entry("list", &list),
            entry("in", &inner),
        ];
        let message = [entry("other", b"\xff"), entry("larder", &fields.concat())].concat();
        let text = |text: &str| Json::Text(text.into());
        let expected = Json::Object(vec![
            ("text".into(), text("1h")),
            ("half".into(), Json::Number(0.5)),
            ("list".into(), Json::List(vec![text("a"), Json::Bool(true)])),
            ("in".into(), Json::Object(vec![("none".into(), Json::Null)])),
        ]);
        assert_eq!(filter_metadata(&message, "larder"), Some(expected));
        assert_eq!(filter_metadata(&message, "absent"), None);
        for cut in 0..message.len() {
            let _ = filter_metadata(&message[..cut], "larder");
        }
    }

    #[test]
    fn what_lies_too_deep_is_nothing() {
        let nested = |depth| (0..depth).fold(vec![4 << 3, 1], |value, _| bytes(6, &bytes(1, &value)));
        assert!(filter_metadata(&entry("larder", &entry("a", &nested(10))), "larder").is_some());
        assert_eq!(filter_metadata(&entry("larder", &entry("a", &nested(16))), "larder"), None);
    }
}
