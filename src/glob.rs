//! Globs: pieces of given text with gaps between them, in which any text may stand. A backslash takes the next character as it
//! is.
//!
//! A text is read once, from left to right: each piece is taken where it is found first, which leaves the most room for the
//! rest. So nothing backtracks further than to the beginning of one piece, and the time is at most glob × text.

/// Pieces with gaps between them.
#[derive(Clone, PartialEq, Debug)]
pub struct Glob {
    /// What a match begins with.
    head: Piece,
    /// Each gap, and the piece behind it.
    rest: Box<[(Gap, Piece)]>,
}

/// A place where any text may stand.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Gap {
    /// The least length of the text.
    pub len_min: usize,
    /// Whether the text is captured. Captures are counted from the left over the whole pattern.
    pub captured: bool,
}

/// Bytes in a row.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Piece {
    bytes: Box<[u8]>,
    /// The places at which any byte may stand, in order.
    any: Box<[usize]>,
}

/// What stands before and after a piece.
type Around<'t> = (&'t [u8], &'t [u8]);

/// There was not enough work left to tell.
#[derive(Debug)]
pub struct OutOfWork;

impl Piece {
    /// These bytes.
    #[must_use]
    pub fn literal(bytes: &[u8]) -> Piece {
        Piece { bytes: bytes.into(), any: Box::default() }
    }

    /// Whether it matches nothing but the empty text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether a text begins with it.
    fn begins(&self, text: &[u8]) -> bool {
        if self.any.is_empty() {
            return text.starts_with(&self.bytes);
        }
        let start = text.get(..self.bytes.len());
        start.is_some_and(|start| {
            let mut pairs = start.iter().zip(&self.bytes).enumerate();
            pairs.all(|(at, (byte, own))| byte == own || self.any.binary_search(&at).is_ok())
        })
    }

    /// A text without this piece at its end.
    fn without_end<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        let (before, end) = text.split_at_checked(text.len().checked_sub(self.bytes.len())?)?;
        self.begins(end).then_some(before)
    }

    /// What stands before and after its first occurrence, at least `len_min` bytes from the start.
    fn split<'t>(
        &self,
        text: &'t [u8],
        len_min: usize,
        work: &mut impl FnMut(usize) -> bool,
    ) -> Result<Option<Around<'t>>, OutOfWork> {
        let mut at = len_min;
        loop {
            let Some((before, rest)) = text.split_at_checked(at) else { return Ok(None) };
            if rest.len() < self.bytes.len() {
                return Ok(None);
            }
            let may_begin = !self.any.is_empty() || rest.first() == self.bytes.first();
            if !work(if may_begin { 1 + self.bytes.len() } else { 1 }) {
                return Err(OutOfWork);
            }
            if self.begins(rest) {
                return Ok(rest.get(self.bytes.len()..).map(|after| (before, after)));
            }
            at += 1;
        }
    }
}

impl Glob {
    /// A piece, and gaps with the pieces behind them.
    #[must_use]
    pub fn new(head: Piece, rest: Vec<(Gap, Piece)>) -> Glob {
        Glob { head, rest: rest.into() }
    }

    /// Takes `*` for any text of at least `len_min` bytes and, where `any` says so, `?` for any byte.
    #[must_use]
    pub fn parse(pattern: &[u8], len_min: usize, any: bool) -> Glob {
        let gap = Gap { len_min, captured: false };
        let mut pieces = vec![(Vec::new(), Vec::new())];
        let mut rest = pattern;
        while let [byte, after @ ..] = rest {
            rest = after;
            let Some((bytes, anywhere)) = pieces.last_mut() else { break };
            match (byte, after) {
                (b'*', _) => pieces.push((Vec::new(), Vec::new())),
                (b'\\', [escaped, after @ ..]) => {
                    bytes.push(*escaped);
                    rest = after;
                }
                (b'?', _) if any => {
                    anywhere.push(bytes.len());
                    bytes.push(*byte);
                }
                _ => bytes.push(*byte),
            }
        }
        let mut pieces =
            pieces.into_iter().map(|(bytes, any)| Piece { bytes: bytes.into(), any: any.into() });
        let head = pieces.next().unwrap_or_default();
        Glob { head, rest: pieces.map(|piece| (gap, piece)).collect() }
    }

    /// The same with each piece as `change` has it.
    #[must_use]
    pub fn with_pieces(&self, change: impl Fn(&[u8]) -> Box<[u8]>) -> Glob {
        let changed = |piece: &Piece| Piece { bytes: change(&piece.bytes), any: piece.any.clone() };
        let rest = self.rest.iter().map(|(gap, piece)| (*gap, changed(piece))).collect();
        Glob { head: changed(&self.head), rest }
    }

