//! Patterns over paths. A segment of the path meets each segment of the pattern at most once, whatever the client
//! sends.

use super::pattern::PATTERN_BYTES_MAX;
use super::spelling::plain_literal;
use super::text::Text;
use crate::glob::{Gap, Glob, Piece};

/// A path, without its query. `*` stands for any text within a segment, `**` for any number of segments, `{name}`
/// for text within a segment that tags may use; it is never empty.
///
/// `/a/**` also matches `/a`, and `/a/**/b` also matches `/a/b`.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct PathPattern {
    segments: Box<[Segment]>,
    /// The names of the captures, in order.
    pub(super) names: Box<[Box<str>]>,
    /// The file name extension that it asks for, in lower case: `css` for `/**/*.css`.
    pub(super) extension: Option<Box<str>>,
}

#[derive(Clone, PartialEq, Debug)]
enum Segment {
    One(Glob),
    Any,
}

impl Text for PathPattern {
    const WHAT: &'static str = "a path pattern";
    const EXPECTED: &'static str = "a path that begins with /, without query, percent-encoded as on the wire, with * \
        for any text in a segment, ** for any number of segments, {name} for text that tags may use, such as \
        \"/img/**\" or \"/users/{id}\"";

    fn from_text(text: &str) -> Option<Self> {
        let path = text.strip_prefix('/')?;
        let plain = |b: u8| b.is_ascii_graphic() && !b"?#\"\\".contains(&b);
        if text.len() > PATTERN_BYTES_MAX || !path.bytes().all(plain) {
            return None;
        }
        let mut names = Vec::new();
        let segments: Option<Vec<_>> = path.split('/').map(|text| Segment::parse(text, &mut names)).collect();
        let segments = segments?;
        // `**/**` says no more than `**`.
        let twice = segments.windows(2).any(|pair| matches!(pair, [Segment::Any, Segment::Any]));
        let extension = segments.last().and_then(Segment::extension);
        (!twice).then(|| PathPattern { segments: segments.into(), names: names.into(), extension })
    }
}

impl Segment {
    /// The extension that any file name may have in front of it.
    fn extension(&self) -> Option<Box<str>> {
        let Segment::One(glob) = self else { return None };
        let at = glob.suffix().iter().rposition(|&b| b == b'.')?;
        let extension = core::str::from_utf8(glob.suffix().get(at + 1..)?).ok()?;
        let any_name = glob.literal().is_none() && !extension.is_empty();
        any_name.then(|| extension.to_ascii_lowercase().into())
    }

    fn parse(text: &str, names: &mut Vec<Box<str>>) -> Option<Segment> {
        if text == "**" {
            return Some(Segment::Any);
        }
        let (head, mut left) = split_at_gap(text)?;
        let mut rest: Vec<(Gap, Piece)> = Vec::new();
        while let Some((name, after)) = left {
            let (piece, next) = split_at_gap(after)?;
            // Nothing says where one gap ends and the next begins.
            if piece.is_empty() && next.is_some() {
                return None;
            }
            rest.push((
                Gap { len_min: usize::from(name.is_some()), captured: name.is_some() },
                Piece::literal(piece.as_bytes()),
            ));
            if let Some(name) = name {
                names.push(capture_name(name, names)?);
            }
            left = next;
        }
        Some(Segment::One(Glob::new(Piece::literal(head.as_bytes()), rest)))
    }
}

/// A `*` or a `{name}`, and what follows it.
type GapText<'t> = (Option<&'t str>, &'t str);

/// The literal text up to the next gap, and that gap with what follows. None when a brace has no partner.
fn split_at_gap(text: &str) -> Option<(&str, Option<GapText<'_>>)> {
    let Some(at) = text.find(['*', '{', '}']) else { return Some((text, None)) };
    let (literal, gap) = text.split_at_checked(at)?;
    if let Some(after) = gap.strip_prefix('*') {
        return Some((literal, Some((None, after))));
    }
    let (name, after) = gap.strip_prefix('{')?.split_once('}')?;
    Some((literal, Some((Some(name), after))))
}

