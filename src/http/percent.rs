//! Percent-encoding (RFC 3986 §2.1) and hexadecimal digits.
//!
//! An escape is a `%` with two hexadecimal digits. A `%` without them is a byte like any other here; a reader to whom it is a
//! mistake asks [`is_well_formed`] first.

/// The value of a hexadecimal digit.
#[must_use]
pub fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The byte that two hexadecimal digits write.
#[must_use]
pub fn hex_byte(high: u8, low: u8) -> Option<u8> {
    Some(hex_digit(high)? << 4 | hex_digit(low)?)
}

/// The byte that the escape at the beginning of a text stands for, and what comes behind it.
#[must_use]
pub fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [b'%', high, low, rest @ ..] => Some((hex_byte(*high, *low)?, rest)),
        _ => None,
    }
}

/// Whether each `%` begins an escape.
#[must_use]
pub fn is_well_formed(text: &[u8]) -> bool {
    let at = |at: usize| text.get(at..).unwrap_or_default();
    text.iter().enumerate().all(|(n, byte)| *byte != b'%' || escape(at(n)).is_some())
}

/// The bytes of a text with its escapes undone, once.
pub fn decoded(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = text;
    core::iter::from_fn(move || {
        let (byte, after) = match escape(rest) {
            Some(escaped) => escaped,
            None => rest.split_first().map(|(byte, after)| (*byte, after))?,
        };
        rest = after;
        Some(byte)
    })
}

/// The same as an HTML form writes it, and as a query is compared by name: `%41` is `A`, `+` is a space.
pub fn form_decoded(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = text;
    core::iter::from_fn(move || {
        let (byte, after) = match (escape(rest), rest) {
            (Some(escaped), _) => escaped,
            (None, [b'+', after @ ..]) => (b' ', after),
            (None, [byte, after @ ..]) => (*byte, after),
            (None, []) => return None,
        };
        rest = after;
        Some(byte)
    })
}

/// Whether a path and query is already what [`push_normalised`] would make of it.
#[must_use]
pub fn is_normalised(target: &[u8]) -> bool {
    target.iter().all(|b| *b != b'%' && (0x21..0x7f).contains(b))
}

/// Adds a path and query with one spelling for what RFC 3986 §6.2.2 holds equivalent: escapes of unreserved
/// characters are undone, the others are in upper case, bytes that must be escaped are.
pub fn push_normalised(out: &mut Vec<u8>, target: &[u8]) {
    let mut rest = target;
    while let [byte, after @ ..] = rest {
        if let Some((escaped, after)) = escape(rest) {
            push_unless_unreserved(out, escaped);
            rest = after;
            continue;
        }
        match byte {
            // A `%` that begins no escape is one itself: else what follows could make it one, once it is unescaped.
            b'%' => push_escape(out, b'%'),
            0x21..0x7f => out.push(*byte),
            _ => push_escape(out, *byte),
        }
        rest = after;
    }
}

/// Adds a component with everything escaped that is not unreserved (RFC 3986 §2.3).
pub fn push_escaped(out: &mut Vec<u8>, component: &[u8]) {
    component.iter().for_each(|byte| push_unless_unreserved(out, *byte));
}

fn push_unless_unreserved(out: &mut Vec<u8>, byte: u8) {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        out.push(byte);
    } else {
        push_escape(out, byte);
    }
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    let digit = |n: u8| if n < 10 { b'0' + n } else { b'A' + (n - 10) };
    out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn an_escape_is_a_percent_sign_with_two_digits() {
        for (text, plain, form, is_fine) in [
            ("a%41+b", "aA+b", "aA b", true),
            ("%c3%A9", "\u{e9}", "\u{e9}", true),
            ("%2B", "+", "+", true),
            ("%2541", "%41", "%41", true),
            ("100%", "100%", "100%", false),
            ("%4", "%4", "%4", false),
            ("%zz", "%zz", "%zz", false),
            ("%+1", "%+1", "% 1", false),
            ("%%41", "%A", "%A", false),
            ("", "", "", true),
        ] {
            let bytes = text.as_bytes();
            assert_eq!(String::from_utf8(decoded(bytes).collect()).unwrap(), plain, "{text}");
            assert_eq!(String::from_utf8(form_decoded(bytes).collect()).unwrap(), form, "{text}");
            assert_eq!(is_well_formed(bytes), is_fine, "{text}");
        }
    }

    #[test]
    fn equivalent_escapes_have_one_spelling() {
        for (target, expected) in [
            ("/~a/%7Eb", "/~a/~b"),
            ("/%c3%a9", "/%C3%A9"),
            ("/\u{e9} x", "/%C3%A9%20x"),
            ("/a%2fb%2Fc", "/a%2Fb%2Fc"),
            ("/100%", "/100%25"),
            ("/%zz%4", "/%25zz%254"),
            ("/%%41d", "/%25Ad"),
        ] {
            let mut out = Vec::new();
            push_normalised(&mut out, target.as_bytes());
            assert_eq!(String::from_utf8_lossy(&out), expected, "{target}");
        }
    }
}
