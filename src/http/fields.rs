//! Field lines as bytes, kept in the host's own wire form so that reading them copies nothing.

/// A header or trailer section: field lines in order, names in lower case, values as they came (any byte).
///
/// Decoding is lazy and total: a damaged buffer is an empty section, never an error.
#[derive(Clone, Default)]
pub struct Fields {
    raw: Vec<u8>,
    lines: Vec<Line>,
}

/// Where a field line lies in `Fields::raw`.
#[derive(Clone, Copy)]
struct Line {
    name: Span,
    value: Span,
}

#[derive(Clone, Copy)]
struct Span {
    start: u32,
    len: u32,
}

impl Span {
    fn of(self, raw: &[u8]) -> &[u8] {
        let start = self.start as usize;
        raw.get(start..start + self.len as usize).unwrap_or_default()
    }
}

impl Fields {
    /// An empty section.
    #[must_use]
    pub const fn new() -> Self {
        Fields { raw: Vec::new(), lines: Vec::new() }
    }

    /// Takes over a buffer in the form in which proxy-wasm passes header maps: a count, a pair of lengths for
    /// each line (`u32`, little endian), then each name and each value followed by a zero byte.
    #[must_use]
    pub fn from_wire(raw: Vec<u8>) -> Self {
        let lines = decode(&raw).unwrap_or_default();
        if lines.is_empty() { Fields::new() } else { Fields { raw, lines } }
    }

    /// The section in the form that [`Fields::from_wire`] reads.
    #[must_use]
    pub fn to_wire(&self) -> Vec<u8> {
        let mut wire = Vec::with_capacity(self.to_wire_len());
        wire.extend_from_slice(&(self.lines.len() as u32).to_le_bytes());
        for line in &self.lines {
            wire.extend_from_slice(&line.name.len.to_le_bytes());
            wire.extend_from_slice(&line.value.len.to_le_bytes());
        }
        for (name, value) in self.iter() {
            wire.extend_from_slice(name);
            wire.push(0);
            wire.extend_from_slice(value);
            wire.push(0);
        }
        wire
    }

    /// The length of [`Fields::to_wire`] in bytes.
    #[must_use]
    pub fn to_wire_len(&self) -> usize {
        4 + self.lines.iter().map(|l| 10 + l.name.len as usize + l.value.len as usize).sum::<usize>()
    }

    /// How many field lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is no field line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// All field lines in order, as (name, value).
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.lines.iter().map(|line| (line.name.of(&self.raw), line.value.of(&self.raw)))
    }

    /// The values of all lines of the field `name` (in lower case), in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.iter().filter(move |(n, _)| *n == name.as_bytes()).map(|(_, value)| value)
    }

    /// The value of the first line of the field `name` (in lower case).
    #[must_use]
    pub fn get<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.get_all(name).next()
    }

    /// Whether there is a line of the field `name` (in lower case).
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// All lines of `name` as one value, joined by `, ` (RFC 9110 §5.3); none when the field is absent.
    #[must_use]
    pub fn combined(&self, name: &str) -> Option<Vec<u8>> {
        let mut values = self.get_all(name);
        let mut joined = values.next()?.to_vec();
        for value in values {
            joined.extend_from_slice(b", ");
            joined.extend_from_slice(value);
        }
        Some(joined)
    }

    /// Adds a line at the end. The name is put into lower case.
    pub fn push(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let name = self.append(name.as_ref());
        if let Some(bytes) = self.raw.get_mut(name.start as usize..) {
            bytes.make_ascii_lowercase();
        }
        let value = self.append(value.as_ref());
        self.lines.push(Line { name, value });
    }

    /// Replaces all lines of `name` (in lower case) by one.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.remove(name);
        self.push(name, value);
    }

    /// Removes all lines of `name` (in lower case).
    pub fn remove(&mut self, name: &str) {
        self.retain(|n, _| n != name.as_bytes());
    }

    /// Keeps the lines for which `keep(name, value)` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        let raw = &self.raw;
        self.lines.retain(|line| keep(line.name.of(raw), line.value.of(raw)));
    }

    fn append(&mut self, bytes: &[u8]) -> Span {
        let span = Span { start: self.raw.len() as u32, len: bytes.len() as u32 };
        self.raw.extend_from_slice(bytes);
        span
    }
}

fn decode(raw: &[u8]) -> Option<Vec<Line>> {
    let count = read_u32(raw, 0)? as usize;
    if count > raw.len() / 8 {
        return None;
    }
    let mut lines = Vec::with_capacity(count + 4);
    let mut at = 4 + count * 8;
    for lengths in (4..).step_by(8).take(count) {
        let name = Span { start: at as u32, len: read_u32(raw, lengths)? };
        let value = Span {
            start: name.start.checked_add(name.len)?.checked_add(1)?,
            len: read_u32(raw, lengths + 4)?,
        };
        at = value.start.checked_add(value.len)?.checked_add(1)? as usize;
        if at > raw.len() {
            return None;
        }
        lines.push(Line { name, value });
    }
    Some(lines)
}

fn read_u32(raw: &[u8], at: usize) -> Option<u32> {
    let bytes = raw.get(at..at + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

impl core::fmt::Debug for Fields {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        f.debug_list().entries(self.iter().map(|(n, v)| (text(n), text(v)))).finish()
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl serde::Serialize for Fields {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.to_wire())
    }
}

impl<'de> serde::Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Wire;
        impl serde::de::Visitor<'_> for Wire {
            type Value = Fields;
            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("field lines in wire form")
            }
            fn visit_bytes<E>(self, wire: &[u8]) -> Result<Fields, E> {
                Ok(Fields::from_wire(wire.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Wire)
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(lines: I) -> Self {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.push(name, value);
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_wire_form_round_trips_with_any_byte() {
        let fields: Fields =
            [(&b":path"[..], &b"/"[..]), (b"x", b"\xff\x00\n"), (b"x", b"")].into_iter().collect();
        let again = Fields::from_wire(fields.to_wire());
        assert_eq!(again, fields);
        assert_eq!(again.get_all("x").collect::<Vec<_>>(), [&b"\xff\x00\n"[..], b""]);
    }

    #[test]
    fn a_damaged_buffer_is_an_empty_section() {
        let wire = Fields::from_iter([("a", "1"), ("b", "2")]).to_wire();
        for cut in 0..wire.len() {
            let _ = Fields::from_wire(wire[..cut].to_vec());
        }
        assert!(Fields::from_wire(vec![0xff; 40]).is_empty());
        assert!(Fields::from_wire(Vec::new()).is_empty());
    }

    #[test]
    fn names_are_lower_case_and_lines_can_be_replaced() {
        let mut fields = Fields::from_iter([("Vary", "a"), ("X", "1"), ("vary", "b")]);
        assert_eq!(fields.combined("vary").as_deref(), Some(&b"a, b"[..]));
        fields.set("vary", "c");
        assert_eq!(fields, Fields::from_iter([("x", "1"), ("vary", "c")]));
    }
}
