//! Single cookies: those that are part of the key, and those that count for nothing.
//!
//! `Cookie` is read in many ways: of a name that comes twice the first or the last counts, names are compared with or
//! without case, white space and escapes, and a comma, a quote or a missing space make one cookie of two, or two of one.
//! A key that had only what one way finds would give an answer made by another way to everybody (and so would one that
//! passes on what it has not looked at). So the value of a cookie is the whole of its part in the key only where all
//! ways find it, and no other; else everything is part of it that anyone might take for the cookie.

use std::borrow::Cow;

use crate::http::{Fields, percent};

/// What a key has for a cookie; none when no server would find it.
pub(super) fn part<'a>(fields: &'a Fields, name: &str) -> Option<Cow<'a, [u8]>> {
    let mut lines = fields.get_all("cookie");
    let line = lines.next()?;
    if lines.next().is_some() {
        // Some origins read the first line alone, and others join them by a comma.
        let lines: Vec<&[u8]> = fields.get_all("cookie").collect();
        let all = lines.join(&b'\n');
        return mentions(&lines.join(&b';'), name).then(|| Cow::Owned([b";;", &*all].concat()));
    }
    if !mentions(line, name) {
        return None;
    }
    if !is_regular(line) {
        return Some(Cow::Owned([b";;", line].concat()));
    }
    let mut mentioned = cookies(line).filter(|cookie| mentions(cookie, name)).peekable();
    let first = mentioned.next()?;
    match first.strip_prefix(name.as_bytes()).and_then(|after| after.strip_prefix(b"=")) {
        Some(value) if mentioned.peek().is_none() => Some(Cow::Borrowed(value)),
        // No value has a semicolon: this is none.
        _ => {
            let all: Vec<&[u8]> = core::iter::once(first).chain(mentioned).collect();
            Some(Cow::Owned([b";", &*all.join(&b';')].concat()))
        }
    }
}

/// The cookies of a request without those that are dropped, on one line; none when nothing of them is dropped. The inner
/// none stands for no line at all.
pub(super) fn left(fields: &Fields, dropped: &[String]) -> Option<Option<Vec<u8>>> {
    if dropped.is_empty() || !fields.contains("cookie") {
        return None;
    }
    let line = fields.get_all("cookie").collect::<Vec<_>>().join(&b"; "[..]);
    let left = without(&line, dropped);
    (left.as_ref() != Some(&line)).then_some(left)
}

/// The line without the cookies that are dropped; none when that is all of it.
fn without(line: &[u8], dropped: &[String]) -> Option<Vec<u8>> {
    let is_kept = |cookie: &&[u8]| {
        let name = cookie.split(|b| *b == b'=').next().unwrap_or_default().trim_ascii();
        !dropped.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix.as_bytes()),
            None => name == pattern.as_bytes(),
        })
    };
    let kept: Vec<&[u8]> = line.split(|b| *b == b';').filter(is_kept).collect();
    let kept = kept.join(&b';').trim_ascii().to_vec();
    (!kept.is_empty()).then_some(kept)
}

/// The cookies of a regular line.
fn cookies(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|b| *b == b';').map(<[u8]>::trim_ascii_start)
}

/// Whether everybody splits a line alike: at semicolons that are followed by one space, with none in quotes.
fn is_regular(line: &[u8]) -> bool {
    let is_closed = |cookie: &[u8]| {
        let quotes = cookie.iter().filter(|b| **b == b'"').count();
        quotes % 2 == 0 && !cookie.windows(2).any(|pair| pair == b"\\\"")
    };
    line.split(|b| *b == b';').enumerate().all(|(i, cookie)| {
        let cookie = if i == 0 { Some(cookie) } else { cookie.strip_prefix(b" ") };
        cookie.is_some_and(|cookie| {
            !cookie.is_empty() && cookie.trim_ascii().len() == cookie.len() && is_closed(cookie)
        })
    })
}

/// Whether some server might find a cookie of this name in a text.
fn mentions(text: &[u8], name: &str) -> bool {
    let text: Vec<u8> = percent::form_decoded(text).collect();
    let name = name.as_bytes();
    text.windows(name.len()).enumerate().any(|(at, found)| {
        let is_name = found.iter().zip(name).all(|(a, b)| loosely(*a) == loosely(*b));
        is_name
            && begins(text.get(..at).unwrap_or_default())
            && ends(text.get(at + name.len()..).unwrap_or_default())
    })
}

/// One byte for those that are taken for each other in names: some servers ignore case, PHP makes `_` of a few.
fn loosely(byte: u8) -> u8 {
    match byte {
        b'.' | b' ' | b'[' => b'_',
        _ => byte.to_ascii_lowercase(),
    }
}

