//! Paths as an origin may read them, for rules that keep what they match out of the cache.
//!
//! Nothing says how an origin reads a path: whether `/Account`, `/account;x/me`, `/account%2Fme`, `//account/me` or
//! `/shop/../account/me` is its account page. To store what a rule wants to bypass would be the worse mistake, so such a
//! rule matches all of them.

use std::borrow::Cow;

/// Whether a path may be another spelling of one that looks different.
pub(super) fn is_unusual(path: &[u8]) -> bool {
    let is_odd = |byte: &u8| !(byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/-_.~".contains(byte));
    path.iter().any(is_odd) || path.windows(2).any(|pair| matches!(pair, b"//" | b"/."))
}

/// The one spelling of a path: nothing is escaped, in lower case, with plain slashes, without parameters, empty segments and
/// dots.
pub(super) fn plain(path: &[u8]) -> Vec<u8> {
    // Some decode twice.
    const TIMES: usize = 3;
    let mut text = Cow::Borrowed(path);
    for _ in 0..TIMES {
        match unescaped(&text) {
            Some(decoded) => text = Cow::Owned(decoded),
            None => break,
        }
    }
    let end = text.iter().position(|byte| matches!(byte, b'?' | b'#' | 0)).unwrap_or(text.len());
    let text = text.get(..end).unwrap_or_default().to_ascii_lowercase();
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in text.split(|byte| matches!(byte, b'/' | b'\\')) {
        match segment.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii() {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            name => segments.push(name),
        }
    }
    segments.iter().flat_map(|segment| [b"/".as_slice(), segment]).collect::<Vec<_>>().concat()
}

/// A literal of a pattern in that spelling.
pub(super) fn plain_literal(literal: &[u8]) -> Box<[u8]> {
    unescaped(literal).unwrap_or_else(|| literal.to_vec()).to_ascii_lowercase().into()
}

/// The text with its escapes decoded; none when it has none.
fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    let escape = |at: usize| match text.get(at..at + 3) {
        Some([b'%', high, low]) => {
            let digit = |byte: &u8| char::from(*byte).to_digit(16);
            Some((digit(high)? * 16 + digit(low)?) as u8)
        }
        _ => None,
    };
    (0..text.len()).find(|at| escape(*at).is_some())?;
    let (mut decoded, mut at) = (Vec::with_capacity(text.len()), 0);
    while let Some(byte) = text.get(at) {
        match escape(at) {
            Some(escaped) => {
                decoded.push(escaped);
                at += 3;
            }
            None => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn all_spellings_of_a_path_are_one() {
        for spelling in [
            "/account/me",
            "/account/me/",
            "//account/me",
            "/account//me",
            "/./account/./me",
            "/shop/../account/me",
            "/shop/..;/account/me",
            "/ACCOUNT/me",
            "/account;x/me",
            "/account;jsessionid=1/me;y",
            "/%61ccount/me",
            "/%2561ccount/me",
            "/account%2fme",
            "/account%2Fme",
            "/account\\me",
            "/account%5cme",
            "/account%20/me",
            "/account/me%00.css",
            "/account/me%3Fx",
            "/account/me%23x",
        ] {
            assert_eq!(plain(spelling.as_bytes()), b"/account/me", "{spelling}");
            assert!(
                spelling == "/account/me" || spelling == "/account/me/" || is_unusual(spelling.as_bytes()),
                "{spelling}"
            );
        }
        for (path, spelling) in
            [("/", ""), ("/%zz", "/%zz"), ("/a%2", "/a%2"), ("/..", ""), ("/accounts", "/accounts")]
        {
            assert_eq!(plain(path.as_bytes()), spelling.as_bytes(), "{path}");
        }
        assert_eq!(&*plain_literal(b"/a%20B"), b"/a b");
    }
}
