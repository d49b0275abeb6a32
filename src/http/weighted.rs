//! Weighted lists (RFC 9110 §12.4.2) in one canonical form, for `Accept-Encoding` and `Accept-Language`.
//!
//! Two values get the same form only when they mean the same to whoever follows the standard: case, white space,
//! order, repetition and the spelling of weights do not count, nor does a coding that is refused by name where it
//! would be refused anyway. What is not such a list keeps the form it has.

use super::list;
use crate::sorting::sort_by;

/// The most members of a list that is put into canonical form.
const MEMBERS_MAX: usize = 64;

/// `Accept-Encoding` in canonical form (RFC 9110 §12.5.3).
#[must_use]
pub fn accept_encoding(value: &[u8]) -> Vec<u8> {
    let Some(mut codings) = parse(value) else { return list::compact(value) };
    for coding in &mut codings {
        // §8.4.1: recipients treat these as equivalent.
        if let b"x-gzip" | b"x-compress" = &*coding.name {
            coding.name.drain(..2);
        }
    }
    let any = codings.iter().any(|c| c.name == b"*");
    // §12.5.3: a coding that is not listed, with no `*` in the list, is as unacceptable as one with weight 0; only
    // `identity` must be refused by name.
    codings.retain(|c| any || c.weight > 0 || c.name == b"identity");
    if let [only] = &*codings
        && only.name == b"identity"
        && only.weight > 0
    {
        codings.clear();
    }
    canonical(codings).unwrap_or_else(|| list::compact(value))
}

/// `Accept-Language` in canonical form (RFC 9110 §12.5.4).
#[must_use]
pub fn accept_language(value: &[u8]) -> Vec<u8> {
    parse(value).and_then(canonical).unwrap_or_else(|| list::compact(value))
}

struct Member {
    name: Vec<u8>,
    /// In thousandths.
    weight: u16,
}

fn parse(value: &[u8]) -> Option<Vec<Member>> {
    let mut parsed = Vec::new();
    for member in list::members(value) {
        let mut parts = list::parameters(member);
        let name = parts.next()?.to_ascii_lowercase();
        let weight = match parts.next() {
            None => 1000,
            Some(parameter) => weight(parameter)?,
        };
        let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
        if parsed.len() == MEMBERS_MAX || parts.next().is_some() || !name.iter().all(token) {
            return None;
        }
        parsed.push(Member { name, weight });
    }
    Some(parsed)
}

fn weight(parameter: &[u8]) -> Option<u16> {
    let (name, value) = list::name_and_value(parameter);
    if !name.eq_ignore_ascii_case(b"q") {
        return None;
    }
    let (whole, fraction) = match value?.split_first()? {
        (b'1', fraction) => (1000, fraction),
        (b'0', fraction) => (0, fraction),
        _ => return None,
    };
    let digits = match fraction {
        [] | [b'.'] => &[],
        [b'.', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => digits,
        _ => return None,
    };
    let mut unit = 100;
    let mut weight = whole;
    for digit in digits {
        weight += u16::from(digit - b'0') * unit;
        unit /= 10;
    }
    (weight <= 1000).then_some(weight)
}

/// Sorted by name, each name once; none when a name has two weights.
fn canonical(mut members: Vec<Member>) -> Option<Vec<u8>> {
    sort_by(&mut members, |a, b| a.name.cmp(&b.name));
    members.dedup_by(|a, b| a.name == b.name && a.weight == b.weight);
    if members.windows(2).any(|pair| matches!(pair, [a, b] if a.name == b.name)) {
        return None;
    }
    let mut text = Vec::new();
    for member in members {
        if !text.is_empty() {
            text.push(b',');
        }
        text.extend_from_slice(&member.name);
        if member.weight < 1000 {
            text.extend_from_slice(format!(";q=0.{:03}", member.weight).as_bytes());
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn accept_encodings_that_mean_the_same_are_the_same() {
        for (a, b) in [
            ("gzip, deflate, br", "br,deflate,GZIP"),
            ("gzip;q=1.0, br;q=0.5", "br ; Q=0.50,gzip"),
            ("gzip, gzip", "gzip"),
            ("x-gzip", "gzip"),
            ("gzip, br;q=0", "gzip"),
            ("identity", ""),
            ("gzip;q=1.", "gzip"),
        ] {
            assert_eq!(accept_encoding(a.as_bytes()), accept_encoding(b.as_bytes()), "{a} and {b}");
        }
    }

    #[test]
    fn accept_encodings_that_differ_stay_apart() {
        for (a, b) in [
            ("gzip", "br"),
            ("gzip", "gzip, br"),
            ("gzip, br;q=0.5", "gzip;q=0.5, br"),
            ("*, br;q=0", "*"),
            ("gzip, identity;q=0", "gzip"),
            ("*;q=0", ""),
            ("gzip;q=0.5, gzip;q=1", "gzip"),
            ("gzip;level=9", "gzip"),
            ("gzip;q=2", "gzip"),
            ("foo, gzip", "gzip"),
            ("gzip br", "gzip"),
        ] {
            assert_ne!(accept_encoding(a.as_bytes()), accept_encoding(b.as_bytes()), "{a} and {b}");
        }
    }

    #[test]
    fn accept_language_ignores_order_case_and_white_space() {
        for (a, b, same) in [
            ("en, de", "de, en", true),
            ("en, de", "eN, De", true),
            ("en, de", " en ,   de", true),
            ("en;q=0.8, de", "de, en;q=0.8", true),
            ("en;q=0.8, de", "de;q=0.8, en", false),
            ("en-GB", "en", false),
            ("en;q=0", "", false),
        ] {
            assert_eq!(accept_language(a.as_bytes()) == accept_language(b.as_bytes()), same, "{a} and {b}");
        }
    }

    #[test]
    fn a_canonical_form_is_its_own_canonical_form() {
        for value in
            ["gzip, br;q=0.5, *;q=0", "identity;q=0.3", "", "a;q=0.001", "not;a=list", "x;q=1, x;q=0.2"]
        {
            let once = accept_encoding(value.as_bytes());
            assert_eq!(accept_encoding(&once), once, "{value}");
        }
    }
}
