//! Protocol Buffers as they are on the wire: a reader of fields that cannot fail half way, and a writer of the few kinds of
//! fields that Larder sends.
//!
//! By hand, since a generated codec (`prost`) is three times as large in the module.

/// The value of a field on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wire<'a> {
    /// A number of fixed or variable length.
    Number(u64),
    /// A text, bytes, a message or a packed list.
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    /// The bytes; none when it is a number.
    #[must_use]
    pub fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Wire::Bytes(bytes) => Some(bytes),
            Wire::Number(_) => None,
        }
    }

    /// The number; none when it is bytes.
    #[must_use]
    pub fn number(self) -> Option<u64> {
        match self {
            Wire::Number(number) => Some(number),
            Wire::Bytes(_) => None,
        }
    }
}

/// The fields of a message in their order, up to what is no field.
#[derive(Clone, Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The fields of this message.
    #[must_use]
    pub fn of(message: &'a [u8]) -> Fields<'a> {
        Fields(message)
    }

    /// Whether all that was to be read has been read: what is left is no field.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Wire<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Number(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let len = self.varint()?;
                Wire::Bytes(self.take(usize::try_from(len).ok()?)?)
            }
            5 => Wire::Number(u32::from_le_bytes(self.take(4)?.try_into().ok()?).into()),
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}

/// A message that is being written.
#[derive(Clone, Default, Debug)]
pub struct Message(Vec<u8>);

impl Message {
    /// An empty message.
    #[must_use]
    pub fn new() -> Message {
        Message::default()
    }

    /// With a number (`int64`, `uint64`, `bool`, an enum). Zero is the default and is left out.
    #[must_use]
    pub fn number(mut self, field: u32, value: u64) -> Message {
        if value != 0 {
            self.varint(u64::from(field) << 3);
            self.varint(value);
        }
        self
    }

    /// With bytes, a text or a message. Empty ones are written as well: within a `oneof` they mean something.
    #[must_use]
    pub fn bytes(mut self, field: u32, value: &[u8]) -> Message {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// With a message.
    #[must_use]
    pub fn message(self, field: u32, value: Message) -> Message {
        self.bytes(field, &value.0)
    }

    /// The message on the wire.
    #[must_use]
    pub fn written(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn what_is_written_is_read() {
        let inner = Message::new().number(1, 300).bytes(2, b"");
        let message = Message::new().bytes(1, b"key").number(3, u64::MAX).number(4, 0).message(5, inner);
        let bytes = message.written();
        let fields: Vec<_> = Fields::of(&bytes).collect();
        let inner = [&[8, 0xac, 2][..], &[18, 0]].concat();
        assert_eq!(
            fields,
            [(1, Wire::Bytes(&b"key"[..])), (3, Wire::Number(u64::MAX)), (5, Wire::Bytes(&inner[..]))]
        );
    }

    #[test]
    fn what_is_cut_off_ends_the_fields_and_is_not_whole() {
        let bytes = Message::new().bytes(1, b"abc").written();
        for cut in 1..bytes.len() {
            let mut fields = Fields::of(&bytes[..cut]);
            assert_eq!(fields.by_ref().count(), 0, "{cut}");
        }
        let mut fields = Fields::of(&bytes);
        assert_eq!(fields.by_ref().count(), 1);
        assert!(fields.is_whole());
        // A varint of more than ten bytes, a group.
        assert_eq!(Fields::of(&[0xff; 12]).count(), 0);
        assert_eq!(Fields::of(&[11, 12]).count(), 0);
    }
}