fn capture_name(name: &str, names: &[Box<str>]) -> Option<Box<str>> {
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let new = !names.iter().any(|known| **known == *name);
    (plain && new).then(|| name.into())
}

impl PathPattern {
    /// The same over paths in plain spelling.
    pub(super) fn plain(&self) -> PathPattern {
        let plain = |segment: &Segment| match segment {
            Segment::One(glob) => Segment::One(glob.with_pieces(plain_literal)),
            Segment::Any => Segment::Any,
        };
        // An empty last segment is a slash at the end, which is in no plain spelling.
        let is_empty =
            |segment: &Segment| matches!(segment, Segment::One(glob) if glob.literal() == Some(b""));
        let segments = self.segments.iter().filter(|segment| !is_empty(segment)).map(plain).collect();
        PathPattern { segments, ..self.clone() }
    }

    /// What every path it matches begins with.
    pub(super) fn prefix(&self) -> Vec<u8> {
        let mut prefix = Vec::new();
        for segment in &self.segments {
            // `/a/**` also matches `/a`.
            let Segment::One(glob) = segment else { break };
            prefix.push(b'/');
            prefix.extend_from_slice(glob.prefix());
            if glob.literal().is_none() {
                break;
            }
        }
        prefix
    }

    /// What every path it matches ends with.
    pub(super) fn suffix(&self) -> Vec<u8> {
        let mut pieces = Vec::new();
        for segment in self.segments.iter().rev() {
            let Segment::One(glob) = segment else { break };
            pieces.push(glob.suffix());
            if glob.literal().is_none() {
                break;
            }
            pieces.push(b"/");
        }
        pieces.reverse();
        pieces.concat()
    }

    pub(super) fn matches(&self, path: &[u8]) -> bool {
        self.walk(path, &mut |_, _| {})
    }

    /// What stands for each of [`PathPattern::names`], when it matches.
    pub(super) fn captures<'p>(&self, path: &'p [u8]) -> Option<Vec<&'p [u8]>> {
        // A segment that is tried again further right is assigned again.
        let mut assigned: Vec<&[u8]> = vec![b""; self.segments.len()];
        let matched = self.walk(path, &mut |at, text| {
            if let Some(place) = assigned.get_mut(at) {
                *place = text;
            }
        });
        let mut captured = Vec::with_capacity(self.names.len());
        for (segment, text) in self.segments.iter().zip(assigned) {
            if let Segment::One(glob) = segment {
                glob.captures(text, &mut |capture| captured.push(capture));
            }
        }
        matched.then_some(captured)
    }

    /// Goes through the path's segments; after a failure behind a `**` it lets that one take a segment more. Only
    /// the last `**` is worth trying again, so each segment of the path meets each of the pattern at most once.
    fn walk<'p>(&self, path: &'p [u8], assign: &mut impl FnMut(usize, &'p [u8])) -> bool {
        if !path.starts_with(b"/") {
            return false;
        }
        let mut rest = path.get(1..);
        let mut at = 0;
        let mut retry = None;
        loop {
            match (self.segments.get(at), rest) {
                (None, None) => return true,
                (Some(Segment::Any), _) => {
                    at += 1;
                    if at == self.segments.len() {
                        return true;
                    }
                    retry = Some((at, rest));
                    continue;
                }
                (Some(Segment::One(glob)), Some(text)) => {
                    let (segment, after) = split_segment(text);
                    if glob.matches(segment) {
                        assign(at, segment);
                        at += 1;
                        rest = after;
                        continue;
                    }
                }
                (Some(Segment::One(_)), None) | (None, Some(_)) => {}
            }
            let Some((behind, Some(text))) = retry else { return false };
            rest = split_segment(text).1;
            at = behind;
            retry = Some((behind, rest));
        }
    }
}

