//! Field lines as bytes, in the very form in which the host passes header maps: what it gives is read where it lies,
//! and what it takes is there already.

use std::borrow::Cow;

use super::packed;
use super::uri::push_lower_case;
use crate::heap::block;

/// A header or trailer section: field lines in order, names in lower case, values as they came (any byte).
///
/// Decoding is total: a damaged buffer is an empty section, never an error.
#[derive(Clone, Default)]
pub struct Fields {
    /// The form in which proxy-wasm passes header maps: a count, a pair of lengths for each line (`u32`, little
    /// endian), then each name and each value followed by a zero byte; nothing after that. Empty without lines.
    wire: Vec<u8>,
    /// The [`mark`]s of all names, so that most searches for a field that is not there look at nothing else.
    marks: u64,
}

/// One bit of 64, by the length and two bytes of a name. (The factors keep apart what is usually there and what is
/// usually asked for.)
#[inline]
pub(crate) const fn mark(name: &[u8]) -> u64 {
    match (name.first(), name.last()) {
        (Some(first), Some(last)) => 1 << ((name.len() * 4 + *first as usize * 19 + *last as usize * 6) % 64),
        _ => 1,
    }
}

/// The bytes of the count, and of a pair of lengths.
const COUNT: usize = 4;
const LENGTHS: usize = 8;

impl Fields {
    /// An empty section.
    #[must_use]
    pub const fn new() -> Self {
        Fields { wire: Vec::new(), marks: 0 }
    }

    /// Takes over a buffer in the host's form.
    #[must_use]
    pub fn from_wire(mut wire: Vec<u8>) -> Self {
        match measured(&wire) {
            Some(len) if len > COUNT => {
                wire.truncate(len);
                Fields { wire, marks: 0 }.marked()
            }
            _ => Fields::new(),
        }
    }

    fn marked(mut self) -> Fields {
        self.marks = self.iter().fold(0, |marks, (name, _)| marks | mark(name));
        self
    }

