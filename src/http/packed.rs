//! Field lines in few bytes, as they are stored: the host's form takes ten bytes a line beside names and values.
//!
//! A line is its name, as a number where it is a well-known one and else by its length, then the length of its value
//! and the value.

use super::Fields;

/// Well-known names. Their numbers are stored: a change here is another schema of the store.
const NAMES: [&str; 32] = [
    "accept-ranges",
    "access-control-allow-origin",
    "alt-svc",
    "cache-control",
    "cdn-cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-security-policy",
    "content-type",
    "cross-origin-resource-policy",
    "date",
    "etag",
    "expires",
    "last-modified",
    "link",
    "location",
    "permissions-policy",
    "referrer-policy",
    "server",
    "strict-transport-security",
    "timing-allow-origin",
    "vary",
    "via",
    "x-cache",
    "x-content-type-options",
    "x-envoy-upstream-service-time",
    "x-frame-options",
    "x-powered-by",
    "x-request-id",
];
/// Set in the first byte of a line whose name is a number.
const KNOWN: u8 = 0x80;
/// The first length that takes four more bytes.
const LONG: u8 = 0x7f;

/// The lines as bytes.
pub fn pack(fields: &Fields) -> Vec<u8> {
    let mut packed = Vec::with_capacity(fields.wire().len());
    for (name, value) in fields.iter() {
        match NAMES.binary_search_by(|known| known.as_bytes().cmp(name)) {
            Ok(number) => packed.push(KNOWN | number as u8),
            Err(_) => push(&mut packed, name),
        }
        push(&mut packed, value);
    }
    packed
}

/// The lines again; none when these are not the bytes of any.
pub fn unpack(mut packed: &[u8]) -> Option<Fields> {
    let mut lines = Vec::with_capacity(16);
    while let Some(first) = packed.first() {
        let name = if first & KNOWN != 0 {
            packed = packed.get(1..)?;
            NAMES.get(usize::from(first & !KNOWN))?.as_bytes()
        } else {
            take(&mut packed)?
        };
        lines.push((name, take(&mut packed)?));
    }
    Some(lines.into_iter().collect())
}

fn push(packed: &mut Vec<u8>, text: &[u8]) {
    match u8::try_from(text.len()) {
        Ok(len) if len < LONG => packed.push(len),
        _ => {
            packed.push(LONG);
            packed.extend_from_slice(&(text.len() as u32).to_le_bytes());
        }
    }
    packed.extend_from_slice(text);
}

fn take<'a>(packed: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = packed.split_first()?;
    let (len, rest) = match *len {
        LONG => rest.split_first_chunk().map(|(len, rest)| (u32::from_le_bytes(*len) as usize, rest))?,
        len => (usize::from(len), rest),
    };
    let (text, rest) = rest.split_at_checked(len)?;
    *packed = rest;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn lines_round_trip_whatever_their_names_and_lengths() {
        assert!(NAMES.is_sorted());
        let long = vec![b'x'; 300];
        let fields = Fields::from_iter([
            (&b"etag"[..], &b"\"1\""[..]),
            (b"x-own", b"\xff\0"),
            (b"x-own", b""),
            (&long, &long),
            (&long[..127], &long[..127]),
            (&long[..126], &long[..126]),
        ]);
        let packed = pack(&fields);
        assert_eq!(unpack(&packed), Some(fields));
        assert_eq!(unpack(&packed[..packed.len() - 1]), None);
        assert_eq!(unpack(&[]), Some(Fields::new()));
        assert_eq!(unpack(&[0xff, 0]), None, "no such number");
    }
}