fn split_segment(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|&b| b == b'/') {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_path_pattern_matches_whole_paths() {
        for (pattern, matching, other) in [
            ("/", &["/"][..], &["", "/a", "//", "a", "*"][..]),
            ("/a", &["/a"], &["/a/", "/A", "/ab", "/", "a"]),
            ("/a/", &["/a/"], &["/a", "/a/b"]),
            ("/*", &["/", "/a", "/a.b"], &["/a/", "/a/b", ""]),
            ("/img/*", &["/img/", "/img/a"], &["/img", "/img/a/b"]),
            (
                "/img/*.png",
                &["/img/a.png", "/img/.png", "/img/a.png.png"],
                &["/img/a.png/", "/img/a/b.png", "/img/png"],
            ),
            ("/a*b*c", &["/abc", "/aXbYc", "/abbcc"], &["/ac", "/acb", "/abcd", "/ab/c"]),
            ("/aa*aa", &["/aaaa", "/aaXaa"], &["/aa", "/aaa"]),
            ("/**", &["/", "/a", "/a/b/", "//"], &["", "a/b", "*"]),
            ("/img/**", &["/img", "/img/", "/img/a", "/img/a/b"], &["/", "/imga", "/im"]),
            ("/**/b", &["/b", "/a/b", "/a/a/b", "//b"], &["/", "/b/", "/ab", "/b/a"]),
            ("/a/**/b", &["/a/b", "/a/x/b", "/a/x/y/b", "/a/b/b"], &["/a", "/ab", "/a/b/x", "/x/b"]),
            ("/a/**/b/**/c", &["/a/b/c", "/a/b/b/c/c", "/a/1/b/2/c"], &["/a/c/b", "/a/b", "/a/c"]),
            ("/**/*.css", &["/x.css", "/a/b/x.css"], &["/x.css/y", "/css"]),
            ("/**/a/*", &["/a/", "/a/a", "/x/a/a/b"], &["/a", "/a/b/c"]),
            ("/users/{id}", &["/users/42", "/users/{id}"], &["/users/", "/users", "/users/4/2"]),
            (
                "/users/{id}.json",
                &["/users/4.json", "/users/a.json.json"],
                &["/users/.json", "/users/4.jsonx"],
            ),
            ("/{a}/{b}", &["/1/2"], &["/1/", "//2", "/1"]),
            ("/{a}-{b}", &["/1-2", "/1--"], &["/-1", "/1-", "/-"]),
        ] {
            let compiled = PathPattern::from_text(pattern).unwrap();
            for (path, matches) in matching.iter().map(|p| (p, true)).chain(other.iter().map(|p| (p, false)))
            {
                assert_eq!(compiled.matches(path.as_bytes()), matches, "{pattern} {path}");
                assert_eq!(compiled.captures(path.as_bytes()).is_some(), matches, "{pattern} {path}");
                if matches {
                    assert!(path.as_bytes().starts_with(&compiled.prefix()), "{pattern} {path}");
                    assert!(path.as_bytes().ends_with(&compiled.suffix()), "{pattern} {path}");
                }
            }
        }
    }

    #[test]
    fn a_path_pattern_is_refused_when_it_could_not_mean_what_it_says() {
        for pattern in [
            "", "a", "img/**", "*", "**", "/a?b", "/a#b", "/a b", "/ä", "/a\u{7f}", "/a\\b", "/a/***",
            "/a**", "/**a", "/**/**", "/{", "/}", "/{}", "/{a", "/{a b}", "/{a}{b}", "/{a}*", "/*{a}",
            "/{a}/{a}", "/{{a}}",
        ] {
            assert_eq!(PathPattern::from_text(pattern), None, "{pattern}");
        }
        assert_eq!(PathPattern::from_text(&"/a".repeat(600)), None);
    }

    /// Every text of up to `len_max` of these pieces.
    fn texts(pieces: &[&str], len_max: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut from = 0;
        for _ in 0..len_max {
            let to = all.len();
            for at in from..to {
                all.extend(pieces.iter().map(|piece| format!("{}{piece}", all[at])).collect::<Vec<_>>());
            }
            from = to;
        }
        all
    }

    /// What the patterns mean, told by trying everything.
    fn means(pattern: &[&str], path: &[&str]) -> bool {
        fn segment(pattern: &[u8], text: &[u8]) -> bool {
            match (pattern, text) {
                ([], []) => true,
                ([b'*', rest @ ..], _) => (0..=text.len()).any(|at| segment(rest, &text[at..])),
                ([a, pattern @ ..], [b, text @ ..]) => a == b && segment(pattern, text),
                _ => false,
            }
        }
        match (pattern, path) {
            ([], []) => true,
            (["**", rest @ ..], _) => (0..=path.len()).any(|at| means(rest, &path[at..])),
            ([a, pattern @ ..], [b, path @ ..]) => {
                segment(a.as_bytes(), b.as_bytes()) && means(pattern, path)
            }
            _ => false,
        }
    }

    #[test]
    fn going_back_to_the_last_gap_only_misses_nothing() {
        let paths = texts(&["a", "b", "/"], 5);
        let patterns = texts(&["a", "b", "/", "*", "/**/", "/**"], 4);
        let compiled = patterns.iter().filter_map(|p| Some((p, PathPattern::from_text(&format!("/{p}"))?)));
        let mut checked = 0;
        for (pattern, compiled) in compiled {
            let pattern: Vec<&str> = pattern.split('/').collect();
            for path in &paths {
                let expected = means(&pattern, &path.split('/').collect::<Vec<_>>());
                assert_eq!(compiled.matches(format!("/{path}").as_bytes()), expected, "{pattern:?} {path:?}");
                checked += 1;
            }
        }
        assert!(checked > 100_000, "{checked}");
    }

    #[test]
    fn captures_stand_for_what_their_segment_has() {
        for (pattern, path, captures) in [
            ("/users/{id}", "/users/42", &["42"][..]),
            ("/{a}/x/{b}", "/1/x/2", &["1", "2"]),
            ("/{a}-{b}", "/1-2-3", &["1", "2-3"]),
            ("/**/u/{id}", "/u/1/u/2", &["2"]),
            ("/**/{a}/x/{b}/y", "/1/x/2/x/3/y", &["2", "3"]),
            ("/*-{a}/**", "/q-1/z", &["1"]),
            ("/a/**", "/a/b", &[]),
        ] {
            let captured = PathPattern::from_text(pattern).unwrap().captures(path.as_bytes()).unwrap();
            let captures: Vec<_> = captures.iter().map(|text| text.as_bytes()).collect();
            assert_eq!(captured, captures, "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_for_any_file_with_an_extension_knows_it() {
        for (pattern, extension) in [
            ("/**/*.css", Some("css")),
            ("/img/*.PNG", Some("png")),
            ("/*.min.js", Some("js")),
            ("/{name}.pdf", Some("pdf")),
            ("/a.css", None),
            ("/a.*", None),
            ("/*.", None),
            ("/*.css/**", None),
            ("/*.css/x", None),
            ("/**", None),
        ] {
            assert_eq!(PathPattern::from_text(pattern).unwrap().extension.as_deref(), extension, "{pattern}");
        }
    }

    #[test]
    fn the_literal_ends_of_a_path_pattern() {
        for (pattern, prefix, suffix) in [
            ("/", "/", "/"),
            ("/a/b", "/a/b", "/a/b"),
            ("/a/**", "/a", ""),
            ("/a/*", "/a/", ""),
            ("/**/b.css", "", "/b.css"),
            ("/**/*.css", "", ".css"),
            ("/a-*/b", "/a-", "/b"),
            ("/a/{x}-b/c", "/a/", "-b/c"),
        ] {
            let compiled = PathPattern::from_text(pattern).unwrap();
            assert_eq!(
                (&*compiled.prefix(), &*compiled.suffix()),
                (prefix.as_bytes(), suffix.as_bytes()),
                "{pattern}"
            );
        }
    }

    #[test]
    fn no_path_makes_a_pattern_slow() {
        // Backtracking over every `**` would take longer than the universe has.
        let segments = PathPattern::from_text(&format!("{}/x", "/**/a".repeat(200))).unwrap();
        assert!(!segments.matches("/a".repeat(30_000).as_bytes()));
    }
}