    /// The section in the host's form.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        if self.wire.is_empty() { &[0; COUNT] } else { &self.wire }
    }

    /// The bytes of memory that it takes beside itself.
    #[must_use]
    pub const fn held(&self) -> u64 {
        block(self.wire.capacity())
    }

    /// Gives back the room for further lines, where that is much.
    pub fn shrink(&mut self) {
        self.wire.shrink_to(self.wire.len() / 4 * 5);
    }

    /// How many field lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        read_u32(&self.wire).unwrap_or(0) as usize
    }

    /// Whether there is no field line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.wire.is_empty()
    }

    /// All field lines in order, as (name, value).
    #[must_use]
    pub fn iter(&self) -> Lines<'_> {
        let lines = self.wire.get(COUNT..).unwrap_or_default();
        let (lengths, rest) = lines.split_at_checked(self.len() * LENGTHS).unwrap_or_default();
        Lines { lengths, rest }
    }

    /// The lines whose names have one of these marks, in order.
    pub(crate) fn marked_with(&self, marks: u64) -> impl Iterator<Item = (&[u8], &[u8])> {
        let lines = if self.marks & marks == 0 { Lines::NONE } else { self.iter() };
        lines.filter(move |(name, _)| mark(name) & marks != 0)
    }

    /// The names of fields that belong to the connection because `Connection` says so (RFC 9110 §7.6.1), in any case.
    #[must_use]
    pub fn connection_options(&self) -> Vec<&[u8]> {
        self.get_all("connection").flat_map(super::list::members).collect()
    }

    /// The values of all lines of the field `name` (in lower case), in order.
    #[inline]
    pub fn get_all<'a, N: AsRef<[u8]> + ?Sized>(
        &'a self,
        name: &'a N,
    ) -> impl Iterator<Item = &'a [u8]> + Clone {
        let name = name.as_ref();
        let lines = if self.marks & mark(name) == 0 { Lines::NONE } else { self.iter() };
        lines.filter(move |(n, _)| *n == name).map(|(_, value)| value)
    }

    /// The value of the first line of the field `name` (in lower case).
    #[must_use]
    pub fn get<'a, N: AsRef<[u8]> + ?Sized>(&'a self, name: &'a N) -> Option<&'a [u8]> {
        self.get_all(name).next()
    }

    /// Whether there is a line of the field `name` (in lower case).
    #[must_use]
    pub fn contains<N: AsRef<[u8]> + ?Sized>(&self, name: &N) -> bool {
        self.get(name).is_some()
    }

    /// The names of which there are several lines, each once.
    #[must_use]
    pub fn repeated(&self) -> Vec<&[u8]> {
        let (mut marks, mut repeated) = (0, Vec::new());
        for (name, _) in self.iter() {
            // Two names may have one mark.
            if marks & mark(name) != 0 && !repeated.contains(&name) && self.get_all(name).nth(1).is_some() {
                repeated.push(name);
            }
            marks |= mark(name);
        }
        repeated
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

    /// A copy with room for some bytes of further lines.
    #[must_use]
    pub fn copied(&self, room: usize) -> Fields {
        let mut wire = Vec::with_capacity(self.wire.len() + room);
        wire.extend_from_slice(&self.wire);
        Fields { wire, marks: self.marks }
    }

    /// A copy of the lines for which `keep(name, value)` holds, with room for some bytes of further lines.
    #[must_use]
    pub fn kept(&self, room: usize, mut keep: impl FnMut(&[u8], &[u8]) -> bool) -> Fields {
        self.rewritten(room, |name, value| keep(name, value).then_some(Cow::Borrowed(value)))
    }

    /// A copy of the lines that get a value by `value(name, value)`, with room for some bytes of further lines.
    #[must_use]
    pub fn rewritten<'a>(
        &'a self,
        room: usize,
        mut value: impl FnMut(&'a [u8], &'a [u8]) -> Option<Cow<'a, [u8]>>,
    ) -> Fields {
        let mut contents = Vec::with_capacity(self.wire.len());
        let mut wire = Vec::with_capacity(self.wire.len() + room);
        wire.extend_from_slice(&[0; COUNT]);
        let (mut count, mut marks) = (0u32, 0);
        for (name, old) in self.iter() {
            let Some(value) = value(name, old) else { continue };
            count += 1;
            marks |= mark(name);
            wire.extend_from_slice(&lengths(name, &value));
            for part in [name, &value] {
                contents.extend_from_slice(part);
                contents.push(0);
            }
        }
        write(&mut wire, 0, &count.to_le_bytes());
        wire.extend_from_slice(&contents);
        if count == 0 { Fields::new() } else { Fields { wire, marks } }
    }

    /// Adds a line at the end. The name is put into lower case.
    pub fn push(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (name, value) = (name.as_ref(), value.as_ref());
        let count = self.len();
        if self.wire.is_empty() {
            self.wire.extend_from_slice(&[0; COUNT]);
        }
        let (at, end) = (COUNT + count * LENGTHS, self.wire.len());
        let lengths = lengths(name, value);
        self.wire.extend_from_slice(&lengths);
        self.wire.copy_within(at..end, at + LENGTHS);
        write(&mut self.wire, at, &lengths);
        write(&mut self.wire, 0, &(count as u32 + 1).to_le_bytes());
        let end = self.wire.len();
        push_contents(&mut self.wire, name, value);
        self.marks |= self.wire.get(end..end + name.len()).map_or(0, mark);
    }

    /// Replaces all lines of `name` (in lower case) by one.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.remove(name);
        self.push(name, value);
    }

    /// Removes all lines of `name` (in lower case).
    pub fn remove(&mut self, name: &str) {
        match self.get_all(name).take(2).count() {
            0 => {}
            // As a rule there is one, and the others can stay where they are.
            1 => self.cut(name),
            _ => self.retain(|n, _| n != name.as_bytes()),
        }
    }

    /// Takes the first line of `name` out; its mark stays, which costs a search at most.
    fn cut(&mut self, name: &str) {
        let count = self.len();
        let mut end = COUNT + count * LENGTHS;
        let found = self.iter().enumerate().find_map(|(line, (n, value))| {
            let start = end;
            end += n.len() + value.len() + 2;
            (n == name.as_bytes()).then_some((line, start))
        });
        match found {
            Some(_) if count == 1 => *self = Fields::new(),
            Some((line, start)) => {
                let lengths = COUNT + line * LENGTHS;
                self.wire.drain(start..end);
                self.wire.drain(lengths..lengths + LENGTHS);
                write(&mut self.wire, 0, &(count as u32 - 1).to_le_bytes());
            }
            None => {}
        }
    }

    /// Removes all lines of some fields (in lower case).
    pub fn remove_all(&mut self, names: &[String]) {
        if names.iter().any(|name| self.contains(name)) {
            self.retain(|name, _| !names.iter().any(|named| named.as_bytes() == name));
        }
    }

    /// Keeps the lines for which `keep(name, value)` holds.
    pub fn retain(&mut self, keep: impl FnMut(&[u8], &[u8]) -> bool) {
        *self = self.kept(0, keep);
    }
}

/// The field lines of a section, in order.
#[derive(Clone)]
pub struct Lines<'a> {
    lengths: &'a [u8],
    rest: &'a [u8],
}

impl Lines<'_> {
    const NONE: Self = Lines { lengths: &[], rest: &[] };
}

impl<'a> Iterator for Lines<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (name_len, lengths) = self.lengths.split_first_chunk()?;
        let (value_len, lengths) = lengths.split_first_chunk()?;
        let (name, rest) = self.rest.split_at_checked(u32::from_le_bytes(*name_len) as usize)?;
        let (_, rest) = rest.split_first()?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*value_len) as usize)?;
        let (_, rest) = rest.split_first()?;
        *self = Lines { lengths, rest };
        Some((name, value))
    }
}