/// Whether a name can begin after this: not within another name, and not as a value.
fn begins(before: &[u8]) -> bool {
    before.last().is_none_or(|b| !b.is_ascii_alphanumeric() && !b"!#$%&'*+-.^_`|~=".contains(b))
}

/// Whether a name can end before this.
fn ends(after: &[u8]) -> bool {
    matches!(after.trim_ascii_start(), [] | [b'=' | b'[' | b';' | b',', ..])
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn fields(lines: &[&str]) -> Fields {
        lines.iter().map(|line| ("cookie", line)).collect()
    }

    fn found(lines: &[&str], name: &str) -> Option<String> {
        part(&fields(lines), name).map(|part| text(&part))
    }

    #[test]
    fn a_regular_cookie_is_keyed_by_its_value() {
        for (line, expected) in [
            ("lang=de", Some("de")),
            ("a=1; lang=de; b=2", Some("de")),
            ("lang=", Some("")),
            ("lang=\"de\"", Some("\"de\"")),
            ("lang=a=b", Some("a=b")),
            ("a=1", None),
            ("language=de; xlang=de; x-lang=de; lang2=de", None),
            ("a=lang; b=\"lang\"; c=%22lang%22%3A1", None),
            ("", None),
            // No server finds it, whatever the rest.
            ("a=1;;b=\"", None),
        ] {
            assert_eq!(found(&[line], "lang").as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn an_ambiguous_cookie_is_all_text_that_might_be_it() {
        for (line, expected) in [
            ("lang=de; a=1; lang=en", ";lang=de;lang=en"),
            ("lang=en; lang=de", ";lang=en;lang=de"),
            ("a=1; lang =de", ";lang =de"),
            ("Lang=de", ";Lang=de"),
            ("l%61ng=de", ";l%61ng=de"),
            ("lang", ";lang"),
            ("lang[x]=de", ";lang[x]=de"),
            ("a=1, lang=de", ";a=1, lang=de"),
            ("a=x,lang=de", ";a=x,lang=de"),
            ("lang=de;b=1", ";;lang=de;b=1"),
            ("a=1;lang=de", ";;a=1;lang=de"),
            ("a=1;  lang=de", ";;a=1;  lang=de"),
            ("lang=de ; a=1", ";;lang=de ; a=1"),
            ("lang=de;", ";;lang=de;"),
            ("a=\"1; lang=de\"", ";;a=\"1; lang=de\""),
            ("a=\"\\\"; lang=de; b=\"", ";;a=\"\\\"; lang=de; b=\""),
        ] {
            assert_eq!(found(&[line], "lang").as_deref(), Some(expected), "{line}");
        }
        for line in ["my.lang=de", "my lang=de", "my%5blang=de", "MY_LANG=de"] {
            assert!(found(&[line], "my_lang").is_some_and(|part| part.starts_with(';')), "{line}");
        }
    }

    #[test]
    fn dropped_cookies_leave_the_others_as_they_were() {
        let dropped = ["_ga*".to_owned(), "_gid".to_owned()];
        for (line, expected) in [
            ("_ga=1; a=1; _ga_X=2; b=\"2\" ;_gid=3;  c", Some("a=1; b=\"2\" ;  c")),
            ("a=1; _gid2=3; x_ga=1", Some("a=1; _gid2=3; x_ga=1")),
            ("_ga=1; _gid =2;_gad", None),
            ("a=_ga", Some("a=_ga")),
            ("", None),
        ] {
            assert_eq!(
                without(line.as_bytes(), &dropped).map(|line| text(&line)).as_deref(),
                expected,
                "{line}"
            );
        }
        assert_eq!(without(b"a=1; b=2", &["*".to_owned()]), None);
    }

    #[test]
    fn cookies_in_several_lines_are_ambiguous() {
        assert_eq!(found(&["a=1", "lang=de"], "lang").as_deref(), Some(";;a=1\nlang=de"));
        assert_eq!(found(&["lang=de", "a=1"], "lang").as_deref(), Some(";;lang=de\na=1"));
        assert_eq!(found(&["a=1", "b=2"], "lang"), None);
        assert_eq!(found(&[], "lang"), None);
    }

    #[test]
    fn what_is_left_of_several_lines_is_one() {
        let dropped = ["_ga".to_owned()];
        let left = |lines: &[&str]| left(&fields(lines), &dropped).map(|line| line.map(|line| text(&line)));
        assert_eq!(left(&["a=1", "_ga=2", "b=3"]), Some(Some("a=1; b=3".to_owned())));
        assert_eq!(left(&["_ga=1", "_ga=2"]), Some(None));
        assert_eq!(left(&["a=1", "b=3"]), None);
        assert_eq!(left(&[]), None);
    }
}
