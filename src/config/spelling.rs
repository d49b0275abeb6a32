//! Paths as an origin may read them, for rules that keep what they match out of the cache.
//!
//! Nothing says how an origin reads a path: whether `/Account`, `/account;x/me`, `/account%2Fme`, `//account/me` or
//! `/shop/../account/me` is its account page. To store what a rule wants to bypass would be the worse mistake, so such a
//! rule matches all of them.

use std::borrow::Cow;

use crate::http::percent;

/// Whether a path may be another spelling of one that looks different.
pub(super) fn is_unusual(path: &[u8]) -> bool {
    let is_unusual =
        |byte: &u8| !(byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/-_.~".contains(byte));
    path.iter().any(is_unusual) || path.windows(2).any(|pair| matches!(pair, b"//" | b"/."))
}

/// The plain spellings of a path: nothing is escaped, in lower case, with plain slashes, without parameters, empty segments
/// and dots. There are several where it goes up (`..`): origins differ in what they take away before they do, and some
/// never do.
pub(super) fn plain(path: &[u8]) -> Vec<Vec<u8>> {
    // Some decode twice.
    const TIMES: usize = 3;
    let mut text = Cow::Borrowed(path);
    for _ in 0..TIMES {
        match unescaped(&text) {
            Some(decoded) => text = Cow::Owned(decoded),
            None => break,
        }
    }
    let text = text.to_ascii_lowercase();
    let cut = text.split(is_end).next().unwrap_or_default();
    if !text.windows(2).any(|pair| pair == b"..") {
        return vec![resolved(cut, Up::AnySegment)];
    }
    let ways = [Up::AnySegment, Up::NonEmpty, Up::Never];
    [cut, &text].iter().flat_map(|text| ways.map(|up| resolved(text, up))).collect()
}

/// What an origin makes of `..`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Up {
    /// It takes away a segment, which may be an empty one.
    AnySegment,
    /// It takes away a segment that is not empty.
    NonEmpty,
    /// Nothing.
    Never,
}

fn resolved(path: &[u8], up: Up) -> Vec<u8> {
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| matches!(byte, b'/' | b'\\')).skip(1) {
        let name = segment.split(|byte| *byte == b';' || is_end(byte)).next().unwrap_or_default();
        match name.trim_ascii() {
            b"." => {}
            b".." if up != Up::Never => {
                segments.pop();
            }
            b"" if up == Up::NonEmpty => {}
            name => segments.push(name),
        }
    }
    segments.retain(|segment| !segment.is_empty());
    segments.iter().flat_map(|segment| [b"/".as_slice(), segment]).collect::<Vec<_>>().concat()
}

/// Where a path may end once it is decoded.
fn is_end(byte: &u8) -> bool {
    matches!(byte, b'?' | b'#' | 0)
}

/// A literal of a pattern in that spelling.
pub(super) fn plain_literal(literal: &[u8]) -> Box<[u8]> {
    unescaped(literal).unwrap_or_else(|| literal.to_vec()).to_ascii_lowercase().into()
}

/// The text with its escapes decoded; none when it has none.
fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    let decoded: Vec<u8> = percent::decoded(text).collect();
    (decoded.len() < text.len()).then_some(decoded)
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
            "/account/%20/..%2Fme",
            "/account/;/..%2Fme",
            "/account/x%3F/..%2Fme",
            "/x%23/..%2Faccount%2Fme",
            "/x%00/%252e%252e/account/me",
            "/account/me%3F/..%2F..",
        ] {
            let spellings = plain(spelling.as_bytes());
            assert!(spellings.iter().any(|one| one == b"/account/me"), "{spelling}");
            assert!(
                spelling == "/account/me" || spelling == "/account/me/" || is_unusual(spelling.as_bytes()),
                "{spelling}"
            );
        }
        for (path, spelling) in
            [("/", ""), ("/%zz", "/%zz"), ("/a%2", "/a%2"), ("/..", ""), ("/accounts", "/accounts")]
        {
            assert_eq!(plain(path.as_bytes())[0], spelling.as_bytes(), "{path}");
        }
        assert!(plain(b"/Account/%2e%2e/me").contains(&b"/account/../me".to_vec()), "some never go up");
        assert_eq!(&*plain_literal(b"/a%20B"), b"/a b");
    }
}