/// The length of the section that a buffer begins with; none when it is damaged.
fn measured(wire: &[u8]) -> Option<usize> {
    let lengths = (read_u32(wire)? as usize).checked_mul(LENGTHS)?;
    let mut len = COUNT.checked_add(lengths)?;
    for of_one in wire.get(COUNT..len)?.chunks_exact(4) {
        len = len.checked_add(read_u32(of_one)? as usize)?.checked_add(1)?;
    }
    (len <= wire.len()).then_some(len)
}

fn read_u32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn lengths(name: &[u8], value: &[u8]) -> [u8; LENGTHS] {
    (name.len() as u64 & u64::from(u32::MAX) | (value.len() as u64) << 32).to_le_bytes()
}

fn push_contents(wire: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    push_lower_case(wire, name);
    wire.push(0);
    wire.extend_from_slice(value);
    wire.push(0);
}

fn write(wire: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = wire.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
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
        serializer.serialize_bytes(&packed::pack(self))
    }
}

impl<'de> serde::Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Wire;
        impl serde::de::Visitor<'_> for Wire {
            type Value = Fields;
            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("packed field lines")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Fields, E> {
                packed::unpack(bytes).ok_or_else(|| E::custom("not packed field lines"))
            }
        }
        deserializer.deserialize_bytes(Wire)
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(lines: I) -> Self {
        // Room for what sections usually have.
        let (mut all, mut contents) = (Vec::with_capacity(32 * LENGTHS), Vec::with_capacity(1024));
        for (name, value) in lines {
            let (name, value) = (name.as_ref(), value.as_ref());
            all.extend_from_slice(&lengths(name, value));
            push_contents(&mut contents, name, value);
        }
        if all.is_empty() {
            return Fields::new();
        }
        let count = (all.len() / LENGTHS) as u32;
        Fields { wire: [&count.to_le_bytes(), all.as_slice(), &contents].concat(), marks: 0 }.marked()
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
        let again = Fields::from_wire(fields.wire().to_vec());
        assert_eq!(again, fields);
        assert_eq!(again.get_all("x").collect::<Vec<_>>(), [&b"\xff\x00\n"[..], b""]);
        let more = [fields.wire(), b"more"].concat();
        assert_eq!(Fields::from_wire(more).wire(), fields.wire());
    }

    #[test]
    fn a_damaged_buffer_is_an_empty_section() {
        let wire = Fields::from_iter([("a", "1"), ("b", "2")]).wire().to_vec();
        for cut in 0..wire.len() {
            assert!(Fields::from_wire(wire[..cut].to_vec()).is_empty());
        }
        assert!(Fields::from_wire(vec![0xff; 40]).is_empty());
        assert!(Fields::from_wire(Vec::new()).is_empty());
    }

    #[test]
    fn a_field_is_found_however_it_came() {
        let names = ["a", "Vary", "x-request-id", "cache-control", ":path", "", "0"];
        let collected: Fields = names.iter().map(|name| (name, "1")).collect();
        let mut pushed = Fields::new();
        names.iter().for_each(|name| pushed.push(name, "1"));
        let raw = Fields::from_wire(collected.wire().to_vec());
        let kept = raw.kept(9, |_, _| true);
        for fields in [&collected, &pushed, &raw, &kept, &kept.copied(9), &kept.clone()] {
            for name in names {
                assert_eq!(fields.get(&name.to_ascii_lowercase()), Some(&b"1"[..]), "{name}");
            }
            assert!(!fields.contains("vbry") && !fields.contains("age"));
        }
    }

    #[test]
    fn a_line_is_cut_out_wherever_it_is() {
        let lines = [(":status", "200"), ("a", ""), ("vary", "x"), ("a", "2"), ("date", "today")];
        for (removed, _) in lines {
            let mut fields = Fields::from_iter(lines);
            fields.remove(removed);
            let others = Fields::from_iter(lines.into_iter().filter(|(name, _)| *name != removed));
            assert_eq!(fields.wire(), others.wire(), "{removed}");
            assert_eq!((fields.get("vary"), fields.get(removed)), (others.get("vary"), None));
        }
        let mut fields = Fields::from_iter([("a", "1")]);
        fields.remove("b");
        assert_eq!(fields.len(), 1);
        fields.remove("a");
        assert!(fields.is_empty() && fields.wire() == Fields::new().wire());
    }

    #[test]
    fn names_are_lower_case_and_lines_can_be_replaced() {
        let mut fields = Fields::from_iter([("Vary", "a"), ("X", "1"), ("vary", "b")]);
        assert_eq!(fields.combined("vary").as_deref(), Some(&b"a, b"[..]));
        fields.set("vary", "c");
        assert_eq!(fields, Fields::from_iter([("x", "1"), ("vary", "c")]));
        assert_eq!(fields.wire(), Fields::from_iter([("x", "1"), ("vary", "c")]).wire());
        fields.retain(|_, _| false);
        assert_eq!((fields.len(), fields.wire()), (0, Fields::new().wire()));
    }
}
