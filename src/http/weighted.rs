//! Weighted lists (RFC 9110 §12.4.2), and `Accept-Language` in the form in which browsers write it.

use super::list;
use crate::sorting::sort_by;

/// The most members of an `Accept-Language` that is put into canonical form. Beyond it the field stays as it came.
const MEMBERS_MAX: usize = 64;

/// `Accept-Language` in canonical form (RFC 9110 §12.5.4): without white space, the languages in order of their weight
/// and spelled as RFC 5646 §2.1.1 has it, weights as short as may be. None when it is no such list.
///
/// It is what browsers send, so that their requests need no change. Languages of one weight stay in the order in which
/// they came, because it means something: "some recipients treat the order in which language tags are listed as an
/// indication of descending priority" (§12.5.4).
#[must_use]
pub fn accept_language(value: &[u8]) -> Option<Vec<u8>> {
    let mut languages = Vec::with_capacity(8);
    for member in list::members(value) {
        let (name, weight) = name_and_weight(member);
        let is_language = |b: &u8| b.is_ascii_alphanumeric() || b"-*".contains(b);
        if languages.len() == MEMBERS_MAX || name.is_empty() || !name.iter().all(is_language) {
            return None;
        }
        languages.push((name, weight?));
    }
    if !languages.is_sorted_by(|(_, a), (_, b)| a >= b) {
        sort_by(&mut languages, |(_, a), (_, b)| b.cmp(a));
    }
    let mut text = Vec::with_capacity(value.len());
    for (name, weight) in languages {
        if !text.is_empty() {
            text.push(b',');
        }
        push_language(&mut text, name);
        push_weight(&mut text, weight);
    }
    Some(text)
}

/// RFC 5646 §2.1.1: regions are in upper case, scripts have a capital, everything else is in lower case, as is what
/// comes after a single letter.
fn push_language(text: &mut Vec<u8>, tag: &[u8]) {
    let mut plain = true;
    for (i, subtag) in tag.split(|b| *b == b'-').enumerate() {
        if i > 0 {
            text.push(b'-');
        }
        let at = text.len();
        text.extend(subtag.iter().map(u8::to_ascii_lowercase));
        let capitals = match subtag.len() {
            2 if i > 0 && plain => 2,
            4 if i > 0 && plain => 1,
            _ => 0,
        };
        if let Some(capitals) = text.get_mut(at..at + capitals) {
            capitals.make_ascii_uppercase();
        }
        plain &= subtag.len() > 1 || subtag == b"*";
    }
}

fn push_weight(text: &mut Vec<u8>, thousandths: u16) {
    if thousandths >= 1000 {
        return;
    }
    text.extend_from_slice(if thousandths == 0 { b";q=0" } else { b";q=0." });
    let (mut rest, mut unit) = (thousandths, 100);
    while rest > 0 && unit > 0 {
        text.push(b'0' + (rest / unit) as u8);
        (rest, unit) = (rest % unit, unit / 10);
    }
}

/// The name of a member and its weight in thousandths; no weight when anything else is said of it, or what is said is
/// none.
#[must_use]
pub fn name_and_weight(member: &[u8]) -> (&[u8], Option<u16>) {
    let mut parts = list::parameters(member);
    let name = parts.next().unwrap_or_default();
    let weight = parts.next().map_or(Some(1000), weight);
    (name, weight.filter(|_| parts.next().is_none()))
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

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn languages_have_the_form_in_which_browsers_write_them() {
        for (value, expected) in [
            ("de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7"),
            ("en-us, EN; q=0.50 , de;Q=0.5", "en-US,en;q=0.5,de;q=0.5"),
            ("en;q=0.5,de", "de,en;q=0.5"),
            ("en, de", "en,de"),
            ("de, en", "de,en"),
            ("en, en;q=0.123, en", "en,en,en;q=0.123"),
            ("fr;q=0, *;q=0.000, en;q=1.000", "en,fr;q=0,*;q=0"),
            ("ZH-HANT-tw,SR-latn,es-419,*", "zh-Hant-TW,sr-Latn,es-419,*"),
            ("en-u-HC-h12, de-x-AB-Abcd, I-Klingon, *-CH", "en-u-hc-h12,de-x-ab-abcd,i-klingon,*-CH"),
            ("", ""),
            (" , ,", ""),
        ] {
            let canonical = accept_language(value.as_bytes()).unwrap();
            assert_eq!(String::from_utf8_lossy(&canonical), expected, "{value}");
            assert_eq!(accept_language(&canonical).as_ref(), Some(&canonical), "{value}");
        }
    }

    #[test]
    fn what_is_no_list_of_languages_has_no_form() {
        let many = "en,".repeat(MEMBERS_MAX + 1);
        for value in [
            "de en",
            "de;x=1",
            "de;q=2",
            "de;q=",
            "de;q=0.1234",
            "de;q=0.5;q=0.6",
            "d\u{e9}",
            "\"de\"",
            "de_CH",
            "de, ;",
            &many,
        ] {
            assert_eq!(accept_language(value.as_bytes()), None, "{value}");
        }
    }
}