    /// Whether two gaps stand side by side: they say no more than one.
    #[must_use]
    pub fn has_gaps_side_by_side(&self) -> bool {
        self.rest.iter().rev().skip(1).any(|(_, piece)| piece.is_empty())
    }

    /// The one text it matches, when it has no gap.
    #[must_use]
    pub fn literal(&self) -> Option<&[u8]> {
        self.rest.is_empty().then_some(&*self.head.bytes)
    }

    /// What every match begins with.
    #[must_use]
    pub fn prefix(&self) -> &[u8] {
        &self.head.bytes
    }

    /// What every match ends with.
    #[must_use]
    pub fn suffix(&self) -> &[u8] {
        &self.rest.last().map_or(&self.head, |(_, piece)| piece).bytes
    }

    /// Whether it matches the whole text.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        self.captures(text, &mut |_| {})
    }

    /// The same; tells `capture` what stands in the gaps that are captured, in order.
    pub fn captures<'t>(&self, text: &'t [u8], capture: &mut impl FnMut(&'t [u8])) -> bool {
        self.walk(text, capture, &mut |_| true).is_ok_and(|matches| matches)
    }

    /// The same as far as `work` allows, which is told of so many steps before they are taken.
    ///
    /// # Errors
    /// When it does not.
    pub fn matches_within(
        &self,
        text: &[u8],
        work: &mut impl FnMut(usize) -> bool,
    ) -> Result<bool, OutOfWork> {
        self.walk(text, &mut |_| {}, work)
    }

    fn walk<'t>(
        &self,
        text: &'t [u8],
        capture: &mut impl FnMut(&'t [u8]),
        work: &mut impl FnMut(usize) -> bool,
    ) -> Result<bool, OutOfWork> {
        if !self.head.begins(text) {
            return Ok(false);
        }
        let mut text = text.get(self.head.bytes.len()..).unwrap_or_default();
        let Some(((last, tail), inner)) = self.rest.split_last() else { return Ok(text.is_empty()) };
        // Most texts that do not match end otherwise, and to look there before searching costs next to nothing.
        if !inner.is_empty() && tail.without_end(text).is_none() {
            return Ok(false);
        }
        for (gap, piece) in inner {
            let Some((between, after)) = piece.split(text, gap.len_min, work)? else { return Ok(false) };
            if gap.captured {
                capture(between);
            }
            text = after;
        }
        let Some(between) = tail.without_end(text).filter(|text| text.len() >= last.len_min) else {
            return Ok(false);
        };
        if last.captured {
            capture(between);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn globs_match_whole_texts() {
        for (glob, text, expected) in [
            ("/img/*.png", "/img/a.png", true),
            ("/img/*.png", "/img/deep/a.png", true),
            ("/img/*.png", "/img/a.png?v=1", false),
            ("/img/*", "/img/", true),
            ("/img/?.png", "/img/a.png", true),
            ("/img/?.png", "/img/ab.png", false),
            ("/a\\*b", "/a*b", true),
            ("/a\\*b", "/axb", false),
            ("/a\\?b", "/axb", false),
            ("*", "", true),
            ("**", "anything", true),
            ("?", "", false),
            ("*?", "", false),
            ("*?", "ab", true),
            ("a\\", "a\\", true),
            ("*a*b*c", "xxaxxbxxcxxc", true),
            ("*a*b*c", "xxaxxbxxcxx", false),
            ("*a?c*", "abbaxc", true),
            ("aa*aa", "aaa", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(
                Glob::parse(glob.as_bytes(), 0, true).matches(text.as_bytes()),
                expected,
                "{glob} on {text}"
            );
        }
        assert!(Glob::parse(b"a?", 0, false).matches(b"a?"));
        assert!(!Glob::parse(b"*a", 1, false).matches(b"a"));
    }

    /// What a glob means, told by trying everything.
    fn means(glob: &[u8], text: &[u8]) -> bool {
        match (glob, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|at| means(rest, &text[at..])),
            ([b'?', glob @ ..], [_, text @ ..]) => means(glob, text),
            ([a, glob @ ..], [b, text @ ..]) => a == b && means(glob, text),
            _ => false,
        }
    }

    fn all(letters: &[u8], len_max: u32) -> Vec<Vec<u8>> {
        let of_len = |len: u32| {
            let count = letters.len().pow(len);
            (0..count).map(move |n| {
                (0..len).map(|at| letters[n / letters.len().pow(at) % letters.len()]).collect::<Vec<u8>>()
            })
        };
        (0..=len_max).flat_map(of_len).collect()
    }

    #[test]
    fn a_glob_matches_what_trying_everything_finds() {
        let texts = all(b"ab", 5);
        for glob in all(b"ab*?", 4) {
            let compiled = Glob::parse(&glob, 0, true);
            for text in &texts {
                assert_eq!(compiled.matches(text), means(&glob, text), "{glob:?} on {text:?}");
            }
        }
    }
}
