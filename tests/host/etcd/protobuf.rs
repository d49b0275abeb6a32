//! Protocol Buffers as far as etcd's messages need them, apart from the product's own, so that each checks the other.
//!
//! A field that has its default is left out, as in proto3, and fields come in the order of their numbers: what is
//! written here has the bytes that etcd writes.

/// What one field holds on the wire.
#[derive(Clone, Debug, PartialEq)]
pub enum Wire {
    Number(u64),
    Bytes(Vec<u8>),
}

/// A message with numbered fields.
pub trait Message: Default {
    const NAME: &'static str;

    fn write(&self, to: &mut Vec<u8>);

    /// Takes one field; whether it is known.
    fn take(&mut self, number: u64, wire: Wire, strict: bool) -> Result<bool, String>;

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    /// Reads a message. Fields that are not known are left out.
    fn decode(bytes: &[u8]) -> Result<Self, String> {
        Self::read(bytes, false)
    }

    /// Reads a message of which every field must be known here.
    fn decode_known(bytes: &[u8]) -> Result<Self, String> {
        Self::read(bytes, true)
    }

    fn read(bytes: &[u8], strict: bool) -> Result<Self, String> {
        let mut message = Self::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (number, wire) = next(&mut rest)?;
            if let Some(wire) = wire
                && !message.take(number, wire, strict)?
                && strict
            {
                return Err(format!("{} has a field {number} that is not emulated", Self::NAME));
            }
        }
        Ok(message)
    }
}

/// The value of a field.
pub trait Value: Default {
    fn put(&self, number: u64, to: &mut Vec<u8>);
    fn take(&mut self, wire: Wire, strict: bool) -> Result<(), String>;
}

/// The next field of a message. Numbers of fixed width are skipped: etcd has none.
fn next(rest: &mut &[u8]) -> Result<(u64, Option<Wire>), String> {
    let tag = varint(rest)?;
    let wire = match tag & 7 {
        0 => Some(Wire::Number(varint(rest)?)),
        1 => split(rest, 8).map(|_| None)?,
        2 => {
            let length = usize::try_from(varint(rest)?).map_err(|_| "unexpected EOF")?;
            Some(Wire::Bytes(split(rest, length)?.to_vec()))
        }
        5 => split(rest, 4).map(|_| None)?,
        kind => return Err(format!("illegal wireType {kind}")),
    };
    Ok((tag >> 3, wire))
}

fn split<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], String> {
    let (head, tail) = rest.split_at_checked(length).ok_or("unexpected EOF")?;
    *rest = tail;
    Ok(head)
}

fn varint(rest: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = split(rest, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("integer overflow".into())
}

fn put_varint(mut value: u64, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn put_number(number: u64, value: u64, to: &mut Vec<u8>) {
    if value != 0 {
        put_varint(number << 3, to);
        put_varint(value, to);
    }
}

fn put_bytes(number: u64, value: &[u8], to: &mut Vec<u8>) {
    put_varint(number << 3 | 2, to);
    put_varint(value.len() as u64, to);
    to.extend_from_slice(value);
}

fn number(wire: Wire) -> Result<u64, String> {
    match wire {
        Wire::Number(number) => Ok(number),
        Wire::Bytes(_) => Err("bytes where a number belongs".into()),
    }
}

fn bytes(wire: Wire) -> Result<Vec<u8>, String> {
    match wire {
        Wire::Bytes(bytes) => Ok(bytes),
        Wire::Number(_) => Err("a number where bytes belong".into()),
    }
}

impl Value for u64 {
    fn put(&self, field: u64, to: &mut Vec<u8>) {
        put_number(field, *self, to);
    }

    fn take(&mut self, wire: Wire, _: bool) -> Result<(), String> {
        *self = number(wire)?;
        Ok(())
    }
}

impl Value for i64 {
    fn put(&self, field: u64, to: &mut Vec<u8>) {
        put_number(field, *self as u64, to);
    }

    fn take(&mut self, wire: Wire, _: bool) -> Result<(), String> {
        *self = number(wire)? as i64;
        Ok(())
    }
}

impl Value for bool {
    fn put(&self, field: u64, to: &mut Vec<u8>) {
        put_number(field, u64::from(*self), to);
    }

    fn take(&mut self, wire: Wire, _: bool) -> Result<(), String> {
        *self = number(wire)? != 0;
        Ok(())
    }
}

impl Value for Vec<u8> {
    fn put(&self, field: u64, to: &mut Vec<u8>) {
        if !self.is_empty() {
            put_bytes(field, self, to);
        }
    }

    fn take(&mut self, wire: Wire, _: bool) -> Result<(), String> {
        *self = bytes(wire)?;
        Ok(())
    }
}

impl Value for String {
    fn put(&self, field: u64, to: &mut Vec<u8>) {
        if !self.is_empty() {
            put_bytes(field, self.as_bytes(), to);
        }
    }

    fn take(&mut self, wire: Wire, _: bool) -> Result<(), String> {
        *self = String::from_utf8(bytes(wire)?).map_err(|_| "text that is not UTF-8")?;
        Ok(())
    }
}

impl<M: Message> Value for Option<M> {
    fn put(&self, field: u64, to: &mut Vec<u8>) {
        if let Some(message) = self {
            put_bytes(field, &message.encode(), to);
        }
    }

    fn take(&mut self, wire: Wire, strict: bool) -> Result<(), String> {
        *self = Some(M::read(&bytes(wire)?, strict)?);
        Ok(())
    }
}

impl<M: Message> Value for Vec<M> {
    fn put(&self, field: u64, to: &mut Vec<u8>) {
        for message in self {
            put_bytes(field, &message.encode(), to);
        }
    }

    fn take(&mut self, wire: Wire, strict: bool) -> Result<(), String> {
        self.push(M::read(&bytes(wire)?, strict)?);
        Ok(())
    }
}

/// Defines messages: `Name { number field: type, … }`.
macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident { $($number:literal $field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name { $(pub $field: $type),* }

        impl $crate::host::etcd::protobuf::Message for $name {
            const NAME: &'static str = stringify!($name);

            fn write(&self, _to: &mut Vec<u8>) {
                $($crate::host::etcd::protobuf::Value::put(&self.$field, $number, _to);)*
            }

            #[allow(unreachable_code, reason = "a message may have no fields")]
            fn take(
                &mut self,
                number: u64,
                _wire: $crate::host::etcd::protobuf::Wire,
                _strict: bool,
            ) -> Result<bool, String> {
                match number {
                    $($number => $crate::host::etcd::protobuf::Value::take(&mut self.$field, _wire, _strict)?,)*
                    _ => return Ok(false),
                }
                Ok(true)
            }
        }
    )*};
}
pub(crate) use messages;
