//! What a member of `Cache-Control` says that is no directive, as far as it may forbid something.
//!
//! RFC 9111 §5.2 wants unrecognised directives to be ignored, and so they are, as long as they are directives: words of
//! their own, as the grammar has them. But `private; max-age=600` is not an unknown directive. It is a typing error,
//! and to ignore it would share a private response. So a member that is not well formed counts as the prohibitions that
//! it names or hides, wherever in it; and so does a word that is well formed only because the grammar takes quotes,
//! dots and the like for letters (`'no-store'`).

use super::{list, percent};

/// What may be forbidden.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Hidden {
    pub no_store: bool,
    pub no_cache: bool,
    pub private: bool,
    /// A lifetime, `max-age` or `s-maxage`, that cannot be read.
    pub lifetime: bool,
}

/// Whether a member is as the grammar has it: `token [ "=" ( token / quoted-string ) ]`.
///
/// What names the field itself is not meant as a directive.
pub(super) fn is_well_formed(member: &[u8]) -> bool {
    let (name, argument) = list::name_and_value(member);
    let readable = |argument| list::is_token(argument) || list::is_quoted_string(argument);
    list::is_token(name)
        && argument.is_none_or(readable)
        && !(argument.is_some() && name.eq_ignore_ascii_case(b"cache-control"))
}

impl Hidden {
    /// What a member that is not well formed names anywhere in it. Only its letters count: what lies between them, or in
    /// their stead, may be anything.
    pub fn anywhere_in(member: &[u8]) -> Hidden {
        let decoded: Vec<u8> = percent::form_decoded(member).collect();
        let mut letters = String::with_capacity(decoded.len());
        for c in String::from_utf8_lossy(&decoded).chars() {
            match in_ascii(c) {
                Some(c) if c.is_ascii_alphabetic() => letters.push(c.to_ascii_lowercase()),
                Some(_) => {}
                None if is_punctuation(c) => {}
                // Letters that look like ours, or something that is no text at all: whatever they spell is not known.
                None => return Hidden { no_store: true, ..Hidden::default() },
            }
        }
        Hidden {
            no_store: letters.contains("nostore"),
            no_cache: letters.contains("nocache"),
            private: letters.contains("private"),
            lifetime: letters.contains("maxage"),
        }
    }

    /// What a token names between the marks that it is decorated with. A word that merely contains another is its own.
    pub fn in_token(token: &[u8]) -> Hidden {
        let is_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if token.iter().all(is_of_word) {
            return Hidden::default();
        }
        let decoded: Vec<u8> = percent::form_decoded(token).collect();
        let is = |name: &str| {
            let mut words = decoded.split(|byte| !is_of_word(byte));
            words.any(|word| word.eq_ignore_ascii_case(name.as_bytes()))
        };
        Hidden {
            no_store: is("no-store"),
            no_cache: is("no-cache"),
            private: is("private"),
            lifetime: is("max-age") || is("s-maxage"),
        }
    }
}

/// The character of ASCII that this one is, or is the wide form of.
fn in_ascii(c: char) -> Option<char> {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0),
        _ => Some(c).filter(char::is_ascii),
    }
}

/// Whether a character beyond ASCII is no letter: quotes, dashes, spaces, and what has no width.
fn is_punctuation(c: char) -> bool {
    matches!(
        c,
        '\u{80}'..='\u{bf}' | '\u{180e}' | '\u{2000}'..='\u{206f}' | '\u{2212}' | '\u{3000}'..='\u{303f}'
            | '\u{fe10}'..='\u{fe6f}' | '\u{feff}'
    )
}
